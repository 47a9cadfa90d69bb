"""Input files and their execution."""

from spinase.run.build import Setup, build_setup
from spinase.run.config import RunInput, read_input
from spinase.run.execute import RunOptions, RunStopped, run_file

__all__ = ["RunInput", "RunOptions", "RunStopped", "Setup", "build_setup", "read_input", "run_file"]
