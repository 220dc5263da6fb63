from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest

from napari_tumorseg.core.case import Case, MaskKind, MaskVersion, Review, TimePoint
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.volume import Volume

GRID = Grid.from_spacing((2, 3, 4), (1, 1, 1))


def volume(modality: str = "T1c") -> Volume:
    return Volume(np.zeros(GRID.shape, np.float32), GRID, modality)


def mask(kind: MaskKind = MaskKind.AI) -> MaskVersion:
    return MaskVersion(np.zeros(GRID.shape, np.uint8), GRID, preset("lesion"), kind)


def test_a_case_holds_dated_time_points_of_named_volumes_and_masks() -> None:
    first = TimePoint({"T1c": volume()}, date=dt.date(2026, 1, 2))
    second = TimePoint({"T1c": volume(), "FLAIR": volume("FLAIR")}, {"seg": (mask(MaskKind.REFERENCE),)}, dt.date(2026, 4, 2))
    case = Case("phantom", (first, second))
    assert case.latest is second
    assert [point.date for point in case.timepoints] == [dt.date(2026, 1, 2), dt.date(2026, 4, 2)]
    assert list(case.latest.volumes) == ["T1c", "FLAIR"]


def test_a_mask_has_versions_from_old_to_new_under_several_names() -> None:
    visit = TimePoint({"T1c": volume()})
    ai, corrected, reference = mask(), mask(MaskKind.RATER), mask(MaskKind.REFERENCE)
    after = visit.with_mask("tumour", ai).with_mask("tumour", corrected).with_mask("reference", reference)
    assert not visit.masks
    assert after.masks["tumour"] == (ai, corrected)
    assert after.masks["reference"] == (reference,)
    assert len({m.version for m in (ai, corrected, reference)}) == 3
    assert ai.review is Review.NOT_REVIEWED
    assert ai.review.value == "AI, not reviewed"
    assert ai.created.tzinfo is not None


def test_a_time_point_cannot_be_changed_in_place() -> None:
    given = {"T1c": volume()}
    visit = TimePoint(given)
    given["T2"] = volume("T2")
    assert list(visit.volumes) == ["T1c"]
    with pytest.raises(TypeError):
        visit.volumes["T2"] = volume("T2")  # type: ignore[index]
    with pytest.raises(TypeError):
        visit.masks["x"] = ()  # type: ignore[index]


def test_one_time_point_can_be_replaced() -> None:
    points = tuple(TimePoint({"T1c": volume()}) for _ in range(3))
    other = TimePoint({"T2": volume("T2")})
    case = Case("phantom", points)
    assert case.with_timepoint(1, other).timepoints == (points[0], other, points[2])
    assert case.with_timepoint(-1, other).latest is other
    assert case.timepoints == points


@pytest.mark.parametrize("points", [(), (TimePoint({}),), (TimePoint({}, {"seg": (mask(),)}), TimePoint({}))])
def test_a_case_needs_an_image(points: tuple[TimePoint, ...]) -> None:
    with pytest.raises(InputError, match="phantom holds no image"):
        Case("phantom", points)


@pytest.mark.parametrize(
    "labels", [np.zeros((2, 3, 5), np.uint8), np.zeros(GRID.shape, np.int16), np.zeros(GRID.shape, bool), np.zeros((2, 3))]
)
def test_a_mask_is_unsigned_and_on_its_grid(labels: np.ndarray[Any, Any]) -> None:
    with pytest.raises(InputError, match="does not fit a grid"):
        MaskVersion(labels, GRID, preset("lesion"), MaskKind.RATER)
