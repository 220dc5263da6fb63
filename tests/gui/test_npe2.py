"""Readers, writers and sample data as napari calls them; no window is needed."""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Layer

from napari_tumorseg._layers import LAYER_KEY, layer_to_mask, layer_to_volume, mask_to_layer, volume_to_layers
from napari_tumorseg._npe2 import get_reader, is_mask_file, sample_case, write_image, write_labels
from napari_tumorseg.core.case import MaskKind, MaskVersion
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.volume import Volume

ORIENTATIONS = ["".join(c) for axes in itertools.permutations(("LR", "PA", "IS")) for c in itertools.product(*axes)]


def test_a_folder_is_read_into_layers(case_folder: Path):
    reader = get_reader(str(case_folder))
    assert reader is not None
    layers = reader(str(case_folder))
    assert [meta["name"] for _, meta, _ in layers] == ["T1", "T2", "FLAIR", "T1c"]
    assert [meta.get("visible", True) for _, meta, _ in layers] == [False, False, False, True]


def test_other_files_are_left_to_others(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("hello")
    assert get_reader(str(tmp_path / "notes.txt")) is None
    assert get_reader(str(tmp_path)) is None
    assert get_reader(str(tmp_path / "missing.xyz")) is None
    assert get_reader([]) is None


def test_an_image_and_its_mask(case_folder: Path, tmp_path: Path):
    image = next(case_folder.glob("*t1c*"))
    source = nibabel.load(image)
    labels = np.zeros(source.shape, np.uint8)
    labels[3:5, 4:7, 2] = 3
    mask = tmp_path / "case-seg.nii.gz"
    nibabel.save(nibabel.Nifti1Image(labels, source.affine), mask)
    assert is_mask_file(mask)
    assert not is_mask_file(image)
    (picture, meta, kind), (shown, label_meta, label_kind) = get_reader([str(image), str(mask)])([str(image), str(mask)])
    assert (kind, label_kind) == ("image", "labels")
    assert picture.shape == shown.shape == (12, 36, 40)
    assert meta["scale"] == label_meta["scale"] == (3.0, 1.0, 1.0)
    assert meta["translate"] == label_meta["translate"]
    layer = Layer.create(shown, label_meta, "labels")
    assert np.allclose(layer.get_color(3), [0xD5 / 255, 0x5E / 255, 0, 1])
    ViewerModel().add_layer(layer)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_mask_survives_the_way_through_a_layer(orientation: str):
    grid = Grid.from_spacing((3, 4, 5), (3.0, 2.0, 1.0), orientation)
    labels = np.random.default_rng(0).integers(0, 4, (3, 4, 5), dtype=np.uint8)
    data, meta, _ = mask_to_layer(MaskVersion(labels, grid, preset("brats-mets-2025"), MaskKind.REFERENCE), "m")
    back, reference = layer_to_mask(data, meta)
    assert np.array_equal(back.labels, labels)
    assert back.grid == grid
    assert back.schema.name == "brats-mets-2025"
    assert reference is None


def test_a_layer_that_remembers_nothing_is_placed_by_its_transform():
    data = np.zeros((3, 4, 5), np.uint8)
    data[0, 1, 2] = 1
    mask, _ = layer_to_mask(data, {"name": "drawn", "scale": (3.0, 2.0, 1.0), "translate": (-30.0, 20.0, -10.0), "metadata": {}})
    assert mask.grid.orientation == "IPL"
    assert mask.grid.spacing_mm == (3.0, 2.0, 1.0)
    assert mask.grid.to_mm((0, 0, 0)) == pytest.approx((10.0, -20.0, 30.0))
    assert mask.schema.name in ("lesion", "brats-mets-2025")


def test_numbers_of_no_known_schema_become_labels_of_their_own():
    data = np.zeros((3, 4, 5), np.int32)
    data[0, 1, 2], data[1, 1, 1] = 17, 300
    mask, _ = layer_to_mask(data, {"name": "cells"})
    assert mask.schema.values == (17, 300)
    assert mask.labels.dtype == np.uint16


def test_a_cut_layer_is_placed_by_its_transform():
    grid = Grid.from_spacing((6, 6, 6), (1.0, 1.0, 1.0), "SAR")
    data, meta, _ = mask_to_layer(MaskVersion(np.ones((6, 6, 6), np.uint8), grid, preset("lesion"), MaskKind.RATER), "m")
    cut, _ = layer_to_mask(data[2:], {**meta, "translate": (meta["translate"][0] + 2, *meta["translate"][1:])})
    assert cut.grid.shape == (4, 6, 6)
    assert cut.grid.to_mm((0, 0, 0)) == pytest.approx((5.0, 5.0, 3.0))


@pytest.mark.parametrize("data", [np.zeros((2, 3), np.uint8), np.full((2, 2, 2), -1), np.full((2, 2, 2), 70000)])
def test_what_is_no_mask_is_refused(data: np.ndarray):
    with pytest.raises(InputError):
        layer_to_mask(data, {"name": "x"})


def test_a_volume_survives_the_way_through_a_layer():
    grid = Grid.from_spacing((3, 4, 5), (3.0, 2.0, 1.0), "LSA")
    volume = Volume(np.random.default_rng(0).normal(size=(3, 4, 5)), grid, "T2")
    ((data, meta, _),) = volume_to_layers(volume)
    back = layer_to_volume(data, meta)
    assert np.array_equal(back.data, volume.data)
    assert (back.grid, back.modality) == (grid, "T2")


def test_a_resampled_volume_is_not_saved_on_the_wrong_grid():
    from napari_tumorseg.workflows.scene import Scene

    grid = Grid.from_spacing((6, 6, 6), (1.0, 1.0, 1.0), "IPL")
    other = Grid(grid.shape, grid.affine + np.array([[0, 0, 0, 0.5], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]))
    ((data, meta, _),) = volume_to_layers(Volume(np.random.default_rng(0).normal(size=(6, 6, 6)), other, "T2"), Scene(grid))
    assert layer_to_volume(data, meta).grid.matches(grid)


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".seg.nrrd", ".mha"])
def test_writers(tmp_path: Path, case_folder: Path, ending: str):
    image = str(next(case_folder.glob("*t1c*")))
    ((data, meta, _),) = get_reader(image)(image)
    labels = np.zeros(data.shape, np.uint8)
    labels[5, 10:12, 10:12] = 3
    geometry = meta["metadata"][LAYER_KEY]
    (written,) = write_labels(str(tmp_path / f"mask{ending}"), labels, {"name": "m", "metadata": {LAYER_KEY: geometry}})
    back = get_reader(written)(written)
    assert np.array_equal(next(d for d, _, kind in back if kind == "labels") if ".seg" in ending else back[0][0], labels)
    if ".seg" not in ending:
        (path,) = write_image(str(tmp_path / f"image{ending}"), data, meta)
        assert np.array_equal(get_reader(path)(path)[0][0], data)


def test_the_sample_case():
    layers = sample_case()
    assert [(meta["name"], kind) for _, meta, kind in layers][3:] == [("T1c", "image"), ("seg", "labels")]
    assert [meta.get("visible", True) for _, meta, _ in layers] == [False, False, False, True, False]
