"""Classical spin models as ASE calculators: exchange, DMI, biquadratic, anisotropies, Zeeman."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import ArrayLike
from pydantic import Field

from spinase.atoms import geometry_of, get_moments, get_reference_lengths
from spinase.brief import call
from spinase.calculators.base import SpinCalculator, per_moment
from spinase.calculators.options import PairConfig, PairTable, finite, number_of, pair_law, unit_vector
from spinase.classical import (
    Biquadratic,
    CubicAnisotropy,
    DzyaloshinskiiMoriya,
    Heisenberg,
    LocalModel,
    UniaxialAnisotropy,
    Zeeman,
)
from spinase.classical.local_energy import TermEnergy
from spinase.classical.terms import FrozenTerm, OfSpecies, PairTerm, Term
from spinase.contract import FieldFunction, LocalEnergy
from spinase.errors import ModelError
from spinase.geometry import Bonds, Geometry, stress_of
from spinase.law_tables import OptionTable
from spinase.pair_laws import ShellLaw
from spinase.radial import RadialLaw
from spinase.spin_algebra import as_numbers, has_length
from spinase.typing import BoolArray, FloatArray

_ALL = SpinCalculator.symmetries


def vars_of(term: Term) -> dict[str, Any]:
    """Parameters of a term, by name."""
    return {name: value for name, value in vars(term).items() if not name.startswith("_")}


class HeisenbergConfig(PairConfig):
    """Heisenberg exchange."""

    offset: bool = Field(False, description="count energies from the ferromagnet")


class DMIConfig(PairConfig):
    """Dzyaloshinskii-Moriya interaction."""

    normal: tuple[float, float, float] | None = Field(None, description="normal of an interfacial DMI; absent: bulk DMI")


class UniaxialConfig(OptionTable):
    """Uniaxial anisotropy."""

    strength: float = Field(description="K1 per site, positive: easy axis [energy]")
    fourth_order: float = Field(0.0, description="K2 per site [energy]")
    axis: tuple[float, float, float] = Field((0, 0, 1), description="axis")
    species: list[str] | None = Field(None, description="only on sites of these species; absent: all")


class CubicConfig(OptionTable):
    """Cubic anisotropy."""

    strength: float = Field(description="K1 per site, positive: cube axes easy [energy]")
    sixth_order: float = Field(0.0, description="K2 per site [energy]")
    axes: tuple[tuple[float, float, float], ...] | None = Field(None, description="orthogonal cube axes; default x, y, z")
    species: list[str] | None = Field(None, description="only on sites of these species; absent: all")


class ZeemanConfig(OptionTable):
    """Uniform magnetic field on the moments."""

    field: tuple[float, float, float] = Field(description='B (metal: eV/mu_B, or "0 0 5 T") [energy/moment]')


class TermCalculator(SpinCalculator[FrozenTerm, None]):
    """Calculator of one classical term; the subclasses below build the term.

    Parameters
    ----------
    term : Term
        The energy term.
    units : str, optional
        Unit system of its parameters; default: whatever the atoms are in.
    species : sequence of str, optional
        Chemical symbols of the sites it acts among; default: all.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress", "magnetic_forces", "torques"]

    def __init__(self, term: Term, *, units: str | None = None, species: Sequence[str] | None = None) -> None:
        super().__init__()
        self._term = term if species is None else OfSpecies(term, tuple(number_of(symbol) for symbol in species))
        self.units = units
        self._geometry: Geometry | None = None  # that the term was frozen on
        self._sites: BoolArray | None = None  # with a moment, when the term was frozen

    def __repr__(self) -> str:
        own = self._term
        if not isinstance(own, OfSpecies):
            return call(type(self).__name__, **vars_of(own), units=self.units)
        species = [chemical_symbols[number] for number in own.numbers]
        return call(type(self).__name__, **vars_of(own.term), species=species, units=self.units)

    @property
    def term(self) -> Term:
        """The energy term (fixed: build another calculator for another one)."""
        return self._term

    def freeze(self, geometry: Geometry) -> FrozenTerm:
        """The term's neighbour lists; shells are those of the magnetic sites."""
        self._geometry = geometry
        return self._term.freeze(geometry.with_magnetic(self._sites))

    def field_function(self, atoms: Atoms, lengths: FloatArray | None = None) -> FieldFunction:
        """B(spins) at the present positions (see ``contract.FastFields``)."""
        self._look_at_sites(atoms)
        return super().field_function(atoms, lengths)

    def _calculate(self, atoms: Atoms, names: list[str], system_changes: list[str]) -> None:
        self._look_at_sites(atoms)
        super()._calculate(atoms, names, system_changes)

    def _look_at_sites(self, atoms: Atoms) -> None:
        """Where other sites have moments than before, there are other shells."""
        reference = get_reference_lengths(atoms)
        sites = has_length(get_moments(atoms)) if reference is None else np.asarray(reference > 0.0)
        if self._sites is None or sites.tobytes() != self._sites.tobytes():
            self._sites, self._frozen, self._state = sites, None, None

    def solve(self, frozen: FrozenTerm, spins: FloatArray, lengths: FloatArray) -> None:
        """Nothing to solve: every result is a closed formula of the spins."""

    def local_model(self, atoms: Atoms, lengths: FloatArray) -> LocalModel | None:
        """The term as sums over sites and pairs, for Monte Carlo sampling; None if it is no such sum."""
        self.field_function(atoms, lengths)
        assert self._frozen is not None
        return self._frozen.local_model(lengths)

    def joined_pairs(self, atoms: Atoms) -> list[Bonds]:
        """Bonds of each of the term's laws of pairs."""
        self._look_at_sites(atoms)
        geometry, own = geometry_of(atoms).with_magnetic(self._sites), self._term
        term, chosen = own, np.ones(len(atoms), dtype=bool)
        if isinstance(own, OfSpecies):
            term, chosen = own.term, np.isin(geometry.numbers, own.numbers)
        bonds = [law.amplitudes(geometry)[0] for law in term.laws()] if isinstance(term, PairTerm) else []
        return [one.select(chosen[one.first] & chosen[one.second]) for one in bonds]

    def local_energy(self, geometry: Geometry | None = None) -> LocalEnergy:
        """The term for given pairs (see ``contract.local_energy``).

        Raises
        ------
        ModelError
            If the term is no sum over sites and pairs within a cutoff, or its neighbour shells need the geometry.
        """
        return TermEnergy(type(self).__name__, self._term.local(geometry), self.units)

    def derive(self, name: str, frozen: FrozenTerm, state: None, spins: FloatArray, lengths: FloatArray) -> Any:
        """One result of the term."""
        if name == "magnetic_forces":
            return per_moment(frozen.gradient(spins, lengths), lengths)
        if name in ("energy", "free_energy"):
            return frozen.energy(spins, lengths)
        forces, virial = frozen.lattice(spins, lengths)
        if name == "forces":
            return forces
        # Strains are symmetric; spins stay put, so an energy that couples them to the lattice has a virial that is not.
        assert self._geometry is not None
        return stress_of(0.5 * (virial + virial.T), self._geometry.volume)


class HeisenbergCalculator(TermCalculator):
    """Heisenberg exchange, E = -sum_{i<j} J_ij s_i.s_j (each pair once; J > 0 ferromagnetic).

    Parameters
    ----------
    shells : sequence of float or ShellLaw, optional
        J_1, J_2, ... by neighbour shell of the magnetic sites, energy; no forces on atoms.  A
        :class:`~spinase.pair_laws.ShellLaw` also says the shells' distances, or their width.
    law : RadialLaw, optional
        J(r), energy, with its derivative: gives forces and stress.
    pairs : mapping, optional
        A table by species, ``{"Fe-Co": [J_1, ...] or RadialLaw}``; pairs that are not in it do not couple, shells are those
        of such pairs.  Give exactly one of the three.
    offset : bool
        Count energies from the ferromagnet, E = -sum J (s_i.s_j - 1), so that parallel spins exert no forces on atoms.
    species : sequence of str, optional
        Only among sites of these species; others make no shells.
    units : str, optional
        Unit system of J.
    """

    Config = HeisenbergConfig
    citation = "W. Heisenberg, Z. Phys. 49, 619 (1928), doi:10.1007/BF01328601"

    def __init__(
        self,
        shells: Sequence[float] | ShellLaw | None = None,
        law: RadialLaw | None = None,
        pairs: PairTable | None = None,
        *,
        offset: bool = False,
        units: str | None = None,
        species: Sequence[str] | None = None,
    ) -> None:
        super().__init__(Heisenberg(pair_law(shells, law, pairs, species), offset), units=units, species=species)

    @classmethod
    def from_config(cls, config: PairConfig) -> HeisenbergCalculator:
        """Calculator from the table of an input file."""
        assert isinstance(config, HeisenbergConfig)
        return cls(**config.laws(), offset=config.offset)


class BiquadraticCalculator(TermCalculator):
    """Biquadratic exchange, E = -sum_{i<j} K_ij (s_i.s_j)^2 (K > 0: collinear); parameters as for Heisenberg exchange."""

    Config = PairConfig
    citation = "N. S. Fedorova et al., Phys. Rev. B 91, 165122 (2015), doi:10.1103/PhysRevB.91.165122"

    def __init__(
        self,
        shells: Sequence[float] | ShellLaw | None = None,
        law: RadialLaw | None = None,
        pairs: PairTable | None = None,
        *,
        units: str | None = None,
        species: Sequence[str] | None = None,
    ) -> None:
        super().__init__(Biquadratic(pair_law(shells, law, pairs, species)), units=units, species=species)

    @classmethod
    def from_config(cls, config: PairConfig) -> BiquadraticCalculator:
        """Calculator from the table of an input file."""
        return cls(**config.laws())


class DMICalculator(TermCalculator):
    """Dzyaloshinskii-Moriya interaction, E = -sum_{i<j} D_ij.(s_i x s_j), D_ij = D e_ij or D n x e_ij.

    Parameters
    ----------
    shells, law, pairs
        D by neighbour shell, by distance or by pair of species, energy, as for Heisenberg exchange.
    normal : (3,), optional
        Normal n of an interfacial DMI; default: bulk DMI along the bonds e_ij.
    units : str, optional
        Unit system of D.
    """

    Config = DMIConfig
    citation = "T. Moriya, Phys. Rev. 120, 91 (1960), doi:10.1103/PhysRev.120.91"

    def __init__(
        self,
        shells: Sequence[float] | ShellLaw | None = None,
        law: RadialLaw | None = None,
        normal: ArrayLike | None = None,
        pairs: PairTable | None = None,
        *,
        units: str | None = None,
        species: Sequence[str] | None = None,
    ) -> None:
        direction = None if normal is None else unit_vector(normal, "normal")
        super().__init__(
            DzyaloshinskiiMoriya(pair_law(shells, law, pairs, species), direction), units=units, species=species
        )
        broken = {"spin_rotation", "lattice_rotation"} | (set() if normal is None else {"joint_rotation"})
        self.symmetries = _ALL - broken

    @classmethod
    def from_config(cls, config: DMIConfig) -> DMICalculator:
        """Calculator from the table of an input file."""
        return cls(**config.laws(), normal=config.normal)


class UniaxialAnisotropyCalculator(TermCalculator):
    """Uniaxial anisotropy, E = -sum [K1 (s.n)^2 + K2 (s.n)^4] (K1 > 0: easy axis).

    Axes that differ from site to site: :class:`~spinase.calculators.SiteAnisotropyCalculator`.

    Parameters
    ----------
    strength : float
        K1 per site, energy.
    axis : (3,)
        Direction n (normalized here).
    fourth_order : float
        K2 per site, energy.  K1' sin^2 + K2' sin^4 of the angle to n is K1 = K1' + 2 K2' and K2 = -K2'.
    units : str, optional
        Unit system of K1 and K2.
    """

    Config = UniaxialConfig
    citation = "L. D. Landau and E. M. Lifshitz, Electrodynamics of Continuous Media, sec. 40"
    symmetries = _ALL - {"spin_rotation", "joint_rotation"}

    def __init__(
        self,
        strength: float,
        axis: ArrayLike = (0, 0, 1),
        *,
        fourth_order: float = 0.0,
        units: str | None = None,
        species: Sequence[str] | None = None,
    ) -> None:
        constants = finite(strength, "strength"), finite(fourth_order, "fourth_order")
        term = UniaxialAnisotropy(constants[0], unit_vector(axis, "axis"), constants[1])
        super().__init__(term, units=units, species=species)

    @classmethod
    def from_config(cls, config: UniaxialConfig) -> UniaxialAnisotropyCalculator:
        """Calculator from the table of an input file."""
        return cls(config.strength, config.axis, fourth_order=config.fourth_order, species=config.species)


class CubicAnisotropyCalculator(TermCalculator):
    """Cubic anisotropy, E = sum K1 (sx^2 sy^2 + sy^2 sz^2 + sz^2 sx^2) + K2 sx^2 sy^2 sz^2 (K1 > 0: cube axes easy).

    Parameters
    ----------
    strength : float
        K1 per site, energy.
    axes : (3, 3), optional
        Orthogonal rows, the cube axes (normalized here); default x, y, z.
    sixth_order : float
        K2 per site, energy.
    units : str, optional
        Unit system of K1 and K2.
    """

    Config = CubicConfig
    citation = "L. D. Landau and E. M. Lifshitz, Electrodynamics of Continuous Media, sec. 40"
    symmetries = _ALL - {"spin_rotation", "joint_rotation"}

    def __init__(
        self,
        strength: float,
        axes: ArrayLike | None = None,
        *,
        sixth_order: float = 0.0,
        units: str | None = None,
        species: Sequence[str] | None = None,
    ) -> None:
        frame = np.eye(3) if axes is None else np.array([unit_vector(axis, "cube axis") for axis in np.asarray(axes)])
        if frame.shape != (3, 3) or not np.allclose(frame @ frame.T, np.eye(3), atol=1e-9):
            raise ModelError(f"cube axes must be three orthogonal vectors, got {axes!r}")
        term = CubicAnisotropy(finite(strength, "strength"), frame, finite(sixth_order, "sixth_order"))
        super().__init__(term, units=units, species=species)

    @classmethod
    def from_config(cls, config: CubicConfig) -> CubicAnisotropyCalculator:
        """Calculator from the table of an input file."""
        return cls(config.strength, config.axes, sixth_order=config.sixth_order, species=config.species)


class ZeemanCalculator(TermCalculator):
    """Zeeman energy of the moments, E = -sum m_i.B.

    Parameters
    ----------
    field : (3,)
        B, energy/moment (metal: eV/mu_B; one tesla is ``spinase.units.METAL.tesla``).
    units : str, optional
        Unit system of B.
    """

    Config = ZeemanConfig
    citation = "P. Zeeman, Nature 55, 347 (1897), doi:10.1038/055347a0"
    symmetries = _ALL - {"spin_rotation", "joint_rotation", "time_reversal"}

    def __init__(self, field: ArrayLike, *, units: str | None = None) -> None:
        value = as_numbers(field, "components of the Zeeman field")
        if value.shape != (3,) or not np.isfinite(value).all():
            raise ModelError(f"a Zeeman field must be a finite vector of three numbers, got {field!r}")
        super().__init__(Zeeman(value), units=units)

    @classmethod
    def from_config(cls, config: ZeemanConfig) -> ZeemanCalculator:
        """Calculator from the table of an input file."""
        return cls(config.field)
