"""The queue of cases in the real window."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from qtpy.QtGui import QCloseEvent

from napari_tumorseg.core.document import Origin, PatchSource
from napari_tumorseg.core.grid import Box
from napari_tumorseg.widgets.case_queue import CaseQueueList, CaseQueueWork
from napari_tumorseg.workflows.queue import CaseQueue, CaseState


@pytest.fixture
def folder(case_folder, tmp_path):
    """Three cases alike."""
    root = tmp_path / "queue"
    for number in (1, 2, 10):
        shutil.copytree(case_folder, root / f"case{number}")
    return root


@pytest.fixture
def queue(open_window, folder, qtbot):
    """A dock with the queue open at its first case, and the second read ahead."""
    dock = open_window()
    work = CaseQueueWork.of(dock.session)
    shown = CaseQueueList(work)
    shown.setParent(dock)
    with qtbot.waitSignals([work.opened, work.read_ahead], timeout=20000):
        work.open_folder(folder)
    return dock, work, shown


def rows(shown):
    return [shown.list.item(i).text() for i in range(shown.list.count())]


def test_through_the_queue(queue, qtbot):
    dock, work, shown = queue
    assert dock.session.case.name == "case1"
    assert rows(shown) == ["◐ case1  in work", "○ case2  to do", "○ case10  to do"]
    assert shown.text.text() == "0 of 3 done"
    assert not shown.previous.isEnabled()
    shown.done.click()
    assert (rows(shown)[0], shown.text.text(), shown.done.text()) == ("✓ case1  done", "1 of 3 done", "Not done")
    assert work.ahead == work.queue.cases[1].key
    # What was read ahead is shown at once, without a thread.
    with qtbot.waitSignal(work.read_ahead, timeout=20000):
        shown.next.click()
        assert dock.session.case.name == "case2"
    assert work.ahead == work.queue.cases[2].key
    shown.next.click()
    assert dock.session.case.name == "case10"
    assert not shown.next.isEnabled()
    assert work.ahead == ""
    with qtbot.waitSignal(work.opened, timeout=20000):
        shown.list.itemActivated.emit(shown.list.item(0))
        assert "reading" in shown.text.text()
    assert dock.session.case.name == "case1"
    assert rows(shown)[0] == "✓ case1  done"


def test_a_case_reopens_where_it_was(queue, qtbot):
    dock, work, shown = queue
    view, viewer = dock.session.view, dock.viewer
    view.show_sequence("FLAIR")
    view.show_plane("coronal")
    view.crosshair.move((3.0, -4.0, 6.0))
    viewer.scene.camera.zoom = 7.5
    view.main.centre((1.0, 0.0, 5.0))
    point = view.crosshair.point_mm
    shown.next.click()
    assert (view.sequence, view.plane) == ("T1c", "axial")
    with qtbot.waitSignal(work.opened, timeout=20000):
        shown.previous.click()
    assert (view.sequence, view.plane) == ("FLAIR", "coronal")
    assert view.crosshair.point_mm == pytest.approx(point)
    assert viewer.scene.camera.zoom == pytest.approx(7.5)
    assert viewer.scene.camera.center[-2:] == pytest.approx((1.0, 5.0))
    assert viewer.dims.point[1] == pytest.approx(-4.0, abs=0.51)


class Kept:
    """Puts away labels in memory, as the journal does on disk."""

    def __init__(self, session):
        self.session = session
        self.away = {}

    def park(self, case_key):
        self.away[case_key] = [(m.document.snapshot(), m.name) for m in self.session.unsaved]
        return True

    def resume(self, case_key):
        for version, name in self.away.pop(case_key, ()):
            self.session.add_mask(version, name)


def edit(session):
    mask = session.add_empty_mask()
    mask.document.write(Box((3, 3, 3), (4, 5, 5)), np.ones((1, 2, 2), np.uint8), Origin(PatchSource.HAND, "paint"))
    return mask


def test_unsaved_work_is_put_away_and_brought_back(queue, qtbot):
    dock, work, shown = queue
    work.unsaved_work = Kept(dock.session)
    work.may_discard = lambda names: pytest.fail("asked, though the work was safe")
    labels = edit(dock.session).document.labels.copy()
    shown.next.click()
    assert dock.session.masks == []
    with qtbot.waitSignal(work.opened, timeout=20000):
        shown.previous.click()
    assert np.array_equal(dock.session.active.document.labels, labels)


def test_closing_the_window_remembers_the_place(queue, qtbot, folder):
    dock, work, _ = queue
    dock.session.view.show_plane("sagittal")
    settings, key = dock.session.settings, work.current.key
    work.eventFilter(None, QCloseEvent())
    place = next(case for case in CaseQueue(folder, settings).cases if case.key == key).place
    assert place is not None
    assert place.plane == "sagittal"


def test_strokes_come_back_with_their_undo_from_the_journal(queue, qtbot):
    dock, _, shown = queue
    session = dock.session
    mask = session.add_empty_mask()
    mask.view.layer.paint((6, 18, 20), 1)
    painted = mask.document.labels.copy()
    assert painted.any()
    shown.next.click()
    assert (session.case.name, session.masks) == ("case2", [])
    with qtbot.waitSignal(session.keeper.restored, timeout=20000):
        shown.previous.click()
    assert np.array_equal(session.active.document.labels, painted)
    session.active.view.undo()
    assert not session.active.document.labels.any()


def test_unsaved_work_is_asked_about_where_nobody_keeps_it(queue):
    dock, work, shown = queue
    work.unsaved_work = None
    edit(dock.session)
    asked = []
    work.may_discard = lambda names: asked.append(names)
    shown.next.click()
    assert (asked, dock.session.case.name) == (["mask"], "case1")
    work.may_discard = lambda names: True
    shown.next.click()
    assert dock.session.case.name == "case2"


def test_a_case_opened_by_hand_is_none_of_the_queue(queue, case_folder, qtbot):
    dock, work, shown = queue
    with qtbot.waitSignal(dock.work.ended, timeout=20000):
        dock.open([case_folder])
    assert work.current is None
    assert not shown.done.isEnabled()


def test_a_case_that_cannot_be_read_is_told_about_when_it_is_wanted(open_window, folder, qtbot):
    for file in (folder / "case2").iterdir():
        file.write_bytes(b"not an image")
    dock = open_window()
    work = CaseQueueWork.of(dock.session)
    said = []
    dock.session.said.connect(lambda line, bad: said.append(bad))
    with qtbot.waitSignal(work.opened, timeout=20000):
        work.open_folder(folder)
    qtbot.waitUntil(lambda: not work.reading, timeout=20000)
    assert (said, work.ahead) == ([], "")
    work.step(1)
    qtbot.waitUntil(lambda: not work.busy, timeout=20000)
    assert said == [True]
    assert dock.session.case.name == "case1"
    with qtbot.waitSignal(work.opened, timeout=20000):
        work.go_to(work.queue.cases[2])
    assert dock.session.case.name == "case10"


def test_without_memory_nothing_is_read_ahead(open_window, folder, qtbot, monkeypatch):
    monkeypatch.setattr("napari_tumorseg.widgets.case_queue.free_bytes", lambda device: 1000)
    dock = open_window()
    work = CaseQueueWork.of(dock.session)
    with qtbot.waitSignal(work.opened, timeout=20000):
        work.open_folder(folder)
    assert work.ahead == ""
    assert "queue" not in [job.name for job in dock.session.runner.running]
    with qtbot.waitSignal(work.opened, timeout=20000):
        work.step(1)
    assert dock.session.case.name == "case2"
    assert work.current.state is CaseState.IN_WORK


def test_a_folder_without_cases_says_so(open_window, tmp_path, qtbot):
    dock = open_window()
    work = CaseQueueWork.of(dock.session)
    (tmp_path / "empty").mkdir()
    with qtbot.waitSignal(dock.session.said) as said:
        work.open_folder(tmp_path / "empty")
    assert said.args == ["No folder in empty holds an image. Choose a folder with one folder for each case.", True]
