"""Open napari on a case, and picture its window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_tumorseg.core.case import Case
from napari_tumorseg.widgets.dock import DOCK_NAME, TumourDock
from napari_tumorseg.widgets.docking import add_dock, prefer_width, raise_dock
from napari_tumorseg.widgets.napari_adapter import main_window, real
from napari_tumorseg.workflows.segment import SegmentResult

__all__ = ["open_case", "open_dock", "picture", "run_demo"]

_WIDTH_PX, _HEIGHT_PX, _DOCK_PX = 1600, 960, 384


def open_dock(viewer: Any) -> TumourDock:
    """Return the dock with all steps, opened where it was not."""
    viewer = real(viewer)
    known = viewer.window.dock_widgets.get(DOCK_NAME)
    if isinstance(known, TumourDock):
        raise_dock(known)
        return known
    dock = TumourDock(viewer)
    prefer_width(viewer, add_dock(viewer, dock, DOCK_NAME, "right"), _DOCK_PX)
    return dock


def open_case(viewer: Any, case: Case, result: SegmentResult | None = None) -> TumourDock:
    """Show a case in a viewer, with the mask of a model ready to be corrected.

    Parameters
    ----------
    viewer : napari.Viewer
        With a window.
    case : Case
        What to show.
    result : SegmentResult, optional
        Its mask becomes the active one, and the largest lesion is brought into view.

    Returns
    -------
    TumourDock
        The dock, open at the step that comes next.
    """
    dock = open_dock(viewer)
    dock.session.open_case(case)
    dock.steps.open(1)
    if result is not None:
        name = result.mask.author.split(" ")[0] or "AI"
        dock.session.add_mask(result.mask, name, notes=result.notes)
        dock.work.segmented.emit(result)
        dock.steps.open(2)
        if result.lesions:
            dock.session.focus.go_to(result.lesions[0])
    return dock


def picture(viewer: Any, path: Path) -> Path:
    """Write a picture (PNG) of the real window and return its path."""
    import numpy as np
    from PIL import Image

    from napari_tumorseg.io.atomic import atomic_write

    shot = np.asarray(viewer.screenshot(canvas_only=False, flash=False))
    with atomic_write(path) as temporary:
        Image.fromarray(shot[..., :3]).save(temporary, format="PNG")
    return path


def run_demo(case: Case, result: SegmentResult, out: Path | None, show: bool) -> dict[str, Any]:
    """Open napari on a pre-segmented case.

    Parameters
    ----------
    case : Case
        What to show.
    result : SegmentResult
        What the model found in it.
    out : Path, optional
        Folder for ``screenshot.png`` when the window is not kept open.
    show : bool
        Whether the window stays open until the user closes it.

    Returns
    -------
    dict
        "screenshot" (path) when one was written, "lesions" (number in the table).
    """
    import napari

    viewer = napari.Viewer(title="Tumour segmentation", show=False)
    try:
        window = main_window(viewer)
        viewer.show()
        # napari restores its last size when it is shown.
        window.resize(_WIDTH_PX, _HEIGHT_PX)
        dock = open_case(viewer, case, result)
        settle(viewer, dock)
        told: dict[str, Any] = {"lesions": len(dock.session.lesions.rows)}
        if show:
            napari.run()
        elif out is not None:
            told["screenshot"] = str(picture(viewer, out / "screenshot.png"))
    finally:
        if not show:
            viewer.close()
    return told


def settle(viewer: Any, dock: TumourDock, limit_s: float = 20.0) -> None:
    """Let the window draw and the lesions be listed, so that a picture shows what a user would see."""
    import time

    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        QApplication.processEvents()
        if dock.session.lesions.up_to_date and main_window(viewer).isVisible():
            break
        time.sleep(0.02)
    rows = dock.session.lesions.rows
    if rows and dock.session.active is not None:
        dock.session.focus.go_to(rows[0])
    for _ in range(5):
        QApplication.processEvents()
