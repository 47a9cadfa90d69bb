"""Learned magnets of magnetic HIP-NN networks, those trained in hippynn itself included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from spinase.calculators.learned import LearnedCalculator
from spinase.calculators.negf_options import Bias
from spinase.learning.card import ModelCard
from spinase.learning.ensemble import EVALUATORS
from spinase.learning.evaluator import Precision
from spinase.learning.hippynn.files import networks_from_hippynn
from spinase.learning.mhipnn.network import NetworkConfig
from spinase.learning.torch_evaluator import TorchEvaluator
from spinase.learning.trunk import Trunk
from spinase.learning.trust.domain import Domain
from spinase.learning.trust.watch import OutsideDomain


class HIPNNCalculator(LearnedCalculator):
    """A model file's ensemble: energies, fields, forces and stress are those of the mean energy of its networks.

    What depends on the geometry only is kept while atoms stay.  Single precision on the CPU uses compiled loops for energies
    and fields; forces and stress, double precision and other devices use torch.  The same question has the same answer to
    the last bit, whatever was asked before.

    Models of electrons know how energies depend on the chemical potential, see :mod:`spinase.learning.grand_potential`: at a
    fixed filling they find it for every configuration (result ``chemical_potential``), and their energy is the free energy
    F; at a fixed chemical potential it is Omega.

    A model that was trained on fields alone has no forces and no stress: what its energy does when atoms move was never
    compared with anything.  Its energy is defined up to a constant of each arrangement of atoms.

    Every geometry is held against what the model's card says of the training (:mod:`spinase.learning.trust.domain`).

    Parameters
    ----------
    model : path, name, or (networks, card)
        Model file, or name of a model that comes with the package (``spinase models``), or networks with their card.
    device : str
        Torch device.
    dtype : str
        ``"float32"`` or ``"float64"``.
    engine : bool
        Use compiled loops where they do; else plain torch always.
    filling : float, optional
        Electrons per spin-orbital, for models of electrons; default: that of their teacher.
    chemical_potential : float, optional
        A fixed chemical potential instead, energy.
    outside_domain : {"warn", "error", "ignore"}
        What to do with magnets unlike those of the training.  "warn": one OutOfDomainWarning of each kind, but an error
        where sites are closer than any trained, and for fillings and chemical potentials that were not trained; "error":
        always an error; "ignore": nothing, for those who measure how wrong it is.
    bias : float or function of time, optional
        Bias between the leads, energy, for driven models of biases.

    Raises
    ------
    ModelFileError, ModelError, OutOfDomainError
        As :class:`~spinase.calculators.learned.LearnedCalculator`.
    """

    citation = (
        "N. Lubbers, J. S. Smith, K. Barros, J. Chem. Phys. 148, 241715 (2018), doi:10.1063/1.5011181; arXiv:2606.10349"
    )

    def __init__(
        self,
        model: str | Path | tuple[Sequence[Trunk], ModelCard],
        device: str = "cpu",
        dtype: Precision = "float32",
        engine: bool = True,
        filling: float | None = None,
        chemical_potential: float | None = None,
        outside_domain: OutsideDomain = "warn",
        bias: Bias | None = None,
    ) -> None:
        evaluators = EVALUATORS if engine else (TorchEvaluator,)
        super().__init__(model, device, dtype, filling, chemical_potential, outside_domain, evaluators, bias)

    @classmethod
    def from_hippynn(
        cls,
        source: Any,
        *,
        network: NetworkConfig | Mapping[str, Any] | None = None,
        units: str | None = None,
        unit_spins: bool | None = None,
        energy_scale: float | None = None,
        energy_shift: float | None = None,
        trust_pickle: bool = False,
        domain: Domain | None = None,
        device: str = "cpu",
        dtype: Precision = "float32",
        outside_domain: OutsideDomain = "warn",
    ) -> HIPNNCalculator:
        """Calculator of a network trained in hippynn with ``spinase.learning.hippynn.adapter.magnet_graph``.

        `source` is hippynn's GraphModule or Predictor, or the directory its trainer wrote; the other parameters say what
        that does not, see :func:`~spinase.learning.hippynn.files.networks_from_hippynn`.  hippynn's files do not tell
        what the training looked like: `domain` (``Domain.from_geometries([geometry_of(atoms), ...], cutoff)``) does,
        else a warning says that nothing is checked.

        Parameters
        ----------
        source : GraphModule, Predictor, str or Path
            The trained network, or the directory of its training.
        network : NetworkConfig or mapping, optional
            Its size and species.
        units : str, optional
            Unit system of its distances.
        unit_spins : bool, optional
            Whether it was trained on unit vectors (else on moments).
        energy_scale, energy_shift : float, optional
            Energies are scale times those of the network plus a shift for each site, energy.
        trust_pickle : bool
            Whether files of hippynn may be unpickled: they can run any code.
        domain : Domain, optional
            What its training looked like.
        device : str
            Of torch.
        dtype : str
            ``float32`` or ``float64``.
        outside_domain : str
            ``warn``, ``error`` or ``ignore``.

        Raises
        ------
        ModelFileError
            For what is missing, each with what to do; for pickles without ``trust_pickle=True``.
        """
        networks, card = networks_from_hippynn(
            source,
            network=network,
            units=units,
            unit_spins=unit_spins,
            energy_scale=energy_scale,
            energy_shift=energy_shift,
            trust_pickle=trust_pickle,
        )
        if domain is not None:
            card = replace(card, notes={**card.notes, "domain": domain.to_table()})
        calc = cls((networks, card), device=device, dtype=dtype, outside_domain=outside_domain)
        calc.watch.must_tell = True
        return calc


__all__ = ["HIPNNCalculator"]
