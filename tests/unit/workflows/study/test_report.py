"""From the protocol to the report: a rehearsed study, its page and tables, and every number once more from the tables."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from napari_tumorseg.annotation.study.store import StudyStore
from napari_tumorseg.core.case import MaskKind, MaskVersion
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.workflows.study.report import StudyReportRequest, study_report
from napari_tumorseg.workflows.study.report_cases import CaseMasks, measure_case, profile_of


@pytest.fixture(scope="session")
def reported(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    out = tmp_path_factory.mktemp("report")
    return study_report(StudyReportRequest(str(finished.folder), out, draws=199)), out


@pytest.fixture(scope="session")
def readings(reported: tuple[dict[str, Any], Path]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parquet.read_table(reported[1] / "readings.parquet").to_pylist()
    return rows


# -- the planted study


def test_times_and_arms_are_those_that_were_planted(finished: Any, readings: list[dict[str, Any]]) -> None:
    counted = {task for task, row in finished.design.items() if not row["practice"]}
    assert len(readings) == len(counted) - 1, "one reading is excluded, practice is left out"
    for row in readings:
        planted = finished.design[row["task"]]
        assert (row["rater"], row["case"], row["arm"], row["period"]) == tuple(planted[k] for k in ("rater", "case", "arm", "period"))
        assert row["primary_s"] == pytest.approx(finished.seconds[row["task"]], abs=0.01)
        assert row["active_s"] + row["idle_s"] + row["waiting_s"] == pytest.approx(row["primary_s"], abs=0.01)
        assert row["wall_s"] == pytest.approx(row["primary_s"] + row["paused_s"] + row["unfocused_s"], abs=0.01)
        assert row["unseen_share"] in (0.0, 0.25, 0.5, 0.75), "slices are shown as a whole"
        assert row["trimmed_10_s"] <= row["trimmed_120_s"] <= row["primary_s"] + 0.01


def test_the_planted_saving_lies_within_the_interval(reported: tuple[dict[str, Any], Path]) -> None:
    found = reported[0]["time"]["analysis"]["primary"]
    assert found["low_percent"] < 35 < found["high_percent"]
    assert found["saved_percent"] == pytest.approx(35, abs=8)
    assert found["p"] < 0.05
    assert reported[0]["time"]["learning"]["faster_percent_per_doubling"]["ai"]["value"] > 0, "learning was planted"


def test_the_saving_is_that_of_least_squares_on_the_table(reported: tuple[dict[str, Any], Path], readings: list[dict[str, Any]]) -> None:
    columns = [np.array([float(row["rater"] == name) for row in readings]) for name in sorted({r["rater"] for r in readings})]
    columns += [np.array([float(row["case"] == name) for row in readings]) for name in sorted({r["case"] for r in readings})]
    arm = np.array([0.5 if row["arm"] == "ai" else -0.5 for row in readings])
    period, order = (np.array([float(row[name]) for row in readings]) for name in ("period", "order"))
    columns += [period, order, arm * (period - period.mean()), arm]
    y = np.log([row["primary_s"] for row in readings])
    effect = np.linalg.lstsq(np.column_stack(columns), y, rcond=None)[0][-1]
    document = reported[0]
    assert document["time"]["analysis"]["primary"]["saved_percent"] == pytest.approx(100 * (1 - np.exp(effect)), rel=1e-8)
    assert document["endpoints"]["primary"]["estimate"] == pytest.approx(np.exp(effect), rel=1e-8)
    trimmed = np.log([row["trimmed_10_s"] for row in readings])
    cut = np.linalg.lstsq(np.column_stack(columns), trimmed, rcond=None)[0][-1]
    assert document["time"]["curve"][0]["saved_percent"] == pytest.approx(100 * (1 - np.exp(cut)), rel=1e-8)


def test_medians_and_quartiles_are_those_of_the_table(reported: tuple[dict[str, Any], Path], readings: list[dict[str, Any]]) -> None:
    for arm in ("scratch", "ai"):
        for column, found in (
            ("primary_s", reported[0]["time"]["by_arm"][arm]["primary_s"]),
            ("waiting_s", reported[0]["time"]["by_arm"][arm]["waiting_s"]),
            ("dice", reported[0]["quality"][arm]["dice"]),
            ("unseen_share", reported[0]["coverage"][arm]["unseen_share"]),
        ):
            values = sorted(row[column] for row in readings if row["arm"] == arm)
            assert found["median"] == pytest.approx(np.median(values))
            assert (found["q1"], found["q3"]) == pytest.approx(np.quantile(values, [0.25, 0.75]))
            assert found["n"] == len(values)


def test_holm_by_hand(reported: tuple[dict[str, Any], Path]) -> None:
    rows = sorted(reported[0]["endpoints"]["secondary"], key=lambda row: row["p"])
    assert len(rows) == 2
    adjusted = np.minimum(1, np.maximum.accumulate([row["p"] * (2 - n) for n, row in enumerate(rows)]))
    assert [row["p_holm"] for row in rows] == pytest.approx(list(adjusted))
    assert [row["rejected"] for row in rows] == [p <= 0.05 for p in adjusted]


# -- masks


def others_from_scratch(finished: Any, readings: list[dict[str, Any]], row: dict[str, Any]) -> list[np.ndarray[Any, Any]]:
    return [
        finished.drawn[other["task"]]
        for other in readings
        if (other["case"], other["arm"]) == (row["case"], "scratch") and other["rater"] != row["rater"]
    ]


def test_dice_is_with_the_others_masks_from_scratch(finished: Any, readings: list[dict[str, Any]]) -> None:
    for row in readings:
        own = finished.drawn[row["task"]] > 0
        others = others_from_scratch(finished, readings, row)
        assert len(others) in (4, 5)
        reference = 2 * np.sum([other > 0 for other in others], axis=0) > len(others)
        assert row["dice"] == pytest.approx(2 * (own & reference).sum() / (own.sum() + reference.sum()))
        assert row["volume_ml"] == pytest.approx(own.sum() * 2.0 / 1000)


def test_missed_and_false_lesions_place_by_place(
    finished: Any, readings: list[dict[str, Any]], reported: tuple[dict[str, Any], Path]
) -> None:
    """Lesions lie in nine places that do not touch, even where one is shifted by 2 voxels: which are the same is plain."""

    def places(labels: np.ndarray[Any, Any]) -> list[bool]:
        windows = [slice(max(0, 8 * n - 1), 8 * n + 7) for n in range(3)]
        return [bool(labels[:, windows[n // 3], windows[n % 3]].any()) for n in range(9)]

    sums = {arm: np.zeros(4) for arm in ("scratch", "ai")}
    for row in readings:
        own = np.array(places(finished.drawn[row["task"]]))
        votes = np.sum([places(other) for other in others_from_scratch(finished, readings, row)], axis=0)
        there = 2 * votes >= len(others_from_scratch(finished, readings, row))
        assert (row["lesions_missed"], row["lesions_false"]) == ((there & ~own).sum(), (own & ~there).sum())
        sums[row["arm"]] += [(there & ~own).sum(), there.sum(), (own & ~there).sum(), own.sum()]
    told = reported[0]["bias"]["result"]["arms"]
    for arm, (omitted, present, committed, marked) in sums.items():
        assert told[arm]["omission"] == pytest.approx(omitted / present)
        assert told[arm]["commission"] == pytest.approx(committed / marked)
    difference = reported[0]["bias"]["result"]["difference"]
    assert difference["ai_missed_omission"]["low"] > 0, "raters were made to trust the AI"
    assert difference["commission"]["low"] > 0


def test_detection_and_pairs_from_the_tables(finished: Any, reported: tuple[dict[str, Any], Path], readings: list[dict[str, Any]]) -> None:
    document, out = reported
    clusters = parquet.read_table(out / "lesions.parquet").to_pylist()
    both = alone = 0
    for cluster in clusters:
        members = json.loads(cluster["members"])
        for one, other in combinations([r for r in readings if (r["case"], r["arm"]) == (cluster["case"], "ai")], 2):
            has = [f"{r['rater']} ai {r['repeat']}" in members for r in (one, other)]
            both += all(has)
            alone += sum(has) == 1
    assert document["detection"]["ai"]["index"] == pytest.approx(2 * both / (2 * both + alone))
    pairs = parquet.read_table(out / "pairs.parquet").to_pylist()
    assert len(pairs) == document["rows"]["pairs"]
    task = {(r["case"], r["arm"], r["rater"]): finished.drawn[r["task"]] > 0 for r in readings}
    for pair in pairs[::7]:
        a, b = (task[pair["case"], pair["arm"], pair[name]] for name in ("rater_a", "rater_b"))
        assert pair["dice"] == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
    between = [pair["dice"] for pair in pairs if pair["arm"] == "ai"]
    told = next(row for row in document["agreement"] if (row["arm"], row["score"]) == ("ai", "dice"))
    assert (told["mean"], told["n"]) == (pytest.approx(np.mean(between)), len(between))


def test_icc_by_its_mean_squares(reported: tuple[dict[str, Any], Path], readings: list[dict[str, Any]]) -> None:
    """ICC(2,1) of Shrout and Fleiss by hand, over raters who read all cases from scratch."""
    rows = {(r["case"], r["rater"]): np.log(r["volume_ml"]) for r in readings if r["arm"] == "scratch"}
    cases = sorted({case for case, _ in rows})
    raters = sorted(r for r in {rater for _, rater in rows} if all((case, r) in rows for case in cases))
    table = np.array([[rows[case, rater] for rater in raters] for case in cases])
    n, k = table.shape
    whole = table - table.mean()
    between, columns = k * (table.mean(1) - table.mean()) ** 2, n * (table.mean(0) - table.mean()) ** 2
    rest = (whole**2).sum() - between.sum() - columns.sum()
    msr, msc, mse = between.sum() / (n - 1), columns.sum() / (k - 1), rest / ((n - 1) * (k - 1))
    told = reported[0]["volumes"]["by_arm"]["scratch"]["icc"]
    assert told[0]["icc"] == pytest.approx((msr - mse) / (msr + (k - 1) * mse + k * (msc - mse) / n))
    assert told[1]["icc"] == pytest.approx((msr - mse) / (msr + (msc - mse) / n))


def test_planted_errors_are_found_again(finished: Any, readings: list[dict[str, Any]], reported: tuple[dict[str, Any], Path]) -> None:
    through: dict[str, list[bool]] = {}
    no_errors: list[str] = []
    with StudyStore.open(finished.folder) as study:
        planted = {row["task"]: row for row in study.rows("planted")}
        for row in readings:
            if row["task"] not in planted:
                assert row["planted"] is None
                continue
            error = planted[row["task"]]
            assert row["planted"] == error["kind"]
            start = study.start_mask(study.task(row["task"]))
            original = study.mask(next(v["parent"] for v in study.rows("versions") if v["version"] == error["version"]))
            assert start is not None
            wrong = start.labels != original.labels
            others = others_from_scratch(finished, readings, row)
            reference = 2 * np.sum([other > 0 for other in others], axis=0) > len(others)
            if not (reference & wrong & (original.labels > 0)).any():
                no_errors.append(row["code"])
                continue
            final = finished.drawn[row["task"]][wrong] > 0
            same = (final == (original.labels[wrong] > 0)).mean()
            through.setdefault(error["kind"], []).append(not final.any() if error["kind"] == "missed-lesion" else same <= 0.5)
    told = reported[0]["planted"]
    assert sorted(no_errors) == sorted(reported[0]["planted_no_errors"])
    assert set(through) == {"missed-lesion", "shifted-edge"}
    for kind, values in through.items():
        assert (told[kind]["readings"], told[kind]["through"]) == (len(values), sum(values))


@pytest.mark.parametrize(
    ("final", "others", "corrected", "no_error"),
    [("kept", "without", False, False), ("removed", "without", True, False), ("kept", "with", None, True)],
)
def test_a_planted_vessel(final: str, others: str, corrected: bool | None, no_error: bool) -> None:
    """It got through where a voxel of it stayed; it is no error where the others have marked it, too."""
    grid, schema = Grid.from_spacing((2, 8, 8), (1.0, 1.0, 1.0)), preset("brats-mets-2025")

    def mask(*, vessel: bool) -> MaskVersion:
        labels = np.zeros((2, 8, 8), np.uint8)
        labels[:, 1:4, 1:4] = 3
        labels[0, 6, 2:7] = 3 * vessel
        return MaskVersion(labels, grid, schema, MaskKind.RATER)

    design = {"case": "C", "code": "K", "repeat": 1}
    rows = [{**design, "task": n, "rater": f"R{n}", "arm": arm} for n, arm in ((1, "ai"), (2, "scratch"), (3, "scratch"))]
    masks = {1: mask(vessel=final == "kept"), 2: mask(vessel=others == "with"), 3: mask(vessel=others == "with")}
    given = CaseMasks("C", rows, masks, {1: mask(vessel=True)}, mask(vessel=False), "scratch", {1: "vessel"})
    found = measure_case(given, profile_of(schema))
    assert [p.corrected for p in found.planted] == ([] if corrected is None else [corrected])
    assert found.no_errors == (["K"] if no_error else [])
    # What the reading began with counts as the AI's in it, and in nobody else's.
    assert [int(reading.ai.sum()) for reading in found.lesions.readings if reading.ai is not None] == [2, 1, 1]


def test_one_lesion_where_another_has_two() -> None:
    grid, schema = Grid.from_spacing((1, 4, 9), (1.0, 1.0, 1.0)), preset("brats-mets-2025")
    one, two = np.zeros((1, 4, 9), np.uint8), np.zeros((1, 4, 9), np.uint8)
    one[0, 1:3, 1:8] = 3
    two[0, 1:3, 1:5] = two[0, 1:3, 6:8] = 3
    rows = [{"case": "C", "code": "K", "repeat": 1, "task": n, "rater": f"R{n}", "arm": "scratch"} for n in (1, 2)]
    masks = {n: MaskVersion(labels, grid, schema, MaskKind.RATER) for n, labels in ((1, one), (2, two))}
    found = measure_case(CaseMasks("C", rows, masks, {}, None, "scratch"), profile_of(schema))
    (merge,) = found.merges
    assert (merge["reading"], merge["apart in"], len(merge["lesions there"])) == ("R1 scratch 1", "R2 scratch 1", 2)
    assert [row["readings"] for row in found.clusters] == [2, 1]
    assert found.columns[1]["case_lesions"] == 2.0, "of two readings from scratch, one is half"


# -- the page


def test_the_page_stands_alone_and_names_no_patient(
    finished: Any, reported: tuple[dict[str, Any], Path], numbers_in: Callable[[str], str]
) -> None:
    document, out = reported
    page = (out / "report.html").read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(?!#)', page)
    assert "<script" not in page
    assert page.count("<svg") == 8
    text = numbers_in(page)
    saved = document["time"]["analysis"]["primary"]["saved_percent"]
    assert f"After AI pre-segmentation saved {saved:.4g} % against From scratch" in text
    assert text.index("Primary endpoint") < text.index("Times by arm")
    for wanted in (
        document["plan"]["sha256"], document["audit"]["head"], "seed", "interrupted by an alarm", "margin 0.05", "greedy IoU",
        "brats-mets-2024", "before the data", "6 for practice, 1 excluded", "for raters and cases like these", "numpy = ",
        "Audit: the study is as it was written",
    ):  # fmt: skip
        assert wanted in text, wanted
    written = [*out.iterdir()]
    assert len(written) == len(document["files"])
    for path in written:
        content = path.read_bytes()
        assert b"DOE" not in content, path.name
        assert str(finished.folder).encode() not in content, path.name
    assert json.dumps(document, allow_nan=False)


def test_the_tables_are_the_same_in_both_formats(reported: tuple[dict[str, Any], Path]) -> None:
    document, out = reported
    for name, count in document["rows"].items():
        if not count:
            continue
        packed = parquet.read_table(out / f"{name}.parquet").to_pylist()
        with (out / f"{name}.csv").open(encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle))
        assert len(packed) == len(rows) == count
        assert list(packed[0]) == list(rows[0])
