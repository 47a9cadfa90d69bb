"""A frame of a run as a LAMMPS input of its own, for people who live in LAMMPS: data file, input file, spinase input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.calculators.lammps import Prism
from ase.units import fs

from spinase.errors import InputError
from spinase.files import replacing
from spinase.geometry import Geometry, solid_cell
from spinase.io.exports.base import ExportFormat, ExportOptions, SpinFile, require_own
from spinase.io.run_file import Run
from spinase.run import build_setup, read_input
from spinase.run.build import Setup, StageInput
from spinase.spin_algebra import directions
from spinase.typing import FloatArray

_MARK = "# written by spinase-lammps"
_FLAT = 1e-10
_SCALARS = ("timestep", "damping", "kT")
_TAKEN = (*_SCALARS, "field", "integrator")  # LAMMPS' is the midpoint rule
_INPUT = """\
{mark}: mpiexec -n 2 python -m mpi4py -m spinase_lammps.lmp {name}.in
# The calculator is that of {name}.toml.  Everything else is plain LAMMPS; change what you like, but for the species.
units metal
atom_style spin
atom_modify map array
newton on
boundary {boundary}
box tilt large
read_data {name}.data

plugin load ${{spinase}}
pair_style spinase/callback ${{reach}} ${{deep}} ${{forces}}
pair_coeff * *
neighbor ${{skin}} bin
comm_modify cutoff ${{ghosts}}
neigh_modify every 1 delay 0 check yes

# lattice (yes/no), damping, kT [eV], seed, tolerance, resolution of the fields, applied field [eV/mu_B]
fix motion all spinase/motion {moves} {damping} {kT} {seed} 1e-13 ${{resolution}} {field}
timestep {timestep}   # ps

compute spins all property/atom spx spy spz sp fmx fmy fmz
dump spins all custom 100 {name}.dump id type x y z c_spins[*]
dump_modify spins sort id colname c_spins[1] spx colname c_spins[2] spy colname c_spins[3] spz colname c_spins[4] sp &
  colname c_spins[5] fmx colname c_spins[6] fmy colname c_spins[7] fmz

thermo_style custom step time pe ke etotal press
thermo 100

# Spins to the nearest minimum first (without fix motion, whose place is after it):
# min_style spin/lbfgs
# minimize 1e-12 1e-12 1000 10000

run {steps}
"""


class Placed(NamedTuple):
    """Sites in LAMMPS' frame: its box, places in it [Angstrom], unit spins, moments [mu_B]."""

    prism: Prism
    places: FloatArray
    spins: FloatArray
    lengths: FloatArray


class LammpsInputExport(ExportFormat[ExportOptions]):
    """Three files: NAME.in and NAME.data for LAMMPS, NAME.toml with the calculator; run with ``spinase_lammps.lmp``."""

    citation = "A. P. Thompson et al., Comput. Phys. Commun. 271, 108171 (2022), doi:10.1016/j.cpc.2021.108171"
    many_frames = False

    def write(self, run: Run, frames: Sequence[int], target: Path) -> None:
        """Write one frame."""
        (frame,) = frames
        if run.units != "metal":
            raise InputError(f"LAMMPS is told metal units, and this run is in {run.units} ones")
        require_own(target, _MARK.encode(), "LAMMPS input of spinase")
        table = target.with_suffix(".toml")
        require_own(table, _MARK.encode(), "input of spinase beside a LAMMPS input")
        with replacing(table) as temporary:
            temporary.write_text(f"{_MARK}\n{run.provenance['input']}\n", encoding="utf-8")
        setup = build_setup(read_input(table)[0], target.resolve().parent)
        placed = _placed(run, frame)
        _require_turned(setup.stages[0].calculator, placed.prism)
        with replacing(target.with_suffix(".data")) as temporary:
            temporary.write_text(_data(run, setup.atoms, placed), encoding="ascii")
        with replacing(target) as temporary:
            temporary.write_text(_script(run, setup, target.stem), encoding="ascii")

    def read(self, source: Path, index: int = -1) -> SpinFile:
        """Nothing to read: these files are LAMMPS' to read.

        Raises
        ------
        InputError
            Always.
        """
        raise InputError(f"{source}: spins are read from LAMMPS' dumps, format lammps-dump")


def _placed(run: Run, frame: int) -> Placed:
    geometry = Geometry(run.positions[frame], run.cells[frame], run.pbc, run.numbers)
    cell = solid_cell(geometry, 2.0)
    prism = Prism(cell, run.pbc)
    scaled = geometry.positions @ np.linalg.inv(cell)
    scaled = np.where(run.pbc, scaled % 1.0, scaled - 0.5 * (scaled.min(axis=0) + scaled.max(axis=0)) + 0.5)
    spins, lengths = directions(run.moments[frame])
    return Placed(prism, prism.vector_to_lammps(scaled @ cell), prism.vector_to_lammps(spins), lengths)


def _require_turned(calc: Any, prism: Prism) -> None:
    """Spins and lattice are turned into LAMMPS' frame together, which axes fixed in space do not allow."""
    turned = np.abs(np.asarray(prism.rot_mat) - np.eye(3)).max() > _FLAT
    if turned and "joint_rotation" not in getattr(calc, "symmetries", {"joint_rotation"}):
        raise InputError(
            f"LAMMPS wants the first cell vector along x and the second in the xy plane, and {type(calc).__name__} has axes "
            "fixed in space: turn the magnet and its axes in the input"
        )


def _data(run: Run, atoms: Atoms, placed: Placed) -> str:
    """LAMMPS' data file: atom-ID, type, x, y, z, direction of the moment, its length."""
    species = np.unique(run.numbers)
    kinds = np.searchsorted(species, run.numbers) + 1
    masses = [float(atoms.get_masses()[run.numbers == number][0]) for number in species]
    x, y, z, *tilt = placed.prism.get_lammps_prism()
    lines = [f"{_MARK}", "", f"{len(kinds)} atoms", f"{len(species)} atom types", ""]
    lines += [f"0 {side:.17g} {axis}lo {axis}hi" for axis, side in zip("xyz", (x, y, z), strict=True)]
    if np.abs(tilt).max() > 0.0:
        lines.append(" ".join(f"{value:.17g}" for value in tilt) + " xy xz yz")
    lines += ["", "Masses", "", *(f"{k + 1} {mass:.17g}" for k, mass in enumerate(masses)), "", "Atoms # spin", ""]
    rows = zip(kinds, placed.places, placed.spins, placed.lengths, strict=True)
    for k, (kind, place, spin, length) in enumerate(rows, start=1):
        # LAMMPS makes nan of a direction of no length
        numbers = (*place, *(spin if length > 0.0 else (0.0, 0.0, 1.0)), length)
        lines.append(f"{k} {kind} " + " ".join(f"{number:.17g}" for number in numbers))
    return "\n".join(lines) + "\n"


def _numbers(stage: StageInput) -> dict[str, float]:
    """Time step, damping and kT of a stage.

    Raises
    ------
    InputError
        If the stage has another option, or one that changes in time.
    """
    told = {key: getattr(stage.options, key) for key in stage.options.model_fields_set}
    numbers = {"damping": 0.0, "kT": 0.0}
    for key, value in told.items():
        if key in _SCALARS and isinstance(value, int | float):
            numbers[key] = float(value)
        elif key not in _TAKEN or key in _SCALARS:
            raise InputError(
                f"{key} = {value!r} of the first stage cannot go into a LAMMPS input, only numbers of {', '.join(_TAKEN)}"
            )
    if "timestep" not in numbers:
        raise InputError(f"the first stage has no timestep: {stage.driver.__name__} does not move spins in time")
    return numbers


def _script(run: Run, setup: Setup, name: str) -> str:
    """The input file, with the numbers of the first stage."""
    stage = setup.stages[0]
    numbers = _numbers(stage)
    return _INPUT.format(
        mark=_MARK,
        name=name,
        boundary=" ".join("p" if periodic else "m" for periodic in run.pbc),
        moves="yes" if stage.driver.moves_atoms else "no",
        damping=numbers["damping"],
        kT=numbers["kT"],
        field=" ".join(f"{value:.17g}" for value in getattr(stage.options, "field", None) or (0.0, 0.0, 0.0)),
        seed=setup.config.seed + 1,
        timestep=f"{numbers['timestep'] / (1000.0 * fs):.17g}",
        steps=stage.steps,
    )


__all__ = ["LammpsInputExport"]
