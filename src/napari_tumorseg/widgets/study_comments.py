"""Comments that are pinned to places in the image: those of earlier steps, and one's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLineEdit, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.widgets.parts import button, note

if TYPE_CHECKING:
    from napari_tumorseg.annotation.study.protocol import Protocol
    from napari_tumorseg.annotation.study.records import Comment
    from napari_tumorseg.widgets.session import Session
    from napari_tumorseg.widgets.study_work import StudyWork

__all__ = ["CommentList", "jump_to"]

_AROUND_MM = 15.0


class CommentList(QWidget):
    """Lists comments, jumps to their places, pins new ones at the crosshair.

    Parameters
    ----------
    session : Session
        Where is jumped.
    work : StudyWork
        Keeps one's own.
    """

    def __init__(self, session: Session, work: StudyWork) -> None:
        super().__init__()
        self._session = session
        self._work = work
        self.title = note("Comments", name="Comments")
        self.list = QListWidget()
        self.list.setAccessibleName("Comments pinned to places")
        self.list.setToolTip("Click one to go to its place")
        self.list.setMaximumHeight(120)
        self.list.setWordWrap(True)
        self.list.itemClicked.connect(self.jump)
        self.list.itemActivated.connect(self.jump)
        self.text = QLineEdit()
        self.text.setPlaceholderText("What is to be corrected here")
        self.text.setAccessibleName("New comment")
        self.text.setToolTip("No names of patients; pinned to the place of the crosshair")
        self.text.returnPressed.connect(self.pin)
        self.add = button("Pin here", "Pin the comment to the place of the crosshair", self.pin)
        self.remove = button("Remove", "Take back the chosen comment of your own", self.take_back)
        row = QHBoxLayout()
        row.addWidget(self.text, 1)
        row.addWidget(self.add)
        row.addWidget(self.remove)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.title)
        layout.addWidget(self.list)
        layout.addLayout(row)
        work.changed.connect(self.refresh)
        self.list.currentRowChanged.connect(lambda _row: self._enable())

    def refresh(self) -> None:
        """Show the comments of the task in hand."""
        hand, about = self._work.hand, self._work.about
        earlier: Sequence[Comment] = hand.comments if hand is not None else ()
        rows = [(comment, _of(about.protocol, comment)) for comment in earlier] if about is not None else []
        rows += [(comment, "You") for comment in self._work.comments]
        at = self.list.currentRow()
        self.list.clear()
        for comment, who in rows:
            item = QListWidgetItem(f"{who}: {comment.text}")
            item.setData(Qt.ItemDataRole.UserRole, comment)
            self.list.addItem(item)
        self.list.setCurrentRow(min(at, self.list.count() - 1))
        self.list.setVisible(bool(rows))
        self._enable()

    def jump(self, item: QListWidgetItem) -> None:
        """Bring the place of a comment to the middle of the view."""
        hand = self._work.hand
        if hand is not None:
            jump_to(self._session, hand.opened.mask.grid, item.data(Qt.ItemDataRole.UserRole).voxel)

    def pin(self) -> None:
        """Pin what is written to the voxel under the crosshair."""
        from napari_tumorseg.annotation.study.records import Comment

        hand, scene, text = self._work.hand, self._session.view.scene, self.text.text().strip()
        if hand is None or scene is None or not text:
            return
        grid = hand.opened.mask.grid
        at = grid.to_index(scene.to_patient(self._session.view.crosshair.point_mm))
        # The crosshair may stand half a voxel beside the image.
        z, y, x = (min(max(round(float(i)), 0), n - 1) for i, n in zip(at, grid.shape, strict=True))
        self.text.clear()
        self._work.set_comments([*self._work.comments, Comment((z, y, x), text)])
        self._session.view.focus()

    def take_back(self) -> None:
        """Remove the chosen comment, if it is one's own."""
        chosen = self._own()
        if chosen is not None:
            own = self._work.comments
            self._work.set_comments(own[:chosen] + own[chosen + 1 :])

    def _own(self) -> int | None:
        first = self.list.count() - len(self._work.comments)
        row = self.list.currentRow() - first
        return row if 0 <= row < len(self._work.comments) else None

    def _enable(self) -> None:
        self.remove.setEnabled(self._own() is not None)


def jump_to(session: Session, grid: Grid, voxel: tuple[int, int, int]) -> None:
    """Bring a voxel (z, y, x) of a grid to the middle of the view."""
    x, y, z = (float(v) for v in grid.to_mm(voxel))
    margin = [max(1, round(_AROUND_MM / s)) for s in grid.spacing_mm]
    k, j, i = voxel
    session.view.frame((x, y, z), Box((k, j, i), (k + 1, j + 1, i + 1)).grown(margin, grid.shape))


def _of(protocol: Protocol, comment: Comment) -> str:
    title = protocol.step(comment.step).title or comment.step
    return title if comment.round <= 1 else f"{title}, round {comment.round}"
