"""What a run leaves behind is apart from its loop: a folder, nothing on the disk, or an output of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from systems.inputs import NOISY, square_run

from spinase.contract import Driver
from spinase.errors import OutOfDomainError
from spinase.io import read_run
from spinase.run import Runner, RunOutput, RunStopped, Setup, SilentOutput, build_setup, read_input, run_file
from spinase.run.execute import check_stages

INPUT = square_run(
    4,
    4,
    f"""[[stage]]
steps = 20
{NOISY}[[stage]]
driver = "monte-carlo"
steps = 10
kT = 0.1
[[observer]]
style = "magnetization"
every = 3
[output]
every = 5
checkpoint_every = 7
""",
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.toml").write_text(INPUT)
    return tmp_path


def setup() -> Setup:
    return build_setup(read_input("in.toml")[0], Path.cwd())


def test_a_silent_run_moves_the_atoms_as_a_written_one_and_leaves_nothing(here: Path) -> None:
    silent = setup()
    output = SilentOutput(silent, check_stages(silent))
    runner = Runner(silent, output)
    runner.run()
    assert [path.name for path in here.iterdir()] == ["in.toml"]
    assert (runner.step, output.saved_step()) == (30, 30)
    written = read_run(run_file("in.toml"))
    np.testing.assert_array_equal(silent.atoms.moments, written.moments[-1])
    assert runner.time == written.times[-1]


def test_a_silent_run_goes_on_from_memory(here: Path) -> None:
    whole, first, second = setup(), setup(), setup()
    Runner(whole, SilentOutput(whole, check_stages(whole))).run()
    output = SilentOutput(first, check_stages(first))
    with pytest.raises(RunStopped, match=r"after 23 steps of 30 steps.*checkpoint in memory"):
        Runner(first, output, stop_after=23).run()
    kept = output.checkpoint
    assert kept is not None
    Runner(second, SilentOutput(second, check_stages(second))).run(kept)
    np.testing.assert_array_equal(second.atoms.moments, whole.atoms.moments)


class Kept(RunOutput):
    """An output of one's own: everything in lists."""

    place = "lists"

    def __init__(self, setup: Setup, drivers: Sequence[Driver]) -> None:
        super().__init__(setup, drivers)
        self.rows: list[tuple[str, int, dict[str, Any]]] = []
        self.told: list[int] = []
        self.states: list[int] = []
        self.reports: list[tuple[int, int, str]] = []

    @contextmanager
    def opened(self, checkpoint: Mapping[str, Any] | None) -> Iterator[None]:
        yield
        self.reports.append((0, 0, "closed"))

    def save(self, state: Mapping[str, Any]) -> None:
        self.states.append(int(state["step"]))

    def saved_step(self) -> int:
        return self.states[-1]

    def progress(self, done: int, total: int, stage: str) -> None:
        self.reports.append((done, total, stage))

    def _append(self, stream: str, now: Any, values: Mapping[str, Any]) -> None:
        self.rows.append((stream, now.step, dict(values)))

    def _tell(self, atoms: Any, now: Any, driver: Any) -> None:
        self.told.append(now.step)

    def _alarm(self, why: str) -> OutOfDomainError:
        return OutOfDomainError(f"heard: {why}")


def test_an_output_of_ones_own_gets_what_the_run_file_gets(here: Path) -> None:
    one = setup()
    output = Kept(one, check_stages(one))
    Runner(one, output).run()
    written = read_run(run_file("in.toml"))
    frames = [(step, values["particles/atoms/moment"]) for stream, step, values in output.rows if stream == "frames"]
    assert [step for step, _ in frames] == written.steps.tolist() == output.told
    np.testing.assert_array_equal([moments for _, moments in frames], written.moments)
    series = written.observables["magnetization"]["length"]
    looks = [
        (step, values["series/magnetization/length"]) for stream, step, values in output.rows if stream == "magnetization"
    ]
    assert [step for step, _ in looks] == series.steps.tolist()
    np.testing.assert_array_equal([value for _, value in looks], series.values)
    assert output.states == [0, 7, 14, 21, 28, 30]
    assert output.reports[-2:] == [(30, 30, "stage 1"), (0, 0, "closed")]


def test_an_alarm_is_the_outputs_to_tell(here: Path) -> None:
    for kind, told in ((SilentOutput, "^enough, at step 3"), (Kept, "^heard: enough, at step 3")):
        one = setup()
        output = kind(one, check_stages(one))
        observer = one.observers[0].observer
        original, looks = observer.observe, []

        def afraid(atoms: Any, original: Any = original, looks: list[int] = looks, observer: Any = observer) -> Any:
            looks.append(1)
            observer.alarm = "enough" if len(looks) == 2 else None
            return original(atoms)

        observer.observe = afraid
        with pytest.raises(OutOfDomainError, match=told):
            Runner(one, output).run()


MOVING = """units = "reduced"
[atoms]
lattice = "square"
size = [4, 4]
mass = 1.0
[[calculator.terms]]
style = "heisenberg"
law = { amplitude = 1.0, decay = 1.0, reference = 1.0, cutoff = 1.8 }
[calculator]
style = "sum"
"""
STAGE = """[[stage]]
driver = "spin-lattice"
timestep = 0.02
steps = 2
"""


def test_the_temperature_at_which_a_later_stage_begins_does_not_move_the_first(here: Path) -> None:
    """Drivers of all stages are built before the run; the momenta of one that draws them are its own."""
    (here / "one.toml").write_text(MOVING + STAGE)
    (here / "two.toml").write_text(MOVING + STAGE + STAGE + "initial_kT = 0.5\n")
    one, two = (build_setup(read_input(name)[0], here) for name in ("one.toml", "two.toml"))
    Runner(one, SilentOutput(one, check_stages(one))).run()
    with pytest.raises(RunStopped):
        Runner(two, SilentOutput(two, check_stages(two)), stop_after=2).run()
    np.testing.assert_array_equal(two.atoms.positions, one.atoms.positions)
    whole = build_setup(read_input("two.toml")[0], here)
    Runner(whole, SilentOutput(whole, check_stages(whole))).run()
    assert whole.atoms.get_kinetic_energy() / 32 == pytest.approx(0.25, rel=0.8)


def test_free_lengths_may_follow_sampling(here: Path) -> None:
    """Reference lengths that are those of the moments leave spins of length one; the free stage then changes them."""
    landau = """[[calculator.terms]]
style = "landau"
coefficients = [-1.0, 0.5, 0.0]
"""
    stages = """[[stage]]
driver = "hybrid-monte-carlo"
kT = 0.5
steps = 3
[[stage]]
driver = "llg"
longitudinal_rate = 0.1
timestep = 0.02
steps = 3
"""
    magnet = MOVING.replace("[calculator]", landau + "[calculator]")
    (here / "free.toml").write_text(magnet + stages)
    (here / "sampled.toml").write_text(magnet + stages[: stages.index("[[stage]]", 5)])
    built, sampled = (build_setup(read_input(name)[0], here) for name in ("free.toml", "sampled.toml"))
    Runner(sampled, SilentOutput(sampled, check_stages(sampled))).run()
    with pytest.raises(RunStopped):
        Runner(built, SilentOutput(built, check_stages(built)), stop_after=3).run()
    np.testing.assert_allclose(built.atoms.spins, sampled.atoms.spins, atol=1e-12)
    whole = build_setup(read_input("free.toml")[0], here)
    Runner(whole, SilentOutput(whole, check_stages(whole))).run()
    assert np.ptp(np.linalg.norm(whole.atoms.moments, axis=1)) > 1e-4
