"""The search for a minimum-energy path as a driver: a nudged elastic band, iteration by iteration, with restart."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import read as ase_read
from ase.io.formats import UnknownFileTypeError
from pydantic import BaseModel, ConfigDict, Field

from spinase.atoms import SpinAtoms, geometry_of, get_moments, get_spins, get_units, set_moments
from spinase.contract import Driver, calculator_of, check_units, recall_step, remember_step
from spinase.dynamics.minimizers import Minimizer, make_minimizer
from spinase.dynamics.neb import TOLD, PathResult, SpinBand, geodesic_path, rotation_vectors
from spinase.dynamics.relaxation import Relaxation
from spinase.dynamics.settings import checked
from spinase.errors import AccuracyWarning, ConvergenceError, InputError, SpinaseError
from spinase.options import STYLE_KIND, options_of
from spinase.quantities import Observed, Quantity
from spinase.styles import load_style
from spinase.typing import Array, FloatArray

_ROUGH = 10.0  # times the limit: where the highest image begins to climb
_END_STEPS = 10_000  # of the relaxation of an end
_STEP = {"style": "fire", "dt": 0.05, "maxstep": 0.05}


class NebConfig(BaseModel):
    """Options of the ``neb`` driver in an input file.  `steps` of the stage are the most it makes."""

    model_config = ConfigDict(extra="forbid")

    images: int = Field(9, ge=3, description="magnets along the path, both ends included")
    start: dict[str, Any] | None = Field(
        None,
        description="first end: { style = an initializer, ... } or { file = name, index }; absent: the atoms now",
        json_schema_extra={STYLE_KIND: "initializers"},
    )
    end: dict[str, Any] = Field(description="last end, likewise", json_schema_extra={STYLE_KIND: "initializers"})
    relax_ends: bool = Field(True, description="relax both ends first")
    climbing: bool = Field(True, description="let the highest image climb to the saddle point")
    spring: float = Field(1.0, gt=0, description="spring constant [energy]")
    torque: float = Field(1e-4, gt=0, description="largest force on a spin of an image at the end [energy]")
    minimizer: str | dict[str, Any] = Field(
        default_factory=lambda: dict(_STEP),
        description="fire, lbfgs, or a table { style = name, its options }",
        json_schema_extra={STYLE_KIND: "minimizers"},
    )
    accept_unconverged: bool = Field(False, description="go on with the next stage if the steps do not suffice")


class PathSearch(Driver):
    """A band of magnets between two textures that goes down to a minimum-energy path; time counts iterations.

    The atoms have the spins of the highest image; the next stage starts from there.  Sites stay where they are.

    Parameters
    ----------
    start, end : Atoms
        The ends: the same sites and the same lengths of moments.  `start` is the magnet of the run, with its calculator.
    images : int
        Magnets along the path, ends included.
    relax_ends : bool
        Relax both ends before the first iteration.
    climbing : bool
        Let the highest image climb.
    spring : float
        Spring constant, energy.
    torque : float
        Largest force on a spin at the end, energy.
    minimizer : str, table or Minimizer
        A style of the kind ``minimizers``.
    accept_unconverged : bool
        Warn, instead of an error, if the steps of the stage do not suffice.
    rng : numpy Generator
        Chooses axes of spins that turn by half a turn.
    atoms : Atoms, optional
        The magnet that shows the highest image; default: `start`.

    Raises
    ------
    NotConservativeError, MissingMagneticForcesError, ModelError, InvalidMomentsError
    """

    Config = NebConfig
    time_unit = "iterations"
    citation = (
        "P. F. Bessarab, V. M. Uzdin, H. Jonsson, Comput. Phys. Commun. 196, 335 (2015), doi:10.1016/j.cpc.2015.07.001"
    )

    def __init__(
        self,
        start: Atoms,
        end: Atoms,
        *,
        images: int = 9,
        relax_ends: bool = True,
        climbing: bool = True,
        spring: float = 1.0,
        torque: float = 1e-4,
        minimizer: str | Mapping[str, Any] | Minimizer | None = None,
        accept_unconverged: bool = False,
        rng: np.random.Generator | int | None = None,
        atoms: Atoms | None = None,
    ) -> None:
        self.atoms = start if atoms is None else atoms
        check_units(self.atoms, calculator_of(self.atoms))
        self.torque, self.spring = checked("torque", torque, positive=True), checked("spring", spring, positive=True)
        self.climbing, self.relax_ends, self.accept_unconverged = climbing, relax_ends, accept_unconverged
        self.minimizer = make_minimizer(_STEP if minimizer is None else minimizer)
        self.nsteps, self.detours, self.finished = 0, 0, False
        self.index: int | None = None
        self.curvatures: FloatArray = np.zeros(0)
        self._rng = rng
        self._path = geodesic_path(start, end, images, rng)  # refuses ends that do not fit
        self._band: SpinBand | None = None
        self.observer = PathObserver(self)

    @classmethod
    def from_config(cls, config: NebConfig, atoms: Atoms, rng: np.random.Generator) -> PathSearch:
        """Driver from the table of an input file."""
        options = dict(config)
        start, end = options.pop("start"), options.pop("end")
        first = atoms.copy() if start is None else end_of_path(start, atoms, rng, "start")
        return cls(first, end_of_path(end, atoms, rng, "end"), rng=rng, atoms=atoms, **options)

    # -- the search ---------------------------------------------------------------------------------------------------

    @property
    def band(self) -> SpinBand:
        """The images; the first use relaxes the ends and lays the path between them."""
        if self._band is None:
            first, last = self._path[0], self._path[-1]
            for end in (first, last):
                end.calc = calculator_of(self.atoms)
                if self.relax_ends:
                    relaxation = Relaxation(end, torque=self.torque)
                    relaxation.run(_END_STEPS)
                    relaxation.conclude()
            path = geodesic_path(first, last, len(self._path), self._rng) if self.relax_ends else self._path
            self._lay(path, climb=False)
        assert self._band is not None
        return self._band

    def _lay(self, path: Sequence[Atoms], climb: bool) -> None:
        for image in path:
            image.calc = calculator_of(self.atoms)
        self._path = list(path)
        self._band = SpinBand(self._path, self.spring, climb=climb)
        self.minimizer.begin(self._band)

    def run(self, steps: int) -> bool:
        """Make `steps` iterations, or fewer if the path is found; the last one only looks."""
        for _ in range(steps):
            if self.finished:
                break
            self.step()
        return self.finished

    def step(self) -> None:
        """One iteration, whole or not at all."""
        calculator = remember_step(self.atoms.calc)
        band, before = self.band, self.checkpoint_state()
        try:
            self._iterate(band)
            set_moments(self.atoms, get_moments(band.images[band.climbing]))
        except BaseException:
            self.restore_state(before)
            recall_step(self.atoms.calc, calculator)
            raise
        self.nsteps += 1

    def _iterate(self, band: SpinBand) -> None:
        left, rough = self.residual(), self.climbing and not band.climb
        if left >= self.torque * (_ROUGH if rough else 1.0):
            self.minimizer.step()
        elif rough:
            band.climb = True
            self.minimizer.begin(band)
        else:
            self._end(band)

    def _end(self, band: SpinBand) -> None:
        """The forces vanish: done, unless a lower path goes round the highest image (see minimum_energy_path)."""
        found = band.curvatures()
        self.index, self.curvatures = found.negative, found.values[:TOLD].copy()
        if self.climbing and band.go_round(found, self.detours):
            self.minimizer.begin(band)
            self.detours += 1
            return
        self.finished = True

    def residual(self) -> float:
        """Largest force on a spin of an image, energy."""
        return float(np.linalg.norm(self.band.get_gradient().reshape(-1, 3), axis=1).max())

    def result(self) -> PathResult:
        """The path as it is."""
        return self.band.result(self.finished and not self._is_mountain(), self.index, self.curvatures)

    def _is_mountain(self) -> bool:
        """Whether a climbed image has two unstable directions or more."""
        return self.climbing and self.index is not None and self.index > 1

    # -- what a run asks ----------------------------------------------------------------------------------------------

    def get_number_of_steps(self) -> int:
        """Iterations made."""
        return self.nsteps

    def get_time(self) -> float:
        """Iterations made."""
        return float(self.nsteps)

    def describe_step(self) -> tuple[str, list[str]]:
        """Images, and how far the ends are apart."""
        turn = sum(np.linalg.norm(rotation_vectors(get_spins(a), get_spins(b))) for a, b in pairwise(self._path))
        return f"{len(self._path)} images on a path of {turn:.4g} radian, {type(self.minimizer).__name__}", []

    def conclude(self) -> None:
        """Tell if there is no minimum-energy path.

        Raises
        ------
        ConvergenceError
            Unless `accept_unconverged`; then it is a warning.
        """
        if self.finished and not self._is_mountain():
            return
        if self.finished:
            told = f"the highest image has {self.index} unstable directions instead of one: the barrier is too high"
        else:
            told = (
                f"no path in {self.nsteps} iterations: the largest force is {self.residual():.4g} (limit {self.torque:.4g})"
            )
        if not self.accept_unconverged:
            raise ConvergenceError(f"{told}. Allow more steps, a larger torque, or set accept_unconverged = true")
        warnings.warn(f"{told}; the run goes on from there (accept_unconverged)", AccuracyWarning, stacklevel=2)

    def checkpoint_state(self) -> dict[str, Any]:
        """What a bit-exact restart needs: spins of all images, turns, phase, memory of the minimizer."""
        band = self.band
        return {
            "nsteps": self.nsteps,
            "detours": self.detours,
            "finished": self.finished,
            "index": self.index,
            "curvatures": self.curvatures.copy(),
            "climb": band.climb,
            "shown": get_moments(self.atoms),
            "images": np.array([get_moments(image) for image in band.images]),
            "turned": band.get_x().copy(),
            "minimizer": self.minimizer.state(),
        }

    def restore_state(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`checkpoint_state` gave; the atoms show the highest image again."""
        for image, moments in zip(self._path, np.asarray(state["images"]), strict=True):
            set_moments(image, moments)
        self._lay(self._path, bool(state["climb"]))
        assert self._band is not None
        self._band.resume(np.asarray(state["turned"]))
        self.minimizer.restore(state["minimizer"])
        self.nsteps, self.detours, self.finished = int(state["nsteps"]), int(state["detours"]), bool(state["finished"])
        self.index = None if state["index"] is None else int(state["index"])
        self.curvatures = np.array(state["curvatures"], dtype=np.float64)
        set_moments(self.atoms, np.asarray(state["shown"]))

    def observed(self) -> PathResult | None:
        """The path, or None before the first iteration."""
        return None if self._band is None else self.result()

    @property
    def size(self) -> int:
        """Number of images."""
        return len(self._path)


class PathObserver:
    """What a search for a path records with every frame; before the first iteration all is NaN.

    Parameters
    ----------
    driver : PathSearch
    """

    name = "path"

    def __init__(self, driver: PathSearch) -> None:
        self._driver = driver
        units = get_units(driver.atoms)
        self.quantities = {
            "energy": Quantity("energy above the start", units.energy, "profile", "path_length"),
            "path_length": Quantity("length of the path", "rad", "none"),
            "barrier": Quantity("barrier", units.energy, description="highest image above the first one"),
            "torque": Quantity("largest force on a spin", units.energy),
            "index": Quantity("unstable directions", "1", description="at the highest image; 1 at a saddle point"),
            "curvature": Quantity("lowest curvature", units.energy, description="of the energy at the highest image"),
            "moments": Quantity("moments of all images", units.moment, "none"),
        }

    def prepare(self, atoms: Atoms) -> Mapping[str, Array]:
        """Nothing is static."""
        return {}

    def observe(self, atoms: Atoms) -> Observed:
        """The path now."""
        path = self._driver.observed()
        if path is None:
            size, nothing = self._driver.size, float("nan")
            empty: FloatArray = np.full(size, nothing)
            moments = np.full((size, len(atoms), 3), nothing)
            numbers = dict.fromkeys(("barrier", "torque", "index", "curvature"), nothing)
            return {"energy": empty, "path_length": empty, **numbers, "moments": moments}
        return {
            "energy": path.energies - path.energies[0],
            "path_length": path.distances,
            "barrier": path.barrier,
            "torque": self._driver.residual(),
            "index": float("nan") if path.index is None else float(path.index),
            "curvature": float(path.curvatures[0]) if len(path.curvatures) else float("nan"),
            "moments": np.array([get_moments(image) for image in path.images]),
        }


def end_of_path(table: Mapping[str, Any], atoms: Atoms, rng: np.random.Generator, where: str) -> Atoms:
    """An end of a path on the sites of `atoms`: of an initializer, or of a file (relative to the current directory).

    Parameters
    ----------
    table : mapping
        ``style`` of an initializer with its options, or ``file`` and ``index``.
    atoms : Atoms
        The magnet; lengths of moments are those of its sites.
    rng : numpy.random.Generator
        For initializers that draw.
    where : str
        Place in the input file, for the message.

    Raises
    ------
    InputError, StyleError
        If the table is neither, or the file does not fit the sites.
    """
    options, end = dict(table), atoms.copy()
    style, file = options.pop("style", None), options.get("file")
    lengths = np.linalg.norm(get_moments(atoms), axis=1)
    if isinstance(style, str):
        initializer = load_style("initializers", style)
        given = options_of(initializer, options, where, also=("style",))
        spins = initializer(geometry_of(atoms), rng, **{name: getattr(given, name) for name in given.model_fields_set})
        set_moments(end, lengths[:, None] * spins)
        return end
    if not isinstance(file, str) or options.keys() - {"file", "index"}:
        raise InputError(
            f"{where}: give {{ style = an initializer, ... }} or {{ file = name, index = frame }}, got {table!r}"
        )
    try:
        found: Any = SpinAtoms(ase_read(file, index=int(options.get("index", -1))), units=get_units(atoms).name)
    except (OSError, ValueError, IndexError, KeyError, StopIteration, UnknownFileTypeError, SpinaseError) as error:
        raise InputError(f"{where}: cannot read {file}: {error}") from error
    if len(found) != len(atoms) or not np.array_equal(found.numbers, atoms.numbers):
        raise InputError(
            f"{where}: {file} has {len(found)} sites ({found.symbols}), the magnet {len(atoms)} ({atoms.symbols})"
        )
    set_moments(end, lengths[:, None] * get_spins(found))
    return end


__all__ = ["NebConfig", "PathSearch"]
