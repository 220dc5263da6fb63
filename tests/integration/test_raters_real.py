"""Three raters of six kidney tumours."""

from __future__ import annotations

from itertools import combinations

import nibabel as nib
import numpy as np
import pytest

from napari_tumorseg.workflows.raters import RatersRequest, raters


def test_the_three_raters_of_kits23_agree_as_published(real_data):
    folder = real_data("raters/kits23")
    found = raters(RatersRequest(folder))
    assert (found["cases"], found["raters"], len(found["pairs"])) == (6, ["rater1", "rater2", "rater3"], 18)
    dice = {(row["case"], row["rater_a"], row["rater_b"]): row["dice"] for row in found["pairs"]}
    assert min(dice.values()) == pytest.approx(0.905, abs=5e-4)
    assert max(dice.values()) == pytest.approx(0.984, abs=5e-4)
    # Each pair, and so their order, against the definition on the arrays of the files.
    expected = {}
    for case in sorted(path.name for path in folder.glob("case_*")):
        masks = {r: np.asarray(nib.load(folder / case / f"tumour1_{r}.nii.gz").dataobj) > 0 for r in found["raters"]}
        for a, b in combinations(found["raters"], 2):
            expected[f"{case}/tumour1", a, b] = 2 * (masks[a] & masks[b]).sum() / (masks[a].sum() + masks[b].sum())
    assert dice == pytest.approx(expected)
    assert sorted(dice, key=dice.__getitem__) == sorted(expected, key=expected.__getitem__)
    assert min(dice, key=dice.__getitem__) == ("case_00257/tumour1", "rater1", "rater3")
    assert max(dice, key=dice.__getitem__) == ("case_00148/tumour1", "rater1", "rater3")
    icc = {row["name"]: row["icc"] for row in found["volume_icc"][0]["icc"]}
    assert icc["ICC(2,1)"] > 0.99
