from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.jobs import CancelToken, Progress
from napari_tumorseg.evaluation.study.readings import Readings
from napari_tumorseg.evaluation.study.simulate import Truth, crossed_design, draw_times
from napari_tumorseg.workflows.study_power import PowerRequest, power_text, read_pilot, study_power, truth_of_pilot

SMALL = PowerRequest(raters=(6,), cases=(8,), studies=40, draws=39)


def power(request: PowerRequest) -> float:
    return study_power(request)["rows"][0]["power_percent"]


def pilot(path: Path, raters: int = 10, cases: int = 30) -> Readings:
    truth = Truth(saving=0.3, rater_sd=0.3, case_sd=0.5, rater_arm_sd=0.2, case_arm_sd=0.2, residual_sd=0.2)
    rng = np.random.default_rng(3)
    design = crossed_design(raters, cases, rng)
    design = replace(design, seconds=np.exp(draw_times(design, truth, rng)[0]))
    lines = ["rater,case,arm,period,order,lesions,seconds"]
    for k in range(len(design)):
        arm = "ai" if design.arm[k] > 0 else "scratch"
        who = f"{design.raters[design.rater[k]]},{design.cases[design.case[k]]}"
        numbers = f"{design.period[k]:g},{design.order[k]:g},{design.lesions[k]:g},{float(design.seconds[k])!r}"
        lines.append(f"{who},{arm},{numbers}")
    path.write_text("\n".join(lines), encoding="utf-8")
    return design


def test_power_grows_with_the_saving_and_is_the_level_without_one() -> None:
    assert power(replace(SMALL, saving_percent=60)) == 100
    # A saving of nothing cannot be planned for; of 40 studies at 5 %, 8 are rejected in 1 of 1,000 runs.
    assert power(replace(SMALL, saving_percent=0.01)) <= 100 * 7 / 40
    assert power(replace(SMALL, saving_percent=30, spreads={"rater_arm_sd": 1.0})) < power(replace(SMALL, saving_percent=30))


def test_the_same_seed_gives_the_same_power_and_the_result_is_json() -> None:
    one, other = study_power(SMALL), study_power(SMALL)
    assert one == other
    json.dumps(one, allow_nan=False)
    assert one["rows"][0]["readings"] == 96
    text = power_text(one)
    assert "raters \\ cases" in text
    assert "rater_arm_sd 0.12 (default)" in text


def test_variances_come_from_the_pilot_and_what_is_typed_goes_before(tmp_path: Path) -> None:
    design = pilot(tmp_path / "pilot.csv")
    read = read_pilot(tmp_path / "pilot.csv", ("scratch", "ai"))
    np.testing.assert_allclose(read.seconds, design.seconds)
    found = truth_of_pilot(read)
    assert found.residual_sd == pytest.approx(0.2, abs=0.02)
    assert found.rater_arm_sd == pytest.approx(0.2, abs=0.1)
    assert found.case_arm_sd == pytest.approx(0.2, abs=0.06)
    assert found.case_sd == pytest.approx(0.5, abs=0.15)
    told = study_power(replace(SMALL, studies=1, pilot=tmp_path / "pilot.csv", spreads={"case_sd": 0.9}))
    assert told["assumed"]["residual_sd"] == {"value": found.residual_sd, "from": "pilot"}
    assert told["assumed"]["case_sd"] == {"value": 0.9, "from": "typed"}
    pilot(tmp_path / "few.csv", 3, 5)
    assert "uncertain" in study_power(replace(SMALL, studies=1, pilot=tmp_path / "few.csv"))["warnings"][0]


def test_a_protocol_s_own_allocation_is_used_and_too_few_raters_are_told() -> None:
    told = study_power(replace(SMALL, studies=2, raters=(6, 2), protocol="brats-mets-raters"))
    assert [row["readings"] for row in told["rows"]] == [8 * 2 * 2, 8 * 2 * 2]
    assert told["rows"][1]["raters_random"] is False
    with pytest.raises(InputError, match="no protocol 'nope'"):
        study_power(replace(SMALL, protocol="nope"))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"saving_percent": 0}, "cannot be planned"),
        ({"raters": (1,)}, "2 raters"),
        ({"cases": ()}, "3 cases"),
        ({"studies": 0}, "needs a study"),
        ({"alpha": 0.001}, "Draw 999 or more"),
        ({"spreads": {"x": 1.0}}, "no standard deviation x"),
        ({"spreads": {"rater_sd": -1.0}}, "0 or more"),
        ({"pilot": Path("nowhere.csv")}, "not a file"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict, match: str) -> None:
    with pytest.raises(InputError, match=match):
        study_power(replace(SMALL, **change))


def test_a_pilot_without_a_number_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("rater,case,arm,period,order,lesions,seconds\nA,1,ai,1,1,2,fast\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 2: seconds is 'fast'"):
        read_pilot(tmp_path / "p.csv", ("scratch", "ai"))


def test_the_simulation_can_be_cancelled() -> None:
    from napari_tumorseg.core.errors import Cancelled

    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        study_power(SMALL, Progress(lambda _: None, token))
