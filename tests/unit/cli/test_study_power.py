from __future__ import annotations

import json

import pytest

from napari_tumorseg.cli import main

SMALL = ("study", "power", "--raters", "4,6", "--cases", "6", "--studies", "4", "--draws", "39")


def test_power_is_a_table_for_people_or_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--sd", "residual_sd=0.3"]) == 0
    text = capsys.readouterr().out
    assert "these raters only" in text
    assert "residual_sd 0.3 (typed)" in text
    assert main([*SMALL, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [(row["raters"], row["cases"]) for row in document["rows"]] == [(4, 6), (6, 6)]


@pytest.mark.parametrize(
    ("extra", "line"),
    [
        (("--sd", "rater_sd"), "--sd 'rater_sd' is no standard deviation."),
        (("--raters", "six"), "--raters 'six' is no list of numbers."),
        (("--arms", "ai"), "--arms 'ai' does not name two arms."),
        (("--pilot", "nowhere.csv"), "nowhere.csv is not a file."),
        (("--protocol", "brats-mets-pipeline"), "has no arms"),
    ],
)
def test_what_cannot_be_understood_is_said_in_one_line(extra: tuple[str, ...], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, *extra]) == 2
    told = capsys.readouterr().err
    assert line in told
    assert told.count("\n") == 1
