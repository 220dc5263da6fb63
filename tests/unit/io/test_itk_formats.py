from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from napari_tumorseg.core.case import MaskKind, MaskVersion, Review
from napari_tumorseg.core.errors import GeometryError, InputError, OutputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.io import itk_formats

SHAPE = (7, 8, 9)
SUFFIXES = [".nrrd", ".nhdr", ".mha", ".mhd"]


def picture(data: np.ndarray[Any, Any], vector: bool = False) -> SimpleITK.Image:
    image = SimpleITK.GetImageFromArray(data, isVector=vector)
    if image.GetDimension() == 3:
        image.SetSpacing((0.5, 1.5, 4.0))
        image.SetOrigin((-10.0, 20.0, 33.3))
        image.SetDirection((0, 1, 0, 1, 0, 0, 0, 0, -1))
    return image


def save(path: Path, data: np.ndarray[Any, Any], vector: bool = False, packed: bool = True) -> Path:
    SimpleITK.WriteImage(picture(data, vector), str(path), useCompression=packed)
    return path


def noise(dtype: Any = np.int16, shape: tuple[int, ...] = SHAPE) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 100, shape).astype(dtype)


def a_mask(shape: tuple[int, int, int] = SHAPE) -> MaskVersion:
    labels = (np.arange(np.prod(shape)).reshape(shape) % 4).astype(np.uint8)
    return MaskVersion(labels, Grid.from_spacing(shape, (3, 1, 1)), preset("brats-mets-2025"), MaskKind.AI)


def one_line(error: BaseException, *words: str) -> None:
    text = str(error)
    assert "\n" not in text
    assert "ITK" not in text
    assert getattr(error, "hint", "")
    for word in words:
        assert word in text


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("packed", [True, False])
def test_voxels_and_positions_are_those_that_simpleitk_sees(tmp_path: Path, suffix: str, packed: bool) -> None:
    data = noise()
    path = save(tmp_path / f"a{suffix}", data, packed=packed)
    volume = itk_formats.read(path)
    assert np.array_equal(volume.data, data)
    assert volume.name == "a"
    assert volume.warnings == ()
    image = SimpleITK.ReadImage(str(path))
    for index in ((0, 0, 0), (6, 7, 8), (1, 5, 2)):
        lps = np.array(image.TransformIndexToPhysicalPoint([*index[::-1]]))
        assert np.allclose(volume.grid.to_mm(index), lps * (-1, -1, 1))
    assert volume.source is not None
    assert volume.source.format == ("mha" if suffix.startswith(".m") else "nrrd")


@pytest.mark.parametrize(
    ("space", "sign"), [("left-posterior-superior", (-1, -1, 1)), ("right-anterior-superior", (1, 1, 1)), ("LAS", (-1, 1, 1))]
)
def test_the_space_of_an_nrrd_file_is_honoured(tmp_path: Path, space: str, sign: tuple[int, int, int]) -> None:
    # Definition: space directions and origin are along the axes that the space names.
    header = (
        f"NRRD0004\ntype: short\ndimension: 3\nspace: {space}\nsizes: 2 3 4\nspace directions: (1,0,0) (0,2,0) (0,0,3)\n"
        "kinds: domain domain domain\nendian: little\nencoding: raw\nspace origin: (10,20,30)\n\n"
    )
    path = tmp_path / "a.nrrd"
    path.write_bytes(header.encode() + np.arange(24, dtype="<i2").tobytes())
    volume = itk_formats.read(path)
    assert np.allclose(volume.grid.to_mm((0, 0, 0)), np.array((10, 20, 30)) * sign)
    assert np.allclose(volume.grid.to_mm((1, 1, 1)), np.array((11, 22, 33)) * sign)
    assert volume.data[1, 0, 0] == 6
    assert volume.warnings == ()


def test_an_nrrd_file_without_a_space_is_warned_about(tmp_path: Path) -> None:
    header = "NRRD0004\ntype: short\ndimension: 3\nsizes: 2 3 4\nspacings: 1 2 3\nendian: little\nencoding: raw\n\n"
    (tmp_path / "a.nrrd").write_bytes(header.encode() + bytes(48))
    volume = itk_formats.read(tmp_path / "a.nrrd")
    assert "states no patient orientation" in volume.warnings[0]
    assert volume.grid.spacing_mm == (3.0, 2.0, 1.0)


def test_a_single_slice_becomes_a_volume_of_one(tmp_path: Path) -> None:
    path = save(tmp_path / "a.mha", noise(np.uint8, (8, 9)))
    volume = itk_formats.read(path)
    assert volume.shape == (1, 8, 9)
    assert "single slice" in volume.warnings[0]


def test_several_volumes_are_refused_or_split(tmp_path: Path) -> None:
    data = noise(np.float32, (2, *SHAPE))
    SimpleITK.WriteImage(SimpleITK.JoinSeries([picture(part) for part in data]), str(tmp_path / "a.mha"))
    save(tmp_path / "a.nrrd", np.moveaxis(data, 0, -1), vector=True)
    for name in ("a.mha", "a.nrrd"):
        with pytest.raises(InputError) as caught:
            itk_formats.read(tmp_path / name)
        one_line(caught.value, f"{name} holds 2 volumes (9x8x7x2)", "split")
        parts = itk_formats.read_split(tmp_path / name)
        assert np.array_equal(np.stack([p.data for p in parts]), data)
        assert [p.name for p in parts] == ["a-01", "a-02"]
        assert parts[0].grid.spacing_mm == (4.0, 1.5, 0.5)
        with pytest.raises(InputError, match="a mask is one"):
            itk_formats.read_mask(tmp_path / name)


def test_colour_becomes_channels_and_back(tmp_path: Path) -> None:
    data = noise(np.uint8, (*SHAPE, 3))
    volume = itk_formats.read(save(tmp_path / "a.nrrd", data, vector=True))
    assert volume.channels == ("R", "G", "B")
    assert np.array_equal(np.moveaxis(volume.data, 0, -1), data)
    itk_formats.write_image(tmp_path / "b.mha", volume)
    assert np.array_equal(itk_formats.read_split(tmp_path / "b.mha")[0].data, volume.data)


def test_voxels_that_are_no_numbers_are_counted_or_refused(tmp_path: Path) -> None:
    data = noise(np.float32)
    data[0, 0, :2] = (np.nan, np.inf)
    volume = itk_formats.read(save(tmp_path / "a.nrrd", data))
    assert volume.warnings == ("a.nrrd: 2 voxels are not a number or infinite, and read as 0.",)
    assert np.isfinite(volume.data).all()
    with pytest.raises(InputError, match="not numbers"):
        itk_formats.read_mask(tmp_path / "a.nrrd")


@pytest.mark.parametrize("value", [-1.0, 0.5])
@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_what_is_no_mask_is_refused(tmp_path: Path, suffix: str, value: float) -> None:
    data = np.zeros(SHAPE, np.float32)
    data[1, 1, 1] = value
    with pytest.raises(InputError) as caught:
        itk_formats.read_mask(save(tmp_path / f"m{suffix}", data))
    one_line(caught.value, f"m{suffix} is not a mask")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_mask_keeps_its_schema_its_maker_and_is_one_file(tmp_path: Path, suffix: str) -> None:
    mask = a_mask()
    itk_formats.write_mask(tmp_path / f"m{suffix}", mask)
    assert [p.name for p in tmp_path.iterdir()] == [f"m{suffix}"]
    back = itk_formats.read_mask(tmp_path / f"m{suffix}")
    assert np.array_equal(back.labels, mask.labels)
    assert (back.schema, back.kind, back.review) == (mask.schema, MaskKind.AI, Review.NOT_REVIEWED)
    assert SimpleITK.ReadImage(str(tmp_path / f"m{suffix}")).GetPixelID() == SimpleITK.sitkUInt8


def test_labels_above_255_are_kept(tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, np.uint16)
    labels[0, 0, 0] = 999
    mask = MaskVersion(labels, Grid.from_spacing(SHAPE, (1, 1, 1)), preset("lesion"), MaskKind.RATER)
    for suffix in (".nrrd", ".mha"):
        itk_formats.write_mask(tmp_path / f"m{suffix}", mask)
        back = itk_formats.read_mask(tmp_path / f"m{suffix}")
        assert back.labels.dtype == np.uint16
        assert back.labels[0, 0, 0] == 999


def test_the_position_of_a_mask_is_that_of_its_image_to_the_last_digit(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nrrd", noise())
    volume = itk_formats.read(path)
    mask = MaskVersion(np.ones(SHAPE, np.uint8), volume.grid, preset("lesion"), MaskKind.RATER)
    itk_formats.write_mask(tmp_path / "m.seg.nrrd", mask, volume)
    one, two = SimpleITK.ReadImage(str(path)), SimpleITK.ReadImage(str(tmp_path / "m.seg.nrrd"))
    assert one.GetOrigin() == two.GetOrigin()
    assert one.GetSpacing() == two.GetSpacing()
    assert one.GetDirection() == two.GetDirection()
    assert one.GetSize() == two.GetSize()


def test_a_mask_elsewhere_is_refused_and_nothing_written(tmp_path: Path) -> None:
    other = Volume(np.zeros((7, 8, 10)), Grid.from_spacing((7, 8, 10), (3, 1, 1)), name="t1c")
    with pytest.raises(GeometryError) as caught:
        itk_formats.write_mask(tmp_path / "m.nrrd", a_mask(), other)
    one_line(caught.value, "m.nrrd has 9x8x7 voxels, but t1c has 10x8x7")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("dtype", "stored"), [(np.float16, np.float32), (np.bool_, np.uint8), (np.complex64, np.complex64)])
def test_types_that_itk_has_not(tmp_path: Path, dtype: Any, stored: Any) -> None:
    volume = Volume((noise() > 50).astype(dtype), Grid.from_spacing(SHAPE, (1, 1, 1)))
    itk_formats.write_image(tmp_path / "a.nrrd", volume)
    back = itk_formats.read(tmp_path / "a.nrrd")
    assert back.data.dtype == stored
    assert np.array_equal(back.data, volume.data.astype(stored))


def test_complex_values_are_not_put_into_metaimage_which_loses_them(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        itk_formats.write_image(tmp_path / "a.mha", Volume(np.zeros(SHAPE, np.complex64), Grid.from_spacing(SHAPE, (1, 1, 1))))
    one_line(caught.value, "a.mha cannot hold complex values", ".nrrd")


# Bad files


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
@pytest.mark.parametrize("packed", [True, False])
def test_a_file_that_is_cut_short_says_where(tmp_path: Path, capfd: pytest.CaptureFixture[str], suffix: str, packed: bool) -> None:
    data = np.random.default_rng(0).integers(0, 30000, (60, 80, 90)).astype(np.int16)
    path = save(tmp_path / f"a{suffix}", data, packed=packed)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError) as caught:
        itk_formats.read(path)
    one_line(caught.value, f"a{suffix} is cut short at 4", " kB")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_damaged_voxels_are_noticed(tmp_path: Path, capfd: pytest.CaptureFixture[str], suffix: str) -> None:
    data = np.random.default_rng(0).integers(0, 1000, (20, 40, 50)).astype(np.int16)
    path = save(tmp_path / f"a{suffix}", data)
    whole = path.read_bytes()
    for at in range(1000, len(whole), 5000):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        with pytest.raises(InputError) as caught:
            itk_formats.read(path)
        one_line(caught.value, f"a{suffix} is")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is empty (0 bytes)"), (b"name,value\n", "it holds text"), (b"<html>", "web page"), (bytes(range(256)), "fits no image format")],
)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_neither_is_named(tmp_path: Path, suffix: str, content: bytes, words: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    for reader in (itk_formats.read, itk_formats.read_mask):
        with pytest.raises(InputError) as caught:
            reader(path)
        one_line(caught.value, f"a{suffix}", words)


def test_a_header_without_its_voxels_names_the_missing_file(tmp_path: Path) -> None:
    for suffix, second in ((".mhd", "a.zraw"), (".nhdr", "a.raw.gz")):
        path = save(tmp_path / f"a{suffix}", noise())
        (tmp_path / second).unlink()
        with pytest.raises(InputError) as caught:
            itk_formats.read(path)
        one_line(caught.value, f"a{suffix} needs the file {second}, which is not beside it")


def test_voxels_in_a_second_file_that_are_cut_short(tmp_path: Path) -> None:
    path = save(tmp_path / "a.mhd", noise(), packed=False)
    raw = tmp_path / "a.raw"
    raw.write_bytes(raw.read_bytes()[:100])
    with pytest.raises(InputError, match=r"a\.raw is cut short at 0\.1 of 1\.0 kB"):
        itk_formats.read(path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"DimSize = 9 8 7", b"DimSize = 9 0 7", "holds no voxels"),
        (b"DimSize = 9 8 7", b"DimSize = 9 x 7", "damaged header"),
        (b"ElementType = MET_SHORT", b"ElementType = MET_WRONG", "damaged header"),
        (b"ElementDataFile", b"ElementOtherFile", "cut short inside its header"),
    ],
)
def test_metaimage_headers_that_cannot_be_right(tmp_path: Path, old: bytes, new: bytes, words: str) -> None:
    path = save(tmp_path / "a.mha", noise())
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(InputError) as caught:
        itk_formats.read(path)
    one_line(caught.value, "a.mha", words)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"sizes: 9 8 7", b"sizes: 9 0 7", "holds no voxels"),
        (b"type: short", b"type: wrong", "cannot be read"),
        (b"space directions: (0,0.5,0)", b"space directions: (0,0.0,0)", "a.nrrd"),
    ],
)
def test_nrrd_headers_that_cannot_be_right(tmp_path: Path, old: bytes, new: bytes, words: str) -> None:
    path = save(tmp_path / "a.nrrd", noise())
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(InputError) as caught:
        itk_formats.read(path)
    one_line(caught.value, "a.nrrd", words)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        itk_formats.read(tmp_path / "none.nrrd")
    (tmp_path / "folder.mha").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        itk_formats.read(tmp_path / "folder.mha")


# Bad targets


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_keeps_the_old_mask_whole(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"m{suffix}"
    itk_formats.write_mask(path, a_mask())
    old = path.read_bytes()
    grid = Grid.from_spacing((40, 50, 60), (1, 1, 1))
    labels = np.random.default_rng(0).integers(0, 200, grid.shape).astype(np.uint8)
    large = MaskVersion(labels, grid, preset("lesion"), MaskKind.AI)
    resource = pytest.importorskip("resource", reason="file size limits exist on POSIX only")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OutputError) as caught:
            itk_formats.write_mask(path, large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    one_line(caught.value, f"m{suffix} was not saved", "is full", "The earlier file is unchanged")
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == [f"m{suffix}"]


def test_another_failure_of_itk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("Exception thrown in SimpleITK\nITK ERROR: NrrdImageIO(0x1): Write: Error\n[nrrd] nrrdSave: the moon is full\n")

    monkeypatch.setattr(SimpleITK.ImageFileWriter, "Execute", fail)
    with pytest.raises(OutputError) as caught:
        itk_formats.write_mask(tmp_path / "m.nrrd", a_mask())
    one_line(caught.value, "m.nrrd was not saved: the moon is full.")
    assert not list(tmp_path.iterdir())
