"""Where tracebacks go, so that the user sees one line and we can still find the fault."""

from __future__ import annotations

import datetime as dt
import os
import platform
import tempfile
import traceback
from pathlib import Path

from napari_tumorseg import __version__
from napari_tumorseg.core.settings import Settings

__all__ = ["log_failure"]


def log_failure(error: BaseException, settings: Settings | None = None) -> Path:
    """Write the traceback of `error` to a new log file and return its path.

    The file names versions and code lines. Messages may hold paths that the user chose; image
    content and DICOM attributes are never logged. When the log folder cannot be written, the
    system's temporary folder is used.
    """
    from napari_tumorseg.workflows.environment import load_settings

    folder = (settings or load_settings()).log_dir
    now = dt.datetime.now(dt.UTC)
    name = f"tumorseg-{now:%Y-%m-%dT%H-%M-%S}-{os.getpid()}.log"
    text = "\n".join(
        [
            f"napari-tumorseg {__version__}, Python {platform.python_version()}, {platform.platform()}, {now.isoformat()}",
            "".join(traceback.format_exception(error)),
        ]
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    except OSError:
        folder = Path(tempfile.gettempdir())
        (folder / name).write_text(text, encoding="utf-8")
    return folder / name
