"""A slab of several slices in the view: brightest, darkest or mean of each column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_tumorseg.widgets.session_part import SessionPart
from napari_tumorseg.workflows.compare_images import PROJECTIONS, Slab

if TYPE_CHECKING:
    from napari_tumorseg.widgets.plane_view import PlaneView
    from napari_tumorseg.widgets.session import Session

__all__ = ["SlabView"]

# napari rounds both edges and takes the slices up to, not with, the last one; a hair less than one slice keeps its
# special case for whole numbers away.
_EDGE = 0.99


class SlabView(SessionPart):
    """Shows the images of the case through a slab; masks stay at the slice in view.

    A brush paints into the slice in the middle of the slab, as the mask that is seen is the one of
    that slice.

    Signals
    -------
    changed()
        The slab was switched or is another one.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._on = False
        self._applying = False
        self.slab = Slab()
        session.view.scene_changed.connect(self._apply)
        session.view.sequence_changed.connect(self._on_sequence)
        session.view.plane_changed.connect(self._on_plane)
        # Layers that others add may change the number of axes.
        session.viewer.dims.events.ndim.connect(self._on_ndim)

    @property
    def on(self) -> bool:
        """Whether the slab is shown."""
        return self._on

    @property
    def text(self) -> str:
        """What is shown: "Maximum of 9 mm", "" when it is off."""
        axis = self._axis(self._session.view.main)
        if not self._on or axis is None:
            return ""
        spacing = self._spacing(axis)
        return f"{PROJECTIONS[self.slab.projection]} of {self.slab.slices(spacing) * spacing:.3g} mm"

    def toggle(self) -> None:
        """Show the slab, or the slice alone."""
        self.set_on(not self._on)

    def set_on(self, on: bool) -> None:
        """Show the slab, or the slice alone."""
        self._on = on
        self._apply()
        self._session.said.emit(f"{self.text}; masks are drawn in its middle slice." if self.text else "Single slices.", False)
        self.changed.emit()

    def set_slab(self, slab: Slab) -> None:
        """Take another thickness or projection."""
        self.slab = slab
        self._apply()
        self.changed.emit()

    def apply_to(self, view: PlaneView) -> None:
        """Show the slab in a view, across its own plane, or the slice alone."""
        axis = self._axis(view) if self._on else None
        dims, lead = view.model.dims, view.lead
        left, right = [0.0] * dims.ndim, [0.0] * dims.ndim
        if axis is not None:
            spacing = self._spacing(axis)
            before, after = self.slab.margins(spacing)
            left[lead + axis], right[lead + axis] = before, after + _EDGE * spacing
        if tuple(dims.margin_left) != tuple(left):
            dims.margin_left = tuple(left)
        if tuple(dims.margin_right) != tuple(right):
            dims.margin_right = tuple(right)

    def _axis(self, view: PlaneView) -> int | None:
        """Return the scene's axis across a view, None where there is none."""
        if self._session.view.scene is None or view.model.dims.ndisplay != 2 or sorted(view.order) != [0, 1, 2]:
            return None
        return int(view.order[0])

    def _spacing(self, axis: int) -> float:
        scene = self._session.view.scene
        return float(scene.scale_mm[axis]) if scene is not None else 1.0

    def _on_sequence(self, _name: str) -> None:
        self._apply()

    def _on_plane(self, _name: str) -> None:
        self._apply()
        self.changed.emit()

    def _on_ndim(self) -> None:
        self._apply()

    def _apply(self, *_: Any) -> None:
        if self._applying:
            return
        self._applying = True
        try:
            self._set_layers()
        finally:
            self._applying = False

    def _set_layers(self) -> None:
        main = self._session.view.main
        slab = self._on and self._axis(main) is not None
        for layers in self._session.view.layers.values():
            for layer in layers:
                wanted = self.slab.projection if slab and not layer.rgb else "none"
                if layer.projection_mode != wanted:
                    layer.projection_mode = wanted
        self.apply_to(main)
