"""How chiral domains grow: random spins of a triangular s-d magnet, quenched by a learned model into tetrahedral order.

Tetrahedral order (J = 3 t, filling 1/4) has two chiralities, s_i.(s_j x s_k) = +-0.77 on every triangle.  Domains of both
form and coarsen.  Walls moved by their curvature alone would make the square of their size L grow linearly in time; L itself
was found to, and walls to prefer some directions (arXiv:2403.11705).  Two sizes are measured: the wavelength 2 pi/<|q|> of
the chirality's structure factor, and the mean distance of walls along a straight line.

    python examples/15_chiral_domains.py                 two quenches of 32 x 32 sites to time 160 (10 seconds): domains form
    python examples/15_chiral_domains.py chiral_sweep    the runs of a sweep (examples/15_chiral_domains/quench_192x192.toml)

Prints sizes, exponents with errors from the runs, both laws of growth, Porod's tail; writes chiral_domains.png.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from spinase import SpinAtoms
from spinase.analysis import (
    ChiralityWalls,
    RadialProfile,
    chirality_edges,
    chirality_structure_factor,
    chirality_walls,
    growth_exponent,
    growth_law,
    local_exponents,
    mean_and_error,
    porod_wall_density,
    power_tail,
    primitive_lattice,
    radial_average,
    scalar_chirality,
    sites_in_walls,
    triangles,
)
from spinase.analysis.chiral_walls import EDGES_BY_LENGTH, TETRAHEDRAL_CHIRALITY
from spinase.analysis.reciprocal import zone_mesh
from spinase.analysis.structure_factor import zone_centre_length
from spinase.calculators import LatticeCalculator
from spinase.dynamics import LLGDynamics
from spinase.io import read_run
from spinase.viz.figures import COLORS, SIGNS, scale_bar

SIZE, QUENCHES, END = 32, 2, 160.0
SAMPLES = 40  # of a run, at most
START, LAST = 0.7, 0.25  # the window: |chirality| of its ordered value, wavelength of the box


@dataclass(frozen=True)
class Seen:
    """Of one time of one run."""

    wavelength: float
    distance: float
    edges: float
    order: float
    in_walls: float
    walls: ChiralityWalls
    profile: RadialProfile


def quenches() -> Iterator[tuple[np.ndarray, SpinAtoms, list[np.ndarray]]]:
    """Times, the magnet and its moments of every quench made here."""
    for seed in range(QUENCHES):
        atoms = SpinAtoms.lattice("triangular", (SIZE, SIZE), units="reduced", texture="random", rng=seed)
        atoms.calc = LatticeCalculator.shipped("triangular-tetrahedral-lattice")
        dynamics, frames = LLGDynamics(atoms, 0.8, damping=1.0, integrator="heun"), [atoms.moments.copy()]
        for _ in range(20):
            dynamics.run(round(END / (20 * 0.8)))
            frames.append(atoms.moments.copy())
        yield np.linspace(0.0, dynamics.get_time(), 21), atoms, frames


def stored(folder: Path) -> Iterator[tuple[np.ndarray, SpinAtoms, list[np.ndarray]]]:
    """The same of the runs of a sweep, also of one that goes on: up to the time that all of its runs have reached."""
    files = sorted(folder.glob("runs/*/run.h5"))
    if not files:
        sys.exit(f"{folder} holds no runs of a sweep (runs/*/run.h5)")
    runs = [read_run(file) for file in files]
    longest = max(len(run) for run in runs)
    runs = [run for run in runs if len(run) == longest]
    stride = -(-(longest - 1) // SAMPLES)
    for run in runs:
        yield run.times[::stride], run.atoms(0), [run.moments[k] for k in range(0, longest, stride)]


def look(atoms: SpinAtoms, frames: list[np.ndarray]) -> list[Seen]:
    """What there is to see in every frame of a run."""
    found, mesh, rows = triangles(atoms), zone_mesh(primitive_lattice(atoms)), []
    finest = float(np.linalg.norm(mesh.reciprocal, axis=1).min())
    for moments in frames:
        atoms.moments = moments
        factor, walls = chirality_structure_factor(atoms, found, mesh), chirality_walls(atoms, found)
        rows.append(
            Seen(
                2.0 * np.pi * zone_centre_length(factor.wavevectors, factor.values),
                walls.domain_length,
                EDGES_BY_LENGTH * chirality_edges(atoms, found).domain_length,
                float(np.abs(scalar_chirality(atoms, found)).mean()),
                float(sites_in_walls(atoms, found).mean()),
                walls,
                radial_average(factor, finest),
            )
        )
    return rows


def mean_of(rows: list[list[Seen]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the runs (T,), and its standard error."""
    values = np.array([[getattr(seen, name) for seen in run] for run in rows])
    return mean_and_error(values)


def window_of(times: np.ndarray, rows: list[list[Seen]], box: int) -> tuple[float, float]:
    """From the time when triangles have their order until the wavelength is a part of the box, or the end."""
    ordered = np.flatnonzero(mean_of(rows, "order")[0] >= START * TETRAHEDRAL_CHIRALITY)
    small = np.flatnonzero(mean_of(rows, "wavelength")[0] <= LAST * box)
    first = min(ordered[0] if len(ordered) else len(times) - 3, len(times) - 3)
    return float(times[first]), float(times[max(small[-1], first + 2)])


def tell(times: np.ndarray, rows: list[list[Seen]], window: tuple[float, float]) -> None:
    """Tables and fits."""
    names = ("wavelength", "distance", "edges", "order", "in_walls")
    columns = {name: mean_of(rows, name) for name in names}
    turned = np.array([[seen.walls.anisotropy() for seen in run] for run in rows])
    print("time     " + "  ".join(f"{name:>14}" for name in (*names, "<cos 6 theta>")))
    for k, now in enumerate(times):
        cells = [f"{mean[k]:8.3f}({error[k]:.3f})" for mean, error in columns.values()]
        cells.append("{:8.3f}({:.3f})".format(*mean_and_error(turned[:, k])))
        print(f"{now:7.1f}  " + "  ".join(cells))
    print(f"{len(rows)} runs; window from {window[0]:g} to {window[1]:g} hbar/t")
    for name in ("wavelength", "distance"):
        sizes = np.array([[getattr(seen, name) for seen in run] for run in rows])
        found = growth_exponent(times, sizes, window)
        print(f"{name}: exponent {found.mean:.3f} +- {found.error:.3f}; of the runs {np.round(found.runs, 2).tolist()}")
        for power in (1, 2):
            law = growth_law(times, sizes, power, window)
            told = f"  L^{power} = {law.offset:.3g} + {law.rate:.4g} t: chi^2 {law.chi_square:.1f} of {law.degrees}"
            print(f"{told}; leaves {law.misfit.mean():.3f} a of a run")
        places, local = local_exponents(times, sizes)
        cells = [f"{t:.0f}: {x:.2f}({e:.2f})" for t, x, e in zip(places, *mean_and_error(local), strict=True)]
        print(f"  d ln L/d ln t at {', '.join(cells)}")


def tell_tails(times: np.ndarray, rows: list[list[Seen]]) -> None:
    """Porod's tail at four times, and the length of walls it means."""
    for k in np.linspace(len(times) // 4, len(times) - 1, 4).round().astype(int):
        distance = mean_of(rows, "distance")[0][k]
        profile, kept = mean_profile(rows, k), np.sqrt(np.mean([seen.order**2 for seen in (run[k] for run in rows)]))
        tail = power_tail(profile, min(6.0 / distance, 0.6), max(0.6, 12.0 / distance))
        density = porod_wall_density(tail.porod, float(kept), 4.0 / np.sqrt(3.0))
        walls = np.mean([run[k].walls.length / run[k].walls.area for run in rows])
        told = f"time {times[k]:g}: S ~ q^({tail.exponent:.2f} +- {tail.error:.2f})"
        print(f"{told}; walls by q^3 S {density:.4f}, measured {walls:.4f} 1/a")


def mean_profile(rows: list[list[Seen]], k: int) -> RadialProfile:
    """Radial structure factor of one time, mean over the runs."""
    first = rows[0][k].profile
    return RadialProfile(first.wavenumbers, np.mean([run[k].profile.values for run in rows], axis=0), first.counts)


def draw(times: np.ndarray, rows: list[list[Seen]], window: tuple[float, float], atoms: SpinAtoms, frames: list) -> None:
    """Growth, collapse and directions above, maps of the first run below."""
    figure, axes = plt.subplots(2, 4, figsize=(14, 5.8), layout="constrained")
    draw_growth(axes[0, :2], times, rows, window)
    inside = np.flatnonzero((times >= window[0]) & (times <= window[1]))
    for color, k in zip(COLORS, inside[np.linspace(0, len(inside) - 1, 5).round().astype(int)], strict=False):
        profile, length = mean_profile(rows, k), mean_of(rows, "wavelength")[0][k] / (2.0 * np.pi)
        axes[0, 2].loglog(profile.wavenumbers * length, profile.values / length**2, color=color, label=f"{times[k]:.0f} ħ/t")
        angles, weights = zip(*(run[k].walls.orientations(12, np.pi / 3.0) for run in rows), strict=True)
        axes[0, 3].plot(np.degrees(angles[0]), np.mean(weights, axis=0), "o-", ms=3, color=color)
    x = np.array([1.5, 8.0])
    axes[0, 2].loglog(x, 30.0 * x**-3.0, "k--", lw=1, label="$q^{-3}$")
    axes[0, 2].set(xlabel="$qL$,  $L = 1/\\langle|q|\\rangle$", ylabel="$S_\\chi(q, t)/L^2$", title="scaling collapse")
    axes[0, 2].set(xlim=(0.1, 12), ylim=(3e-4, 100))
    axes[0, 2].legend(frameon=False, fontsize="small")
    axes[0, 3].axhline(1.0, color="0.7", lw=0.8)
    axes[0, 3].set(xlabel="angle of a wall with a bond [°]", ylabel="length of walls / isotropic", ylim=(0, None))
    axes[0, 3].set(title="directions of walls", xlim=(0, 60), xticks=range(0, 61, 10))
    corners = triangles(atoms)
    for ax, k in zip(axes[1], np.geomspace(max(1, len(times) // 16), len(times) - 1, 4).round().astype(int), strict=True):
        atoms.moments = frames[k]
        places = corners.centres[:, :2]
        look_of = {"s": 1.2e4 / len(atoms), "marker": "h", "lw": 0, "cmap": SIGNS, "vmin": -0.77, "vmax": 0.77}
        shown = ax.scatter(*places.T, c=scalar_chirality(atoms, corners), **look_of)
        ax.set(aspect="equal", title=f"time {times[k]:.0f} ħ/t")
        ax.set_axis_off()
        scale_bar(ax, "a")
    figure.colorbar(shown, ax=axes[1], label="scalar chirality", shrink=0.8)
    figure.savefig("chiral_domains.png", dpi=120)


def draw_growth(axes: np.ndarray, times: np.ndarray, rows: list[list[Seen]], window: tuple[float, float]) -> None:
    """Both sizes against time with the laws, and their local exponents."""
    for color, name, label in zip(COLORS, ("wavelength", "distance"), ("wavelength 2πL", "distance of walls"), strict=False):
        sizes = np.array([[getattr(seen, name) for seen in run] for run in rows])
        mean, error = mean_of(rows, name)
        axes[0].errorbar(times[1:], mean[1:], error[1:], fmt="o", ms=3, color=color, label=label)
        for power, line in ((1, ":"), (2, "-")):
            inside = times[(times >= window[0]) & (times <= window[1])]
            axes[0].plot(inside, growth_law(times, sizes, power, window).length(inside), line, color=color, lw=1.2)
        places, local = local_exponents(times, sizes, 1.5)
        axes[1].errorbar(places, *mean_and_error(local), fmt="o-", ms=4, color=color, label=label)
    axes[0].set(xlabel="time [ħ/t]", ylabel="size [a]", title="L linear (dotted), L² linear (lines)", ylim=(0, None))
    axes[0].legend(frameon=False)
    for value in (0.5, 1.0):
        axes[1].axhline(value, color="0.7", lw=0.8)
    axes[1].set(xlabel="time [ħ/t]", ylabel="d ln L/d ln t", xscale="log", ylim=(-0.1, 1.4), title="local exponent")


def main() -> None:
    """Of a sweep, or of quenches made here."""
    source = stored(Path(sys.argv[1])) if len(sys.argv) > 1 else quenches()
    rows, first = [], None
    for times, atoms, frames in source:
        first = first or (times, atoms.copy(), frames)
        rows.append(look(atoms, frames))
    assert first is not None
    times, atoms, frames = first
    window = window_of(times, rows, round(np.sqrt(len(atoms))))
    tell(times, rows, window)
    tell_tails(times, rows)
    draw(times, rows, window, atoms, frames)


if __name__ == "__main__":
    main()
