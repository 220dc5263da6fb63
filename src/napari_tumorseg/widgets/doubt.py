"""Doubtful places in the window: from one to the next, and the model's uncertainty as an overlay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Layer
from napari.utils.colormaps import Colormap, ensure_colormap
from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from napari_tumorseg._layers import volume_to_layers
from napari_tumorseg.core.document import Change
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.segmenter import SegmenterSpec
from napari_tumorseg.inference.uncertainty import UncertaintyMap, kind_of, uncertainty_of
from napari_tumorseg.widgets.jobs import Job
from napari_tumorseg.widgets.masks import OpenMask
from napari_tumorseg.widgets.parts import button, note, toggle
from napari_tumorseg.widgets.session_part import SessionPart
from napari_tumorseg.workflows.doubt import Doubt, DoubtRequest, DoubtWalk, doubt_volume, find_doubts
from napari_tumorseg.workflows.segment import SegmentResult

if TYPE_CHECKING:
    from napari_tumorseg.widgets.session import Session
    from napari_tumorseg.widgets.work import Work

__all__ = ["DoubtBar", "Doubts"]

# One bit is two equally likely answers; more, with three, is no worse to look at.
_TOP_BITS = 1.0
_OPACITY = 0.75


class Doubts(SessionPart):
    """What the model was unsure of in the mask that it made last.

    Signals
    -------
    changed()
        There are other places, the user is at another one, or the overlay was switched.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._mask: OpenMask | None = None
        self._found: UncertaintyMap | None = None
        self._walk: DoubtWalk | None = None
        self._layer: Image | None = None
        self._job: Job | None = None
        self._stop_listening: Any = None
        # What was painted while the places were looked for.
        self._early: list[Change] = []
        session.masks_changed.connect(self._on_masks)
        session.viewer.layers.events.removed.connect(self._on_removed)

    # -- state

    @property
    def ready(self) -> bool:
        """Whether there are places in the active mask to go to."""
        return self._walk is not None and bool(self._walk.places) and self._session.active is self._mask

    @property
    def has_overlay(self) -> bool:
        """Whether the active mask has an uncertainty that can be shown."""
        return self._found is not None and self._session.active is self._mask

    @property
    def places(self) -> tuple[Doubt, ...]:
        """All doubtful places, the most doubtful first."""
        return self._walk.places if self._walk is not None else ()

    @property
    def overlay_shown(self) -> bool:
        """Whether the overlay is seen."""
        return self._layer is not None and bool(self._layer.visible)

    @property
    def text(self) -> str:
        """Where the user is: "3 of 14 doubtful places"; "" where nothing is known of the active mask."""
        if self._job is not None:
            return "Looking for doubtful places"
        if self._walk is None or self._session.active is not self._mask:
            return ""
        return self._walk.text

    # -- what the user does

    def next_doubtful(self) -> None:
        """Frame the most doubtful place that was neither visited nor edited."""
        self._go(1)

    def previous_doubtful(self) -> None:
        """Frame the place before this one again."""
        self._go(-1)

    def toggle_overlay(self) -> None:
        """Show the uncertainty, or hide it."""
        self.set_overlay(not self.overlay_shown)

    def set_overlay(self, on: bool) -> None:
        """Show or hide the uncertainty: from dark violet, somewhat unsure, to bright yellow, undecided."""
        if on and self._layer is None and self.has_overlay:
            self._add_layer()
        if self._layer is not None:
            self._layer.visible = on and self.has_overlay
        self.changed.emit()

    # -- what others tell

    def watch(self, work: Work) -> None:
        """Take what each run of a model says of its uncertainty."""
        work.segmented.connect(lambda result: self._on_segmented(work, result))

    def take(self, result: SegmentResult, spec: SegmenterSpec, request: DoubtRequest | None = None) -> None:
        """Find the doubtful places of a result whose mask is the active one, in a thread."""
        self.clear()
        mask = self._session.active
        prediction = result.prediction
        if mask is None or (prediction.uncertainty is None and not prediction.probabilities):
            return
        self._mask = mask
        self._stop_listening = mask.document.listen(self._on_change)
        kind, threshold = kind_of(spec), float(spec.options.get("threshold", 0.5))
        labels, grid = result.mask.labels, result.mask.grid

        def work(progress: Progress) -> tuple[UncertaintyMap | None, tuple[Doubt, ...]]:
            found = uncertainty_of(prediction, kind, threshold=threshold, progress=progress.part(0.0, 0.3))
            if found is None:
                return None, ()
            return found, find_doubts(found, labels, grid, request, progress.part(0.3, 1.0))

        job = self._session.runner.start("doubt", work, done=self._set, failed=self._session.report)
        self._job = job
        job.finished.connect(lambda: self._forget(job))
        self.changed.emit()

    def clear(self) -> None:
        """Know nothing any more."""
        job, self._job = self._job, None
        if job is not None:
            job.cancel()
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._session.viewer.layers:
            self._session.viewer.layers.remove(layer)
        self._mask = self._found = self._walk = None
        self._early = []
        self.changed.emit()

    # -- inside

    def _on_segmented(self, work: Work, result: SegmentResult) -> None:
        name = result.mask.author.split(" ")[0]
        if name in work.catalogue.names():
            self.take(result, work.catalogue.spec(name))

    def _set(self, answer: tuple[UncertaintyMap | None, tuple[Doubt, ...]]) -> None:
        if self._mask is None:
            return
        self._found, self._walk = answer[0], DoubtWalk(answer[1])
        early, self._early = self._early, []
        for change in early:
            self._walk.note_change(change)

    def _forget(self, job: Job) -> None:
        if self._job is job:
            self._job = None
            self.changed.emit()

    def _go(self, by: int) -> None:
        session = self._session
        if not self.ready or self._walk is None:
            why = self.text or "Nothing is known of this mask's doubtful places: run a model that gives probabilities."
            session.said.emit(f"{why}.".replace("..", "."), False)
            return
        place = self._walk.next() if by > 0 else self._walk.previous()
        if place is not None:
            session.view.frame(place.point_mm, place.box)
        session.said.emit(f"{self._walk.text}.", False)
        self.changed.emit()

    def _add_layer(self) -> None:
        assert self._found is not None
        assert self._mask is not None
        grid = self._mask.document.grid
        array, meta, kind = volume_to_layers(doubt_volume(self._found, grid))[0]
        meta |= {"name": "Doubt", "colormap": _colours(), "contrast_limits": (0.0, _TOP_BITS), "opacity": _OPACITY}
        layer = Layer.create(array, {**meta, "blending": "translucent_no_depth", "visible": False}, kind)
        layer.interpolation2d = "linear"
        viewer = self._session.viewer
        view = self._mask.view
        active = viewer.layers.selection.active
        # Under the mask, so that painting is seen, and without taking the tools from it.
        at = viewer.layers.index(view.layer) if view is not None and view.layer in viewer.layers else len(viewer.layers)
        viewer.layers.insert(at, layer)
        viewer.layers.selection.active = active
        self._layer = layer

    def _on_change(self, change: Change) -> None:
        if self._walk is None:
            self._early.append(change)
        elif self._walk.note_change(change):
            self.changed.emit()

    def _on_masks(self) -> None:
        if self._mask is None:
            return
        if self._mask not in self._session.masks:
            self.clear()
            return
        if self._layer is not None and self._session.active is not self._mask:
            self._layer.visible = False
        self.changed.emit()

    def _on_removed(self, event: Any) -> None:
        if self._layer is not None and event.value is self._layer:
            self._layer = None
            self.changed.emit()


def _colours() -> Colormap:
    """Return a perceptual colour map that lets what is certain shine through."""
    steps = np.linspace(0, 1, 64)
    colours = np.array(ensure_colormap("inferno").map(steps))
    colours[:, 3] = np.clip((steps - 0.1) / 0.4, 0, 1)
    return Colormap(colours, name="tumorseg doubt")


class DoubtBar(QWidget):
    """One line: where the user is, next place, overlay.

    Parameters
    ----------
    doubts : Doubts
        What it shows.
    """

    def __init__(self, doubts: Doubts) -> None:
        super().__init__()
        self._doubts = doubts
        self.text = note(name="Doubtful places")
        self.next = button("Next doubtful", "Go to the next place that the model was unsure of (U)", doubts.next_doubtful)
        self.overlay = toggle("Show doubt", "Show how unsure the model was")
        self.overlay.clicked.connect(doubts.set_overlay)
        row = QHBoxLayout()
        row.addWidget(self.next, 1)
        row.addWidget(self.overlay, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)
        layout.addLayout(row)
        doubts.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the state."""
        doubts = self._doubts
        self.text.setText(doubts.text)
        self.text.setVisible(bool(doubts.text))
        self.next.setEnabled(doubts.ready)
        self.overlay.setEnabled(doubts.has_overlay)
        self.overlay.setChecked(doubts.overlay_shown)
