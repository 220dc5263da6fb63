"""Slides of every kind: their pixels against the whole arrays, their facts, and what is odd or broken in them."""

from __future__ import annotations

import gc
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.io.slide_kinds import is_slide
from napari_tumorseg.io.slide_made import averaged
from napari_tumorseg.io.slide_source import DamagedTileError
from napari_tumorseg.io.slides import SlideReader, open_slide

FACTORS = {"zarr3": [(1, 1), (2.00006, 2), (4 * 1.00003**2, 4)]}
MPP = {"svs": (0.2525, 0.2525), "ome-tiff": (0.26, 0.25), "zarr3": (0.5, 0.5), "zarr2": (0.5, 0.5), "dicom": (0.25, 0.25)}


@pytest.fixture
def reader(written):
    with open_slide(written[1]) as reader:
        yield reader


def whole(reader: SlideReader, level: int) -> np.ndarray:
    return reader.read(level, (0, 0, *reader.layouts[level].shape))


def test_levels_factors_and_resolution(written, reader):
    kind, path, pixels = written
    assert [level.shape for level in reader.slide.levels] == [p.shape[:2] for p in pixels]
    given = FACTORS.get("zarr3" if kind == "zarr2" else kind)
    h, w = pixels[0].shape[:2]
    factors = given or [(h / p.shape[0], w / p.shape[1]) for p in pixels]
    assert np.allclose([level.downsample for level in reader.slide.levels], factors, rtol=1e-12)
    assert reader.slide.mpp_um == pytest.approx(MPP[kind], rel=1e-9)
    assert reader.slide.made_levels == 0
    assert (reader.slide.dtype, reader.slide.channels, reader.slide.is_rgb) == ("uint8", ("R", "G", "B"), True)
    assert is_slide(path)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_region_is_that_of_the_whole_array(written, reader, data):
    level = data.draw(st.integers(0, 2))
    h, w = written[2][level].shape[:2]
    y0, y1 = sorted(data.draw(st.tuples(st.integers(0, h), st.integers(0, h))))
    x0, x1 = sorted(data.draw(st.tuples(st.integers(0, w), st.integers(0, w))))
    found = reader.read(level, (y0, x0, y1, x1))
    assert np.array_equal(found, written[2][level][y0:y1, x0:x1])


def test_arrays_read_what_is_indexed(written, reader):
    pixels = written[2][1]
    array = reader.level_array(1)
    for index in (np.s_[3], np.s_[-1, 5:90:7], np.s_[::-3, 10:2:-1, 0], np.s_[..., 1], np.s_[7:7], np.s_[4, 5, 2], np.s_[:, :, 0:2]):
        assert np.array_equal(array[index], pixels[index])
    assert np.array_equal(np.asarray(array), pixels)
    dask = reader.dask_pyramid()
    assert [d.shape for d in dask] == [p.shape for p in written[2]]
    assert np.array_equal(dask[1][20:130, 3:200].compute(scheduler="threads"), pixels[20:130, 3:200])
    assert np.array_equal(reader.level_array(2, channel=1)[5:9], written[2][2][5:9, :, 1])


@pytest.mark.parametrize("box", [(-1, 0, 5, 5), (0, 0, 302, 5), (5, 0, 4, 5), (0, 0, 5, 424)])
def test_a_region_outside_is_refused(written, reader, box):
    with pytest.raises(InputError, match="not inside level 0"):
        reader.read(0, box)


def test_threads_read_the_same(written, reader):
    boxes = [(y, x, y + 100, x + 120) for y in range(0, 200, 25) for x in range(0, 300, 40)]
    start = threading.Barrier(8)

    def read(part: int) -> bool:
        start.wait()
        return all(np.array_equal(reader.read(0, b), written[2][0][b[0] : b[2], b[1] : b[3]]) for b in boxes[part::4])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(8)))


def test_the_cache_is_bounded_in_bytes(written):
    with open_slide(written[1], cache_bytes=70_000) as reader:
        for _ in range(2):
            assert np.array_equal(whole(reader, 0), written[2][0])
            assert 0 < reader.cache.held_bytes <= 70_000
            assert reader.cache.held_bytes == sum(tile.nbytes for tile in reader.cache._tiles.values())


def test_nothing_stays_open(written):
    psutil = pytest.importorskip("psutil")
    process = psutil.Process()
    before = {f.path for f in process.open_files()}
    reader = open_slide(written[1])
    reader.read(0, (0, 0, 10, 10))
    reader.close()
    reader.close()
    assert {f.path for f in process.open_files()} == before
    with pytest.raises(InputError, match="is closed"):
        reader.read(0, (0, 0, 10, 10))
    forgotten = open_slide(written[1])
    forgotten.read(0, (0, 0, 10, 10))
    del forgotten
    gc.collect()
    assert {f.path for f in process.open_files()} == before


def test_nobody_is_named(written, reader):
    text = repr(reader.slide).replace(str(written[1].parent), "")
    assert not any(secret in text for secret in ("Secret", "4711", "0815"))


def test_label_images_only_when_asked(levels, tmp_path, writers):
    with open_slide(writers["svs"](tmp_path / "s.svs", levels)) as reader:
        assert reader.slide.associated == ("label", "thumbnail")
        assert (reader.associated_image("label") == 77).all()
        with pytest.raises(InputError, match="no image 'macro'"):
            reader.associated_image("macro")


def test_a_slide_with_one_level_gets_averaged_ones(tmp_path, writers):
    (pixels,) = [np.random.default_rng(1).integers(0, 256, (1301, 2052, 3), dtype=np.uint8)]
    with open_slide(writers["svs"](tmp_path / "one.svs", [pixels], tile=240)) as reader:
        assert [level.shape for level in reader.slide.levels] == [(1301, 2052), (651, 1026), (326, 513)]
        assert [level.downsample for level in reader.slide.levels] == [(1, 1), (2, 2), (4, 4)]
        assert reader.slide.made_levels == 2
        expected = np.zeros((651, 1026, 3), np.uint8)
        for y, x in ((0, 0), (650, 1025), (511, 512), (650, 7), (325, 1000)):
            block = pixels[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].astype(float)
            expected[y, x] = np.floor(block.mean(axis=(0, 1)) + 0.5)
            assert np.array_equal(reader.read(1, (y, x, y + 1, x + 1))[0, 0], expected[y, x])
        assert np.array_equal(whole(reader, 2), averaged(whole(reader, 1)))
        assert np.array_equal(reader.read(2, (100, 100, 300, 400)), whole(reader, 2)[100:300, 100:400])


@pytest.mark.parametrize(("mpp", "said"), [("", "does not say"), ("0", "no slide has"), ("-1", "no slide has"), ("21", "no slide has")])
def test_a_missing_or_impossible_resolution_is_never_made_up(tmp_path, levels, writers, mpp, said):
    path = writers["svs"](tmp_path / "s.svs", levels, mpp=mpp)
    with open_slide(path) as reader:
        assert reader.slide.mpp_um is None
        assert any(said in note or "does not say" in note for note in reader.notes)
        assert any("state the scanner's value" in note for note in reader.notes)
    with open_slide(path, mpp_um=(0.25, 0.26)) as reader:
        assert (reader.slide.mpp_um, reader.slide.mpp_from) == ((0.25, 0.26), "stated")
        assert not any("state the" in note for note in reader.notes)
    for wrong in ((0.0, 0.25), (0.25, 21.0), (float("nan"), 0.25)):
        with pytest.raises(InputError, match="micrometres per pixel is outside"):
            open_slide(path, mpp_um=wrong)


def test_resolution_of_other_files(tmp_path, levels, writers):
    with open_slide(writers["pages"](tmp_path / "p.tif", levels)) as reader:
        assert [s.shape for s in reader.slide.levels] == [p.shape[:2] for p in levels]
        assert reader.slide.mpp_um == pytest.approx((0.5, 0.25))
        assert np.array_equal(whole(reader, 2), levels[2])
    with open_slide(writers["pages"](tmp_path / "printed.tif", levels, resolution=(28.3, 28.3))) as reader:
        assert reader.slide.mpp_um is None
    with open_slide(writers["zarr"](tmp_path / "u.zarr", levels, unit="")) as reader:
        assert reader.slide.mpp_um is None
    with open_slide(writers["dicom"](tmp_path / "d", levels[:1], spacing_mm=0.04)) as reader:
        assert reader.slide.mpp_um is None
        assert any("40 x 40" in note for note in reader.notes)


def test_a_stated_resolution_against_the_files_is_noted(tmp_path, levels, writers):
    with open_slide(writers["svs"](tmp_path / "s.svs", levels), mpp_um=(0.5, 0.5)) as reader:
        assert any("0.5 x 0.5 is stated and used" in note for note in reader.notes)


def _tile_bytes(path: Path, page: int, index: int) -> tuple[int, int]:
    with tifffile.TiffFile(path) as file:
        return file.pages[page].dataoffsets[index], file.pages[page].databytecounts[index]


def _spoil(path: Path, offset: int, size: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xa5" * size)


@pytest.mark.parametrize("kind", ["svs", "ome", "zarr", "dicom"])
def test_a_damaged_tile_is_named_or_marked(tmp_path, levels, writers, kind):
    """The second tile of the second row: of 64 x 64 pixels, of 64 x 80 in OME-TIFF, of 64 x 96 in OME-Zarr."""
    width = {"ome": 80, "zarr": 96}.get(kind, 64)
    path = writers[kind](tmp_path / {"svs": "s.svs", "ome": "s.ome.tif"}.get(kind, "s"), levels[:1])
    if kind in ("svs", "ome"):
        _spoil(path, *_tile_bytes(path, 0, -(-423 // width) + 1))
    elif kind == "zarr":
        (chunk,) = path.glob("0/c/0/1/1")
        chunk.write_bytes(b"\xa5" * 20)
    else:
        file = next(path.iterdir())
        content = bytearray(file.read_bytes())
        starts = [i for i in range(len(content)) if content[i : i + 4] == b"\xff\x4f\xff\x51"]
        begin = starts[-(-423 // 64) + 1]
        content[begin : begin + 200] = b"\xa5" * 200
        file.write_bytes(content)
    with open_slide(path) as reader:
        with pytest.raises(DamagedTileError, match=r"tile \(row 1, column 1\) of level 0 is damaged") as found:
            reader.read(0, (0, 0, 300, 400))
        assert "\n" not in str(found.value)
        assert "Secret" not in str(found.value)
        # The rest is still read, also by OpenSlide, whose handle refuses everything after an error.
        assert np.array_equal(reader.read(0, (0, 0, 64, 400)), levels[0][:64, :400])
        shown = reader.read(0, (0, 0, 301, 423), mark_damage=True)
        blank = shown[64:128, width : 2 * width]
        assert len(np.unique(blank)) == 2
        shown[64:128, width : 2 * width] = levels[0][64:128, width : 2 * width]
        assert np.array_equal(shown, levels[0])
        assert sum("row 1, column 1" in note and "shown blank" in note for note in reader.notes) == 1
        with pytest.raises(DamagedTileError):
            reader.read(0, (70, width + 3, 71, width + 4))


def test_damage_below_an_averaged_level(tmp_path, writers):
    pixels = np.random.default_rng(2).integers(0, 256, (600, 1100, 3), dtype=np.uint8)
    path = writers["svs"](tmp_path / "s.svs", [pixels])
    _spoil(path, *_tile_bytes(path, 0, 0))
    with open_slide(path) as reader:
        with pytest.raises(DamagedTileError, match=r"row 0, column 0\) of level 0"):
            whole(reader, 1)
        shown = reader.read(1, (0, 0, 300, 550), mark_damage=True)
        assert np.array_equal(shown[:, 32:], averaged(pixels[:, 64:]))
        assert len(np.unique(shown[2:30, 2:30])) <= 4


def test_a_file_cut_short(tmp_path, levels, writers):
    path = writers["ome"](tmp_path / "s.ome.tif", levels[:1], compression=None)
    content = path.read_bytes()
    offset, _ = _tile_bytes(path, 0, 29)
    path.write_bytes(content[: offset + 100])
    with open_slide(path) as reader, pytest.raises(DamagedTileError, match="row 4, column 5"):
        whole(reader, 0)


@pytest.mark.parametrize("compression", ["jpeg2000", 33003, 33005])
def test_jpeg2000_tiles(tmp_path, levels, writers, compression):
    """By tifffile, and with Aperio's own numbers (YCbCr and RGB) by OpenSlide; lossless."""
    if compression == "jpeg2000":
        path = writers["ome"](tmp_path / "s.ome.tif", levels, compression=compression)
    else:
        path = writers["svs"](tmp_path / "s.svs", levels[:1], compression=compression)
    with open_slide(path) as reader:
        assert reader.slide.format == ("ome-tiff" if compression == "jpeg2000" else "openslide")
        found = whole(reader, 0).astype(int)
        if compression == 33003:
            # The three numbers of a pixel are stored as they are, and are by definition Y, Cb and Cr.
            expected = np.asarray(Image.fromarray(levels[0], "YCbCr").convert("RGB")).astype(int)
            assert np.abs(found - expected).max() <= 2
        else:
            assert np.array_equal(found, levels[0])


def test_images_that_are_not_brightfield_are_said_to_be_such(tmp_path, writers):
    deep = np.random.default_rng(3).integers(0, 65536, (100, 120, 3), dtype=np.uint16)
    with open_slide(writers["ome"](tmp_path / "deep.ome.tif", [deep])) as reader:
        assert (reader.slide.dtype, reader.slide.is_rgb) == ("uint16", True)
        assert any("uint16, not 8 bits" in note for note in reader.notes)
        assert np.array_equal(whole(reader, 0), deep)
    names = {"axes": "CYX", "Channel": {"Name": ["DAPI", "CD8", "CD3", "CK"]}}
    planes = np.random.default_rng(4).integers(0, 4096, (4, 100, 120), dtype=np.uint16)
    path = writers["ome"](tmp_path / "f.ome.tif", [planes], metadata=names, photometric="minisblack", tile=(64, 64))
    with open_slide(path) as reader:
        assert (reader.slide.channels, reader.slide.is_rgb) == (("DAPI", "CD8", "CD3", "CK"), False)
        assert any("Not a brightfield image: 4 channels" in note for note in reader.notes)
        assert np.array_equal(whole(reader, 0), np.moveaxis(planes, 0, -1))
    omero = {"channels": [{"label": name} for name in ("DAPI", "CD8", "CK")]}
    stained = np.moveaxis(planes[:3].astype(np.uint8), 0, -1)
    with open_slide(writers["zarr"](tmp_path / "f.zarr", [stained], omero=omero)) as reader:
        assert (reader.slide.channels, reader.slide.is_rgb) == (("DAPI", "CD8", "CK"), False)
        assert np.array_equal(whole(reader, 0), stained)


@pytest.mark.parametrize("options", [{"planarconfig": "separate"}, {"tile": None, "rowsperstrip": 17}, {"tile": None}])
def test_other_ways_to_store_tiff(tmp_path, levels, writers, options):
    pixels = levels[0]
    if "planarconfig" in options:
        pixels = np.moveaxis(pixels, -1, 0)
        options = {**options, "metadata": {"axes": "SYX"}}
    path = writers["ome"](tmp_path / "s.ome.tif", [pixels], **options)
    with open_slide(path) as reader:
        assert np.array_equal(whole(reader, 0), levels[0])
        assert np.array_equal(reader.read(0, (33, 5, 200, 77)), levels[0][33:200, 5:77])


def test_a_stack_is_read_by_its_first_plane_and_is_no_slide(tmp_path):
    stack = np.random.default_rng(5).integers(0, 256, (4, 70, 80), dtype=np.uint8)
    path = tmp_path / "stack.ome.tif"
    tifffile.imwrite(path, stack, metadata={"axes": "ZYX"}, photometric="minisblack", ome=True)
    assert not is_slide(path)
    with open_slide(path) as reader:
        assert any("4 along Z" in note for note in reader.notes)
        assert np.array_equal(whole(reader, 0)[..., 0], stack[0])


def test_what_is_no_slide(tmp_path):
    for name, content, said in (
        ("empty.svs", b"", "is empty"),
        ("text.svs", b"hello", "holds text"),
        ("cut.tif", b"II*\0\x08\0\0\0", "cannot be read|cut short|holds no image"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=said):
            open_slide(tmp_path / name)
    with pytest.raises(InputError, match="does not exist"):
        open_slide(tmp_path / "none.svs")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="folder without a slide"):
        open_slide(tmp_path / "folder")
    assert not is_slide(tmp_path / "folder")
    assert not is_slide(tmp_path / "none.tif")
    (tmp_path / "folder" / ".zattrs").write_text('{"multiscales": [{"datasets": [{"path": "0"}]}]}')
    with pytest.raises(InputError, match="cannot be opened as OME-Zarr"):
        open_slide(tmp_path / "folder")


def test_a_folder_with_two_dicom_slides(tmp_path, levels, writers):
    one, two = (writers["dicom"](tmp_path / name, levels[1:2]) for name in "ab")
    (two / "level0.dcm").rename(one / "other.dcm")
    with pytest.raises(InputError, match="holds 2 slides"):
        open_slide(one)
    with open_slide(one / "other.dcm") as reader:
        assert np.array_equal(whole(reader, 0), levels[1])


def test_damaged_headers_are_said_in_words(written, tmp_path):
    """Bytes are changed at random, from a fixed seed, in the headers of the slide's files: it opens, or says why not."""
    rng = np.random.default_rng(0)
    _, path, _ = written
    said: list[str] = []
    for _turn in range(12):
        copy = tmp_path / path.name
        (shutil.copytree if path.is_dir() else shutil.copyfile)(path, copy)
        files = sorted(file for file in ([copy] if copy.is_file() else copy.rglob("*")) if file.is_file())
        described = [file for file in files if file.name in ("zarr.json", ".zarray", ".zattrs") or file.suffix == ".dcm"] or files
        file = described[rng.integers(len(described))]
        content = bytearray(file.read_bytes())
        for at in rng.integers(0, min(len(content), 2000), 15):
            content[at] = rng.integers(256)
        file.write_bytes(content)
        is_slide(copy)
        try:
            with open_slide(copy) as reader:
                for level, layout in enumerate(reader.layouts):
                    reader.read(level, (0, 0, min(layout.shape[0], 300), min(layout.shape[1], 300)), mark_damage=True)
        except InputError as error:
            said.append(str(error))
        if copy.is_dir():
            shutil.rmtree(copy)
        else:
            copy.unlink()
    assert not [words for words in said if "\n" in words or "Secret" in words]
