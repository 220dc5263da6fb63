from __future__ import annotations

import numpy as np
import pytest

from napari_tumorseg.core.errors import ModelError
from napari_tumorseg.inference.normalise import NORMALISERS, normaliser, zscore_nonzero


def test_the_brain_has_mean_0_and_deviation_1_and_the_background_stays_0() -> None:
    rng = np.random.default_rng(0)
    volume = np.zeros((6, 7, 8), np.int16)
    volume[1:5, 1:6, 1:7] = rng.integers(50, 150, (4, 5, 6))
    scaled = zscore_nonzero(volume)
    brain = scaled[volume != 0]
    assert scaled.dtype == np.float32
    assert not scaled[volume == 0].any()
    assert brain.mean() == pytest.approx(0, abs=1e-5)
    assert brain.std() == pytest.approx(1, abs=1e-5)
    expected = (volume[volume != 0] - volume[volume != 0].mean()) / volume[volume != 0].std()
    np.testing.assert_allclose(brain, expected, atol=1e-5)


def test_outliers_are_clipped_to_5_deviations() -> None:
    volume = np.ones((10, 10, 10), np.float32)
    volume[0, 0, 0] = 1e6
    assert zscore_nonzero(volume).max() == 5


@pytest.mark.parametrize("value", [0, 7])
def test_a_flat_image_becomes_zero(value: int) -> None:
    assert not zscore_nonzero(np.full((3, 3, 3), value, np.uint8)).any()


def test_an_unknown_name_lists_the_known_ones() -> None:
    assert normaliser("none") is NORMALISERS["none"]
    with pytest.raises(ModelError, match="zscore-nonzero"):
        normaliser("percentile")
