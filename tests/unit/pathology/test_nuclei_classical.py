from __future__ import annotations

import numpy as np
import pytest

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.pathology.nuclei_classical import ClassicalOptions, find_nuclei
from napari_tumorseg.pathology.nuclei_scores import detection_scores
from napari_tumorseg.pathology.stain import compose, deconvolve


def discs(spacing_um: float, side_um: float = 150.0, radius_um: float = 4.0) -> np.ndarray:
    """Sixteen discs on a lattice, and two that touch."""
    n = round(side_um / spacing_um)
    y, x = (np.mgrid[:n, :n] + 0.5) * spacing_um
    drawn = np.zeros((n, n), np.int32)
    at = [(20 + 30 * i, 20 + 30 * j) for i in range(4) for j in range(4)] + [(128.0, 128.0), (128.0, 135.5)]
    for number, (cy, cx) in enumerate(at, start=1):
        drawn[(y - cy) ** 2 + (x - cx) ** 2 <= radius_um**2] = number
    return drawn


@pytest.mark.parametrize("spacing_um", [0.25, 0.37, 0.5])
def test_round_nuclei_are_found_and_touching_ones_split(spacing_um: float) -> None:
    drawn = discs(spacing_um)
    rgb = compose(np.stack([0.05 + 0.6 * (drawn > 0), np.full(drawn.shape, 0.15), np.zeros(drawn.shape)], axis=-1))
    noisy = np.clip(rgb + np.random.default_rng(0).normal(0, 4, rgb.shape), 0, 255).astype(np.uint8)
    found = find_nuclei(deconvolve(noisy)[..., 0], spacing_um)
    assert found.shape == drawn.shape
    assert np.array_equal(np.unique(found), np.arange(found.max() + 1))
    scores = detection_scores(drawn, found)
    assert scores.true_positives == 18
    assert scores.false_positives == 0


@pytest.mark.parametrize("level", [255, 240, 200])
def test_blank_glass_holds_no_nuclei(level: int) -> None:
    rng = np.random.default_rng(level)
    glass = np.clip(rng.normal(level, 6, (400, 400, 3)), 0, 255).astype(np.uint8)
    assert find_nuclei(deconvolve(glass)[..., 0], 0.25).max() == 0


def test_an_evenly_stained_area_holds_no_nuclei() -> None:
    assert find_nuclei(np.full((200, 200), 0.7), 0.5).max() == 0


def test_sizes_outside_the_limits_are_left_out() -> None:
    stain = 0.6 * (discs(0.5) > 0)
    assert find_nuclei(stain, 0.5, ClassicalOptions(min_area_um2=90)).max() == 0
    assert find_nuclei(stain, 0.5, ClassicalOptions(max_area_um2=12)).max() == 0


def test_bad_input_is_named() -> None:
    with pytest.raises(InputError, match="micrometres per pixel"):
        find_nuclei(np.zeros((8, 8)), 2.0)
    with pytest.raises(InputError, match="finite"):
        find_nuclei(np.full((8, 8), np.nan), 0.5)
    assert find_nuclei(np.zeros((0, 8)), 0.25).shape == (0, 8)
