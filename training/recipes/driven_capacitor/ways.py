"""Labels along the capacitor's own switching: python -B training/recipes/driven_capacitor/ways.py

Green's functions move the spins, and every field that they are asked for is a label at its voltage, at no further cost:
four voltages, 45 steps of two fields.  Half a minute each on one core; a voltage that is done is kept in ways_parts/.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators import NEGFCalculator
from spinase.dynamics import LLGDynamics
from spinase.io.labels import Labels, load_part, save_part, write_labels
from spinase.textures import spiral

HERE = Path(__file__).parent
INPUT = (HERE / "labels.toml").read_text(encoding="utf-8")
TABLE = tomllib.loads(INPUT)["calculator"]
STEPS = 45


class Asked(NEGFCalculator):
    """The teacher, which remembers what it is asked."""

    def field_function(self, atoms: SpinAtoms, lengths: np.ndarray | None = None) -> Callable[[np.ndarray], np.ndarray]:
        """That of the teacher; spins and fields go into ``kept``."""
        field, self.kept = super().field_function(atoms, lengths), getattr(self, "kept", [])

        def asked(spins: np.ndarray) -> np.ndarray:
            found = field(spins)
            self.kept.append((np.array(spins), np.array(found)))
            return found

        return asked


def way(bias: float, seed: int) -> list[Labels]:
    """Labels along one switching under a bias, its first and its second half."""
    atoms = SpinAtoms.lattice("square", (16, 6), units="reduced")
    atoms.pbc = (False, True, False)
    atoms.moments = 20.0 * spiral(geometry_of(atoms), np.random.default_rng(0), (8, 3, 0), axis=(1, 0, 0))
    calc = Asked.from_config(Asked.Config.model_validate({k: v for k, v in TABLE.items() if k != "style"} | {"bias": bias}))
    atoms.calc = calc
    rng = np.random.default_rng(seed)
    LLGDynamics(atoms, 30.0, damping=1.0, kT=0.003, integrator="heun", rng=rng, probe=False).run(STEPS)
    kept = calc.kept[1:]
    return [labels(atoms, part, bias) for part in (kept[: len(kept) // 2], kept[len(kept) // 2 :])]


def labels(atoms: SpinAtoms, kept: list[tuple[np.ndarray, np.ndarray]], bias: float) -> Labels:
    """Labels of spins (N, 3) and fields (N, 3), energy/moment, that were kept."""
    spins, fields = (np.array([pair[k] for pair in kept]) for k in (0, 1))
    count = len(kept)
    return Labels(
        numbers=atoms.numbers.astype(np.int64),
        pbc=atoms.pbc.copy(),
        positions=np.repeat(atoms.positions[None], count, axis=0),
        cells=np.repeat(atoms.cell.array[None], count, axis=0),
        moments=20.0 * spins,
        energies=np.full(count, np.nan),
        magnetic_forces=fields,
        forces=None,
        kinds=["spiral in motion"] * count,
        units="reduced",
        biases=np.full(count, bias),
    )


def main() -> None:
    """ways.h5 beside this file."""
    folder, parts = HERE / "ways_parts", list[Labels]()
    folder.mkdir(exist_ok=True)
    for bias in (-6.0, -6.2, -6.4, -6.7):
        files = [folder / f"{bias}_{half}.npz" for half in (0, 1)]
        if not all(file.exists() for file in files):
            for file, part in zip(files, way(bias, seed=1), strict=True):
                save_part(file, part)
        parts += [load_part(file) for file in files]
    teacher = json.dumps(TABLE, sort_keys=True)
    attributes = {
        "title": "a capacitor's own switching",
        "units": "reduced",
        "seed": "1",
        "input": INPUT,
        "teacher": teacher,
    }
    write_labels(HERE / "ways.h5", parts, attributes)


if __name__ == "__main__":
    main()
