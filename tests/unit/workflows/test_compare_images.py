"""Subtraction and slabs, against images whose difference is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_tumorseg.core.errors import Cancelled, InputError
from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.jobs import CancelToken, Progress
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.inference.resample import resample
from napari_tumorseg.phantoms.brain import make_brain_phantom, tiny
from napari_tumorseg.workflows import compare_images
from napari_tumorseg.workflows.compare_images import Slab, match_intensity, subtract
from napari_tumorseg.workflows.prior_registration import Registration


@pytest.fixture(scope="module")
def phantom():
    return make_brain_phantom(tiny(3, shape=(64, 76, 62), spacing_mm=(2.5, 2.5, 2.5)))


def head(seed=0, shape=(20, 30, 32)):
    """Return smooth tissue in a ball, 0 around it."""
    from scipy import ndimage

    z, y, x = np.indices(shape)
    inside = ((z - 10) / 9) ** 2 + ((y - 15) / 13) ** 2 + ((x - 16) / 14) ** 2 < 1
    tissue = 400 + 60 * ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2) / 0.05
    return np.where(inside, np.clip(tissue, 250, 600), 0).astype(np.float32), inside


GRID = Grid.from_spacing((20, 30, 32), (3, 1, 1))


@given(st.floats(0.2, 5), st.floats(-300, 300), st.floats(0, 0.25), st.integers(0, 1000))
def test_a_linear_map_is_found_whatever_a_quarter_of_the_voxels_do(gain, offset, share, seed):
    rng = np.random.default_rng(seed)
    x = rng.uniform(100, 500, 3000)
    noise = rng.normal(0, 2, x.size)
    y = gain * x + offset + noise
    bright = rng.random(x.size) < share
    y[bright] += rng.uniform(300, 3000, int(bright.sum())) * gain
    found = match_intensity(x, y)
    assert found.gain == pytest.approx(gain, abs=0.01)
    assert found.gain * 300 + found.offset == pytest.approx(gain * 300 + offset, abs=1)
    # The median of what is left, a quarter of it far away, is up to 1.8 times what it would be.
    assert 0.85 * 2 < found.spread < 1.8 * 2


def test_what_is_left_is_the_enhancement():
    tissue, inside = head()
    enhanced = np.zeros(tissue.shape, bool)
    enhanced[9:12, 10:15, 12:18] = True
    after = 1.8 * tissue + 40 * inside + 350 * enhanced
    found = subtract(Volume(after, GRID, "T1c"), Volume(tissue, GRID, "T1"))
    assert (found.volume.name, found.registration, found.notes) == ("T1c minus T1", None, ())
    assert found.match.gain == pytest.approx(1.8, abs=1e-3)
    assert found.volume.data[enhanced] == pytest.approx(350, abs=1)
    assert np.abs(found.volume.data[inside & ~enhanced]).max() < 1
    assert not found.volume.data[~inside].any()
    assert found.volume.data.dtype == np.float32
    assert found.window[0] == -found.window[1] < 0


def test_metastases_of_the_phantom_stand_out(phantom):
    found = subtract(phantom.volumes["T1c"], phantom.volumes["T1"])
    enhancing = phantom.labels.labels == 3
    healthy = phantom.brain & (phantom.labels.labels == 0)
    difference = found.volume.data
    assert np.median(difference[enhancing]) > 4 * found.match.spread
    assert abs(np.median(difference[healthy])) < found.match.spread


def test_another_grid_is_registered_first(phantom):
    after, before = phantom.volumes["T1c"], phantom.volumes["T1"]
    shift = np.eye(4)
    shift[:3, 3] = (9, -7, 5)
    lattice = Grid.from_spacing((56, 76, 66), (3.2, 2.8, 2.6), after.grid.orientation)
    affine = lattice.affine.copy()
    affine[:3, 3] += after.grid.to_mm(np.array(after.shape) / 2) - lattice.to_mm(np.array(lattice.shape) / 2)
    grid = Grid(lattice.shape, affine)
    moved = resample(before.data, Grid(before.shape, shift @ before.grid.affine), grid)
    found = subtract(after, Volume(moved, grid, "T1"))
    assert found.notes == ("T1 was registered to T1c before.",)
    points = after.grid.to_mm(np.argwhere(phantom.brain)[::301])
    back = (points + shift[:3, 3]) @ found.registration.matrix[:3, :3].T + found.registration.matrix[:3, 3]
    assert np.linalg.norm(back - points, axis=1).max() < 0.8
    enhancing = phantom.labels.labels == 3
    assert np.median(found.volume.data[enhancing]) > 3 * found.match.spread


def test_the_edge_of_a_smaller_image_is_no_difference(monkeypatch):
    tissue, inside = head()
    half = Volume(tissue[5:], GRID.crop(Box((5, 0, 0), GRID.shape)), "T1")
    monkeypatch.setattr(compare_images, "register", lambda *_: Registration(np.eye(4), 1.0, True))
    found = subtract(Volume(2 * tissue, GRID, "T1c"), half)
    assert not found.volume.data[:5].any()
    assert np.abs(found.volume.data[inside]).max() < 1


def test_nothing_in_common_says_so():
    tissue, _ = head()
    with pytest.raises(InputError, match="too little in common"):
        subtract(Volume(tissue, GRID, "T1c"), Volume(0 * tissue, GRID, "T1"))
    colour = Volume(np.zeros((3, *GRID.shape), np.uint8), GRID, channels=("R", "G", "B"), name="photo")
    with pytest.raises(InputError, match="photo is a colour"):
        subtract(colour, Volume(tissue, GRID, "T1"))


def test_it_can_be_stopped():
    tissue, _ = head()
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        subtract(Volume(tissue, GRID), Volume(tissue, GRID), progress=Progress(cancel=token))


@given(st.floats(0, 60), st.floats(0.3, 7))
def test_a_slab_is_symmetric_and_no_thicker_than_asked(thickness_mm, spacing_mm):
    slab = Slab("max", thickness_mm)
    count = slab.slices(spacing_mm)
    assert count % 2 == 1
    assert count == 1 or count * spacing_mm <= thickness_mm + 1e-4
    assert (count + 2) * spacing_mm > thickness_mm - 1e-4
    assert slab.margins(spacing_mm) == ((count // 2) * spacing_mm,) * 2
