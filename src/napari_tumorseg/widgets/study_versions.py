"""The versions of a mask that an approver chooses among: side by side, as differences, lesion by lesion."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari.layers import Image
from qtpy.QtCore import QObject
from qtpy.QtWidgets import (
    QAbstractItemView,
    QGridLayout,
    QHeaderView,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_tumorseg.core.document import Origin, PatchSource
from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.wording import ml_text
from napari_tumorseg.widgets.beside_view import BesideView
from napari_tumorseg.widgets.parts import button, note, toggle
from napari_tumorseg.widgets.replay_layer import ReadOnlyLabels
from napari_tumorseg.workflows.study.versions import DIFFERENT_LABEL, SOME_ONLY, VersionComparison, compare_versions, lesion_taken

if TYPE_CHECKING:
    from napari_tumorseg.core.case import MaskVersion
    from napari_tumorseg.widgets.session import Session
    from napari_tumorseg.widgets.study_work import StudyWork

__all__ = ["VersionPanel"]

# Of Okabe and Ito, none of them a label's: marked by some only, and by all with different labels.
_COLOURS = {SOME_ONLY: "#F0E442", DIFFERENT_LABEL: "#CC79A7"}
_OPACITY = 0.7


class VersionPanel(QWidget):
    """Shows versions beside the image and where they differ; takes one, or a lesion from one, into the mask.

    Parameters
    ----------
    session : Session
        Where they are shown.
    work : StudyWork
        Whose task has versions.
    """

    def __init__(self, session: Session, work: StudyWork) -> None:
        super().__init__()
        self._session = session
        self._work = work
        self._versions: tuple[tuple[str, MaskVersion], ...] = ()
        self.comparison: VersionComparison | None = None
        self._beside = _Beside(session)
        self._overlay: ReadOnlyLabels | None = None
        self._sides: list[QToolButton] = []
        self._rows = QGridLayout()
        self._rows.setColumnStretch(0, 1)
        self.differences = toggle("Show differences", "Yellow: marked in some versions only. Pink: marked in all, with different labels.")
        self.differences.clicked.connect(self.show_differences)
        self.said = note(name="How the versions differ")
        self.lesions = QTableWidget()
        self.lesions.setAccessibleName("Lesions that differ")
        self.lesions.setToolTip("Click a lesion to go to it")
        self.lesions.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.lesions.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.lesions.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.lesions.setMaximumHeight(160)
        self.lesions.itemSelectionChanged.connect(self._jump)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(note("Versions of this mask", name="Versions of this mask"))
        layout.addLayout(self._rows)
        layout.addWidget(self.differences)
        layout.addWidget(self.said)
        layout.addWidget(self.lesions)
        session.view.scene_changed.connect(self._take_away)
        work.opened.connect(lambda _hand: self.show_versions())
        self.hide()

    def show_versions(self) -> None:
        """Show those of the task in hand, compared in a job; hidden where it has none."""
        hand = self._work.hand
        self._versions = tuple((info.title, mask) for info, mask in hand.versions) if hand is not None else ()
        self.comparison = None
        self.setVisible(bool(self._versions))
        self._fill_rows()
        self.lesions.setRowCount(0)
        self._tell("")
        self.differences.setEnabled(False)
        if len(self._versions) > 1:
            versions = [mask for _, mask in self._versions]
            self._session.runner.start(
                "versions", lambda progress: compare_versions(versions, progress), done=self._on_compared, failed=self._session.report
            )

    def beside(self, number: int, on: bool) -> None:
        """Show a version beside the image, or take it away."""
        title, mask = self._versions[number]
        if on:
            self._beside.show(number, title, mask, lambda: self.beside(number, False))
        else:
            self._beside.hide(number)
        self._sides[number].setChecked(on)

    def show_differences(self, on: bool) -> None:
        """Colour where the versions differ, or take the colours away."""
        if on and self.comparison is not None and self._overlay is None:
            colours = dict(_COLOURS)
            self._overlay = ReadOnlyLabels(
                self._session, self.comparison.differences, "Differences", colours, opacity=_OPACITY, gone=self._on_gone
            )
        elif not on and self._overlay is not None:
            shown, self._overlay = self._overlay, None
            shown.remove()
        self.differences.setChecked(self._overlay is not None)

    def take(self, number: int) -> None:
        """Make the mask what a version is, as one step that can be undone."""
        active = self._work.case.mask
        if active is not None:
            title, mask = self._versions[number]
            whole = Box.whole(mask.grid.shape)
            with self._session.reporting():
                self._session.sync()
                active.document.write(whole, mask.labels, self._origin("take version"))
                self._session.said.emit(f"The mask is now that of {title}; locked labels were kept.", False)

    def take_lesion(self, number: int) -> None:
        """Take the chosen lesion as a version has it, as one step that can be undone."""
        active, found, row = self._work.case.mask, self.comparison, self.lesions.currentRow()
        if active is None or found is None or not 0 <= row < len(found.lesions):
            return
        lesion = found.lesions[row]
        with self._session.reporting():
            self._session.sync()
            document = active.document
            taken = lesion_taken(document.labels, found.parts, lesion, self._versions[number][1].labels)
            document.write(lesion.box, taken, self._origin("take lesion"))

    # -- inside

    def _origin(self, tool: str) -> Origin:
        return Origin(PatchSource.TOOL, tool, self._session.settings.person)

    def _fill_rows(self) -> None:
        self._sides = []
        while (item := self._rows.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        for number, (title, _mask) in enumerate(self._versions):
            side = toggle("Beside", f"Show {title} beside the image", f"Show {title} beside")
            side.clicked.connect(lambda on, n=number: self.beside(n, on))
            # A toggle would shrink to nothing between buttons.
            side.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
            self._sides.append(side)
            whole = button("Take all", f"Make the mask what {title} is", lambda n=number: self.take(n))
            lesion = button("Take lesion", f"Take the chosen lesion as {title} has it", lambda n=number: self.take_lesion(n))
            for column, made in enumerate((note(title, name=title), side, whole, lesion)):
                self._rows.addWidget(made, number, column)

    def _on_compared(self, found: VersionComparison) -> None:
        if self._work.hand is None or not self._versions:
            return
        self.comparison = found
        count = len(found.lesions)
        self.differences.setEnabled(count > 0)
        self._tell(f"{count} lesion{' differs' if count == 1 else 's differ'}, {found.same} the same in all. mL marked:")
        titles = [title for title, _ in self._versions]
        table = self.lesions
        table.blockSignals(True)
        table.setColumnCount(len(titles) + 1)
        table.setHorizontalHeaderLabels([*titles, "differs"])
        table.setRowCount(count)
        for row, lesion in enumerate(found.lesions):
            for column, value in enumerate((*lesion.volumes_ml, lesion.differing_ml)):
                table.setItem(row, column, QTableWidgetItem(ml_text(value) if value else "none"))
        table.blockSignals(False)
        header = table.horizontalHeader()
        if header is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)

    def _jump(self) -> None:
        found, row = self.comparison, self.lesions.currentRow()
        if found is not None and 0 <= row < len(found.lesions):
            lesion = found.lesions[row]
            self._session.view.frame(lesion.centre_mm, lesion.box)

    def _tell(self, text: str) -> None:
        self.said.setText(text)
        self.said.setVisible(bool(text))

    def _on_gone(self) -> None:
        self._overlay = None
        self.differences.setChecked(False)

    def _take_away(self) -> None:
        """Show nothing of a case that goes."""
        self._beside.close()
        self.show_differences(False)
        self._versions, self.comparison = (), None
        self.hide()


class _Beside(QObject):
    """Versions on canvases of their own, at the right of the main one."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._shown: dict[int, BesideView] = {}
        session.view.sequence_changed.connect(self._on_sequence)

    def show(self, number: int, title: str, mask: MaskVersion, close: Callable[[], None]) -> None:
        """Show a version; `close` is called by its own button."""
        scene = self._session.view.scene
        if number not in self._shown and scene is not None:
            side = BesideView(self._session, scene, title, title, close, first=False)
            self._shown[number] = side
            self._bring(side, self._session.view.sequence)
            side.add_mask(mask, title)
            side.say(title)

    def hide(self, number: int) -> None:
        """Take a version away."""
        if number in self._shown:
            self._shown.pop(number).close()

    def close(self) -> None:
        """Take all away."""
        shown, self._shown = self._shown, {}
        for side in shown.values():
            side.close()

    def _on_sequence(self, name: str) -> None:
        for side in self._shown.values():
            self._bring(side, name)

    def _bring(self, side: BesideView, name: str) -> None:
        main = next(iter(self._session.view.layers.get(name, ())), None)
        if main is None or main.rgb or side.show_image(name):
            return
        # The same voxels: nothing is copied.
        layer = Image(
            main.data, name=name, scale=main.scale, translate=main.translate, units=main.units,
            colormap=main.colormap, contrast_limits=main.contrast_limits,
        )  # fmt: skip
        side.add_image(name, layer, lambda low, high: (low, high))
        side.show_image(name)
