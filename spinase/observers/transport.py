"""Observers of driven magnets: currents through the leads and over the sites, domain walls, growing phases."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from ase import Atoms
from pydantic import Field

from spinase.analysis.domains import NeighbourShells, follow_shells, neighbour_shells
from spinase.analysis.walls import domain_wall, grown_phase
from spinase.atoms import get_units
from spinase.contract import calculator_of, gives, members_of
from spinase.errors import ModelError
from spinase.observers.base import Arrays, NoOptions, OfSites
from spinase.quantities import Quantity
from spinase.typing import FloatArray

_NEEDED = "lead_currents"


class DomainWallConfig(NoOptions):
    """Domain wall."""

    axis: int = Field(0, ge=0, le=2, description="Cartesian axis across the wall")
    easy: tuple[float, float, float] = Field((0, 0, 1), description="direction along which the domains point")


class GrownPhaseConfig(NoOptions):
    """Ferromagnetic phase growing from an electrode."""

    axis: int = Field(0, ge=0, le=2, description="Cartesian axis between the electrodes")
    side: Literal["left", "right"] = Field("left", description="electrode from which the interface is measured")
    threshold: float = Field(0.5, ge=-1, le=1, description="mean s_i.s_j with the neighbours above which a site belongs [1]")


class CurrentsObserver:
    """Electrons that enter from each lead per time, the bias, and the current through every site."""

    Config = NoOptions
    name = "currents"
    citation: ClassVar[str] = "Y. Meir, N. S. Wingreen, Phys. Rev. Lett. 68, 2512 (1992), doi:10.1103/PhysRevLett.68.2512"

    def __init__(self) -> None:
        self.quantities: dict[str, Quantity] = {}
        self._names: list[str] = []

    @classmethod
    def from_config(cls, config: NoOptions) -> CurrentsObserver:
        """Build from checked options."""
        return cls()

    def prepare(self, atoms: Atoms) -> Arrays:
        """Names of the leads.

        Raises
        ------
        ModelError
            If the calculator (or, in a sum, no member) has leads.
        """
        units, calc = get_units(atoms), _open_device(atoms)
        self._names = [f"{k + 1}_{lead.name}" for k, lead in enumerate(calc.leads)]
        rate = f"1/({units.time})"
        self.quantities = {name: Quantity(f"current from {name[2:]}", rate) for name in self._names}
        self.quantities["bias"] = Quantity("bias", units.energy)
        self.quantities["through_sites"] = Quantity("current through a site", rate, plot="sites")
        return {}

    def observe(self, atoms: Atoms) -> dict[str, float | FloatArray]:
        """Currents and bias."""
        if not self._names:
            self.prepare(atoms)
        calc = _open_device(atoms)
        currents = np.asarray(calc.get_property(_NEEDED, atoms))
        through = np.linalg.norm(np.asarray(calc.get_property("current_map", atoms)), axis=1)
        values = dict(zip(self._names, currents.tolist(), strict=True))
        return {**values, "bias": float(calc.bias), "through_sites": through}


class DomainWallObserver:
    """Position, width and in-plane angle of the wall between two domains."""

    Config = DomainWallConfig
    name = "domain-wall"
    citation: ClassVar[str] = ""

    def __init__(self, axis: int = 0, easy: tuple[float, float, float] = (0.0, 0.0, 1.0)) -> None:
        self._axis, self._easy = axis, easy
        self.quantities = _wall("")

    @classmethod
    def from_config(cls, config: DomainWallConfig) -> DomainWallObserver:
        """Build from checked options."""
        return cls(config.axis, config.easy)

    def prepare(self, atoms: Atoms) -> Arrays:
        """Take the unit of length."""
        self.quantities = _wall(get_units(atoms).length)
        return {}

    def observe(self, atoms: Atoms) -> dict[str, float]:
        """The fitted wall; nan if there is none."""
        wall = domain_wall(atoms, self._axis, self._easy)
        return {"position": wall.position, "width": wall.width, "angle": wall.angle}


class GrownPhaseObserver:
    """Share of the sites in the ferromagnetic phase, and where it ends, counted from one electrode."""

    Config = GrownPhaseConfig
    name = "grown-phase"
    citation: ClassVar[str] = (
        "P. Zhang, G.-W. Chern, npj Comput. Mater. 9, 32 (2023), doi:10.1038/s41524-023-00990-0, arXiv:2112.12124"
    )

    def __init__(self, axis: int = 0, side: Literal["left", "right"] = "left", threshold: float = 0.5) -> None:
        self._axis, self._side, self._threshold = axis, side, threshold
        self.quantities = _phase("")
        self._shells: OfSites[NeighbourShells] | None = None

    @classmethod
    def from_config(cls, config: GrownPhaseConfig) -> GrownPhaseObserver:
        """Build from checked options."""
        return cls(config.axis, config.side, config.threshold)

    def prepare(self, atoms: Atoms) -> Arrays:
        """Find the neighbours."""
        first = neighbour_shells(atoms)
        self._shells = OfSites(lambda moved: follow_shells(moved, first))
        self.quantities = _phase(get_units(atoms).length)
        return {}

    def observe(self, atoms: Atoms) -> dict[str, float]:
        """Fraction and interface."""
        if self._shells is None:
            self.prepare(atoms)
        assert self._shells is not None
        found = grown_phase(atoms, self._axis, self._side, self._threshold, self._shells.of(atoms))
        return {"fraction": found.fraction, "interface": found.interface}


def _open_device(atoms: Atoms) -> Any:
    """The calculator with leads: that of the atoms, or a member of their sum."""
    calc = calculator_of(atoms)
    for member in [calc, *members_of(calc)]:
        if gives(member, _NEEDED):
            return member
    raise ModelError(f"{type(calc).__name__} has no leads: the observer 'currents' needs a calculator such as 'negf'")


def _wall(length: str) -> dict[str, Quantity]:
    return {
        "position": Quantity("position of the wall", length),
        "width": Quantity("width of the wall", length),
        "angle": Quantity("angle of the wall", "rad"),
    }


def _phase(length: str) -> dict[str, Quantity]:
    return {"fraction": Quantity("transformed fraction"), "interface": Quantity("position of the interface", length)}
