"""A wall under a voltage among pins: its speed against the voltage, in a clean strip and where anisotropy is random by site.

    python examples/32_pinned_walls.py [full]

The strip of `examples/18_driven_wall.py` (ten sites across, leads magnetized up and down), 24 sites long.  Clean, every site
has the easy-axis constant 0.03 t; with pins a fifth of the sites, drawn by a seed, have 0.15 t and the others none, so that
the mean stays what it is.  Electrons are those of the learned model `driven-wall`, and for some of the points Green's
functions (two dimensions, the same sites pinned, the same steps), whose fields the model is compared with on the way.

A wall at X with angle phi, summed over its rows, has 2 M (dphi/dt + damping dX/dt / width) = F, the force of the pins, and
2 M (dX/dt - damping width dphi/dt) = Q, the torque of the current (signs along their own way).  So F alone only turns it: a
wall stops where damping * width * F has become Q, and goes on turning there (`holding`: of a wall that does not bend).

A wall begins straight, where such a wall rests under the voltage, or without one where none would: pins are soft, and
settling takes some 7000 hbar/t.  Speeds are means over the second half of a run; a wall that has less than a quarter of the
clean wall's, or goes back, counts as pinned.  Errors are standard errors over the seeds.  No thermal noise: nothing creeps.

Then ways past many pins: a wall in an endless strip of them, of which a window of 20 columns around it is there.  Whenever
it has come a column on, one that is magnetized like the lead is put in front, with the next pins of the seed, and the last
one is cut off (`Window`).  As 2 M (1 + damping^2) dX/dt = Q - damping * width * F, such a run measures what pins hold at
every place; if the wall kept its shape, one voltage would tell the speed at any other (`told_speed`, a mean over places of
times).  It bends, and drags more the faster it is.

Writes pinned_walls.png, pinned_walls.csv and pinned_walls_far.csv (`full`: six minutes of CPU; what the tables have is not
run again), or pinned_walls_short.csv and pinned_walls_far_short.csv.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from spinase import SpinAtoms
from spinase.analysis import domain_wall, mean_and_error
from spinase.atoms import geometry_of
from spinase.calculators import HeisenbergCalculator, NEGFCalculator, SiteAnisotropyCalculator, SpinSumCalculator
from spinase.calculators.learned import LearnedCalculator
from spinase.dynamics import LLGDynamics
from spinase.electrons import LatticeLead, SDModel, ShellHopping
from spinase.textures import domain_wall as wall
from spinase.viz.figures import COLORS

FULL = sys.argv[1:] == ["full"]
LENGTH, WIDTH, MOMENT, EXCHANGE, DAMPING, TIMESTEP = 24, 10, 20.0, 0.2, 0.3, 10.0
ANISOTROPY, PINS = 0.03, 0.2  # mean of the sites, part of them that have all of it
CLEAN = -1  # in place of a seed
SEEDS = (1, 2, 3, 4) if FULL else (1, 2)
VOLTAGES = (0.06, 0.1, 0.2, 0.3, 0.4, 0.6) if FULL else (0.1, 0.6)
EXACT = {CLEAN: (0.06, 0.2, 0.6), 1: (0.1, 0.6)} if FULL else {CLEAN: (0.6,)}  # voltages of Green's functions by seed
LOOKS, LONGEST = (30, 4200.0) if FULL else (4, 400.0)  # looks at a run, its time at most
TABLE = Path("pinned_walls.csv" if FULL else "pinned_walls_short.csv")
HEADER = "who,seed,voltage,time,position,width,angle,negf_torque,model_torque"
FAR = {0.6: 28.0, 0.5: 14.0, 0.4: 14.0, 0.35: 14.0} if FULL else {0.6: 1.0}  # ways past many pins by voltage, a
SKIP, BLOCK = (4.0, 2.0) if FULL else (0.1, 0.1)  # way that is left out, parts whose times give the error, a
WINDOW, KEPT_AT, AHEAD, BEHIND = 20, 9.0, 120, 16  # columns that are there, place of the wall in them, columns of pins
FAR_STEP, FAR_EVERY = 15.0, 14 if FULL else 2  # time step, steps between looks
FAR_TABLE = Path("pinned_walls_far.csv" if FULL else "pinned_walls_far_short.csv")
INERTIA = 2.0 * WIDTH * MOMENT * (1.0 + DAMPING**2)  # torque over speed of a wall, hbar/a
STILL = 0.25  # of the clean wall's speed: slower ones are pinned
LEADS = [LatticeLead("left", exchange=(0, 0, 1)), LatticeLead("right", exchange=(0, 0, -1))]
ELECTRONS = SDModel(ShellHopping([1.0]), coupling=1.0, chemical_potential=-2.5, kT=0.05)


class Point(NamedTuple):
    """A run: whose electrons (`negf`, `model`), the seed of the pins, the voltage [t]."""

    who: str
    seed: int
    voltage: float


def duration(point: Point) -> float:
    """Time of a run, hbar/t."""
    if not FULL:
        return 40.0 if point.who == "negf" else LONGEST
    if point.seed == CLEAN:
        return 900.0
    return 1500.0 if point.who == "negf" else LONGEST


def strip(place: float) -> SpinAtoms:
    """The strip with a straight wall at a place along it, a."""
    atoms = SpinAtoms.lattice("square", (LENGTH, WIDTH), units="reduced")
    atoms.pbc = (False, True, False)
    spins = wall(geometry_of(atoms), np.random.default_rng(0), width=1.75, angle=np.pi / 2, position=place / (LENGTH - 1))
    atoms.moments = MOMENT * spins
    return atoms


def strengths(seed: int) -> np.ndarray:
    """Easy-axis constants of the sites, t."""
    if seed == CLEAN:
        return np.full(LENGTH * WIDTH, ANISOTROPY)
    pinned = np.random.default_rng(seed).random(LENGTH * WIDTH) < PINS
    return np.where(pinned, ANISOTROPY / PINS, 0.0)


def push(voltage: np.ndarray | float) -> np.ndarray | float:
    """Torque of the current on the clean wall, t, by odd powers of the voltage: to 1 % what the model has."""
    return 0.42 * voltage + 0.28 * voltage**3


def holding(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of a rigid wall from where pins hold it without a voltage, four sites on, a, and damping * width * F there, t.

    A wall of width w at X has the energy E(X) = sum K / cosh^2((x - X) / w): from its minimum next to 0.7 of the strip.
    """
    width, x, middle = 1.7, np.arange(LENGTH)[:, None], 0.7 * (LENGTH - 1)
    places = middle + np.linspace(4.0, -8.0, 241)
    if seed == CLEAN:
        return places[80:161], np.zeros(81)
    energy = strengths(seed).reshape(LENGTH, WIDTH).sum(axis=1) @ np.cosh((x - places) / width) ** -2
    low = np.flatnonzero((energy[1:-1] < energy[:-2]) & (energy[1:-1] < energy[2:])) + 1
    begin = low[np.argmin(np.abs(places[low] - middle))]
    return places[begin : begin + 81], -DAMPING * width * np.gradient(energy, places)[begin : begin + 81]


def rest(seed: int, voltage: float) -> float:
    """Where a rigid wall stops under a voltage; where it would not stop, its place without one, a."""
    places, held = holding(seed)
    return float(places[np.argmax(held >= push(voltage))])


def calculators(voltage: float) -> dict[str, NEGFCalculator | LearnedCalculator]:
    return {
        "negf": NEGFCalculator(ELECTRONS, LEADS, voltage, tolerance=3e-3, max_energies=4000),
        "model": LearnedCalculator.shipped("driven-wall", bias=voltage, outside_domain="ignore"),
    }


def torque(atoms: SpinAtoms, calculator: NEGFCalculator | LearnedCalculator) -> float:
    """What moves the wall: z component of the summed torque of the electrons on all spins, t."""
    return float(calculator.get_property("torques", atoms)[:, 2].sum())


def run(point: Point) -> np.ndarray:
    """Time, position, width, angle, torques of NEGF (NaN unless it moves the wall) and of the model, (LOOKS + 1, 6)."""
    atoms, both, track = strip(rest(point.seed, point.voltage)), calculators(point.voltage), []
    constants, axes = strengths(point.seed), np.tile([0.0, 0.0, 1.0], (LENGTH * WIDTH, 1))
    parts = [both[point.who], HeisenbergCalculator(shells=[EXCHANGE]), SiteAnisotropyCalculator(constants, axes)]
    atoms.calc = SpinSumCalculator(parts)
    dynamics = LLGDynamics(atoms, TIMESTEP, damping=DAMPING, integrator="heun", probe=False)

    def look() -> None:
        found = domain_wall(atoms)
        exact = torque(atoms, both["negf"]) if point.who == "negf" else np.nan
        track.append((dynamics.get_time(), found.position, found.width, found.angle, exact, torque(atoms, both["model"])))

    interval = max(1, round(duration(point) / TIMESTEP / LOOKS))
    dynamics.attach(look, interval=interval)
    dynamics.run(interval * LOOKS)
    return np.array(track)


def all_strengths(seed: int) -> np.ndarray:
    """Easy-axis constants of the endless strip, t, (AHEAD + LENGTH + BEHIND, WIDTH): `strengths` with others around."""
    ahead, behind = (
        np.where(np.random.default_rng([seed, part]).random((columns, WIDTH)) < PINS, ANISOTROPY / PINS, 0.0)
        for part, columns in ((1, AHEAD), (2, BEHIND))
    )
    return np.concatenate([ahead[::-1], strengths(seed).reshape(LENGTH, WIDTH), behind])


class Window:
    """A wall in the endless strip, of which WINDOW columns around it are there; its places are those of the short strip."""

    def __init__(self, seed: int, voltage: float) -> None:
        begin = rest(seed, 0.0)
        self.pins, self.first = all_strengths(seed), round(begin - KEPT_AT - 1.0)
        self.atoms = SpinAtoms.lattice("square", (WINDOW, WIDTH), units="reduced")
        self.atoms.pbc = (False, True, False)
        rng, place = np.random.default_rng(0), (begin - self.first) / (WINDOW - 1)
        self.atoms.moments = MOMENT * wall(geometry_of(self.atoms), rng, width=1.75, angle=np.pi / 2, position=place)
        self.shared = [calculators(voltage)["model"], HeisenbergCalculator(shells=[EXCHANGE])]
        self.bind()
        self.dynamics = LLGDynamics(self.atoms, FAR_STEP, damping=DAMPING, integrator="heun", probe=False)

    def bind(self) -> None:
        """Give the sites their pins."""
        constants = self.pins[AHEAD + self.first : AHEAD + self.first + WINDOW].ravel()
        axes = np.tile([0.0, 0.0, 1.0], (WINDOW * WIDTH, 1))
        self.atoms.calc = SpinSumCalculator([*self.shared, SiteAnisotropyCalculator(constants, axes)])

    def look(self) -> tuple[float, float, float, float]:
        """Time, position, width and angle after the next steps."""
        self.dynamics.run(FAR_EVERY)
        found = domain_wall(self.atoms)
        row = self.dynamics.get_time(), found.position + self.first, found.width, found.angle
        if found.position < KEPT_AT:
            front = np.tile([0.0, 0.0, MOMENT], (WIDTH, 1))
            self.atoms.moments = np.concatenate([front, self.atoms.moments[:-WIDTH]])
            self.first -= 1
            self.bind()
        return row


def run_far(seed: int, voltage: float) -> np.ndarray:
    """Time, position, width, angle of a wall until it has its way, or has gone 1 % of a clean one's in 27,000 hbar/t."""
    window, pure = Window(seed, voltage), push(voltage) / INERTIA
    track: list[tuple[float, float, float, float]] = []
    while not track or track[0][1] - track[-1][1] < FAR[voltage]:
        track.append(window.look())
        time, place = (track[-1][part] - track[-131:][0][part] for part in (0, 1))
        if len(track) > 130 and -place < 0.01 * pure * time:
            break
    return np.array(track)


def far_tracks() -> dict[tuple[int, float], np.ndarray]:
    """Tracks past many pins by seed and voltage; what the table has is not run again."""
    found: dict[tuple[int, float], list[list[float]]] = {}
    if FULL and FAR_TABLE.exists():
        for line in FAR_TABLE.read_text(encoding="utf-8").splitlines()[1:]:
            seed, voltage, *row = line.split(",")
            found.setdefault((int(seed), float(voltage)), []).append([float(word) for word in row])
    else:
        FAR_TABLE.write_text("seed,voltage,time,position,width,angle\n", encoding="utf-8")
    tracks = {key: np.array(rows) for key, rows in found.items()}
    for key in ((seed, voltage) for voltage in FAR for seed in SEEDS):
        if key not in tracks:
            tracks[key] = run_far(*key)
            with FAR_TABLE.open("a", encoding="utf-8") as file:
                file.writelines(f"{key[0]},{key[1]},{','.join(f'{x:.8g}' for x in row)}\n" for row in tracks[key])
    return tracks


def reached(track: np.ndarray, ways: np.ndarray) -> np.ndarray:
    """Times at which a wall first has these ways."""
    return np.interp(ways, np.maximum.accumulate(way(track)), track[:, 0])


def far_speed(track: np.ndarray, end: float) -> tuple[float, float]:
    """Mean speed from the way SKIP to `end`, a t/hbar, its error from the times of parts of BLOCK; 0 if held before."""
    if way(track).max() < end:
        return 0.0, 0.0
    times = np.diff(reached(track, np.arange(SKIP, end + 1e-9, BLOCK)))
    mean = BLOCK / times.mean()
    return mean, mean * times.std(ddof=1) / np.sqrt(len(times)) / times.mean()


def held_along(track: np.ndarray, voltage: float) -> tuple[np.ndarray, np.ndarray]:
    """Ways, a, and torques that pins hold there, t: that of the current less what the speed over half a site takes."""
    ways = np.arange(0.0, way(track).max(), 0.25 if FULL else 0.05)
    times = reached(track, ways)
    return ways[1:-1], push(voltage) - INERTIA * (ways[2:] - ways[:-2]) / (times[2:] - times[:-2])


def told_speed(held: np.ndarray, voltage: float) -> float:
    """Mean speed of a wall at a voltage where pins hold these torques along its way; 0 if held."""
    left = push(voltage) - held
    return float(1.0 / np.mean(INERTIA / left)) if left.size and left.min() > 0.0 else 0.0


def rigid_along(seed: int, begin: float, ways: np.ndarray) -> np.ndarray:
    """Torques, t, that pins hold on a wall of 1.7 sites that does not bend, at ways from a place."""
    x, fine, width = np.arange(-AHEAD, LENGTH + BEHIND)[:, None], np.arange(-AHEAD, LENGTH, 0.05), 1.7
    energy = all_strengths(seed).sum(axis=1) @ np.cosh((x - fine) / width) ** -2
    return np.interp(begin - ways, fine, -DAMPING * width * np.gradient(energy, fine))


def frees(tracks: dict[tuple[int, float], np.ndarray], seed: int) -> float:
    """Voltage that lets a wall past the pins of the shortest way, t: what they hold at most, continued to a wall at rest."""
    gone = [voltage for voltage in FAR if way(tracks[seed, voltage]).max() > min(FAR.values())]
    along = [held_along(tracks[seed, voltage], voltage) for voltage in gone]
    most = np.array([held[ways < min(FAR.values())].max() for ways, held in along])
    return float(volts(np.polyfit([push(voltage) for voltage in gone] - most, most, 1)[1]))


def volts(torques: np.ndarray | float) -> np.ndarray | float:
    """Voltages whose current has these torques, t."""
    fine = np.linspace(-1.0, 1.0, 2001)
    return np.interp(torques, push(fine), fine)


def points() -> list[Point]:
    by_model = [Point("model", seed, voltage) for voltage in VOLTAGES[::-1] for seed in (CLEAN, *SEEDS)]
    exact = [Point("negf", seed, voltage) for seed, voltages in EXACT.items() for voltage in voltages[::-1]]
    same = [Point("model", *one[1:]) for one in exact if one.voltage not in VOLTAGES]
    return exact + same + by_model


def kept() -> dict[Point, np.ndarray]:
    """Tracks of the table, by point."""
    found: dict[Point, list[list[float]]] = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines()[1:] if TABLE.exists() else ():
        who, seed, voltage, *rest = line.split(",")
        found.setdefault(Point(who, int(seed), float(voltage)), []).append([float(word) for word in rest])
    return {point: np.array(rows) for point, rows in found.items()}


def all_tracks() -> dict[Point, np.ndarray]:
    """Every point's track; what the table has is not run again."""
    tracks = kept() if FULL else {}
    if not tracks:
        TABLE.write_text(HEADER + "\n", encoding="utf-8")
    for point in points():
        if point not in tracks:
            track = tracks[point] = run(point)
            lines = [f"{point.who},{point.seed},{point.voltage},{','.join(f'{x:.8g}' for x in row)}\n" for row in track]
            with TABLE.open("a", encoding="utf-8") as file:
                file.writelines(lines)
            print(
                f"{point.who}, seed {point.seed}, {point.voltage} t: {way(track)[-1]:.3f} a in {track[-1, 0]:.0f} hbar/t",
                flush=True,
            )
    return tracks


def way(track: np.ndarray) -> np.ndarray:
    """Way against the electrons, a."""
    return track[0, 1] - track[:, 1]


def late_speed(track: np.ndarray) -> float:
    """Mean speed over the second half of a run, a t/hbar."""
    late = track[len(track) // 2 :]
    return float(way(late)[-1] / (late[-1, 0] - late[0, 0]))


def report(tracks: dict[Point, np.ndarray]) -> dict[float, tuple[float, float, int]]:
    """Speed with pins, its error and the number of pinned seeds by voltage; prints them beside the clean wall's."""
    found = {}
    for voltage in VOLTAGES:
        pure = late_speed(tracks[Point("model", CLEAN, voltage)])
        speeds = np.array([late_speed(tracks[Point("model", seed, voltage)]) for seed in SEEDS])
        speed, error = map(float, mean_and_error(speeds))
        found[voltage] = speed, error, int((speeds < STILL * pure).sum())
        print(
            f"{voltage:.2f} t: clean {pure:.3e} a t/hbar, with pins {speed:.3e} +- {error:.1e}, "
            f"{found[voltage][2]} of {len(SEEDS)} walls pinned"
        )
    clean = [tracks[Point("model", CLEAN, voltage)] for voltage in VOLTAGES]
    for seed in SEEDS:
        pairs = zip(VOLTAGES, clean, strict=True)
        free = [v for v, track in pairs if late_speed(tracks[Point("model", seed, v)]) > STILL * late_speed(track)]
        fine = np.linspace(0.0, 0.6, 601)
        stops = float(np.interp(holding(seed)[1].max(), push(fine), fine))
        print(f"seed {seed}: moves at {free} t; pins would hold a rigid wall up to {stops:.2f} t")
    return found


def report_far(tracks: dict[tuple[int, float], np.ndarray]) -> dict[float, tuple[float, float]]:
    """Part of the clean speed that walls past many pins have and its error by voltage; prints it, and what holds them."""
    found = {}
    for voltage in FAR:
        pure, end = push(voltage) / INERTIA, min(FAR.values())
        for seed in SEEDS:
            track = tracks[seed, voltage]
            mean, error = far_speed(track, FAR[voltage])
            ways, held = held_along(track, voltage)
            rigid, past = rigid_along(seed, track[0, 1], ways), ways > SKIP
            told = held_along(tracks[seed, max(FAR)], max(FAR))[1][: len(ways)]
            others = [told_speed(one[past], voltage) / pure for one in (told, rigid)]
            print(
                f"past pins, seed {seed}, {voltage} t: {way(track)[-1]:.1f} a in {track[-1, 0]:.0f} hbar/t; of the clean "
                f"speed {mean / pure:.3f}({error / pure:.3f}), told at {max(FAR)} t {others[0]:.3f}, a rigid wall "
                f"{others[1]:.3f}; held to {volts(held.max()):.3f} t at {ways[held.argmax()]:.1f} a, a rigid wall "
                f"to {volts(rigid.max()):.3f} t; correlation {np.corrcoef(held, rigid)[0, 1]:.2f}"
            )
        parts = np.array([far_speed(tracks[seed, voltage], end)[0] / pure for seed in SEEDS])
        found[voltage] = mean, error = float(parts.mean()), float(parts.std(ddof=1) / np.sqrt(len(parts)))
        print(f"past pins, {voltage} t, {SKIP:g} to {end:g} a: {mean:.3f}({error:.3f}) of the clean speed")
    for seed in SEEDS if len(FAR) > 1 else ():
        print(f"past pins, wall {seed} is free within {min(FAR.values()):g} a from {frees(tracks, seed):.3f} t on")
    return found


def compare(tracks: dict[Point, np.ndarray]) -> None:
    """Prints what Green's functions and the model say of the same walls."""
    for point in (point for point in tracks if point.who == "negf"):
        track, twin = tracks[point], tracks[Point("model", *point[1:])]
        learned, half = float(np.interp(track[-1, 0], twin[:, 0], way(twin))), len(track) // 2
        exact, same = track[half:, 4:].mean(axis=0)
        print(
            f"NEGF, seed {point.seed}, {point.voltage} t: way {way(track)[-1]:.4f} a, the model's {learned:.4f}, in "
            f"{track[-1, 0]:.0f} hbar/t; speed {late_speed(track):.3e} a t/hbar; "
            f"torque along the run {exact:.4e} t, of the model at the same spins {same:.4e}"
        )


def draw_far(axis: Axes, tracks: dict[tuple[int, float], np.ndarray]) -> None:
    """Voltages that pins hold along the way of the first seed's wall: as two voltages measure it, and of a rigid wall."""
    seed = SEEDS[0]
    for voltage, color in zip((0.4, max(FAR)) if FULL else FAR, COLORS[2:], strict=False):
        ways, held = held_along(tracks[seed, voltage], voltage)
        axis.plot(ways, volts(held), "-", color=color, label=f"wall under {voltage:g} t")
    rigid = rigid_along(seed, tracks[seed, max(FAR)][0, 1], ways)
    axis.plot(ways, volts(rigid), "k--", lw=0.9, label="wall that does not bend")
    axis.axhline(0.0, lw=0.6, color="0.7")
    axis.set(xlabel="way of the wall [a]", ylabel="voltage that pins hold [t]")
    axis.legend(frameon=False, fontsize=9)


def draw(
    tracks: dict[Point, np.ndarray],
    speeds: dict[float, tuple[float, float, int]],
    far: dict[tuple[int, float], np.ndarray],
    parts: dict[float, tuple[float, float]],
) -> None:
    """pinned_walls.png: mobility against voltage, what pins hold along a way, and ways against time."""
    fig, (left, middle, right) = plt.subplots(1, 3, figsize=(15, 4.0), layout="constrained")
    draw_far(middle, far)

    def mobility(point: Point) -> float:
        return 1e3 * late_speed(tracks[point]) / point.voltage

    left.plot(VOLTAGES, [mobility(Point("model", CLEAN, v)) for v in VOLTAGES], "-", color=COLORS[0], label="clean, model")
    exact = EXACT[CLEAN]
    shown = [mobility(Point("negf", CLEAN, v)) for v in exact]
    left.plot(exact, shown, "o", mfc="none", ms=7, color=COLORS[0], label="clean, Green's functions", zorder=3)
    for seed in SEEDS:
        left.plot(VOLTAGES, [mobility(Point("model", seed, v)) for v in VOLTAGES], ".", ms=4, color="0.6")
    mean, error = (np.array([1e3 * speeds[v][part] / v for v in VOLTAGES]) for part in (0, 1))
    left.errorbar(VOLTAGES, mean, error, fmt="-", capsize=3, color=COLORS[1], label="pins, model, the first sites")
    shown = sorted(parts)
    many, sure = (np.array([1e3 * push(v) / INERTIA * parts[v][part] / v for v in shown]) for part in (0, 1))
    left.errorbar(shown, many, sure, fmt="s-", ms=4, capsize=3, color=COLORS[2], label="pins, model, past many")
    left.axhline(0.0, lw=0.6, color="0.7")
    left.set(xscale="log", xlabel="voltage [t]", ylabel="speed / voltage [10⁻³ a/ħ]")
    left.set_xticks(VOLTAGES, [f"{v:g}" for v in VOLTAGES])
    left.minorticks_off()
    left.legend(frameon=False, fontsize=9)
    for point in (point for point in tracks if point.who == "negf" and (point.seed != CLEAN or not FULL)):
        track, twin = tracks[point], tracks[Point("model", *point[1:])]
        color = COLORS[2 + (point.voltage > 0.3)]
        shown_twin = twin[:, 0] <= track[-1, 0] + 0.5 * (twin[1, 0] - twin[0, 0])
        right.plot(twin[shown_twin, 0], way(twin)[shown_twin], "-", color=color, label=f"model, {point.voltage:g} t")
        right.plot(
            track[::2, 0],
            way(track)[::2],
            "o",
            ms=4,
            mfc="none",
            color=color,
            label=f"Green's functions, {point.voltage:g} t",
        )
    right.set(xlabel="time [ħ/t]", ylabel="way of the wall [a]")
    right.legend(frameon=False, fontsize=9)
    fig.savefig("pinned_walls.png", dpi=150)


if __name__ == "__main__":
    runs, past = all_tracks(), far_tracks()
    speeds = report(runs)
    compare(runs)
    draw(runs, speeds, past, report_far(past))
