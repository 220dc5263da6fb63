from __future__ import annotations

import numpy as np
import pytest

from napari_tumorseg.editing.intensity import likeness


@pytest.fixture
def head() -> np.ndarray:
    """Nothing at 0, an organ at 200, in it a lesion, all but nothing with noise of 5."""
    rng = np.random.default_rng(0)
    z, y, x = np.ogrid[-6:6, -18:18, -20:20]
    image = np.where((z / 6) ** 2 + (y / 15) ** 2 + (x / 17) ** 2 < 1, 200 + rng.normal(0, 5, (12, 36, 40)), 0.0)
    image[5:8, 14:19, 14:19] += 100
    return image


@pytest.mark.parametrize(
    ("at", "inside", "outside"),
    [((6, 16, 16), (290, 300, 315), (0, 200, 215)), ((6, 24, 24), (190, 200, 215), (0, 300)), ((0, 0, 0), (0,), (200, 300))],
)
def test_each_of_three_classes_is_told_from_the_others(head, at, inside, outside) -> None:
    low, high = likeness(head, at)
    assert all(low <= value <= high for value in inside)
    assert not any(low <= value <= high for value in outside)


def test_the_voxels_own_level_is_always_inside(head) -> None:
    for gain in (30, 100, 300, 3000):
        image = head.copy()
        image[5:8, 14:19, 14:19] += gain
        low, high = likeness(image, (6, 16, 16))
        assert low < np.median(image[5:8, 15:18, 15:18]) < high
