"""`tumorseg slide info`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_tumorseg.cli import main


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    path = tmp_path / "s.tif"
    pixels = np.zeros((600, 1100, 3), np.uint8)
    with tifffile.TiffWriter(path) as file:
        file.write(pixels, tile=(128, 128), photometric="rgb", metadata=None)
    return path


def test_json(slide, capsys):
    assert main(["slide", "info", str(slide), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["size_px"], found["mpp_um"], found["size_mm"]) == ([600, 1100], None, None)
    assert "mpp_um" in found["missing"]
    assert [(level["shape"], level["downsample"], level["made"]) for level in found["levels"]] == [
        ([600, 1100], [1.0, 1.0], False),
        ([300, 550], [2.0, 2.0], True),
    ]


def test_a_stated_resolution(slide, capsys):
    assert main(["slide", "info", str(slide), "--mpp", "0.25,0.5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["mpp_um"], found["mpp_from"]) == ([0.25, 0.5], "stated")
    assert found["size_mm"] == pytest.approx([0.15, 0.55])
    assert found["levels"][1]["mpp_um"] == [0.5, 1.0]


def test_text(slide, capsys):
    assert main(["slide", "info", str(slide)]) == 0
    text = capsys.readouterr().out
    assert "Resolution: not known; state it with --mpp" in text
    assert "Level 1: 550 x 300, factor 2, averaged when looked at" in text


@pytest.mark.parametrize("mpp", ["0", "-1", "25", "a", "1,2,3", "nan", "inf"])
def test_an_impossible_resolution(slide, capsys, mpp):
    assert main(["slide", "info", str(slide), f"--mpp={mpp}"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Traceback" not in said


def test_no_slide(tmp_path, capsys):
    (tmp_path / "x.svs").write_bytes(b"hello")
    for path in (tmp_path / "x.svs", tmp_path / "none.svs", tmp_path):
        assert main(["slide", "info", str(path)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
