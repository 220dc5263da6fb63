from __future__ import annotations

import numpy as np
import pytest

from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.workflows.display import colormap_for, display_window, in_reading_order, windows_for

GRID = Grid.from_spacing((20, 20, 20), (1, 1, 1))


def test_ct_opens_in_the_brain_window():
    window = display_window(Volume(np.zeros(GRID.shape), GRID, "CT", "HU"))
    assert (window.low, window.high) == (0, 80)


def test_windows_are_width_and_level():
    lung = next(w for w in windows_for(Volume(np.zeros(GRID.shape), GRID, "CT", "HU")) if w.name == "Lung")
    assert (lung.low, lung.high) == (-1350, 150)


def test_pet_in_suv_is_inverted_from_0_to_10():
    pet = Volume(np.zeros(GRID.shape), GRID, "PET", "SUVbw")
    assert (display_window(pet).low, display_window(pet).high, colormap_for(pet)) == (0, 10, "gray_r")


def test_mr_window_ignores_the_background():
    rng = np.random.default_rng(1)
    data = np.zeros(GRID.shape)
    data[5:15, 5:15, 5:15] = rng.normal(500, 50, (10, 10, 10))
    window = display_window(Volume(data, GRID, "T1c"))
    brain = data[data > 0]
    assert (window.low, window.high) == pytest.approx(np.percentile(brain, (1, 99.7)))


@pytest.mark.parametrize("fill", [0.0, 7.0, np.nan])
def test_a_constant_or_empty_image_has_a_window(fill):
    window = display_window(Volume(np.full(GRID.shape, fill), GRID, "T1"))
    assert window.high > window.low


def test_reading_order():
    assert in_reading_order(["T1", "other", "FLAIR", "T2", "T1c"]) == ["T1c", "FLAIR", "T2", "T1", "other"]
