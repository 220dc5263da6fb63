"""RECIST 1.1, RANO-BM and RANO: every row of their tables, and their limits."""

from __future__ import annotations

import numpy as np
import pytest

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.lesion import Diameters, Lesion
from napari_tumorseg.evaluation.response.assess import Entered, Measured, assess, choose_targets, is_measurable
from napari_tumorseg.evaluation.response.criteria import CRITERIA, Sums, check_status, overall, target_response, with_status
from napari_tumorseg.evaluation.response.shapes import Shape
from napari_tumorseg.evaluation.response.tracks import Scan, follow

RECIST, RANO_BM, RANO = (CRITERIA[name] for name in ("recist-1.1", "rano-bm", "rano"))


@pytest.mark.parametrize(
    ("baseline", "nadir", "now", "growth", "complete", "recist", "rano_bm"),
    [
        (100, 100, 0, 0, True, "CR", "CR"),
        (100, 100, 70, 0, True, "PR", "PR"),  # exactly 30 % less
        (100, 100, 70.1, 0, True, "SD", "SD"),
        (100, 100, 100, 0, True, "SD", "SD"),
        (100, 100, 119.9, 19.9, True, "SD", "SD"),
        (100, 100, 120, 20, True, "PD", "PD"),  # exactly 20 % more
        (100, 50, 60, 10, True, "PD", "PD"),  # against the smallest sum, though 40 % below baseline
        (100, 50, 59.9, 9.9, True, "PR", "PR"),
        (20, 20, 24.9, 4.9, True, "SD", "SD"),  # 24 %, but less than 5 mm
        (20, 20, 25, 5, True, "PD", "PD"),  # exactly 5 mm
        (60, 60, 75, 4, True, "PD", "SD"),  # the sum grows by 15 mm, but no single lesion by 5
        (20, 20, 24, 6, True, "SD", "PD"),  # a lesion grows by 6 mm, the sum by only 4
        (100, 0, 4, 4, True, "PR", "PR"),  # back after all were gone, below 5 mm
        (100, 0, 6, 6, True, "PD", "PD"),
        (0.7, 0.7, 0.7 * 0.7, 0, True, "PR", "PR"),  # no rounding at the limit
        (100, 100, 60, 0, False, "NE", "NE"),  # a target was not looked at
        (100, 100, 0, 0, False, "NE", "NE"),
        (100, 100, 125, 25, False, "PD", "PD"),  # ... but the others are enough for progression
    ],
)
def test_response_of_the_targets(baseline, nadir, now, growth, complete, recist, rano_bm) -> None:
    sums = Sums(baseline, nadir, now, growth, complete)
    assert target_response(sums, RECIST) == recist
    assert target_response(sums, RANO_BM) == rano_bm


@pytest.mark.parametrize(
    ("baseline", "nadir", "now", "expected"),
    [
        (400, 400, 200, "PR"),
        (400, 400, 201, "SD"),
        (400, 400, 499, "SD"),
        (400, 400, 500, "PD"),
        (400, 100, 125, "PD"),
        (400, 100, 0, "CR"),
    ],
)
def test_rano_sums_products_by_half_and_a_quarter(baseline, nadir, now, expected) -> None:
    assert target_response(Sums(baseline, nadir, now), RANO) == expected


# Tables 1 and 2 of Eisenhauer 2009, row by row.
@pytest.mark.parametrize(
    ("target", "non_target", "new", "expected"),
    [
        ("CR", "CR", False, "CR"),
        ("CR", None, False, "CR"),
        ("CR", "Non-CR/Non-PD", False, "PR"),
        ("CR", "NE", False, "PR"),
        ("PR", "CR", False, "PR"),
        ("PR", "Non-CR/Non-PD", False, "PR"),
        ("PR", "NE", False, "PR"),
        ("SD", "Non-CR/Non-PD", False, "SD"),
        ("SD", "NE", False, "SD"),
        ("NE", "Non-CR/Non-PD", False, "NE"),
        ("PD", "CR", False, "PD"),
        ("SD", "PD", False, "PD"),
        ("NE", "PD", False, "PD"),
        ("CR", "CR", True, "PD"),
        ("NE", "NE", True, "PD"),
        (None, "CR", False, "CR"),
        (None, "Non-CR/Non-PD", False, "Non-CR/Non-PD"),
        (None, "NE", False, "NE"),
        (None, "PD", False, "PD"),
        (None, "CR", True, "PD"),
        (None, None, False, "NE"),
        (None, None, True, "PD"),
    ],
)
def test_the_category_of_a_time_point(target, non_target, new, expected) -> None:
    assert overall(target, non_target, new) == expected


@pytest.mark.parametrize(
    ("imaging", "steroids", "clinical", "expected"),
    [
        ("CR", "none", "stable", "CR"),
        ("CR", "none", "improved", "CR"),
        ("CR", "stable", "stable", "PR"),
        ("CR", "decreased", "improved", "PR"),
        ("PR", "decreased", "stable", "PR"),
        ("PR", "none", "worse", "PD"),
        ("SD", "stable", "worse", "PD"),
        ("SD", "increased", "stable", "NE"),
        ("SD", "increased", "worse", "PD"),
        ("PD", "none", "improved", "PD"),
        ("NE", "none", "stable", "NE"),
        ("NE", "none", "worse", "PD"),
    ],
)
def test_steroids_and_clinical_status(imaging, steroids, clinical, expected) -> None:
    assert with_status(imaging, steroids, clinical)[0] == expected
    for missing in ((steroids, ""), ("", clinical), ("", "")):
        assert with_status(imaging, *missing) == (imaging, "imaging component only")


def test_what_is_entered_is_checked() -> None:
    check_status("none", "worse")
    check_status("", "")
    with pytest.raises(InputError, match="steroids"):
        check_status("some", "")
    with pytest.raises(InputError, match="clinical"):
        check_status("", "bad")


# -- series of time points, made of sizes alone

SPACE = Grid.from_spacing((2, 2, 400), (1.0, 1.0, 1.0))


def _row(number: int, place: int, longest: float, across: float, volume: float | None = None) -> Lesion:
    size = volume if volume is not None else longest * across
    return Lesion(number, "TC", (float(place), 0.0, 0.0), size, 1, (0, 0, place), (1, 1, place + 1), diameters=Diameters(longest, across))


def _series(*visits: dict[int, float | tuple[float, float]] | None, slices: int = 3):
    """Each visit: place -> longest diameter (and perpendicular); a place is a lesion of width 4; a float key spans several."""
    scans: list[Scan | None] = []
    rows: list[list[Measured] | None] = []
    for visit in visits:
        if visit is None:
            scans.append(None)
            rows.append(None)
            continue
        shapes, found = [], []
        for number, (place, size) in enumerate(visit.items(), start=1):
            longest, across = size if isinstance(size, tuple) else (size, size * 0.6)
            start, stop = place if isinstance(place, tuple) else (place, place + 4)
            shapes.append(Shape(SPACE, Box((0, 0, start), (1, 1, stop)), np.ones((1, 1, stop - start), bool)))
            found.append(Measured(_row(number, start, longest, across), slices, 3.0))
        scans.append(Scan(SPACE, tuple(shapes)))
        rows.append(found)
    return follow(scans), rows


def _categories(*visits, criteria=RECIST, entered=None, **more) -> list[str | None]:
    line, rows = _series(*visits, **more)
    found = assess(line, rows, criteria, entered or [Entered()] * len(visits))
    return [step["category"] for step in found["timepoints"]]


@pytest.mark.parametrize(
    ("visits", "expected"),
    [
        ([{0: 30}, {0: 21}, {0: 16}, {0: 19.9}, {0: 21.1}], ["PR", "PR", "PR", "PD"]),  # nadir 16: 20 % and 5 mm is 21
        ([{0: 30}, {0: 40}], ["PD"]),
        ([{0: 30}, {}], ["CR"]),
        ([{0: 30, 50: 8}, {50: 8}], ["PR"]),  # the non-target is still there
        ([{0: 30, 50: 8}, {}], ["CR"]),
        ([{0: 30}, {0: 30, 99: 3}], ["PD"]),  # a new lesion however small
        ([{0: 30}, {99: 3}], ["PD"]),
        ([{0: 30}, {}, {0: 4}], ["CR", "PD"]),  # back after complete response
        ([{0: 30, 50: 12}, {0: 30}, {0: 30, 50: 4}], ["SD", "SD"]),  # back, but there was no complete response: it is summed
        ([{0: 30}, None, {0: 30}], ["NE", "SD"]),
        ([{0: 9.9}, {0: 5}], ["Non-CR/Non-PD"]),  # nothing measurable
        ([{0: 9.9}, {}], ["CR"]),
        ([{}, {}], ["NE"]),
        ([{}, {0: 20}], ["PD"]),
        ([{0: 30}, {0: 30, 99: 8}, {0: 30, 99: 8}], ["PD", "PD"]),  # the new lesion is there still
    ],
)
def test_series_by_recist(visits, expected) -> None:
    assert _categories(*visits) == [None, *expected]


def test_sums_nadir_and_changes_are_told() -> None:
    line, rows = _series({0: 30, 50: 20}, {0: 20, 50: 10}, {0: 30, 50: 10})
    found = assess(line, rows, RECIST, [Entered()] * 3)
    assert found["targets"] == [1, 2]
    assert [step["sum"] for step in found["timepoints"]] == [50, 30, 40]
    assert [step["nadir"] for step in found["timepoints"]] == [None, 50, 30]
    assert found["timepoints"][2]["change_from_baseline"] == pytest.approx(-0.2)
    assert found["timepoints"][2]["change_from_nadir"] == pytest.approx(1 / 3)
    assert [step["category"] for step in found["timepoints"]] == [None, "PR", "PD"]
    product = assess(line, rows, RANO, [Entered()] * 3)
    assert [step["sum"] for step in product["timepoints"]] == pytest.approx([30 * 18 + 20 * 12, 20 * 12 + 10 * 6, 30 * 18 + 10 * 6])
    assert [step["category"] for step in product["timepoints"]] == [None, "PR", "PD"]
    assert product["timepoints"][1]["basis"] == "imaging component only"


def test_merged_targets_count_once_and_the_parts_of_a_split_one_are_added() -> None:
    line, rows = _series({0: 20, 10: 15}, {(0, 14): 30}, {0: 18, 10: 14})
    found = assess(line, rows, RECIST, [Entered()] * 3)["timepoints"]
    assert [step["sum"] for step in found] == [35, 30, 32]
    assert any("counts once" in note for note in found[1]["notes"])
    assert any("split" in note for note in found[2]["notes"])
    line, rows = _series({(0, 14): 40}, {0: 10, 10: 8})
    found = assess(line, rows, RECIST, [Entered()] * 2)["timepoints"]
    assert (found[1]["sum"], found[1]["category"]) == (18, "PR")


def test_rano_bm_asks_for_one_lesion_that_grows_by_5_mm_also_through_a_merger() -> None:
    four = {0: 15.0, 50: 15.0, 100: 15.0, 150: 15.0}
    more = dict.fromkeys(four, 18.9)
    assert _categories(four, more, criteria=RANO_BM) == [None, "SD"]  # 26 %, 15.6 mm in all, 3.9 mm each
    assert _categories(four, more) == [None, "PD"]
    # Two merge: the merged lesion is compared with the two of them together.
    assert _categories({0: 20, 10: 20}, {(0, 14): 44.9}, criteria=RANO_BM) == [None, "SD"]
    assert _categories({0: 20, 10: 20}, {(0, 14): 48.0}, criteria=RANO_BM) == [None, "PD"]
    entered = [Entered(), Entered("increased", "worse")]
    assert _categories({0: 20}, {0: 20}, criteria=RANO_BM, entered=entered) == [None, "PD"]
    assert _categories({0: 20}, {0: 20}, criteria=RECIST, entered=entered) == [None, "SD"]


def test_non_target_progression_is_entered_and_suggested() -> None:
    visits = ({0: 30, 50: (8, 8)}, {0: 30, 50: (12, 12)})
    line, rows = _series(*visits)
    told = assess(line, rows, RECIST, [Entered()] * 2)["timepoints"][1]
    assert (told["category"], told["non_target"]) == ("SD", "Non-CR/Non-PD")
    assert any("unequivocal progression" in note for note in told["notes"])
    said = assess(line, rows, RECIST, [Entered(), Entered(non_target_progression=True)])["timepoints"][1]
    assert (said["category"], said["non_target"]) == ("PD", "PD")


@pytest.mark.parametrize(
    ("longest", "across", "slices", "slice_mm", "expected"),
    [
        (10.0, 5.0, 2, 5.0, True),
        (9.99, 9.0, 2, 5.0, False),
        (30.0, 4.99, 2, 5.0, False),
        (30.0, 20.0, 1, 5.0, False),
        (11.0, 8.0, 2, 6.0, False),  # thick slices: twice their distance
        (12.0, 8.0, 2, 6.0, True),
    ],
)
def test_what_can_be_a_target(longest, across, slices, slice_mm, expected) -> None:
    one = Measured(_row(1, 0, longest, across), slices, slice_mm)
    assert is_measurable(one, RECIST) is is_measurable(one, RANO_BM) is expected
    assert is_measurable(one, RANO) is (expected and across >= 10)


def test_at_most_five_targets_the_largest_or_those_chosen() -> None:
    rows = [Measured(_row(i, 10 * i, size, size * 0.7), 3, 3.0) for i, size in enumerate((11, 30, 12, 25, 9, 14, 13), start=1)]
    assert [rows[i].lesion.id for i in choose_targets(rows, RECIST)] == [2, 3, 4, 6, 7]
    turned = rows[::-1]
    assert [turned[i].lesion.id for i in choose_targets(turned, RECIST)] == [7, 6, 4, 3, 2]
    assert [rows[i].lesion.id for i in choose_targets(rows, RECIST, (1, 4))] == [1, 4]
    with pytest.raises(InputError, match="Lesion 5"):
        choose_targets(rows, RECIST, (5,))
    with pytest.raises(InputError, match="at most 5"):
        choose_targets(rows, RECIST, (1, 2, 3, 4, 6, 7))
    with pytest.raises(InputError, match="baseline was not evaluated"):
        assess(follow([None]), [None], RECIST, [Entered()])
