"""Clean devices carry whole numbers of channels at every energy: those counted from the Bloch bands of their leads."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import pytest
from references.bloch_channels import Bands

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.electrons import LatticeLead, SDHamiltonian, ShellHopping
from spinase.electrons.operator import SparsityPattern, SpinOperator
from spinase.electrons.solvers.negf import Drive, NEGFSolver

ROOT3 = float(np.sqrt(3.0))
FERRO = (0.3, 0.2, 0.5)


@dataclass(frozen=True)
class Strip:
    """An open strip: lattice, size, hopping by distance, layers of the lead's cell, its axis, its exchange, its period."""

    lattice: str
    size: tuple[int, ...]
    period: tuple[float, float, float]
    amplitudes: tuple[float, ...] = (1.0,)
    distances: tuple[float, ...] = (1.0,)
    layers: int = 1
    axis: int = 0
    exchange: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def solver(self) -> tuple[NEGFSolver, SpinOperator, Bands]:
        atoms = SpinAtoms.lattice(self.lattice, self.size, units="reduced")
        atoms.pbc = False
        geometry, hopping = geometry_of(atoms), ShellHopping(list(self.amplitudes), list(self.distances))
        hamiltonian = SDHamiltonian(hopping, 0.0, zeeman=-np.array(self.exchange))  # clean: the leads take it, too
        leads = [LatticeLead(side, layers=self.layers, axis=self.axis) for side in ("left", "right")]
        attached = [lead.attach(geometry, hamiltonian, 0.0) for lead in leads]
        bands = Bands(attached[1].places, np.array(self.period), dict(zip(self.distances, self.amplitudes, strict=True)))
        operator = hamiltonian.freeze(geometry).operator(np.zeros((len(atoms), 3)))
        return NEGFSolver(attached, Drive(0.0, 0.05)), operator, bands


STRIPS = {
    "square": Strip("square", (4, 5), (1.0, 0.0, 0.0)),
    "square, ferromagnet": Strip("square", (4, 4), (1.0, 0.0, 0.0), exchange=FERRO),
    "square, second neighbours": Strip("square", (4, 4), (1.0, 0.0, 0.0), (1.0, 0.4), (1.0, np.sqrt(2.0))),
    "triangular": Strip("triangular", (4, 4), (1.0, 0.0, 0.0)),
    "triangular, wide": Strip("triangular", (4, 7), (1.0, 0.0, 0.0)),
    "triangular, along the other axis": Strip("triangular", (4, 5), (0.5, 0.5 * ROOT3, 0.0), axis=1),
    "triangular, ferromagnet": Strip("triangular", (4, 3), (1.0, 0.0, 0.0), exchange=FERRO),
    "chain, three neighbours": Strip("chain", (9,), (3.0, 0.0, 0.0), (1.0, 0.5, -0.7), (1.0, 2.0, 3.0), layers=3),
    "chain, third neighbours": Strip("chain", (9,), (3.0, 0.0, 0.0), (1.0, 0.0, 0.9), (1.0, 2.0, 3.0), layers=3),
    "honeycomb": Strip("honeycomb", (3, 3), (ROOT3, 0.0, 0.0), layers=2),
    "honeycomb, ferromagnet": Strip("honeycomb", (3, 2), (ROOT3, 0.0, 0.0), layers=2, exchange=FERRO),
    "kagome, flat bands": Strip("kagome", (3, 2), (2.0, 0.0, 0.0), layers=2),
}


def sweep(strip: Strip, energies: int) -> None:
    solver, operator, bands = strip.solver()
    low, high = float(bands.levels.min()) - 0.8, float(bands.levels.max()) + 0.8
    drawn = np.random.default_rng(zlib.crc32(repr(strip).encode())).uniform(low, high, energies)
    splitting = float(np.linalg.norm(strip.exchange))
    points = np.concatenate([drawn, np.round(drawn[: energies // 5], 1)])  # symmetric energies, where levels coincide
    clear = bands.countable(points - splitting) & bands.countable(points + splitting)
    assert clear[:energies].mean() > 0.97
    expected = (bands.channels(points - splitting) + bands.channels(points + splitting))[clear]
    passed = solver.plan(SparsityPattern.of(operator)).transmission(operator, points[clear])
    np.testing.assert_allclose(passed[:, 0, 1], expected, rtol=0, atol=1e-8)
    np.testing.assert_allclose(passed[:, 1, 0], expected, rtol=0, atol=1e-8)
    assert len(set(expected.tolist())) > 2
    for lead in solver.terminals.leads:
        assert [lead.sources(float(e)).shape[1] for e in points[clear]] == expected.tolist()


@pytest.mark.parametrize("name", STRIPS)
def test_transmissions_are_the_channels_of_the_bands(name: str) -> None:
    sweep(STRIPS[name], 130)


@pytest.mark.slow
@pytest.mark.parametrize("name", STRIPS)
def test_transmissions_are_the_channels_of_the_bands_at_many_energies(name: str) -> None:
    sweep(STRIPS[name], 1500)


def test_energies_at_which_decimation_failed() -> None:
    """There 1.3e13 channels, and an error; next to them all is well."""
    solver, operator, bands = STRIPS["triangular"].solver()
    energies = np.array([-1.5444486, 0.65746, 1.0])
    expected = 2 * bands.channels(energies)
    assert expected[0] == 4
    np.testing.assert_allclose(
        solver.plan(SparsityPattern.of(operator)).transmission(operator, energies)[:, 0, 1], expected, rtol=0, atol=1e-9
    )


@pytest.mark.parametrize("name", ["square", "triangular, wide", "honeycomb", "kagome, flat bands"])
def test_at_the_edges_of_bands_channels_are_whole_as_well(name: str) -> None:
    """A channel is open or closed there, not in part; the edges of these strips at E = -2, -1, ..., 3 are exact."""
    solver, operator, _ = STRIPS[name].solver()
    energies = np.array([-2.0, -1.0, 0.0, 1.0, 2.0, 3.0])
    shifts = np.array([0.0, 1e-15, -1e-14, 1e-13, -1e-12, 1e-11, -1e-10, 1e-9])
    passed = solver.plan(SparsityPattern.of(operator)).transmission(operator, np.add.outer(energies, shifts).ravel())[
        :, 0, 1
    ]
    np.testing.assert_allclose(passed, np.round(passed), rtol=0, atol=1e-6)
    assert len(set(np.round(passed))) > 1
