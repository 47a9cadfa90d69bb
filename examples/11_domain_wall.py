"""A domain wall between two ferromagnetic domains, moved by the electrons that a voltage drives through it.

    python examples/11_domain_wall.py [full [STEPS]]

The device continues into ferromagnetic leads, up on the left and down on the right.  Electrons that enter from one side are
polarized; in the wall their spin turns, and the wall takes up the difference.  In ds/dt = -gamma s x B a moment's angular
momentum is -m/gamma while that of an electron is hbar sigma/2, so that for coupling > 0 (electron spins along the moments,
as here) the wall runs against the electrons, for coupling < 0 (ordinary ferromagnets, the Zhang-Li torque) with them.
Writes wall_motion.png and wall_motion.csv, after every voltage.  `full`: 60x16 sites and 750 steps at each voltage instead
of 20x4 and 80, some eight minutes a voltage: +-0.3 t move the wall by -+7.31 a within 15,000 hbar/t, +-0.6 t by -+14.87 a,
steadily (speeds scatter by 2 %), while it turns.
"""

import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from spinase import SpinAtoms
from spinase.analysis import domain_wall
from spinase.atoms import geometry_of
from spinase.calculators import HeisenbergCalculator, NEGFCalculator, SpinSumCalculator, UniaxialAnisotropyCalculator
from spinase.dynamics import LLGDynamics
from spinase.electrons import LatticeLead, SDModel, ShellHopping
from spinase.textures import domain_wall as wall
from spinase.viz.figures import COLORS, current_map, site_map

FULL = sys.argv[1:2] == ["full"]
SIZE, STEPS, EVERY = ((60, 16), int((sys.argv[2:] or ["750"])[0]), 10) if FULL else ((20, 4), 80, 5)
MOMENT, TIMESTEP = 20.0, 20.0  # long moments are slow beside the electrons
TOLERANCE = 5e-3 if FULL else 2e-3  # of the density; that of the torque is a hundred times smaller
model = SDModel(ShellHopping([1.0]), coupling=1.0, chemical_potential=-2.5, kT=0.05)
leads = [LatticeLead("left", exchange=(0, 0, 1)), LatticeLead("right", exchange=(0, 0, -1))]


def follow(bias: float) -> tuple[SpinAtoms, NEGFCalculator, np.ndarray]:
    """The magnet after a while under a bias, its electrons, and time, position, width and angle of the wall (n, 4)."""
    atoms = SpinAtoms.lattice("square", SIZE, units="reduced")
    atoms.pbc = False
    atoms.moments = MOMENT * wall(geometry_of(atoms), np.random.default_rng(0), width=2.5, angle=np.pi / 2)
    negf = NEGFCalculator(model, leads, bias, tolerance=TOLERANCE, max_energies=4000)
    atoms.calc = SpinSumCalculator([negf, HeisenbergCalculator(shells=[0.2]), UniaxialAnisotropyCalculator(0.03)])
    dynamics = LLGDynamics(atoms, TIMESTEP, damping=0.1, probe=False)
    track = []

    def look() -> None:
        found = domain_wall(atoms)
        track.append((dynamics.get_time(), found.position, found.width, found.angle))

    dynamics.attach(look, interval=EVERY)
    dynamics.run(STEPS)
    return atoms, negf, np.array(track)


fig, panels = plt.subplot_mosaic(
    [["wall", "current"], ["map", "map"]], figsize=(9, 6), height_ratios=(1.5, 1), layout="constrained"
)
axes = [panels[name] for name in ("wall", "current", "map")]
axes[0].set(xlabel="time [ħ/t]", ylabel="position of the wall [a]")
rows = []
for bias, color in zip((-0.6, -0.3, 0.3, 0.6), COLORS, strict=False):
    atoms, negf, track = follow(bias)
    times, places = track[:, :2].T
    current = negf.get_property("lead_currents", atoms)[0]
    speed = (places[-1] - places[0]) / times[-1]
    print(
        f"bias {bias:+.1f} t: current {current:+.4f} per hbar/t, wall from {places[0]:.3f} to {places[-1]:.3f} a, "
        f"mean speed {speed:+.2e}",
        flush=True,
    )
    rows += [(bias, *row) for row in track]
    np.savetxt("wall_motion.csv", rows, delimiter=",", header="bias,time,position,width,angle", comments="", fmt="%.8g")
    axes[0].plot(times, places, "o-", ms=3, color=color, label=f"V = {bias:+.1f} t")
    axes[0].legend(frameon=False)
    fig.savefig("wall_motion.png", dpi=150)

voltages = np.linspace(-0.8, 0.8, 9)
axes[1].plot(voltages, negf.current_voltage(atoms, voltages)[:, 0], "o-", color=COLORS[0])
axes[1].set(xlabel="V [t]", ylabel="electrons from the left [t/ħ]")
site_map(axes[2], atoms.positions, atoms.spins[:, 2], None, "$s_z$", 1.0)
told = f"electrons at V = {bias:+.1f} t, longest arrow [t/ħ]:"
current_map(axes[2], atoms.positions, negf.get_property("current_map", atoms), told)
fig.savefig("wall_motion.png", dpi=150)
