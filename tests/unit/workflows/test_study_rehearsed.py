"""From the hand of a rater who is not there, through real journals, to the analysis."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_tumorseg.annotation.reader import JournalReader
from napari_tumorseg.annotation.rehearsal import Habits, HandClock, rehearse
from napari_tumorseg.annotation.study.protocol_file import load_protocol
from napari_tumorseg.annotation.timing import task_timing
from napari_tumorseg.core.document import MaskDocument
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.evaluation.study.readings import Readings
from napari_tumorseg.evaluation.study.simulate import Truth, draw_times
from napari_tumorseg.evaluation.study.time_model import analyse_time
from napari_tumorseg.workflows.study_design import planned_readings, protocol_redraw

GRID = Grid.from_spacing((2, 3, 4), (5.0, 1.0, 1.0))


def habits_of(rater: int, number: int) -> Habits:
    """Raters differ in how they idle, pause, leave and are interrupted."""
    return Habits(
        think_share=0.2 + 0.08 * rater,
        think_s=20 + 15 * rater,
        pause_s=300.0 if number % 5 == rater else 0.0,
        away_s=90.0 if number % 4 == 0 else 0.0,
        asleep_s=3600.0 if number % 7 == 0 else 0.0,
        wait_share=0.1 if rater % 2 else 0.0,
        before_s=60.0,
        break_off=0.5 if number % 11 == 0 else 0.0,
    )


def read_back(path: Path) -> MaskDocument:
    with JournalReader(path) as reader:
        return reader.document()


def test_the_planted_saving_comes_out_of_the_journals(tmp_path: Path) -> None:
    protocol = load_protocol("brats-mets-raters")
    protocol = replace(protocol, instances=replace(protocol.instances, sets=0))
    truth = Truth(saving=0.35, rater_arm_sd=0.1, case_arm_sd=0.05, residual_sd=0.15, median_s=300.0)
    rng = np.random.default_rng(11)
    lesions = {f"C{n}": float(n % 4 + 1) for n in range(4)}
    planned = planned_readings(protocol, [f"R{n}" for n in range(6)], lesions, 4, ("scratch", "ai"))
    log_s, _ = draw_times(planned, truth, rng)
    rows = []
    kept: dict[str, list[float]] = {}
    for number in range(len(planned)):
        path = tmp_path / f"{number}.journal"
        document = MaskDocument(np.zeros(GRID.shape, np.uint8), GRID, preset("lesion"))
        habits = habits_of(int(planned.rater[number]), number)
        arm = planned.arms[int(planned.arm[number] > 0)]
        more = {"arm": arm, "period": planned.period[number], "order": planned.order[number], "lesions": planned.lesions[number]}
        who = {"case": planned.cases[planned.case[number]], "person": planned.raters[planned.rater[number]], "more": more}
        rehearse(path, document, float(np.exp(log_s[number])), rng, habits, HandClock(), lambda p=path: read_back(p), **who)
        with JournalReader(path) as reader:
            timing, task = task_timing(reader), reader.task
        assert timing.submitted
        assert timing.beforehand_s == pytest.approx(60)
        kept.setdefault(task.person, []).append(timing.trimmed_s(10) / timing.primary_s)
        rows.append({"rater": task.person, "case": task.case, **task.more, "seconds": timing.primary_s})
    readings = Readings.of(rows, ("scratch", "ai"))
    np.testing.assert_allclose(readings.seconds, np.exp(log_s), rtol=1e-3)
    told = analyse_time(readings, protocol_redraw(protocol, readings), draws=199)
    primary = told["primary"]
    assert primary["low_percent"] < 35 < primary["high_percent"]
    assert primary["saved_percent"] == pytest.approx(35, abs=8)
    assert primary["p"] < 0.05
    # The curve tells who thinks long: raters were made to, more from the first to the last.
    assert np.mean(kept["R0"]) > 0.8 > 0.7 > np.mean(kept["R5"])


def test_the_redraw_keeps_pairs_and_periods_and_the_protocol_s_balance() -> None:
    protocol = load_protocol("brats-mets-raters")
    lesions = {f"C{n}": 1.0 for n in range(8)}
    planned = planned_readings(protocol, [f"R{n}" for n in range(4)], lesions, 1, ("scratch", "ai"))
    draw = protocol_redraw(protocol, planned)
    arms = np.array([draw(n) for n in range(20)])
    assert len({tuple(a) for a in arms.tolist()}) > 10
    first = planned.period == 1
    for rater in range(4):
        sums = arms[:, first & (planned.rater == rater)].sum(1)
        assert set(np.abs(sums).tolist()) <= {0.0}
    for pair in {(r, c) for r, c in zip(planned.rater, planned.case, strict=True)}:
        own = (planned.rater == pair[0]) & (planned.case == pair[1])
        assert (arms[:, own].sum(1) == 0).all()
