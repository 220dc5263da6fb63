"""Tissue on thumbnails whose tissue is known, and blank glass, which has none."""

from __future__ import annotations

import numpy as np
import pytest

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.pathology.stain import compose
from napari_tumorseg.pathology.tissue import find_tissue

MPP = (8.0, 8.0)


def glass(seed: int = 0, level: float = 241.0, noise: float = 2.0, shading: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:300, :400]
    light = level - shading * np.hypot(y - 150, x - 200) / 250
    return np.clip(light[..., None] + rng.normal(0, noise, (300, 400, 3)), 0, 255).astype(np.uint8)


def disc(y: int, x: int, radius: int) -> np.ndarray:
    a, b = np.mgrid[:300, :400]
    return (a - y) ** 2 + (b - x) ** 2 <= radius**2


def with_tissue(where: np.ndarray, amounts: tuple[float, float] = (0.25, 0.3), seed: int = 0) -> np.ndarray:
    picture = glass(seed)
    rng = np.random.default_rng(seed + 1)
    given = np.zeros((*where.shape, 3))
    given[..., :2] = np.asarray(amounts) * rng.uniform(0.7, 1.3, (*where.shape, 2))
    picture[where] = np.clip(compose(given)[where] * 241 / 255, 0, 255).astype(np.uint8)
    return picture


@pytest.mark.parametrize(
    "picture",
    [
        glass(),
        glass(1, 255, 0),
        glass(2, 225, 4),
        glass(3, 240, 2, 25),
        np.full((300, 400, 3), 255, np.uint8),
        np.zeros((300, 400, 3), np.uint8),
    ],
    ids=["glass", "white", "noisy", "shaded", "empty", "black"],
)
def test_blank_glass_gives_nothing(picture):
    found = find_tissue(picture, MPP)
    assert not found.mask.any()
    assert found.area_mm2 == 0


@pytest.mark.parametrize("amounts", [(0.25, 0.3), (0.02, 0.12), (1.2, 0.8)], ids=["usual", "pale", "dense"])
def test_tissue_is_found_where_it_is(amounts):
    where = disc(120, 150, 60) | disc(200, 310, 40)
    found = find_tissue(with_tissue(where, amounts), MPP)
    both = 2 * (found.mask & where).sum() / (found.mask.sum() + where.sum())
    assert both > 0.97
    assert found.area_mm2 == pytest.approx(found.mask.sum() * 64e-6)


def test_grey_dust_and_a_pen_line_of_grey_are_no_tissue():
    picture = glass()
    picture[disc(60, 60, 12)] = 90
    picture[140:144] = 120
    assert not find_tissue(picture, MPP).mask.any()


def test_small_parts_and_small_holes():
    where = disc(150, 200, 60) & ~disc(150, 200, 6)
    where |= disc(40, 40, 4)
    found = find_tissue(with_tissue(where), MPP, smallest_mm2=0.02, largest_hole_mm2=0.02)
    assert not found.mask[:60, :60].any()
    assert found.mask[150, 200]
    kept = find_tissue(with_tissue(where), MPP, smallest_mm2=0.001, largest_hole_mm2=0.001)
    assert kept.mask[40, 40]
    assert not kept.mask[150, 200]


def test_glass_in_a_corner_is_no_hole():
    where = np.ones((300, 400), bool)
    where[:12, :15] = False
    found = find_tissue(with_tissue(where), MPP, smallest_mm2=0.02, largest_hole_mm2=0.02)
    assert not found.mask[:8, :10].any()
    assert found.mask[30:, 30:].all()


def test_without_a_resolution_there_is_no_area():
    assert find_tissue(with_tissue(disc(100, 100, 50))).area_mm2 is None


@pytest.mark.parametrize("picture", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.uint16), np.zeros((9, 9, 4), np.uint8)])
def test_other_images_are_refused(picture):
    with pytest.raises(InputError, match="8 bits"):
        find_tissue(picture)
