"""A napari Labels layer as a view of a `MaskDocument`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_tumorseg._layers import LAYER_KEY, LayerGeometry
from napari_tumorseg.core.document import Change, MaskDocument, Origin, PatchSource
from napari_tumorseg.core.grid import Box, bounding_box
from napari_tumorseg.core.labels import LabelSchema
from napari_tumorseg.core.volume import Source
from napari_tumorseg.widgets.napari_adapter import Edit, HookCalls, LabelsHook, Stamp
from napari_tumorseg.workflows.scene import Scene

__all__ = ["Gate", "Highlight", "MaskBuffer", "MaskLayer"]

Array = npt.NDArray[Any]
#: Given what is about to be painted, in scene axes, returns which voxels of its box may be.
Gate = Callable[[Stamp], npt.NDArray[np.bool_]]
_LIGHT = 0.28


class Highlight:
    """Voxels whose outer outline is drawn white: a boolean block at a box of the scene."""

    def __init__(self, box: Box, inside: npt.NDArray[np.bool_]) -> None:
        self.box = box
        self.inside = inside

    def plane(self, index: Sequence[slice | int]) -> tuple[tuple[int, int], npt.NDArray[np.bool_]] | None:
        """Return row and column of the first voxel in a plane, and its outline there; None where it has none."""
        part: list[slice | int] = []
        corner: list[int] = []
        for axis, at in enumerate(index):
            start, stop = self.box.start[axis], self.box.stop[axis]
            if isinstance(at, slice):
                part.append(slice(None))
                corner.append(start)
            elif start <= at < stop:
                part.append(at - start)
            else:
                return None
        inside = np.pad(self.inside[tuple(part)], 1)
        within = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
        return (corner[0], corner[1]), inside[1:-1, 1:-1] & ~within


class MaskBuffer:
    """The array that all layers of one mask show, in scene axes.

    Parameters
    ----------
    document : MaskDocument
        The mask.
    scene : Scene
        Its grid is the document's.

    Attributes
    ----------
    array : numpy.ndarray
        Shape of the scene's grid; napari paints into it, the document is told afterwards.
    light : int
        Added to a label for its light fill.
    white : int
        Code of the white outline.
    on_enter, on_escape : callable
        What these keys do on any of the layers, while napari has nothing of its own to end.
    """

    def __init__(self, document: MaskDocument, scene: Scene) -> None:
        top = max(document.schema.values)
        # Codes above the labels stand for their light fill, so the type must hold twice the values.
        kind = np.uint8 if top < 127 else np.uint16
        self.array: Array = np.ascontiguousarray(scene.to_scene(document.labels)).astype(kind)
        self.light = 128 if kind is np.uint8 else 32768
        self.white = int(np.iinfo(kind).max)
        self.on_enter: Callable[[], object] = lambda: None
        self.on_escape: Callable[[], object] = lambda: None
        self._hooks: list[LabelsHook] = []

    @property
    def stroke_open(self) -> bool:
        """Whether a stroke has begun in any of the layers, so that array and document differ for good reason."""
        return any(hook.stroke_open for hook in self._hooks)

    def join(self, hook: LabelsHook) -> None:
        """Count a layer's hook in."""
        self._hooks.append(hook)

    def leave(self, hook: LabelsHook) -> None:
        """Count it out again."""
        if hook in self._hooks:
            self._hooks.remove(hook)


class MaskLayer:
    """Keeps a Labels layer and a document the same, whichever of the two is changed.

    The layer shows a copy of the document's labels in scene axes, which several layers may share. What napari paints is written
    to the document as a patch; a lock is obeyed before napari writes; what somebody writes into
    the layer's array directly is found by `sync` and recorded as external.

    Parameters
    ----------
    document : MaskDocument
        The mask.
    scene : Scene
        Its grid is the document's.
    name : str
        Name of the layer.
    person : str
        Who is working.
    source : Source, optional
        Of the reference image, so that napari's own Save writes its geometry.
    refused : callable
        Told in one line why a stroke changed nothing.
    describe : callable
        Given a voxel of the document (z, y, x), returns text for the status bar.
    buffer : MaskBuffer, optional
        That of another layer of the same document and scene, in another view.
    """

    def __init__(
        self,
        document: MaskDocument,
        scene: Scene,
        name: str,
        *,
        person: str = "",
        source: Source | None = None,
        refused: Callable[[str], None] | None = None,
        describe: Callable[[tuple[int, int, int]], str] | None = None,
        buffer: MaskBuffer | None = None,
    ) -> None:
        self.document = document
        self.scene = scene
        self.person = person
        self.highlight: Highlight | None = None
        self.gate: Gate | None = None
        self.buffer = buffer or MaskBuffer(document, scene)
        self._buffer = self.buffer.array
        self._refused = refused or (lambda _line: None)
        self._describe = describe or (lambda _voxel: "")
        self._colormap = _colormap(document.schema, self.buffer.light, self.buffer.white)
        geometry = LayerGeometry(document.grid, document.schema, source)
        self.layer = Labels(
            self._buffer,
            name=name,
            scale=scene.scale_mm,
            translate=scene.translate_mm,
            units="mm",
            colormap=self._colormap,
            opacity=1.0,
            metadata={LAYER_KEY: geometry},
        )
        self.layer.contour = 1
        self._brush_mm = 0.0
        self.layer.selected_label = document.schema.values[0]
        self._selected = self.layer.selected_label
        self._own = False
        self._hook = LabelsHook(
            self.layer,
            HookCalls(
                allowed=self._allowed,
                committed=self._committed,
                undo=self.undo,
                redo=self.redo,
                brush_mm=lambda: self._brush_mm,
                enter=lambda: self.buffer.on_enter(),
                escape=lambda: self.buffer.on_escape(),
                picture=self._picture,
                describe=self._status,
            ),
        )
        self.buffer.join(self._hook)
        self.layer.events.brush_size.connect(self._on_brush_size)
        self.brush_mm = 5 * min(scene.scale_mm)
        self._stop = document.listen(self._on_change)
        self.layer.events.data.connect(self._on_replaced)
        self.layer.events.set_data.connect(self._on_drawn)
        self.layer.events.selected_label.connect(self._on_selected)
        self.layer.events.colormap.connect(self._on_colormap)

    def close(self) -> None:
        """Let go of layer and document; both live on without each other."""
        self._stop()
        self.layer.events.data.disconnect(self._on_replaced)
        self.layer.events.set_data.disconnect(self._on_drawn)
        self.layer.events.selected_label.disconnect(self._on_selected)
        self.layer.events.colormap.disconnect(self._on_colormap)
        self.layer.events.brush_size.disconnect(self._on_brush_size)
        self.buffer.leave(self._hook)
        self._hook.release()

    @property
    def outlined(self) -> bool:
        """Whether masks are shown as outline and light fill; otherwise they are filled."""
        return bool(self.layer.contour > 0)

    @outlined.setter
    def outlined(self, value: bool) -> None:
        self.layer.contour = 1 if value else 0

    @property
    def brush_mm(self) -> float:
        """Diameter of the brush, the same in every plane."""
        return self._brush_mm

    @brush_mm.setter
    def brush_mm(self, value: float) -> None:
        # napari keeps whole numbers: the size in voxels follows, for its own slider.
        self.layer.brush_size = max(1, round(value / min(self.scene.scale_mm)))
        self._brush_mm = float(value)
        self.layer.cursor_size = self._brush_mm
        self.layer.events.brush_size()

    def _on_brush_size(self) -> None:
        step = min(self.scene.scale_mm)
        if self.layer.brush_size != max(1, round(self._brush_mm / step)):
            self._brush_mm = self.layer.brush_size * step
            self.layer.cursor_size = self._brush_mm

    def undo(self) -> None:
        """Take back the last step of the document, whoever made it."""
        self.sync()
        self.document.undo(self.person)

    def redo(self) -> None:
        """Bring back the last undone step of the document."""
        self.sync()
        self.document.redo(self.person)

    def sync(self) -> bool:
        """Record what was written into the layer's array directly; return whether there was anything.

        A value that the schema does not have, and a locked voxel, are put back.
        """
        if self.buffer.stroke_open:
            return False
        found = np.asarray(self.layer.data)
        own = self.scene.to_scene(self.document.labels)
        if found.shape != own.shape:
            return False
        box = bounding_box(found != own)
        if box is None:
            return False
        new = found[box.slices]
        known = np.isin(new, (0, *self.document.schema.values))
        self._write(box, np.where(known, new, own[box.slices]), Origin(PatchSource.EXTERNAL, "direct write", self.person))
        self._show(box)
        self._hook.refresh(box)
        return True

    def set_highlight(self, highlight: Highlight | None) -> None:
        """Draw the outline of one lesion white."""
        self.highlight = highlight
        self.layer.refresh(extent=False)

    def _write(self, box: Box, new: Array, origin: Origin) -> bool:
        """Write labels of the scene's box to the document."""
        there = self.scene.box_from_scene(box)
        return self.document.write(there, np.ascontiguousarray(self.scene.from_scene(new)), origin)

    def _show(self, box: Box) -> None:
        """Copy the document's labels of the scene's box to the layer."""
        there = self.scene.box_from_scene(box)
        self._buffer[box.slices] = self.scene.to_scene(self.document.labels[there.slices])

    def _allowed(self, old: Array, value: Any, stamp: Stamp | None) -> npt.NDArray[np.bool_] | None:
        schema, locked = self.document.schema, self.document.locked
        known: Any = value == 0 or value in schema.values if np.ndim(value) == 0 else np.isin(value, (0, *schema.values))
        if not np.any(known):
            self._refused(f"{schema.name} has no label {np.ravel(value)[0]}; choose one of {', '.join(map(str, schema.values))}.")
            return np.zeros(old.shape, bool)
        gate = self.gate if stamp is not None and value != 0 else None
        if not locked and gate is None:
            return None if known is True else np.broadcast_to(known, old.shape)
        free = np.broadcast_to(known, old.shape) & ~np.isin(old, list(locked))
        return free if gate is None or stamp is None else free & gate(Stamp(stamp.box, stamp.mask & free, stamp.centre))

    def _committed(self, edits: list[Edit], tool: str) -> None:
        box = edits[0].box
        for edit in edits[1:]:
            box = box.union(edit.box)
        document = np.ascontiguousarray(self.scene.to_scene(self.document.labels)[box.slices])
        # napari's old values tell what the layer held, which is more than the document does where
        # somebody has written to the array since.
        before = document.copy()
        for edit in reversed(edits):
            _inside(before, box, edit)[edit.mask] = edit.old
        if not np.array_equal(before, document):
            self._write(box, before, Origin(PatchSource.EXTERNAL, "direct write", self.person))
        after = before
        for edit in edits:
            _inside(after, box, edit)[edit.mask] = edit.new
        self._own = True
        try:
            self._write(box, after, Origin(PatchSource.HAND, tool, self.person))
        finally:
            self._own = False

    def _on_change(self, change: Change) -> None:
        box = self.scene.box_to_scene(change.patch.box)
        self._show(box)
        if not self._own:
            self._hook.refresh(box)

    def _on_replaced(self) -> None:
        if self.layer.data is self._buffer:
            return
        if tuple(self.layer.data.shape) == self._buffer.shape:
            self.sync()
        else:
            self._refused("The mask keeps the shape of its image; the new array was not taken over.")
        self.layer.data = self._buffer

    def _on_drawn(self) -> None:
        # Whoever writes into the array calls refresh to see it; only the plane in view is compared,
        # because this runs at every change of slice.
        index = None if self.buffer.stroke_open or self.layer.data is not self._buffer else self._hook.shown_plane()
        if index is not None and not np.array_equal(self._buffer[index], self.scene.to_scene(self.document.labels)[index]):
            self.sync()

    def _on_selected(self) -> None:
        """Step over numbers that are no label."""
        wanted, allowed = self.layer.selected_label, (0, *sorted(self.document.schema.values))
        if wanted not in allowed:
            up = wanted > self._selected
            beyond = [v for v in allowed if (v > wanted if up else v < wanted)]
            self.layer.selected_label = (min(beyond) if up else max(beyond)) if beyond else self._selected
        self._selected = self.layer.selected_label

    def _on_colormap(self) -> None:
        if self.layer.colormap is not self._colormap:
            self.layer.colormap = self._colormap

    def _picture(self, labels: Array, edge: npt.NDArray[np.bool_], part: tuple[slice, ...]) -> Array:
        shown = np.where((labels != 0) & ~edge, labels + self._buffer.dtype.type(self.buffer.light), labels)
        index = self._hook.shown_plane() if self.highlight is not None else None
        if self.highlight is not None and index is not None:
            found = self.highlight.plane(index)
            if found is not None:
                corner, outline = found
                if self._hook.transposed:
                    corner, outline = (corner[1], corner[0]), outline.T
                whole = np.zeros(tuple(s.stop for s in part), bool)
                rows = slice(corner[0], corner[0] + outline.shape[0])
                columns = slice(corner[1], corner[1] + outline.shape[1])
                whole[rows, columns] = outline[: max(0, whole.shape[0] - corner[0]), : max(0, whole.shape[1] - corner[1])]
                shown[whole[part] & (labels != 0)] = self.buffer.white
        return np.asarray(shown)

    def _status(self, position: Sequence[float]) -> str:
        point = np.asarray(position, float)[-3:]
        index = np.rint((point - np.array(self.scene.translate_mm)) / np.array(self.scene.scale_mm)).astype(int)
        if (index < 0).any() or (index >= np.array(self._buffer.shape)).any():
            return ""
        z, y, x = (int(v) for v in np.rint(self.scene.reference.to_index(self.scene.grid.to_mm(index))))
        return self._describe((z, y, x))


def _inside(array: Array, box: Box, edit: Edit) -> Array:
    offset = box.start
    index = tuple(slice(a - o, b - o) for a, b, o in zip(edit.box.start, edit.box.stop, offset, strict=True))
    return array[index]


def _colormap(schema: LabelSchema, light: int, white: int) -> DirectLabelColormap:
    table: dict[int | None, Any] = {None: (0, 0, 0, 0), 0: (0, 0, 0, 0), white: (1, 1, 1, 1)}
    for label in schema.labels:
        red, green, blue = (int(label.colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        table[label.value] = (red, green, blue, 1.0)
        table[label.value + light] = (red, green, blue, _LIGHT)
    return DirectLabelColormap(color_dict=table)
