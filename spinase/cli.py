"""The command line.  Heavy packages are imported inside the commands, so that ``spinase --help`` is quick."""

from __future__ import annotations

import itertools
import json
import os
import shlex
import sys
import traceback
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from spinase import __version__
from spinase.cli_files import STOPPED, LogLevel, export, listen, movie, shown_progress, sweep, view
from spinase.errors import InputError, SpinaseError, StyleError
from spinase.listing import description_text, list_text, options_text
from spinase.styles import Style, find_style, list_styles, load_style, registry_problems
from spinase.team import ToldElsewhere

app = typer.Typer(
    help="Spin and spin-lattice dynamics for magnets whose spins are coupled by electrons.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

InputPath = Annotated[Path, typer.Argument(help="TOML input file", show_default=False)]
Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="replace an entry of the input")]
_OF_TRAINING = ("label", "train", "validate", "calibrate", "learn")  # commands of the package spinase-training


@app.command()
def run(
    file: InputPath,
    set_: Overrides = None,
    restart: Annotated[bool, typer.Option("--restart", help="go on from the checkpoint")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace a run in the directory")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check everything, compute nothing")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="directory (default: <input>_run)")] = None,
    figures: Annotated[bool, typer.Option("--figures/--no-figures", help="draw the figures at the end")] = True,
    stop_after: Annotated[int | None, typer.Option(min=0, help="stop with a checkpoint after so many steps")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="say nothing but errors and warnings")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="lines on the way instead of a bar")] = False,
    log_level: LogLevel = None,
) -> None:
    """Run an input file: trajectory, log, checkpoints and figures in one directory."""
    listen(log_level)
    if dry_run:
        check(file, set_)
        return
    from spinase.run import RunOptions, RunStopped, run_file

    if restart and overwrite:
        raise InputError("give --restart to go on with a run, or --overwrite to begin it anew, not both")
    options = RunOptions(output, restart, overwrite, stop_after)
    with shown_progress(quiet, verbose) as progress:
        try:
            path = run_file(file, set_ or (), options, progress)
        except RunStopped as stop:
            typer.echo(str(stop))
            again = ["spinase", "run", str(file), *(part for entry in set_ or () for part in ("--set", entry)), "--restart"]
            typer.echo(shlex.join([*again, *(() if output is None else ("--output", str(output)))]))
            raise typer.Exit(STOPPED) from None
    if path is None:  # another process writes, and tells
        return
    made = [path]
    if figures:
        from spinase.viz.report import plot_run

        made += plot_run(path, path.parent)
    for one in () if quiet else made:
        typer.echo(f"wrote {one}")


@app.command()
def new(
    kind: Annotated[str, typer.Argument(help="quench, spin-lattice, learn, device or curie", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="folder, or a name for the file (NAME.toml)")] = Path(),
) -> None:
    """Write a commented input file to start from, which runs as it stands."""
    from spinase.run.start import write_start

    for path in write_start(kind, output):
        typer.echo(f"wrote {path}")


@app.command()
def convert(
    sources: Annotated[list[Path], typer.Argument(help="files or directories of another program, or one label file")],
    output: Annotated[Path, typer.Option("--output", "-o", help="label file (HDF5), or what --to writes")],
    from_: Annotated[
        str | None, typer.Option("--from", metavar="FORMAT", help="double-exchange, mace, deepspin, ...")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="FORMAT", help="write a label file in this format instead")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="what the files do not say; see `spinase styles formats FORMAT`"),
    ] = None,
) -> None:
    """Convert labelled data of other programs into label files, or back."""
    from spinase.run.config import table_of
    from spinase.run.convert import export_labels, import_labels

    if (from_ is None) == (to is None) or (to is not None and len(sources) != 1):
        raise InputError("give --from FORMAT with the files to read, or --to FORMAT with one label file")
    options = table_of(set_ or ())
    if from_ is not None:
        typer.echo(f"wrote {import_labels(sources, output, from_, options)}")
    else:
        typer.echo(f"wrote {export_labels(sources[0], output, str(to), options)}")


@app.command()
def check(file: InputPath, set_: Overrides = None) -> None:
    """Check an input file and say what it would do and how long it takes (a few steps are made), without running it."""
    from spinase.run import build_setup, read_input
    from spinase.run.couplings import describe_couplings
    from spinase.run.execute import check_stages, describe_step
    from spinase.run.forecast import forecast, forecast_text
    from spinase.run.streams import RunStreams

    config, _ = read_input(file, set_ or ())
    setup = build_setup(config, file.resolve().parent)
    atoms = setup.atoms
    typer.echo(f"{file}: {config.title or 'no title'}")
    typer.echo(f"  {len(atoms)} sites ({atoms.get_chemical_formula()}), periodic {atoms.pbc.tolist()}, {config.units} units")
    g = sorted(set(atoms.g_factors.tolist()))
    if g != [2.0]:
        typer.echo(f"  g factors {', '.join(f'{value:g}' for value in g[:8])}{', ...' if len(g) > 8 else ''}")
    drivers = check_stages(setup)
    for stage, driver in zip(setup.stages, drivers, strict=True):
        typer.echo(f"  {stage.name}: {stage.steps} steps of {stage.driver.__name__} on {type(stage.calculator).__name__}")
        for line in describe_step(driver, stage.calculator):
            typer.echo(f"    {line}")
    for line in {line: None for stage in setup.stages for line in describe_couplings(stage.calculator, atoms)}:
        typer.echo(f"  {line}")
    for line in {line: None for stage in setup.stages for line in _trained_domain(atoms, stage.calculator)}:
        typer.echo(f"  {line}")
    streams = RunStreams(setup, drivers)
    typer.echo(f"  observers: {', '.join(streams.names) or 'none'}")
    typer.echo(f"  {forecast_text(forecast(setup, drivers))}")


@app.command()
def styles(
    kind: Annotated[
        str | None, typer.Argument(help="calculators, drivers, observers, ...; input: the input file", show_default=False)
    ] = None,
    name: Annotated[str | None, typer.Argument(help="one style of that kind", show_default=False)] = None,
    schema: Annotated[bool, typer.Option("--schema", help="with input: a JSON schema for editors")] = False,
) -> None:
    """List what can be chosen by name with package, version and citation, or describe one style with its options and units.

    ``spinase styles input`` lists the keys of an input file.
    """
    if schema:
        from spinase.run.schema import input_schema

        if kind != "input" or name is not None:
            raise StyleError(f"there is a schema of the whole input file only: `spinase styles input --schema`; got {kind}")
        typer.echo(json.dumps(input_schema(), indent=1))
    elif kind == "input" and name is None:
        from spinase.run.config import input_reference

        typer.echo("Keys of an input file of `spinase run`; options of styles and drivers: spinase styles KIND NAME\n")
        typer.echo(options_text(input_reference()))
    elif kind is None or name is None:
        typer.echo(list_text(kind))
        for problem in registry_problems():
            _tell_warning(problem)
    else:
        from spinase.options import describe

        typer.echo(description_text(describe(find_style(kind, name))))


def _trained_domain(atoms: Any, calculator: Any) -> list[str]:
    """For learned calculators: whether the atoms are like those of the training."""
    from spinase.contract import trained_domain_problem, trained_domains

    lines = trained_domains(calculator)
    if not lines:
        return []
    asked = atoms.copy()
    asked.calc = calculator
    problem = trained_domain_problem(asked)
    return [f"inside the training of {line}" for line in lines] if problem is None else [f"outside the training: {problem}"]


def _forces_of(card: Any) -> str:
    """What a model's card stands for besides fields."""
    forces = {True: "forces and stress", False: "no forces, no stress", None: "forces: not told"}[card.trained_forces()]
    energies = card.notes.get("errors", {}).get("properties", {}).get("energy_per_site")
    if energies is None:
        return forces
    return (
        f"{forces}; energies per site to {energies['rms_error']:.2g}, {energies['rms_error_without_offset']:.2g} between "
        "spins on the same sites"
    )


def _recipes() -> str:
    """Where the recipes of the models are."""
    found = find_spec("spinase_training")
    if found is None or found.origin is None:
        return "in the package spinase-training, which is not installed"
    package = Path(found.origin).parent
    return str(next((place for place in (package / "recipes", package.parent / "recipes") if place.is_dir()), package))


@app.command()
def models() -> None:
    """List the learned magnets that come with the package: units, errors, teacher."""
    from spinase.learning.model_file import load_model
    from spinase.learning.shipped import shipped_model, shipped_models

    for name in shipped_models():
        networks, card = load_model(shipped_model(name))
        errors = card.notes.get("errors", {})
        typer.echo(f"{name}: {card.notes.get('title', '')}")
        told = [errors.get(key, float("nan")) for key in ("r2", "rms_error", "rms_torque")]
        typer.echo(f"  {len(networks)} network(s), range {card.trunk.cutoff:g} a layer, units {card.units}")
        typer.echo(f"  trained on {card.domain().describe()}")
        bars = "a single network: no error bars" if len(networks) < 2 else "an ensemble with error bars"
        typer.echo(f"  {bars}; {_forces_of(card)}")
        typer.echo("  unseen magnets: torque R^2 {:.4f}, rms error {:.2g} of rms {:.2g}".format(*told))
        typer.echo(f"  teacher: {json.dumps(card.notes.get('teacher'))}")
        typer.echo(f"  made by: {card.notes.get('made_by', '')}")
    typer.echo(f"training/recipes: {_recipes()}")


@app.command()
def cite(
    file: InputPath,
    set_: Overrides = None,
    as_bibtex: Annotated[bool, typer.Option("--bibtex", help="as BibTeX entries")] = False,
) -> None:
    """What to cite for a run: references of everything that its input file uses, without running it."""
    from spinase.citations import bibtex
    from spinase.run import build_setup, read_input
    from spinase.run.cite import run_references

    config, _ = read_input(file, set_ or ())
    found = run_references(build_setup(config, file.resolve().parent))
    if as_bibtex:
        typer.echo(bibtex(found), nl=False)
        return
    for reference, users in found.items():
        typer.echo(f"{', '.join(users)}:\n  {reference.text}")
        if reference.link:
            typer.echo(f"  {reference.link}")


@app.command()
def plot(
    file: Annotated[
        Path, typer.Argument(help="run file (run.h5), its folder, or a trajectory (.traj, .xyz)", show_default=False)
    ],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="directory (default: the run's)")] = None,
) -> None:
    """Draw the figures of a run, also of one that is still running or was killed."""
    from spinase.viz.report import plot_run

    for path in plot_run(file, output or (file if file.is_dir() else file.parent)):
        typer.echo(f"wrote {path}")


@app.command()
def info() -> None:
    """Versions, threads, devices, linear algebra and installed styles."""
    import torch

    from spinase.compiled.threads import linear_algebra
    from spinase.run.provenance import is_editable, source_digest, versions

    for package, version in versions().items():
        typer.echo(f"{package:10} {version}")
    typer.echo(
        f"sources    {source_digest()[:16]} ({'editable: they may change' if is_editable() else 'installed package'})"
    )
    typer.echo(f"path       {Path(__file__).parent}")
    typer.echo(f"threads    {torch.get_num_threads()} of {os.cpu_count()} cores")
    devices = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    typer.echo(f"devices    cpu{''.join(f', {name}' for name in devices)}")
    for line in linear_algebra():
        typer.echo(f"algebra    {line}")
    counts: dict[str, int] = {}
    for style in list_styles():
        counts[style.kind] = counts.get(style.kind, 0) + 1
    typer.echo("styles     " + ", ".join(f"{count} {kind}" for kind, count in counts.items()))


for _command in (sweep, view, movie, export):
    app.command()(_command)


def _add_plugin_commands() -> None:
    """Commands that plugins register as ``spinase.commands``; imported only when one of them is called.

    Raises
    ------
    StyleError
        If the one that is called cannot be imported, two packages bring it, or it is one of training without that package.
    """
    words = [word for before, word in itertools.pairwise(sys.argv) if before != "--log-level"]
    wanted = next((word for word in words if not word.startswith("-")), None)
    owners = {style.name: style.package for style in _plugin_commands()}
    if wanted in _OF_TRAINING and wanted not in owners:
        raise StyleError(
            f"`spinase {wanted}` belongs to the package spinase-training, which is not installed: "
            "pip install ./training (from the sources of spinase)"
        )
    for name, owner in owners.items():
        if name == wanted:
            command = load_style("commands", name)
            if isinstance(command, typer.Typer):
                app.add_typer(command, name=name)
            else:
                app.command(name)(command)
        else:
            app.command(name, help=f"(of the package {owner})")(_placeholder)


def _plugin_commands() -> list[Style]:
    """Commands of plugins, but for names that spinase has itself: a plugin cannot take those over."""
    own = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    return [style for style in list_styles("commands") if style.name not in own]


def _placeholder() -> None:
    """Stands for a plugin's command in the list of commands."""


@app.callback(invoke_without_command=True)
def _main_options(
    version: Annotated[bool, typer.Option("--version", help="print the version")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="show the full traceback of an error")] = False,
    log_level: LogLevel = None,
) -> None:
    listen(log_level)
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Entry point of the ``spinase`` command: errors made on purpose are one line and exit status 2."""
    warnings.showwarning = _tell_warning  # type: ignore[assignment]
    words = sys.argv[1:]
    try:
        if words[:1] == ["styles"] and len(words) <= 3 and not any(word.startswith("-") for word in words):
            # typer makes pydantic models of the options of every command first, and a list is quick
            kind, name = (*words[1:], None, None)[:2]
            styles(kind, name)
        else:
            _add_plugin_commands()
            app()
    except ToldElsewhere:  # with status 0: mpiexec ends all when one has another, and the one that tells may not be done
        return
    except SpinaseError as error:
        _fail(str(error), STOPPED if getattr(error, "stopped", False) else 2)
    except MemoryError:
        _fail("not enough memory", 2)
    except OSError as error:
        _fail(": ".join(str(word) for word in (error.filename, error.strerror or error) if word), 2)


def _fail(message: str, status: int) -> None:
    """One line, and the exit status; the whole story with ``--debug``."""
    if "--debug" in sys.argv:
        traceback.print_exc()
        sys.exit(status)
    typer.secho(f"Error: {message}", fg=typer.colors.RED, err=True)
    sys.stderr.flush()
    sys.exit(status)


def _tell_warning(message: Warning | str, *_: object) -> None:
    """A warning is one line."""
    typer.secho(f"Warning: {message}", fg=typer.colors.YELLOW, err=True)


if __name__ == "__main__":
    main()
