"""Files: run files (H5MD), databases."""

from spinase.io.database import read_magnet, write_magnet
from spinase.io.run_file import Run, Series, read_run, write_frames

__all__ = ["Run", "Series", "read_magnet", "read_run", "write_frames", "write_magnet"]
