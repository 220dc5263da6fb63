"""DICOM SEG: what is written is read back the same, by us and by others, and passes the validator."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes as codes_known

from napari_tumorseg.core.case import MaskKind, MaskVersion, Review
from napari_tumorseg.core.errors import GeometryError, InputError, OutputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import Code, Label, LabelSchema, Region, preset
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.io.dicom import read_series
from napari_tumorseg.io.dicom_codes import hex_from_lab, lab_from_hex
from napari_tumorseg.io.dicom_seg import read_seg, write_seg

SCHEMA = preset("brats-2018")  # its values 1, 2, 4 leave a gap that segment numbers may not have
AI = {"kind": MaskKind.AI, "author": "brain-tumour-small 1"}


def one(source: Path, **options: Any) -> Volume:
    (volume,) = read_series(source, **options)
    return volume


def painted(grid: Grid, values: tuple[int, ...] = SCHEMA.values) -> np.ndarray:
    labels = np.zeros(grid.shape, np.uint8)
    for index, value in enumerate(values):
        labels[1 : grid.shape[0] - 1, index, 1 : 3 + index] = value
    return labels


def version(volume: Volume, labels: np.ndarray | None = None, schema: LabelSchema = SCHEMA, **changes: Any) -> MaskVersion:
    array = painted(volume.grid, schema.values) if labels is None else labels
    return MaskVersion(array, volume.grid, schema, **{**AI, **changes})


# --- there and back -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["binary", "labelmap", "fractional"])
@pytest.mark.parametrize("name", ["brats-2018", "brats-mets-2025", "lesion"])
def test_round_trip(dicom: Any, kind: Any, name: str) -> None:
    dicom.series(shape=(9, 11))
    volume = one(dicom.root)
    mask = version(volume, schema=preset(name))
    path = write_seg(dicom.root / "seg.dcm", mask, volume, kind=kind)
    back = read_seg(path, volume)
    np.testing.assert_array_equal(back.labels, mask.labels)
    assert back.grid == volume.grid
    assert back.schema == mask.schema
    assert (back.kind, back.author, back.review) == (mask.kind, mask.author, mask.review)
    assert back.created == mask.created
    assert back.header["referenced_series_uid"] == volume.source.header["series_uid"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "layout",
    [
        {"orientation": (0, 1, 0, 0, 0, -1)},
        {"orientation": (0.8, 0.6, 0, -0.6, 0.8, 0)},
        {"orientation": (0, 0.6, 0.8, 1, 0, 0)},
        {"step": (0.0, 0.5, 2.0)},
        {"step": (0.0, 0.0, -2.0)},
        {"spacing": (5.0, 0.3333333333333, 0.7777777777777)},
        {"slices": 1},
    ],
    ids=["sagittal", "oblique", "oblique 2", "gantry tilt", "downwards", "thirds", "one slice"],
)
@pytest.mark.parametrize("kind", ["binary", "labelmap"])
def test_round_trip_in_any_position(dicom: Any, layout: Any, kind: Any) -> None:
    dicom.series(**layout)
    volume = one(dicom.root)
    labels = np.random.default_rng(0).choice([0, 0, 0, 1, 2, 4], volume.shape).astype(np.uint8)
    path = write_seg(dicom.root / "seg.dcm", version(volume, labels), volume, kind=kind)
    np.testing.assert_array_equal(read_seg(path, volume).labels, labels)
    alone = read_seg(path)
    np.testing.assert_array_equal(alone.labels, labels)
    np.testing.assert_allclose(alone.grid.affine, volume.grid.affine, atol=1e-4)


def test_highdicom_reads_the_same(dicom: Any) -> None:
    dicom.series(shape=(9, 11))
    volume = one(dicom.root)
    mask = version(volume)
    seg = highdicom.seg.segread(write_seg(dicom.root / "seg.dcm", mask, volume))
    uids = volume.source.header["sop_instance_uids"]  # type: ignore[union-attr]
    pixels = seg.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)
    for number, label in enumerate(SCHEMA.labels, 1):
        np.testing.assert_array_equal(pixels[..., number - 1], mask.labels == label.value)
        described = seg.get_segment_description(number)
        assert described.segment_label == label.name
        assert described.segmented_property_type.value == label.kind.value
        assert described.segmented_property_type.scheme_designator == label.kind.scheme
        assert described.segmented_property_category.value == label.category.value
        assert hex_from_lab(described.RecommendedDisplayCIELabValue) == label.colour
        assert described.algorithm_type.value == "AUTOMATIC"
        identification = described.algorithm_identification[0]
        assert (identification.AlgorithmName, identification.AlgorithmVersion) == ("brain-tumour-small", "1")
    assert seg.segmentation_type.value == "BINARY"
    assert len(seg.PerFrameFunctionalGroupsSequence) == 9  # three slices of three segments, empty ones left out


def test_binary_is_the_default_and_every_frame_names_its_source(dicom: Any) -> None:
    dicom.series()
    volume = one(dicom.root)
    ds = pydicom.dcmread(write_seg(dicom.root / "seg.dcm", version(volume), volume))
    assert ds.SegmentationType == "BINARY"
    uids = volume.source.header["sop_instance_uids"]  # type: ignore[union-attr]
    positions = volume.source.header["positions_lps"]  # type: ignore[union-attr]
    for frame in ds.PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        place = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        np.testing.assert_allclose(place, positions[uids.index(source)])
    assert {item.ReferencedSOPInstanceUID for item in ds.ReferencedSeriesSequence[0].ReferencedInstanceSequence} == set(uids)


@pytest.mark.parametrize("shared", [True, False])
def test_round_trip_of_one_echo_of_a_multiframe_file(dicom: Any, shared: bool) -> None:
    path = dicom.enhanced(order=((2, 0), (0, 1), (1, 0), (0, 0), (1, 1), (2, 1)), shared_plane=shared)
    echo = read_series(path)[1]
    labels = painted(echo.grid)
    labels[0, 3, 3] = 1
    seg = write_seg(dicom.root / "seg.dcm", version(echo, labels), echo)
    np.testing.assert_array_equal(read_seg(seg, echo).labels, labels)
    referenced = {
        int(source.ReferencedFrameNumber)
        for frame in pydicom.dcmread(seg).PerFrameFunctionalGroupsSequence
        for source in frame.DerivationImageSequence[0].SourceImageSequence
    }
    assert referenced <= {2, 5, 6}  # the frames of the second echo


def test_round_trip_over_filled_gaps(dicom: Any) -> None:
    dicom.series(slices=7, leave_out=[3])
    volume = one(dicom.root, allow_gaps=True)
    labels = painted(volume.grid)
    path = write_seg(dicom.root / "seg.dcm", version(volume, labels), volume)
    np.testing.assert_array_equal(read_seg(path, volume).labels, labels)


def test_uneven_slices_keep_their_own_positions(dicom: Any) -> None:
    def edit(ds: Any, z: int) -> None:
        if z == 2:
            ds.ImagePositionPatient[2] = float(ds.ImagePositionPatient[2]) + 0.2

    dicom.series(edit=edit)
    volume = one(dicom.root)
    path = write_seg(dicom.root / "seg.dcm", version(volume), volume)
    np.testing.assert_array_equal(read_seg(path, volume).labels, painted(volume.grid))
    heights = {
        round(float(f.PlanePositionSequence[0].ImagePositionPatient[2]), 3) for f in pydicom.dcmread(path).PerFrameFunctionalGroupsSequence
    }
    assert heights == {32.0, 34.2, 36.0}


def test_a_mask_without_a_voxel(dicom: Any) -> None:
    dicom.series()
    volume = one(dicom.root)
    path = write_seg(dicom.root / "seg.dcm", version(volume, np.zeros(volume.shape, np.uint8)), volume)
    back = read_seg(path, volume)
    assert not back.labels.any()
    assert back.schema == SCHEMA
    assert read_seg(path).grid.matches(volume.grid)


def test_probabilities_as_fractions(dicom: Any) -> None:
    dicom.series()
    volume = one(dicom.root)
    share = np.linspace(0, 1, int(np.prod(volume.shape)), dtype=np.float32).reshape(volume.shape)
    mask = version(volume, schema=preset("lesion"))
    path = write_seg(dicom.root / "seg.dcm", mask, volume, kind="fractional", probabilities={"Lesion": share})
    assert pydicom.dcmread(path).SegmentationFractionalType == "PROBABILITY"
    stored = np.round(share * 255)
    for threshold in (0.25, 0.5, 1.0):
        np.testing.assert_array_equal(read_seg(path, volume, threshold=threshold).labels, stored >= threshold * 255)


def test_labels_above_255_and_other_schemas(dicom: Any) -> None:
    code = Code("1", "99X", "thing")
    labels = (Label(7, "Seven", "Seventh thing", "#112233", code, code), Label(300, "Many", "Many things", "#AA5500", code, code))
    schema = LabelSchema("own-schema", labels, (Region("All", "All", (7, 300)),), "All")
    dicom.series()
    volume = one(dicom.root)
    array = np.zeros(volume.shape, np.uint16)
    array[1, 1, 1:4], array[2, 2, 2:5] = 7, 300
    for kind in ("binary", "labelmap"):
        back = read_seg(write_seg(dicom.root / f"{kind}.dcm", version(volume, array, schema), volume, kind=kind), volume)  # type: ignore[arg-type]
        np.testing.assert_array_equal(back.labels, array)
        assert back.schema.name == "own-schema"
        assert [(x.value, x.name, x.colour, x.kind) for x in back.schema.labels] == [(x.value, x.name, x.colour, x.kind) for x in labels]


@pytest.mark.parametrize("colour", ["#0072B2", "#009E73", "#D55E00", "#CC79A7", "#000000", "#FFFFFF", "#F0E442"])
def test_colours_survive_cielab(colour: str) -> None:
    assert hex_from_lab(lab_from_hex(colour).value) == colour


# --- what is said about the mask ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "review", "algorithm", "words"),
    [
        (MaskKind.AI, Review.NOT_REVIEWED, "AUTOMATIC", "AI, not reviewed"),
        (MaskKind.AI, Review.IN_CORRECTION, "SEMIAUTOMATIC", "in correction"),
        (MaskKind.AI, Review.ACCEPTED, "SEMIAUTOMATIC", "accepted"),
        (MaskKind.RATER, Review.ACCEPTED, "MANUAL", "accepted"),
        (MaskKind.REFERENCE, Review.ACCEPTED, "MANUAL", "accepted"),
    ],
)
def test_origin_and_review_are_stated(dicom: Any, kind: MaskKind, review: Review, algorithm: str, words: str) -> None:
    dicom.series()
    volume = one(dicom.root)
    path = write_seg(dicom.root / "seg.dcm", version(volume, kind=kind, review=review, author="model 2.1"), volume)
    ds = pydicom.dcmread(path)
    assert {item.SegmentAlgorithmType for item in ds.SegmentSequence} == {algorithm}
    assert words in ds.ContentDescription
    assert words in ds.SegmentSequence[0].SegmentDescription
    assert "Research use only. Not a medical device" in ds.ImageComments
    assert ("SegmentationAlgorithmIdentificationSequence" in ds.SegmentSequence[0]) == (algorithm != "MANUAL")
    back = read_seg(path, volume)
    assert (back.kind, back.review) == (kind, review)


def test_same_version_same_bytes_other_version_other_uids(dicom: Any) -> None:
    dicom.series()
    volume = one(dicom.root)
    mask = version(volume, created=dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), version="a")
    first = write_seg(dicom.root / "1.dcm", mask, volume).read_bytes()
    assert write_seg(dicom.root / "2.dcm", mask, volume).read_bytes() == first
    others = [
        version(volume, created=mask.created, version="b"),
        version(volume, created=mask.created, version="a", review=Review.ACCEPTED),
        version(volume, np.roll(mask.labels, 1, axis=2), created=mask.created, version="a"),
    ]
    uids = {pydicom.dcmread(dicom.root / "1.dcm").SOPInstanceUID}
    for index, other in enumerate(others):
        uids.add(pydicom.dcmread(write_seg(dicom.root / f"o{index}.dcm", other, volume)).SOPInstanceUID)
    assert len(uids) == 4


def test_patient_and_study_are_the_sources(dicom: Any) -> None:
    paths = dicom.series()
    volume = one(dicom.root)
    source = pydicom.dcmread(paths[0])
    ds = pydicom.dcmread(write_seg(dicom.root / "seg.dcm", version(volume), volume))
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "StudyDate", "FrameOfReferenceUID"):
        assert ds[keyword].value == source[keyword].value
    assert ds.SeriesInstanceUID != source.SeriesInstanceUID


def test_sources_that_lack_type_2_attributes(dicom: Any) -> None:
    def edit(ds: Any, z: int) -> None:
        for keyword in ("PatientBirthDate", "AccessionNumber", "StudyID", "StudyTime", "SliceThickness"):
            delattr(ds, keyword)
        ds.PatientSex = "X"

    dicom.series(edit=edit)
    volume = one(dicom.root)
    np.testing.assert_array_equal(read_seg(write_seg(dicom.root / "s.dcm", version(volume), volume), volume).labels, painted(volume.grid))


# --- the validator ------------------------------------------------------------------------------


def complaints(path: Path) -> set[str]:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (Debian: apt-get install dicom3tools)")
    result = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False, timeout=60)
    return {line.strip() for line in (result.stdout + result.stderr).splitlines() if line.startswith("Error")}


@pytest.mark.parametrize("kind", ["binary", "fractional"])
@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("who", [MaskKind.AI, MaskKind.RATER])
def test_validator_finds_no_error_that_the_source_does_not_have(dicom: Any, kind: Any, empty: bool, who: MaskKind) -> None:
    (path, *_) = dicom.series()
    volume = one(dicom.root)
    labels = np.zeros(volume.shape, np.uint8) if empty else painted(volume.grid, preset("brats-mets-2025").values)
    seg = write_seg(dicom.root / "seg.dcm", version(volume, labels, preset("brats-mets-2025"), kind=who), volume, kind=kind)
    assert complaints(seg) - complaints(path) == set()


# --- segments of others -------------------------------------------------------------------------


def foreign(maker: Any, volume: Volume, arrays: list[np.ndarray], names: list[str], algorithm: str = "MANUAL", **options: Any) -> Path:
    """Write with highdicom what other programs write: overlapping segments, codes and names of their own."""
    identification = highdicom.AlgorithmIdentificationSequence("other", codes_known.DCM.ArtificialIntelligence, "3")
    codes = options.pop("codes", [("108369006", "SCT", "Neoplasm")] * len(names))
    descriptions = [
        highdicom.seg.SegmentDescription(
            index,
            name,
            highdicom.sr.CodedConcept("49755003", "SCT", "Morphologically Abnormal Structure"),
            highdicom.sr.CodedConcept(*code),
            algorithm,
            None if algorithm == "MANUAL" else identification,
        )
        for index, (name, code) in enumerate(zip(names, codes, strict=True), 1)
    ]
    assert volume.source is not None
    seg = highdicom.seg.Segmentation(
        [pydicom.dcmread(p) for p in volume.source.paths],
        np.stack(arrays, axis=-1).astype(np.uint8),
        "BINARY",
        descriptions,
        highdicom.UID(),
        1,
        highdicom.UID(),
        1,
        "M",
        "M",
        "1",
        "1",
        **options,
    )
    path: Path = maker.root / "foreign.dcm"
    seg.save_as(path)
    return path


@pytest.fixture
def overlapping(dicom: Any) -> tuple[Path, Volume, np.ndarray, np.ndarray]:
    dicom.series(folder="ct")
    volume = one(dicom.root)
    a, b = np.zeros(volume.shape, bool), np.zeros(volume.shape, bool)
    a[1:3, 1:4, 1:4], b[2:4, 2:5, 2:5] = True, True
    return foreign(dicom, volume, [a, b], ["Core", "Rim"]), volume, a, b


def test_overlap_is_refused_naming_the_segments(overlapping: Any) -> None:
    path, volume, a, b = overlapping
    with pytest.raises(InputError) as caught:
        read_seg(path, volume)
    assert f"Core and Rim ({int((a & b).sum())} voxels)" in str(caught.value)
    assert "'first'" in caught.value.hint
    assert "'last'" in caught.value.hint


def test_overlap_first_and_last_win(overlapping: Any) -> None:
    path, volume, a, b = overlapping
    np.testing.assert_array_equal(read_seg(path, volume, on_overlap="first").labels, np.where(a, 1, np.where(b, 2, 0)))
    np.testing.assert_array_equal(read_seg(path, volume, on_overlap="last").labels, np.where(b, 2, np.where(a, 1, 0)))


def test_schema_is_made_of_the_segments(overlapping: Any) -> None:
    path, volume, *_ = overlapping
    mask = read_seg(path, volume, on_overlap="first")
    assert [label.name for label in mask.schema.labels] == ["Core", "Rim"]
    assert mask.schema.region(mask.schema.lesion_region).values == (1, 2)
    assert mask.schema.labels[0].kind == Code("108369006", "SCT", "Neoplasm")
    assert mask.kind is MaskKind.REFERENCE
    assert mask.review is Review.ACCEPTED


def test_automatic_segments_of_others_are_not_reviewed(dicom: Any) -> None:
    dicom.series(folder="ct")
    volume = one(dicom.root)
    mask = read_seg(foreign(dicom, volume, [painted(volume.grid) > 0], ["Tumour"], "AUTOMATIC"), volume)
    assert (mask.kind, mask.review, mask.author) == (MaskKind.AI, Review.NOT_REVIEWED, "other 3")


def test_segments_are_matched_to_a_schema_by_name_and_by_code(dicom: Any) -> None:
    dicom.series(folder="ct")
    volume = one(dicom.root)
    labels = painted(volume.grid)
    names = ["edema", "Enhancing tumour", "netc"]
    codes = [("79654002", "SCT", "Edema"), ("1", "99X", "?"), ("2", "99X", "?")]
    path = foreign(dicom, volume, [labels == 2, labels == 4, labels == 1], names, codes=codes)
    np.testing.assert_array_equal(read_seg(path, volume, schema=SCHEMA).labels, labels)


def test_former_snomed_identifiers_mean_the_same(dicom: Any) -> None:
    dicom.series(folder="ct")
    volume = one(dicom.root)
    labels = painted(volume.grid)
    path = foreign(dicom, volume, [labels == 2], ["swelling"], codes=[("M-36300", "SRT", "Edema")])
    np.testing.assert_array_equal(read_seg(path, volume, schema=SCHEMA).labels, np.where(labels == 2, 2, 0))


def test_a_segment_without_a_label_is_refused(overlapping: Any) -> None:
    path, volume, *_ = overlapping
    with pytest.raises(InputError, match=r"'Core'.*brats-2018"):
        read_seg(path, volume, schema=SCHEMA, on_overlap="first")


def test_one_segment_fits_one_label(dicom: Any) -> None:
    dicom.series(folder="ct")
    volume = one(dicom.root)
    path = foreign(dicom, volume, [painted(volume.grid) > 0], ["whatever"])
    assert read_seg(path, volume, schema=preset("lesion")).schema == preset("lesion")


def test_seg_of_a_flipped_and_cropped_grid_lands_on_the_reference(dicom: Any) -> None:
    dicom.series(folder="ct")
    volume = one(dicom.root)
    labels = painted(volume.grid)
    path = write_seg(dicom.root / "seg.dcm", version(volume), volume)
    grid, move = volume.grid.reorient("IRA")
    turned = Volume(move.apply(volume.data), grid, "CT", "HU")
    np.testing.assert_array_equal(read_seg(path, turned).labels, move.apply(labels))


def test_seg_of_another_series_is_refused(dicom: Any) -> None:
    dicom.series(folder="ct")
    volume = one(dicom.root / "ct")
    path = write_seg(dicom.root / "seg.dcm", version(volume), volume)
    dicom.series(folder="other", origin=(0, 0, 0), spacing=(2, 1, 1))
    with pytest.raises(GeometryError):
        read_seg(path, one(dicom.root / "other"))
    dicom.series(folder="moved", edit=lambda ds, z: setattr(ds, "FrameOfReferenceUID", "1.9.9"))
    with pytest.raises(GeometryError, match="frame of reference"):
        read_seg(path, one(dicom.root / "moved"))


# --- bad input ----------------------------------------------------------------------------------


def test_image_is_no_segmentation(dicom: Any) -> None:
    (path, *_) = dicom.series()
    with pytest.raises(InputError, match="not a DICOM segmentation"):
        read_seg(path)


@pytest.mark.parametrize(
    ("edit", "word"),
    [
        (lambda ds: setattr(ds, "PixelData", ds.PixelData[:-2]), "cut short"),
        (lambda ds: delattr(ds, "PixelData"), "no pixel data"),
        (lambda ds: delattr(ds, "SegmentSequence"), "describes no segment"),
        (lambda ds: delattr(ds, "SegmentationType"), "SegmentationType"),
        (lambda ds: setattr(ds, "SegmentationType", "OTHER"), "OTHER"),
        (lambda ds: delattr(ds.PerFrameFunctionalGroupsSequence[0], "PlanePositionSequence"), "no position"),
        (
            lambda ds: setattr(ds.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence[0], "ReferencedSegmentNumber", 9),
            "no segment",
        ),
        (lambda ds: setattr(ds, "TotalPixelMatrixColumns", 100), "microscopy"),
    ],
)
def test_damaged_segmentations(dicom: Any, edit: Any, word: str) -> None:
    dicom.series(folder="ct")
    volume = one(dicom.root)
    path = dicom.change(write_seg(dicom.root / "seg.dcm", version(volume), volume), edit)
    with pytest.raises(InputError, match=word) as caught:
        read_seg(path, volume)
    assert "\n" not in str(caught.value)


def test_labelmap_with_a_value_it_does_not_describe(dicom: Any) -> None:
    dicom.series(folder="ct")
    volume = one(dicom.root)
    path = write_seg(dicom.root / "seg.dcm", version(volume), volume, kind="labelmap")

    def edit(ds: Any) -> None:
        del ds.SegmentSequence[-1]

    with pytest.raises(InputError, match="value 4"):
        read_seg(dicom.change(path, edit), volume)


def test_fractional_without_its_maximum(dicom: Any) -> None:
    dicom.series(folder="ct")
    volume = one(dicom.root)
    path = write_seg(dicom.root / "seg.dcm", version(volume), volume, kind="fractional")
    with pytest.raises(InputError, match="MaximumFractionalValue"):
        read_seg(dicom.change(path, lambda ds: delattr(ds, "MaximumFractionalValue")), volume)


def test_threshold_out_of_range(dicom: Any) -> None:
    with pytest.raises(InputError, match="threshold"):
        read_seg(dicom.root / "x.dcm", threshold=0)


def test_reference_must_be_dicom(dicom: Any) -> None:
    grid = Grid.from_spacing((5, 6, 7), (1, 1, 1))
    volume = Volume(np.zeros(grid.shape), grid)
    with pytest.raises(InputError, match="needs the DICOM series"):
        write_seg(dicom.root / "seg.dcm", version(volume), volume)


def test_mask_must_lie_on_the_grid_of_the_reference(dicom: Any) -> None:
    dicom.series()
    volume = one(dicom.root)
    grid = Grid.from_spacing(volume.shape, (1, 1, 1))
    with pytest.raises(GeometryError):
        write_seg(dicom.root / "seg.dcm", MaskVersion(painted(grid), grid, SCHEMA, MaskKind.AI), volume)


def test_sources_that_have_gone(dicom: Any) -> None:
    paths = dicom.series()
    volume = one(dicom.root)
    paths[0].unlink()
    with pytest.raises(InputError, match="is not there"):
        write_seg(dicom.root / "seg.dcm", version(volume), volume)
    assert not (dicom.root / "seg.dcm").exists()


def test_sources_without_frame_of_reference(dicom: Any) -> None:
    dicom.series(edit=lambda ds, z: delattr(ds, "FrameOfReferenceUID"))
    volume = one(dicom.root)
    with pytest.raises(InputError, match="FrameOfReferenceUID"):
        write_seg(dicom.root / "seg.dcm", version(volume), volume)


def test_target_folder_must_exist(dicom: Any) -> None:
    dicom.series()
    volume = one(dicom.root)
    with pytest.raises(OutputError):
        write_seg(dicom.root / "none" / "seg.dcm", version(volume), volume)


@pytest.mark.parametrize(
    ("kind", "probabilities", "word"),
    [
        ("binary", {"ET": np.zeros((5, 6, 7))}, "fractional"),
        ("fractional", {"WT": np.zeros((5, 6, 7))}, "WT"),
        ("fractional", {"ET": np.full((5, 6, 7), 1.5)}, "0 to 1"),
        ("fractional", {"ET": np.zeros((5, 6, 6))}, "0 to 1"),
        ("other", None, "'other'"),
    ],
)
def test_probabilities_that_do_not_fit(dicom: Any, kind: Any, probabilities: Any, word: str) -> None:
    dicom.series()
    volume = one(dicom.root)
    with pytest.raises(InputError, match=word):
        write_seg(dicom.root / "seg.dcm", version(volume), volume, kind=kind, probabilities=probabilities)
