"""Waves beside a driven wall: growth rates of the linearized motion by Green's functions and by the model that learned them.

    python tests/benchmarks/wall_ripples.py [VOLTAGE]

The strip of `examples/18_driven_wall.py`, 24 sites, uniform across (ten chains at the potentials mu + 2 t cos k), a straight
wall of 1.7 sites in the middle.  With r = ds/dt of LLG, u -> small turns of the spins, the fields' derivatives dB/du from
differences, du/dt = A u; an eigenvalue lambda of A with a positive real part is a wave that grows, whatever the step.
Heun's scheme with a step h multiplies it by |1 + z + z^2/2|, z = lambda h: the rate ln|.|/h is printed, too.  With a reach,
what spins farther than that do to a field is left out.  10 to 25 seconds of CPU.
"""

import sys
from typing import Any

import numpy as np

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators import HeisenbergCalculator, NEGFCalculator, SpinSumCalculator, UniaxialAnisotropyCalculator
from spinase.calculators.learned import LearnedCalculator
from spinase.electrons import LatticeLead, SDModel, ShellHopping
from spinase.textures import domain_wall

VOLTAGE = float("".join(sys.argv[1:2]) or 0.6)
LENGTH, WIDTH, MOMENT, TURN = 24, 10, 20.0, 0.01
LEADS = [LatticeLead("left", exchange=(0, 0, 1)), LatticeLead("right", exchange=(0, 0, -1))]
CASES = (  # damping, exchange, anisotropy; the first one is what had ripples
    *((damping, 0.1, 0.015) for damping in (0.1, 0.05, 0.15, 0.2, 0.3)),
    *((damping, 0.2, 0.03) for damping in (0.05, 0.1, 0.3)),
)


def strip(width: int) -> SpinAtoms:
    """The strip with its wall; one row is enough for what is uniform across."""
    atoms = SpinAtoms.lattice("square", (LENGTH, width), units="reduced")
    atoms.pbc = (False, width > 1, False)
    spins = domain_wall(geometry_of(atoms), np.random.default_rng(0), width=1.7, angle=np.pi / 2, position=0.5)
    atoms.moments = MOMENT * spins
    return atoms


def electrons() -> SpinSumCalculator:
    """Green's functions of the strip, by momentum across."""
    parts, shares = [], []
    for wave in range(WIDTH // 2 + 1):
        model = SDModel(
            ShellHopping([1.0]), 1.0, chemical_potential=-2.5 + 2.0 * np.cos(2.0 * np.pi * wave / WIDTH), kT=0.05
        )
        parts.append(NEGFCalculator(model, LEADS, VOLTAGE, tolerance=1e-3, max_energies=20000))
        shares.append((1.0 if wave in (0, WIDTH // 2) else 2.0) / WIDTH)
    return SpinSumCalculator(parts, shares)


def frame(spins: np.ndarray) -> np.ndarray:
    """Two unit vectors across every spin, (2, LENGTH, 3)."""
    first = np.cross(spins, [0.0, 1.0, 0.0])
    first /= np.linalg.norm(first, axis=1)[:, None]
    return np.array([first, np.cross(spins, first)])


def response(calculator: Any, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Fields B (LENGTH, 3) and their derivatives dB/du (2, LENGTH, LENGTH, 3) by turns of a site's spins along `frame`."""
    atoms = strip(width)
    spins = atoms.spins[::width].copy()
    across = frame(spins)

    def fields(turned: np.ndarray) -> np.ndarray:
        atoms.spins = np.repeat(turned / np.linalg.norm(turned, axis=1)[:, None], width, axis=0)
        found = np.asarray(calculator.get_property("magnetic_forces", atoms))
        return found.reshape(LENGTH, width, 3).mean(axis=1)

    slopes = np.zeros((2, LENGTH, LENGTH, 3))
    for part in range(2):
        for site in range(LENGTH):
            turn = np.zeros((LENGTH, 3))
            turn[site] = TURN * across[part, site]
            slopes[part, site] = (fields(spins + turn) - fields(spins - turn)) / (2.0 * TURN)
    return fields(spins), slopes


def motion(fields: np.ndarray, slopes: np.ndarray, damping: float) -> np.ndarray:
    """A of du/dt = A u, hbar/t, (2 LENGTH, 2 LENGTH): the derivative of -(s x B + damping s x (s x B))/(1 + damping^2).

    Parameters
    ----------
    fields : (LENGTH, 3) ndarray
    slopes : (2, LENGTH, LENGTH, 3) ndarray
    damping : float
    """
    spins = strip(1).spins
    across, found = frame(spins), np.empty((2 * LENGTH, 2 * LENGTH))
    for part in range(2):
        for site in range(LENGTH):
            moved = np.zeros((LENGTH, 3))
            moved[site] = across[part, site]
            turned = np.cross(moved, fields) + np.cross(spins, slopes[part, site])
            damped = np.cross(moved, np.cross(spins, fields)) + np.cross(spins, turned)
            rate = -(turned + damping * damped) / (1.0 + damping**2)
            found[:, part * LENGTH + site] = np.einsum("pia,ia->pi", across, rate).ravel()
    return found


def tell(name: str, matrix: np.ndarray) -> None:
    """Prints the fastest growing wave."""
    values = np.linalg.eigvals(matrix)
    top = values[np.argmax(values.real)]
    by_step = [float(np.log(np.abs(1.0 + h * values + 0.5 * (h * values) ** 2).max()) / h) for h in (24.0, 12.0)]
    print(
        f"{name}: {1e3 * top.real:+.2f} at {1e3 * abs(top.imag):.1f}, by Heun's steps of 24 {1e3 * by_step[0]:+.2f}, "
        f"of 12 {1e3 * by_step[1]:+.2f}, all 1e-3 t/hbar; fastest wave {np.abs(values).max():.4f} t/hbar",
        flush=True,
    )


if __name__ == "__main__":
    sources = {
        "NEGF": response(electrons(), 1),
        "model": response(LearnedCalculator.shipped("driven-wall", bias=VOLTAGE, outside_domain="ignore"), WIDTH),
    }
    exchange, easy = response(HeisenbergCalculator(shells=[1.0]), 1), response(UniaxialAnisotropyCalculator(1.0), 1)
    apart = np.abs(np.arange(LENGTH)[:, None] - np.arange(LENGTH))[None, :, :, None]

    def whole(name: str, case: tuple[float, float, float], reach: int = LENGTH) -> np.ndarray:
        damping, strength, constant = case
        fields, slopes = (a + strength * b + constant * c for a, b, c in zip(sources[name], exchange, easy, strict=True))
        return motion(fields, np.where(apart <= reach, slopes, 0.0), damping)

    for case in CASES:
        for name in sources:
            tell(f"{VOLTAGE} t, damping, exchange, anisotropy {case}, {name}", whole(name, case))
    for reach in (2, 3, 4, 5, 6, 8, 10, 14):
        tell(f"NEGF, {CASES[0]}, reach {reach}", whole("NEGF", CASES[0], reach))
