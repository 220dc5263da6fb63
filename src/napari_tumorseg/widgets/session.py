"""What is open in one viewer: the case, its scene, its masks. Owned by the viewer's window."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, Signal

from napari_tumorseg.core.case import Case, MaskKind, MaskVersion, Review, TimePoint
from napari_tumorseg.core.document import Change, PatchSource
from napari_tumorseg.core.errors import Cancelled, InputError, TumorSegError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.settings import Settings
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.widgets.checked_slices import CheckedSlices
from napari_tumorseg.widgets.jobs import JobRunner
from napari_tumorseg.widgets.journal_keeper import JournalKeeper
from napari_tumorseg.widgets.lesion_focus import LesionFocus
from napari_tumorseg.widgets.lesion_tracker import LesionTracker
from napari_tumorseg.widgets.mask_layer import MaskLayer
from napari_tumorseg.widgets.masks import OpenMask
from napari_tumorseg.widgets.napari_adapter import main_window, real, tell_unsaved
from napari_tumorseg.widgets.paint_gate import PaintGate
from napari_tumorseg.widgets.scene_view import SceneView
from napari_tumorseg.widgets.tool_hand import ToolHand
from napari_tumorseg.workflows.display import in_reading_order
from napari_tumorseg.workflows.environment import load_settings
from napari_tumorseg.workflows.log import log_failure
from napari_tumorseg.workflows.scene import Scene
from napari_tumorseg.workflows.segment import on_grid

__all__ = ["Session"]

_LOG = logging.getLogger(__name__)
_EDITS_BY_HAND = (PatchSource.HAND, PatchSource.TOOL, PatchSource.EXTERNAL)


class Session(QObject):
    """The state that all widgets of a viewer share.

    Signals
    -------
    case_changed()
        Another case, or another name for one of its sequences.
    masks_changed()
        A mask was added, or another one is active.
    edited()
        The active mask, its locks, its review or its saved state changed.
    said(str, bool)
        A line for the status line, and whether it is about something that failed.

    Parameters
    ----------
    viewer : napari.Viewer
        With a window.
    settings : Settings, optional
        This user's by default.
    """

    case_changed = Signal()
    masks_changed = Signal()
    edited = Signal()
    said = Signal(str, bool)

    def __init__(self, viewer: Any, settings: Settings | None = None) -> None:
        viewer = real(viewer)
        super().__init__(main_window(viewer))
        self.viewer = viewer
        self.settings = settings or load_settings()
        self.runner = JobRunner(self)
        self.view = SceneView(viewer, self)
        self.lesions = LesionTracker(self.runner, self)
        self.lesions.failed.connect(self.report)
        self.focus = LesionFocus(self)
        self.checked = CheckedSlices(self)
        self.hand = ToolHand(self)
        self.gate = PaintGate(self)
        self.case: Case | None = None
        self.timepoint = -1
        self.reference = ""
        self.masks: list[OpenMask] = []
        # Why no other case, mask or model may be taken now, and what to do; "" where they may. A study's task sets it.
        self.held = ""
        # Why no tool that works by a model may be used on the open mask; "" where they may.
        self.no_models = ""
        self.active: OpenMask | None = None
        self._notice: object | None = None
        # The image that is seen, resampled to the mask's grid where it lies on another.
        self._resampled: tuple[Volume, Grid, npt.NDArray[Any]] | None = None
        self._stop_listening: Callable[[], None] | None = None
        viewer.layers.events.removed.connect(self._on_layer_removed)
        self.edited.connect(self._tell_unsaved)
        self.masks_changed.connect(self._tell_unsaved)
        self.keeper = JournalKeeper(self)
        main_window(viewer).destroyed.connect(self.runner.stop)

    @classmethod
    def of(cls, viewer: Any) -> Session:
        """Return the session of a viewer, made at the first call."""
        found = main_window(viewer).findChild(cls)
        return found if found is not None else cls(viewer)

    @property
    def volumes(self) -> dict[str, Volume]:
        """The open time point's volumes in reading order; empty when no case is open."""
        if self.case is None:
            return {}
        volumes = self.case.timepoints[self.timepoint].volumes
        return {name: volumes[name] for name in in_reading_order(volumes)}

    @property
    def unsaved(self) -> tuple[OpenMask, ...]:
        """Masks that were worked on and are not on disk."""
        return tuple(m for m in self.masks if not m.saved and (m.document.revision or m.document.kind is not MaskKind.REFERENCE))

    # -- case

    def open_case(self, case: Case, timepoint: int = -1) -> None:
        """Show a case; what was open before is closed. Refused with `InputError` while the open one is `held`."""
        if self.held:
            raise InputError(self.held)
        self.close_case()
        self.case = case
        self.timepoint = timepoint
        self.reference = next(iter(self.volumes))
        self._show_volumes()
        self.case_changed.emit()
        for name, versions in case.timepoints[timepoint].masks.items():
            with self.reporting():
                self.add_mask(versions[-1], name, from_file=True, activate=False)
        if self.masks:
            grid = self.volumes[self.reference].grid
            self.activate(next((m for m in self.masks if m.document.grid.matches(grid)), self.masks[0]))

    def close_case(self) -> None:
        """Take the case and its masks out of the viewer."""
        for mask in self.masks:
            self._close_view(mask)
        self.masks.clear()
        self._activate(None)
        self.view.clear()
        self.case = None

    def rename_sequence(self, old: str, new: str) -> None:
        """Say that the volume `old` is the sequence `new`; the two change places where both exist."""
        if self.case is None or old == new:
            return
        point = self.case.timepoints[self.timepoint]
        swapped = {old: new, new: old}
        volumes = {}
        for name, volume in point.volumes.items():
            target = swapped.get(name, name)
            volumes[target] = replace(volume, modality=target) if name in swapped else volume
        self.reference = swapped.get(self.reference, self.reference)
        self._set_timepoint(replace(point, volumes=volumes))
        self._show_volumes()
        self.case_changed.emit()

    def _set_timepoint(self, point: TimePoint) -> None:
        assert self.case is not None
        self.case = self.case.with_timepoint(self.timepoint, point)

    def _show_volumes(self) -> None:
        self.view.show(self.volumes, Scene(self.volumes[self.reference].grid), self.reference)

    # -- masks

    def add_mask(
        self, version: MaskVersion, name: str, *, from_file: bool = False, notes: tuple[str, ...] = (), activate: bool = True
    ) -> OpenMask:
        """Open a mask beside those that are open and, unless told otherwise, make it the active one."""
        reference = next((n for n, v in self.volumes.items() if v.grid.matches(version.grid)), None)
        if reference is None:
            raise InputError(f"The mask {name} {version.grid.shape} lies on none of the images' grids.", "Open the image it was drawn on.")
        mask = OpenMask.of(version, self._free_name(name), reference, from_file=from_file)
        mask.notes = notes
        if self.case is not None and not from_file:
            self._set_timepoint(self.case.timepoints[self.timepoint].with_mask(name, version))
        self.masks.append(mask)
        if activate:
            self.activate(mask)
        return mask

    def add_empty_mask(self, schema_name: str = "brats-mets-2025") -> OpenMask:
        """Open an empty mask on the reference image."""
        from napari_tumorseg.core.labels import preset

        grid = self.volumes[self.reference].grid
        empty = MaskVersion(np.zeros(grid.shape, np.uint8), grid, preset(schema_name), MaskKind.RATER, self.settings.person)
        return self.add_mask(replace(empty, review=Review.IN_CORRECTION), "mask")

    def activate(self, mask: OpenMask) -> None:
        """Make a mask the one that is seen and edited; the others are kept and hidden."""
        if mask.reference != self.reference and not self.volumes[self.reference].grid.matches(mask.document.grid):
            # A mask is edited on its own image's grid, so that image becomes the scene.
            self.reference = mask.reference
            for other in self.masks:
                self._close_view(other)
            self._show_volumes()
        for other in self.masks:
            if other is not mask and other.view is not None:
                other.view.layer.visible = False
        if mask.view is None:
            source = self.volumes[mask.reference].source
            mask.view = MaskLayer(
                mask.document,
                self.view.scene,
                mask.name,
                person=self.settings.person,
                source=source,
                refused=lambda line: self.said.emit(line, True),
                describe=self.lesions.describe,
            )
            mask.view.buffer.on_enter = self.enter
            mask.view.buffer.on_escape = self.hand.escape
            self.viewer.add_layer(mask.view.layer)
        mask.view.layer.visible = True
        self.viewer.layers.selection.active = mask.view.layer
        self._activate(mask)

    def enter(self) -> None:
        """Close the outline that is being drawn, else accept the lesion in focus."""
        if not self.hand.finish() and self.focus.lesion is not None:
            self.focus.review.accept()

    def accept(self) -> None:
        """Say that a person has looked at the active mask and stands by it."""
        if self.active is not None:
            self.sync()
            self.active.document.review = Review.ACCEPTED
            self.active.accepted_by = self.settings.person
            self.edited.emit()

    def set_locked(self, value: int, locked: bool) -> None:
        """Lock or unlock a label of the active mask."""
        if self.active is not None:
            document = self.active.document
            document.locked = document.locked | {value} if locked else document.locked - {value}
            self.edited.emit()

    def sync(self) -> None:
        """Bring in what was written into the active layer's array directly."""
        if self.active is not None and self.active.view is not None:
            self.active.view.sync()

    def image_on_mask(self) -> npt.NDArray[Any] | None:
        """Return the sequence that is seen on the grid of the active mask, (z, y, x); None without one."""
        volume = self.volumes.get(self.view.sequence)
        if self.active is None or volume is None or volume.channels or np.iscomplexobj(volume.data):
            return None
        grid = self.active.document.grid
        if volume.grid.matches(grid):
            return volume.data
        if self._resampled is None or self._resampled[0] is not volume or self._resampled[1] is not grid:
            self._resampled = (volume, grid, on_grid(volume, grid))
        return self._resampled[2]

    def images_on_mask(self) -> dict[str, npt.NDArray[Any]]:
        """Return all plain images on the grid of the active mask, by modality."""
        if self.active is None:
            return {}
        grid = self.active.document.grid
        plain = {n: v for n, v in self.volumes.items() if not v.channels and not np.iscomplexobj(v.data)}
        return {name: volume.data for name, volume in plain.items() if volume.grid.matches(grid)}

    def other_mask(self) -> npt.NDArray[np.unsignedinteger[Any]] | None:
        """Return the labels of the other mask on the same grid, None unless there is just one."""
        if self.active is None:
            return None
        document = self.active.document
        others = [m.document.labels for m in self.masks if m is not self.active and m.document.grid.matches(document.grid)]
        return others[0] if len(others) == 1 else None

    # -- failures

    def report(self, error: BaseException) -> None:
        """Show once, in one line, what went wrong; a cancelled job is no failure."""
        if isinstance(error, Cancelled):
            return
        if isinstance(error, TumorSegError):
            line = str(error)
            _LOG.info("%s", line, exc_info=error)
        else:
            line = f"The program has a fault and stopped this step. What happened is written in {log_failure(error, self.settings)}."
            _LOG.error("%s", line, exc_info=error)
        self.said.emit(line, True)
        show_error(line)

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Report what is raised inside instead of passing it on."""
        try:
            yield
        except Exception as error:
            self.report(error)

    # -- inside

    def _free_name(self, name: str) -> str:
        taken = {m.name for m in self.masks}
        return next(n for n in (name, *(f"{name} {i}" for i in range(2, len(taken) + 3))) if n not in taken)

    def _activate(self, mask: OpenMask | None) -> None:
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None
        self.active = mask
        self.focus.clear()
        if mask is not None:
            self._stop_listening = mask.document.listen(self._on_change)
        self.lesions.watch(mask.document if mask is not None else None)
        if mask is not None:
            self.lesions.set_provenance(mask.document, mask.provenance.counts)
        self.masks_changed.emit()

    def _on_change(self, change: Change) -> None:
        assert self.active is not None
        if change.patch.origin.source in _EDITS_BY_HAND and self.active.document.review is not Review.IN_CORRECTION:
            self.active.document.review = Review.IN_CORRECTION
        self.edited.emit()

    def _tell_unsaved(self) -> None:
        # napari asks before its window closes while there is such a notice.
        names = ", ".join(mask.name for mask in self.unsaved)
        self._notice = tell_unsaved(self.viewer, self._notice, f"{names} is not saved" if names else "")

    def _close_view(self, mask: OpenMask) -> None:
        if mask.view is not None:
            view, mask.view = mask.view, None
            view.close()
            if view.layer in self.viewer.layers:
                self.viewer.layers.remove(view.layer)

    def _on_layer_removed(self, event: Any) -> None:
        for mask in self.masks:
            if mask.view is not None and mask.view.layer is event.value:
                mask.view.sync()
                mask.view.close()
                mask.view = None
                self.said.emit(f"The layer of {mask.name} was closed; the mask is kept and can be chosen under Correct.", False)
                self.masks_changed.emit()
