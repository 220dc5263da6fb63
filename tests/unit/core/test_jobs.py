from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_tumorseg.core.errors import Cancelled
from napari_tumorseg.core.jobs import CancelToken, Progress, ProgressState

shares = st.floats(0, 1)


@given(st.lists(st.tuples(shares, shares).map(sorted), max_size=5), st.floats(-2, 3))
def test_a_part_of_a_part_reports_into_the_whole(nesting: list[list[float]], fraction: float) -> None:
    seen: list[ProgressState] = []
    part = Progress(seen.append)
    low, high = 0.0, 1.0
    for start, stop in nesting:
        part = part.part(start, stop)
        low, high = low + start * (high - low), low + stop * (high - low)
    part.update(fraction, "Reading")
    assert seen[0].message == "Reading"
    assert seen[0].fraction == pytest.approx(low + min(max(fraction, 0), 1) * (high - low))
    assert 0 <= seen[0].fraction <= 1


def test_a_cancelled_job_stops_at_its_next_report() -> None:
    seen: list[ProgressState] = []
    whole = Progress(seen.append)
    part = whole.part(0, 0.5)
    part.update(0.5, "Reading")
    thread = threading.Thread(target=whole.cancel.cancel)
    thread.start()
    thread.join()
    with pytest.raises(Cancelled):
        part.update(1.0, "Reading")
    assert len(seen) == 1


def test_nobody_needs_to_listen() -> None:
    progress = Progress()
    progress.update(0.5, "Reading")
    assert not progress.cancel.cancelled


def test_cancelling_twice_is_cancelling_and_tokens_are_apart() -> None:
    one, other = CancelToken(), CancelToken()
    one.cancel()
    one.cancel()
    assert one.cancelled
    other.raise_if_cancelled()
    assert Progress().cancel is not Progress().cancel
