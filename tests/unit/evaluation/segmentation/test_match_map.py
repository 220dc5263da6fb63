"""The map of matches says of every voxel what the table of lesions says of its lesion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.segmentation.match_map import FALSE, FOUND, MISSED, match_map
from napari_tumorseg.evaluation.segmentation.score import score_case

FULL = np.ones((3, 3, 3), bool)
PROFILES = ("brats-mets-2023", "brats-mets-2024", "brats-mets-2026", "brats-gli-2023")


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    mask = np.zeros((14, 14, 14), np.uint8)
    for _ in range(draw(st.integers(0, 5))):
        z, y, x = (draw(st.integers(0, 11)) for _ in range(3))
        size = draw(st.integers(1, 4))
        mask[z : z + size, y : y + size, x : x + size] = draw(st.sampled_from((1, 2, 3)))
    return mask


@settings(max_examples=60)
@given(masks(), masks(), st.sampled_from(PROFILES))
def test_as_many_lesions_of_each_kind_as_in_the_table(reference, prediction, profile):
    table = score_case(reference, prediction, (1.0, 1.0, 1.0), profile)["lesions"]
    matches = match_map(reference, prediction, profile, "WT")
    inside = reference > 0
    rows = [row for row in table if row["region"] == "WT"]
    # Every reference voxel is of a lesion that is found or missed, and nothing else is missed.
    assert np.array_equal((matches == MISSED) | ((matches == FOUND) & inside), inside)
    missed = sum(row["volume_mm3"] for row in rows if row["status"] == "missed")
    assert (matches == MISSED).sum() == missed
    assert (matches[inside] == FOUND).sum() == sum(row["volume_mm3"] for row in rows if row["status"] == "found")
    # A false lesion may lie beside a missed one, whose voxels are told first.
    false = sum(row["volume_mm3"] for row in rows if row["status"] == "false")
    assert (matches == FALSE).sum() <= false
    if profile != "brats-mets-2026":
        # What is false touches nothing of the reference, so none of its voxels is covered.
        assert (matches == FALSE).sum() == false


@settings(max_examples=30)
@given(masks(), masks())
def test_whole_masks_match_where_parts_share_a_voxel(reference, prediction):
    one, other = reference == 3, prediction == 3
    expected = np.zeros(one.shape, np.uint8)
    parts, _ = ndimage.label(other, FULL)
    touched = np.unique(parts[one & other])
    expected[other] = np.where(np.isin(parts[other], touched[touched > 0]), FOUND, FALSE)
    parts, _ = ndimage.label(one, FULL)
    touched = np.unique(parts[one & other])
    expected[one] = np.where(np.isin(parts[one], touched[touched > 0]), FOUND, MISSED)
    assert np.array_equal(match_map(reference, prediction, "plain", "3"), expected)


def test_a_region_that_the_profile_lacks_is_refused():
    mask = np.zeros((3, 3, 3), np.uint8)
    with pytest.raises(InputError, match="no region XX"):
        match_map(mask, mask, "brats-mets-2024", "XX")
