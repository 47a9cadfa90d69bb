"""Configurations of one realization, one after the other on the same atoms: random, textures, quenched, thermal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from spinase.atoms import SpinAtoms, geometry_of, get_moments, set_moments
from spinase.dynamics.llg import LLGDynamics
from spinase.options import options_of
from spinase.run.build import build_atoms, build_calculator, names_a_script
from spinase.spin_algebra import random_spins
from spinase.styles import load_style, make_importable
from spinase.typing import FloatArray
from spinase_training.labels.config import LabelInput, QuenchTable, TextureTable, ThermalTable


def realization_of(config: LabelInput, folder: Path, number: int) -> tuple[SpinAtoms, Iterator[str]]:
    """Atoms of one realization with the teacher, and an iterator that puts one configuration after the other on them.

    Parameters
    ----------
    config : LabelInput
        Input of ``spinase label``.
    folder : Path
        Where its relative files are.
    number : int
        Of the realization, from 0; decides its random numbers.
    """
    sites, spins, shaking, _ = random_streams(config, number)
    if names_a_script(config.model_dump()):
        make_importable(folder)
    atoms = build_atoms(config.atoms, config.units, folder, sites)
    atoms.calc = build_calculator(config.calculator, "[calculator]")
    return atoms, _displaced(config, atoms, spins, shaking)


def random_streams(config: LabelInput, number: int) -> list[np.random.Generator]:
    """Random numbers of one realization: of its sites, its spins, their displacements and their teacher."""
    streams = np.random.SeedSequence(config.seed).spawn(config.realizations)[number].spawn(4)
    return [np.random.default_rng(stream) for stream in streams]


def _displaced(
    config: LabelInput, atoms: SpinAtoms, spins: np.random.Generator, shaking: np.random.Generator
) -> Iterator[str]:
    home = atoms.positions.copy()
    for kind in _configurations(config, atoms, spins):
        if config.displacement:
            atoms.positions = home + config.displacement * shaking.normal(size=home.shape)
        yield kind
        atoms.positions = home


def _configurations(config: LabelInput, atoms: SpinAtoms, rng: np.random.Generator) -> Iterator[str]:
    """Put one configuration after the other on the atoms; yields how it was made."""
    lengths = np.linalg.norm(get_moments(atoms), axis=1)[:, None]
    for _ in range(config.random):
        set_moments(atoms, lengths * random_spins(len(atoms), rng))
        yield "random"
    for texture in config.texture:
        for _ in range(texture.count):
            noisy = _texture(texture, atoms, rng)
            set_moments(atoms, lengths * noisy / np.linalg.norm(noisy, axis=1)[:, None])
            if texture.then is None:
                yield texture.style
            else:
                yield from (f"{texture.style} in motion" for _ in _quench(texture.then, atoms, rng))
    if config.quench is not None:
        set_moments(atoms, lengths * random_spins(len(atoms), rng))
        yield from _quench(config.quench, atoms, rng)
    if config.thermal is not None:
        set_moments(atoms, lengths * random_spins(len(atoms), rng))
        yield from _thermal(config.thermal, atoms, rng)


def _texture(texture: TextureTable, atoms: SpinAtoms, rng: np.random.Generator) -> FloatArray:
    """Spins (N, 3) of a texture with its random deviations, not normalized."""
    initializer = load_style("initializers", texture.style)
    drawn = {name: float(rng.uniform(*span)) for name, span in texture.draw.items()}
    checked = options_of(initializer, {**texture.options, **drawn}, f"[[texture]] {texture.style} options")
    given = {name: getattr(checked, name) for name in checked.model_fields_set}
    spins: FloatArray = initializer(geometry_of(atoms), rng, **given)
    return spins + texture.noise * rng.normal(size=spins.shape)


def _quench(quench: QuenchTable, atoms: SpinAtoms, rng: np.random.Generator) -> Iterator[str]:
    """The spins are moved by the driver, and labelled by the teacher."""
    walker = _walker(atoms, quench.driver, "[quench] driver")
    dynamics = LLGDynamics(
        walker, quench.timestep, damping=quench.damping, kT=quench.kT, integrator=quench.integrator, rng=rng, probe=False
    )
    for time in quench.times:
        dynamics.run(round(time / quench.timestep) - dynamics.nsteps)
        set_moments(atoms, get_moments(walker))
        yield "quench"


def _thermal(thermal: ThermalTable, atoms: SpinAtoms, rng: np.random.Generator) -> Iterator[str]:
    walker, steps = _walker(atoms, thermal.driver, "[thermal] driver"), round(thermal.time / thermal.timestep)
    for temperature in thermal.kT:
        dynamics = LLGDynamics(
            walker,
            thermal.timestep,
            damping=thermal.damping,
            kT=temperature,
            integrator=thermal.integrator,
            rng=rng,
            probe=False,
        )
        for _ in range(thermal.count):
            dynamics.run(steps)
            set_moments(atoms, get_moments(walker))
            yield "thermal"


def _walker(atoms: SpinAtoms, table: dict[str, Any] | None, where: str) -> SpinAtoms:
    """What the dynamics moves: the atoms themselves, or a copy with a calculator of its own."""
    if table is None:
        return atoms
    walker = atoms.copy()
    walker.calc = build_calculator(table, where)
    return walker
