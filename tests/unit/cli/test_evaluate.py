from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from napari_tumorseg.cli.app import app
from napari_tumorseg.cli.console import run


@pytest.fixture
def masks(tmp_path: Path) -> tuple[str, str]:
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[3:7, 3:7, 3:7] = 3
    paths = []
    for name, shift in (("ref", 0), ("pred", 1)):
        paths.append(str(tmp_path / f"{name}.nii.gz"))
        nibabel.save(nibabel.Nifti1Image(np.roll(labels, shift, axis=0), np.eye(4)), paths[-1])
    return paths[0], paths[1]


def test_json_has_the_published_keys(masks: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["evaluate", *masks, "--profile", "brats-mets-2024", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"profile", "constants", "regions", "lesions"} <= set(document)
    assert list(document["regions"]["ET"]) == [
        *("lesionwise_dice", "lesionwise_hd95", "lesionwise_nsd", "n_tp", "n_fp", "n_fn", "dice", "hd95", "nsd"),
        *("sensitivity", "specificity", "volume_ref_ml", "volume_pred_ml"),
    ]
    assert set(document["regions"]["ET"]["lesionwise_nsd"]) == {"0.5", "1.0"}
    assert {"region", "id", "centroid_mm", "volume_mm3", "matched", "dice", "hd95"} <= set(document["lesions"][0])
    assert document["regions"]["ET"]["dice"] == 0.75


def test_text_and_table(masks: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["evaluate", *masks, "--profile", "plain"]) == 0
    assert "0.750" in capsys.readouterr().out
    assert run(app, ["evaluate", *masks, "--profile", "brats-mets-2026", "--csv"]) == 0
    assert capsys.readouterr().out.startswith("profile,case,region,lesionwise_dice,")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--profile", "brats-mets-2025"], "brats-mets-2026"),
        (["--profile", "plain", "--json", "--csv"], "exclude"),
        (["--profile", "plain", "--remap-pred", "4:3"], "OLD=NEW"),
        ([], "profile"),
    ],
)
def test_mistakes_are_one_line(masks: tuple[str, str], capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    assert run(app, ["evaluate", *masks, *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert words in said.err
    assert run(app, ["evaluate", *masks, "--profile", "plain", "--remap-pred", "3=1", "--remap-ref", "3=1"]) == 0
