"""The layers of the main viewer in a view beside it: own layers over the same arrays, settings told both ways."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Labels, Layer
from qtpy.QtCore import QObject, QTimer

from napari_tumorseg.widgets.mask_layer import MaskLayer
from napari_tumorseg.widgets.napari_adapter import Stamp

__all__ = ["ViewRelay"]

_BOTH = ("opacity", "blending")
_IMAGE = (*_BOTH, "contrast_limits", "gamma", "colormap", "interpolation2d", "projection_mode")
_LABELS = (*_BOTH, "contour")
_MASK = (*_LABELS, "mode", "selected_label", "n_edit_dimensions", "contiguous", "preserve_labels", "brush_size")


class _Mirror:
    """One layer beside another, with the same settings.

    Parameters
    ----------
    main : Layer
        In the main viewer.
    layer : Layer
        Its counterpart over the same array.
    names : tuple of str
        Settings that are told both ways.
    """

    def __init__(self, main: Layer, layer: Layer, names: tuple[str, ...]) -> None:
        self.main = main
        self.layer = layer
        self._names = names
        self._telling = False
        for name in names:
            self._copy(main, layer, name)
            getattr(main.events, name).connect(self._on_main)
            getattr(layer.events, name).connect(self._on_side)
        main.events.visible.connect(self._on_visible)
        main.events.name.connect(self._on_name)
        main.events.data.connect(self._on_data)

    def close(self) -> None:
        """Stop telling."""
        for name in self._names:
            getattr(self.main.events, name).disconnect(self._on_main)
            getattr(self.layer.events, name).disconnect(self._on_side)
        self.main.events.visible.disconnect(self._on_visible)
        self.main.events.name.disconnect(self._on_name)
        self.main.events.data.disconnect(self._on_data)

    @contextmanager
    def _once(self) -> Any:
        # What is told to a layer comes back as its own event; told again, it would go round.
        self._telling = True
        try:
            yield
        finally:
            self._telling = False

    def _on_main(self, event: Any) -> None:
        if not self._telling:
            with self._once():
                self._copy(self.main, self.layer, event.type)

    def _on_side(self, event: Any) -> None:
        if not self._telling:
            with self._once():
                self._copy(self.layer, self.main, event.type)

    def _copy(self, source: Any, target: Any, name: str) -> None:
        value = getattr(source, name)
        if name == "mode" and str(value) == "transform":
            # Only the main view has handles to turn an image by.
            return
        if name == "contrast_limits":
            target.contrast_limits_range = source.contrast_limits_range
        if name == "colormap" or getattr(target, name) != value:
            setattr(target, name, value)

    def _on_visible(self) -> None:
        self.layer.visible = self.main.visible

    def _on_name(self) -> None:
        self.layer.name = self.main.name

    def _on_data(self) -> None:
        if self.layer.data is not self.main.data:
            self.layer.data = self.main.data


class _MaskMirror(_Mirror):
    """A mask in another view: a layer that paints into the same document."""

    def __init__(self, mask: MaskLayer, refused: Callable[[str], None], describe: Callable[[tuple[int, int, int]], str]) -> None:
        self.mask = mask
        self.side = MaskLayer(
            mask.document,
            mask.scene,
            mask.layer.name,
            person=mask.person,
            refused=refused,
            describe=describe,
            buffer=mask.buffer,
        )
        self.side.gate = self._gate
        super().__init__(mask.layer, self.side.layer, _MASK)
        self.follow_highlight()

    def close(self) -> None:
        """Stop telling, and let go of the document."""
        super().close()
        self.side.gate = None
        self.side.close()

    def follow_highlight(self) -> None:
        """Outline the same lesion as the main view does."""
        if self.side.highlight is not self.mask.highlight:
            self.side.set_highlight(self.mask.highlight)

    def _gate(self, stamp: Stamp) -> npt.NDArray[np.bool_]:
        # The tool that sets a gate knows the main layer alone.
        return stamp.mask if self.mask.gate is None else self.mask.gate(stamp)

    def _copy(self, source: Any, target: Any, name: str) -> None:
        if name == "brush_size":
            ours, theirs = (self.mask, self.side) if source is self.main else (self.side, self.mask)
            if theirs.brush_mm != ours.brush_mm:
                theirs.brush_mm = ours.brush_mm
            return
        super()._copy(source, target, name)

    def _on_data(self) -> None:
        # The mask layer puts its own array back; the document is what both show.
        return


class ViewRelay(QObject):
    """Keeps the layers of a side view like the main viewer's.

    A layer is made when its main one is first seen, so that sequences nobody looks at cost
    nothing. Images and masks with three axes are shown; layers of other kinds stay in the main view.

    Parameters
    ----------
    main : napari.Viewer
        What is followed.
    model : ViewerModel
        Of the side view.
    find_mask : callable
        Given a layer of the main viewer, returns its `MaskLayer`, None where it is no mask of the case.
    refused : callable
        Told in one line why a stroke changed nothing.
    describe : callable
        Given a voxel of the document (z, y, x), returns text for the status bar.
    parent : QObject
        Owner.
    """

    def __init__(
        self,
        main: Any,
        model: Any,
        find_mask: Callable[[Layer], MaskLayer | None],
        refused: Callable[[str], None],
        describe: Callable[[tuple[int, int, int]], str],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._main = main
        self._model = model
        self._find_mask = find_mask
        self._refused = refused
        self._describe = describe
        self._mirrors: dict[Layer, _Mirror] = {}
        self._dropped: list[Layer] = []
        self._sweep = QTimer(self)
        self._sweep.setSingleShot(True)
        self._sweep.timeout.connect(self._on_sweep)
        events = main.layers.events
        events.inserted.connect(self._on_inserted)
        events.removed.connect(self._on_removed)
        events.reordered.connect(self._sort)
        main.layers.selection.events.active.connect(self._on_active)
        for layer in main.layers:
            layer.events.visible.connect(self._on_visible)
            self._show(layer)
        self._on_active()

    def close(self) -> None:
        """Stop following; the side view is closed next, and its layers with it."""
        events = self._main.layers.events
        events.inserted.disconnect(self._on_inserted)
        events.removed.disconnect(self._on_removed)
        events.reordered.disconnect(self._sort)
        self._main.layers.selection.events.active.disconnect(self._on_active)
        for layer in self._main.layers:
            layer.events.visible.disconnect(self._on_visible)
        for mirror in self._mirrors.values():
            mirror.close()
        self._mirrors.clear()

    def counterpart(self, layer: Layer) -> Layer | None:
        """Return the side view's layer for one of the main viewer; None while it was never seen."""
        mirror = self._mirrors.get(layer)
        return mirror.layer if mirror is not None else None

    def mask_layer(self, layer: Layer) -> MaskLayer | None:
        """Return the side view's own `MaskLayer` for a mask's layer in the main viewer; None for other layers."""
        mirror = self._mirrors.get(layer)
        return mirror.side if isinstance(mirror, _MaskMirror) else None

    def follow_highlight(self) -> None:
        """Outline the same lesion as the main view does."""
        for mirror in self._mirrors.values():
            if isinstance(mirror, _MaskMirror):
                mirror.follow_highlight()

    def _on_inserted(self, event: Any) -> None:
        event.value.events.visible.connect(self._on_visible)
        self._show(event.value)

    def _on_removed(self, event: Any) -> None:
        event.value.events.visible.disconnect(self._on_visible)
        self._drop(event.value)

    def _on_visible(self, event: Any) -> None:
        if event.source.visible:
            self._show(event.source)

    def _on_active(self) -> None:
        active = self._main.layers.selection.active
        mirror = self._mirrors.get(active) if active is not None else None
        self._model.layers.selection.active = mirror.layer if mirror is not None else None

    def _show(self, layer: Layer) -> None:
        if layer in self._mirrors or not layer.visible or layer.ndim != 3:
            return
        mirror = self._make(layer)
        if mirror is None:
            return
        self._mirrors[layer] = mirror
        self._model.layers.append(mirror.layer)
        self._sort()
        self._on_active()

    def _make(self, layer: Layer) -> _Mirror | None:
        mask = self._find_mask(layer)
        if mask is not None:
            return _MaskMirror(mask, self._refused, self._describe)
        common = {"name": layer.name, "scale": layer.scale, "translate": layer.translate, "affine": layer.affine, "units": layer.units}
        if isinstance(layer, Image) and not layer.multiscale:
            colour = {} if layer.rgb else {"contrast_limits": tuple(layer.contrast_limits), "colormap": layer.colormap}
            made = Image(layer.data, rgb=layer.rgb, interpolation2d=layer.interpolation2d, **common, **colour)
            return _Mirror(layer, made, (*_BOTH, "interpolation2d") if layer.rgb else _IMAGE)
        if isinstance(layer, Labels) and not layer.multiscale and isinstance(layer.data, np.ndarray):
            shown = Labels(layer.data, colormap=layer.colormap, **common)
            # A stranger's labels have no document, so that two layers could not be kept the same.
            shown.editable = False
            return _Mirror(layer, shown, (*_LABELS, "colormap"))
        return None

    def _drop(self, layer: Layer) -> None:
        mirror = self._mirrors.pop(layer, None)
        if mirror is not None:
            mirror.close()
            mirror.layer.visible = False
            # napari collects garbage whenever a layer goes, a quarter of a second each time: all of a case go at once.
            self._dropped.append(mirror.layer)
            self._sweep.start(0)

    def _on_sweep(self) -> None:
        dropped, self._dropped = self._dropped, []
        with self._model.layers.batched_update():
            for layer in dropped:
                self._model.layers.remove(layer)

    def _sort(self) -> None:
        layers = self._model.layers
        wanted = [self._mirrors[layer].layer for layer in self._main.layers if layer in self._mirrors]
        for place, layer in enumerate(wanted):
            at = layers.index(layer)
            if at != place:
                layers.move(at, place)
