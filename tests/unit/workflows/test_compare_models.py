"""From folders of masks to a comparison of models."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from napari_tumorseg.core.errors import GeometryError, InputError
from napari_tumorseg.workflows.compare_models import CompareRequest, compare_models
from napari_tumorseg.workflows.comparison_text import as_text
from napari_tumorseg.workflows.training_overlap import cases_of_card, cases_of_file


def head(*lesions):
    """Return a mask with cubes of enhancing tumour: start along x and size."""
    labels = np.zeros((12, 12, 40), np.uint8)
    for x, size in lesions:
        labels[2 : 2 + size, 2 : 2 + size, x : x + size] = 3
    return labels


def write(path, labels, spacing=(1.0, 1.0, 1.0)):
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the flush to the disk that our own writer makes, which is most of the time of so small a file.
    nib.save(nib.Nifti1Image(labels.T, np.diag([*spacing[::-1], 1.0])), path)


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Twelve cases of a small and a large lesion: model "good" is exact, "blind" misses the small one, "late" lacks a case."""
    monkeypatch.setenv("TUMORSEG_HOME", str(tmp_path / "settings"))
    for i in range(12):
        shift = i % 3
        both, large = head((2 + shift, 3), (20, 8)), head((20, 8))
        write(tmp_path / "ref" / f"met-{i:03}-seg.nii.gz", both)
        write(tmp_path / "good" / f"met-{i:03}.nii.gz", both)
        write(tmp_path / "blind" / f"{i:03}-pred.nii.gz", large)
        if i:
            write(tmp_path / "late" / f"met-{i:03}.nii.gz", np.roll(both, 1 + (i % 2), axis=2))
    return tmp_path


def request(study, *models, **settings):
    return CompareRequest(study / "ref", tuple(study / m for m in models), **{"profile": "brats-mets-2023", "edges_ml": (0.1,), **settings})


def test_the_better_model_is_told_with_its_strata(study):
    found = compare_models(request(study, "good", "blind"))
    row = next(r for r in found["differences"] if (r["region"], r["score"]) == ("ET", "lesionwise_dice"))
    assert row["difference"] == pytest.approx(0.5)
    assert (row["n"], row["larger_a"], row["better"]) == (12, 12, "good")
    assert row["p"] == pytest.approx(2 / 2**12)
    assert row["p_holm"] >= row["p"]
    distance = next(r for r in found["differences"] if (r["region"], r["score"]) == ("ET", "lesionwise_hd95"))
    assert distance["difference"] < 0
    assert distance["better"] == "good"
    assert found["ranking"]["first_share"] == [1, 0]
    small, large = found["strata"]["rows"][:2]
    assert (small["size"], small["n"], large["n"], found["strata"]["by"]) == ("up to 0.1 mL", 12, 12, "lesion")
    assert [m["sensitivity"] for m in small["models"]] == [1, 0]
    assert [m["dice"] for m in large["models"]] == [1, 1]
    assert found["training_unknown"] == ["good", "blind"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert "good - blind, ET lesionwise_dice: 0.5" in as_text(found)


def test_a_missing_prediction_is_rated_by_the_profile(study):
    found = compare_models(request(study, "good", "late"))
    assert [model["missing"] for model in found["models"]] == [[], ["met-000"]]
    assert any("no prediction of 1 in 12 cases" in note for note in found["notes"])
    row = next(r for r in found["scores"] if (r["case"], r["model"], r["region"]) == ("met-000", "late", "ET"))
    assert (row["missing"], row["lesionwise_dice"]) == (True, 0.0)
    plain = compare_models(request(study, "good", "late", profile="plain"))
    assert {r["dropped"] for r in plain["differences"]} == {1}
    assert plain["strata"]["by"] == "mask"
    # Without a score it ranks last in that case all the same.
    assert plain["ranking"]["rank"] == [1, 2]


def test_in_the_ranking_an_empty_mask_beats_a_false_one_where_the_profile_gives_neither_a_score(tmp_path):
    for i in range(3):
        write(tmp_path / "ref" / f"p{i}.nii.gz", head((20, 8)) * (i > 0))
        write(tmp_path / "sober" / f"p{i}.nii.gz", head((20, 8)) * (i > 0))
        write(tmp_path / "eager" / f"p{i}.nii.gz", head((20, 8)))
    found = compare_models(CompareRequest(tmp_path / "ref", (tmp_path / "eager", tmp_path / "sober")))
    assert found["ranking"]["rank"] == [2, 1]
    assert found["ranking"]["mean_rank"] == pytest.approx([(2 + 1.5 + 1.5) / 3, (1 + 1.5 + 1.5) / 3])


def test_overlap_of_training_and_test_is_flagged_and_left_out_when_asked(study):
    listed = study / "train.txt"
    listed.write_text("# of the paper\nMET-000\nmet_001-seg.nii.gz\nother\n", encoding="utf-8")
    found = compare_models(request(study, "good", "blind", training_cases=(f"good={listed}",)))
    assert found["overlap"] == [{"model": "good", "source": str(listed), "training_cases": 3, "cases": ["met-000", "met-001"]}]
    assert found["training_unknown"] == ["blind"]
    assert len(found["cases"]) == 12
    assert "say nothing about new patients" in found["notes"][0]
    without = compare_models(request(study, "good", "blind", training_cases=(str(listed),), without_overlap=True))
    assert (without["excluded"], len(without["cases"])) == (["met-000", "met-001"], 10)
    listed.write_text("\n".join(f"met-{i:03}" for i in range(12)), encoding="utf-8")
    with pytest.raises(InputError, match="Every case was in the training"):
        compare_models(request(study, "good", "blind", training_cases=(str(listed),), without_overlap=True))


def test_the_card_of_a_shipped_model_is_asked(study):
    (study / "good").rename(study / "brain-tumour-small")
    for path in [*(study / "ref").glob("met-000*"), *(study / "brain-tumour-small").glob("met-000*")]:
        path.rename(path.with_name("Brats18_2013_11_1.nii.gz"))
    found = compare_models(request(study, "brain-tumour-small", "late"))
    assert found["overlap"] == [
        {"model": "brain-tumour-small", "source": "card of brain-tumour-small", "training_cases": 9, "cases": ["Brats18_2013_11_1"]}
    ]


def test_training_cases_are_read_from_lists_tables_and_cards(tmp_path):
    for name, text in {"a.json": '["p1", "p2"]', "a.csv": "case,site\np1,x\np2,y\n", "a.txt": "p1\n\np2\n"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert cases_of_file(tmp_path / name) == ["p1", "p2"]
    for name, text in {"b.json": '{"p1": 1}', "b.txt": "# nothing\n", "c.json": "[1]"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        with pytest.raises(InputError):
            cases_of_file(tmp_path / name)
    with pytest.raises(InputError, match="cannot be read"):
        cases_of_file(tmp_path / "nowhere.txt")
    assert cases_of_card("no table\n| case |\n|---|\n| p |\n") == []


@pytest.mark.parametrize(
    ("models", "settings", "says"),
    [
        (("good",), {}, "cannot be compared with itself"),
        (("good", "good"), {}, "named twice"),
        (("good", "nowhere"), {}, "not a folder"),
        (("good", "blind"), {"profile": "none"}, "no profile"),
        (("good", "blind"), {"edges_ml": (1.0, 0.1)}, "edges"),
        (("good", "blind"), {"confidence": 1.0}, "confidence"),
        (("good", "blind"), {"training_cases": ("x=y",)}, "not compared"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(study, models, settings, says):
    with pytest.raises(InputError, match=says) as caught:
        compare_models(request(study, *models, **settings))
    assert "\n" not in str(caught.value)


def test_other_grids_and_empty_masks_are_refused_and_one_case_has_no_ranking(tmp_path):
    for model in ("ref", "a", "b"):
        write(tmp_path / model / "p1.nii.gz", head((4, 4)))
    one = compare_models(CompareRequest(tmp_path / "ref", (tmp_path / "a", tmp_path / "b")))
    assert one["ranking"]["rank"] is None
    assert "needs two cases" in as_text(one)
    write(tmp_path / "b" / "p1.nii.gz", head((4, 4)), spacing=(1.0, 1.0, 2.0))
    with pytest.raises(GeometryError, match="apart"):
        compare_models(CompareRequest(tmp_path / "ref", (tmp_path / "a", tmp_path / "b")))
    for model in ("ref", "a", "b"):
        write(tmp_path / model / "p1.nii.gz", head())
    with pytest.raises(InputError, match="are empty"):
        compare_models(CompareRequest(tmp_path / "ref", (tmp_path / "a", tmp_path / "b")))


def test_folders_of_one_name_are_told_apart(study):
    (study / "x").mkdir()
    (study / "good").rename(study / "x" / "pred")
    (study / "blind").rename(study / "pred")
    found = compare_models(request(study, "pred", "x/pred"))
    assert [model["name"] for model in found["models"]] == ["pred", "x/pred"]
