"""The docks: all steps in one, and each step and the lesion table on their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QFrame, QHBoxLayout, QMenu, QScrollArea, QToolButton, QVBoxLayout, QWidget

from napari_tumorseg.core.settings import RESEARCH_USE_ONLY
from napari_tumorseg.widgets.command_table import COMMANDS, register
from napari_tumorseg.widgets.diameter_lines import DiameterLines
from napari_tumorseg.widgets.docking import add_dock, prefer_height
from napari_tumorseg.widgets.first_run import FirstRunNote
from napari_tumorseg.widgets.lesion_table import LesionTable
from napari_tumorseg.widgets.linked_views import LinkedViews
from napari_tumorseg.widgets.napari_adapter import real
from napari_tumorseg.widgets.outline_preview import OutlinePreview
from napari_tumorseg.widgets.parts import tab_in_layout_order
from napari_tumorseg.widgets.restore_note import RestoreNote
from napari_tumorseg.widgets.search_bar import SearchBar
from napari_tumorseg.widgets.session import Session
from napari_tumorseg.widgets.status_line import StatusLine
from napari_tumorseg.widgets.step_case import CaseStep
from napari_tumorseg.widgets.step_correct import CorrectStep
from napari_tumorseg.widgets.step_save import SaveStep
from napari_tumorseg.widgets.step_segment import SegmentStep
from napari_tumorseg.widgets.steps import Step, StepList
from napari_tumorseg.widgets.view_bar import ViewBar
from napari_tumorseg.widgets.work import Work

__all__ = ["DOCK_NAME", "LESIONS_NAME", "CaseDock", "CorrectDock", "LesionDock", "SaveDock", "SegmentDock", "TumourDock"]

#: Names that napari gives to the docks of the manifest's widgets.
DOCK_NAME = "All steps (Tumour segmentation)"
LESIONS_NAME = "Lesions (Tumour segmentation)"


class _Dock(QWidget):
    """A scrolling content above a status line; folders and files can be dropped on it."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer = real(napari_viewer)
        self.work = Work.of(napari_viewer)
        self.session = self.work.session
        self.views = bind_views(self.session)
        register()
        self.setAcceptDrops(True)
        self.setMinimumWidth(310)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(0)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return the usual width."""
        return QSize(384, 640)

    def _fill(self, content: QWidget, above: QWidget | None = None) -> None:
        scroll = QScrollArea()
        scroll.setWidget(content)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.first_run = FirstRunNote(self.session.settings, RESEARCH_USE_ONLY)
        self.restore = RestoreNote(self.work, self.session.keeper)
        self.status = StatusLine(self.work)
        line = QFrame()
        line.setFrameShape(QFrame.Shape.HLine)
        line.setFixedHeight(1)
        line.setStyleSheet("background: rgba(128, 128, 128, 120); border: none;")
        for widget in (above, scroll, self.restore, self.first_run, line, self.status):
            if widget is not None:
                self._layout.addWidget(widget, 1 if widget is scroll else 0)
        for signal in (self.session.case_changed, self.session.masks_changed):
            signal.connect(self._order_tabs)
        self._order_tabs()

    def _order_tabs(self) -> None:
        tab_in_layout_order(self)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802
        """Take files and folders."""
        data = event.mimeData() if event is not None else None
        if event is not None and data is not None and any(url.isLocalFile() for url in data.urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802
        """Open what was dropped."""
        data = event.mimeData() if event is not None else None
        if event is not None and data is not None:
            event.acceptProposedAction()
            self.open([Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()])

    def open(self, paths: list[Path]) -> None:
        """Open a case or a mask."""
        step = self.findChild(CaseStep) or CaseStep(self.work)
        step.open(paths)


class TumourDock(_Dock):
    """All steps, one open at a time, with the view's buttons above and the status line below.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        With a window.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.case = CaseStep(self.work)
        self.segment = SegmentStep(self.work)
        self.correct = CorrectStep(self.work)
        self.save = SaveStep(self.work)
        self.steps = StepList((self.case, self.segment, self.correct, self.save))
        self.view_bar = ViewBar(self.session)
        self.search = SearchBar(self.session)
        top = QWidget()
        stack = QVBoxLayout(top)
        stack.setContentsMargins(0, 0, 0, 0)
        stack.setSpacing(0)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 4, 0)
        stack.addLayout(row)
        stack.addWidget(self.search)
        row.addWidget(self.view_bar, 1)
        row.addWidget(_menu_button(self), 0, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignRight)
        self._fill(self.steps, top)
        self.work.ended.connect(self._on_ended)
        self.session.case_changed.connect(self._show_lesions)

    def _on_ended(self, kind: str, outcome: str) -> None:
        """Open the step that comes next."""
        if outcome != "done":
            return
        if kind == "segment":
            self.steps.open(2)
        elif kind == "open" and self.steps.opened == 0:
            self.steps.open(2 if self.session.masks else 1)

    def _show_lesions(self) -> None:
        if LESIONS_NAME not in self.viewer.window.dock_widgets:
            prefer_height(self.viewer, add_dock(self.viewer, LesionDock(self.viewer), LESIONS_NAME, "bottom"), 180)
            # The canvas is smaller now than when the case was fitted into it.
            self.viewer.reset_view()


class _OneStep(_Dock):
    kind: type[Step]

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.step = self.kind(self.work)
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.setContentsMargins(0, 6, 0, 0)
        layout.addWidget(self.step)
        layout.addStretch(1)
        self._fill(content)


class CaseDock(_OneStep):
    """The step Case on its own."""

    kind = CaseStep


class SegmentDock(_OneStep):
    """The step Segment on its own."""

    kind = SegmentStep


class CorrectDock(_OneStep):
    """The step Correct on its own."""

    kind = CorrectStep


class SaveDock(_OneStep):
    """The step Save on its own."""

    kind = SaveStep


class LesionDock(LesionTable):
    """The lesion table as a dock.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        With a window.
    """

    def __init__(self, napari_viewer: Any) -> None:
        register()
        super().__init__(Work.of(napari_viewer).session)


def bind_views(session: Session) -> LinkedViews:
    """Return the linked views of a session, with the tool in hand bound to all of them at the first call."""
    views = LinkedViews.of(session)
    if session.hand.findChild(OutlinePreview) is None:
        session.hand.views = views.mask_layers
        OutlinePreview(session.hand, views)
        DiameterLines(session, views)
        views.changed.connect(session.hand.put_down)
    return views


def _menu_button(dock: TumourDock) -> QToolButton:
    """Return a button with every command and its key."""
    made = QToolButton()
    made.setText("☰")
    made.setToolTip("All commands and their keys")
    made.setAccessibleName("All commands")
    made.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
    made.setAutoRaise(True)
    menu = QMenu(made)
    for command in COMMANDS:
        text = f"{command.title}\t{command.keys_text}" if command.key else command.title
        action = menu.addAction(text)
        if action is not None:
            action.triggered.connect(lambda _on=False, c=command: c.run(dock.viewer))
    made.setMenu(menu)
    return made
