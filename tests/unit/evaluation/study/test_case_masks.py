from __future__ import annotations

import json

import numpy as np
import pytest

from napari_tumorseg.evaluation.agreement.icc import intraclass
from napari_tumorseg.evaluation.study.bias import automation_bias
from napari_tumorseg.evaluation.study.case_masks import MaskRead, lesions_of_case, volume_agreement
from napari_tumorseg.evaluation.study.detection import specific_agreement


def line(*places: int) -> np.ndarray:
    """Lesions of three voxels at some places of a line."""
    parts = np.zeros((1, 1, 60), np.int32)
    for number, place in enumerate(places, 1):
        parts[..., place : place + 3] = number
    return parts


def test_readings_of_a_case_are_judged_by_the_others_from_scratch() -> None:
    reads = [
        MaskRead("A", "scratch", line(1, 11)),
        MaskRead("B", "scratch", line(2, 10, 31)),
        MaskRead("C", "scratch", line(0, 12)),
        MaskRead("C", "scratch", line(50), repeat=2),
        MaskRead("A", "ai", line(1, 41)),
        MaskRead("B", "ai", line(1, 11)),
    ]
    told = lesions_of_case("c1", reads, "scratch", ai=line(1, 41))
    assert [len(c.members) for c in told.clusters] == [6, 4, 2, 1, 1]
    assert told.found["scratch"].sum(0).tolist() == [2, 3, 2]
    assert specific_agreement([told.found["scratch"]])["both"] == 6
    assert told.unjudged == ()
    bias = automation_bias(told.readings, ("scratch", "ai"), draws=50)
    # The AI missed the lesion at 11 and marked one at 41 that nobody has from scratch: A followed it in both, B in neither. The one
    # at 31 is there for A alone, since half of A's others have it and none of B's.
    helped = bias["arms"]["ai"]
    assert (helped["ai_missed"], helped["ai_missed_omitted"], helped["ai_false"], helped["ai_false_kept"]) == (3, 2, 2, 1)
    assert bias["arms"]["scratch"]["ai_false_commission"] == 0


def test_a_reading_that_nobody_else_can_judge_is_named() -> None:
    told = lesions_of_case("c1", [MaskRead("A", "scratch", line(1)), MaskRead("B", "ai", line(1))], "scratch")
    assert told.unjudged == ("A scratch 1",)
    assert [r.rater for r in told.readings] == ["B"]


def test_volumes_agree_on_their_logarithms_and_repeats_have_a_coefficient() -> None:
    rng = np.random.default_rng(0)
    true = rng.lognormal(1, 1, 12)
    rows = [
        {"case": f"c{c}", "rater": r, "arm": "ai", "repeat": n, "volume_ml": float(v * rng.lognormal(0, 0.1))}
        for c, v in enumerate(true)
        for r in "AB"
        for n in (1, 2)
    ]
    rows.append({"case": "empty", "rater": "A", "arm": "ai", "repeat": 1, "volume_ml": 0.0})
    told = volume_agreement(rows)["ai"]
    json.dumps(told, allow_nan=False)
    assert (told["cases"], told["raters"], told["left_out"]) == (12, 2, ["empty"])
    table = [[np.log(next(x["volume_ml"] for x in rows if (x["case"], x["rater"]) == (f"c{c}", r))) for r in "AB"] for c in range(12)]
    assert [row["name"] for row in told["icc"]] == ["ICC(2,1)", "ICC(2,k)"]
    assert told["icc"][0]["icc"] == intraclass(table)[1]["icc"]
    assert told["repeatability"]["n"] == 24
    assert told["repeatability"]["within_cv"] == pytest.approx(0.1, abs=0.04)


def test_raters_that_are_not_the_same_for_all_cases_get_the_one_way_coefficient() -> None:
    rows = [
        {"case": f"c{c}", "rater": r, "arm": "scratch", "repeat": 1, "volume_ml": float(c + 1 + (r in "BD"))}
        for c in range(6)
        for r in ("AB" if c % 2 else "CD")
    ]
    told = volume_agreement(rows)["scratch"]
    assert told["raters"] == 0
    assert [row["name"] for row in told["icc"]] == ["ICC(1,1)", "ICC(1,k)"]
    assert volume_agreement(rows[:4])["scratch"]["icc"] is None
