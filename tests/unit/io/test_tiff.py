from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_tumorseg.core.case import MaskKind, MaskVersion, Review
from napari_tumorseg.core.errors import GeometryError, InputError, OutputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.io import tiff

SHAPE = (5, 8, 9)


def noise(dtype: Any = np.uint16, shape: tuple[int, ...] = SHAPE) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 100, shape).astype(dtype)


def one_line(error: BaseException, *words: str) -> None:
    text = str(error)
    assert "\n" not in text
    assert getattr(error, "hint", "")
    for word in words:
        assert word in text


def test_a_plain_stack_says_that_its_voxel_size_is_not_known(tmp_path: Path) -> None:
    data = noise()
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack")
    volume = tiff.read(tmp_path / "a.tif")
    assert np.array_equal(volume.data, data)
    assert volume.grid.spacing_mm == (1.0, 1.0, 1.0)
    assert "a.tif states no voxel size; 1 mm is taken" in volume.warnings[0]
    assert "left and right" in volume.warnings[1]
    assert volume.source is not None
    assert volume.source.header["spacing_stated"] is False
    given = tiff.read(tmp_path / "a.tif", spacing_mm=(3.0, 0.5, 0.5))
    assert given.grid.spacing_mm == (3.0, 0.5, 0.5)
    assert len(given.warnings) == 1


@pytest.mark.parametrize("spacing", [(0.0, 1.0, 1.0), (-1.0, 1.0, 1.0), (float("nan"), 1.0, 1.0)])
def test_a_voxel_size_that_is_none_is_refused(tmp_path: Path, spacing: tuple[float, float, float]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(), photometric="minisblack")
    with pytest.raises(InputError, match="is not a voxel size"):
        tiff.read(tmp_path / "a.tif", spacing_mm=spacing)


@pytest.mark.parametrize(
    ("unit", "factor"), [("mm", 1.0), ("micron", 1e-3), ("um", 1e-3), ("\\u00B5m", 1e-3), ("cm", 10.0), ("inch", 25.4)]
)
def test_imagej_states_its_voxel_size(tmp_path: Path, unit: str, factor: float) -> None:
    data = noise()
    tifffile.imwrite(
        tmp_path / "a.tif", data, imagej=True, resolution=(1 / 0.5, 1 / 0.25), metadata={"spacing": 3.0, "unit": unit, "axes": "ZYX"}
    )
    volume = tiff.read(tmp_path / "a.tif")
    assert np.array_equal(volume.data, data)
    assert volume.grid.spacing_mm == pytest.approx((3.0 * factor, 0.25 * factor, 0.5 * factor))
    assert len(volume.warnings) == 1


def test_imagej_without_a_unit_or_a_slice_spacing_states_none(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(), imagej=True, resolution=(2, 2), metadata={"spacing": 3.0, "axes": "ZYX"})
    assert "states no voxel size;" in tiff.read(tmp_path / "a.tif").warnings[0]
    tifffile.imwrite(tmp_path / "b.tif", noise(), imagej=True, resolution=(2, 2), metadata={"unit": "mm", "axes": "ZYX"})
    volume = tiff.read(tmp_path / "b.tif")
    assert "states no voxel size along z;" in volume.warnings[0]
    assert volume.grid.spacing_mm == (1.0, 0.5, 0.5)


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1.0), ("µm", 1e-3), ("nm", 1e-6), (None, 1e-3)])
def test_ome_states_its_voxel_size(tmp_path: Path, unit: str | None, factor: float) -> None:
    metadata: dict[str, Any] = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 3.0}
    if unit:
        metadata |= {f"PhysicalSize{axis}Unit": unit for axis in "XYZ"}
    tifffile.imwrite(tmp_path / "a.ome.tif", noise(), metadata=metadata, photometric="minisblack")
    volume = tiff.read(tmp_path / "a.ome.tif")
    assert volume.name == "a"
    assert volume.grid.spacing_mm == pytest.approx((3.0 * factor, 0.25 * factor, 0.5 * factor))


@pytest.mark.parametrize("shape", [(8, 9), (1, 8, 9), (5, 8, 9), (5, 8, 3), (3, 8, 9), (5, 1, 9)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_every_shape_that_is_written_is_read_again(tmp_path: Path, shape: tuple[int, ...], dtype: Any) -> None:
    data = noise(dtype, (1, *shape)[-3:])
    volume = Volume(data, Grid.from_spacing(data.shape, (3.0, 0.5, 0.7)), name="scan")
    tiff.write_image(tmp_path / "a.tif", volume)
    back = tiff.read(tmp_path / "a.tif")
    assert np.array_equal(back.data, data)
    assert back.data.dtype == dtype
    assert back.grid.spacing_mm == pytest.approx((3.0, 0.5, 0.7))
    assert np.array_equal(tifffile.imread(tmp_path / "a.tif").reshape(data.shape), data)


@pytest.mark.parametrize(
    ("dtype", "stored"), [(np.bool_, np.uint8), (np.float16, np.float32), (np.int64, np.float64), (np.complex64, np.complex64)]
)
def test_types_that_tiff_has_not(tmp_path: Path, dtype: Any, stored: Any) -> None:
    data = noise(np.uint8).astype(dtype)
    tiff.write_image(tmp_path / "a.tif", Volume(data, Grid.from_spacing(SHAPE, (1, 1, 1))))
    back = tiff.read(tmp_path / "a.tif")
    assert back.data.dtype == stored
    assert np.array_equal(back.data, data.astype(stored))


def test_colour_becomes_channels_and_back(tmp_path: Path) -> None:
    data = noise(np.uint8, (*SHAPE, 3))
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb")
    volume = tiff.read(tmp_path / "a.tif")
    assert volume.channels == ("R", "G", "B")
    assert np.array_equal(np.moveaxis(volume.data, 0, -1), data)
    tiff.write_image(tmp_path / "b.tif", volume)
    assert np.array_equal(tiff.read(tmp_path / "b.tif").data, volume.data)
    with pytest.raises(InputError, match="colour image"):
        tiff.read_mask(tmp_path / "a.tif")


def test_channels_and_times_are_several_volumes(tmp_path: Path) -> None:
    data = noise(np.uint16, (2, *SHAPE))
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(data, 0, 1), imagej=True, metadata={"axes": "ZCYX"})
    with pytest.raises(InputError) as caught:
        tiff.read(tmp_path / "a.tif")
    one_line(caught.value, "a.tif holds 2 volumes (9x8x5x2)", "split")
    parts = tiff.read_split(tmp_path / "a.tif")
    assert np.array_equal(np.stack([p.data for p in parts]), data)
    assert [p.name for p in parts] == ["a-01", "a-02"]
    with pytest.raises(InputError, match="a mask is one"):
        tiff.read_mask(tmp_path / "a.tif")
    volume = Volume(data, Grid.from_spacing(SHAPE, (1, 1, 1)), channels=("in", "out"))
    tiff.write_image(tmp_path / "b.tif", volume)
    assert np.array_equal(np.stack([p.data for p in tiff.read_split(tmp_path / "b.tif")]), data)


def test_times_alone_are_read_as_slices_and_said(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(), imagej=True, metadata={"axes": "TYX"})
    volume = tiff.read(tmp_path / "a.tif")
    assert volume.shape == SHAPE
    assert "times" in volume.warnings[0]


def test_voxels_that_are_no_numbers_are_counted_or_refused(tmp_path: Path) -> None:
    data = noise(np.float32)
    data[0, 0, 0] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack")
    assert "a.tif: 1 voxel is not a number" in tiff.read(tmp_path / "a.tif").warnings[-1]
    with pytest.raises(InputError, match="is not a mask"):
        tiff.read_mask(tmp_path / "a.tif")


# Folders


def slices(folder: Path, data: np.ndarray[Any, Any], pattern: str = "slice{}.tif") -> Path:
    folder.mkdir(exist_ok=True)
    for index, plane in enumerate(data):
        tifffile.imwrite(folder / pattern.format(index), plane, photometric="minisblack")
    return folder


def test_a_folder_of_slices_is_read_in_the_order_people_count(tmp_path: Path) -> None:
    data = noise(np.uint8, (12, 8, 9))
    folder = slices(tmp_path / "scan", data)
    (folder / "._slice0.tif").write_bytes(b"resource fork")
    (folder / "notes.txt").write_text("x")
    (volume,) = tiff.read_folder(folder)
    assert np.array_equal(volume.data, data)
    assert volume.name == "scan"
    assert "scan states no voxel size" in volume.warnings[0]
    assert volume.source is not None
    assert len(volume.source.paths) == 12


def test_slices_that_do_not_belong_together_are_named(tmp_path: Path) -> None:
    folder = slices(tmp_path / "scan", noise(np.uint8, (3, 8, 9)))
    tifffile.imwrite(folder / "slice3.tif", noise(np.uint8, (4, 4)), photometric="minisblack")
    with pytest.raises(InputError) as caught:
        tiff.read_folder(folder)
    one_line(caught.value, "slice3.tif is 4x4 uint8, but slice0.tif is 9x8 uint8")


def test_a_folder_of_stacks_is_one_volume_each(tmp_path: Path) -> None:
    for name in ("t1", "t2"):
        tifffile.imwrite(tmp_path / f"{name}.tif", noise(), photometric="minisblack")
    assert [v.name for v in tiff.read_folder(tmp_path)] == ["t1", "t2"]


# Masks


def a_mask() -> MaskVersion:
    affine = Grid.from_spacing(SHAPE, (3.0, 0.5, 0.7), "RIA").affine.copy()
    affine[:3, 3] = (10, -20, 30)
    labels = (np.arange(np.prod(SHAPE)).reshape(SHAPE) % 4).astype(np.uint8)
    return MaskVersion(labels, Grid(SHAPE, affine), preset("brats-gli-2024"), MaskKind.AI)


def test_a_mask_comes_back_on_the_grid_of_its_image(tmp_path: Path) -> None:
    mask = a_mask()
    image = Volume(np.zeros(SHAPE), mask.grid, name="t1c")
    tiff.write_mask(tmp_path / "m.tif", mask, image)
    back = tiff.read_mask(tmp_path / "m.tif", reference=image)
    assert np.array_equal(back.labels, mask.labels)
    assert back.grid == mask.grid
    assert (back.schema, back.kind, back.review) == (mask.schema, MaskKind.AI, Review.NOT_REVIEWED)
    alone = tiff.read_mask(tmp_path / "m.tif")
    assert alone.grid.spacing_mm == pytest.approx((3.0, 0.5, 0.7))
    assert "left and right" in alone.header["warnings"][0]


def test_a_mask_of_another_size_is_refused_naming_both(tmp_path: Path) -> None:
    tiff.write_mask(tmp_path / "m.tif", a_mask())
    other = Volume(np.zeros((5, 8, 8)), Grid.from_spacing((5, 8, 8), (1, 1, 1)), name="t1c")
    with pytest.raises(GeometryError) as caught:
        tiff.read_mask(tmp_path / "m.tif", reference=other)
    one_line(caught.value, "m.tif has 9x8x5 voxels, but t1c has 8x8x5")
    with pytest.raises(GeometryError):
        tiff.write_mask(tmp_path / "n.tif", a_mask(), other)
    assert not (tmp_path / "n.tif").exists()


def test_255_stands_for_yes(tmp_path: Path) -> None:
    data = (noise() > 50).astype(np.uint8) * 255
    tifffile.imwrite(tmp_path / "m.tif", data, photometric="minisblack")
    mask = tiff.read_mask(tmp_path / "m.tif")
    assert np.array_equal(mask.labels, data // 255)
    assert mask.schema.name == "lesion"


def test_a_folder_of_slices_is_a_mask_too(tmp_path: Path) -> None:
    data = noise(np.uint8) % 3
    mask = tiff.read_mask(slices(tmp_path / "seg", data))
    assert np.array_equal(mask.labels, data)


# Bad files


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is empty (0 bytes)"), (b"name,age\n", "it holds text"), (b"<html>", "web page"), (b"II*\0", "cut short inside its header")],
)
def test_what_is_no_tiff_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    for reader in (tiff.read, tiff.read_split, tiff.read_mask):
        with pytest.raises(InputError) as caught:
            reader(tmp_path / "a.tif")
        one_line(caught.value, "a.tif", words)


@pytest.mark.parametrize("how", ["plain", "zlib", "imagej", "ome"])
@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_short_is_never_filled_with_zeros(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], how: str, keep: float
) -> None:
    data = noise(np.uint16, (20, 30, 40))
    options: dict[str, Any] = {
        "plain": {},
        "zlib": {"compression": "zlib"},
        "imagej": {"imagej": True},
        "ome": {"ome": True, "compression": "zlib"},
    }[how]
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack", **options)
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(InputError) as caught:
        tiff.read(tmp_path / "a.tif")
    one_line(caught.value, "a.tif")
    assert capfd.readouterr() == ("", "")


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        tiff.read(tmp_path / "none.tif")


def test_a_full_disk_keeps_the_old_mask_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiff.write_mask(tmp_path / "m.tif", a_mask())
    old = (tmp_path / "m.tif").read_bytes()

    def full(file: Path, *_: Any, **__: Any) -> None:
        Path(file).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tifffile, "imwrite", full)
    with pytest.raises(OutputError) as caught:
        tiff.write_mask(tmp_path / "m.tif", a_mask())
    one_line(caught.value, "m.tif was not saved", "is full", "The earlier file is unchanged")
    assert (tmp_path / "m.tif").read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["m.tif"]
