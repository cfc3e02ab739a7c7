"""The commands of the program `priorbench`, and what becomes of their errors."""

from __future__ import annotations

import codecs
import contextlib
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import Annotated, Any

import typer

from priorbench.errors import UserError, in_one_line
from priorbench.machine.caches import use_caches
from priorbench.machine.signals import is_stopping
from priorbench.storage.files import explain

from .check_and_new import check, new
from .compare_and_power import compare, power
from .console import print_message, wants_tracebacks
from .edges import edges
from .look_up.list_and_show import list_components, show
from .options import add_help
from .report_and_export import export, publish, report
from .run import run, score
from .status_and_runs import runs, status
from .usage import refuse_nothing, refuse_options_as_values, usage_line
from .validate_and_fetch import fetch, validate

app = typer.Typer(
    name="priorbench",
    help="Which attribution prior is worth training with? Add --debug to any command to see the "
    "traceback of an error.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
_COMMANDS: dict[str, dict[str, Callable[..., int | None]]] = {
    "Run a study": {"run": run, "runs": runs, "status": status, "score": score},
    "Look at results": {
        "report": report,
        "compare": compare,
        "power": power,
        "export": export,
        "publish": publish,
    },
    "Look up and write components": {
        "list": list_components,
        "show": show,
        "new": new,
        "check": check,
        "edges": edges,
    },
    "Prepare data": {"fetch": fetch, "validate": validate},
}
for _panel, _commands in _COMMANDS.items():
    for _name, _command in _commands.items():
        app.command(_name, help=add_help(_command), rich_help_panel=_panel)(_command)

_PLACES = ("--out", "--to")
"""options that say where a command writes"""
_TELLS_ONLY = ("--help", "-h", "--version", "--install-completion", "--show-completion")
"""options with which a command only tells what there is, and needs no caches"""
_COMPLETING = "_PRIORBENCH_COMPLETE"
"""environment variable with which a shell asks for completions"""

_UsageError: Any = typer.BadParameter.__base__  # typer may carry a click of its own


def _print_version(requested: bool) -> None:
    if requested:
        from priorbench import __version__

        print(f"priorbench {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass


class _Output(FileIO):
    """Standard output, whose errors are told from those of files by their name."""

    CALLED = "standard output"

    def write(self, data: Any, /) -> int:
        """Write as a file does; an error has the name of this output."""
        try:
            return super().write(data)
        except OSError as error:
            error.filename = self.CALLED
            raise


def main() -> None:
    """Run the command line; errors of use and input are one line, exit status 2."""
    arguments = sys.argv[1:]
    # a test may have put something else in its place
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout is sys.__stdout__:
        codecs.register_error("priorbench", _encoded)
        sys.stdout = TextIOWrapper(
            BufferedWriter(_Output(sys.stdout.fileno(), "w", closefd=False)),
            encoding=sys.stdout.encoding,
            errors="priorbench",
            line_buffering=sys.stdout.line_buffering,
            write_through=sys.stdout.write_through,
        )
    try:
        if not (set(_TELLS_ONLY) & set(arguments) or _COMPLETING in os.environ):
            use_caches()
        exit_status = execute_command([argument for argument in arguments if argument != "--debug"])
    except (UserError, OSError) as error:
        if wants_tracebacks() or is_stopping():  # the caller says that it was interrupted
            raise
        print_message(f"error: {in_one_line(str(error))}")
        exit_status = 2
    if not _output_is_taken():  # what it did not take would be an error again when Python ends
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(exit_status)


def _encoded(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return the bytes of a path as they were; others that the terminal lacks are escaped."""
    assert isinstance(error, UnicodeEncodeError)
    error.end = error.start + 1  # a character by itself, whatever its neighbours are
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeEncodeError:
        return codecs.lookup_error("backslashreplace")(error)


def _output_is_taken() -> bool:
    """Return whether standard output has taken all that was printed."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        return False
    return True


def execute_command(arguments: list[str]) -> int:
    """Run a command and return its exit status.

    Args:
        arguments: what the user wrote after the program's name.

    Raises:
        UserError: if the command cannot be carried out as it was written.
    """
    refuse_nothing(arguments)
    refuse_options_as_values(arguments, _every_command())
    try:
        exit_status = _built()(arguments, prog_name="priorbench", standalone_mode=False) or 0
        if sys.stdout is not None:
            sys.stdout.flush()
        return int(exit_status)
    except BrokenPipeError:
        return 1
    except OSError as error:  # no such folder, no right to write, disk full
        if error.filename == _Output.CALLED:
            raise UserError(f"{error.filename} takes no more: {error.strerror}") from error
        raise UserError(explain(error, _option_of_place(arguments, error.filename))) from error
    except _UsageError as error:
        if not arguments:  # called without a command: the message is its help
            print(error.format_message())
            return 2
        raise UserError(usage_line(error)) from error


def _option_of_place(arguments: Sequence[str], path: object) -> str:
    """Return the option of a command that says where it writes.

    Args:
        arguments: what the user wrote after the program's name.
        path: what an error is about; if the user named it as input, it is not where to write.
    """
    inputs = [b for a, b in zip(["", *arguments], arguments, strict=False) if a not in _PLACES]
    if str(path) in inputs:
        return ""
    name = next((argument for argument in arguments if not argument.startswith("-")), "")
    commands = _every_command()
    if name not in commands:
        return ""
    options = inspect.signature(commands[name]).parameters
    return next((option for option in _PLACES if option.lstrip("-") in options), "")


@cache
def _built() -> Callable[..., Any]:
    """Return the program as click runs it; typer would make it anew at each call."""
    return typer.main.get_command(app)


def _every_command() -> dict[str, Callable[..., int | None]]:
    return {name: command for part in _COMMANDS.values() for name, command in part.items()}
