"""Two raters' masks, and summaries of many."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from napari_tumorseg.evaluation.raters.masks import compare_masks, lesion_f1, summarise
from napari_tumorseg.evaluation.resampling import mean_interval
from napari_tumorseg.evaluation.segmentation.surface import hd95, nsd

masks = arrays(bool, (3, 5, 6), elements=st.sampled_from([False, False, True]))
SPACING = (2.0, 1.0, 0.5)


@given(masks, masks)
def test_the_scores_are_those_of_the_whole_image_in_either_order(a, b):
    one, other = compare_masks(a, b, SPACING, (1.0,)), compare_masks(b, a, SPACING, (1.0,))
    for key in ("dice", "hd95_mm", "nsd", "lesion_f1"):
        assert one[key] == pytest.approx(other[key]) if one[key] is not None else other[key] is None
    if not (a.any() or b.any()):
        assert one["both_empty"]
        assert one["dice"] is None
        return
    assert one["dice"] == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
    assert one["volume_a_ml"] == pytest.approx(a.sum() / 1000)
    assert one["nsd"]["1.0"] == pytest.approx(nsd(a, b, SPACING, 1.0))
    expected = hd95(a, b, SPACING)
    assert one["hd95_mm"] == (pytest.approx(expected) if np.isfinite(expected) else None)


@given(masks, masks)
def test_lesion_f1_equals_looking_at_each_lesion(a, b):
    whole = np.ones((3, 3, 3))
    found = []
    for one, other in ((a, b), (b, a)):
        parts, count = ndimage.label(one, whole)
        found.append((sum(bool(other[parts == i + 1].any()) for i in range(count)), count))
    total = found[0][1] + found[1][1]
    f1, count_a, count_b = lesion_f1(a, b)
    assert (count_a, count_b) == (found[0][1], found[1][1])
    assert f1 == (pytest.approx((found[0][0] + found[1][0]) / total) if total else None)


def test_summaries_draw_whole_cases():
    rows = [
        {"case": case, "dice": d, "hd95_mm": None, "nsd": {"1.0": d}, "lesion_f1": 1.0} for case, d in [("a", 0.2)] * 50 + [("b", 0.8)] * 50
    ]
    found = summarise(rows)
    assert found["dice"]["mean"] == pytest.approx(0.5)
    # Two cases, drawn whole: a quarter of the resamples holds one of them only.
    assert found["dice"]["mean_ci"] == pytest.approx([0.2, 0.8])
    assert found["hd95_mm"]["n"] == 0
    assert found["hd95_mm"]["mean"] is None
    assert summarise(rows[:3])["dice"]["mean_ci"] == [None, None]


def test_the_interval_of_a_mean_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    runs = 200
    held = np.mean([low <= 0 <= high for low, high in (mean_interval(row) for row in rng.normal(0, 1, (runs, 60)))])
    # The percentile bootstrap of 60 values is a little short of its level.
    assert 0.90 < held < 0.95 + 3.3 * np.sqrt(0.95 * 0.05 / runs)
