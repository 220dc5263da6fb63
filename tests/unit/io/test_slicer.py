from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from napari_tumorseg.core.case import MaskKind, MaskVersion, Review
from napari_tumorseg.core.errors import GeometryError, InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.io import itk_formats, registry
from napari_tumorseg.io.slicer import segments_of

SHAPE = (5, 6, 7)
TISSUE = "TerminologyEntry:Segmentation category and type - DICOM master list~SCT^85756007^Tissue~SCT^85756007^Tissue~^^~x~^^~^^|"
MASS = "Segmentation.Status:inprogress|TerminologyEntry:List~SCT^49755003^Morphologically Altered Structure~SCT^4147007^Mass~^^~x~^^~^^|"


def slicer_file(path: Path, layers: np.ndarray[Any, Any], segments: list[dict[str, str]], origin: tuple[float, ...] = (0, 0, 0)) -> Path:
    """Write a file as 3D Slicer does; layers are (z, y, x) or (z, y, x, layer)."""
    image = SimpleITK.GetImageFromArray(layers.astype(np.uint8), isVector=layers.ndim == 4)
    image.SetOrigin([float(v) for v in origin])
    image.SetSpacing((1.0, 1.0, 2.0))
    metadata = {"Segmentation_MasterRepresentation": "Binary labelmap", "Segmentation_ReferenceImageExtentOffset": "0 0 0"}
    for index, segment in enumerate(segments):
        metadata |= {f"Segment{index}_{key}": value for key, value in segment.items()}
    for key, value in metadata.items():
        image.SetMetaData(key, value)
    SimpleITK.WriteImage(image, str(path), useCompression=True)
    return path


def segment(name: str, value: int, layer: int = 0, colour: str = "0.5 0.25 1", tags: str = TISSUE) -> dict[str, str]:
    return {
        "ID": f"ID_{name}",
        "Name": name,
        "LabelValue": str(value),
        "Layer": str(layer),
        "Color": colour,
        "Tags": tags,
        "Extent": "0 6 0 5 0 4",
    }


def flat(*values: int) -> np.ndarray[Any, Any]:
    labels = np.zeros(SHAPE, np.uint8)
    labels[0, 0, : len(values)] = values
    return labels


def test_names_colours_and_terms_are_read_into_a_schema(tmp_path: Path) -> None:
    path = slicer_file(
        tmp_path / "a.seg.nrrd", flat(1, 2, 5), [segment("Tumour", 5, colour="1 0 0", tags=MASS), segment("Brain", 1), segment("Ödem", 2)]
    )
    mask = itk_formats.read_mask(path)
    assert [(label.value, label.name, label.colour) for label in mask.schema.labels] == [
        (5, "Tumour", "#FF0000"),
        (1, "Brain", "#8040FF"),
        (2, "Ödem", "#8040FF"),
    ]
    tumour = mask.schema.label("Tumour")
    assert (tumour.kind.value, tumour.kind.scheme, tumour.kind.meaning) == ("4147007", "SCT", "Mass")
    assert tumour.category.value == "49755003"
    assert np.array_equal(mask.labels, flat(1, 2, 5))
    assert [s.name for s in mask.header["segments"]] == ["Tumour", "Brain", "Ödem"]


def test_a_mask_is_written_with_the_keys_that_slicer_reads(tmp_path: Path) -> None:
    schema = preset("brats-mets-2025")
    mask = MaskVersion(flat(1, 3, 9), Grid.from_spacing(SHAPE, (2, 1, 1)), schema, MaskKind.RATER, review=Review.ACCEPTED)
    itk_formats.write_mask(tmp_path / "a.seg.nrrd", mask)
    image = SimpleITK.ReadImage(str(tmp_path / "a.seg.nrrd"))
    keys = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    # Slicer counts segments by their IDs from 0 without a gap.
    names = [keys[f"Segment{i}_Name"] for i in range(sum(key.endswith("_ID") for key in keys))]
    assert names == ["Non-enhancing tumour core", "Surrounding FLAIR hyperintensity", "Enhancing tumour", "Resection cavity", "Label 9"]
    assert keys["Segment2_LabelValue"] == "3"
    assert keys["Segment2_Layer"] == "0"
    assert keys["Segment2_Extent"] == "0 6 0 5 0 4"
    assert [round(255 * float(v)) for v in keys["Segment2_Color"].split()] == [0xD5, 0x5E, 0x00]
    assert "Segmentation.Status:completed|" in keys["Segment2_Tags"]
    assert "NCIt^C113842^Enhancing Lesion" in keys["Segment2_Tags"]
    assert keys["Segmentation_ReferenceImageExtentOffset"] == "0 0 0"
    back = itk_formats.read_mask(tmp_path / "a.seg.nrrd", schema=None)
    assert np.array_equal(back.labels, mask.labels)
    assert {label.value for label in back.schema.labels} == {1, 2, 3, 4, 9}


@pytest.mark.parametrize("name", ["brats-mets-2025", "brats-gli-2024", "brats-2018", "lesion"])
def test_our_own_schemas_are_known_again(tmp_path: Path, name: str) -> None:
    mask = MaskVersion(flat(1), Grid.from_spacing(SHAPE, (2, 1, 1)), preset(name), MaskKind.RATER)
    itk_formats.write_mask(tmp_path / "a.seg.nrrd", mask)
    assert itk_formats.read_mask(tmp_path / "a.seg.nrrd").schema is preset(name)


def test_segments_are_matched_to_a_wanted_schema_by_name(tmp_path: Path) -> None:
    path = slicer_file(
        tmp_path / "a.seg.nrrd", flat(1, 2, 3), [segment("ET", 1), segment("non-enhancing tumour core", 2), segment("SNFH", 3)]
    )
    mask = itk_formats.read_mask(path, preset("brats-2018"))
    assert np.array_equal(mask.labels, flat(4, 1, 2))
    assert mask.schema is preset("brats-2018")


def test_segments_with_other_names_are_matched_by_value_or_refused(tmp_path: Path) -> None:
    path = slicer_file(tmp_path / "a.seg.nrrd", flat(1, 2), [segment("A", 1), segment("B", 2), segment("empty", 7)])
    assert np.array_equal(itk_formats.read_mask(path, preset("brats-2018")).labels, flat(1, 2))
    with pytest.raises(InputError) as caught:
        itk_formats.read_mask(path, preset("lesion"))
    assert "A (1), B (2), do not fit lesion, which has Lesion (1)" in str(caught.value)


def overlapping(tmp_path: Path) -> Path:
    layers = np.zeros((*SHAPE, 2), np.uint8)
    layers[0, 0, :3, 0] = 1
    layers[0, 1, :3, 0] = 2
    layers[0, :2, 2:5, 1] = 1
    return slicer_file(tmp_path / "o.seg.nrrd", layers, [segment("liver", 1, 0), segment("spine", 2, 0), segment("tumour", 1, 1)])


def test_overlapping_segments_are_refused_until_one_is_said_to_win(tmp_path: Path) -> None:
    path = overlapping(tmp_path)
    with pytest.raises(InputError) as caught:
        itk_formats.read_mask(path)
    assert "liver and tumour (1 voxels), spine and tumour (1 voxels)" in str(caught.value)
    assert "\n" not in str(caught.value)
    first, last = (itk_formats.read_mask(path, on_overlap=which) for which in ("first", "last"))
    assert [label.name for label in first.schema.labels] == ["liver", "spine", "tumour"]
    assert first.labels[0, 0].tolist() == [1, 1, 1, 3, 3, 0, 0]
    assert last.labels[0, 0].tolist() == [1, 1, 3, 3, 3, 0, 0]
    assert first.labels[0, 1].tolist() == [2, 2, 2, 3, 3, 0, 0]
    assert last.labels[0, 1].tolist() == [2, 2, 3, 3, 3, 0, 0]


def test_layers_that_do_not_overlap_are_simply_joined(tmp_path: Path) -> None:
    layers = np.zeros((*SHAPE, 2), np.uint8)
    layers[0, ..., 0], layers[1, ..., 1] = 3, 8
    mask = itk_formats.read_mask(slicer_file(tmp_path / "a.seg.nrrd", layers, [segment("a", 3, 0), segment("b", 8, 1)]))
    assert mask.labels[0, 0, 0] == 3
    assert mask.labels[1, 0, 0] == 8


def test_files_of_old_versions_have_one_layer_for_each_segment_and_no_values(tmp_path: Path) -> None:
    layers = np.zeros((*SHAPE, 2), np.uint8)
    layers[0, ..., 0], layers[1, ..., 1] = 1, 1
    old = [{"ID": "a", "Name": "a", "DefaultColor": "0 1 0"}, {"ID": "b", "Name": "b"}]
    mask = itk_formats.read_mask(slicer_file(tmp_path / "a.seg.nrrd", layers, old))
    assert [(label.name, label.value) for label in mask.schema.labels] == [("a", 1), ("b", 2)]
    assert mask.schema.labels[0].colour == "#00FF00"
    assert (mask.labels[0] == 1).all()
    assert (mask.labels[1] == 2).all()


def test_values_without_a_segment_and_segments_of_one_name_are_kept(tmp_path: Path) -> None:
    segments = [segment("a", 1), {**segment("a", 2), "ID": "second"}]
    mask = itk_formats.read_mask(slicer_file(tmp_path / "a.seg.nrrd", flat(1, 2, 6), segments))
    assert [(label.name, label.value) for label in mask.schema.labels] == [("a", 1), ("a (second)", 2), ("Label 6", 6)]
    assert np.array_equal(mask.labels, flat(1, 2, 6))


def test_an_empty_segmentation_is_an_empty_mask(tmp_path: Path) -> None:
    mask = itk_formats.read_mask(slicer_file(tmp_path / "a.seg.nrrd", flat(), []))
    assert not mask.labels.any()
    assert mask.schema.values


@pytest.mark.parametrize("tags", ["", "|", "nonsense", "TerminologyEntry:a~b~c~d|"])
def test_terms_that_cannot_be_read_are_tissue(tags: str) -> None:
    (found,) = segments_of({"Segment0_ID": "x", "Segment0_Tags": tags, "Segment0_Color": "red", "Segment0_LabelValue": "?"})
    assert found.kind.meaning == "Tissue"
    assert (found.name, found.colour, found.value) == ("x", "", 0)


# Slicer saves a segmentation cut to the part of the image that it covers.


def reference() -> Volume:
    affine = np.diag((1.0, 1.0, 1.0, 1.0))
    affine[:3, :3] = [[0, 0, -1], [0, -1, 0], [2, 0, 0]]
    return Volume(np.zeros((12, 12, 12)), Grid((12, 12, 12), affine), name="t1c")


def test_a_cut_segmentation_is_put_back_where_it_was(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 3, SHAPE).astype(np.uint8)
    path = slicer_file(tmp_path / "a.seg.nrrd", labels, [segment("a", 1), segment("b", 2)], origin=(3, 2, 8))
    mask = registry.read_mask(path, reference=reference())
    assert mask.grid == reference().grid
    expected = np.zeros((12, 12, 12), np.uint8)
    expected[4:9, 2:8, 3:10] = labels
    assert np.array_equal(mask.labels, expected)


def test_a_segmentation_larger_than_its_image_is_cut_only_where_it_is_empty(tmp_path: Path) -> None:
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[4:6, 4:6, 4:6] = 1
    path = slicer_file(tmp_path / "a.seg.nrrd", labels, [segment("a", 1)], origin=(-2, -2, -4))
    assert registry.read_mask(path, reference=reference()).labels[2:4, 2:4, 2:4].all()
    labels[0, 0, 0] = 1
    slicer_file(path, labels, [segment("a", 1)], origin=(-2, -2, -4))
    with pytest.raises(GeometryError) as caught:
        registry.read_mask(path, reference=reference())
    assert "a.seg.nrrd has 20x20x20 voxels, but t1c has 12x12x12" in str(caught.value)


def test_a_segmentation_between_the_voxels_of_its_image_is_refused(tmp_path: Path) -> None:
    path = slicer_file(tmp_path / "a.seg.nrrd", flat(1), [segment("a", 1)], origin=(3.5, 2, 8))
    with pytest.raises(GeometryError):
        registry.read_mask(path, reference=reference())


def test_a_plain_mask_of_another_size_is_never_put_anywhere(tmp_path: Path) -> None:
    image = SimpleITK.GetImageFromArray(flat(1))
    image.SetSpacing((1.0, 1.0, 2.0))
    SimpleITK.WriteImage(image, str(tmp_path / "a.nrrd"))
    with pytest.raises(GeometryError, match=r"a.nrrd has 7x6x5 voxels, but t1c has 12x12x12"):
        registry.read_mask(tmp_path / "a.nrrd", reference=reference())
