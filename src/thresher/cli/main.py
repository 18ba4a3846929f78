"""The command line: `thresher demo | train | compare | reproduce | work | runs | prune | inspect | diagnose | …`."""

import json
import os
import sys
import warnings
from importlib.metadata import version

import typer
from rich.console import Console

from thresher.cli.bench import bench
from thresher.cli.compare import compare
from thresher.cli.demo import demo
from thresher.cli.diagnose import diagnose
from thresher.cli.inspect import inspect
from thresher.cli.prune import prune
from thresher.cli.reproduce import reproduce
from thresher.cli.runs import runs
from thresher.cli.sculpt import sculpt
from thresher.cli.train import train
from thresher.cli.work import work
from thresher.core.errors import ArgumentError, ThresherError
from thresher.training import Interrupted

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130

app = typer.Typer(
    name="thresher",
    help="Find sparse neural networks, train them, and see what can be trusted about the result.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong arguments, 130 interrupted (training under way is saved).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo)
app.command()(train)
app.command()(compare)
app.command()(sculpt)
app.command()(reproduce)
app.command()(work)
app.add_typer(runs)
app.command()(prune)
app.command()(inspect)
app.command()(diagnose)
app.command()(bench)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"thresher {version('thresher')}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Say which version."),
) -> None:
    """Find sparse neural networks, train them, and see what can be trusted about the result."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: messages and errors go to standard error, one line each."""
    words = sys.argv[1:] if arguments is None else arguments
    console = Console(stderr=True)
    warnings.showwarning = lambda message, *_: console.print(
        f"thresher: warning: {message}", style="yellow", markup=False, highlight=False, soft_wrap=True
    )
    as_json = "--json" in words
    try:
        code = _code_of(words, as_json)
        sys.stdout.flush()
    except ThresherError as error:
        code = _report(error, as_json, console)
    except BrokenPipeError:
        code = 0  # whoever read standard output has had enough; the work is done
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # or the interpreter complains as it flushes the old one
    except OSError as error:
        console.print(f"thresher: cannot write: {error.strerror or error}", style="red", markup=False)
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        code = EXIT_FAILED
    sys.exit(code)


def _code_of(words: list[str], as_json: bool) -> int:
    """The exit code that typer, which exits by itself, gives the command."""
    try:
        app(words)
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # typer makes a failure of it
            raise stop.__context__ from None
        if as_json and stop.code == EXIT_USAGE:  # the parser has said on standard error what is wrong
            print(json.dumps({"error": "UsageError", "message": "wrong arguments; see standard error"}))
        return stop.code if isinstance(stop.code, int) else 0
    return 0


def _report(error: ThresherError, as_json: bool, console: Console) -> int:
    console.print(f"thresher: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
    if as_json:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}))
    if isinstance(error, Interrupted):
        return EXIT_INTERRUPTED
    return EXIT_USAGE if isinstance(error, ArgumentError) else EXIT_FAILED
