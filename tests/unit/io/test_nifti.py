from __future__ import annotations

import errno
import gzip
import os
import struct
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from napari_tumorseg.core.case import MaskKind, MaskVersion, Review
from napari_tumorseg.core.errors import GeometryError, InputError, OutputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.io import nifti

SHAPE = (4, 5, 6)
AFFINE = np.array([[-0.9, 0, 0, 90], [0, 1.1, 0, -126], [0, 0, 3.0, -72], [0, 0, 0, 1]])


def save(path: Path, data: np.ndarray[Any, Any], affine: np.ndarray[Any, Any] = AFFINE, **fields: Any) -> Path:
    """Write an image through nibabel; data is (x, y, z, …)."""
    image = nibabel.Nifti1Image(data, affine)
    for field, value in fields.items():
        image.header[field] = value
    nibabel.save(image, path)
    return path


def noise(dtype: Any = np.int16, shape: tuple[int, ...] = SHAPE[::-1]) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 100, shape).astype(dtype)


def one_line(error: BaseException, *words: str) -> None:
    text = str(error)
    assert "\n" not in text
    assert getattr(error, "hint", ""), "it must say what to do"
    for word in words:
        assert word in text


def a_mask(high: int = 3) -> MaskVersion:
    labels = (np.arange(np.prod(SHAPE)).reshape(SHAPE) % (high + 1)).astype(np.uint16)
    return MaskVersion(labels, Grid(SHAPE, AFFINE[:, [2, 1, 0, 3]]), preset("brats-mets-2025"), MaskKind.AI)


# Reading


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.float32, np.float64, np.complex64])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_voxels_and_type_are_those_of_the_file(tmp_path: Path, dtype: Any, name: str) -> None:
    data = noise(dtype)
    volume = nifti.read(save(tmp_path / name, data))
    assert np.array_equal(volume.data, data.T)
    assert volume.data.dtype == dtype
    assert volume.name == "a"
    assert volume.source is not None
    assert (volume.source.format, volume.warnings) == ("nifti", ())
    assert volume.grid.orientation == "SAL"
    assert np.allclose(volume.grid.to_mm((3, 4, 5)), AFFINE[:3] @ (5, 4, 3, 1))


def test_nifti_2_and_the_other_byte_order_are_read(tmp_path: Path) -> None:
    data = noise()
    nibabel.save(nibabel.Nifti2Image(data, AFFINE), tmp_path / "two.nii.gz")
    assert np.array_equal(nifti.read(tmp_path / "two.nii.gz").data, data.T)
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    image = nibabel.Nifti1Image(data, AFFINE, header)
    nibabel.save(image, tmp_path / "big.nii")
    big = nifti.read(tmp_path / "big.nii")
    assert nibabel.load(tmp_path / "big.nii").header.endianness == ">"
    assert np.array_equal(big.data, data.T)
    assert big.data.dtype.isnative
    nifti.write_mask(tmp_path / "mask.nii", MaskVersion(np.ones(SHAPE, np.uint8), big.grid, preset("lesion"), MaskKind.RATER), big)
    assert np.array_equal(nibabel.load(tmp_path / "mask.nii").affine, nibabel.load(tmp_path / "big.nii").affine)


@pytest.mark.parametrize(
    ("dtype", "slope", "intercept", "expected"),
    [
        (np.int16, 1.0, -1024.0, np.int16),
        (np.int16, 2.0, 5.0, np.int16),
        (np.int16, 100000.0, 0.0, np.int32),
        (np.int16, 0.5, 10.0, np.float32),
        (np.uint8, 0.1, 0.0, np.float32),
        (np.int32, 0.25, 1.0, np.float64),
        (np.float32, 2.0, 1.0, np.float32),
        (np.float64, 2.0, 1.0, np.float64),
        (np.int16, 0.0, 7.0, np.int16),
        (np.int16, np.nan, 0.0, np.int16),
    ],
)
def test_stored_values_are_scaled_as_the_header_says(tmp_path: Path, dtype: Any, slope: float, intercept: float, expected: Any) -> None:
    data = noise(dtype)
    path = save(tmp_path / "a.nii", data)
    raw = bytearray(path.read_bytes())
    raw[112:120] = struct.pack("<ff", slope, intercept)
    path.write_bytes(raw)
    volume = nifti.read(path)
    assert volume.data.dtype == expected
    factor, offset = (1.0, 0.0) if not slope or np.isnan(slope) else (np.float64(np.float32(slope)), intercept)
    assert np.allclose(volume.data, data.T * factor + offset, rtol=1e-6)


def test_voxels_that_are_no_numbers_are_counted_and_read_as_zero(tmp_path: Path) -> None:
    data = noise(np.float32)
    data[0, 0, 0], data[1, 2, 3], data[2, 2, 2] = np.nan, np.inf, -np.inf
    volume = nifti.read(save(tmp_path / "a.nii.gz", data))
    assert np.isfinite(volume.data).all()
    assert volume.data[0, 0, 0] == volume.data[3, 2, 1] == volume.data[2, 2, 2] == 0
    assert np.count_nonzero(volume.data != data.T) == 3
    assert volume.warnings == ("a.nii.gz: 3 voxels are not a number or infinite, and read as 0.",)
    data[1, 2, 3] = data[2, 2, 2] = 0
    assert nifti.read(save(tmp_path / "b.nii", data)).warnings[0].startswith("b.nii: 1 voxel is")


def test_several_volumes_are_refused_or_split(tmp_path: Path) -> None:
    data = noise(np.int16, (6, 5, 4, 3))
    path = save(tmp_path / "dwi.nii.gz", data)
    with pytest.raises(InputError) as caught:
        nifti.read(path)
    one_line(caught.value, "dwi.nii.gz holds 3 volumes (6x5x4x3)", "split")
    parts = nifti.read_split(path)
    assert [v.name for v in parts] == ["dwi-01", "dwi-02", "dwi-03"]
    for index, part in enumerate(parts):
        assert np.array_equal(part.data, data[..., index].T)
        assert part.grid.shape == SHAPE
    assert len(nifti.read_split(save(tmp_path / "one.nii", noise()))) == 1


@pytest.mark.parametrize("shape", [(6, 5, 4, 1), (6, 5, 4, 1, 1), (6, 5), (6, 5, 1), (6,)])
def test_axes_of_one_are_dropped_and_missing_ones_added(tmp_path: Path, shape: tuple[int, ...]) -> None:
    data = noise(np.int16, shape)
    volume = nifti.read(save(tmp_path / "a.nii", data))
    assert volume.data.ndim == 3
    assert np.array_equal(volume.data.ravel(), data.T.ravel())


def test_a_vector_image_counts_as_several_volumes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds 3 volumes"):
        nifti.read(save(tmp_path / "warp.nii", noise(np.float32, (6, 5, 4, 1, 3))))


def test_colour_becomes_channels_and_back(tmp_path: Path) -> None:
    colour = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    data = noise(np.uint8, (6, 5, 4, 3)).view(colour)[..., 0]
    volume = nifti.read(save(tmp_path / "rgb.nii.gz", data))
    assert volume.channels == ("R", "G", "B")
    assert np.array_equal(volume.data[1], data["G"].T)
    nifti.write_image(tmp_path / "again.nii.gz", volume)
    assert np.array_equal(np.asarray(nibabel.load(tmp_path / "again.nii.gz").dataobj), data)


def test_other_channels_are_written_along_a_fourth_axis(tmp_path: Path) -> None:
    volume = Volume(noise(np.float32, (2, *SHAPE)), Grid.from_spacing(SHAPE, (1, 1, 1)), channels=("in", "out"))
    nifti.write_image(tmp_path / "a.nii.gz", volume)
    parts = nifti.read_split(tmp_path / "a.nii.gz")
    assert np.array_equal(np.stack([p.data for p in parts]), volume.data)


@pytest.mark.parametrize(("dtype", "stored"), [(np.float16, np.float32), (np.bool_, np.uint8), (np.int64, np.int32), (np.uint64, np.int32)])
def test_types_that_nifti_has_not_are_written_in_one_that_it_has(tmp_path: Path, dtype: Any, stored: Any) -> None:
    volume = Volume(noise(np.uint8, SHAPE).astype(dtype), Grid.from_spacing(SHAPE, (1, 1, 1)))
    nifti.write_image(tmp_path / "a.nii", volume)
    back = nifti.read(tmp_path / "a.nii")
    assert back.data.dtype == stored
    assert np.array_equal(back.data, volume.data)


def test_large_64_bit_integers_become_doubles(tmp_path: Path) -> None:
    volume = Volume(np.full(SHAPE, 1 << 40), Grid.from_spacing(SHAPE, (1, 1, 1)))
    nifti.write_image(tmp_path / "a.nii", volume)
    assert nifti.read(tmp_path / "a.nii").data.max() == 1 << 40


# Position


def two_positions(path: Path, sform: int, qform: int, shift_mm: float) -> Path:
    image = nibabel.Nifti1Image(noise(), AFFINE)
    image.set_sform(AFFINE, sform)
    moved = AFFINE.copy()
    moved[0, 3] += shift_mm
    image.set_qform(moved, qform)
    nibabel.save(image, path)
    return path


def test_two_positions_that_disagree_are_reported_and_the_sform_used(tmp_path: Path) -> None:
    volume = nifti.read(two_positions(tmp_path / "t1.nii.gz", 1, 1, 12.0))
    assert volume.warnings == ("t1.nii.gz states two positions that differ by up to 12 mm; its sform was used, its qform left out.",)
    assert np.allclose(volume.grid.affine[:, [2, 1, 0, 3]], AFFINE)
    assert volume.source is not None
    assert volume.source.header["position"] == "sform"


def test_rounding_is_no_disagreement(tmp_path: Path) -> None:
    assert nifti.read(two_positions(tmp_path / "a.nii", 1, 1, 1e-4)).warnings == ()


def test_the_qform_is_used_when_there_is_no_sform(tmp_path: Path) -> None:
    volume = nifti.read(two_positions(tmp_path / "a.nii", 0, 1, 12.0))
    assert volume.warnings == ()
    assert volume.grid.affine[0, 3] == pytest.approx(102.0)


def test_without_any_position_the_size_is_used_as_nibabel_does_and_said(tmp_path: Path) -> None:
    path = two_positions(tmp_path / "a.nii", 0, 0, 0.0)
    volume = nifti.read(path)
    assert np.allclose(volume.grid.affine[:, [2, 1, 0, 3]], nibabel.load(path).affine)
    assert "states no position" in volume.warnings[0]


def test_a_broken_position_falls_back_to_the_other(tmp_path: Path) -> None:
    path = two_positions(tmp_path / "a.nii", 1, 1, 5.0)
    raw = bytearray(path.read_bytes())
    raw[280:296] = struct.pack("<4f", 0, 0, 0, 0)  # srow_x
    path.write_bytes(raw)
    volume = nifti.read(path)
    assert volume.warnings == ("a.nii: its sform is unusable and was left out.",)
    assert volume.grid.affine[0, 3] == pytest.approx(95.0)
    raw[256:268] = struct.pack("<3f", 1, 1, 1)  # a quaternion longer than 1
    path.write_bytes(raw)
    assert any("its qform is unusable" in w for w in nifti.read(path).warnings)
    assert any("states no position" in w for w in nifti.read(path).warnings)


def test_a_voxel_size_of_zero_is_taken_as_1_mm_and_said(tmp_path: Path) -> None:
    path = two_positions(tmp_path / "a.nii", 0, 0, 0.0)
    raw = bytearray(path.read_bytes())
    raw[76:92] = struct.pack("<4f", 1, 0, 0, 0)
    path.write_bytes(raw)
    volume = nifti.read(path)
    assert volume.grid.spacing_mm == (1.0, 1.0, 1.0)
    assert "1 mm is taken" in volume.warnings[1]


@pytest.mark.parametrize(("unit", "factor", "word"), [("meter", 1000.0, "metres"), ("micron", 0.001, "micrometres")])
def test_other_units_are_turned_into_millimetres(tmp_path: Path, unit: str, factor: float, word: str) -> None:
    image = nibabel.Nifti1Image(noise(), AFFINE)
    image.header.set_xyzt_units(unit)
    nibabel.save(image, tmp_path / "a.nii")
    volume = nifti.read(tmp_path / "a.nii")
    assert volume.grid.spacing_mm == pytest.approx((3.0 * factor, 1.1 * factor, 0.9 * factor))
    assert word in volume.warnings[0]


# Masks in


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.int32, np.float32, np.float64])
def test_whole_numbers_of_any_type_become_uint8(tmp_path: Path, dtype: Any) -> None:
    data = (noise(np.uint8) % 4).astype(dtype)
    mask = nifti.read_mask(save(tmp_path / "seg.nii.gz", data))
    assert mask.labels.dtype == np.uint8
    assert np.array_equal(mask.labels, data.T)
    assert (mask.kind, mask.review) == (MaskKind.REFERENCE, Review.ACCEPTED)


def test_values_above_255_stay(tmp_path: Path) -> None:
    data = noise(np.int32)
    data[0, 0, 0] = 4000
    mask = nifti.read_mask(save(tmp_path / "seg.nii.gz", data))
    assert mask.labels.dtype == np.uint16
    assert mask.labels[0, 0, 0] == 4000
    nifti.write_mask(tmp_path / "again.nii.gz", mask)
    assert nibabel.load(tmp_path / "again.nii.gz").get_data_dtype() == np.uint16
    assert np.array_equal(nifti.read_mask(tmp_path / "again.nii.gz").labels, mask.labels)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.nan, "are not numbers"),
        (np.inf, "are not numbers"),
        (0.37, "are not whole numbers, e.g. 0.37"),
        (-1.0, "its smallest value is -1"),
        (70000.0, "its largest value is 70000"),
    ],
)
def test_what_is_no_mask_is_refused(tmp_path: Path, value: float, words: str) -> None:
    data = np.zeros(SHAPE[::-1], np.float32)
    data[1, 1, 1] = value
    with pytest.raises(InputError) as caught:
        nifti.read_mask(save(tmp_path / "prob.nii.gz", data))
    one_line(caught.value, "prob.nii.gz is not a mask", words)


def test_an_image_a_colour_image_and_a_4d_file_are_no_masks(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="different values"):
        nifti.read_mask(save(tmp_path / "t1.nii", np.arange(27000, dtype=np.int16).reshape(30, 30, 30)))
    colour = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(InputError, match="colour image"):
        nifti.read_mask(save(tmp_path / "rgb.nii", np.zeros(SHAPE, colour)))
    with pytest.raises(InputError, match="complex64"):
        nifti.read_mask(save(tmp_path / "k.nii", np.zeros(SHAPE, np.complex64)))
    with pytest.raises(InputError, match="holds 2 volumes; a mask is one"):
        nifti.read_mask(save(tmp_path / "hot.nii", np.zeros((*SHAPE, 2), np.uint8)))


def test_the_schema_asked_for_must_have_the_values(tmp_path: Path) -> None:
    data = np.zeros(SHAPE, np.uint8)
    data[0, 0, :3] = (1, 2, 4)
    path = save(tmp_path / "seg.nii.gz", data)
    assert nifti.read_mask(path).schema.name == "brats-2018"
    assert nifti.read_mask(path, preset("brats-gli-2024")).schema.name == "brats-gli-2024"
    with pytest.raises(InputError) as caught:
        nifti.read_mask(path, preset("lesion"))
    one_line(caught.value, "seg.nii.gz holds the values 2, 4", "lesion")


# Masks out


def test_a_mask_says_who_made_it_and_what_its_values_mean(tmp_path: Path) -> None:
    mask = a_mask()
    nifti.write_mask(tmp_path / "seg.nii.gz", mask)
    back = nifti.read_mask(tmp_path / "seg.nii.gz")
    assert (back.kind, back.review, back.schema) == (MaskKind.AI, Review.NOT_REVIEWED, mask.schema)
    header = nibabel.load(tmp_path / "seg.nii.gz").header
    assert b"AI, not reviewed; research use only" in header["descrip"].tobytes()
    assert header.get_intent()[0] == "label"
    assert header.get_xyzt_units()[0] == "mm"
    stored = nibabel.load(tmp_path / "seg.nii.gz").dataobj
    assert (stored.slope, stored.inter) == (1.0, 0.0)


def test_the_same_mask_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b.nii.gz"):
        nifti.write_mask(tmp_path / name, a_mask())
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_a_mask_that_does_not_lie_on_its_image_is_refused_naming_both(tmp_path: Path) -> None:
    mask = a_mask()
    other = Volume(np.zeros((4, 5, 7)), Grid.from_spacing((4, 5, 7), (1, 1, 1)), name="t1c")
    with pytest.raises(GeometryError) as caught:
        nifti.write_mask(tmp_path / "seg.nii", mask, other)
    one_line(caught.value, "seg.nii has 6x5x4 voxels, but t1c has 7x5x4")
    affine = mask.grid.affine.copy()
    affine[0, 3] += 2
    with pytest.raises(GeometryError) as caught:
        nifti.write_mask(tmp_path / "seg.nii", mask, Volume(np.zeros(SHAPE), Grid(SHAPE, affine), name="t1c"))
    one_line(caught.value, "seg.nii and t1c", "2 mm apart")
    assert not list(tmp_path.iterdir())


def test_a_turned_volume_does_not_lend_its_old_header(tmp_path: Path) -> None:
    volume = nifti.read(save(tmp_path / "a.nii", noise()))
    grid, move = volume.grid.reorient("IPL")
    turned = Volume(move.apply(volume.data), grid, source=volume.source)
    nifti.write_image(tmp_path / "b.nii", turned)
    assert nifti.read(tmp_path / "b.nii").grid.matches(grid)


# Bad files


def test_a_file_that_is_cut_short_says_where(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 30000, (100, 90, 80)).astype(np.int16)
    path = save(tmp_path / "t1ce.nii.gz", data)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError) as caught:
        nifti.read(path)
    one_line(caught.value, "t1ce.nii.gz is cut short at 0.7 of 1.4 MB. Copy it again from its source.")
    plain = save(tmp_path / "t1ce.nii", data)
    plain.write_bytes(plain.read_bytes()[:1_000_000])
    with pytest.raises(InputError, match=r"t1ce.nii is cut short at 1.0 of 1.4 MB"):
        nifti.read(plain)


@pytest.mark.parametrize("keep", [3, 12, 30])
def test_a_file_cut_inside_its_header(tmp_path: Path, keep: int) -> None:
    path = save(tmp_path / "a.nii.gz", noise())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError) as caught:
        nifti.read(path)
    one_line(caught.value, "a.nii.gz is cut short")
    plain = save(tmp_path / "a.nii", noise())
    plain.write_bytes(plain.read_bytes()[:100])
    with pytest.raises(InputError, match="cut short inside its header"):
        nifti.read(plain)


@pytest.mark.parametrize("tail", [1, 6])
def test_a_missing_end_is_noticed_though_all_voxels_are_there(tmp_path: Path, tail: int) -> None:
    path = save(tmp_path / "a.nii.gz", noise())
    path.write_bytes(path.read_bytes()[:-tail])
    with pytest.raises(InputError, match="cut short just before its end"):
        nifti.read(path)


def test_every_damaged_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    whole = gzip.compress(save(tmp_path / "a.nii", noise()).read_bytes())
    for at in range(10, len(whole), max(1, len(whole) // 40)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x20]) + whole[at + 1 :])
        with pytest.raises(InputError) as caught:
            nifti.read(path)
        one_line(caught.value, "a.nii.gz is")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty (0 bytes)"),
        (b"subject,age\n1,44\n", "it holds text ('subject,age 1,44')"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"PK\x03\x04abc", "zip archive"),
        (b"NRRD0004\ntype: short", "NRRD"),
        (bytes(128) + b"DICM" + bytes(300), "DICOM"),
        (bytes(range(256)) * 3, "fits no image format"),
        # Without the time of writing: the ids of the tests must be the same in each process that runs them.
        (gzip.compress(b"just text", mtime=0), "it holds text"),
        (gzip.compress(b"", mtime=0), "is not a NIfTI file"),
    ],
)
def test_what_is_no_nifti_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "t1.nii.gz"
    path.write_bytes(content)
    for reader in (nifti.read, nifti.read_split, nifti.read_mask):
        with pytest.raises(InputError) as caught:
            reader(path)
        one_line(caught.value, "t1.nii.gz", words)


def test_the_content_and_not_the_suffix_says_whether_a_file_is_compressed(tmp_path: Path) -> None:
    data = noise()
    save(tmp_path / "a.nii", data).rename(tmp_path / "plain.nii.gz")
    save(tmp_path / "a.nii.gz", data).rename(tmp_path / "packed.nii")
    for name in ("plain.nii.gz", "packed.nii"):
        assert np.array_equal(nifti.read(tmp_path / name).data, data.T)


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (42, struct.pack("<h", 0), "holds no voxels"),
        (42, struct.pack("<h", -5), "damaged header"),
        (40, struct.pack("<h", 9), "damaged header"),
        (70, struct.pack("<h", 999), "damaged header"),
        (108, struct.pack("<f", np.nan), "damaged header"),
        (42, struct.pack("<hhh", 30000, 30000, 30000), "cut short"),
        (344, b"ni1\0", "header of a NIfTI pair"),
        (344, b"\0\0\0\0", "Analyze 7.5"),
    ],
)
def test_headers_that_cannot_be_right(tmp_path: Path, at: int, value: bytes, words: str) -> None:
    path = save(tmp_path / "a.nii", noise())
    raw = bytearray(path.read_bytes())
    raw[at : at + len(value)] = value
    for name, content in (("a.nii", bytes(raw)), ("a.nii.gz", gzip.compress(bytes(raw)))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError) as caught:
            nifti.read(tmp_path / name)
        one_line(caught.value, name, words)


def test_missing_files_folders_and_files_without_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="does not exist"):
        nifti.read(tmp_path / "none.nii")
    (tmp_path / "folder.nii").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        nifti.read(tmp_path / "folder.nii")
    path = save(tmp_path / "a.nii", noise())

    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        nifti.read(path)


def test_many_gzip_members_are_one_file(tmp_path: Path) -> None:
    data = noise()
    raw = save(tmp_path / "a.nii", data).read_bytes()
    whole = b"".join(gzip.compress(raw[i : i + 200]) for i in range(0, len(raw), 200))
    (tmp_path / "b.nii.gz").write_bytes(whole)
    assert np.array_equal(nifti.read(tmp_path / "b.nii.gz").data, data.T)
    (tmp_path / "b.nii.gz").write_bytes(whole[: len(whole) - 30])
    with pytest.raises(InputError, match=r"b.nii.gz is cut short at \d+ of 592 bytes"):
        nifti.read(tmp_path / "b.nii.gz")


# Bad targets


@pytest.mark.parametrize("name", ["seg.nii", "seg.nii.gz"])
def test_a_full_disk_keeps_the_old_mask_whole(tmp_path: Path, name: str) -> None:
    mask = a_mask()
    nifti.write_mask(tmp_path / name, mask)
    old = (tmp_path / name).read_bytes()
    rng = np.random.default_rng(0)
    grid = Grid.from_spacing((40, 50, 60), (1, 1, 1))
    large = MaskVersion(rng.integers(0, 200, grid.shape).astype(np.uint8), grid, preset("lesion"), MaskKind.AI)
    resource = pytest.importorskip("resource", reason="file size limits exist on POSIX only")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OutputError) as caught:
            nifti.write_mask(tmp_path / name, large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    one_line(caught.value, f"{name} was not saved", "is full", "The earlier file is unchanged")
    assert (tmp_path / name).read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_disk_that_fills_up_while_nibabel_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(nibabel.Nifti1Image, "to_stream", full)
    with pytest.raises(OutputError, match="is full"):
        nifti.write_mask(tmp_path / "seg.nii.gz", a_mask())
    assert not list(tmp_path.iterdir())


def test_labels_that_no_mask_can_hold(tmp_path: Path) -> None:
    labels = np.full(SHAPE, 70000, np.uint32)
    mask = MaskVersion(labels, Grid.from_spacing(SHAPE, (1, 1, 1)), preset("lesion"), MaskKind.AI)
    with pytest.raises(InputError, match="cannot hold the label 70000"):
        nifti.write_mask(tmp_path / "seg.nii", mask)


def test_an_axis_too_long_for_nifti_1_makes_nifti_2(tmp_path: Path) -> None:
    grid = Grid.from_spacing((1, 2, 40000), (1, 1, 1))
    nifti.write_mask(tmp_path / "a.nii", MaskVersion(np.ones(grid.shape, np.uint8), grid, preset("lesion"), MaskKind.AI))
    assert isinstance(nibabel.load(tmp_path / "a.nii"), nibabel.Nifti2Image)
    assert nifti.read_mask(tmp_path / "a.nii").labels.sum() == 80000
