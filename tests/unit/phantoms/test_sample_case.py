"""The committed case is what the generator makes, and what the manifest says."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from napari_tumorseg.core.case import MaskKind, TimePoint
from napari_tumorseg.io.cases import read_case
from napari_tumorseg.phantoms.brain import BrainPhantomConfig, Metastasis, make_brain_phantom

FOLDER = Path(__file__).parents[3] / "sample_data"
CASE = FOLDER / "brain_mets"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", FOLDER / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def visit() -> TimePoint:
    return read_case(CASE).latest


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return dict(json.loads((CASE / "manifest.json").read_text(encoding="utf-8")))


def test_it_is_small_and_complete() -> None:
    names = {"t1n.nii.gz", "t1c.nii.gz", "t2w.nii.gz", "t2f.nii.gz", "seg.nii.gz", "manifest.json"}
    assert {path.name for path in CASE.iterdir()} == names
    assert sum(path.stat().st_size for path in CASE.iterdir()) < 6e6


def test_it_reads_as_a_case(visit: TimePoint) -> None:
    assert set(visit.volumes) == {"T1", "T1c", "T2", "FLAIR"}
    assert [v.warnings for v in visit.volumes.values()] == [()] * 4
    (mask,) = visit.masks["seg"]
    assert mask.kind is MaskKind.REFERENCE
    assert mask.schema.name == "brats-mets-2025"
    assert set(np.unique(mask.labels)) == {0, 1, 2, 3}
    for volume in visit.volumes.values():
        assert volume.data.dtype == np.int16
        assert volume.grid.matches(mask.grid)
        assert volume.grid.orientation == "SPL"
        assert not mask.labels[volume.data == 0].any()


def test_the_arrays_have_the_hashes_of_the_manifest(visit: TimePoint, manifest: dict[str, Any], generate: ModuleType) -> None:
    arrays = {generate.FILES[name]: volume.data for name, volume in visit.volumes.items()} | {"seg": visit.masks["seg"][0].labels}
    assert {name: generate.sha256(array) for name, array in arrays.items()} == manifest["sha256"]


def test_the_planted_lesions_are_there(visit: TimePoint, manifest: dict[str, Any]) -> None:
    mask = visit.masks["seg"][0]
    assert [lesion["kind"] for lesion in manifest["lesions"]] == ["ring"] * 3 + ["solid"] * 3 + ["tiny"] * 2
    z, y, x = np.ogrid[tuple(slice(0, n) for n in mask.grid.shape)]
    for lesion in manifest["lesions"]:
        a, b, c = mask.grid.to_index(lesion["centre_mm"])
        near = (z - a) ** 2 + (y - b) ** 2 + (x - c) ** 2 < (0.9 * lesion["diameter_mm"] + 2) ** 2
        core = np.count_nonzero(np.isin(mask.labels, (1, 3)) & near)
        assert core == pytest.approx(np.pi / 6 * lesion["diameter_mm"] ** 3, rel=0.1)


def lesions_of(manifest: dict[str, Any]) -> tuple[Metastasis, ...]:
    fields = ("kind", "centre_mm", "diameter_mm", "oedema_ml", "seed")
    return tuple(Metastasis(**{f: tuple(row[f]) if f == "centre_mm" else row[f] for f in fields}) for row in manifest["lesions"])


def blocks(array: np.ndarray, n: int) -> np.ndarray:
    a, b, c = (size // n for size in array.shape)
    return np.asarray(array[: a * n, : b * n, : c * n].reshape(a, n, b, n, c, n).mean(axis=(1, 3, 5)))


def test_the_generator_still_makes_this_head(visit: TimePoint, manifest: dict[str, Any], generate: ModuleType) -> None:
    # At half the resolution, so that it takes a second; the slow test below makes all of it.
    config: BrainPhantomConfig = generate.CONFIG
    shape = tuple(n // 2 for n in config.shape)
    coarse = make_brain_phantom(
        BrainPhantomConfig(shape=shape, spacing_mm=(2.0, 2.0, 2.0), seed=config.seed, size=config.size, lesions=lesions_of(manifest))
    )
    assert [2 * n for n in coarse.grid.shape] == list(visit.volumes["T1"].grid.shape)
    for name, volume in visit.volumes.items():
        small = blocks(volume.data.astype(float), 2)
        inside = (small > 0) & coarse.brain
        assert inside.sum() > 0.96 * coarse.brain.sum()
        assert np.corrcoef(small[inside], coarse.volumes[name].data[inside])[0, 1] > 0.85
    truth = blocks((visit.masks["seg"][0].labels > 0).astype(float), 2) > 0.5
    again = coarse.labels.labels > 0
    assert 2 * (truth & again).sum() / (truth.sum() + again.sum()) > 0.8


@pytest.mark.slow
def test_making_it_again_gives_the_committed_case(visit: TimePoint, manifest: dict[str, Any], generate: ModuleType) -> None:
    again = make_brain_phantom(generate.CONFIG)
    assert list(lesions_of(manifest)) == list(again.lesions)
    # Rounding differs between processors: a value or a voxel of an edge here and there.
    assert (again.labels.labels != visit.masks["seg"][0].labels).mean() < 1e-5
    for name, volume in visit.volumes.items():
        difference = np.abs(again.volumes[name].data.astype(int) - volume.data)
        assert (difference > 1).mean() < 1e-5
        assert (difference > 0).mean() < 1e-2
