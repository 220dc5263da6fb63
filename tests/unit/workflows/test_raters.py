"""From masks or tables of several raters to their agreement."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from napari_tumorseg.core.errors import GeometryError, InputError
from napari_tumorseg.io.registry import read_image, read_mask
from napari_tumorseg.workflows.rater_text import as_text
from napari_tumorseg.workflows.raters import RatersRequest, raters

SPACING = (2.0, 1.0, 1.0)


def cube(start, size=4, value=1):
    labels = np.zeros((10, 12, 14), np.uint8)
    z, y, x = start
    labels[z : z + size, y : y + size, x : x + size] = value
    return labels


def write(path, labels, spacing=SPACING):
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the flush to the disk that our own writer makes, which is most of the time of so small a file.
    nib.save(nib.Nifti1Image(labels.T, np.diag([*spacing[::-1], 1.0])), path)


def table(path, rows, header):
    path.write_text("\n".join([header, *(",".join(str(cell) for cell in row) for row in rows)]), encoding="utf-8")
    return path


@pytest.fixture
def readings(tmp_path):
    """Two cases, three raters, of whom the first read twice."""
    folder = tmp_path / "masks"
    for case, shift in (("a", 0), ("b", 2)):
        for rater, offset in (("r1", 0), ("r2", 1), ("r3", 0)):
            write(folder / f"{case}_{rater}.nii.gz", cube((2, 2 + shift, 3 + offset), 4 + shift))
        write(folder / f"{case}_r1_repeat2.nii.gz", cube((2, 2 + shift, 3), 4 + shift))
    return folder


def test_pairs_within_and_between_raters_are_told_apart(readings):
    found = raters(RatersRequest(readings))
    assert (found["raters"], found["cases"]) == (["r1", "r2", "r3"], 2)
    kinds = {(g["kind"], g["label"]): g for g in found["groups"]}
    assert (kinds["inter", "any"]["pairs"], kinds["intra", "any"]["pairs"]) == (6, 2)
    assert kinds["intra", "any"]["scores"]["dice"]["mean"] == 1
    row = next(r for r in found["pairs"] if (r["case"], r["rater_a"], r["rater_b"]) == ("a", "r1", "r2"))
    assert row["dice"] == pytest.approx(0.75)
    assert row["volume_a_ml"] == pytest.approx(0.128)
    assert row["hd95_mm"] == 1
    assert found["volume_icc"][0]["icc"][0]["icc"] == pytest.approx(1)
    assert found["consensus"] == []
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert "intra: 2 pairs in 2 cases" in as_text(found)


def test_consensus_masks_and_maps_are_written_on_the_grid_and_never_over_files(readings, tmp_path):
    out = tmp_path / "out"
    first = raters(RatersRequest(readings, out))
    again = raters(RatersRequest(readings, out))
    assert sorted(p.name for p in out.iterdir() if p.name.startswith("a-") and "-2" not in p.name) == [
        "a-agreement.nii.gz",
        "a-majority.nii.gz",
        "a-simple.nii.gz",
        "a-staple.nii.gz",
    ]
    assert again["consensus"][0]["staple"]["file"].endswith("a-staple-2.nii.gz")
    entry = first["consensus"][0]
    fused = read_mask(out / "a-majority.nii.gz")
    assert np.array_equal(fused.labels, cube((2, 2, 3)))
    assert fused.grid.spacing_mm == pytest.approx(SPACING)
    share = read_image(out / "a-agreement.nii.gz").data
    assert sorted(np.unique(share.round(3)).tolist()) == pytest.approx([0, 0.333, 0.667, 1], abs=1e-3)
    assert entry["majority"]["dice"] == {"r1": 1.0, "r2": pytest.approx(0.75), "r3": 1.0}
    assert entry["staple"]["sensitivity"]["r1"]["1"] == pytest.approx(1, abs=1e-3)
    assert set(entry["simple"]["weights"]) == {"r1", "r2", "r3"}


def test_a_table_gives_arms_groups_and_labels(tmp_path):
    rows = []
    for case in ("a", "b", "c"):
        for arm in ("manual", "assisted"):
            for rater, group in (("r1", "expert"), ("r2", "expert"), ("r3", "trainee")):
                labels = cube((1, 1, 1 + (rater == "r3") * (arm == "manual"))) + cube((6, 6, 8), 3, 2)
                write(tmp_path / arm / rater / f"{case}.nii.gz", labels)
                rows.append((case, rater, f"{arm}/{rater}/{case}.nii.gz", arm, group))
    found = raters(RatersRequest(table(tmp_path / "list.csv", rows, "case,rater,path,arm,group")))
    by = {(g["arm"], g["groups"], g["label"]): g["scores"]["dice"]["mean"] for g in found["groups"]}
    assert by["manual", "expert", "any"] == 1
    assert by["manual", "expert and trainee", "1"] == pytest.approx(0.75)
    assert by["manual", "expert and trainee", "2"] == 1
    assert by["assisted", "expert and trainee", "1"] == 1
    assert {row["arm"] for row in found["pairs"]} == {"manual", "assisted"}


def test_empty_masks_are_counted_and_a_folder_without_any_lesion_is_refused(tmp_path):
    empty = np.zeros((10, 12, 14), np.uint8)
    for case, masks in {"a": (cube((2, 2, 2)), empty), "b": (empty, empty), "c": (cube((1, 1, 1)), cube((1, 1, 1)))}.items():
        for rater, labels in zip(("r1", "r2"), masks, strict=True):
            write(tmp_path / "some" / case / f"{rater}.nii.gz", labels)
    found = raters(RatersRequest(tmp_path / "some", tmp_path / "out"))
    assert [row["dice"] for row in found["pairs"]] == [0, None, 1]
    assert found["groups"][0]["both_empty"] == 1
    assert found["groups"][0]["scores"]["hd95_mm"]["n"] == 1
    assert len(found["notes"]) == 2
    assert found["consensus"][1]["staple"]["volume_ml"] == 0
    json.dumps(found, allow_nan=False)
    for rater in ("r1", "r2"):
        write(tmp_path / "none" / f"a_{rater}.nii.gz", empty)
    with pytest.raises(InputError, match="No rater drew anything"):
        raters(RatersRequest(tmp_path / "none"))


def test_masks_of_different_grids_are_named(tmp_path):
    write(tmp_path / "a_r1.nii.gz", cube((1, 1, 1)))
    write(tmp_path / "a_r2.nii.gz", cube((1, 1, 1)), spacing=(2.0, 1.0, 1.5))
    with pytest.raises(GeometryError, match=r"a_r2.*a_r1.*mm apart") as caught:
        raters(RatersRequest(tmp_path))
    assert "\n" not in str(caught.value)


LONG = [("c1", "x", "mild"), ("c1", "y", "mild"), ("c2", "x", "severe"), ("c2", "y", "mild"), ("c3", "x", "none"), ("c3", "y", "none"),
        ("c4", "x", "severe"), ("c4", "y", "severe"), ("c5", "x", "none"), ("c5", "y", "")]  # fmt: skip


def test_categories_of_a_long_table(tmp_path):
    path = table(tmp_path / "t.csv", LONG, "case,rater,category")
    found = raters(RatersRequest(path, order=("none", "mild", "severe")))
    pair = found["pairs"][0]
    x, y = ["mild", "severe", "none", "severe"], ["mild", "mild", "none", "severe"]
    order = ["none", "mild", "severe"]
    assert pair["quadratic"]["kappa"] == pytest.approx(cohen_kappa_score(x, y, labels=order, weights="quadratic"))
    assert pair["plain"]["n"] == 4
    assert found["arms"][0]["fleiss"]["n"] == 4
    assert set(found["arms"][0]["krippendorff"]) == {"nominal", "ordinal"}
    without = raters(RatersRequest(path))
    assert "linear" not in without["pairs"][0]
    assert "--order" in without["notes"][0]
    for document in (found, without):
        json.dumps(document, allow_nan=False)
        assert "Fleiss" in as_text(document)
    with pytest.raises(InputError, match="'severe', which the order does not name"):
        raters(RatersRequest(path, order=("none", "mild")))


def test_a_table_with_a_column_per_rater_is_of_categories_or_of_values(tmp_path):
    rng = np.random.default_rng(0)
    grades = table(tmp_path / "g.csv", [(f"c{i}", *rng.integers(1, 4, 3)) for i in range(12)], "case,x,y,z")
    found = raters(RatersRequest(grades))
    assert (found["kind"], found["categories"], found["ordered"], len(found["pairs"])) == ("categories", ["1", "2", "3"], True, 3)
    size = rng.uniform(1, 9, 12)
    rows = [(f"c{i}", *(size[i] + rng.normal(0, 0.1, 3)).round(3)) for i in range(12)]
    rows[3] = (*rows[3][:3], "NA")
    values = raters(RatersRequest(table(tmp_path / "v.csv", rows, "case,x,y,z")))
    assert values["kind"] == "values"
    assert values["arms"][0]["cases_all_judged"] == 11
    assert values["arms"][0]["icc"][1]["icc"] > 0.98
    assert values["arms"][0]["krippendorff"]["ratio"]["n"] == 12
    assert "CCC" in as_text(values)
    assert raters(RatersRequest(grades, scale="interval"))["kind"] == "values"


@pytest.mark.parametrize(
    ("rows", "header", "settings", "says"),
    [
        ([("c1", 1), ("c2", 2)], "case,x", {}, "one rater only"),
        ([("c1", "x", 1), ("c2", "y", 2)], "case,rater,category", {}, "no two raters"),
        ([("c1", "x", 1), ("c1", "x", 2)], "case,rater,value", {}, "lines 2 and 3"),
        ([("c1", "x", 1, "two"), ("c1", "y", 2, "")], "case,rater,value,repeat", {}, "repeat 'two'"),
        ([("c1", "x", "big"), ("c1", "y", 2)], "case,rater,value", {}, "the value 'big'"),
        ([("", "x", 1)], "case,rater,value", {}, "names no case"),
        ([("c1", 1, 2), ("c1", 1, 2)], "case,x,y", {}, "both c1"),
        ([("c1", "x", "no.nii.gz"), ("c1", "y", "no.nii.gz")], "case,rater,path", {}, "does not exist"),
        ([("c1", "x", "a.nii.gz")], "case,rater,path", {}, "no case with two readings"),
        ([("c1", 1, 2)], "case,x,y", {"out": "here"}, "no consensus to write"),
        ([("c1", 1, 2)], "case,x,y", {"tolerances_mm": (-1.0,)}, "tolerance"),
        ([("c1", 1, 2)], "case,x,y", {"confidence": 2.0}, "confidence"),
        ([("c1", 1, 2)], "case,x,y", {"order": ("1", "1", "2")}, "named twice"),
    ],
)
def test_tables_that_cannot_be_judged_are_refused_in_one_line(tmp_path, rows, header, settings, says):
    with pytest.raises(InputError, match=says) as caught:
        raters(RatersRequest(table(tmp_path / "t.csv", rows, header), **settings))
    assert "\n" not in str(caught.value)


def test_folders_without_masks_and_with_one_rater_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        raters(RatersRequest(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="holds no masks"):
        raters(RatersRequest(tmp_path))
    write(tmp_path / "a_r1.nii.gz", cube((1, 1, 1)))
    with pytest.raises(InputError, match="raters found: r1"):
        raters(RatersRequest(tmp_path))
    write(tmp_path / "a_r1.nii", cube((1, 1, 1)))
    with pytest.raises(InputError, match="both reading 1 of a by r1"):
        raters(RatersRequest(tmp_path))
