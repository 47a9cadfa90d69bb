"""A frame of a run as a LAMMPS input of its own, for people who live in LAMMPS: data file, input file, spinase input."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.calculators.lammps import Prism
from ase.data import chemical_symbols
from pydantic import Field

from spinase.contract import field_resolution, local_energy
from spinase.errors import InputError
from spinase.files import refuse_foreign, replacing
from spinase.geometry import Geometry, solid_cell
from spinase.io.exports.base import ExportFormat, ExportOptions, SpinFile, require_own
from spinase.io.run_file import Run
from spinase.learning.exported import export_package, require_exportable
from spinase.learning.local_energy import NetworkEnergy
from spinase.run import build_setup, read_input
from spinase.run.build import Setup, StageInput
from spinase.spin_algebra import directions
from spinase.typing import FloatArray
from spinase_lammps.build import plugin_library
from spinase_lammps.scales import g_factors, time_scale, type_masses

_MARK = "# written by spinase-lammps"
_FLAT = 1e-10
_SCALARS = ("timestep", "damping", "kT")
_TAKEN = (*_SCALARS, "field", "frozen", "integrator")  # LAMMPS' is the midpoint rule
_SKIN = 0.1  # of the cutoff
_INPUT = """\
{mark}: {command}
# {source}  Everything else is plain LAMMPS; change what you like, but for the species.
{units}
units metal
atom_style spin
atom_modify map array
newton on
boundary {boundary}
box tilt large
read_data {name}.data

{pair}
neigh_modify every 1 delay 0 check yes

# lattice (yes/no), damping, kT [eV], seed, tolerance, resolution of the fields, applied field [eV/mu_B]
fix motion all spinase/motion {moves} {damping} {kT} {seed} 1e-13 {resolution} {field}
{factors}
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


_CALLBACK = """\
plugin load ${spinase}
pair_style spinase/callback ${reach} ${deep} ${forces}
pair_coeff * *
neighbor ${skin} bin
comm_modify cutoff ${ghosts}"""
_PACKAGE = """\
variable spinase index {library}   # of this machine; python -m spinase_lammps.build tells it
plugin load ${{spinase}}
pair_style spinase/pt2
pair_coeff * * {name}.pt2 {species}
neighbor {skin:.17g} bin
comm_modify cutoff {ghosts:.17g}"""
_UNITS = {
    "metal": "# Energies in eV, lengths in Angstrom, moments in mu_B.",
    "reduced": "# Reduced units: energies t are written as eV, lengths a as Angstrom, times hbar/t as {time:.17g} ps.",
}


class LammpsInputOptions(ExportOptions):
    """Options of the format."""

    package: bool = Field(
        False,
        description="compile the learned model into NAME.pt2: plain `lmp` runs it, without Python (minutes)",
    )


class Placed(NamedTuple):
    """Sites in LAMMPS' frame: its box, places in it [Angstrom], unit spins, moments [mu_B]."""

    prism: Prism
    places: FloatArray
    spins: FloatArray
    lengths: FloatArray


class LammpsInputExport(ExportFormat[LammpsInputOptions]):
    """Three files: NAME.in and NAME.data for LAMMPS, NAME.toml with the calculator; run with ``spinase_lammps.lmp``.

    With the option ``package`` a fourth, NAME.pt2, is the learned model as a program: ``lmp -in NAME.in`` needs no Python.
    """

    Config = LammpsInputOptions

    citation = "A. P. Thompson et al., Comput. Phys. Commun. 271, 108171 (2022), doi:10.1016/j.cpc.2021.108171"
    many_frames = False

    def write(self, run: Run, frames: Sequence[int], target: Path) -> None:
        """Write one frame."""
        (frame,) = frames
        require_own(target, _MARK.encode(), "LAMMPS input of spinase")
        table = target.with_suffix(".toml")
        require_own(table, _MARK.encode(), "input of spinase beside a LAMMPS input")
        with replacing(table) as temporary:
            temporary.write_text(f"{_MARK}\n{run.provenance['input']}\n", encoding="utf-8")
        setup = build_setup(read_input(table)[0], target.resolve().parent)
        placed, calc = _placed(run, frame), setup.stages[0].calculator
        _require_turned(calc, placed.prism)
        script = _script(run, setup, target.stem, self.options.package)
        if self.options.package:
            _write_package(local_energy(calc, setup.atoms), target.with_suffix(".pt2"))
        with replacing(target.with_suffix(".data")) as temporary:
            temporary.write_text(_data(run, setup.atoms, placed), encoding="ascii")
        with replacing(target) as temporary:
            temporary.write_text(script, encoding="ascii")

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
    masses = type_masses(atoms, kinds, time_scale(atoms))
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


def _script(run: Run, setup: Setup, name: str, package: bool) -> str:
    """The input file, with the numbers of the first stage."""
    stage, time = setup.stages[0], time_scale(setup.atoms)
    numbers, calc = _numbers(stage), setup.stages[0].calculator
    start = "lmp -in" if package else "python -m mpi4py -m spinase_lammps.lmp"
    return _INPUT.format(
        mark=_MARK,
        command=f"mpiexec -n 2 {start} {name}.in",
        source=f"The model is in {name}.pt2." if package else f"The calculator is that of {name}.toml.",
        units=_UNITS[run.units].format(time=time),
        name=name,
        boundary=" ".join("p" if periodic else "m" for periodic in run.pbc),
        pair=_package_lines(local_energy(calc, setup.atoms), run, name) if package else _CALLBACK,
        moves="yes" if stage.driver.moves_atoms else "no",
        damping=numbers["damping"],
        kT=numbers["kT"],
        field=" ".join(f"{value:.17g}" for value in getattr(stage.options, "field", None) or (0.0, 0.0, 0.0)),
        factors=_factor_lines(g_factors(setup.atoms, getattr(stage.options, "frozen", None), time)),
        resolution=f"{field_resolution(calc):.17g}" if package else "${resolution}",
        seed=setup.config.seed + 1,
        timestep=f"{numbers['timestep'] * time:.17g}",
        steps=stage.steps,
    )


def _factor_lines(factors: FloatArray) -> str:
    """g factors by groups of sites; 0 of spins that stay."""
    values, counts = np.unique(factors, return_counts=True)
    common = values[counts.argmax()]
    lines = [f"fix_modify motion g all {common:.17g}"]
    for k, value in enumerate(values[values != common], start=1):
        name, rows = ("frozen", "# these spins stay") if value == 0.0 else (f"g{k}", "")
        members = [f"{site + 1}" for site in np.flatnonzero(factors == value)]
        ids = " &\n  ".join(" ".join(members[i : i + 16]) for i in range(0, len(members), 16))
        lines += [f"group {name} id {ids}", f"fix_modify motion g {name} {value:.17g}   {rows}".rstrip()]
    return "\n".join(lines)


def _package_lines(energy: Any, run: Run, name: str) -> str:
    """Pair style, skin and ghosts of a run with a package."""
    if not isinstance(energy, NetworkEnergy):
        raise InputError("only a learned model alone becomes a package, not sums and classical terms: leave package out")
    require_exportable(energy)
    return _PACKAGE.format(
        library=plugin_library(torch=True),
        name=name,
        species=" ".join(chemical_symbols[number] for number in np.unique(run.numbers)),
        skin=_SKIN * energy.cutoff,
        ghosts=energy.ghost_depth + _SKIN * energy.cutoff,
    )


def _write_package(energy: NetworkEnergy, target: Path) -> None:
    def is_ours(path: Path) -> bool:
        """Whether it tells the facts of a package of spinase."""
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            return any(b"spinase_torch" in archive.read(name) for name in archive.namelist() if name.endswith(".json"))

    refuse_foreign(target, is_ours, "package of spinase")
    export_package(energy, target)


__all__ = ["LammpsInputExport"]
