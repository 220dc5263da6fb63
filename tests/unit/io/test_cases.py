from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_tumorseg.core.case import Case, MaskKind, MaskVersion
from napari_tumorseg.core.errors import Cancelled, InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.jobs import CancelToken, Progress
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.io import registry
from napari_tumorseg.io.cases import read_case
from napari_tumorseg.io.visits import date_of

SHAPE = (4, 5, 6)


def image(path: Path, value: int = 1, shape: tuple[int, int, int] = SHAPE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return registry.write_image(path, Volume(np.full(shape, value, np.int16), Grid.from_spacing(shape, (3, 1, 1), "SPL")))


def mask(path: Path, *values: int, shape: tuple[int, int, int] = SHAPE) -> Path:
    labels = np.zeros(shape, np.uint8)
    labels[0, 0, : len(values)] = values
    path.parent.mkdir(parents=True, exist_ok=True)
    import nibabel

    nibabel.save(nibabel.Nifti1Image(labels.T, Grid.from_spacing(shape, (3, 1, 1), "SPL").affine[:, [2, 1, 0, 3]]), path)
    return path


def warnings_of(case: Case) -> str:
    return " ".join(w for point in case.timepoints for v in point.volumes.values() for w in v.warnings)


@pytest.mark.parametrize("pattern", ["{}.nii.gz", "BraTS-MET-00110-000-{}.nii.gz", "Brats18_2013_11_1_{}.nii.gz", "CASE.{}.nrrd", "{}.mha"])
@pytest.mark.parametrize("names", [("t1n", "t1c", "t2w", "t2f"), ("t1", "t1ce", "t2", "flair")])
def test_brats_names_old_and_new(tmp_path: Path, pattern: str, names: tuple[str, ...]) -> None:
    for value, name in enumerate(names):
        image(tmp_path / "case" / pattern.format(name), value)
    if "nii" in pattern:
        mask(tmp_path / "case" / pattern.format("seg"), 1, 2, 4)
    case = read_case(tmp_path / "case")
    assert case.name == "case"
    assert len(case.timepoints) == 1
    volumes = case.latest.volumes
    assert {key: int(v.data.max()) for key, v in volumes.items()} == {"T1": 0, "T1c": 1, "T2": 2, "FLAIR": 3}
    assert all(v.modality == key for key, v in volumes.items())
    if "nii" in pattern:
        assert list(case.latest.masks) == ["seg"]
        (version,) = case.latest.masks["seg"]
        assert version.kind is MaskKind.REFERENCE
        assert version.grid == volumes["T1"].grid
        assert version.schema.name == ("brats-mets-2025" if "MET" in pattern else "brats-2018")


def test_any_files_with_modalities_chosen_by_hand(tmp_path: Path) -> None:
    one, two, three = (image(tmp_path / f"scan{i}.nii.gz", i) for i in (1, 2, 3))
    case = read_case(tmp_path, modalities={"T1c": "scan1.nii.gz", "FLAIR": two, "T2": "scan3"})
    assert {key: int(v.data.max()) for key, v in case.latest.volumes.items()} == {"T1c": 1, "FLAIR": 2, "T2": 3}
    assert case.latest.volumes["T1c"].modality == "T1c"
    case = read_case([one, two], modalities={"T1c": three})
    assert set(case.latest.volumes) == {"T1c", "scan1", "scan2"}
    with pytest.raises(InputError, match=r"scan9.nii, chosen as T1, is not among the images. There are scan1, scan2, scan3"):
        read_case(tmp_path, modalities={"T1": "scan9.nii"})


def test_a_file_chosen_by_hand_is_looked_for_in_the_case_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image(tmp_path / "case" / "scan.nii.gz", 1)
    image(tmp_path / "elsewhere" / "scan.nii.gz", 2)
    image(tmp_path / "elsewhere" / "other.nii.gz", 3)
    monkeypatch.chdir(tmp_path / "elsewhere")
    case = read_case(tmp_path / "case", modalities={"T1c": "scan.nii.gz", "T2": "other.nii.gz"})
    assert {key: int(v.data.max()) for key, v in case.latest.volumes.items()} == {"T1c": 1, "T2": 3}


def test_the_choice_by_hand_wins_over_names(tmp_path: Path) -> None:
    image(tmp_path / "t1c.nii", 1)
    image(tmp_path / "t1c_mask_corrected.nii", 2)
    case = read_case(tmp_path, modalities={"T1c": "t1c_mask_corrected.nii"})
    assert {key: int(v.data.max()) for key, v in case.latest.volumes.items()} == {"T1c": 2, "t1c": 1}


def test_two_files_that_claim_the_same_modality_are_both_named(tmp_path: Path) -> None:
    image(tmp_path / "t1c.nii.gz")
    image(tmp_path / "t1ce.nii.gz")
    with pytest.raises(InputError) as caught:
        read_case(tmp_path)
    assert str(caught.value).startswith("t1c.nii.gz and t1ce.nii.gz both claim to be T1c.")
    assert "\n" not in str(caught.value)
    assert set(read_case(tmp_path, modalities={"T1c": "t1ce.nii.gz"}).latest.volumes) == {"T1c", "t1c"}


def test_unknown_modalities_are_kept_by_name(tmp_path: Path) -> None:
    image(tmp_path / "scan7.nii.gz", 7)
    image(tmp_path / "scan7.mha", 8)
    case = read_case(tmp_path)
    assert {key: (v.modality, int(v.data.max())) for key, v in case.latest.volumes.items()} == {"scan7": ("", 8), "scan7.nii.gz": ("", 7)}


def test_files_given_one_by_one_are_named_after_what_they_share(tmp_path: Path) -> None:
    files = [image(tmp_path / f"UCSF-0004_{name}.nii.gz") for name in ("T1", "T2")]
    assert read_case(files).name == "UCSF-0004"
    assert read_case([image(tmp_path / "patient" / "T1.nii"), image(tmp_path / "patient" / "FLAIR.nii")]).name == "patient"
    assert read_case(str(files[0])).name == tmp_path.name  # type: ignore[arg-type]


def test_dated_folders_are_visits_in_order(tmp_path: Path) -> None:
    for folder, value in (("2024-03-05 follow-up", 2), ("20231231", 1), ("2025-01-02", 3)):
        image(tmp_path / folder / "t1c.nii.gz", value)
    mask(tmp_path / "20231231" / "seg.nii.gz", 1, 3)
    (tmp_path / "2022-01-01").mkdir()
    image(tmp_path / "t2.nii.gz", 0)
    case = read_case(tmp_path)
    assert [t.date for t in case.timepoints] == [None, dt.date(2023, 12, 31), dt.date(2024, 3, 5), dt.date(2025, 1, 2)]
    assert [int(next(iter(t.volumes.values())).data.max()) for t in case.timepoints] == [0, 1, 2, 3]
    assert [bool(t.masks) for t in case.timepoints] == [False, True, False, False]
    two = read_case([tmp_path / "2025-01-02", tmp_path / "20231231"])
    assert [t.date for t in two.timepoints] == [dt.date(2023, 12, 31), dt.date(2025, 1, 2)]


def test_a_dated_folder_may_sort_its_images_into_folders(tmp_path: Path) -> None:
    image(tmp_path / "ses-20240131" / "anat" / "sub_T1w.nii.gz")
    image(tmp_path / "ses-20240131" / "pet" / "sub_pet.nii.gz")
    case = read_case(tmp_path)
    assert case.latest.date == dt.date(2024, 1, 31)
    assert set(case.latest.volumes) == {"T1", "PET"}


@pytest.mark.parametrize(
    ("name", "date"),
    [
        ("2024-01-31", dt.date(2024, 1, 31)),
        ("20240131", dt.date(2024, 1, 31)),
        ("ses-20240131_a", dt.date(2024, 1, 31)),
        ("2024-0131", None),
        ("20241331", None),
        ("120240131", None),
        ("202401311", None),
        ("Brats18_2013_11_1", None),
        ("00110", None),
        ("18991231", None),
    ],
)
def test_dates_in_names(name: str, date: dt.date | None) -> None:
    assert date_of(name) == date


def test_a_folder_of_cases_is_refused_and_a_folder_in_a_folder_opened(tmp_path: Path) -> None:
    image(tmp_path / "a" / "t1.nii")
    assert read_case(tmp_path).latest.volumes["T1"]
    image(tmp_path / "b" / "t1.nii")
    with pytest.raises(InputError, match=r"holds no image itself, but 2 folders that do: a, b. Choose one of them."):
        read_case(tmp_path)


def test_nothing_to_open(tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text("a,b")
    with pytest.raises(InputError, match="holds no image"):
        read_case(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        read_case(tmp_path / "none")
    with pytest.raises(InputError, match="No file or folder was given"):
        read_case([])
    with pytest.raises(InputError, match="holds no image"):
        read_case(mask(tmp_path / "seg.nii.gz", 1))


def test_an_image_that_is_cut_short_stops_the_case(tmp_path: Path) -> None:
    image(tmp_path / "t1.nii.gz")
    path = image(tmp_path / "t1ce.nii.gz")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"t1ce.nii.gz is cut short"):
        read_case(tmp_path)


def test_a_mask_that_cannot_be_used_is_left_out_and_said(tmp_path: Path) -> None:
    image(tmp_path / "t1.nii.gz")
    mask(tmp_path / "seg.nii.gz", 1, shape=(4, 5, 7))
    (tmp_path / "rater_mask.nii.gz").write_bytes(b"")
    case = read_case(tmp_path)
    assert not case.latest.masks
    assert "Left out: seg.nii.gz (7x5x4) lies on the grid of no image here: t1 (6x5x4)." in warnings_of(case)
    assert "Left out: rater_mask.nii.gz is empty" in warnings_of(case)


def test_masks_go_to_the_image_on_whose_grid_they_lie_and_keep_their_names(tmp_path: Path) -> None:
    image(tmp_path / "ct.nii.gz")
    image(tmp_path / "pet.nii.gz", shape=(4, 5, 7))
    mask(tmp_path / "pet_mask.nii.gz", 1, shape=(4, 5, 7))
    mask(tmp_path / "ct_mask.nii.gz", 1)
    mask(tmp_path / "gtv_rater1.nii.gz", 1)
    mask(tmp_path / "seg.nii.gz", 1)
    mask(tmp_path / "seg.nii", 2)
    case = read_case(tmp_path)
    assert {name: versions[0].grid.shape for name, versions in case.latest.masks.items()} == {
        "pet_mask": (4, 5, 7),
        "ct_mask": SHAPE,
        "gtv_rater1": SHAPE,
        "seg": SHAPE,
        "seg.nii.gz": SHAPE,
    }
    assert all(len(versions) == 1 for versions in case.latest.masks.values())


def test_a_mask_that_we_wrote_is_known_as_ours(tmp_path: Path) -> None:
    image(tmp_path / "t1.nii.gz")
    ours = MaskVersion(np.ones(SHAPE, np.uint8), Grid.from_spacing(SHAPE, (3, 1, 1), "SPL"), preset("brats-mets-2025"), MaskKind.AI)
    registry.write_mask(tmp_path / "case-seg-ai.nii.gz", ours)
    (version,) = read_case(tmp_path).latest.masks["case-seg-ai"]
    assert version.kind is MaskKind.AI
    assert version.schema.name == "brats-mets-2025"


def test_4d_files_are_refused_or_split_and_chosen_by_hand(tmp_path: Path) -> None:
    data = np.stack([np.full(SHAPE, i, np.float32) for i in range(4)])
    registry.write_image(tmp_path / "BRATS_001.nii.gz", Volume(data, Grid.from_spacing(SHAPE, (1, 1, 1)), channels=tuple("abcd")))
    with pytest.raises(InputError, match="holds 4 volumes"):
        read_case(tmp_path)
    case = read_case(tmp_path, split_4d=True, modalities={"FLAIR": "BRATS_001-01", "T1c": "BRATS_001-03"})
    assert {key: int(v.data.max()) for key, v in case.latest.volumes.items()} == {
        "FLAIR": 0,
        "T1c": 2,
        "BRATS_001-02": 1,
        "BRATS_001-04": 3,
    }


def test_tiff_slices_make_a_volume_and_take_the_size_given(tmp_path: Path) -> None:
    folder = tmp_path / "t1c_scan"
    folder.mkdir()
    for index in range(3):
        tifffile.imwrite(folder / f"{index}.tif", np.full((4, 5), index, np.uint8), photometric="minisblack")
    case = read_case(folder, spacing_mm=(3.0, 0.5, 0.5))
    volume = case.latest.volumes["T1c"]
    assert volume.shape == (3, 4, 5)
    assert volume.grid.spacing_mm == (3.0, 0.5, 0.5)


def test_units_that_names_and_air_tell(tmp_path: Path) -> None:
    image(tmp_path / "a" / "pet_suv.nii", 5)
    image(tmp_path / "a" / "ct.nii", -1000)
    image(tmp_path / "b" / "pet.nii", 5)
    image(tmp_path / "b" / "ct.nii", 1024)
    units = [{key: v.unit for key, v in read_case(tmp_path / folder).latest.volumes.items()} for folder in "ab"]
    assert units == [{"CT": "HU", "PET": "SUV"}, {"CT": "", "PET": ""}]


def test_reading_a_case_says_how_far_it_is_and_stops_when_asked(tmp_path: Path) -> None:
    for name in ("t1", "t2"):
        image(tmp_path / f"{name}.nii")
    mask(tmp_path / "seg.nii", 1)
    seen: list[tuple[float, str]] = []
    token = CancelToken()
    read_case(tmp_path, progress=Progress(lambda state: seen.append((state.fraction, state.message)), token))
    assert [m for _, m in seen] == ["Looking for images", "Reading t1.nii", "Reading t2.nii", "Reading seg.nii"]
    assert [f for f, _ in seen] == sorted(f for f, _ in seen)
    token.cancel()
    with pytest.raises(Cancelled):
        read_case(tmp_path, progress=Progress(cancel=token))
