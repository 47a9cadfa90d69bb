"""The Curie point of the simple cubic Heisenberg magnet from crossing Binder cumulants, with parallel tempering.

Published: kT_c = 1.44292(8) J (K. Chen, A. M. Ferrenberg, D. P. Landau, Phys. Rev. B 48, 3249 (1993)).  Writes curie.png,
and what was sampled in curie_sweep/.
"""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from spinase import SpinAtoms
from spinase.analysis import binder_cumulant, block_average
from spinase.calculators import HeisenbergCalculator
from spinase.dynamics import parallel_tempering
from spinase.sweep import grid, sweep
from spinase.viz.figures import COLORS

PUBLISHED, STEPS = 1.44292, 4000
temperatures = np.linspace(1.40, 1.48, 5)


def temper(size: int) -> dict[str, np.ndarray]:
    """Mean spins at every step and temperature, and the part of exchanges that were accepted, of size^3 spins."""
    atoms = SpinAtoms.lattice("cubic", (size, size, size), rng=1, units="reduced")
    atoms.calc = HeisenbergCalculator(shells=[1.0])
    result = parallel_tempering(
        atoms,
        temperatures,
        STEPS,
        np.random.default_rng(size),
        thermalize=300,
        over_relaxation=2,
        observe=lambda spins: spins.mean(axis=0),
    )
    return {"observed": result.observed, "exchanges": result.exchanges}


# Kept in a folder: started again, the example only draws.  With workers=2 (and all below in a function that is called under
# `if __name__ == "__main__"`) both sizes run at the same time.
SIZES = [6, 12]
found = sweep(temper, grid(size=SIZES), "curie_sweep")
observed, orders, errors = dict(zip(SIZES, found["observed"], strict=True)), {}, {}
for size, exchanges in zip(SIZES, found["exchanges"], strict=True):
    averages = [block_average(np.linalg.norm(series, axis=1)) for series in observed[size].transpose(1, 0, 2)]
    orders[size], errors[size] = [a.mean for a in averages], [a.error for a in averages]
    exchanged, mean, error = 100 * exchanges.mean(), orders[size][0], errors[size][0]
    print(
        f"{size}^3 spins: {exchanged:.0f} % of exchanges accepted; |m| = {mean:.4f} +- {error:.4f} at kT = {temperatures[0]}"
    )


def cross(*measured: np.ndarray) -> tuple[float, list]:
    """Where the cumulants of two sizes cross, and their fits."""
    values = [[binder_cumulant(one) for one in series.transpose(1, 0, 2)] for series in measured]
    fits = [np.polynomial.Polynomial.fit(temperatures, one, 2) for one in values]
    fine = np.linspace(temperatures[0], temperatures[-1], 3001)
    return fine[np.argmin(np.abs(fits[0](fine) - fits[1](fine)))], fits


crossing, fits = cross(*observed.values())
parts = [np.delete(np.arange(STEPS), np.s_[k * STEPS // 20 : (k + 1) * STEPS // 20]) for k in range(20)]
error = np.sqrt(19 * np.var([cross(*(series[part] for series in observed.values()))[0] for part in parts]))  # jackknife


def cumulants(series: np.ndarray) -> tuple[list[float], np.ndarray]:
    """Binder cumulant at every temperature, and its jackknife error."""
    left_out = [[binder_cumulant(one[part]) for one in series.transpose(1, 0, 2)] for part in parts]
    return [binder_cumulant(one) for one in series.transpose(1, 0, 2)], np.sqrt(19 * np.var(left_out, axis=0))


print(f"cumulants cross at kT = {crossing:.4f} +- {error:.4f} J; published {PUBLISHED} J")

fig, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
fine = np.linspace(temperatures[0], temperatures[-1], 200)
for (size, series), fit, color in zip(observed.items(), fits, COLORS, strict=False):
    axes[0].errorbar(temperatures, orders[size], errors[size], fmt="o-", color=color, label=f"{size}³ spins", capsize=2)
    axes[1].errorbar(temperatures, *cumulants(series), fmt="o", color=color, capsize=2)
    axes[1].plot(fine, fit(fine), color=color, label=f"{size}³ spins")
axes[0].set(xlabel="kT [J]", ylabel="mean |M| [|m|]")
axes[1].set(xlabel="kT [J]", ylabel="Binder cumulant")
for ax in axes:
    ax.axvline(PUBLISHED, color="0.5", lw=0.8, ls="--", label="published Curie point")
    ax.legend(frameon=False)
axes[1].set_title(f"they cross at kT = {crossing:.4f} ± {error:.4f} J", fontsize="medium")
fig.savefig("curie.png", dpi=150)
