"""The About box."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QMessageBox

from napari_tumorseg import __version__
from napari_tumorseg.core.settings import RESEARCH_USE_ONLY
from napari_tumorseg.widgets.napari_adapter import main_window

__all__ = ["about_text", "show_about"]


def about_text() -> str:
    """Return what About says."""
    return (
        f"<h3>Tumour segmentation {__version__}</h3>"
        "<p>Pre-segment tumours, correct them, and measure, in napari.</p>"
        f"<p><b>{RESEARCH_USE_ONLY}</b></p>"
        "<p>Apache License 2.0. Each model has a licence of its own; the step Segment names it.</p>"
    )


def show_about(viewer: Any) -> QMessageBox:
    """Show the box beside the window, which stays usable."""
    box = QMessageBox(main_window(viewer))
    box.setWindowTitle("About Tumour segmentation")
    box.setText(about_text())
    box.setModal(False)
    box.show()
    return box
