"""From a table to its agreement."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.agreement.concordance import concordance
from napari_tumorseg.workflows.agree import AgreeRequest, agree, as_text

ROWS = [("p1", 10, 11), ("p2", 20, 21), ("p3", 30, 29), ("p3", 32, 31), ("p4", 0, 1), ("p5", 44, 46), ("p6", 50, 49)]


@pytest.fixture
def table(tmp_path):
    def write(rows, header="patient,ref,test"):
        path = tmp_path / "table.csv"
        path.write_text("\n".join([header, *(",".join(str(cell) for cell in row) for row in rows)]), encoding="utf-8")
        return path

    return write


def test_patients_are_the_unit_and_every_count_is_told(table):
    found = agree(AgreeRequest(table(ROWS), "ref", "test", "patient"))
    assert (found["n"], found["n_rows"], found["averaged"], found["unit"]) == (6, 7, 1, "patient")
    x, y = [10, 20, 31, 0, 44, 50], [11, 21, 30, 1, 46, 49]
    assert found["concordance"]["ccc"] == concordance(x, y)["ccc"]
    assert found["equivalence"]["readings"]["percent"]["dropped"] == 1
    assert found["coverage"]["bound"] == pytest.approx(0.2 * np.mean(x))
    assert found["points"][2] == {"patient": "p3", "reference": 31.0, "test": 30.0, "mean": 30.5, "difference": -1.0}
    assert found["repeatability"]["reference"]["within_sd"] == pytest.approx(np.sqrt(2))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    text = as_text(found)
    assert "Passing-Bablok" in text
    assert "1 patient is the mean of several rows" in text


def test_without_patients_each_row_is_one_and_it_says_so(table):
    found = agree(AgreeRequest(table(ROWS), "ref", "test"))
    assert (found["n"], found["unit"], found["repeatability"]["reference"]) == (7, "row", None)
    assert "another patient" in found["notes"][0]


def test_rows_that_lack_a_value_are_named_or_dropped(table):
    path = table([*ROWS, ("p7", "NaN", 3), ("p8", 4, "")])
    with pytest.raises(InputError, match=r"line 9 \(p7\), line 10 \(p8\)"):
        agree(AgreeRequest(path, "ref", "test", "patient"))
    found = agree(AgreeRequest(path, "ref", "test", "patient", missing="drop"))
    assert found["n"] == 6
    assert [(row["line"], row["why"]) for row in found["dropped"]] == [(9, "no value in ref"), (10, "no value in test")]


def test_equal_columns_and_columns_that_run_against_each_other_leave_a_document(table):
    same = agree(AgreeRequest(table([(f"p{i}", i, i) for i in range(5)]), "ref", "test"))
    assert same["concordance"]["ccc"] == 1
    assert same["equivalence"]["readings"]["mean"]["equivalent"]
    against = agree(AgreeRequest(table([(f"p{i}", i, -i) for i in range(5)]), "ref", "test"))
    assert "opposite sign" in against["regression"]["passing_bablok"]["why"]
    for document in (same, against):
        json.dumps(document, allow_nan=False)
        assert as_text(document)


@pytest.mark.parametrize(
    ("rows", "settings", "says"),
    [
        (ROWS[:2], {}, "2 rows"),
        ([("p1", 1, 2), ("p1", 2, 3), ("p1", 3, 4)], {"patient": "patient"}, "1 patients"),
        ([("p", 1, i) for i in range(4)], {}, "'ref' is constant"),
        ([("p", i, 7) for i in range(4)], {}, "'test' is constant"),
        ([("p", i, "x") for i in range(4)], {}, "Line 2 of table.csv has 'x' in test"),
        ([("p", i, "inf") for i in range(4)], {}, "has 'inf' in test"),
        ([("p", i, 1e80 * i) for i in range(4)], {}, "larger than"),
        (ROWS, {"test": "none"}, "no column 'none'"),
        (ROWS, {"test": "ref"}, "as reference and as test"),
        (ROWS, {"patient": "patient", "repeats": "refuse"}, "e.g. p3"),
        (ROWS, {"margin": 1.0}, "margin is 1"),
        (ROWS, {"confidence": 95.0}, "confidence is 95"),
        (ROWS, {"error_ratio": 0.0}, "ratio of error"),
        (ROWS, {"bound": -1.0}, "bound"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(table, rows, settings, says):
    with pytest.raises(InputError, match=says) as caught:
        agree(AgreeRequest(**{"table": table(rows), "reference": "ref", "test": "test", **settings}))
    assert "\n" not in str(caught.value)
