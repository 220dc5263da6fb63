from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.volume import Slide, SlideLevel, Source, Volume

GRID = Grid.from_spacing((2, 3, 4), (1, 1, 1))
LEVELS = (SlideLevel((2000, 3000), (1.0, 1.0)), SlideLevel((500, 750), (4.0, 4.0)))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.complex64])
def test_a_volume_is_real_or_complex(dtype: Any) -> None:
    volume = Volume(np.zeros(GRID.shape, dtype), GRID, "T1", source=Source("nifti", (Path("t1.nii.gz"),)))
    assert volume.shape == (2, 3, 4)
    assert volume.data.dtype == dtype
    assert volume.channels == ()


def test_channels_are_named_and_come_first() -> None:
    colour = Volume(np.zeros((3, 2, 3, 4), np.uint8), GRID, channels=("R", "G", "B"))
    assert colour.shape == (2, 3, 4)


@pytest.mark.parametrize(
    ("shape", "channels"), [((4, 3, 2), ()), ((3, 2, 3, 4), ()), ((2, 2, 3, 4), ("R", "G", "B")), ((2, 3, 4), ("R", "G"))]
)
def test_an_image_must_fit_its_grid(shape: tuple[int, ...], channels: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"t1\.nii has shape"):
        Volume(np.zeros(shape), GRID, channels=channels, name="t1.nii")


def test_a_slide_is_a_type_of_its_own() -> None:
    slide = Slide(Path("slide.svs"), LEVELS)
    assert slide.mpp_um is None
    assert not isinstance(slide, Volume)
    assert Slide(Path("slide.svs"), LEVELS, (0.25, 0.25)).mpp_um == (0.25, 0.25)


def test_a_slide_needs_a_level_and_a_size_of_its_pixels_that_can_be() -> None:
    with pytest.raises(InputError, match=r"slide\.svs holds no image level"):
        Slide(Path("folder/slide.svs"), ())
    for mpp_um in ((0.0, 0.25), (0.25, -1.0), (float("nan"), 0.25), (float("inf"), 0.25)):
        with pytest.raises(InputError, match="micrometres per pixel"):
            Slide(Path("slide.svs"), LEVELS, mpp_um)
