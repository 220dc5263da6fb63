"""The 3-D view: the active mask as surfaces, made off the GUI thread when nothing else is going on."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from napari.layers import Image, Points, Surface
from napari.utils.colormaps import Colormap
from qtpy.QtCore import QObject, QTimer

from napari_tumorseg.core.document import MaskDocument
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.widgets.jobs import Job, JobRunner
from napari_tumorseg.widgets.mask_surface import LabelSurface, label_surfaces
from napari_tumorseg.widgets.plane_view import PlaneView
from napari_tumorseg.workflows.scene import Scene

__all__ = ["SurfaceView"]

_DELAY_MS = 600
_OUTER_OPACITY = 0.35


class SurfaceView(QObject):
    """Draws the surfaces of a mask into a 3-D view.

    They are made anew a while after the last change, and only while the view is shown: a stroke
    is never waited for, and nothing is computed for a view that nobody sees.

    Parameters
    ----------
    view : PlaneView
        In 3-D.
    runner : JobRunner
        Runs the work.
    failed : callable
        Told what a failed job raised.
    parent : QObject
        Owner.
    """

    def __init__(self, view: PlaneView, runner: JobRunner, failed: Callable[[BaseException], None], parent: QObject) -> None:
        super().__init__(parent)
        self._view = view
        self._runner = runner
        self._failed = failed
        self._document: MaskDocument | None = None
        self._stop: Callable[[], None] | None = None
        self._job: Job | None = None
        self._stale = False
        self._wanted = True
        self._layers: dict[int, Surface] = {}
        self._image: Image | None = None
        self._field: Points | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DELAY_MS)
        self._timer.timeout.connect(self._make)

    @property
    def up_to_date(self) -> bool:
        """Whether what is shown is the mask as it is."""
        return not self._stale and self._job is None

    @property
    def layers(self) -> dict[int, Surface]:
        """The surface of each label that is seen."""
        return {value: layer for value, layer in self._layers.items() if layer.visible}

    def show(self, scene: Scene | None) -> None:
        """Take the place of a scene, so that the view has its size while there is no mask; None for none."""
        model = self._view.model
        self._layers.clear()
        self._field = self._image = None
        if model.layers:
            model.layers.clear()
        if scene is not None:
            corners = np.array(list(itertools.product(*((0, n - 1) for n in scene.grid.shape))), float)
            self._field = Points(corners, scale=scene.scale_mm, translate=scene.translate_mm, units="mm", visible=False, name="field")
            model.layers.insert(0, self._field)
            model.layers.selection.clear()

    def watch(self, document: MaskDocument | None) -> None:
        """Show another mask; None for none."""
        if document is self._document:
            return
        if self._stop is not None:
            self._stop()
            self._stop = None
        self._document = document
        self._cancel()
        if document is None:
            self._stale = False
            self._timer.stop()
            self._show(())
            return
        self._stop = document.listen(lambda _change: self.refresh())
        self._stale = True
        if self._wanted:
            self._timer.start(0)

    def want(self, wanted: bool) -> None:
        """Say whether the view is seen; what has changed meanwhile is drawn when it is seen again."""
        self._wanted = wanted
        if not wanted:
            self._timer.stop()
            self._cancel()
        elif self._stale:
            self._timer.start(0)

    def refresh(self) -> None:
        """Draw the surfaces again after a while without changes."""
        self._stale = True
        if self._wanted:
            self._timer.start(_DELAY_MS)

    def show_image(self, main: Image | None) -> None:
        """Show an image behind the surfaces by the brightest voxel along each ray; None for no image."""
        model = self._view.model
        if self._image is not None:
            model.layers.remove(self._image)
            self._image = None
        if main is None or main.rgb:
            return
        self._image = Image(
            main.data,
            scale=main.scale,
            translate=main.translate,
            units=main.units,
            contrast_limits=tuple(main.contrast_limits),
            colormap=main.colormap,
            rendering="mip",
            opacity=0.7,
            blending="additive",
            name=main.name,
        )
        model.layers.insert(0, self._image)

    def close(self) -> None:
        """Stop watching; the view is closed next, and the surfaces with it."""
        self._timer.stop()
        self._cancel()
        if self._stop is not None:
            self._stop()
        self._document = None
        self._layers.clear()

    def _cancel(self) -> None:
        if self._job is not None:
            job, self._job = self._job, None
            self._stale = True
            job.cancel()

    def _make(self) -> None:
        document = self._document
        if document is None or not self._wanted:
            return
        if self._job is not None:
            self._cancel()
        labels, values = document.labels, document.schema.values
        self._stale = False

        def work(progress: Progress) -> tuple[LabelSurface, ...]:
            # Read while it may be painted on: a torn picture is replaced by the one that this painting asks for.
            return label_surfaces(labels, values, progress)

        job = self._runner.start("surface", work, done=self._show, failed=self._failed)
        self._job = job
        job.finished.connect(lambda: self._forget(job))

    def _forget(self, job: Job) -> None:
        if self._job is job:
            self._job = None

    def _show(self, surfaces: tuple[LabelSurface, ...]) -> None:
        model, scene, document = self._view.model, self._view.scene, self._document
        present = {surface.value for surface in surfaces}
        for value, layer in self._layers.items():
            # Kept for the next time: napari takes a quarter of a second to remove a layer.
            layer.visible = value in present
        if scene is None or document is None:
            return
        # What encloses the rest is drawn last and lets it be seen.
        outer = max(surfaces, key=lambda s: s.voxels).value if len(surfaces) > 1 else None
        move = scene.move.matrix(scene.reference.shape)
        to_scene = np.linalg.inv(move)
        for surface in surfaces:
            label = next(label for label in document.schema.labels if label.value == surface.value)
            index = surface.vertices @ to_scene[:3, :3].T + to_scene[:3, 3]
            # In millimetres, because a layer's scale would tilt the normals of thick slices away from the light.
            vertices = (index * np.array(scene.scale_mm) + np.array(scene.translate_mm)).astype(np.float32)
            data = (vertices, surface.faces, np.ones(len(vertices), np.float32))
            layer = self._layers.get(surface.value)
            if layer is None:
                layer = Surface(data, units="mm", shading="smooth")
                self._layers[surface.value] = layer
                model.layers.append(layer)
            else:
                layer.data = data
            layer.name = label.name
            layer.colormap = Colormap([label.colour, label.colour], name=f"tumorseg {label.colour}")
            layer.contrast_limits = (0, 1)
            layer.opacity = _OUTER_OPACITY if surface.value == outer else 1.0
        if outer is not None and model.layers[-1] is not self._layers[outer]:
            model.layers.move(model.layers.index(self._layers[outer]), len(model.layers))
        model.layers.selection.clear()
