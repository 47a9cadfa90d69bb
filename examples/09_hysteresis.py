"""Hysteresis against Stoner and Wohlfarth: the loop of examples/09_hysteresis/hysteresis.toml, and where it switches.

The field goes on while the moment turns, so that it switches a little late; the slower the ramp, the less.  Writes
hysteresis.png and the run in hysteresis_run/.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from spinase.io import read_run
from spinase.run.execute import RunOptions, run_file
from spinase.viz.figures import COLORS

source = Path(__file__).with_suffix("") / "hysteresis.toml"
run = read_run(run_file(source, options=RunOptions(output=Path("hysteresis_run"), overwrite=True)))
along = run.observables["magnetization"]["z"].values
field = run.observables["conditions"]["field"].values[:, 2]  # of the same steps: run files tell what the magnet was held at
down = np.arange(len(field)) <= field.argmin()

angle, anisotropy = np.radians(20.0), 2 * 0.1  # B_K = 2 K/mu
t = np.cbrt(np.tan(angle))
exact = anisotropy * np.sqrt(1 - t**2 + t**4) / (1 + t**2)
switched = field[down][np.argmax(np.abs(np.diff(along[down])))]
late = 100 * (-switched / exact - 1)
print(f"switches at {switched:+.3f} on the way down, {field[~down][np.argmax(np.diff(along[~down]))]:+.3f} on the way up")
print(f"Stoner-Wohlfarth at 20 degrees: {exact:.3f}, {late:.1f} % earlier: the field goes on while the moment turns")
print(f"remanence {np.interp(0, -field[down], along[down]):.3f}")

fig, ax = plt.subplots(figsize=(5, 3.8), layout="constrained")
ax.plot(field[down], along[down], color=COLORS[0], label="down")
ax.plot(field[~down], along[~down], color=COLORS[1], label="up")
for sign, label in ((-1, None), (1, "Stoner-Wohlfarth")):
    ax.axvline(sign * exact, color="0.5", lw=0.8, ls="--", label=label)
ax.set(xlabel="field [t/|m|]", ylabel="magnetization along the field [|m|]")
ax.text(0.0, 0.0, f"switches {late:.1f} % late:\nthe field goes on while\nthe moment turns", ha="center", fontsize="small")
ax.legend(frameon=False, fontsize="small", ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
fig.savefig("hysteresis.png", dpi=150)
