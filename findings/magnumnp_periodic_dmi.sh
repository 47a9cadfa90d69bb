#!/usr/bin/env bash
# magnum.np 2.2.0: the DMI of a mesh that is periodic along y (or z) takes the cell's width along x for that of the neighbour: field and energy of a spiral along y are 2 dy/(dx + dy)
# times what they should be, those along z 2 dz/(dx + dz) times.  One would expect the energy density D q of a helix whatever the axis, as it is without periodic boundaries, along x, with
# cubic cells, and for exchange.  So with dx = 2 nm, dy = 1 nm spirals along a periodic y have two thirds of the wave number D/2A, those along x all of it; nothing is said.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check magnumnp==2.2.0 torch==2.13.0 numpy==2.4.6 scipy==1.16.3
cd "$folder" && TORCHDYNAMO_DISABLE=1 venv/bin/python -W ignore - <<'PY' 2>log || { cat log; exit 1; }
from importlib.metadata import version

import numpy as np
import torch
from magnumnp import BulkDMIField, ExchangeField, Mesh, State

print("magnum.np", version("magnumnp"))
D, A, CELLS = 1e-3, 1e-11, 16


def helix(widths, axis, periodic):
    """DMI and exchange of one turn of a helix [J/m^3] on a mesh of cells of these widths [m], in units of the closed form of the lattice."""
    n, q = [2, 2, 2], 2 * np.pi / (CELLS * widths[axis])
    n[axis] = CELLS
    mesh = Mesh(n, widths, pbc=tuple(int(periodic and i == axis) for i in range(3)))
    state = State(mesh)
    state.material = {"Ms": 8e5, "Db": D, "A": A}
    phase = q * widths[axis] * np.arange(CELLS)
    one, other = (axis + 1) % 3, (axis + 2) % 3
    m = np.zeros((CELLS, 3))
    m[:, one], m[:, other] = np.cos(phase), np.sin(phase)
    shape = [1, 1, 1, 3]
    shape[axis] = CELLS
    state.m = torch.tensor(np.broadcast_to(m.reshape(shape), (*n, 3)).copy(), dtype=mesh.dx_tensor[0].dtype)
    bonds = 1.0 if periodic else (CELLS - 1) / CELLS  # open: the last cell has no neighbour
    volume = np.prod(n) * np.prod(widths)
    dmi = -D * np.sin(q * widths[axis]) / widths[axis] * bonds  # D m.curl m of this hand
    exchange = 2 * A * (1 - np.cos(q * widths[axis])) / widths[axis] ** 2 * bonds
    return abs(float(BulkDMIField().E(state)) / volume / dmi), float(ExchangeField().E(state)) / volume / exchange


WIDTHS = (2e-9, 1e-9, 4e-9)
for widths in ((2e-9, 2e-9, 2e-9), WIDTHS):
    for periodic in (False, True):
        for axis in range(3):
            dmi, exchange = helix(widths, axis, periodic)
            print(f"cells {[1e9 * w for w in widths]} nm, {'periodic' if periodic else 'open'} along {'xyz'[axis]}: DMI {dmi:.4f}, exchange {exchange:.4f} of the closed form")
            assert np.isclose(exchange, 1.0, rtol=1e-4)
            wrong = 2 * widths[axis] / (widths[0] + widths[axis]) if periodic else 1.0
            assert np.isclose(dmi, wrong, rtol=1e-4), "the behaviour has changed"
print("as stated: 2 d/(dx + d) of the DMI along periodic y and z")
PY
