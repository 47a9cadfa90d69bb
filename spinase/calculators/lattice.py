"""Learned magnets on a clean lattice: Behler-Parrinello networks on symmetry-adapted descriptors."""

from __future__ import annotations

from spinase.calculators.learned import LearnedCalculator


class LatticeCalculator(LearnedCalculator):
    """A model file's ensemble of networks on a lattice (:mod:`spinase.learning.lattice`).

    The lattice is that of the training, in any cell, orientation and order of the sites; other lattices, missing sites,
    surfaces and strain are refused.  There are no forces.  Parameters, results and errors are those of
    :class:`~spinase.calculators.learned.LearnedCalculator`.
    """

    citation = "P. Zhang, P. Saha, G.-W. Chern, arXiv:2105.08221; arXiv:2501.06171"


__all__ = ["LatticeCalculator"]
