"""The staggered magnetization of states where it is known."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from spinase_template import StaggeredMagnetization
from spinase_template.staggered import StaggeredConfig

from spinase import SpinAtoms

NEEL = (np.pi, np.pi, 0.0)


@pytest.fixture
def neel() -> SpinAtoms:
    """Two-sublattice order of the square lattice along a tilted direction."""
    atoms = SpinAtoms.lattice("square", (4, 6))
    signs = (-1.0) ** np.rint(atoms.positions.sum(axis=1))
    atoms.spins = signs[:, None] * [1.0, 2.0, -2.0]
    return atoms


def test_neel_order(neel):
    assert StaggeredMagnetization(NEEL).observe(neel) == {"m_q": pytest.approx(1.0)}
    assert StaggeredMagnetization((0.0, 0.0, 0.0)).observe(neel)["m_q"] == pytest.approx(0.0, abs=1e-14)


def test_a_ferromagnet_has_its_weight_at_zero():
    atoms = SpinAtoms.lattice("square", (4, 4))
    assert StaggeredMagnetization(NEEL).observe(atoms)["m_q"] == pytest.approx(0.0, abs=1e-14)
    assert StaggeredMagnetization((0, 0, 0)).observe(atoms)["m_q"] == pytest.approx(1.0)


def test_a_spiral_splits_between_q_and_minus_q():
    """s = cos(qx) x + sin(qx) y = Re[(x - i y) exp(iqx)]: the component at q has length 1/sqrt(2)."""
    atoms = SpinAtoms.lattice("chain", (8,), texture="spiral", wavevector=(1, 0, 0))
    assert StaggeredMagnetization((2 * np.pi / 8, 0, 0)).observe(atoms)["m_q"] == pytest.approx(np.sqrt(0.5))


def test_lengths_of_moments_do_not_matter(neel):
    neel.moments = 2.5 * neel.moments
    assert StaggeredMagnetization(NEEL).observe(neel)["m_q"] == pytest.approx(1.0)


def test_from_config_and_its_static_array(neel):
    observer = StaggeredMagnetization.from_config(StaggeredConfig(wavevector=NEEL))
    assert observer.prepare(neel)["q"].tolist() == list(NEEL)
    assert set(observer.observe(neel)) == set(observer.quantities)


def test_bad_wavevectors_are_refused():
    with pytest.raises(ValueError, match="three finite numbers"):
        StaggeredMagnetization((0.0, 1.0))  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="wavevector"):
        StaggeredConfig(wavevector=(1.0, 2.0))
    with pytest.raises(ValidationError, match="wavevektor"):
        StaggeredConfig(wavevector=NEEL, wavevektor=1)
