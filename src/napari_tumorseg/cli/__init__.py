"""The command line: the same workflows as in the window.

Conventions of every command: ``--json`` prints one JSON document on standard output; exit status
0 done, 2 the user's input is at fault (one line on standard error), 1 our fault (the traceback is
in the log file that the message names), 130 stopped by Ctrl-C; a progress bar on a terminal, none
in a pipe.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; the entry point of ``tumorseg``.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; those of the process by default.
    """
    from napari_tumorseg.cli.app import app
    from napari_tumorseg.cli.console import run

    return run(app, list(sys.argv[1:] if argv is None else argv))
