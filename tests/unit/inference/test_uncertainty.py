"""Uncertainty from probabilities, against the definition of entropy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_tumorseg.core.errors import Cancelled, InputError
from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.jobs import CancelToken, Progress
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.segmenter import Need, Prediction, SegmenterSpec
from napari_tumorseg.inference.uncertainty import closeness, entropy_bits, kind_of, uncertainty_of

unit = st.floats(0, 1, width=32)


def _spec(regions=("WT", "TC", "ET"), **options):
    return SegmenterSpec("m", "m", "network", (Need("T1c"),), preset("brats-mets-2025"), regions=regions, options=options)


@given(hnp.arrays(np.float32, (3, 7), elements=unit))
def test_nested_regions_are_classes(given):
    p = np.minimum.accumulate(given, axis=0)
    classes = np.stack([1 - p[0], p[0] - p[1], p[1] - p[2], p[2]])
    expected = scipy.stats.entropy(classes.astype(float), base=2, axis=0)
    assert entropy_bits(list(p), "nested") == pytest.approx(expected, abs=1e-4)


@given(hnp.arrays(np.float64, (4, 5), elements=st.floats(1e-3, 1)))
def test_exclusive_regions_are_classes(weights):
    shares = weights / weights.sum(axis=0)
    assert entropy_bits(list(shares[1:]), "exclusive") == pytest.approx(scipy.stats.entropy(shares, base=2, axis=0), abs=1e-4)


@given(hnp.arrays(np.float32, (2, 5), elements=unit))
def test_independent_regions_count_by_the_least_certain(p):
    each = [scipy.stats.entropy(np.stack([1 - q, q]).astype(float), base=2, axis=0) for q in p]
    assert entropy_bits(list(p), "independent") == pytest.approx(np.max(each, axis=0), abs=1e-4)


def test_a_region_that_sticks_out_of_its_outer_one_is_cut():
    assert entropy_bits([np.array([0.0]), np.array([0.7])], "nested") == pytest.approx([0.0])


def test_the_caller_keeps_its_arrays():
    outer, inner = np.array([0.2], np.float32), np.array([0.7], np.float32)
    entropy_bits([outer, inner], "nested")
    assert (outer[0], inner[0]) == (np.float32(0.2), np.float32(0.7))


@given(unit, st.floats(0.05, 0.95))
def test_closeness_is_largest_at_the_decision(p, threshold):
    value = float(closeness(np.array([p]), threshold)[0])
    assert 0 <= value <= 1
    assert float(closeness(np.array([threshold]), threshold)[0]) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_a_threshold_at_the_end_decides_nothing(threshold):
    with pytest.raises(InputError, match="leaves nothing to decide"):
        closeness(np.array([0.5]), threshold)


def test_how_regions_relate():
    assert kind_of(_spec()) == "nested"
    assert kind_of(_spec(activation="softmax")) == "exclusive"
    assert kind_of(_spec(("WT", "RC"))) == "independent"
    assert kind_of(_spec(("Vessel", "TC"))) == "independent"
    assert kind_of(_spec((), regions_to_labels={"WT": "SNFH", "ET": "ET"})) == "nested"


def _prediction(**more):
    return Prediction(np.zeros((6, 8, 9), np.uint8), **more)


def test_only_the_box_is_kept_and_only_in_half_precision():
    wt = np.zeros((6, 8, 9), np.float16)
    wt[2:4, 3:5, 4:8] = 1
    wt[3, 4, 7] = 0.5
    tc = np.zeros_like(wt)
    tc[2, 3, 4] = 0.25
    found = uncertainty_of(_prediction(probabilities={"WT": wt, "TC": tc}), "nested")
    assert found.box == Box((2, 3, 4), (4, 5, 8))
    assert found.values.dtype == np.float16
    expected = np.zeros((6, 8, 9))
    expected[3, 4, 7] = 1.0
    expected[2, 3, 4] = scipy.stats.entropy([0.75, 0.25], base=2)
    assert found.full().astype(float) == pytest.approx(expected, abs=1e-3)


def test_a_single_region_is_judged_by_its_decision():
    p = np.zeros((6, 8, 9), np.float16)
    p[1, 1, 1], p[1, 1, 2] = 0.25, 0.75
    found = uncertainty_of(_prediction(probabilities={"Lesion": p}), "independent", threshold=0.25).full()
    assert found[1, 1, 1] == pytest.approx(1.0, abs=1e-3)
    assert found[1, 1, 2] == pytest.approx(1 / 3, abs=1e-3)


def test_the_model_knows_best():
    own = np.zeros((6, 8, 9), np.float16)
    own[5, 7, 8] = 3
    found = uncertainty_of(_prediction(probabilities={"WT": np.full((6, 8, 9), 0.5, np.float16)}, uncertainty=own), "independent")
    assert (found.box, found.values.tolist()) == (Box((5, 7, 8), (6, 8, 9)), [[[3.0]]])


def test_nothing_to_tell():
    certain = np.zeros((6, 8, 9), np.float16)
    certain[2] = 1
    assert uncertainty_of(_prediction(), "nested") is None
    assert uncertainty_of(_prediction(probabilities={"WT": certain}), "nested") is None
    assert uncertainty_of(_prediction(uncertainty=np.zeros((6, 8, 9), np.float16)), "nested") is None


def test_it_can_be_stopped():
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        uncertainty_of(_prediction(probabilities={"WT": np.full((6, 8, 9), 0.5, np.float16)}), "nested", progress=Progress(cancel=token))
