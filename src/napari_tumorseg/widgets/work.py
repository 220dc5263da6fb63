"""The long jobs of a session: open, segment, save. One at a time, seen by every widget."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_info
from qtpy.QtCore import QObject, Signal

from napari_tumorseg.catalogue.registry import Catalogue
from napari_tumorseg.core.case import MaskVersion, Review
from napari_tumorseg.core.errors import OutputError, OverlapError
from napari_tumorseg.core.jobs import Progress, ProgressState
from napari_tumorseg.widgets.doubt import Doubts
from napari_tumorseg.widgets.jobs import Job
from napari_tumorseg.widgets.masks import OpenMask
from napari_tumorseg.widgets.session import Session
from napari_tumorseg.workflows.open_case import OpenRequest, open_case, open_mask
from napari_tumorseg.workflows.segment import SegmentRequest, SegmentResult, segment_case

__all__ = ["Work"]

# Whoever waited longer has looked away and is told by a notice, too.
_LONG_S = 10.0


class Work(QObject):
    """Starts jobs for a session and tells how they go.

    Signals
    -------
    started(str, str)
        Kind ("open", "segment", "save") and a title.
    progress(float, str)
        Fraction and the step under way.
    ended(str, str)
        Kind and outcome: "done", "failed" or "cancelled".
    segmented(object)
        A `SegmentResult`.
    overlapped(object, object)
        Path of a mask whose segments overlap, and the error that says which.

    Parameters
    ----------
    session : Session
        Owner.
    """

    started = Signal(str, str)
    progress = Signal(float, str)
    ended = Signal(str, str)
    segmented = Signal(object)
    overlapped = Signal(object, object)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self.catalogue: Any = Catalogue(session.settings)
        self.save_problem = ""
        self._job: Job | None = None
        session.keeper.watch_jobs(self)
        Doubts.of(session).watch(self)

    @classmethod
    def of(cls, viewer: Any) -> Work:
        """Return the work of a viewer's session, made at the first call."""
        session = Session.of(viewer)
        found = session.findChild(cls)
        return found if found is not None else cls(session)

    @property
    def session(self) -> Session:
        """Whose jobs these are."""
        return self._session

    @property
    def busy(self) -> bool:
        """Whether a job is under way."""
        return self._job is not None

    def cancel(self) -> None:
        """Stop the job under way, if there is one."""
        if self._job is not None:
            self._job.cancel()

    def open_paths(self, request: OpenRequest) -> None:
        """Read a case from a folder or files and show it."""
        paths = request.paths
        name = paths[0].name if len(paths) == 1 else f"{len(paths)} files"
        self._start("open", f"Reading {name}", lambda progress: open_case(request, progress), self._session.open_case)

    def open_mask(self, path: Path, request: OpenRequest) -> None:
        """Read a mask of the open case and show it; `overlapped` is emitted where a choice is needed first."""
        reference = self._session.volumes[self._session.reference]

        def show(mask: MaskVersion) -> None:
            self._session.add_mask(mask, path.name.split(".")[0], from_file=True).path = path

        def ask(error: BaseException) -> bool:
            if isinstance(error, OverlapError):
                self.overlapped.emit(path, error)
                return True
            return False

        self._start("open", f"Reading {path.name}", lambda progress: open_mask(path, reference, request, progress), show, ask)

    def segment(self, request: SegmentRequest) -> None:
        """Run a model on the open case; its mask is added to those that are there."""
        case = self._session.case
        if case is None:
            return
        catalogue = self.catalogue

        def run(progress: Progress) -> SegmentResult:
            model = catalogue.load(request.model, progress.part(0.0, 0.05))
            device = _device_name(request.device)
            told = Progress(
                lambda state: progress.report(ProgressState(state.fraction, f"{state.message} (on {device})")),
                progress.cancel,
            )
            return segment_case(case, model, request, told.part(0.05, 1.0))

        self._start("segment", f"Segmenting with {request.model}", run, self._take_result)

    def _take_result(self, result: SegmentResult) -> None:
        self._session.add_mask(result.mask, result.mask.author.split(" ")[0] or "AI", notes=result.notes)
        self.segmented.emit(result)
        count = len(result.lesions)
        line = f"{result.mask.author.split(' ')[0]} is done: {count} lesion{'' if count == 1 else 's'}. Check every one of them."
        self._session.said.emit(line, False)
        if result.seconds.get("total", 0.0) > _LONG_S:
            show_info(line)

    def save(self, mask: OpenMask, path: Path) -> None:
        """Write a mask, replacing the file when it exists."""
        from napari_tumorseg.workflows.save import save_mask

        self._session.sync()
        version, revision = mask.document.snapshot(), mask.document.revision
        reference = self._session.volumes[mask.reference]

        def write(progress: Progress) -> Path:
            progress.update(0.0, f"Writing {path.name}")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(f"The folder {path.parent} cannot be made: {error.strerror}.", "Choose another folder.") from error
            return save_mask(version, reference, path)

        def saved(written: Path) -> None:
            mask.mark_saved(revision, Review(version.review), written)
            self.save_problem = ""
            self._session.said.emit(f"Saved {written}", False)

        self.save_problem = ""
        self._start("save", f"Saving {path.name}", write, saved)

    def _start(
        self,
        kind: str,
        title: str,
        function: Callable[[Progress], Any],
        done: Callable[[Any], None],
        handled: Callable[[BaseException], bool] = lambda _error: False,
    ) -> None:
        if self._job is not None:
            self._session.said.emit("Wait until the step under way is done, or cancel it.", True)
            return
        if self._session.held:
            self._session.said.emit(self._session.held, True)
            return
        outcome = ["cancelled"]

        def take(result: Any) -> None:
            outcome[0] = "failed"
            with self._session.reporting():
                done(result)
                outcome[0] = "done"

        def fail(error: BaseException) -> None:
            outcome[0] = "failed"
            if kind == "save":
                self.save_problem = str(error)
            if not handled(error):
                self._session.report(error)

        def finish() -> None:
            self._job = None
            self.ended.emit(kind, outcome[0])
            self._session.edited.emit()

        self.started.emit(kind, title)
        self._job = self._session.runner.start(kind, function, done=take, failed=fail, progress=self.progress.emit, finished=finish)


def _device_name(device: str) -> str:
    """Return what the user reads for a device; runs in the job, because it imports torch."""
    if device == "auto":
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
    return {"cpu": "the processor", "cuda": "the graphics card"}.get(device, device)
