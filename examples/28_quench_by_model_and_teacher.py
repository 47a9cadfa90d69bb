"""One quench of the tetrahedral magnet by a learned model and by the exact solver that taught it, from the same spins.

Size of the chiral domains, order and energy against time, and maps of the chirality at the end: what the model gets wrong in
fields adds up over the run, and shows how far a larger quench by the model can be believed.  A third run integrates the
Landau-Lifshitz form, which is the Gilbert form with the clock running 1 + damping^2 times as fast.

    python examples/28_quench_by_model_and_teacher.py            48 x 48 sites to time 288 (two minutes, most of them exact)

Writes quench_by_model_and_teacher.png.
"""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from spinase import SpinAtoms
from spinase.analysis import chirality_correlation_length, chirality_walls, scalar_chirality, triangles
from spinase.calculators import LatticeCalculator, RationalCalculator, teacher_of
from spinase.dynamics import LLGDynamics
from spinase.viz.figures import COLORS, SIGNS, scale_bar

SIZE, END, STEP, SEED = 48, 288.0, 1.6, 3
NAME = "triangular-tetrahedral-lattice"
model = LatticeCalculator.shipped(NAME)
exact = RationalCalculator(teacher_of(NAME).model, tolerance=1e-4, dtype="complex64")  # fields to 1e-5 t
COLUMNS = (
    "wavelength 2πL of the chirality [a]",
    "distance of walls [a]",
    "mean |chirality|",
    "energy by exact solver [t/site]",
)


def quench(calculator, form: str = "landau-lifshitz-gilbert", step: float = STEP) -> tuple[np.ndarray, SpinAtoms]:
    """Rows of numbers at every twentieth of as many steps, and the magnet at its end."""
    atoms = SpinAtoms.lattice("triangular", (SIZE, SIZE), units="reduced", texture="random", rng=SEED)
    atoms.calc, found, rows = calculator, triangles(atoms), []
    dynamics = LLGDynamics(atoms, step, damping=1.0, form=form, integrator="heun")
    for k in range(21):
        dynamics.run(round(k * END / (20 * STEP)) - dynamics.nsteps)
        length, chirality = chirality_correlation_length(atoms, found), scalar_chirality(atoms, found)
        energy = exact.get_property("free_energy", atoms) / len(atoms)
        rows.append([2 * np.pi * length, chirality_walls(atoms, found).domain_length, np.abs(chirality).mean(), energy])
    return np.array(rows), atoms


times = np.array([round(k * END / (20 * STEP)) * STEP for k in range(21)])
runs = {
    "exact": quench(exact),
    "model": quench(model),
    "model, Landau-Lifshitz": quench(model, "landau-lifshitz", STEP / 2),  # as many steps, by 1 + damping^2 smaller
}
print("time     " + "   ".join(f"{name} (exact, model)" for name in COLUMNS))
for k, now in enumerate(times):
    print(f"{now:7.1f}  " + "   ".join(f"{runs['exact'][0][k, c]:8.4f} {runs['model'][0][k, c]:8.4f}" for c in range(4)))
signs = {name: np.sign(scalar_chirality(atoms)) for name, (_, atoms) in runs.items()}
alike = np.mean(signs["exact"] == signs["model"])
print(f"at time {times[-1]:g} the chirality has the same sign on {alike:.3f} of the triangles")
forms = np.abs(runs["model"][1].spins - runs["model, Landau-Lifshitz"][1].spins).max()
print(f"both forms of the damping differ by {forms:.1e} in the spins, at times that differ by 1 + damping^2")

figure, axes = plt.subplots(2, 3, figsize=(12, 6.6), layout="constrained")
for c, (ax, name) in enumerate(zip([axes[0, 0], axes[0, 1], axes[1, 0], axes[1, 1]], COLUMNS, strict=True)):
    for color, way in zip(COLORS, ("exact", "model"), strict=False):
        shown = slice(1, None) if c < 2 else slice(None)
        ax.plot(times[shown], runs[way][0][shown, c], "o-", ms=3, color=color, label=way)
    ax.set(xlabel="time [ħ/t]", ylabel=name)
axes[0, 0].legend(frameon=False)
for ax, way in zip(axes[:, 2], ("exact", "model"), strict=True):
    atoms = runs[way][1]
    corners = triangles(atoms)
    shown = ax.scatter(
        *atoms.positions[corners.sites[:, 0], :2].T, c=scalar_chirality(atoms, corners), s=2e4 / SIZE**2, marker="h",
        cmap=SIGNS, vmin=-0.77, vmax=0.77, lw=0
    )  # fmt: skip
    ax.set(xlim=(-1, 1.5 * SIZE), ylim=(-1, 0.88 * SIZE), aspect="equal")
    ax.set_title(f"{way}, time {times[-1]:.0f} ħ/t", fontsize="medium")
    ax.set_axis_off()
    scale_bar(ax, "a")
figure.colorbar(shown, ax=axes[:, 2], label="scalar chirality", shrink=0.6)
figure.savefig("quench_by_model_and_teacher.png", dpi=150)
