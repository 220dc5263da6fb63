"""The journal in the real window: strokes of the mouse, the disk failing, work coming back."""

from __future__ import annotations

import shutil
import sqlite3
import threading

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from napari_tumorseg.annotation.coverage import displayed
from napari_tumorseg.annotation.entries import EntryKind, EventKind
from napari_tumorseg.annotation.journal import JournalState
from napari_tumorseg.annotation.reader import JournalReader
from napari_tumorseg.annotation.store import Store
from napari_tumorseg.annotation.timeline import timeline_of
from napari_tumorseg.core.case import Review
from napari_tumorseg.core.document import PatchSource
from napari_tumorseg.widgets.journal_keeper import JournalKeeper
from napari_tumorseg.widgets.linked_views import LinkedViews
from napari_tumorseg.widgets.napari_adapter import canvas_widget, main_window
from napari_tumorseg.widgets.restore_note import RestoreNote
from napari_tumorseg.workflows.recover import Left, find_journals, journal_folder
from napari_tumorseg.workflows.study_record import scene_frame

from .conftest import drag, press

STROKE = ((0.0, -5.0), (0.0, 0.0), (0.0, 5.0))


def keeper_of(session):
    """Return the keeper of a session, whether or not the window has made one."""
    return session.findChild(JournalKeeper) or JournalKeeper(session)


@pytest.fixture
def bench(open_window, load, qtbot):
    """Return a function that gives a dock with the case and the fake model's mask, and its keeper."""

    def run():
        dock = open_window()
        keeper = keeper_of(dock.session)
        load(dock)
        with qtbot.waitSignal(dock.work.ended, timeout=20000):
            dock.segment.run.click()
        qtbot.waitUntil(lambda: dock.session.lesions.up_to_date, timeout=20000)
        return dock, keeper

    return run


def stroke(dock, *points):
    press(dock, Qt.Key.Key_P)
    drag(dock, *(points or STROKE))


def note_in(dock, keeper):
    """Return a note inside the dock, as the window has it."""
    note = RestoreNote(dock.work, keeper)
    dock.layout().addWidget(note)
    return note


def journal_threads():
    return [t for t in threading.enumerate() if t.name.startswith("journal ")]


def leave(keeper, name="left.journal"):
    """Leave a copy of the live journal as a killed process would, with nobody behind it."""
    path = keeper.journal.path
    assert keeper.journal.flush()
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{path}{suffix}", f"{path.with_name(name)}{suffix}")
    return path.with_name(name)


def test_strokes_undos_and_the_model_s_mask_are_in_the_journal(bench):
    dock, keeper = bench()
    session = dock.session
    document, path = session.active.document, keeper.journal.path
    model = document.labels.copy()
    stroke(dock)
    stroke(dock, (5.0, -5.0), (5.0, 5.0))
    press(dock, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert keeper.journal.flush()
    assert keeper.text == "✓ All changes saved"
    labels, revision = document.labels.copy(), document.revision
    assert revision == 3
    session.close_case()
    assert not journal_threads()
    with JournalReader(path) as reader:
        assert reader.verify().ok
        assert reader.closed == {"saved": False, "revision": revision}
        assert (reader.task.case, reader.task.person) == ("BraTS-MET-00001-000", "A.B.")
        assert [p.origin.source for _, p in reader.patches()] == [PatchSource.HAND, PatchSource.HAND, PatchSource.UNDO]
        np.testing.assert_array_equal(reader.steps().labels_at(0), model)
        np.testing.assert_array_equal(reader.document().labels, labels)
        assert reader.document().review is Review.IN_CORRECTION


def test_a_journal_in_which_nothing_happened_is_taken_away(bench):
    dock, keeper = bench()
    folder = keeper.journal.path.parent
    assert keeper.journal.flush()
    dock.session.close_case()
    assert list(folder.iterdir()) == []


def test_closing_the_window_closes_the_journals(bench, qtbot):
    dock, keeper = bench()
    path = keeper.journal.path
    stroke(dock)
    dock.session._notice = None
    dock.viewer.close()
    QApplication.sendPostedEvents(None, 52)
    qtbot.waitUntil(lambda: not journal_threads(), timeout=10000)
    assert not path.with_name(path.name + "-wal").exists()
    with JournalReader(path) as reader:
        assert reader.closed is not None
        assert reader.patch_count == 1


def test_what_a_person_does_is_recorded(bench, qtbot):
    dock, keeper = bench()
    keeper.watch_jobs(dock.work)
    session, viewer = dock.session, dock.viewer
    path = keeper.journal.path
    stroke(dock)
    press(dock, Qt.Key.Key_Up)
    viewer.dims.set_current_step(0, 3)
    viewer.scene.camera.zoom *= 2
    qtbot.wait(250)
    canvas = canvas_widget(viewer)
    middle = QPointF(canvas.rect().center())
    wheel = QWheelEvent(
        middle, QPointF(canvas.mapToGlobal(middle.toPoint())), QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(canvas, wheel)
    image = next(layer for layer in viewer.layers if layer is not session.active.view.layer and layer.visible)
    image.visible = False
    viewer.layers.selection.active = image
    application = QApplication.instance()
    keeper.screen._focused = True
    application.focusWindowChanged.emit(None)
    application.focusWindowChanged.emit(None)
    application.focusWindowChanged.emit(main_window(viewer).windowHandle())
    session.focus.step(1)
    with qtbot.waitSignal(dock.work.ended, timeout=20000):
        dock.segment.run.click()
    journal = keeper._books[session.masks[0]].journal
    assert journal.flush()
    session.close_case()
    with JournalReader(path) as reader:
        seen = list(reader.interactions())
    kinds = {i.kind for i in seen}
    assert {*EventKind} - {EventKind.PAUSE, EventKind.PHASE, EventKind.SAVED, EventKind.JOB} <= kinds
    assert [dict(i.data) for i in seen if i.kind == EventKind.SHOWN] == [{"volumes": ["T1c", "FLAIR", "T2", "T1"]}]
    acts = [i.data["act"] for i in seen if i.kind == EventKind.POINTER and i.data["act"] != "move"]
    assert acts[:2] == ["press", "release"]
    assert {"P", "Up"} <= {i.data["key"] for i in seen if i.kind == EventKind.KEY}
    assert [i.data["on"] for i in seen if i.kind == EventKind.FOCUS][-2:] == [False, True]
    assert any(i.data["step"][0] == 3 for i in seen if i.kind == EventKind.SLICE)
    zooms = [i.data["zoom"] for i in seen if i.kind == EventKind.ZOOM]
    assert max(zooms) == pytest.approx(2 * zooms[0], rel=0.01)
    assert {"view": "main", "name": image.name, "shown": False} in [dict(i.data) for i in seen if i.kind == EventKind.LAYER]
    assert [i.data["by"] for i in seen if i.kind == EventKind.WHEEL] == [120]
    times = [i.mono_ns for i in seen]
    assert times == sorted(times)


def test_tools_and_the_views_beside_the_main_one_are_recorded(bench, qtbot):
    dock, keeper = bench()
    session, path = dock.session, keeper.journal.path
    stroke(dock)
    session.hand.take("grow")
    session.hand.put_down()
    views = LinkedViews.of(session)
    views.set_on(True)
    qtbot.wait_until(lambda: all(view.canvas.isVisible() for view in views.views), timeout=20000)
    session.viewer.dims.set_current_step(0, 3)
    views.set_on(False)
    assert keeper.journal.flush()
    session.close_case()
    with JournalReader(path) as reader:
        seen = list(reader.interactions())
        frame = scene_frame(reader.task.grid)
        found = list(displayed(timeline_of(reader), frame))
    tools = [i.data["tool"] for i in seen if i.kind == EventKind.TOOL]
    assert "paint" in tools
    assert tools[tools.index("grow") :][1:2] == [""]
    names = {i.data["view"] for i in seen if i.kind == EventKind.SLICE}
    assert {name.split()[0] for name in names} == {"main", "beside"}
    told = [(i.data["view"], i.data["on"]) for i in seen if i.kind == EventKind.VIEW]
    beside = [on for name, on in told if name.startswith("beside")]
    assert beside[-2:] == [False, False]
    assert True in beside
    places = [i.data for i in seen if i.kind == EventKind.SLICE and i.data["view"] == "main"]
    for place in places:
        assert [round(frame.index(axis, at)) for axis, at in enumerate(place["at"])] == place["step"]
    assert {view.axis for view in found if view.name != "main"} <= {1, 2}


def test_a_full_disk_is_told_once_and_painting_goes_on(bench, qtbot, monkeypatch):
    dock, keeper = bench()
    session = dock.session
    assert keeper.journal.flush()
    keeper.journal._retry_s = 0.02
    path = keeper.journal.path
    append, full = Store.append, [True]

    def failing(store, entries, number):
        if full:
            raise sqlite3.OperationalError("database or disk is full")
        append(store, entries, number)

    monkeypatch.setattr(Store, "append", failing)
    said = []
    session.said.connect(lambda line, problem: said.append((line, problem)))
    for row in (0.0, 3.0, 6.0):
        stroke(dock, (row, -5.0), (row, 5.0))
    qtbot.waitUntil(lambda: keeper.state is JournalState.MEMORY and bool(said), timeout=10000)
    assert keeper.text == "✗ Not saved: disk full, working in memory"
    assert session.active.document.revision == 3
    assert [problem for _, problem in said] == [True]
    assert "is full. The work goes on in memory" in said[0][0]
    with qtbot.waitSignal(keeper.changed, timeout=10000):
        full.clear()
    qtbot.waitUntil(lambda: keeper.journal.flush(), timeout=10000)
    assert keeper.text == "✓ All changes saved"
    assert len(said) == 1
    session.close_case()
    with JournalReader(path) as reader:
        assert reader.patch_count == 3
        assert reader.verify().ok


def test_work_that_was_broken_off_comes_back_with_its_undo(bench, qtbot):
    dock, keeper = bench()
    session = dock.session
    stroke(dock)
    stroke(dock, (5.0, -5.0), (5.0, 5.0))
    session.set_locked(2, True)
    left = leave(keeper)
    before = session.active.document.labels.copy()
    note = note_in(dock, keeper)
    qtbot.waitUntil(lambda: len(note.rows) == 1, timeout=10000)
    assert not note.isHidden()
    assert "BraTS-MET-00001-000, mask fake: 2 changes" in note.rows[0].label.text()
    with qtbot.waitSignal(keeper.restored, timeout=10000):
        note.rows[0].restore.click()
    assert not note.rows
    assert note.isHidden()
    mask = session.active
    assert (mask.name, mask.saved) == ("fake 2", False)
    np.testing.assert_array_equal(mask.document.labels, before)
    np.testing.assert_array_equal(mask.view.layer.data, session.view.scene.to_scene(before))
    assert mask.document.locked == frozenset({2})
    assert keeper.journal.path == left
    press(dock, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    press(dock, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert mask.document.revision == 4
    assert not mask.document.can_undo
    session.close_case()
    with JournalReader(left) as reader:
        assert reader.verify().ok
        assert reader.patch_count == 4
        assert [s["id"] for s in reader.sessions] == [1, 2]


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "closed"])
def test_lesions_come_back_with_numbers_statuses_splits_and_joins(bench, qtbot, killed):
    dock, keeper = bench()
    session = dock.session
    lesions, review = session.lesions, session.focus.review
    qtbot.waitUntil(lambda: lesions.up_to_date and bool(lesions.rows), timeout=20000)
    stroke(dock, (10.0, -10.0), (10.0, -11.0))
    stroke(dock, (-10.0, -10.0), (-10.0, -11.0))
    review.split(1)
    review.accept(1, advance=False)
    review.call_uncertain(2, advance=False)
    review.join([2, 3])
    review.reject(4, advance=False)
    press(dock, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    press(dock, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)

    def table():
        ledger = lesions.ledger
        members = {row.id: ledger.index.members(row.id) for row in lesions.rows}
        return lesions.rows, members, {n: ledger.sheet.status(n).value for n in range(1, 8)}

    before = table()
    assert [row.id for row in before[0]] == [1, 2]
    assert before[1] == {1: (1,), 2: (2, 3)}
    assert [before[2][n] for n in (1, 2, 4)] == ["accepted", "uncertain", "rejected"]
    if killed:
        leave(keeper)
    else:
        session.close_case()
        session.case_changed.emit()
    note = note_in(dock, keeper)
    qtbot.waitUntil(lambda: len(note.rows) == 1, timeout=10000)
    with qtbot.waitSignal(keeper.restored, timeout=20000):
        note.rows[0].restore.click()
    assert session.active.document.revision > 5
    assert table() == before
    for _ in range(6):
        press(dock, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert [row.id for row in lesions.rows] == [1, 2], "all but the first stroke is undone"
    for _ in range(6):
        press(dock, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert table() == before
    session.close_case()


def test_the_case_of_a_mask_that_is_restored_is_opened(bench, qtbot):
    dock, keeper = bench()
    session = dock.session
    stroke(dock)
    leave(keeper)
    before = session.active.document.labels.copy()
    session.close_case()
    session.case_changed.emit()
    note = note_in(dock, keeper)
    qtbot.waitUntil(lambda: len(note.rows) == 2, timeout=10000)
    assert {row.journal.left for row in note.rows} == {Left.BROKEN_OFF, Left.NOT_SAVED}
    assert "(closed, not saved)" in next(row for row in note.rows if row.journal.left is Left.NOT_SAVED).label.text()
    row = next(row for row in note.rows if row.journal.left is Left.BROKEN_OFF)
    assert not keeper.fits(row.journal)
    with qtbot.waitSignal(keeper.restored, timeout=20000):
        row.restore.click()
    assert session.case.name == "BraTS-MET-00001-000"
    np.testing.assert_array_equal(session.active.document.labels, before)
    session.close_case()


def test_images_that_are_gone_are_named(bench, qtbot, case_folder):
    dock, keeper = bench()
    stroke(dock)
    leave(keeper)
    dock.session.close_case()
    note = note_in(dock, keeper)
    qtbot.waitUntil(lambda: len(note.rows) == 2, timeout=10000)
    case_folder.rename(case_folder.with_name("elsewhere"))
    said = []
    dock.session.said.connect(lambda line, problem: said.append(line))
    note.rows[0].restore.click()
    assert said == ["The images of BraTS-MET-00001-000 are not where they were. Open the case, then choose Restore."]
    assert len(note.rows) == 2


def test_kept_for_later_is_offered_again_and_discarded_is_not(bench, qtbot):
    dock, keeper = bench()
    session = dock.session
    stroke(dock)
    left = leave(keeper)
    note = note_in(dock, keeper)
    qtbot.waitUntil(lambda: len(note.rows) == 1, timeout=10000)
    note.rows[0].keep.click()
    assert note.isHidden()
    assert left.exists()
    note.look()
    qtbot.waitUntil(lambda: len(note.rows) == 1, timeout=10000)
    note.rows[0].discard.click()
    assert note.isHidden()
    assert not left.exists()
    assert (left.parent / "discarded" / left.name).exists()
    assert find_journals(session.settings, *Left) == ()
    session.close_case()


def test_another_case_gets_no_foreign_mask(bench, qtbot):
    dock, keeper = bench()
    stroke(dock)
    leave(keeper)
    (found,) = find_journals(dock.session.settings)
    assert keeper.fits(found)
    object.__setattr__(dock.session.case, "name", "another patient on the same grid")
    assert not keeper.fits(found)
    with pytest.raises(Exception, match="belongs to the case BraTS-MET-00001-000"):
        keeper.restore(found)
    dock.session.close_case()


def test_the_journal_of_a_saved_mask_goes_beside_it_at_the_next_start(bench, qtbot, tmp_path):
    dock, keeper = bench()
    session = dock.session
    stroke(dock)
    path = keeper.journal.path
    mask = tmp_path / "out" / "corrected.nii.gz"
    with qtbot.waitSignal(dock.work.ended, timeout=20000):
        dock.work.save(session.active, mask)
    session.close_case()
    assert path.exists()
    folder = journal_folder(session.settings)
    JournalKeeper(session).deleteLater()
    qtbot.waitUntil(lambda: (mask.parent / "corrected.journal").exists() and not path.exists(), timeout=10000)
    qtbot.waitUntil(lambda: not session.runner.running, timeout=10000)
    assert list(folder.iterdir()) == []
    with JournalReader(mask.parent / "corrected.journal") as reader:
        assert reader.verify().ok
        assert len(list(reader.entries(EntryKind.PATCH))) == 1
        assert any(i.kind == EventKind.SAVED for i in reader.interactions())


def test_a_network_home_without_a_local_disk_is_told_once(bench, monkeypatch, qtbot):
    monkeypatch.setattr("napari_tumorseg.annotation.local_disk.file_system", lambda folder, mounts=None: "nfs4")
    monkeypatch.setattr("napari_tumorseg.workflows.recover.file_system", lambda folder, mounts=None: "nfs4")
    dock, keeper = bench()
    assert keeper.journal is None
    assert keeper.text == "✗ Not saved: no local disk, working in memory"
    stroke(dock)
    assert dock.session.active.document.revision == 1
    dock.session.close_case()
    assert keeper.text == "✓ All changes saved"
