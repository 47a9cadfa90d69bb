"""The s-d model as users write it: a Hamiltonian and an occupation in one object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from spinase.brief import call
from spinase.electrons.config import SDModelConfig
from spinase.electrons.hamiltonian import PerSpecies, SDHamiltonian
from spinase.electrons.hopping import HoppingLaw
from spinase.electrons.occupation import FixedChemicalPotential, FixedFilling, Occupation
from spinase.electrons.spin_orbit import SpinOrbitLaw
from spinase.errors import ModelError
from spinase.spin_algebra import as_numbers


class SDModel:
    """s-d / double-exchange model: electrons hopping on sites, exchange-coupled to classical spins.

    The Hamiltonian is that of :class:`~spinase.electrons.hamiltonian.SDHamiltonian`,
    H = -sum t c+c - J sum s.(c+ sigma c) + zeeman.sum (c+ sigma c) + ...

    Parameters
    ----------
    hopping : HoppingLaw
        t, energy: :class:`ShellHopping`, :class:`ExponentialHopping`, :class:`PowerLawHopping`, :class:`UserHopping`.
    coupling : float or {atomic number: float}
        J, energy: negative in ordinary ferromagnets, where electrons' moments are along s (their spins, sigma, against it).
    filling : float, optional
        Electrons per spin-orbital, 0..1 (fixed number; free energy F).
    chemical_potential : float, optional
        mu, energy (fixed mu; free energy Omega).  Give exactly one of the two.
    kT : float
        Electronic temperature, energy; 0 allowed.
    zeeman : (3,)
        Zeeman energy vector h of the electrons, H = +h.sigma, energy: mu_B B for g = 2 (B in ``metal`` units, B/2 in
        ``reduced`` ones, for the field B that acts on the moments).  Lattice leads feel it, too.
    onsite : float, {atomic number: float} or (N,)
        On-site energies.
    flux : float
        Flux quanta through the cell.
    spin_orbit : SpinOrbitLaw or sequence of them, optional
        Hopping that turns spins, beside `hopping`: :class:`~spinase.electrons.spin_orbit.RashbaHopping`,
        :class:`~spinase.electrons.spin_orbit.DresselhausHopping`, :class:`~spinase.electrons.spin_orbit.ChiralHopping`,
        :class:`~spinase.electrons.spin_orbit.TableHopping`; their sum.

    Raises
    ------
    ModelError
        On a parameter outside its range.
    """

    def __init__(
        self,
        hopping: HoppingLaw,
        coupling: PerSpecies,
        *,
        filling: float | None = None,
        chemical_potential: float | None = None,
        kT: float = 0.0,  # noqa: N803
        zeeman: ArrayLike = (0.0, 0.0, 0.0),
        onsite: PerSpecies | ArrayLike = 0.0,
        flux: float = 0.0,
        spin_orbit: SpinOrbitLaw | Sequence[SpinOrbitLaw] = (),
    ) -> None:
        if not isinstance(hopping, HoppingLaw):
            raise ModelError(f"hopping must be a hopping law such as ShellHopping([1.0]), got {hopping!r}")
        field = as_numbers(zeeman, "components of zeeman")
        if field.shape != (3,) or not np.isfinite(field).all():
            raise ModelError(f"zeeman must be a finite vector of three energies, got {zeeman!r}")
        for name, value in (("coupling", coupling), ("flux", flux)):
            numbers = list(value.values()) if isinstance(value, Mapping) else [value]
            if not np.isfinite(as_numbers(numbers, name)).all():
                raise ModelError(f"{name} must be finite, got {value!r}")
        laws = (spin_orbit,) if isinstance(spin_orbit, SpinOrbitLaw) else tuple(spin_orbit)
        for law in laws:
            if not isinstance(law, SpinOrbitLaw):
                raise ModelError(f"spin_orbit must be spin-orbit laws such as RashbaHopping([0.3]), got {law!r}")
        self.hamiltonian = SDHamiltonian(hopping, coupling, onsite, field, float(flux), laws)
        self.occupation = _occupation(filling, chemical_potential, kT)

    def __repr__(self) -> str:
        model = self.hamiltonian
        occupation = {name: value for name, value in vars(self.occupation).items() if name != "kT"}
        extra = {
            "zeeman": model.zeeman if model.zeeman.any() else None,
            "onsite": None if isinstance(model.onsite, float | int) and model.onsite == 0 else model.onsite,
            "flux": model.flux or None,
            "spin_orbit": list(model.spin_orbit) or None,
        }
        return call(
            type(self).__name__, model.hopping, coupling=model.coupling, **occupation, kT=self.occupation.kT, **extra
        )

    @classmethod
    def from_config(cls, config: SDModelConfig | Mapping[str, Any]) -> SDModel:
        """Build from a table of names and numbers (an input file, a model card, whose "style" of solver does not matter)."""
        if isinstance(config, Mapping):
            config = {key: value for key, value in config.items() if key != "style"}
        table = config if isinstance(config, SDModelConfig) else SDModelConfig.model_validate(config)
        return cls(
            table.hopping.build(),
            table.coupling,
            filling=table.filling,
            chemical_potential=table.chemical_potential,
            kT=table.kT,
            zeeman=table.zeeman,
            onsite=table.onsite,
            flux=table.flux,
            spin_orbit=[law.build() for law in table.spin_orbit],
        )

    def with_flux(self, flux: float) -> SDModel:
        """The same model with another number of flux quanta through the cell."""
        model = object.__new__(SDModel)
        model.hamiltonian = replace(self.hamiltonian, flux=flux)
        model.occupation = self.occupation
        return model


def _occupation(filling: float | None, chemical_potential: float | None, kT: float) -> Occupation:  # noqa: N803
    if (filling is None) == (chemical_potential is None):
        raise ModelError("give exactly one of filling (electrons per spin-orbital, 0..1) and chemical_potential (energy)")
    for name, value in (("kT", kT), ("filling", filling), ("chemical_potential", chemical_potential)):
        if isinstance(value, str):
            as_numbers(value, name)
    if filling is not None:
        return FixedFilling(kT, filling)
    assert chemical_potential is not None
    return FixedChemicalPotential(kT, chemical_potential)
