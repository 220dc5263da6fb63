"""How commands speak: exit statuses, one-line errors, JSON, progress."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from napari_tumorseg.core.errors import Cancelled, TumorSegError
from napari_tumorseg.core.jobs import Progress, ProgressState

__all__ = ["emit", "run", "say", "shown_progress"]

DONE, OUR_FAULT, INPUT_AT_FAULT, STOPPED = 0, 1, 2, 130


def run(app: typer.Typer, argv: Sequence[str]) -> int:
    """Run `app` on `argv` and turn every outcome into an exit status."""
    command = typer.main.get_command(app)
    try:
        result = command.main(args=list(argv), prog_name="tumorseg", standalone_mode=False)
    except (KeyboardInterrupt, Cancelled):
        say("Stopped.")
        return STOPPED
    except TumorSegError as error:
        say(str(error))
        return INPUT_AT_FAULT
    except BrokenPipeError:
        # The reader of our output has left; there is nobody to tell.
        sys.stderr.close()
        return DONE
    except Exception as error:
        return _unexpected(error)
    if result == STOPPED:  # how typer reports a Ctrl-C that it caught itself
        say("Stopped.")
    return int(result) if isinstance(result, int) else DONE


def _unexpected(error: Exception) -> int:
    # typer bundles or imports click, depending on its version; both raise exceptions of this shape.
    if hasattr(error, "exit_code") and hasattr(error, "format_message"):
        say(" ".join(str(error.format_message()).split()))
        return INPUT_AT_FAULT
    if type(error).__name__ == "Abort":
        say("Stopped.")
        return STOPPED
    from napari_tumorseg.workflows.log import log_failure

    path = log_failure(error)
    say(f"Something went wrong inside tumorseg ({type(error).__name__}). The details are in {path}; please report it with that file.")
    return OUR_FAULT


def say(message: str) -> None:
    """Print one line for people on standard error."""
    sys.stderr.write(message + "\n")


def emit(document: Any, *, as_json: bool, text: str) -> None:
    """Print a result on standard output: one JSON document, or the text for people."""
    sys.stdout.write((json.dumps(document, indent=2, default=str, allow_nan=False) if as_json else text) + "\n")


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """Yield a `Progress` that draws a bar on a terminal and is silent in a pipe."""
    if not sys.stderr.isatty():
        yield Progress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)

        def report(state: ProgressState) -> None:
            bar.update(task, completed=state.fraction, description=state.message)

        yield Progress(report)
