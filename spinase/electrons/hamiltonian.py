"""The s-d Hamiltonian: built from a geometry once, then an operator for every set of spins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from spinase.electrons.flux import peierls_phases
from spinase.electrons.hopping import HoppingLaw
from spinase.electrons.operator import Density, SparsityPattern, SpinOperator
from spinase.electrons.spin_orbit import SpinHopping, SpinOrbitLaw, joined
from spinase.errors import InvalidGeometryError, ModelError
from spinase.geometry import Bonds, Geometry, stress_of
from spinase.spin_algebra import read_only
from spinase.typing import Array, ComplexArray, FloatArray, IntArray

PerSpecies = float | Mapping[int, float]


@dataclass(frozen=True, eq=False)
class SDHamiltonian:
    r"""s-d (double-exchange) Hamiltonian of electrons on sites with classical unit spins s_i.

    .. math:: H = -\sum_{i\ne j} t_{ij} e^{i\phi_{ij}} c^+_i c_j + \sum_i \epsilon_i c^+_i c_i
                  - \sum_i J_i\, s_i\cdot c^+_i\sigma c_i + \sum_i h\cdot c^+_i\sigma c_i

    and, with `spin_orbit`, :math:`-\sum_{i\ne j} e^{i\phi_{ij}} c^+_i (w_{ij}\cdot\sigma) c_j`,
    with t -> `hopping`, phi -> `flux`, epsilon -> `onsite`, J -> `coupling`, h -> `zeeman`, sigma the Pauli matrices
    (papers that write S.sigma/2 have twice this J).  It knows no temperature, no filling and no solver.

    An electron's angular momentum is hbar sigma/2 and its moment -mu_B sigma, those of a site -m/gamma and m = mu s: only so
    do the commutators of sigma and ds/dt = -gamma s x B conserve the sum.  So the Zeeman energy is +mu_B B.sigma, J > 0 sets
    the spins of electrons along s and their moments against it, and J is negative in ordinary ferromagnets (Hund's rule).
    Without a field, a flux and a bias the sign of J changes no energy, no field on the spins, and no force.

    Attributes
    ----------
    hopping : HoppingLaw
    coupling : float or {atomic number: float}
        J, energy; positive J aligns the spins of electrons with the moments (their moments are opposite), negative J is that
        of ordinary ferromagnets.  Non-magnetic sites (zero spin) do not couple.
    onsite : float, {atomic number: float} or array (N,)
        epsilon, energy.
    zeeman : (3,)
        h = mu_B B for g = 2, energy, on the electrons only; the moments' own Zeeman energy is another term.  In general
        h = (hbar gamma/2) B with the gamma of the unit system: B in ``metal`` units (eV/mu_B), B/2 in ``reduced`` ones.
    flux : float
        Flux quanta through the cell (first two cell vectors); a whole number if both directions are periodic.
    spin_orbit : sequence of SpinOrbitLaw
        Hopping that turns spins, w = i v in :mod:`spinase.electrons.spin_orbit`; their sum.
    """

    hopping: HoppingLaw
    coupling: PerSpecies
    onsite: PerSpecies | ArrayLike = 0.0
    zeeman: FloatArray = field(default_factory=lambda: np.zeros(3))
    flux: float = 0.0
    spin_orbit: Sequence[SpinOrbitLaw] = ()

    def __post_init__(self) -> None:
        """Parameters are copied: a later change of the caller's array or table is no change of the model."""
        for name in ("coupling", "onsite"):
            value = getattr(self, name)
            if isinstance(value, Mapping):
                object.__setattr__(self, name, dict(value))
            elif np.ndim(value):
                object.__setattr__(self, name, read_only(value))
        object.__setattr__(self, "zeeman", read_only(self.zeeman))
        object.__setattr__(self, "spin_orbit", tuple(self.spin_orbit))

    def onsite_energies(self, geometry: Geometry) -> FloatArray:
        """epsilon of every site (N,), energy; ModelError if the table does not fit the geometry."""
        return _per_site(self.onsite, geometry, "onsite")

    def orbitals_of(self, sites: IntArray) -> IntArray:
        """Numbers in the operator of what belongs to sites of a magnet: the sites themselves where each has one orbital."""
        return sites

    def broken_symmetries(self) -> set[str]:
        """Symmetries of an s-d model (see ``SpinCalculator.symmetries``) that fields, fluxes and spin-orbit hopping take."""
        broken: set[str] = set()
        if np.any(self.zeeman):
            broken |= {"spin_rotation", "time_reversal", "joint_rotation"}
        if self.flux:
            broken |= {"time_reversal", "translation"}  # moved sites see other fluxes through the loops around the torus
        if self.spin_orbit:
            broken |= {"spin_rotation", "lattice_rotation"}
            broken |= set() if all(law.turns for law in self.spin_orbit) else {"joint_rotation"}
            broken |= set() if all(law.reverses for law in self.spin_orbit) else {"time_reversal"}
        return broken

    def freeze(self, geometry: Geometry) -> FrozenHamiltonian:
        """Everything that depends on the geometry only.

        Raises
        ------
        InvalidGeometryError, ModelError
            If the hopping law or a per-site parameter does not fit the geometry, or there are no sites.
        """
        if not len(geometry):
            raise InvalidGeometryError(
                "a magnet without sites has no electrons and no levels to fill: add at least one site"
            )
        bonds, values, slopes, spin = self.hoppings(geometry)
        phase_factor: FloatArray | ComplexArray = np.ones(len(bonds))
        gradients = None
        if self.flux:
            phase, grad_first, grad_second = peierls_phases(geometry, bonds, self.flux)
            phase_factor, gradients = np.exp(1j * phase), (grad_first, grad_second)
        return FrozenHamiltonian(
            bonds=bonds,
            hopping=-values * phase_factor,
            hopping_slope=-slopes * phase_factor,
            phase_gradients=gradients,
            onsite=self.onsite_energies(geometry),
            coupling=_per_site(self.coupling, geometry, "coupling"),
            zeeman=self.zeeman,
            volume=geometry.volume,
            spin_hopping=None if spin is None else -spin.vectors * phase_factor[:, None],
            spin_slope=None if spin is None else -spin.gradients * phase_factor[:, None, None],
        )

    def hoppings(self, geometry: Geometry) -> tuple[Bonds, Array, FloatArray, SpinHopping | None]:
        """Bonds, t and dt/dr on each, energy(/length), and what turns spins, on the same bonds; without a flux."""
        bonds, values, slopes = self.hopping.amplitudes(geometry)
        if not self.spin_orbit:
            return bonds, values, slopes, None
        laws = [law.on(geometry) for law in self.spin_orbit]
        together, places = joined([bonds, *(law.bonds for law in laws)])
        count = len(together)
        scalar, slope = np.zeros(count, dtype=np.complex128), np.zeros(count)
        scalar[places[0]], slope[places[0]] = values, slopes
        vectors, gradients = np.zeros((count, 3), dtype=np.complex128), np.zeros((count, 3, 3), dtype=np.complex128)
        for law, place in zip(laws, places[1:], strict=True):
            scalar[place] += law.scalar
            vectors[place] += law.vectors
            gradients[place] += law.gradients
        amplitudes: Array = scalar if scalar.imag.any() else scalar.real
        return together, amplitudes, slope, SpinHopping(together, amplitudes, vectors, gradients)


@dataclass(frozen=True, eq=False)
class Gradients:
    """Derivatives of the free energy: what every solver's density contracts to.

    Attributes
    ----------
    spin : (N, 3)
        H_i = -dE/ds_i = J_i Tr[sigma rho_ii], energy.
    forces : (N, 3)
        -dE/dr_i, energy/length.
    virial : (3, 3)
        dE/d(strain), energy.
    """

    spin: FloatArray
    forces: FloatArray
    virial: FloatArray


@dataclass(frozen=True, eq=False)
class FrozenHamiltonian:
    """An :class:`SDHamiltonian` on a geometry: an operator for any spins, and the contraction with a density."""

    bonds: Bonds
    hopping: FloatArray | ComplexArray
    hopping_slope: FloatArray | ComplexArray
    phase_gradients: tuple[FloatArray, FloatArray] | None
    onsite: FloatArray
    coupling: FloatArray
    zeeman: FloatArray
    volume: float
    spin_hopping: ComplexArray | None = None
    spin_slope: ComplexArray | None = None

    def operator(self, spins: FloatArray) -> SpinOperator:
        """H for the unit spins (N, 3) (zero rows: non-magnetic sites)."""
        exchange = self.zeeman - self.coupling[:, None] * spins
        return SpinOperator(self.bonds, self.hopping, self.onsite, exchange, self.spin_hopping)

    @property
    def pattern(self) -> SparsityPattern:
        """Sites and bonds of its operators."""
        return SparsityPattern(len(self.onsite), self.bonds.first, self.bonds.second)

    @property
    def moves(self) -> bool:
        """Whether the operator depends on the positions at all (a shell law without flux does not)."""
        turning = self.spin_slope is not None and bool(np.any(self.spin_slope))
        return self.phase_gradients is not None or turning or bool(np.any(self.hopping_slope))

    def gather(self, values: FloatArray) -> FloatArray:
        """What belongs to the sites of the magnet, (N, ...), of values for the sites of the operator, (n, ...)."""
        return values

    def site_of(self) -> IntArray:
        """Site of the magnet that each site of the operator belongs to (n,): itself, where each has one orbital."""
        return np.arange(len(self.onsite))

    def spin_gradient(self, density: Density) -> FloatArray:
        """H_i = -dE/ds_i = J_i Tr[sigma rho_ii], energy, (N, 3)."""
        return self.spin_fields(density.spin)

    def spin_fields(self, spin: FloatArray) -> FloatArray:
        """H_i (N, 3), energy, of spin densities Tr[sigma rho] (n, 3) of the operator's sites: sums of J Tr[sigma rho]."""
        return self.gather(self.coupling[:, None] * spin)

    def contract(self, density: Density) -> Gradients:
        """dE = Re sum_k conj(rho_k) dH_k over the pattern: fields, forces and virial of any solver's density."""
        unit = self.bonds.vectors / self.bonds.distances[:, None]
        tension = 2.0 * (density.bond.conj() * self.hopping_slope).real
        pull = tension[:, None] * unit
        if self.spin_slope is not None:
            pull = pull + 2.0 * np.einsum("na,nac->nc", _spin_of(density).conj(), self.spin_slope).real
        forces = np.zeros((len(self.onsite), 3))
        np.add.at(forces, self.bonds.first, pull)
        np.add.at(forces, self.bonds.second, -pull)
        if self.phase_gradients is not None:
            twist = 2.0 * (density.bond.conj() * 1j * self.hopping).real[:, None]
            if self.spin_hopping is not None:
                twist -= 2.0 * np.sum(_spin_of(density).conj() * self.spin_hopping, axis=1).imag[:, None]
            np.add.at(forces, self.bonds.first, -twist * self.phase_gradients[0])
            np.add.at(forces, self.bonds.second, -twist * self.phase_gradients[1])
        virial = pull.T @ self.bonds.vectors
        if self.spin_slope is not None:  # pulls that are not along the bonds: a strain turns nothing
            virial = 0.5 * (virial + virial.T)
        return Gradients(self.spin_gradient(density), forces, virial)

    def stress(self, virial: FloatArray) -> FloatArray:
        """Voigt stress xx yy zz yz xz xy, energy/length^3, (1/V) dE/d(strain).

        Raises
        ------
        InvalidGeometryError
            If the cell has no volume.
        """
        return stress_of(virial, self.volume)


def _spin_of(density: Density) -> ComplexArray:
    if density.bond_spin is None:
        raise ModelError(
            "a solver gave no spin density of the bonds (Density.bond_spin), which forces of spin-orbit hopping need: its "
            "plans must not say that they take hopping that turns spins"
        )
    return density.bond_spin


def _per_site(value: PerSpecies | ArrayLike, geometry: Geometry, name: str) -> FloatArray:
    if isinstance(value, Mapping):
        missing = sorted({int(z) for z in geometry.numbers} - {int(z) for z in value})
        if missing:
            raise ModelError(f"{name} is given per species but has no entry for atomic number {missing[0]}")
        return np.array([float(value[int(z)]) for z in geometry.numbers])
    array = np.asarray(value, dtype=np.float64)
    if array.shape not in ((), (len(geometry),)):
        raise ModelError(
            f"{name} must be one number, a table by species, or {len(geometry)} numbers; got shape {array.shape}"
        )
    if not np.isfinite(array).all():
        raise ModelError(f"{name} must be finite, got {array}")
    return np.broadcast_to(array, (len(geometry),)).copy()
