"""Published scores of the 2026 metastasis evaluation and of panoptica's examples."""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_tumorseg.evaluation.segmentation.instances import match_lesions
from napari_tumorseg.evaluation.segmentation.parts import Parts, find_parts
from napari_tumorseg.evaluation.segmentation.profiles import PROFILES
from napari_tumorseg.evaluation.segmentation.score import score_case
from napari_tumorseg.evaluation.segmentation.surface import dice, surface_distances
from napari_tumorseg.io.registry import read_mask
from napari_tumorseg.workflows.evaluate import EvaluateRequest, evaluate

METS = "metrics/brats_mets_evaluation"
REGIONS = ("et", "rc", "tc", "wt")


def number(text: str) -> float | None:
    return float(text) if text else None


@pytest.fixture(scope="module")
def mets(real_data: Callable[[str], Path]) -> dict[str, Any]:
    folder = real_data(f"{METS}/sample_data")
    return evaluate(EvaluateRequest(folder / "ref", folder / "pred", "brats-mets-2026"))


def summary_row(scores: dict[str, Any]) -> dict[str, float | None]:
    """Return the scores of a region under the names of the published table."""
    (near,) = scores["lesionwise_nsd"].values()
    (spread,) = scores["lesionwise_std"]["nsd"].values()
    return {
        "all_instance_tp": scores["n_tp"],
        "all_instance_fp": scores["n_fp"],
        "all_instance_fn": scores["n_fn"],
        "all_instance_f1": scores["f1"],
        "lesionwise_dsc_mean": scores["lesionwise_dice"],
        "lesionwise_dsc_std": scores["lesionwise_std"]["dice"],
        "lesionwise_hd95_mean": scores["lesionwise_hd95"],
        "lesionwise_hd95_std": scores["lesionwise_std"]["hd95"],
        "lesionwise_nsd_mean": near,
        "lesionwise_nsd_std": spread,
        **{f"small_instance_{key}": scores["small"][f"n_{key}"] for key in ("tp", "fp", "fn")},
        "small_instance_f1": scores["small"]["f1"],
    }


def test_2026_equals_the_published_summary(real_data: Callable[[str], Path], mets: dict[str, Any]) -> None:
    with real_data(f"{METS}/sample_mets_summary.csv").open() as stream:
        published = {row["subject_id"]: row for row in csv.DictReader(stream)}
    # The table was made with the defaults of the package, 20 mm³ and 0.1; the challenge used 27 mm³ and 0.2.
    package = replace(PROFILES["brats-mets-2026"], min_volume_mm3=20.0, small_min_dice=0.1)
    assert set(published) == {*(Path(case["reference"]).name for case in mets["cases"]), "mean", "std"}
    for case in mets["cases"]:
        row = published[Path(case["reference"]).name]
        masks = [read_mask(Path(case[key])) for key in ("reference", "prediction")]
        by_package = score_case(masks[0].labels, masks[1].labels, masks[0].grid.spacing_mm, package)["regions"]
        for region in REGIONS:
            for found, keys in ((by_package, ""), (case["regions"], "small")):
                for key, value in summary_row(found[region.upper()]).items():
                    expected = number(row[f"{key}_{region}"])
                    if not keys or not key.startswith(keys):
                        assert value == (expected if expected is None else pytest.approx(expected, abs=1e-9)), (case["case"], region, key)
    for region in REGIONS:
        mean = number(published["mean"][f"lesionwise_dsc_mean_{region}"])
        assert mets["regions"][region.upper()]["lesionwise_dice"] == (mean if mean is None else pytest.approx(mean, abs=1e-9))


def test_2026_equals_the_published_lesions(real_data: Callable[[str], Path], mets: dict[str, Any]) -> None:
    published = json.loads(real_data(f"{METS}/sample_mets_metrics.json").read_text())["metrics"]
    for case, known in zip(mets["cases"], published, strict=True):
        assert Path(case["reference"]).name == known["subject_name"]
        for region in REGIONS:
            rows = [r for r in mets["lesions"] if r["case"] == case["case"] and r["region"] == region.upper() and r["status"] != "false"]
            expected = known[region]["reference_instances"]
            ours = sorted((r["volume_mm3"], r["matched"], *((r["dice"], r["hd95"]) if r["matched"] else (0, 0))) for r in rows)
            theirs = sorted((r["volume"], bool(r["is_matched"]), r.get("sq_dsc", 0), r.get("sq_hd95", 0)) for r in expected)
            np.testing.assert_allclose(np.array(ours, float), np.array(theirs, float), rtol=1e-9, atol=1e-9)
            dsc = known[region]["global_bin_dsc"]
            assert case["regions"][region.upper()]["dice"] == (None if math.isnan(dsc) else pytest.approx(dsc, abs=1e-12))
    # The scores of the whole masks were published in voxels, without the spacing.
    first, known = mets["cases"][0], published[0]["wt"]
    reference, prediction = (read_mask(Path(first[key])).labels > 0 for key in ("reference", "prediction"))
    whole = surface_distances(reference, prediction, (1.0, 1.0, 1.0), "voxels")
    assert whole.pooled_percentile_mm() == pytest.approx(known["global_bin_hd95"], abs=1e-9)
    assert whole.mean_overlap(0.5) == pytest.approx(known["global_bin_nsd"], abs=1e-9)


def test_2023_and_2024_score_the_same_cases(real_data: Callable[[str], Path]) -> None:
    folder = real_data(f"{METS}/sample_data")
    pair = folder / "ref" / "BraTS-MET-00217-000-seg.nii.gz", folder / "pred" / "SEG-00217-000.nii.gz"
    for name in ("brats-mets-2023", "brats-mets-2024"):
        document = evaluate(EvaluateRequest(*pair, name))
        json.dumps(document, allow_nan=False)
        scores = document["regions"]["ET"]
        assert 0 < scores["lesionwise_dice"] < scores["dice"] < 1
        assert scores["n_tp"] + scores["n_fn"] == sum(
            row["region"] == "ET" and row["status"] != "false" and row["counted"] for row in document["lesions"]
        )


def test_the_command_prints_one_document(real_data: Callable[[str], Path]) -> None:
    folder = real_data(f"{METS}/sample_data")
    pair = [str(folder / "ref" / "BraTS-MET-00132-000-seg.nii.gz"), str(folder / "pred" / "00132-000.nii.gz")]
    command = [sys.executable, "-m", "napari_tumorseg.cli", "evaluate", *pair, "--profile", "brats-mets-2026", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["regions"]["ET"]["lesionwise_dice"] == pytest.approx(0.7735988324659234, abs=1e-12)


def spine(real_data: Callable[[str], Path], name: str) -> tuple[np.ndarray, np.ndarray, tuple[float, float, float]]:
    folder = real_data("metrics/panoptica") / name
    reference, prediction = read_mask(folder / "ref.nii.gz"), read_mask(folder / "pred.nii.gz")
    return reference.labels, prediction.labels, reference.grid.spacing_mm


def test_panoptica_groups_of_numbered_instances(real_data: Callable[[str], Path]) -> None:
    published = json.loads((real_data("metrics/panoptica") / "published_values.json").read_text())["unmatched_instance"]
    reference, prediction, _ = spine(real_data, "unmatched_instance")
    prediction = np.where(prediction == 27, 26, prediction)
    for group, (low, high) in {"vertebra": (1, 10), "ivd": (101, 110), "sacrum": (26, 26), "endplate": (201, 210)}.items():
        known = published[group]
        one, other = (np.where((m >= low) & (m <= high), m, 0).astype(np.int64) for m in (reference, prediction))
        assert dice(one > 0, other > 0) == pytest.approx(known["global_bin_dsc"], abs=1e-12)
        parts = Parts(one, one), Parts(other, other)
        matches = match_lesions(*parts, 1e-6)
        scores = [dice(one == a, other == b) for a, b in matches.items()]
        # Matched from an intersection over union of 0.5, which is a Dice of 2/3.
        scores = [score for score in scores if score >= 2 / 3]
        assert len(scores) == known["tp"]
        assert len(parts[0].numbers) == known["num_ref_instances"]
        assert np.mean(scores) == pytest.approx(known["sq_dsc"], abs=1e-9)
        assert np.std(scores) == pytest.approx(known["sq_dsc_std"], abs=1e-9)


def test_panoptica_semantic_dice(real_data: Callable[[str], Path]) -> None:
    published = json.loads((real_data("metrics/panoptica") / "published_values.json").read_text())["semantic"]["ungrouped"]
    reference, prediction, _ = spine(real_data, "semantic")
    assert dice(reference > 0, prediction > 0) == pytest.approx(published["global_bin_dsc"], abs=1e-12)
    # Published there: one part may hold one label only, so the parts are found label by label.
    count = sum(len(find_parts(reference == value, 0).numbers) for value in np.unique(reference) if value)
    assert count == published["num_ref_instances"]


def test_the_benchmark_gets_the_values_of_surface_distance_and_monai(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "metrics.py"
    command = [sys.executable, str(script), "--quick", "--json", str(tmp_path / "found.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert len(found["peers"]) == 8
    assert all(row["equal"] for row in found["peers"])
    assert [row["difference"] < 1e-9 for row in found["case"] if "difference" in row] == [True, True]
