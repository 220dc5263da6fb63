from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_tumorseg.annotation.entries import Clock, EventKind
from napari_tumorseg.annotation.journal import Journal
from napari_tumorseg.annotation.reader import JournalReader
from napari_tumorseg.annotation.rehearsal import Habits, HandClock, rehearse
from napari_tumorseg.annotation.timeline import BEAT_S, Moment, Opening, Timeline, timeline_of
from napari_tumorseg.annotation.timing import IDLE_S, SUBMIT, TaskTiming, task_timing, timing_of

from .conftest import new_document, new_journal, paint


def timed(path: Path) -> TaskTiming:
    with JournalReader(path) as reader:
        assert reader.verify().ok
        return task_timing(reader)


def made(*moments: tuple[float, str, dict[str, Any]], closed: bool = True) -> TaskTiming:
    told = tuple(Moment(at, kind, data) for at, kind, data in moments)
    return timing_of(Timeline((Opening(1, told, told[-1].at_s, closed=closed),)))


SUBMITTED = {"name": SUBMIT}


def test_primary_time_is_from_the_first_image_to_submit_less_pauses_and_lost_focus() -> None:
    found = made(
        (0, "status", {"opened": {}}),
        (5, EventKind.SHOWN, {}),
        (15, EventKind.POINTER, {}),
        (20, EventKind.PAUSE, {"on": True}),
        (50, EventKind.PAUSE, {"on": False}),
        (60, EventKind.FOCUS, {"on": False}),
        (67, EventKind.FOCUS, {"on": True}),
        (70, EventKind.JOB, {"name": "segment", "on": True}),
        (90, EventKind.JOB, {"name": "segment", "on": False}),
        (100, EventKind.SAVED, SUBMITTED),
        (500, EventKind.POINTER, {}),
    )
    assert found.primary_s == 95 - 30 - 7
    assert (found.paused_s, found.unfocused_s, found.whole.waiting_s) == (30, 7, 20)
    assert found.wall_s == 95
    assert found.submitted
    assert found.shown
    assert found.beforehand_s == 0


def test_a_model_that_ran_before_is_apart_and_a_replay_is_no_work() -> None:
    found = made(
        (0, EventKind.JOB, {"name": "segment", "on": True}),
        (40, EventKind.JOB, {"name": "segment", "on": False}),
        (50, EventKind.SHOWN, {}),
        (60, EventKind.JOB, {"name": "replay", "on": True}),
        (80, EventKind.JOB, {"name": "replay", "on": False}),
        (90, EventKind.SAVED, {"revision": 3}),
        (100, EventKind.SAVED, SUBMITTED),
    )
    assert (found.beforehand_s, found.primary_s, found.replay_s) == (40, 30, 20)


def test_time_goes_to_the_lesion_in_focus_the_tool_in_hand_and_the_phase() -> None:
    found = made(
        (0, EventKind.SHOWN, {}),
        (0, EventKind.PHASE, {"name": "search"}),
        (10, EventKind.LESION, {"id": 4}),
        (10, EventKind.PHASE, {"name": "correct"}),
        (12, EventKind.TOOL, {"tool": "paint"}),
        (30, EventKind.LESION, {"id": 2}),
        (31, EventKind.TOOL, {"tool": ""}),
        (36, EventKind.LESION, {"id": 4}),
        (40, EventKind.SAVED, SUBMITTED),
    )
    assert {k: s.counted_s for k, s in found.by_lesion.items()} == {"": 10, "2": 6, "4": 24}
    assert {k: s.counted_s for k, s in found.by_tool.items()} == {"": 21, "paint": 19}
    assert {k: s.counted_s for k, s in found.by_phase.items()} == {"search": 10, "correct": 30}


def test_looking_without_moving_is_work_and_only_the_curve_trims_it() -> None:
    found = made((0, EventKind.SHOWN, {}), (100, EventKind.WHEEL, {}), (105, EventKind.SAVED, SUBMITTED))
    assert found.primary_s == 105
    assert found.whole.idle_s == 100 - IDLE_S
    assert found.curve((10, 60, 120)) == {10: 15, 60: 65, 120: 105}


@given(
    st.lists(
        st.tuples(st.floats(0, 200), st.sampled_from(["act", "pause", "work", "away", "back", "job", "done"])), min_size=1, max_size=30
    )
)
def test_the_parts_make_the_whole(steps: list[tuple[float, str]]) -> None:
    words: dict[str, tuple[str, dict[str, Any]]] = {
        "act": (EventKind.KEY, {}),
        "pause": (EventKind.PAUSE, {"on": True}),
        "work": (EventKind.PAUSE, {"on": False}),
        "away": (EventKind.FOCUS, {"on": False}),
        "back": (EventKind.FOCUS, {"on": True}),
        "job": (EventKind.JOB, {"name": "segment", "on": True}),
        "done": (EventKind.JOB, {"name": "segment", "on": False}),
    }
    at, moments = 0.0, [(0.0, EventKind.SHOWN, {})]
    for gap, word in steps:
        at += gap
        moments.append((at, *words[word]))
    found = made(*moments, (at, EventKind.SAVED, SUBMITTED))
    assert found.primary_s + found.paused_s + found.unfocused_s == pytest.approx(at)
    whole = found.whole
    assert whole.active_s + whole.idle_s + whole.waiting_s == pytest.approx(whole.counted_s)
    curve = list(found.curve().values())
    assert all(a <= b + 1e-9 for a, b in zip(curve, [*curve[1:], found.primary_s], strict=True))
    assert found.trimmed_s(IDLE_S) == pytest.approx(whole.counted_s - whole.idle_s)
    assert sum(s.counted_s for s in found.by_tool.values()) == pytest.approx(whole.counted_s)


HABITS = {
    "plain": Habits(),
    "with everything": Habits(pause_s=100, away_s=40, asleep_s=3000, wait_share=0.2, before_s=77),
    "killed": Habits(break_off=0.4, pause_s=30),
    "thinks long": Habits(think_share=0.8, think_s=90),
}


@pytest.mark.parametrize("habits", HABITS.values(), ids=HABITS)
def test_what_a_rehearsed_rater_took_is_found_in_the_journal(tmp_path: Path, habits: Habits) -> None:
    path = tmp_path / "a.journal"
    document = new_document()

    def again() -> Any:
        with JournalReader(path) as reader:
            return reader.document()

    rehearse(path, document, 400.0, np.random.default_rng(1), habits, again=again)
    found = timed(path)
    # The kill loses nothing here because the last act is the end of the first part.
    assert found.primary_s == pytest.approx(400, abs=0.01)
    assert found.paused_s == pytest.approx(habits.pause_s, abs=0.01)
    assert found.unfocused_s == pytest.approx(habits.away_s, abs=0.01)
    assert found.whole.waiting_s == pytest.approx(400 * habits.wait_share, abs=0.01)
    assert found.beforehand_s == pytest.approx(habits.before_s, abs=0.01)
    assert found.asleep_s == pytest.approx(habits.asleep_s, abs=0.01)
    assert (found.openings, found.broken_off) == ((2, 1) if habits.break_off else (1, 0))
    assert found.between_s == pytest.approx(3600 if habits.break_off else 0, abs=0.01)
    extras = habits.pause_s + habits.away_s + habits.asleep_s + (3600 if habits.break_off else 0)
    assert found.wall_s == pytest.approx(400 + extras, abs=0.01)
    assert sum(s.counted_s for s in found.by_lesion.values()) == pytest.approx(400, abs=0.01)
    if habits.think_share == 0.8:
        assert found.trimmed_s(10) < 0.5 * found.primary_s


def test_a_clock_set_back_changes_no_time_and_is_told(tmp_path: Path) -> None:
    clock = HandClock()
    document = new_document()
    journal = new_journal(tmp_path / "a.journal", document, clock=clock.clock)
    journal.event(EventKind.SHOWN)
    journal.flush()
    clock.work(10)
    clock.set_back(7200)
    journal.event(EventKind.KEY)
    journal.flush()
    clock.work(15)
    journal.event(EventKind.SAVED, name=SUBMIT)
    journal.close()
    found = timed(tmp_path / "a.journal")
    assert found.primary_s == pytest.approx(25)
    assert found.set_back_s == pytest.approx((7200,), abs=0.01)
    assert found.asleep_s == 0


def test_a_clock_set_back_between_two_openings_leaves_the_time_between_unknown(tmp_path: Path) -> None:
    clock, path, document = HandClock(), tmp_path / "a.journal", new_document()
    journal = new_journal(path, document, clock=clock.clock)
    journal.event(EventKind.SHOWN)
    clock.work(30)
    paint(document, 1)
    journal.event(EventKind.KEY)
    journal.close()
    clock.set_back(500)
    clock.restart()
    again = new_journal(path, document, clock=clock.clock)
    again.event(EventKind.SHOWN)
    clock.work(12)
    again.event(EventKind.SAVED, name=SUBMIT)
    again.close()
    found = timed(path)
    assert found.primary_s == pytest.approx(42)
    assert (found.between_s, found.wall_s, found.openings) == (None, None, 2)
    assert found.to_json()["between_s"] is None


def test_silence_of_the_beats_is_sleep_where_the_monotonic_clock_goes_on(tmp_path: Path) -> None:
    clock, document = HandClock(), new_document()
    journal = new_journal(tmp_path / "a.journal", document, clock=clock.clock)
    journal.event(EventKind.SHOWN)
    for _ in range(3):
        journal.event(EventKind.BEAT)
        clock.work(BEAT_S)
    clock.work(4000)
    journal.event(EventKind.BEAT)
    clock.work(5)
    journal.event(EventKind.SAVED, name=SUBMIT)
    journal.close()
    found = timed(tmp_path / "a.journal")
    assert found.asleep_s == pytest.approx(4000)
    assert found.primary_s == pytest.approx(65)
    assert found.wall_s == pytest.approx(4065)


def test_without_submit_the_last_thing_recorded_is_the_end_and_it_is_said(tmp_path: Path) -> None:
    clock, document = HandClock(), new_document()
    journal = new_journal(tmp_path / "a.journal", document, clock=clock.clock)
    journal.event(EventKind.KEY)
    clock.work(9)
    journal.event(EventKind.KEY)
    journal.close()
    found = timed(tmp_path / "a.journal")
    assert (found.shown, found.submitted, round(found.primary_s, 6)) == (False, False, 9)


def test_an_empty_record_has_no_time(tmp_path: Path) -> None:
    document = new_document()
    new_journal(tmp_path / "a.journal", document, clock=HandClock().clock).close()
    assert timed(tmp_path / "a.journal").primary_s == 0


def test_the_result_of_a_model_is_no_act() -> None:
    found = made(
        (0, EventKind.SHOWN, {}),
        (70, "patch", {"source": "model"}),
        (100, EventKind.SAVED, SUBMITTED),
    )
    assert found.whole.idle_s == 100 - IDLE_S


def test_real_clocks_are_read(tmp_path: Path) -> None:
    document = new_document()
    journal = Journal(tmp_path / "a.journal", _task(document), document, clock=Clock())
    before = dt.datetime.now(dt.UTC)
    journal.event(EventKind.SHOWN)
    journal.event(EventKind.SAVED, name=SUBMIT)
    journal.close()
    with JournalReader(tmp_path / "a.journal") as reader:
        assert timeline_of(reader).openings[0].closed
        assert abs((next(iter(reader.entries())).wall - before).total_seconds()) < 60
        assert 0 <= task_timing(reader).primary_s < 60


def _task(document: Any) -> Any:
    from napari_tumorseg.annotation.task import Task

    return Task.of(document, "case", "mask")
