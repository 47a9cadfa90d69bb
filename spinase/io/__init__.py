"""Files: run files (H5MD), labels for training, databases."""

from spinase.io.database import read_magnet, write_magnet
from spinase.io.deepspin import DeepSpinFormat
from spinase.io.double_exchange import DoubleExchangeFormat
from spinase.io.frames_run import run_of_frames
from spinase.io.labels import Labels, read_labels, write_label_frames, write_labels
from spinase.io.mace_xyz import MaceFormat
from spinase.io.mcif import read_mcif
from spinase.io.run_file import Run, Series, read_run
from spinase.io.run_frames import run_conditions, write_frames

__all__ = [
    "DeepSpinFormat",
    "DoubleExchangeFormat",
    "Labels",
    "MaceFormat",
    "Run",
    "Series",
    "read_labels",
    "read_magnet",
    "read_mcif",
    "read_run",
    "run_conditions",
    "run_of_frames",
    "write_frames",
    "write_label_frames",
    "write_labels",
    "write_magnet",
]
