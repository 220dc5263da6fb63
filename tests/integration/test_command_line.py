"""The command line from end to end: the sample case, bad input, and stopping."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_tumorseg.cli import main

SAMPLE = Path(str(files("napari_tumorseg"))) / "sample_data" / "brain_mets"


@pytest.fixture
def small_case(tmp_path: Path) -> Path:
    """A case of four small sequences with a bright ball, oblique and anisotropic."""
    folder = tmp_path / "case"
    folder.mkdir()
    rng = np.random.default_rng(3)
    at = np.indices((40, 44, 24))
    inside = sum((a - c) ** 2 / r**2 for a, c, r in zip(at, (20, 22, 12), (18, 20, 11), strict=True)) < 1
    affine = np.array([[-1.0, 0.1, 0, 30], [0.1, 1.0, 0, -20], [0, 0, 2.5, 5], [0, 0, 0, 1]])
    for name in ("t1n", "t1c", "t2w", "t2f"):
        data = (inside * rng.normal(400, 30, at.shape[1:])).clip(0).astype(np.int16)
        nib.Nifti1Image(data, affine).to_filename(folder / f"case-{name}.nii.gz")
    return folder


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    status = main(arguments)
    said = capsys.readouterr()
    return status, said.out, said.err


def test_the_sample_case_is_segmented_to_a_mask_and_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(["segment", str(SAMPLE), "--out", str(tmp_path / "out"), "--device", "cpu", "--json"], capsys)
    assert status == 0
    document = json.loads(out)
    image, mask = nib.load(SAMPLE / "t1c.nii.gz"), nib.load(document["mask"])
    assert mask.shape == image.shape
    assert np.array_equal(mask.affine, image.affine)
    labels = np.asanyarray(mask.dataobj)
    assert set(np.unique(labels)) <= {0, 1, 2, 3}
    voxel_ml = abs(np.linalg.det(image.affine[:3, :3])) / 1000
    assert document["regions_ml"]["WT"] == pytest.approx((labels > 0).sum() * voxel_ml, abs=1e-3)
    assert document["regions_ml"]["ET"] == pytest.approx((labels == 3).sum() * voxel_ml, abs=1e-3)
    assert sum(lesion["volume_mm3"] for lesion in document["lesions"]) / 1000 == pytest.approx(document["regions_ml"]["WT"], abs=1e-3)
    assert document["lesions"], "the sample holds metastases that the model finds"
    assert document["review"] == "AI, not reviewed"
    assert any("metastases" in warning for warning in document["warnings"])
    reports = [json.loads(p.read_text()) for p in (tmp_path / "out").glob("*.json")]
    assert reports == [document]


def test_a_second_run_keeps_the_first_result(small_case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = json.loads(run(["segment", str(small_case), "--out", str(tmp_path), "--json"], capsys)[1])
    before = Path(first["mask"]).read_bytes()
    second = json.loads(run(["segment", str(small_case), "--out", str(tmp_path), "--json"], capsys)[1])
    assert second["mask"] != first["mask"]
    assert Path(first["mask"]).read_bytes() == before


def test_probabilities_are_written_when_asked_for(small_case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(run(["segment", str(small_case), "--out", str(tmp_path), "--probabilities", "--json"], capsys)[1])
    assert set(document["probabilities"]) == {"WT", "TC", "ET"}
    for path in document["probabilities"].values():
        values = nib.load(path).get_fdata()
        assert values.shape == (40, 44, 24)
        assert 0 <= values.min() <= values.max() <= 1


def test_in_a_pipe_there_is_no_progress_bar(small_case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(["segment", str(small_case), "--out", str(tmp_path)], capsys)
    assert (status, err) == (0, "")


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2000])


def _text(path: Path) -> None:
    path.write_text("these are not voxels")


def _four_d(path: Path) -> None:
    nib.Nifti1Image(np.zeros((5, 5, 5, 4), np.int16), np.eye(4)).to_filename(path)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _zero_size(path: Path) -> None:
    raw = bytearray(gzip.decompress(path.read_bytes()))
    raw[42:44] = (0).to_bytes(2, "little")
    path.write_bytes(gzip.compress(bytes(raw)))


@pytest.mark.parametrize("damage", [_truncate, _text, _four_d, _empty, _zero_size])
def test_a_damaged_image_is_one_line_that_names_it(
    small_case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None]
) -> None:
    damage(small_case / "case-t1c.nii.gz")
    status, out, err = run(["segment", str(small_case), "--out", str(tmp_path / "out"), "--json"], capsys)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "case-t1c.nii.gz" in err
    assert not (tmp_path / "out").exists()


def test_voxels_that_are_no_numbers_are_counted_and_said(small_case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = small_case / "case-t1c.nii.gz"
    image = nib.load(path)
    data = image.get_fdata().astype(np.float32)
    data[20, 20, 10:13] = (np.nan, np.inf, -np.inf)
    nib.Nifti1Image(data, image.affine).to_filename(path)
    status, out, _ = run(["segment", str(small_case), "--out", str(tmp_path / "out"), "--json"], capsys)
    assert status == 0
    assert any("3" in w and "case-t1c" in w for w in json.loads(out)["warnings"])


def test_sequences_on_different_grids_are_brought_together(small_case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = small_case / "case-t2f.nii.gz"
    image = nib.load(path)
    thin = np.repeat(np.asanyarray(image.dataobj), 2, axis=2)
    nib.Nifti1Image(thin, image.affine @ np.diag((1, 1, 0.5, 1))).to_filename(path)
    status, out, _ = run(["segment", str(small_case), "--out", str(tmp_path / "out"), "--json"], capsys)
    assert status == 0
    assert nib.load(json.loads(out)["mask"]).shape == (40, 44, 24)


def test_a_target_that_is_a_file_is_said_before_anything_is_lost(
    small_case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("mine")
    status, _, err = run(["segment", str(small_case), "--out", str(tmp_path / "out")], capsys)
    assert (status, err.count("\n")) == (2, 1)
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.skipif(os.name != "posix", reason="signals differ on Windows")
def test_ctrl_c_while_segmenting_leaves_no_half_file(tmp_path: Path) -> None:
    # The interrupt is sent from inside, at a progress report in the middle of the network's work.
    code = (
        "import os, signal, sys\n"
        "from napari_tumorseg.core import jobs\n"
        "old = jobs.Progress.update\n"
        "def update(self, fraction, message):\n"
        "    if message.startswith('Segmenting: window 1 '): os.kill(os.getpid(), signal.SIGINT)\n"
        "    old(self, fraction, message)\n"
        "jobs.Progress.update = update\n"
        "from napari_tumorseg.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", code, "segment", str(SAMPLE), "--out", str(tmp_path / "out"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped.\n")
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_the_demo_without_a_display_leaves_its_three_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "napari_tumorseg.cli", "demo", "--no-window", "--out", str(tmp_path / "demo")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    assert "virtual" in done.stdout
    names = sorted(p.name for p in (tmp_path / "demo").iterdir())
    assert names == ["brain_mets-report.json", "brain_mets-seg-ai.nii.gz", "screenshot.png"]
    from PIL import Image

    with Image.open(tmp_path / "demo" / "screenshot.png") as picture:
        assert min(picture.size) >= 600
        colours = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    # Enhancing tumour is drawn in its colour, #D55E00: hue well apart from the greys of image and window.
    orange = (colours[:, 0].astype(int) - colours[:, 2] > 90).sum()
    assert orange > 200
