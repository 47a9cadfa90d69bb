"""Strips with spin-orbit hopping in device and leads, of one and of three orbitals, against numbers from kwant."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from references.kwant_negf import spins
from references.kwant_spin_orbit import COUPLING, LEFT, RIGHT, SIZE, p_orbitals

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.electrons import LatticeLead, OrbitalModel, OrbitalTable, RashbaHopping, SDModel, ShellHopping
from spinase.electrons.operator import SparsityPattern
from spinase.electrons.solvers.negf import Drive, NEGFSolver
from spinase.io.tight_binding import magnet_of

REFERENCE = json.loads((Path(__file__).parent / "kwant_spin_orbit.json").read_text())


def strip(name: str) -> tuple[SpinAtoms, SDModel]:
    """The magnet and its electrons."""
    if name == "rashba":
        atoms = SpinAtoms.lattice("square", SIZE, units="reduced")
        atoms.pbc = False
        atoms.spins = spins(*SIZE)
        return atoms, SDModel(ShellHopping([1.0]), COUPLING, chemical_potential=0.0, spin_orbit=RashbaHopping([0.3]))
    matrices = {cell: one.reshape(3, 2, 3, 2) for cell, one in p_orbitals().items()}
    table = OrbitalTable.of(np.eye(3), [[0, 0, 0]], [0, 0, 0], matrices).repeat((*SIZE, 1)).cut(0).cut(1)
    return magnet_of(table, "Fe", spins(*SIZE), units="reduced"), OrbitalModel(table, COUPLING, chemical_potential=0.0)


@pytest.mark.parametrize("name", ["rashba", "p_orbitals"])
def test_a_strip_whose_leads_turn_spins(name: str) -> None:
    """Transmission, injected spin; the torque on all moments is the slope of S by their angle, and what they pump."""
    atoms, model = strip(name)
    geometry = geometry_of(atoms)
    frozen = model.hamiltonian.freeze(geometry)
    operator = frozen.operator(atoms.spins)
    ends = [
        LatticeLead(side, exchange=COUPLING * np.array(axis), spin_orbit=True)
        for side, axis in zip(("left", "right"), (LEFT, RIGHT), strict=True)
    ]
    plan = NEGFSolver([lead.attach(geometry, model.hamiltonian, 0.0) for lead in ends], Drive(0.0, 0.1)).plan(
        SparsityPattern.of(operator)
    )
    energies, table = np.array(REFERENCE["energies"]), REFERENCE[name]
    expected = [one["transmission"] for one in table]
    np.testing.assert_allclose(plan.transmission(operator, energies)[:, 0, 1], expected, rtol=0, atol=1e-9)
    orbitals = plan.device.inject(operator, energies, [0]).sites[:, 0, :, 1:]
    injected = orbitals.reshape(len(energies), len(atoms), -1, 3).sum(axis=2)
    np.testing.assert_allclose(injected, [one["spin"] for one in table], rtol=0, atol=1e-9)
    torques = np.cross(atoms.spins, COUPLING * injected).sum(axis=1)[:, 1]
    for way in ("torque", "pumped"):
        np.testing.assert_allclose(torques, [one[way] for one in table], rtol=0, atol=1e-5)
    assert np.abs(torques).max() > 0.5
