from __future__ import annotations

import threading

import pytest
from qtpy.QtCore import QThread
from qtpy.QtWidgets import QApplication

from napari_tumorseg.core.errors import Cancelled, InputError
from napari_tumorseg.widgets.jobs import JobRunner


@pytest.fixture
def runner(qapp):
    runner = JobRunner()
    yield runner
    runner.stop()


def on_gui_thread() -> bool:
    return QThread.currentThread() == QApplication.instance().thread()


def test_results_and_progress_arrive_on_the_gui_thread(runner, qtbot):
    where, told = [], []

    def work(progress):
        where.append(on_gui_thread())
        progress.update(0.25, "First")
        progress.update(1.0, "Last")
        return 42

    job = runner.start(
        "test",
        work,
        done=lambda value: told.append(("done", value, on_gui_thread())),
        progress=lambda fraction, message: told.append((fraction, message, on_gui_thread())),
    )
    with qtbot.waitSignal(job.finished, timeout=5000):
        pass
    assert where == [False]
    assert told == [(0.25, "First", True), (1.0, "Last", True), ("done", 42, True)]
    assert runner.running == ()


def test_a_failure_is_told_once(runner, qtbot):
    told = []

    def work(_progress):
        raise InputError("Bad.", "Do better.")

    job = runner.start("test", work, failed=lambda error: told.append(str(error)), done=told.append)
    with qtbot.waitSignal(job.finished, timeout=5000):
        pass
    assert told == ["Bad. Do better."]


def test_cancelling_is_immediate_and_drops_the_result(runner, qtbot):
    gate, started, told = threading.Event(), threading.Event(), []

    def work(_progress):
        started.set()
        gate.wait(10)
        return "late"

    job = runner.start("test", work, done=told.append, failed=told.append, cancelled=lambda: told.append("cancelled"))
    assert started.wait(5)
    job.cancel()
    assert told == ["cancelled"]
    assert job.over
    gate.set()
    runner.stop()
    qtbot.wait(50)
    assert told == ["cancelled"]


def test_a_job_that_notices_the_cancelling_is_no_failure(runner, qtbot):
    told = []

    def work(_progress):
        raise Cancelled("stopped by the user")

    job = runner.start("test", work, failed=told.append, cancelled=lambda: told.append("cancelled"))
    with qtbot.waitSignal(job.finished, timeout=5000):
        pass
    assert told == ["cancelled"]


def test_stop_ends_every_thread(runner):
    ended = threading.Event()

    def work(progress):
        try:
            while True:
                progress.update(0.1, "Working")
        finally:
            ended.set()

    runner.start("test", work)
    runner.stop()
    assert ended.is_set() or not runner.running
