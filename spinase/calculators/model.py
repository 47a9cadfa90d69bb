"""Learned magnets of any model file: its card names the trunk and the readout."""

from __future__ import annotations

from spinase.calculators.learned import LearnedCalculator


class ModelCalculator(LearnedCalculator):
    """A model file's ensemble, whatever its networks are (``spinase styles models``) and whatever their parts mean.

    An energy, a grand potential of electrons, or two potentials of a driven device: the card of the file tells.  Compiled
    loops are used where there are some for its trunk.  Parameters, results and errors are those of
    :class:`~spinase.calculators.learned.LearnedCalculator`; :class:`~spinase.calculators.HIPNNCalculator` and
    :class:`~spinase.calculators.LatticeCalculator` are the same with the options of their networks.
    """


__all__ = ["ModelCalculator"]
