"""The CMU-1 region: one slide as Aperio SVS and as DICOM."""

from __future__ import annotations

import json

import numpy as np
import openslide
import pytest
from PIL import Image

from napari_tumorseg.cli import main
from napari_tumorseg.io.slides import open_slide
from napari_tumorseg.pathology.stain import deconvolve
from napari_tumorseg.pathology.stain_estimation import estimate_macenko
from napari_tumorseg.pathology.tissue import find_tissue

SVS, DICOM = "CMU-1-Small-Region.svs", "CMU-1-Small-Region"


@pytest.fixture(scope="module")
def folder(real_data):
    return real_data("pathology/wsi/cmu1")


@pytest.fixture(scope="module")
def pixels(folder):
    """Return both at full resolution."""
    found = []
    for name in (SVS, DICOM):
        with open_slide(folder / name) as reader:
            found.append(reader.read(0, (0, 0, 2967, 2220)))
    return found


def test_both_say_the_same(folder):
    with open_slide(folder / SVS) as svs, open_slide(folder / DICOM) as dicom:
        assert svs.slide.levels == dicom.slide.levels
        assert svs.slide.mpp_um == pytest.approx((0.499, 0.499))
        assert dicom.slide.mpp_um == pytest.approx(svs.slide.mpp_um)
        assert (svs.slide.vendor, svs.slide.objective) == ("aperio", 20.0)
        assert {"label", "macro"} <= set(svs.slide.associated) & set(dicom.slide.associated)


def test_pixels_are_those_of_openslide(folder, pixels):
    for name, found in zip((SVS, DICOM), pixels, strict=True):
        path = folder / name
        with openslide.OpenSlide(str(path if path.is_file() else next(path.iterdir()))) as slide:
            expected = np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))
        assert np.array_equal(found, expected)


def test_svs_and_dicom_show_the_same_place(pixels):
    """The DICOM file was compressed anew (JPEG with halved colours), so that its pixels differ a little, but not in place."""
    svs, dicom = (p[200:1400, 400:1600].astype(np.int16) for p in pixels)
    apart = {(dy, dx): np.abs(np.roll(svs, (dy, dx), (0, 1)) - dicom).mean() for dy in (-1, 0, 1) for dx in (-1, 0, 1)}
    assert min(apart, key=apart.__getitem__) == (0, 0)
    assert apart[0, 0] < 4
    assert sorted(apart.values())[1] > 1.4 * apart[0, 0]


def test_one_file_of_the_dicom_slide_opens_the_slide(folder):
    file = next((folder / DICOM).iterdir())
    with open_slide(file) as reader:
        assert reader.slide.levels[0].shape == (2967, 2220)


def test_tissue_and_stains(folder):
    with open_slide(folder / SVS) as reader:
        thumbnail, level = reader.thumbnail()
        mpp = tuple(m * f for m, f in zip(reader.slide.mpp_um, reader.slide.levels[level].downsample, strict=True))
        tissue = find_tissue(thumbnail, mpp)
    assert 0.25 < tissue.mask.mean() < 0.5
    assert tissue.area_mm2 == pytest.approx(tissue.mask.mean() * 2967 * 2220 * 0.499e-3**2, rel=0.01)
    # Clear glass at the left, the epidermis in the middle.
    assert not tissue.mask[400:700, :60].any()
    assert tissue.mask[370, 230]
    found = estimate_macenko(thumbnail, background=tissue.glass)
    amounts = deconvolve(thumbnail, found)
    assert (amounts[tissue.mask][:, :2] > -0.1).mean() > 0.95
    assert np.abs(amounts[tissue.mask][:, 2]).mean() < 0.35 * amounts[tissue.mask][:, :2].mean()


def test_empty_tiles_hold_no_tissue_and_tumour_tiles_do(real_data):
    folder = real_data("pathology/tissue_kather2016")
    shares: dict[str, list[float]] = {}
    for path in folder.glob("*/*.png"):
        with Image.open(path) as picture:
            found = find_tissue(np.asarray(picture.convert("RGB")), (0.495, 0.495), smallest_mm2=1e-4, largest_hole_mm2=1e-5)
        shares.setdefault(path.parent.name, []).append(float(found.mask.mean()))
    assert shares["08_EMPTY"] == [0.0] * 3
    assert min(shares["01_TUMOR"]) > 0.8


def test_the_command(folder, capsys):
    assert main(["slide", "info", str(folder / DICOM), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["size_px"], document["format"], document["missing"]) == ([2967, 2220], "dicom-wsi", ["objective", "vendor"])
    assert document["size_mm"] == pytest.approx([1.4805, 1.1078], abs=1e-3)
    assert [level["made"] for level in document["levels"]] == [False, True, True]
    assert main(["slide", "info", str(folder / SVS)]) == 0
    assert "0.499 x 0.499 um per pixel (aperio header)" in capsys.readouterr().out
