#!/usr/bin/env bash
# pyspinw 1.1.0b2: magnons of sites with spins of unequal length are wrong.  The diagonal of the spin-wave Hamiltonian is sum_l S_l e_i.J_il.e_l (S. Toth,
# B. Lake, J. Phys.: Condens. Matter 27, 166002 (2015), eq. 26, as in the MATLAB SpinW), the exchange field of the neighbours; both cores multiply by
# the site's own S instead.  One would expect the closed form: a ferromagnetic trimer of S = 1, 2, 3 with J = 1 has magnons at 0, 2 and 6.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyspinw==1.1.0b2 numpy==2.4.6 scipy==1.16.3
cd "$folder" && venv/bin/python -W ignore - <<'PY'
from importlib.metadata import version

import numpy as np
import pyspinw
from pyspinw.exchange import Exchange


def magnons(lengths, rust):
    """Energies of a trimer 1 - 2 - 3 with E = -J S_i.S_j."""
    sites = [pyspinw.Site(0.3 * k, 0, 0, 0, 0, length, name="ABC"[k]) for k, length in enumerate(lengths)]
    bonds = [Exchange(sites[0], sites[1], (0, 0, 0), -np.eye(3)), Exchange(sites[1], sites[2], (0, 0, 0), -np.eye(3))]
    path = pyspinw.Path([[0, 0, 0], [0.5, 0, 0]], n_points_per_segment=2)
    model = pyspinw.Hamiltonian(pyspinw.Structure(sites, pyspinw.UnitCell(3, 3, 3)), bonds, [])
    energies, _ = model.energies_and_intensities(path, use_rust=rust)
    return np.sort(np.array(energies).real, axis=1)[0, 3:]


def expected(lengths):
    """Eigenvalues of delta_ij sum_l J S_l - J sqrt(S_i S_j)."""
    spins, bonds = np.array(lengths), np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    return np.linalg.eigvalsh(np.diag(bonds @ spins) - bonds * np.sqrt(np.outer(spins, spins)))


print("pyspinw", version("pyspinw"))
for lengths in ((1.0, 1.0, 1.0), (1.0, 2.0, 3.0)):
    print(lengths, "pyspinw:", magnons(lengths, True).round(4), " closed form:", expected(lengths).round(4))
for rust in (True, False):
    assert np.allclose(magnons((1.0, 1.0, 1.0), rust), [0, 1, 3], atol=1e-6)
    found = magnons((1.0, 2.0, 3.0), rust)
    assert np.allclose(found, [0, 1.76393202, 6.23606798], atol=1e-6), f"the behaviour has changed: {found}"
print("as stated: equal spins are right, unequal ones are not")
PY
