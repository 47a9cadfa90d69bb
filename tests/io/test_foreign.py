"""Labels of other programs: files written as their own programs write them become the same labels, and go back."""

from __future__ import annotations

import json
from pathlib import Path

import ase.units
import numpy as np
import pytest
from typer.testing import CliRunner

from spinase import SpinAtoms
from spinase.atoms import get_spins, set_moments
from spinase.calculators import EDCalculator, HeisenbergCalculator
from spinase.cli import app
from spinase.electrons import SDModel, ShellHopping
from spinase.errors import AccuracyWarning, InputError
from spinase.io import Labels, read_labels
from spinase.io.foreign import VectorOptions, to_moments_and_fields
from spinase.run.convert import export_labels, import_labels
from spinase.spin_algebra import random_spins
from spinase.units import METAL

SITES, FRAMES, LENGTH = 6, 4, 2.2


def iron() -> tuple[SpinAtoms, HeisenbergCalculator]:
    """A disordered magnet in metal units with one non-magnetic site, and its energies."""
    atoms = SpinAtoms.disordered(SITES, density=0.05, min_distance=2.0, rng=3)
    atoms.symbols[4] = "O"
    law = {"amplitude": 0.02, "decay": 1.0, "reference": 2.5, "cutoff": 3.5}
    return atoms, HeisenbergCalculator.from_config(HeisenbergCalculator.Config(law=law))


def frames() -> list[dict]:
    """Configurations with what a teacher says, in metal units."""
    atoms, calc = iron()
    home, rng, found = atoms.positions.copy(), np.random.default_rng(5), []
    for _ in range(FRAMES):
        atoms.positions = home + 0.05 * rng.normal(size=home.shape)
        moments = LENGTH * random_spins(SITES, rng)
        moments[4] = 0.0
        set_moments(atoms, moments)
        names = ("energy", "forces", "magnetic_forces")
        found.append({name: np.array(calc.get_property(name, atoms)) for name in names})
        found[-1] |= {"atoms": atoms.copy(), "moments": moments, "spins": get_spins(atoms)}
    return found


def write_extxyz(path: Path, columns: dict[str, str], energy: str, factor: float = 1.0, more: str = "") -> None:
    """Extended XYZ by hand: `columns` are names in the file by key of a frame."""
    with open(path, "w") as file:
        for frame in frames():
            atoms = frame["atoms"]
            names = ":".join(f"{name}:R:3" for name in columns.values())
            cell = " ".join(f"{x:.10f}" for x in atoms.cell.array.ravel())
            file.write(f'{len(atoms)}\nLattice="{cell}" Properties=species:S:1:pos:R:3:{names} pbc="T T T"{more} ')
            file.write(f"{energy}={frame['energy'] * factor:.12f}\n")
            for i, symbol in enumerate(atoms.get_chemical_symbols()):
                rows = [atoms.positions[i], *(frame[key][i] * FACTORS.get(key, 1.0) for key in columns)]
                file.write(f"{symbol} " + " ".join(f"{x:.12f}" for row in rows for x in row) + "\n")


FACTORS: dict[str, float] = {}


def assert_the_teachers(parts: list[Labels], atol: float = 1e-9) -> None:
    """The labels are those of :func:`frames`, frame by frame."""
    found = [(part, k) for part in parts for k in range(len(part))]
    assert len(found) == FRAMES
    for (part, k), frame in zip(found, frames(), strict=True):
        assert part.units == "metal"
        np.testing.assert_array_equal(part.numbers, frame["atoms"].numbers)
        np.testing.assert_allclose(part.positions[k], frame["atoms"].positions, atol=atol)
        np.testing.assert_allclose(part.cells[k], frame["atoms"].cell.array, atol=atol)
        np.testing.assert_allclose(part.moments[k], frame["moments"], atol=atol)
        np.testing.assert_allclose(part.magnetic_forces[k], frame["magnetic_forces"], atol=atol)
        np.testing.assert_allclose(part.forces[k], frame["forces"], atol=atol)
        assert part.energies[k] == pytest.approx(frame["energy"], abs=atol)


MAGNETIC_MACE = {"forces": "REF_forces", "moments": "REF_magmom", "magnetic_forces": "REF_magforces"}


def test_magnetic_mace_files(tmp_path: Path) -> None:
    write_extxyz(tmp_path / "train.extxyz", MAGNETIC_MACE, "REF_energy", more=" config_type=thermal")
    arguments = ["convert", str(tmp_path / "train.extxyz"), "--from", "mace", "-o", str(tmp_path / "a.h5")]
    result = CliRunner().invoke(app, [*arguments, "--set", "together=3", "--set", "teacher.style='heisenberg'"])
    assert result.exit_code == 0, result.output
    parts, attributes = read_labels(tmp_path / "a.h5")
    assert [len(part) for part in parts] == [3, 1]
    assert_the_teachers(parts)
    assert parts[0].kinds == ["thermal"] * 3
    told = json.loads(attributes["provenance"])
    assert told["format"] == "mace"
    assert told["remarks"][0]["keys"]["fields"] == "REF_magforces"
    assert [len(digest) for digest in told["files"].values()] == [64]
    assert json.loads(attributes["teacher"]) == {"style": "heisenberg"}


def test_the_fields_are_minus_the_gradient_of_the_energies(tmp_path: Path) -> None:
    """-dE/dm between neighbouring frames of a file, independently of any calculator: two moments, E = 0.3 m1.m2."""
    step, lines = 1e-4, []
    for dx in (-step, 0.0, step):
        m1, m2 = np.array([1.7 + dx, 0.4, -0.2]), np.array([0.9, -1.1, 0.5])
        lines += ["2", f"Properties=species:S:1:pos:R:3:REF_magmom:R:3:REF_magforces:R:3 REF_energy={0.3 * m1 @ m2:.15f}"]
        for m, other, x in ((m1, m2, 0.0), (m2, m1, 2.0)):
            lines.append(" ".join(["Fe", *(f"{v:.12f}" for v in (x, 0.0, 0.0, *m, *(-0.3 * other)))]))
    (tmp_path / "pair.xyz").write_text("\n".join(lines) + "\n")
    parts, _ = read_labels(import_labels([tmp_path / "pair.xyz"], tmp_path / "a.h5", "mace", {"together": 3}))
    (part,) = parts
    assert not part.pbc.any()
    slope = (part.energies[2] - part.energies[0]) / (part.moments[2, 0, 0] - part.moments[0, 0, 0])
    assert part.magnetic_forces[1, 0, 0] == pytest.approx(-slope, abs=1e-9)


def trajectory(path: Path, factors: dict[str, float], energy: bool = True) -> None:
    """Small steps of spins and atoms with everything in the file multiplied by a factor."""
    atoms, calc = iron()
    rng, lines = np.random.default_rng(8), []
    for _ in range(6):
        atoms.positions = atoms.positions + 0.01 * rng.normal(size=atoms.positions.shape)
        turned = atoms.moments + 0.03 * rng.normal(size=(SITES, 3))
        set_moments(atoms, LENGTH * turned / np.linalg.norm(turned, axis=1, keepdims=True))
        fields, forces = (factors.get(n, 1.0) * calc.get_property(n, atoms) for n in ("magnetic_forces", "forces"))
        cell = " ".join(f"{x:.12f}" for x in atoms.cell.array.ravel())
        lines += [
            str(SITES),
            f'Lattice="{cell}" Properties=species:S:1:pos:R:3:REF_magmom:R:3:REF_magforces:R:3:REF_forces:R:3 '
            + (f"REF_energy={calc.get_property('energy', atoms):.12f}" if energy else ""),
        ]
        for row in zip(atoms.get_chemical_symbols(), atoms.positions, atoms.moments, fields, forces, strict=True):
            lines.append(" ".join([row[0], *(f"{x:.12f}" for vector in row[1:] for x in vector)]))
    path.write_text("\n".join(lines) + "\n")


def test_energies_along_a_trajectory_tell_wrong_signs_and_units(tmp_path: Path) -> None:
    path, target = tmp_path / "run.xyz", tmp_path / "a.h5"

    def slopes(options: dict | None = None) -> dict:
        attributes = read_labels(import_labels([path], target, "mace", {"together": 6, **(options or {})}))[1]
        return json.loads(attributes["provenance"])["energy_slopes"]

    trajectory(path, {})
    told = slopes()
    assert told["fields"] == pytest.approx(1.0, abs=0.05)
    assert told["forces"] == pytest.approx(1.0, abs=0.05)
    assert told["pairs"] >= 3
    with pytest.warns(AccuracyWarning, match="energies change by -1.* times what the magnetic forces say .*gradient"):
        slopes({"gradient": True})
    trajectory(path, {"magnetic_forces": 1 / ase.units.Ry})
    with pytest.warns(AccuracyWarning, match="by 13.* times what the magnetic forces say"):
        slopes()
    assert slopes({"field_unit": "Ry"})["fields"] == pytest.approx(1.0, abs=0.05)
    trajectory(path, {"forces": -1.0})
    with pytest.warns(AccuracyWarning, match="by -1.* times what the forces say"):
        slopes()
    trajectory(path, {}, energy=False)
    assert slopes() is None


@pytest.mark.parametrize(
    ("columns", "factors", "options"),
    [
        ({"spins": "spins", "magnetic_forces": "H"}, {"magnetic_forces": LENGTH}, {"field": "per-spin"}),
        ({"spins": "spins", "magnetic_forces": "H"}, {"magnetic_forces": -1e3}, {"gradient": True, "field_unit": "meV"}),
        ({"spins": "spins", "magnetic_forces": "H"}, {"magnetic_forces": 1 / METAL.tesla}, {"field_unit": "tesla"}),
        ({"spins": "S", "magnetic_forces": "H"}, {"spins": -1.0, "magnetic_forces": -1.0}, {"opposite": True}),
    ],
)
def test_what_a_file_does_not_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: dict, factors: dict, options: dict
) -> None:
    """Unit spins, gradients, tesla, electron spins: the same labels in the end."""
    monkeypatch.setattr(f"{__name__}.FACTORS", factors)
    write_extxyz(tmp_path / "a.xyz", {"forces": "F", **columns}, "E")
    keys = {"energy_key": "E", "forces_key": "F", "fields_key": "H", "moments_key": columns["spins"]}
    said = {"vectors": "spins", "moment": {"Fe": LENGTH, "O": 0.0}, **options}
    parts, _ = read_labels(import_labels([tmp_path / "a.xyz"], tmp_path / "a.h5", "mace", {**keys, **said}))
    assert_the_teachers(parts, 1e-7)


def test_rydberg_and_collinear_moments(tmp_path: Path) -> None:
    text = '1\nProperties=species:S:1:pos:R:3:magmom:R:1:magforces:R:1 energy=2.0 pbc="F F F"\nFe 0 0 0 1.5 0.25\n'
    (tmp_path / "a.xyz").write_text(text)
    options = {"energy_unit": "Ry"}
    (part,), _ = read_labels(import_labels([tmp_path / "a.xyz"], tmp_path / "a.h5", "mace", options))
    np.testing.assert_allclose(part.moments[0], [[0, 0, 1.5]])
    np.testing.assert_allclose(part.magnetic_forces[0], [[0, 0, 0.25 * ase.units.Ry]])
    assert part.energies[0] == pytest.approx(2 * ase.units.Ry)
    assert part.forces is None


def system(folder: Path) -> None:
    """A DeepSPIN system in two sets, as DeePMD-kit documents it."""
    folder.mkdir()
    (folder / "type.raw").write_text("1\n1\n1\n1\n0\n1\n")
    (folder / "type_map.raw").write_text("O\nFe\n")
    for k, chosen in enumerate((frames()[:3], frames()[3:])):
        place = folder / f"set.{k:03d}"
        place.mkdir()
        np.save(place / "box.npy", np.array([frame["atoms"].cell.array.ravel() for frame in chosen]))
        np.save(place / "coord.npy", np.array([frame["atoms"].positions.ravel() for frame in chosen]))
        np.save(place / "energy.npy", np.array([frame["energy"] for frame in chosen]))
        for file, key in (("spin", "moments"), ("force", "forces"), ("force_mag", "magnetic_forces")):
            np.save(place / f"{file}.npy", np.array([frame[key].ravel() for frame in chosen]))
        np.save(place / "virial.npy", np.zeros((len(chosen), 9)))


def test_deepspin_systems(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    system(tmp_path / "data" / "iron")
    path = import_labels([tmp_path / "data"], tmp_path / "a.h5", "deepspin", {"together": 10})
    parts, attributes = read_labels(path)
    assert [len(part) for part in parts] == [4]
    assert parts[0].kinds == ["iron"] * 4
    assert_the_teachers(parts)
    told = json.loads(attributes["provenance"])
    assert told["remarks"][0]["left_out"] == ["virial.npy"]
    assert len(told["files"]) == 14


def test_deepspin_frames_with_their_own_species(tmp_path: Path) -> None:
    """Mixed types: -1 is no atom, other species are another realization."""
    system(tmp_path / "iron")
    kinds = np.array([[1, 1, 1, 1, 0, 1], [1, 1, 1, 1, 0, 1], [1, 1, -1, 1, 0, 1]])
    np.save(tmp_path / "iron" / "set.000" / "real_atom_types.npy", kinds)
    parts, _ = read_labels(import_labels([tmp_path / "iron"], tmp_path / "a.h5", "deepspin", {"together": 10}))
    assert [(len(part), len(part.numbers)) for part in parts] == [(2, 6), (1, 5), (1, 6)]
    np.testing.assert_allclose(parts[1].moments[0], np.delete(frames()[2]["moments"], 2, axis=0))


@pytest.mark.parametrize(("name", "target"), [("mace", "back.extxyz"), ("deepspin", "back")])
def test_there_and_back(tmp_path: Path, name: str, target: str) -> None:
    write_extxyz(tmp_path / "train.extxyz", MAGNETIC_MACE, "REF_energy")
    first = import_labels([tmp_path / "train.extxyz"], tmp_path / "a.h5", "mace")
    result = CliRunner().invoke(app, ["convert", str(first), "--to", name, "-o", str(tmp_path / target)])
    assert result.exit_code == 0, result.output
    parts, _ = read_labels(import_labels([tmp_path / target], tmp_path / "b.h5", name))
    assert_the_teachers(parts, 1e-7)


def columns(path: Path, rng: np.random.Generator, what: str = "full") -> SpinAtoms:
    """A file of the published double-exchange data with the fields of exact diagonalization: x runs fastest."""
    atoms = SpinAtoms.lattice("square", (6, 4), units="reduced", rng=rng)
    atoms.calc = EDCalculator(SDModel(ShellHopping([1.0]), 6.0, filling=0.485, kT=0.05))
    spins, field = atoms.spins, atoms.calc.get_property("magnetic_forces", atoms)
    tangent = field - spins * np.sum(field * spins, axis=1, keepdims=True)
    last = {"full": field, "tangent": tangent, "torque": np.cross(spins, field)}[what]
    order = np.lexsort((atoms.positions[:, 0], atoms.positions[:, 1]))
    with open(path, "w") as file:
        for i in order:
            x, y = (round(v) for v in atoms.positions[i, :2])
            file.write("\t".join([f"{x}\t{y}\t0.485", *(f"{v:.12g}" for v in (*spins[i], *last[i]))]) + "\n")
    return atoms


def test_double_exchange_columns(tmp_path: Path) -> None:
    """The fields in the file are those of our Hamiltonian on the sites that come out: order, sign, unit, periods."""
    rng = np.random.default_rng(2)
    (tmp_path / "quench").mkdir()
    made = [columns(tmp_path / "quench" / f"c{step}.dat", rng) for step in (0, 500, 10000)]
    path = import_labels([tmp_path / "quench"], tmp_path / "a.h5", "double-exchange", {"together": 3})
    (part,), attributes = read_labels(path)
    assert part.units == "reduced"
    assert part.kinds == ["quench"] * 3
    assert np.isnan(part.energies).all()
    for k, atoms in enumerate(made):
        magnet = part.atoms(k)
        assert magnet.get_all_distances(mic=True).max() == pytest.approx(np.hypot(3, 2))
        expected = atoms.calc.get_property("magnetic_forces", magnet)
        np.testing.assert_allclose(part.magnetic_forces[k], expected, atol=1e-9)
        assert np.mean(np.sum(part.moments[k] * part.magnetic_forces[k], axis=1)) > 4.0
    assert json.loads(attributes["provenance"])["remarks"][0]["mean_density"] == pytest.approx(0.485)
    export_labels(path, tmp_path / "back", "double-exchange", {"density": 0.485})
    (again,), _ = read_labels(import_labels([tmp_path / "back"], tmp_path / "b.h5", "double-exchange", {"together": 3}))
    for name in ("positions", "moments", "magnetic_forces", "cells"):
        np.testing.assert_allclose(getattr(again, name), getattr(part, name), atol=1e-12)


@pytest.mark.parametrize("what", ["tangent", "torque"])
def test_columns_across_the_spins(tmp_path: Path, what: str) -> None:
    atoms = columns(tmp_path / "c0.dat", np.random.default_rng(4), what)
    with pytest.raises(InputError, match="across the spins everywhere.*field = 'tangent'.*field = 'torque'"):
        import_labels([tmp_path / "c0.dat"], tmp_path / "a.h5", "double-exchange")
    path = import_labels([tmp_path / "c0.dat"], tmp_path / "a.h5", "double-exchange", {"field": what})
    (part,), _ = read_labels(path)
    torques = np.cross(part.moments[0], part.magnetic_forces[0])
    np.testing.assert_allclose(torques, atoms.calc.get_property("torques", part.atoms(0)), atol=1e-9)


def test_bad_columns(tmp_path: Path) -> None:
    columns(tmp_path / "c0.dat", np.random.default_rng(4))
    lines = (tmp_path / "c0.dat").read_text().splitlines()

    def refused(changed: list[str], message: str, options: dict | None = None) -> None:
        (tmp_path / "bad.dat").write_text("\n".join(changed))
        with pytest.raises(InputError, match=message):
            import_labels([tmp_path / "bad.dat"], tmp_path / "a.h5", "double-exchange", options)

    refused(lines[:-1], r"the site \(5, 3\) of a 6 x 4 lattice is there 0 times")
    refused([*lines, lines[0]], r"the site \(0, 0\) .* is there 2 times")
    refused([line.rsplit("\t", 1)[0] for line in lines], "has 8 columns")
    refused([lines[0].replace("0\t0\t", "0.5\t0\t"), *lines[1:]], "must be whole numbers")
    refused(["0\t0\t0.5\t0\t0\t2\t0\t0\t5"], "has length 2, not 1")
    refused(["0\t0\t0.5\t0\t0\t1\t0\t0\tnan"], "line 1 is not finite")
    refused(lines, "unknown key 'fild'.*did you mean 'field'", {"fild": "torque"})
    with pytest.raises(InputError, match="no file of .* matches"):
        import_labels([tmp_path], tmp_path / "a.h5", "double-exchange", {"pattern": "*.txt"})


def test_vectors_of_sites_without_moments_say_nothing_of_their_kind() -> None:
    nothing, numbers = np.zeros((2, 3)), np.array([26, 26])
    for units in ("metal", "reduced"):
        moments, fields = to_moments_and_fields(nothing, nothing + 1.0, numbers, VectorOptions(), "a file", units)
        assert not moments.any()
        assert np.isfinite(fields).all()
    with pytest.raises(InputError, match="a file: every vector has length 1"):
        to_moments_and_fields(np.eye(3)[:2], nothing, numbers, VectorOptions(), "a file")


def test_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    path, target = tmp_path / "a.xyz", tmp_path / "a.h5"
    write_extxyz(path, {"spins": "magmom", "magnetic_forces": "magforces"}, "energy")
    with pytest.raises(InputError, match="every vector has length 1: are these unit spins"):
        import_labels([path], target, "mace")
    with pytest.raises(InputError, match="unit spins need moment"):
        import_labels([path], target, "mace", {"vectors": "spins"})
    with pytest.raises(InputError, match="moment has no length for O"):
        import_labels([path], target, "mace", {"vectors": "spins", "moment": {"Fe": 2.2}})
    write_extxyz(path, {"moments": "magmom", "magnetic_forces": "B"}, "energy")
    with pytest.raises(InputError, match="frame 0 has no magnetic forces .* say fields_key; it has B, "):
        import_labels([path], target, "mace")
    with pytest.raises(InputError, match="there is one of length 2.2"):
        import_labels([path], target, "mace", {"fields_key": "B", "vectors": "spins", "moment": 2.2})
    with pytest.raises(InputError, match="no 'C' .asked for by fields_key"):
        import_labels([path], target, "mace", {"fields_key": "C"})
    write_extxyz(path, {"spins": "spins", "magnetic_forces": "magforces"}, "energy")
    with pytest.raises(InputError, match="there is no file"):
        import_labels([tmp_path / "no.xyz"], target, "mace")
    with pytest.raises(LookupError, match="did you mean 'mace'"):
        import_labels([path], target, "mase")
    path.write_text("3\nthis is no frame\nFe 0\n")
    with pytest.raises(InputError, match="cannot read .* as extended XYZ"):
        import_labels([path], target, "mace")
    result = CliRunner().invoke(app, ["convert", str(path), "-o", str(target)])
    assert isinstance(result.exception, InputError)
    assert not target.exists()


def test_bad_deepspin_systems(tmp_path: Path) -> None:
    target = tmp_path / "a.h5"
    with pytest.raises(InputError, match="there is no DeepSPIN system"):
        import_labels([tmp_path], target, "deepspin")
    system(tmp_path / "iron")
    place = tmp_path / "iron" / "set.000"
    np.save(place / "force_mag.npy", np.zeros((3, 7)))
    with pytest.raises(InputError, match=r"force_mag.npy has shape \(3, 7\), which does not fit \(3, 6, 3\)"):
        import_labels([tmp_path / "iron"], target, "deepspin")
    (place / "force_mag.npy").write_bytes(b"half")
    with pytest.raises(InputError, match="force_mag.npy is damaged"):
        import_labels([tmp_path / "iron"], target, "deepspin")
    (place / "spin.npy").unlink()
    with pytest.raises(InputError, match="no spin.npy.*TensorFlow layout"):
        import_labels([tmp_path / "iron"], target, "deepspin")
    (tmp_path / "iron" / "type_map.raw").unlink()
    with pytest.raises(InputError, match="say type_map"):
        import_labels([tmp_path / "iron"], target, "deepspin")


def test_a_format_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    columns(tmp_path / "c0.dat", np.random.default_rng(4))
    reduced = import_labels([tmp_path / "c0.dat"], tmp_path / "a.h5", "double-exchange")
    with pytest.raises(InputError, match="in eV, Angstrom and mu_B, these labels in reduced units"):
        export_labels(reduced, tmp_path / "x", "deepspin")
    write_extxyz(tmp_path / "train.extxyz", MAGNETIC_MACE, "REF_energy")
    metal = import_labels([tmp_path / "train.extxyz"], tmp_path / "b.h5", "mace")
    with pytest.raises(InputError, match="in units of t and a, these labels in metal units"):
        export_labels(metal, tmp_path / "x", "double-exchange")
    export_labels(reduced, tmp_path / "r.xyz", "mace")
    both = [tmp_path / "r.xyz", tmp_path / "train.extxyz"]
    with pytest.raises(InputError, match="different unit systems"):
        import_labels(both, tmp_path / "c.h5", "mace", {"vectors": "moments"})
    assert not (tmp_path / "x").exists()
