"""Input files and their execution."""

from spinase.run.build import Setup, build_setup
from spinase.run.config import RunInput, read_input
from spinase.run.convert import export_labels, import_labels
from spinase.run.execute import Runner, RunOptions, run_file
from spinase.run.export import export_run
from spinase.run.output import FolderOutput, RunOutput, SilentOutput
from spinase.stopping import RunStopped

__all__ = [
    "FolderOutput",
    "RunInput",
    "RunOptions",
    "RunOutput",
    "RunStopped",
    "Runner",
    "Setup",
    "SilentOutput",
    "build_setup",
    "export_labels",
    "export_run",
    "import_labels",
    "read_input",
    "run_file",
]
