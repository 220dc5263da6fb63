"""What slides need of napari's private parts: slicing in the background in one viewer; held to by `tests/gui/test_slides.py`."""

from __future__ import annotations

import weakref
from typing import Any

from napari_tumorseg.widgets.napari_adapter import real

__all__ = ["refresh_in_background", "slice_in_background", "slices_in_background"]


def slices_in_background(viewer: Any) -> bool:
    """Whether napari loads what a viewer shows in a thread of its own ("async" in its settings)."""
    return not real(viewer)._layer_slicer._force_sync


def slice_in_background(viewer: Any, wanted: bool) -> None:
    """Let napari load what this viewer shows in a thread of its own, whatever the user's setting for all viewers says."""
    real(viewer)._layer_slicer._force_sync = not wanted


def refresh_in_background(layer: Any) -> None:
    """Let one layer hand its slicing to its viewer whenever its view changes, as all layers do under the user's setting.

    napari's own `Layer.refresh` asks the setting alone, and slices at once without it, whatever the viewer would do.
    """
    known = weakref.ref(layer)
    own = type(layer).refresh

    def refresh(event: Any = None, *, data_displayed: bool = True, extent: bool = True, **rest: bool) -> None:
        there = known()
        if there is None or there._refresh_blocked:
            return
        if not data_displayed:
            own(there, event, data_displayed=False, extent=extent, **rest)
            return
        there._refresh_sync(extent=extent, force=True)
        there.events.reload(layer=there)

    layer.__dict__["refresh"] = refresh
