#!/usr/bin/env bash
# kwant 1.5.0: kpm.conductivity(alpha="x", beta="y") is the current along y in a field along x (sigma_yx), the Hall conductivity with the other sign: electrons
# that fill the lowest Landau level in a magnetic field along +z drift with E x B / B^2, which is sigma_xy = -e^2/h (the sign of the charge enters squared);
# it says +1.  kwant is built here: some minutes.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==1.26.4 scipy==1.15.3 cython==3.0.12 "setuptools<75" wheel tinyarray==1.2.5
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-build-isolation kwant==1.5.0
cd "$folder" && venv/bin/python -W ignore - <<'PY'
import numpy as np
from scipy.sparse import csr_matrix

import kwant

print("kwant", kwant.__version__)
EDGE, FIELD = 12, 1 / 12  # flux quanta h/e through a plaquette, along +z: A = B x e_y
size = EDGE**2
hamiltonian, along = np.zeros((size, size), complex), np.zeros((2, size, size), complex)
for x in range(EDGE):
    for y in range(EDGE):
        here = x * EDGE + y
        for axis, there in ((0, (x + 1) % EDGE * EDGE + y), (1, x * EDGE + (y + 1) % EDGE)):
            # charge -e, from there to here: -t exp(-i e/hbar int_there^here A.dl) = -t exp(+2 pi i FIELD x) along y
            hop = -np.exp(2j * np.pi * FIELD * x * axis)
            hamiltonian[here, there] += hop
            along[axis, here, there] += 1j * hop  # v = i [H, r]: H_ij (r_j - r_i)
hamiltonian += hamiltonian.conj().T
along += along.conj().transpose(0, 2, 1)
levels, states = np.linalg.eigh(hamiltonian)
gap = 0.5 * (levels[EDGE - 1] + levels[EDGE])  # twelve quanta: twelve states in a level
inside = states.conj().T @ along @ states
below, above = slice(0, EDGE), slice(EDGE, None)
pairs = (inside[0, below, above] * inside[1, above, below].T).imag / (levels[below, None] - levels[above]) ** 2
kubo = 2 * np.pi * 2 * pairs.sum() / size  # j_x = -e <v_x> in the energy +e E y, first order: + 2 e^2 hbar Im(v_x v_y)/dE^2
found = kwant.kpm.conductivity(
    csr_matrix(hamiltonian), csr_matrix(along[0]), csr_matrix(along[1]), positions=np.zeros((size, 2)), num_moments=200,
    num_vectors=size, vector_factory=list(np.eye(size, dtype=complex)),
)  # fmt: skip
theirs = found(mu=gap, temperature=0).real  # of one orbital, in units of e^2/h
print(f"lowest Landau level: first order of perturbation theory {kubo:+.3f} e^2/h, kwant {theirs:+.3f} e^2/h")
assert abs(kubo + 1) < 0.05, "the reference is wrong"
assert abs(theirs - 1) < 0.1, "the behaviour has changed"
print("as stated: the Hall conductivity has the sign of sigma_yx")
PY
