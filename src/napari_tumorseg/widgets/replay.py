"""The window in which a correction is played again and exported as a film."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QDialog, QFileDialog, QHBoxLayout, QLabel, QProgressBar, QSlider, QVBoxLayout, QWidget

from napari_tumorseg.annotation.replay import Replay, Step
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.widgets.jobs import Job
from napari_tumorseg.widgets.napari_adapter import main_window
from napari_tumorseg.widgets.parts import button, note
from napari_tumorseg.widgets.replay_player import ReplayPlayer
from napari_tumorseg.workflows.scene import PLANES
from napari_tumorseg.workflows.timelapse import TimelapseRequest, export_timelapse

if TYPE_CHECKING:
    from napari_tumorseg.widgets.session import Session

__all__ = ["ReplayDialog", "show_replay"]

_GIF, _MP4 = "GIF animation (*.gif)", "MP4 film (*.mp4)"


def show_replay(viewer: Any) -> ReplayDialog | None:
    """Show the replay of the active mask beside the window, which stays usable; say why where there is nothing to replay.

    Parameters
    ----------
    viewer : napari.Viewer
        With a window.

    Returns
    -------
    ReplayDialog or None
        The one that is open already, else a new one; None where there is no mask or no record of it.
    """
    from napari_tumorseg.widgets.session import Session

    session = Session.of(viewer)
    # One that was closed lives on until Qt has time to delete it.
    for found in main_window(viewer).findChildren(ReplayDialog):
        if found.isVisible():
            found.raise_()
            return found
    if session.active is None:
        session.said.emit("There is no mask to replay: open one, or run a model.", False)
        return None
    if session.keeper.journal is None:
        session.said.emit(f"There is no record of the changes of {session.active.name}: {session.keeper.text}.", True)
        return None
    dialog = ReplayDialog(session)
    dialog.show()
    return dialog


class ReplayDialog(QDialog):
    """Steps of the active mask's correction: a slider over them, playing, and the export of a film.

    Parameters
    ----------
    session : Session
        With an active mask that has a journal.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(main_window(session.viewer))
        self._session = session
        self._film: Job | None = None
        self.player = ReplayPlayer(session, self)
        self.setWindowTitle(f"Replay of {self.player.mask.name}")
        self.setModal(False)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumWidth(460)
        self._build()
        self.player.changed.connect(self.refresh)
        self.player.failed.connect(self._on_unread)
        self.player.gone.connect(self.close)
        self.finished.connect(self._on_finished)
        self.player.read()

    @property
    def exporting(self) -> bool:
        """Whether a film is being written."""
        return self._film is not None

    def refresh(self) -> None:
        """Show the state."""
        player = self.player
        ready = player.count > 0
        self.slider.setEnabled(ready)
        if not self.slider.isSliderDown():
            self.slider.blockSignals(True)
            self.slider.setRange(0, player.count)
            self.slider.setPageStep(max(1, player.count // 20))
            self.slider.setValue(player.index)
            self.slider.blockSignals(False)
        self.back.setEnabled(ready and player.index > 0)
        self.forward.setEnabled(ready and player.index < player.count)
        self.play.setEnabled(ready)
        self.play.setText("Pause" if player.playing else "Play")
        self.play.setAccessibleName(self.play.text())
        if ready or player.reading or player.steps is not None:
            self.where.setText(self._where())
        self.stale.setText("The mask was changed since." if player.outdated else "")
        self._stale_row.setVisible(not player.reading and (player.outdated or player.steps is None))
        self.export.setEnabled(ready and not self.exporting)
        self._film_row.setVisible(self.exporting)

    def write(self, path: Path) -> None:
        """Write the film of the correction in a job; its format follows from the ending of `path`."""
        steps, image = self.player.steps, self._image()
        if steps is None or image is None or self.exporting:
            return
        plane: Any = self._session.view.plane
        request = TimelapseRequest(path, plane=plane if plane in PLANES else "axial")

        def work(progress: Progress) -> Path:
            progress.update(0.0, "Reading the steps")
            # Its own replay: the one in the window goes on meanwhile.
            return export_timelapse(Replay(steps), image, request, progress)

        self.said.setVisible(False)
        self.bar.setValue(0)
        job = self._session.runner.start("time-lapse", work, done=self._on_written, failed=self._on_not_written, progress=self._on_progress)
        self._film = job
        job.finished.connect(lambda: self._forget(job))
        self.refresh()

    def cancel_film(self) -> None:
        """Stop writing the film; nothing of it is left."""
        if self._film is not None:
            self._film.cancel()

    # -- inside

    def _build(self) -> None:
        player = self.player
        self.where = QLabel()
        self.where.setWordWrap(True)
        self.where.setAccessibleName("Step that is shown")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Step")
        self.slider.setToolTip("Drag to any step of the correction")
        self.slider.valueChanged.connect(self._on_slider)
        self.back = button("Back", "Show the mask before this step", lambda: self._step(-1))
        self.play = button("Play", "Show step after step, four a second", self._toggle_playing)
        self.forward = button("Forward", "Show the mask after the next step", lambda: self._step(1))
        self.follow = QCheckBox("Go to each step")
        self.follow.setToolTip("Move the view to the place of each step")
        self.follow.setChecked(True)
        self.follow.toggled.connect(lambda on: setattr(player, "follow", on))
        self.stale = note(name="Whether the replay is up to date")
        self.stale.setVisible(True)
        self.again = button("Read again", "Read the newest steps, too", player.read)
        self.export = button("Export a time-lapse…", "Write the correction as a GIF or MP4 film", self._ask_and_write)
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress of the time-lapse")
        self.bar.setRange(0, 100)
        self.stop = button("Cancel", "Stop writing the time-lapse", self.cancel_film)
        self.said = note(name="Time-lapse")
        self._film_row = _row(self.bar, self.stop)
        self._stale_row = _row(self.stale, self.again)
        layout = QVBoxLayout(self)
        layout.addWidget(self.where)
        layout.addWidget(self.slider)
        layout.addWidget(_row(self.back, self.play, self.forward, self.follow))
        layout.addWidget(self._stale_row)
        layout.addWidget(_row(self.export))
        layout.addWidget(self._film_row)
        layout.addWidget(self.said)
        for made in (self.back, self.play, self.forward, self.export, self.again, self.stop):
            # Enter belongs to what has the focus, not to the first button of the window.
            made.setAutoDefault(False)

    def _where(self) -> str:
        player = self.player
        if player.reading:
            return "Reading the record of changes…"
        if not player.count:
            return "Nothing was changed in this mask yet."
        if player.step is None:
            return f"Before the first of {player.count:,} steps"
        return f"Step {player.index:,} of {player.count:,}: {_told(player.step)}"

    def _on_slider(self, value: int) -> None:
        self.player.pause()
        self.player.go(value)

    def _step(self, by: int) -> None:
        self.player.pause()
        self.player.go(self.player.index + by)

    def _toggle_playing(self) -> None:
        if self.player.playing:
            self.player.pause()
        else:
            self.player.play()

    def _image(self) -> Volume | None:
        """Return the sequence that is seen where a film can show it, else the one that the mask was drawn on."""
        volumes, mask = self._session.volumes, self.player.mask
        seen = volumes.get(self._session.view.sequence)
        if seen is not None and not seen.channels and not np.iscomplexobj(seen.data) and seen.grid.matches(mask.document.grid):
            return seen
        return volumes.get(mask.reference)

    def _ask_and_write(self) -> None:
        mask, case = self.player.mask, self._session.case
        words = "-".join(word for word in (case.name if case is not None else "", mask.name, "correction") if word)
        folder = mask.path.parent if mask.path is not None else Path.home()
        target = folder / f"{re.sub(r'[^A-Za-z0-9._-]+', '_', words)}.gif"
        chosen, kind = QFileDialog.getSaveFileName(self, "Export a time-lapse", str(target), f"{_GIF};;{_MP4}")
        if chosen:
            self.write(_with_ending(Path(chosen), kind))

    def _on_progress(self, fraction: float, message: str) -> None:
        self.bar.setValue(round(100 * fraction))
        self.bar.setFormat(f"{message} (%p%)")

    def _on_written(self, path: Path) -> None:
        self._say(f"Wrote {path}")
        self._session.said.emit(f"Wrote {path}", False)

    def _on_not_written(self, error: BaseException) -> None:
        self._say(str(error))
        self._session.report(error)

    def _on_unread(self, error: BaseException) -> None:
        self.where.setText(str(error))
        self._session.report(error)

    def _say(self, text: str) -> None:
        self.said.setText(text)
        self.said.setVisible(True)

    def _forget(self, job: Job) -> None:
        if self._film is job:
            self._film = None
            self.refresh()

    def _on_finished(self) -> None:
        job, self._film = self._film, None
        if job is not None:
            job.cancel()
            self._session.said.emit("The time-lapse was stopped, because the replay was closed.", False)
        self.player.close()


def _row(*widgets: QWidget) -> QWidget:
    made = QWidget()
    layout = QHBoxLayout(made)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget, 1)
    return made


def _with_ending(path: Path, kind: str) -> Path:
    """Return a path with an ending that says its format: the typed one, else that of the chosen kind of file.

    Examples
    --------
    >>> _with_ending(Path("a.b"), "MP4 film (*.mp4)").name
    'a.b.mp4'
    """
    if path.suffix.lower() in (".gif", ".mp4"):
        return path
    return path.with_name(path.name + (".mp4" if kind == _MP4 else ".gif"))


def _told(step: Step) -> str:
    """Return what a step was, who did it and when, in local time."""
    act = step.tool if step.source not in ("undo", "redo") else f"{step.source} of {step.tool}" if step.tool else step.source
    words = [act or step.source, step.person, f"{step.time.astimezone():%d %b %Y %H:%M:%S}"]
    return ", ".join(word for word in words if word)
