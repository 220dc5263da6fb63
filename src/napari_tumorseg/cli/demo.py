"""``tumorseg demo``: the main job on the sample case."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.jobs import Progress

__all__ = ["run_demo"]


def run_demo(out: Path, model_name: str, case_path: Path | None, window: bool, progress: Progress) -> dict[str, Any]:
    """Pre-segment a case, write mask and report into `out`, and show it in napari.

    Without a display (or with `window` False) the same happens under a virtual one, and `out`
    gets a screenshot of the window as well.
    """
    from napari_tumorseg.io.cases import read_case
    from napari_tumorseg.workflows.doctor import has_display, require_window
    from napari_tumorseg.workflows.models import open_catalogue
    from napari_tumorseg.workflows.segment import SegmentRequest, report, segment_case
    from napari_tumorseg.workflows.segment_files import write_result

    require_window()
    show = window and has_display()
    case = read_case(case_path or Path(str(files("napari_tumorseg"))) / "sample_data" / "brain_mets", progress=progress.part(0.0, 0.1))
    model = open_catalogue().load(model_name, progress.part(0.1, 0.15))
    result = segment_case(case, model, SegmentRequest(model_name, probabilities=True), progress.part(0.15, 0.9))
    # The window shows where the model was unsure; the folder gets mask and report alone.
    plain = replace(result, prediction=replace(result.prediction, probabilities={}))
    document = write_result(case, plain, report(plain, model.spec, None), out, replace=True)
    from napari_tumorseg.widgets.launch import run_demo as show_case

    progress.update(0.95, "Opening napari")
    if show:
        show_case(case, result, None, show=True)
        return {**document, "text": f"The pre-segmentation is in {out}."}
    with virtual_display():
        shown = show_case(case, result, out, show=False)
    screenshot = str(shown.get("screenshot", out / "screenshot.png"))
    text = f"No display here, so the demo ran under a virtual one. {out} holds the screenshot, the mask and the JSON report."
    return {**document, "screenshot": screenshot, "text": text}


@contextmanager
def virtual_display(width: int = 1920, height: int = 1080) -> Iterator[str]:
    """Run an X server without a screen and make it this process's display; yields its name."""
    read_end, write_end = os.pipe()
    command = ["Xvfb", "-displayfd", str(write_end), "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=(write_end,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(write_end)
    before = {name: os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")}
    try:
        with os.fdopen(read_end) as stream:
            number = stream.readline().strip()
        if not number:
            raise InputError("The virtual display (Xvfb) did not start.", "Type `Xvfb :99` to see why.")
        os.environ["DISPLAY"] = f":{number}"
        os.environ.pop("WAYLAND_DISPLAY", None)
        if sys.platform.startswith("linux"):
            os.environ["QT_QPA_PLATFORM"] = "xcb"
        yield f":{number}"
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        server.terminate()
        server.wait(timeout=10)
