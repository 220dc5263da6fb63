"""Opening slides in napari's window, without the window waiting for their tiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_tumorseg import _npe2
from napari_tumorseg._layers import SLIDE_KEY, LayerData

__all__ = ["get_reader", "load_in_background", "read_slides"]

PathOrPaths = str | Sequence[str]


def get_reader(path: PathOrPaths) -> _npe2.Reader | None:
    """Return what `_npe2.get_reader` returns, but for slides a reader that also prepares the current viewer."""
    reader = _npe2.get_reader(path)
    return read_slides if reader is _npe2.read_slides else reader


def read_slides(path: PathOrPaths) -> list[LayerData]:
    """Open slides as `_npe2.read_slides` does, and let the current viewer load their tiles in the background."""
    import napari

    layers = _npe2.read_slides(path)
    viewer = napari.current_viewer()
    if viewer is not None:
        load_in_background(viewer)
    return layers


def load_in_background(viewer: Any) -> None:
    """Let this viewer load the tiles of its slides in a thread of its own, until the last slide is removed.

    The user's setting is not touched, and other viewers and other layers of this viewer refresh as before. Without
    it every pan waits until the tiles are decoded.
    """
    from napari_tumorseg.widgets.napari_slicing import refresh_in_background, slice_in_background, slices_in_background

    if slices_in_background(viewer):
        return
    slice_in_background(viewer, True)

    def on_inserted(event: Any) -> None:
        if SLIDE_KEY in event.value.metadata:
            refresh_in_background(event.value)

    def on_removed(event: Any) -> None:
        layers = event.source
        if SLIDE_KEY in event.value.metadata and not any(SLIDE_KEY in layer.metadata for layer in layers):
            layers.events.inserted.disconnect(on_inserted)
            layers.events.removed.disconnect(on_removed)
            slice_in_background(viewer, False)

    viewer.layers.events.inserted.connect(on_inserted)
    viewer.layers.events.removed.connect(on_removed)
