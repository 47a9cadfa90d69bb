"""The loop of examples/09_hysteresis/hysteresis.toml, with the field at which Stoner and Wohlfarth have it switch.

Writes hysteresis.png and the run in hysteresis_run/.
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
series = run.observables["magnetization"]["z"]
half = series.times[-1] / 2
down = series.times <= half
field = np.where(down, 0.3 - 0.6 * series.times / half, -0.3 + 0.6 * (series.times - half) / half)
along = series.values

angle, anisotropy = np.radians(20.0), 2 * 0.1  # B_K = 2 K/mu
t = np.cbrt(np.tan(angle))
exact = anisotropy * np.sqrt(1 - t**2 + t**4) / (1 + t**2)
switched = field[down][np.argmax(np.abs(np.diff(along[down])))]
print(f"switches at {switched:+.3f} on the way down, {field[~down][np.argmax(np.diff(along[~down]))]:+.3f} on the way up")
print(f"Stoner-Wohlfarth at 20 degrees: {exact:.3f}; remanence {np.interp(0, -field[down], along[down]):.3f}")

fig, ax = plt.subplots(figsize=(5, 3.8), layout="constrained")
ax.plot(field[down], along[down], color=COLORS[0], label="down")
ax.plot(field[~down], along[~down], color=COLORS[1], label="up")
for sign in (-1, 1):
    ax.axvline(sign * exact, color="0.5", lw=0.8, ls="--")
ax.set(xlabel="field [t/|m|]", ylabel="magnetization along the field", title="easy axis at 20 degrees")
ax.legend(frameon=False)
fig.savefig("hysteresis.png", dpi=150)
