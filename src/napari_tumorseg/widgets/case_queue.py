"""The queue of cases in the window: the next one read ahead, each reopened where it was left."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from napari_tumorseg.core.case import Case
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.inference.memory import free_bytes
from napari_tumorseg.widgets.napari_adapter import main_window
from napari_tumorseg.widgets.napari_views import main_qt_viewer
from napari_tumorseg.widgets.parked_work import ParkedWork
from napari_tumorseg.widgets.parts import button, choose, note
from napari_tumorseg.widgets.read_ahead import ReadAhead
from napari_tumorseg.widgets.session_part import SessionPart
from napari_tumorseg.workflows.open_case import OpenRequest, open_case
from napari_tumorseg.workflows.queue import CaseQueue, CaseState, Place, QueuedCase, case_bytes, may_read_ahead

if TYPE_CHECKING:
    from napari_tumorseg.widgets.session import Session

__all__ = ["CaseQueueList", "CaseQueueWork", "UnsavedWork"]


class UnsavedWork(Protocol):
    """Keeps what is not saved while another case is open; the journal fulfils it."""

    def park(self, case_key: str) -> bool:
        """Put away the unsaved masks of the open case before it is closed; return whether all are safe."""
        ...

    def resume(self, case_key: str) -> None:
        """Bring back, into the case that has just been opened, what was put away."""
        ...


class CaseQueueWork(SessionPart):
    """Goes through a folder of cases.

    At most one case is read ahead, in a thread, and only while memory is plenty; it is dropped when
    another one is wanted or memory has become short.

    Signals
    -------
    changed()
        Another folder, another case, or another state.
    read_ahead(object)
        The `QueuedCase` that has been read ahead.
    opened(object)
        The `QueuedCase` that is shown.
    """

    read_ahead = Signal(object)
    opened = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.queue: CaseQueue | None = None
        self.unsaved_work: UnsavedWork | None = ParkedWork(session)
        self.may_discard: Callable[[str], bool] = self._ask
        self._reader = ReadAhead(session.runner, "queue", self)
        self._reader.read.connect(self._on_read_ahead)
        self._shown = ""
        self._case: Case | None = None
        session.case_changed.connect(self._on_case)
        for closed in (main_window(session.viewer), main_qt_viewer(session.viewer)):
            closed.installEventFilter(self)

    def eventFilter(self, _watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Remember where the open case was before the window goes."""
        if event is not None and event.type() == QEvent.Type.Close and self.queue is not None:
            self.remember()
        return False

    # -- state

    @property
    def current(self) -> QueuedCase | None:
        """The case of the queue that is shown, None while another one is."""
        if self.queue is None or not self._shown:
            return None
        return next((case for case in self.queue.cases if case.key == self._shown), None)

    @property
    def ahead(self) -> str:
        """Key of the case that has been read ahead, "" for none."""
        return self._reader.key

    @property
    def busy(self) -> bool:
        """Whether the user waits for a case."""
        return self._reader.waiting

    @property
    def reading(self) -> bool:
        """Whether a case is being read, wanted or not."""
        return self._reader.reading

    # -- what the user does

    def open_folder(self, folder: Path) -> None:
        """Open a folder of case folders, at the case where it was left or the first that is not done."""
        with self._session.reporting():
            queue = CaseQueue(folder, self._session.settings)
            self._reader.forget()
            self._leave_place()
            self.queue, self._shown = queue, ""
            self.changed.emit()
            case = queue.current
            first = case if case is not None and case.state is not CaseState.DONE else queue.first_open()
            self.go_to(first or queue.cases[0])

    def step(self, by: int) -> None:
        """Show the next (1) or the previous (-1) case."""
        if self.queue is None:
            return
        case = self.queue.neighbour(by)
        if case is None:
            self._session.said.emit(f"This is the {'last' if by > 0 else 'first'} case.", False)
        else:
            self.go_to(case)

    def go_to(self, case: QueuedCase) -> None:
        """Show a case; what is not saved is put away, or the user is asked."""
        if self.queue is None or case.key == self._shown or not self._may_leave():
            return
        self._reader.want(case.key, _reads(case), lambda found: self._show(case, found), self._on_failed)
        self.changed.emit()

    def set_done(self, done: bool) -> None:
        """Say that the case that is shown is done, or is still in work."""
        case = self.current
        if self.queue is not None and case is not None:
            self.queue.set_state(case, CaseState.DONE if done else CaseState.IN_WORK)
            self._tell_lasting()
            self.changed.emit()

    def remember(self) -> None:
        """Remember where the user is in the case that is shown; to be called before the window closes, too."""
        self._leave_place()

    # -- inside

    def _may_leave(self) -> bool:
        session = self._session
        session.sync()
        if not session.unsaved:
            return True
        if self.unsaved_work is not None and self._shown and self.unsaved_work.park(self._shown):
            return True
        return self.may_discard(", ".join(mask.name for mask in session.unsaved))

    def _ask(self, names: str) -> bool:
        question = "Close the case without saving its mask?"
        window = self._session.parent()
        assert isinstance(window, QWidget)
        return bool(choose(window, question, f"{names} is not saved. Opening another case closes it.", ("Discard the mask",)))

    def _on_read_ahead(self, key: str) -> None:
        if self.queue is not None:
            self.read_ahead.emit(next(case for case in self.queue.cases if case.key == key))

    def _on_failed(self, error: BaseException) -> None:
        self._session.report(error)
        self.changed.emit()

    def _show(self, case: QueuedCase, found: Case) -> None:
        queue, session = self.queue, self._session
        assert queue is not None
        self._leave_place()
        with session.reporting():
            now = next(own for own in queue.cases if own.key == case.key)
            place = now.place
            count = len(found.timepoints)
            fits = place is not None and -count <= place.timepoint < count
            self._case, self._shown = found, ""
            session.open_case(found, place.timepoint if place is not None and fits else -1)
            self._shown = case.key
            shown = queue.go_to(now)
            if self.unsaved_work is not None:
                self.unsaved_work.resume(case.key)
            if place is not None:
                self._go_back(place)
            self._tell_lasting()
            self.opened.emit(shown)
        self.changed.emit()
        self._look_ahead()

    def _look_ahead(self) -> None:
        queue = self.queue
        coming = queue.neighbour(1) if queue is not None else None
        open_now = self._session.case
        if coming is None or coming.key == self.ahead or self.reading:
            return
        if may_read_ahead(coming.path, case_bytes(open_now) if open_now is not None else 0, free_bytes("cpu")):
            self._reader.look_ahead(coming.key, _reads(coming), lambda found: case_bytes(found) <= free_bytes("cpu"))
        else:
            self._reader.drop()

    def _on_case(self) -> None:
        # Renaming a sequence gives a new Case object of the same name; another case was opened by other means.
        open_now = self._session.case
        if self._shown and (open_now is None or self._case is None or open_now.name != self._case.name):
            self._shown = ""
            self.changed.emit()

    def _leave_place(self) -> None:
        case, session = self.current, self._session
        view, scene = session.view, session.view.scene
        if case is None or self.queue is None or scene is None:
            return
        point = list(view.crosshair.point_mm)
        centre = list(point)
        order = view.main.order
        if session.viewer.dims.ndisplay == 2:
            for axis, value in zip(order[-2:], session.viewer.scene.camera.center[-2:], strict=True):
                centre[axis] = float(value)
        plane = view.plane if view.plane in ("axial", "coronal", "sagittal") else "axial"
        self.queue.set_place(
            case,
            Place(
                _three(scene.to_patient(point)),
                _three(scene.to_patient(centre)),
                plane,
                float(session.viewer.scene.camera.zoom) if session.viewer.dims.ndisplay == 2 else 0.0,
                view.sequence,
                session.active.name if session.active is not None else "",
                session.timepoint,
            ),
        )
        self._tell_lasting()

    def _go_back(self, place: Place) -> None:
        session = self._session
        mask = next((m for m in session.masks if m.name == place.mask), None)
        if mask is not None and mask is not session.active:
            session.activate(mask)
        view, scene = session.view, session.view.scene
        if scene is None:
            return
        view.show_sequence(place.sequence)
        view.show_plane(place.plane)
        view.crosshair.move([float(v) for v in scene.to_world(place.point_mm)])
        if place.zoom > 0:
            session.viewer.scene.camera.zoom = place.zoom
            view.main.centre(scene.to_world(place.centre_mm))

    def _tell_lasting(self) -> None:
        if self.queue is not None and not self.queue.lasting:
            self._session.said.emit("The queue's states cannot be kept: the settings folder cannot be written. Free some space.", True)


def _reads(case: QueuedCase) -> Callable[[Progress], Case]:
    return lambda progress: open_case(OpenRequest((case.path,)), progress)


def _three(values: Iterable[float]) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return x, y, z


class CaseQueueList(QWidget):
    """A compact list of the cases with sign and word, buttons, and how many are done.

    Parameters
    ----------
    work : CaseQueueWork
        What it shows.
    """

    def __init__(self, work: CaseQueueWork) -> None:
        super().__init__()
        self._work = work
        self.open = button("Open a queue…", "Open a folder with one folder for each case", self._choose)
        self.text = note(name="How far the queue is")
        self.list = QListWidget()
        self.list.setAccessibleName("Cases of the queue")
        self.list.setToolTip("Double-click or Return shows a case")
        self.list.setMaximumHeight(150)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.itemActivated.connect(self._on_activated)
        self.previous = button("Previous case", "Show the case before this one", lambda: work.step(-1))
        self.next = button("Next case", "Show the case after this one", lambda: work.step(1))
        self.done = button("Done", "Say that this case is done, or take it back", self._toggle_done)
        row = QHBoxLayout()
        for made in (self.previous, self.done, self.next):
            row.addWidget(made, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.open)
        layout.addWidget(self.text)
        layout.addWidget(self.list)
        layout.addLayout(row)
        work.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the queue."""
        queue, current = self._work.queue, self._work.current
        for widget in (self.text, self.list, self.previous, self.done, self.next):
            widget.setVisible(queue is not None)
        if queue is None:
            return
        self.text.setText(f"{queue.text}{', reading' if self._work.busy else ''}")
        cases = queue.cases
        if self.list.count() != len(cases):
            self.list.clear()
            self.list.addItems([""] * len(cases))
        for row, case in enumerate(cases):
            item = self.list.item(row)
            assert item is not None
            item.setText(f"{case.state.sign} {case.name}  {case.state.value}")
            item.setData(Qt.ItemDataRole.UserRole, case.key)
            item.setToolTip(case.name)
            font = item.font()
            font.setBold(current is not None and case.key == current.key)
            item.setFont(font)
            if current is not None and case.key == current.key:
                self.list.setCurrentItem(item)
        self.previous.setEnabled(queue.neighbour(-1) is not None)
        self.next.setEnabled(queue.neighbour(1) is not None)
        self.done.setEnabled(current is not None)
        self.done.setText("Not done" if current is not None and current.state is CaseState.DONE else "Done")

    def _on_activated(self, item: QListWidgetItem) -> None:
        queue = self._work.queue
        key = item.data(Qt.ItemDataRole.UserRole)
        case = next((c for c in queue.cases if c.key == key), None) if queue is not None else None
        if case is not None:
            self._work.go_to(case)

    def _toggle_done(self) -> None:
        current = self._work.current
        if current is not None:
            self._work.set_done(current.state is not CaseState.DONE)

    def _choose(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open a folder of cases")
        if path:
            self._work.open_folder(Path(path))
