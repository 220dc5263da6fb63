"""The only file that touches what napari keeps private; held to by `tests/gui/test_napari_contract.py`.

napari gives no event before a label is written, announces strokes in a private form, and keeps a
history of its own. `LabelsHook` replaces, on one layer, the methods through which every edit of
napari 0.9 passes, so that edits can be checked before they are written and told to a document
afterwards. A subclass of Labels would do the same, but napari does not save subclasses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels
from napari.layers.labels._labels_key_bindings import complete_polygon, reset_polygon
from napari.layers.labels._labels_utils import get_contours
from napari.layers.labels.labels import _MaskedPaintAtom
from napari.utils.action_manager import action_manager
from napari.utils.task_status import Status
from qtpy.QtWidgets import QMainWindow, QWidget

from napari_tumorseg.core.grid import Box
from napari_tumorseg.voxels.ball import ball

__all__ = [
    "Edit",
    "HookCalls",
    "LabelsHook",
    "Stamp",
    "canvas_widget",
    "is_registered",
    "main_window",
    "real",
    "tell_unsaved",
]

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Edit:
    """One write of napari into a layer: where, which voxels of the box, their old and new values."""

    box: Box
    mask: npt.NDArray[np.bool_]
    old: Array
    new: Array


@dataclass(frozen=True, eq=False)
class Stamp:
    """What napari is about to paint.

    Attributes
    ----------
    box : Box
        Where, in the layer's axes.
    mask : numpy.ndarray
        Boolean, shape of the box: brush, filled area or polygon.
    centre : tuple of int, optional
        Middle of the brush; None for fill and polygon.
    """

    box: Box
    mask: npt.NDArray[np.bool_]
    centre: tuple[int, int, int] | None


@dataclass(frozen=True)
class HookCalls:
    """What a `LabelsHook` asks and tells its owner.

    Attributes
    ----------
    allowed : callable
        Given the present labels and the new value (or values), returns where it may be written,
        None for everywhere. For strokes also given the `Stamp`.
    committed : callable
        Told the edits of one stroke and the tool's name.
    undo, redo : callable
        Called instead of napari's own.
    brush_mm : callable
        Returns the diameter of the brush.
    enter, escape : callable
        Called for these keys where napari has no polygon or stroke of its own to end.
    picture : callable
        Given the present labels of a plane (2-D) and the contour width, returns the codes shown.
    describe : callable
        Given a world position, returns text for the status bar.
    """

    allowed: Callable[[Array, Any, Stamp | None], npt.NDArray[np.bool_] | None]
    committed: Callable[[list[Edit], str], None]
    undo: Callable[[], None]
    redo: Callable[[], None]
    brush_mm: Callable[[], float]
    enter: Callable[[], object]
    escape: Callable[[], object]
    picture: Callable[[Array, npt.NDArray[np.bool_], tuple[slice, ...]], Array]
    describe: Callable[[Sequence[float]], str]


class LabelsHook:
    """Stands between napari and the array of one Labels layer.

    Parameters
    ----------
    layer : napari.layers.Labels
        3-D, numpy-backed, not multiscale.
    calls : HookCalls
        The owner's side.
    """

    _REPLACED = (
        "_append_to_undo_history",
        "_apply_mask_to_data",
        "_calculate_cursor_size",
        "_get_brush_mask_and_bbox",
        "_raw_to_displayed",
        "data_setitem",
        "fill",
        "get_status",
        "paint",
        "paint_polygon",
        "redo",
        "undo",
    )

    def __init__(self, layer: Labels, calls: HookCalls) -> None:
        self._layer = layer
        self._calls = calls
        self._tool = ""
        self._centre: tuple[int, int, int] | None = None
        # Of the last stamp: its diameter and voxel size, and its voxels.
        self._brush: tuple[tuple[float, ...], Array] = ((), np.zeros((0, 0), bool))
        self._original = {name: getattr(layer, name) for name in self._REPLACED}
        for name in self._REPLACED:
            # Set on the object, so that the class and all other layers stay as they are.
            setattr(layer, name, getattr(self, f"_on_{name.lstrip('_')}"))
        # The keys of the class still serve: these are asked first.
        layer.bind_key("Enter", self._on_enter, overwrite=True)
        layer.bind_key("Escape", self._on_escape, overwrite=True)

    def release(self) -> None:
        """Give the layer its own methods back."""
        for name in self._REPLACED:
            self._layer.__dict__.pop(name, None)
        for key in ("Enter", "Escape"):
            self._layer.bind_key(key, None)

    @property
    def stroke_open(self) -> bool:
        """Whether a stroke has begun that is not yet committed or aborted."""
        return bool(self._layer._staged_history) or bool(self._layer._block_history)

    def refresh(self, box: Box) -> None:
        """Redraw the voxels of `box` (layer axes), and nothing when they are not in view."""
        layer = self._layer
        if not layer.loaded:
            return
        if not np.shares_memory(layer._slice.image.raw, layer.data):
            layer.refresh()
            return
        if layer._slice_input.ndisplay == 2:
            for axis, index in layer._get_pt_not_disp().items():
                if not box.start[axis] <= index < box.stop[axis]:
                    return
        if layer.contour == 0 and not np.shares_memory(layer._slice.image.view, layer.data):
            layer.refresh()
            return
        layer._accumulate_updated_slice(box.slices)
        layer._partial_labels_refresh()

    def shown_plane(self) -> tuple[slice | int, ...] | None:
        """Return the index of the plane in view, None in 3-D or before anything is shown."""
        layer = self._layer
        if not layer.loaded or layer._slice_input.ndisplay != 2:
            return None
        # The layer's own slice still is the old one while the new plane is being coloured.
        wanted = layer._slice_input
        point = np.rint(layer.world_to_data(wanted.world_slice.point)).astype(int)
        if any(not 0 <= point[axis] < layer.data.shape[axis] for axis in wanted.not_displayed):
            return None
        return tuple(int(point[axis]) if axis in wanted.not_displayed else slice(None) for axis in range(layer.ndim))

    @property
    def transposed(self) -> bool:
        """Whether rows and columns of the view are swapped against the order of the axes."""
        order = list(self._layer._slice_input.displayed)
        return order != sorted(order)

    def _name_tool(self, name: str) -> None:
        # A stroke is called after what began it; one that changed nothing leaves no name behind.
        if not self._layer._staged_history:
            self._tool = name

    def _on_paint(self, coord: Any, new_label: int, refresh: bool = True) -> None:
        self._name_tool("paint" if new_label else "erase")
        z, y, x = (round(float(c)) for c in coord)
        self._centre = (z, y, x)
        try:
            self._original["paint"](coord, new_label, refresh)
        finally:
            self._centre = None

    def _on_fill(self, coord: Any, new_label: int, refresh: bool = True) -> None:
        self._name_tool("fill")
        self._original["fill"](coord, new_label, refresh)

    def _on_paint_polygon(self, points: Any, new_label: int) -> None:
        self._name_tool("polygon")
        self._original["paint_polygon"](points, new_label)

    def _on_data_setitem(self, indices: Any, value: Any, refresh: bool = True) -> None:
        self._name_tool("script")
        indices = tuple(np.atleast_1d(i) for i in indices)
        values = np.broadcast_to(value, indices[0].shape)
        free = self._calls.allowed(self._layer.data[indices], values, None)
        chosen = slice(None) if free is None else free
        if free is None or free.any():
            self._original["data_setitem"](tuple(i[chosen] for i in indices), values[chosen].tolist(), refresh)

    def _on_apply_mask_to_data(self, data: Array, mask: Array, new_label: int, volume_slice: Any) -> Array | None:
        box = Box(*zip(*((int(s.start), int(s.stop)) for s in volume_slice), strict=True))  # type: ignore[arg-type]
        free = self._calls.allowed(data, new_label, Stamp(box, np.asarray(mask), self._centre))
        if free is not None:
            mask = mask & free
            if not mask.any():
                return None
        painted: Array | None = self._original["_apply_mask_to_data"](data, mask, new_label, volume_slice)
        return painted

    def _on_get_brush_mask_and_bbox(self, coord: Any, dims_to_paint: list[int], shape: list[int]) -> tuple[Array, Array, Array] | None:
        # napari's brush counts in voxels of the smallest painted side, so that its size in mm changes with the plane.
        scale = self._layer.scale
        wanted = (self._calls.brush_mm(), *(abs(float(scale[axis])) for axis in dims_to_paint))
        if wanted != self._brush[0]:
            self._brush = (wanted, ball(wanted[0], wanted[1:]))
        brush = self._brush[1]
        centre = np.array([round(float(coord[axis])) for axis in dims_to_paint])
        low = centre - np.array(brush.shape) // 2
        start, stop = np.maximum(low, 0), np.minimum(low + np.array(brush.shape), shape)
        if (start >= stop).any():
            return None
        return brush[tuple(slice(a, b) for a, b in zip(start - low, stop - low, strict=True))], start, stop

    def _on_calculate_cursor_size(self) -> float:
        return self._calls.brush_mm()

    def _on_append_to_undo_history(self, item: list[Any]) -> None:
        tool, self._tool = self._tool or "script", ""
        self._calls.committed([_edit(atom) for atom in item], tool)
        self._layer.events.paint(value=item)

    def _on_undo(self) -> None:
        if not self.stroke_open:
            self._calls.undo()

    def _on_redo(self) -> None:
        if not self.stroke_open:
            self._calls.redo()

    def _on_enter(self, layer: Labels) -> None:
        if layer._overlays["polygon"].points:
            complete_polygon(layer)
        else:
            self._calls.enter()

    def _on_escape(self, layer: Labels) -> None:
        if layer._overlays["polygon"].points or layer._overlays["brush_stroke"].active:
            reset_polygon(layer)
        else:
            self._calls.escape()

    def _on_raw_to_displayed(self, raw: Array, data_slice: tuple[slice, ...] | None = None) -> Array:
        layer = self._layer
        part = tuple(slice(0, n) for n in raw.shape) if data_slice is None else data_slice
        if layer.contour < 1 or raw.ndim != 2:
            return np.asarray(layer.colormap._data_to_texture(raw[part]))
        margin = layer.contour
        wide = tuple(slice(max(0, s.start - margin), min(n, s.stop + margin)) for s, n in zip(part, raw.shape, strict=True))
        inner = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(part, wide, strict=True))
        edge = get_contours(raw[wide], margin, 0)[inner] != 0
        return self._calls.picture(raw[part], edge, part)

    def _on_get_status(self, position: Any = None, **options: Any) -> dict[str, str]:
        status: dict[str, str] = self._original["get_status"](position, **options)
        text = self._calls.describe(position) if position is not None and options.get("world") else ""
        if text:
            status["coordinates"] += f"  {text}"
        return status


def _edit(atom: Any) -> Edit:
    if isinstance(atom, _MaskedPaintAtom):
        box = Box(*zip(*((int(s.start), int(s.stop)) for s in atom.slice_key), strict=True))  # type: ignore[arg-type]
        mask = np.ones(box.shape, bool) if atom.mask is None else np.asarray(atom.mask)
        old = np.asarray(atom.old_values).reshape(-1)
        return Edit(box, mask, old, np.full(old.shape, atom.new_value))
    indices, old, new = atom
    points = np.stack([np.asarray(i).ravel() for i in indices])
    start = points.min(axis=1)
    box = Box(tuple(int(v) for v in start), tuple(int(v) + 1 for v in points.max(axis=1)))  # type: ignore[arg-type]
    inside = tuple(points - start[:, None])
    mask = np.zeros(box.shape, bool)
    mask[inside] = True
    before, after = np.zeros(box.shape, np.int64), np.zeros(box.shape, np.int64)
    before[inside], after[inside] = np.ravel(old), np.broadcast_to(new, points.shape[1:])
    return Edit(box, mask, before[mask], after[mask])


def is_registered(action: str) -> bool:
    """Whether napari's shortcut settings know an action of this name."""
    return action in action_manager._actions


def real(viewer: Any) -> Any:
    """Return the viewer behind the wrapper in which napari hands it to a plugin's commands."""
    return getattr(viewer, "__wrapped__", viewer)


def main_window(viewer: Any) -> QMainWindow:
    """Return the Qt window of a viewer; it owns what belongs to the viewer."""
    window: QMainWindow = real(viewer).window._qt_window
    return window


def tell_unsaved(viewer: Any, known: Any, text: str) -> Any:
    """Let napari warn before its window is closed by hand; an empty text takes the warning back.

    Returns what is passed as `known` the next time.
    """
    if known is None:
        return viewer.window._register_task_status("Tumour segmentation", Status.BUSY, text) if text else None
    viewer.window._update_task_status(known, Status.BUSY if text else Status.COMPLETED, text)
    return known


def canvas_widget(viewer: Any) -> QWidget:
    """Return the Qt widget that the canvas is drawn on."""
    widget: QWidget = real(viewer).window._qt_viewer.canvas.native
    return widget
