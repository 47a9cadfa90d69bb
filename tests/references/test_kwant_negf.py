"""Transmissions, shot noise and injected spin densities against numbers from kwant (made by kwant_negf.py)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from references.kwant_negf import LEFT, RIGHT, SIZE, spins

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.electrons import LatticeLead, SDHamiltonian, ShellHopping
from spinase.electrons.operator import SparsityPattern
from spinase.electrons.solvers.negf import Drive, NEGFSolver
from spinase.electrons.solvers.negf_noise import correlations

REFERENCE = json.loads((Path(__file__).parent / "kwant_negf.json").read_text())


def test_a_strip_between_ferromagnets() -> None:
    atoms = SpinAtoms.lattice("square", SIZE, units="reduced")
    atoms.pbc = False
    atoms.spins = spins(*SIZE)
    geometry, hopping = geometry_of(atoms), ShellHopping([1.0])
    operator = SDHamiltonian(hopping, 1.0).freeze(geometry).operator(atoms.spins)
    leads = [LatticeLead("left", exchange=LEFT), LatticeLead("right", exchange=RIGHT)]
    attached = [lead.attach(geometry, SDHamiltonian(hopping, 1.0), 0.0) for lead in leads]
    plan = NEGFSolver(attached, Drive(0.0, 0.1)).plan(SparsityPattern.of(operator))
    energies = np.array(REFERENCE["energies"])
    np.testing.assert_allclose(plan.transmission(operator, energies)[:, 0, 1], REFERENCE["transmission"], rtol=0, atol=1e-10)
    amplitudes = plan.device.scattering(operator, energies)
    mixed = [correlations(one, 2)[0, 0, 0, 1] for one in amplitudes]  # Tr[r+ t' t'+ r] = Tr[T (1 - T)]
    np.testing.assert_allclose(mixed, REFERENCE["shot_noise"], rtol=0, atol=1e-10)
    found = plan.device.inject(operator, energies, [0]).sites[:, 0]
    np.testing.assert_allclose(found[..., 0], REFERENCE["charge"], rtol=0, atol=1e-10)
    np.testing.assert_allclose(found[..., 1:], REFERENCE["spin"], rtol=0, atol=1e-10)
    assert np.abs(REFERENCE["spin"]).max() > 0.1
