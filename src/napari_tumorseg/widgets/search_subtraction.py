"""The subtraction as one more sequence: what has taken up contrast agent is bright."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image

from napari_tumorseg._layers import volume_to_layers
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.widgets.jobs import Job
from napari_tumorseg.widgets.session_part import SessionPart
from napari_tumorseg.workflows.compare_images import Subtraction, subtract

if TYPE_CHECKING:
    from napari_tumorseg.widgets.session import Session

__all__ = ["SubtractionView"]


class SubtractionView(SessionPart):
    """Shows T1c minus T1 in place of the sequence, and the sequence again.

    It is computed in a thread when it is first wanted, and forgotten with the case.

    Signals
    -------
    changed()
        It was switched, is being made, or is there no more.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._layer: Image | None = None
        self._job: Job | None = None
        self.result: Subtraction | None = None
        session.view.scene_changed.connect(self.clear)
        session.view.sequence_changed.connect(self._on_sequence)
        session.viewer.layers.events.removed.connect(self._on_removed)

    @property
    def possible(self) -> bool:
        """Whether the case has T1 before and after contrast agent."""
        return {"T1", "T1c"} <= set(self._session.volumes)

    @property
    def on(self) -> bool:
        """Whether it is seen."""
        return self._layer is not None and bool(self._layer.visible)

    @property
    def busy(self) -> bool:
        """Whether it is being made."""
        return self._job is not None

    @property
    def layer(self) -> Image | None:
        """Its layer, None before it was first wanted."""
        return self._layer

    def toggle(self) -> None:
        """Show it, or the sequence again; stop making it."""
        self.set_on(not (self.on or self.busy))

    def set_on(self, on: bool) -> None:
        """Show it, or the sequence again."""
        if not on:
            self._cancel()
            if self._layer is not None and self._layer.visible:
                self._session.view.show_sequence(self._session.view.sequence)
            self.changed.emit()
        elif not self.possible:
            self._session.said.emit("The case lacks T1 or T1c, which the subtraction needs. Say which image is which under Case.", True)
        elif self._layer is not None:
            self._show()
        elif not self.busy:
            self._start()

    def clear(self) -> None:
        """Forget it."""
        self._cancel()
        layer, self._layer = self._layer, None
        self.result = None
        if layer is not None and layer in self._session.viewer.layers:
            self._session.viewer.layers.remove(layer)
        self.changed.emit()

    def _start(self) -> None:
        after, before = (self._session.volumes[name] for name in ("T1c", "T1"))

        def work(progress: Progress) -> Subtraction:
            return subtract(after, before, progress=progress)

        job = self._session.runner.start("subtract", work, done=self._take, failed=self._session.report)
        self._job = job
        job.finished.connect(lambda: self._forget(job))
        self._session.said.emit("Subtracting T1 from T1c.", False)
        self.changed.emit()

    def _take(self, result: Subtraction) -> None:
        session = self._session
        scene = session.view.scene
        if scene is None:
            return
        self.result = result
        low, high = result.window
        # No change is grey; what is no head is black, as in the images.
        shown = replace(result.volume, data=np.where(result.head, result.volume.data, np.float32(low)))
        array, meta, _kind = volume_to_layers(shown, scene)[0]
        meta |= {"name": result.volume.name, "contrast_limits": (low, high), "visible": False}
        layer = Image(array, **meta)
        reach = max(abs(float(array.min())), abs(float(array.max())), high)
        layer.contrast_limits_range = (-reach, reach)
        layer.interpolation2d = "linear"
        # Under everything else, as the sequences are; the tools stay with the mask.
        viewer = session.viewer
        active = viewer.layers.selection.active
        at = max((viewer.layers.index(own) + 1 for layers in session.view.layers.values() for own in layers), default=0)
        viewer.layers.insert(at, layer)
        viewer.layers.selection.active = active
        self._layer = layer
        self._show()
        for line in result.notes:
            session.said.emit(line, False)

    def _show(self) -> None:
        assert self._layer is not None
        for layers in self._session.view.layers.values():
            for layer in layers:
                layer.visible = False
        self._layer.visible = True
        self.changed.emit()

    def _on_sequence(self, _name: str) -> None:
        if self._layer is not None and self._layer.visible:
            self._layer.visible = False
            self.changed.emit()

    def _cancel(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.cancel()

    def _forget(self, job: Job) -> None:
        if self._job is job:
            self._job = None
            self.changed.emit()

    def _on_removed(self, event: object) -> None:
        if self._layer is not None and getattr(event, "value", None) is self._layer:
            self._layer = None
            self.changed.emit()
