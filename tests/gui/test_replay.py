"""A correction played again in the real window, and its film."""

from __future__ import annotations

import importlib.util
import threading
from concurrent.futures import Future

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_tumorseg.annotation.entries import EventKind
from napari_tumorseg.core.document import Origin, PatchSource
from napari_tumorseg.core.errors import Cancelled, InputError
from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.jobs import CancelToken, Progress
from napari_tumorseg.widgets import replay_player
from napari_tumorseg.widgets.provenance_overlay import ProvenanceOverlay
from napari_tumorseg.widgets.replay import ReplayDialog, show_replay
from napari_tumorseg.widgets.replay_source import read_steps

from .conftest import drag, press

STROKES = (((0.0, -5.0), (0.0, 5.0)), ((-10.0, -15.0), (-10.0, -8.0)), ((8.0, 0.0), (12.0, 0.0)))


@pytest.fixture
def bench(open_window, load, qtbot):
    """Return a function that gives a dock with a corrected mask, and the mask before the first stroke and after each."""

    def run(strokes=STROKES):
        dock = open_window()
        load(dock)
        with qtbot.waitSignal(dock.work.ended, timeout=20000):
            dock.segment.run.click()
        document = dock.session.active.document
        states = [document.labels.copy()]
        press(dock, Qt.Key.Key_P)
        for stroke in strokes:
            drag(dock, *stroke)
            states.append(document.labels.copy())
        assert len({state.tobytes() for state in states}) == len(states)
        return dock, states

    return run


@pytest.fixture
def opened(qtbot):
    """Return a function that opens the replay and waits until it is read."""

    def run(dock):
        dialog = show_replay(dock.viewer)
        qtbot.waitUntil(lambda: not dialog.player.reading, timeout=20000)
        return dialog

    return run


def shown(dock):
    """Return what the layer of the replay holds, on the mask's grid."""
    return dock.session.view.scene.from_scene(dock.viewer.layers["Replay"].data)


def at_step(dialog, index):
    return lambda: dialog.player.index == index


def test_every_step_forward_and_back(bench, opened):
    dock, states = bench()
    dialog = opened(dock)
    assert dialog.player.count == dialog.slider.maximum() == len(states) - 1
    assert dialog.player.index == dialog.slider.value() == len(states) - 1
    assert np.array_equal(shown(dock), states[-1])
    for index in range(len(states) - 2, -1, -1):
        dialog.back.click()
        assert np.array_equal(shown(dock), states[index])
    assert not dialog.back.isEnabled()
    assert dialog.where.text() == "Before the first of 3 steps"
    for index in range(1, len(states)):
        dialog.forward.click()
        assert np.array_equal(shown(dock), states[index])
        assert dialog.where.text().startswith(f"Step {index} of 3: paint, A.B., ")
    dialog.slider.setValue(1)
    assert np.array_equal(shown(dock), states[1])
    dialog.close()


def test_the_mask_is_hidden_and_all_is_put_back(bench, opened):
    dock, states = bench()
    session, viewer = dock.session, dock.viewer
    layer = session.active.view.layer
    overlay = ProvenanceOverlay.of(session)
    overlay.set_on(True)
    mode, point, centre, zoom = layer.mode, viewer.dims.point, viewer.scene.camera.center, viewer.scene.camera.zoom
    names = sorted(other.name for other in viewer.layers)
    dialog = opened(dock)
    assert not layer.visible
    assert "Provenance" not in viewer.layers
    assert viewer.layers.selection.active is viewer.layers["Replay"]
    press(dock, Qt.Key.Key_P)
    drag(dock, *STROKES[0])
    press(dock, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(session.active.document.labels, states[-1])
    dialog.slider.setValue(2)
    dialog.close()
    assert layer.visible
    assert layer.mode == mode == "paint"
    assert viewer.layers.selection.active is layer
    assert sorted(other.name for other in viewer.layers) == names
    assert overlay.on
    assert viewer.dims.point == pytest.approx(point)
    assert viewer.scene.camera.center == pytest.approx(centre)
    assert viewer.scene.camera.zoom == pytest.approx(zoom)
    assert np.array_equal(session.active.document.labels, states[-1])
    press(dock, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(session.active.document.labels, states[-2])


def test_the_view_goes_to_the_place_of_the_step(bench, opened):
    dock, _ = bench()
    session, document = dock.session, dock.session.active.document
    box = Box((2, 5, 30), (3, 8, 33))
    document.write(box, np.full(box.shape, 1, np.uint8), Origin(PatchSource.TOOL, "sphere", "A.B."))
    whole = Box.whole(document.labels.shape)
    document.write(whole, np.zeros(whole.shape, np.uint8), Origin(PatchSource.TOOL, "clear", "A.B."))
    dialog = opened(dock)
    dialog.slider.setValue(4)
    place = session.view.scene.to_world(document.grid.to_mm((2, 6, 31)))
    assert dock.viewer.dims.point == pytest.approx(place)
    assert dock.viewer.scene.camera.center[-2:] == pytest.approx(place[1:])
    dialog.slider.setValue(5)
    assert dock.viewer.dims.point == pytest.approx(place), "a step over the whole volume has no place"
    assert not shown(dock).any()
    dialog.follow.setChecked(False)
    dialog.slider.setValue(1)
    assert dock.viewer.dims.point == pytest.approx(place)
    dialog.close()


def test_playing_goes_to_the_end_and_stops(bench, opened, qtbot):
    dock, states = bench()
    dialog = opened(dock)
    assert replay_player._STEP_MS == 250
    dialog.player._timer.setInterval(1)
    seen = []
    dialog.player.changed.connect(lambda: seen.append(dialog.player.index))
    dialog.play.click()
    assert (dialog.play.text(), dialog.player.index) == ("Pause", 0)
    qtbot.waitUntil(lambda: not dialog.player.playing, timeout=10000)
    assert list(dict.fromkeys(seen)) == [0, 1, 2, 3]
    assert dialog.play.text() == "Play"
    assert np.array_equal(shown(dock), states[-1])
    dialog.play.click()
    dialog.play.click()
    assert not dialog.player.playing
    dialog.close()


def test_far_steps_are_reached_in_a_job_and_the_last_wish_counts(bench, opened, qtbot, monkeypatch):
    dock, states = bench()
    dialog = opened(dock)
    monkeypatch.setattr(replay_player, "_NEAR_VOXELS", 0)
    for index in (0, 2, 1):
        dialog.slider.setValue(index)
    assert dialog.player.index == 3
    assert np.array_equal(shown(dock), states[3])
    qtbot.waitUntil(at_step(dialog, 1), timeout=10000)
    assert np.array_equal(shown(dock), states[1])
    assert dialog.slider.value() == 1
    dialog.slider.setValue(3)
    dialog.close()
    assert "Replay" not in dock.viewer.layers


def test_undo_is_a_step_and_new_steps_can_be_read(bench, opened, qtbot):
    dock, states = bench()
    dialog = opened(dock)
    document = dock.session.active.document
    assert not dialog.again.isVisible()
    document.undo("A.B.")
    assert dialog.again.isVisible()
    dialog.again.click()
    qtbot.waitUntil(lambda: not dialog.player.reading, timeout=10000)
    assert dialog.player.count == 4
    assert dialog.where.text().startswith("Step 4 of 4: undo")
    assert not dialog.again.isVisible()
    assert np.array_equal(shown(dock), states[-2])
    dialog.slider.setValue(3)
    assert np.array_equal(shown(dock), states[-1])
    dialog.close()


@pytest.mark.parametrize("how", ["case", "mask", "layer", "mask layer"])
def test_it_goes_with_what_it_shows(bench, opened, how):
    dock, _ = bench()
    session, mine = dock.session, dock.session.active
    dialog = opened(dock)
    if how == "case":
        session.close_case()
    elif how == "mask":
        session.add_empty_mask()
        assert not mine.view.layer.visible
        assert session.active.view.layer.visible
    elif how == "layer":
        dock.viewer.layers.remove(dock.viewer.layers["Replay"])
        assert mine.view.layer.visible
    else:
        dock.viewer.layers.remove(mine.view.layer)
        dialog.close()
        assert mine.view is None
    assert not dialog.isVisible()
    assert "Replay" not in dock.viewer.layers


def test_nothing_to_replay(open_window, load, qtbot, opened):
    dock = open_window()
    with qtbot.waitSignal(dock.session.said) as said:
        assert show_replay(dock.viewer) is None
    assert said.args[0] == "There is no mask to replay: open one, or run a model."
    load(dock)
    dock.session.add_empty_mask()
    dialog = opened(dock)
    assert dialog.where.text() == "Nothing was changed in this mask yet."
    assert not dialog.export.isEnabled()
    assert "Replay" not in dock.viewer.layers
    assert dock.session.active.view.layer.visible
    assert show_replay(dock.viewer) is dialog
    dialog.close()


def test_a_record_that_cannot_be_read_now(bench, qtbot, monkeypatch, opened):
    dock, _ = bench()

    def refuse(_journal, _progress):
        raise InputError("The record of changes cannot be read: disk full.", "Try again when it is saved.")

    with monkeypatch.context() as broken:
        broken.setattr(replay_player, "read_steps", refuse)
        with qtbot.waitSignal(dock.session.said, timeout=10000):
            dialog = opened(dock)
            qtbot.waitUntil(lambda: "disk full" in dialog.where.text(), timeout=10000)
    assert dialog.again.isVisible()
    assert dock.session.active.view.layer.visible
    dialog.again.click()
    qtbot.waitUntil(lambda: not dialog.player.reading, timeout=10000)
    assert dialog.player.count == 3
    dialog.close()


def test_a_journal_in_memory_is_not_waited_for():
    class Stuck:
        failing, alive = "disk full", True

        def ask(self, _question):
            return Future()

    with pytest.raises(InputError, match="disk full"):
        read_steps(Stuck())


def test_closing_while_it_reads(bench, qtbot):
    dock, _ = bench()
    dialog = show_replay(dock.viewer)
    assert dialog.player.reading
    dialog.close()
    qtbot.waitUntil(lambda: not dock.session.runner.running, timeout=10000)
    assert "Replay" not in dock.viewer.layers
    assert dock.session.active.view.layer.visible


def test_the_window_may_close_while_it_plays(bench, opened):
    dock, _ = bench()
    opened(dock).play.click()
    # The fixture closes the viewer and counts what is left.


def test_the_journal_says_that_this_was_a_replay(bench, opened):
    dock, _ = bench()
    journal = dock.session.keeper.journal
    opened(dock).close()
    told = journal.ask(lambda store: [i for e in store.entries() if e.kind == "event" for i in _events(e)]).result(10)
    assert [(i.data["name"], i.data["on"]) for i in told if i.kind == EventKind.JOB][-2:] == [("replay", True), ("replay", False)]


def _events(entry):
    from napari_tumorseg.annotation.entries import interactions_of

    return interactions_of(entry)


def test_a_live_journal_is_read_in_portions(bench, monkeypatch):
    dock, states = bench()
    document, journal = dock.session.active.document, dock.session.keeper.journal
    monkeypatch.setattr("napari_tumorseg.widgets.replay_source._AT_ONCE", 2)
    steps = read_steps(journal)
    assert steps.last == document.revision == 3
    for revision, state in enumerate(states):
        assert np.array_equal(steps.labels_at(revision), state)
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        read_steps(journal, Progress(cancel=token))
    dock.session.close_case()
    with pytest.raises(InputError, match="was closed"):
        read_steps(journal)


@pytest.mark.parametrize("ending", [".gif", ".mp4"])
def test_the_film_is_written_in_a_job(bench, opened, qtbot, tmp_path, monkeypatch, ending):
    if ending == ".mp4":
        pytest.importorskip("imageio_ffmpeg")
    dock, states = bench()
    dialog = opened(dock)
    target = tmp_path / f"film{ending}"
    kind = "MP4 film (*.mp4)" if ending == ".mp4" else "GIF animation (*.gif)"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(target.with_suffix("")), kind))
    dialog.slider.setValue(1)
    dialog.export.click()
    assert dialog.exporting
    assert not dialog.export.isEnabled()
    qtbot.waitUntil(lambda: not dialog.exporting, timeout=60000)
    assert dialog.said.text() == f"Wrote {target}"
    assert target.stat().st_size > 1000
    if ending == ".gif":
        with Image.open(target) as film:
            assert film.n_frames >= len(states)
    assert np.array_equal(shown(dock), states[1]), "the film moved the replay in the window"
    dialog.close()


def test_a_film_that_is_cancelled_leaves_nothing(bench, opened, qtbot, tmp_path, monkeypatch):
    dock, _ = bench()
    dialog = opened(dock)
    began, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def slow(_replay, _image, _request, progress):
        try:
            progress.update(0.5, "Drawing")
            began.set()
            go_on.wait(20)
            progress.update(0.6, "Drawing")
        finally:
            ended.set()

    monkeypatch.setattr("napari_tumorseg.widgets.replay.export_timelapse", slow)
    dialog.write(tmp_path / "film.gif")
    qtbot.waitUntil(lambda: began.is_set() and dialog.bar.value() == 50, timeout=10000)
    assert dialog.stop.isVisible()
    dialog.stop.click()
    assert not dialog.exporting
    go_on.set()
    assert ended.wait(10)
    began.clear()
    dialog.write(tmp_path / "film.gif")
    with qtbot.waitSignal(dock.session.said) as said:
        dialog.close()
    assert "stopped" in said.args[0]
    qtbot.waitUntil(lambda: not dock.session.runner.running, timeout=10000)
    assert not list(tmp_path.glob("film*"))


def test_what_to_install_for_mp4(bench, opened, qtbot, tmp_path, monkeypatch):
    dock, _ = bench()
    dialog = opened(dock)
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name.startswith("imageio") else real(name, *rest))
    dialog.write(tmp_path / "film.mp4")
    qtbot.waitUntil(lambda: not dialog.exporting, timeout=20000)
    assert "pip install 'napari-tumorseg[video]'" in dialog.said.text()
    assert not (tmp_path / "film.mp4").exists()
    dialog.close()


def test_there_is_one_window(bench, opened):
    dock, _ = bench()
    dialog = opened(dock)
    assert show_replay(dock.viewer) is dialog
    dialog.close()
    again = opened(dock)
    assert isinstance(again, ReplayDialog)
    assert again.player.count == 3
    again.close()
