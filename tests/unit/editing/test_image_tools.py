from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box
from napari_tumorseg.editing.brush import brush_mask
from napari_tumorseg.editing.gates import AdaptiveParams, ThresholdParams, adaptive_gate, suggest_window, threshold_gate
from napari_tumorseg.editing.grow import GrowParams, grow
from napari_tumorseg.editing.grow_seeds import GrowSeedsParams, grow_seeds
from napari_tumorseg.editing.intensity import likeness, noise_of
from napari_tumorseg.editing.level_tracing import LevelParams, level_tracing
from napari_tumorseg.editing.scope import Target

SPACING = (3.0, 0.8, 0.6)
SHAPE = (13, 48, 64)


def _lesion(radius: float = 9.0, noise: float = 4.0, bright: float = 100.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return an image of a ball on a noisy ground and the ball; middle at voxel (6, 24, 32)."""
    z, y, x = ((axis - m) * s for axis, m, s in zip(np.ogrid[0:13, 0:48, 0:64], (6, 24, 32), SPACING, strict=True))
    inside = np.asarray(z**2 + y**2 + x**2 <= radius**2)
    ground = np.random.default_rng(seed).normal(200, noise, SHAPE)
    return ground + bright * inside, inside


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


@given(st.floats(0.5, 30), st.integers(0, 5))
def test_noise_is_estimated_in_spite_of_a_lesion(noise: float, seed: int) -> None:
    image, _ = _lesion(noise=noise, seed=seed)
    assert noise_of(image) == pytest.approx(noise, rel=0.15)


@given(st.floats(-50, 400), st.floats(0, 200))
def test_threshold_paint_is_the_window_under_the_brush(make_scope, low: float, width: float) -> None:
    image, _ = _lesion()
    scope = make_scope(np.zeros(SHAPE, np.uint8), image=image)
    box = Box((5, 10, 12), (8, 40, 50))
    under = np.random.default_rng(0).random(box.shape) > 0.3
    found = threshold_gate(scope, Target(), box, under, ThresholdParams(low, low + width))
    block = image[box.slices]
    assert np.array_equal(found, under & (block >= low) & (block <= low + width))


@pytest.mark.parametrize("bright", [100.0, -100.0])
def test_the_suggested_window_parts_lesion_and_ground(make_scope, bright: float) -> None:
    image, inside = _lesion(bright=bright)
    scope = make_scope(np.zeros(SHAPE, np.uint8), image=image)
    window = suggest_window(scope, Target(voxel=(6, 24, 32)))
    assert _dice((image >= window.low) & (image <= window.high), inside) > 0.97
    ground = suggest_window(scope, Target(voxel=(6, 24, 6)))
    near = np.s_[2:11, 8:40, 2:30]
    assert _dice(((image >= ground.low) & (image <= ground.high))[near], ~inside[near]) > 0.97
    with pytest.raises(InputError, match="same intensity"):
        suggest_window(make_scope(np.zeros(SHAPE, np.uint8), image=np.zeros(SHAPE)), Target(voxel=(6, 24, 32)))


def _gate(make_scope, image: np.ndarray, voxel, diameter: float, params: AdaptiveParams, axis: int = 0, flat: bool = False) -> np.ndarray:
    scope = make_scope(np.zeros(image.shape, np.uint8), image=image)
    mask, offset = brush_mask(diameter, SPACING, axis if flat else None)
    start = tuple(max(v + o, 0) for v, o in zip(voxel, offset, strict=True))
    stop = tuple(min(v + o + n, m) for v, o, n, m in zip(voxel, offset, mask.shape, image.shape, strict=True))
    part = tuple(slice(a - v - o, b - v - o) for a, b, v, o in zip(start, stop, voxel, offset, strict=True))
    box = Box(start, stop)
    found = np.zeros(image.shape, bool)
    gate = adaptive_gate(scope, Target(voxel=voxel, axis=axis), box, mask[part], params)
    assert not (gate & ~mask[part]).any()
    found[box.slices] = gate
    return found


@pytest.mark.parametrize("bright", [60.0, -60.0])
@pytest.mark.parametrize("flat", [False, True])
def test_the_adaptive_brush_stops_at_the_border_of_the_lesion(make_scope, bright: float, flat: bool) -> None:
    image, inside = _lesion(bright=bright)
    for voxel in ((6, 24, 22), (6, 16, 32)):  # off the middle, so that the brush covers the border
        found = _gate(make_scope, image, voxel, 14.0, AdaptiveParams(in_3d=not flat), flat=flat)
        assert found[voxel]
        assert (found & ~inside).sum() <= 0.01 * found.sum()
        mask, offset = brush_mask(14.0, SPACING, 0 if flat else None)
        under = np.zeros(SHAPE, bool)
        at = tuple(slice(v + o, v + o + n) for v, o, n in zip(voxel, offset, mask.shape, strict=True))
        under[at] = mask
        assert (found & inside).sum() >= 0.97 * (under & inside).sum()


def test_the_adaptive_brush_hangs_together_with_the_cursor(make_scope) -> None:
    image = np.random.default_rng(0).normal(100, 2, SHAPE)
    image[:, :, 30:33] += 100  # a wall across the brush
    found = _gate(make_scope, image, (6, 24, 27), 16.0, AdaptiveParams())
    assert found[6, 24, 27]
    assert not found[:, :, 30:].any()
    assert ndimage.label(found)[1] == 1


def test_the_adaptive_brush_paints_all_of_one_tissue_and_nothing_off_the_brush(make_scope) -> None:
    image = np.random.default_rng(0).normal(100, 5, SHAPE)
    mask, _ = brush_mask(10.0, SPACING)
    assert _gate(make_scope, image, (6, 24, 27), 10.0, AdaptiveParams()).sum() >= 0.97 * mask.sum()
    scope = make_scope(np.zeros(SHAPE, np.uint8), image=image)
    box = Box((0, 0, 0), (2, 2, 2))
    assert not adaptive_gate(scope, Target(voxel=(6, 6, 6)), box, np.ones(box.shape, bool), AdaptiveParams()).any()
    with pytest.raises(InputError, match="image"):
        adaptive_gate(make_scope(np.zeros(SHAPE, np.uint8)), Target(voxel=(0, 0, 0)), box, np.ones(box.shape, bool), AdaptiveParams())


def test_a_constant_image_is_all_alike() -> None:
    low, high = likeness(np.full((5, 5, 5), 7.0), (2, 2, 2))
    assert low < 7 < high


@given(st.floats(1, 300), st.floats(4, 12), st.sampled_from([0, 1, 2]), st.booleans())
def test_growing_is_the_connected_window_within_the_radius(
    make_scope, apply, tolerance: float, radius: float, axis: int, in_3d: bool
) -> None:
    image, _ = _lesion(noise=20)
    voxel = (6, 24, 32)
    scope = make_scope(np.zeros(SHAPE, np.uint8), image=image)
    done = apply(scope, grow(scope, Target(voxel=voxel, axis=axis), GrowParams(radius, tolerance, 0.0, in_3d=in_3d)))
    z, y, x = ((line - m) * s for line, m, s in zip(np.ogrid[0:13, 0:48, 0:64], voxel, SPACING, strict=True))
    alike = (np.abs(image - image[voxel]) <= tolerance) & (z**2 + y**2 + x**2 <= radius**2 * (1 + 1e-9))
    if not in_3d:
        other = np.ones(SHAPE, bool)
        other[(slice(None),) * axis + (voxel[axis],)] = False
        alike[other] = False
    parts, _ = ndimage.label(alike)
    assert np.array_equal(done == 3, parts == parts[voxel])


@pytest.mark.parametrize("bright", [80.0, -80.0])
@pytest.mark.parametrize("voxel", [(6, 24, 32), (5, 20, 28), (6, 24, 42)])
def test_one_click_gives_the_lesion(make_scope, apply, bright: float, voxel) -> None:
    image, inside = _lesion(bright=bright)
    scope = make_scope(np.zeros(SHAPE, np.uint8), image=image)
    done = apply(scope, grow(scope, Target(voxel=voxel), GrowParams()))
    assert _dice(done == 3, inside) > 0.95


def test_growing_does_not_leak_through_a_vessel(make_scope, apply) -> None:
    image, inside = _lesion(radius=7.0, noise=2.0)
    image[6, 24, :] = 300.0
    image[6, 40:47, 5:60] = 300.0
    image[6, 24:41, 10] = 300.0
    scope = make_scope(np.zeros(SHAPE, np.uint8), image=image)
    done = apply(scope, grow(scope, Target(voxel=(6, 24, 32)), GrowParams(radius_mm=25.0, neck_mm=2.0)))
    assert _dice(done == 3, inside) > 0.93
    leak = apply(scope, grow(scope, Target(voxel=(6, 24, 32)), GrowParams(radius_mm=25.0, neck_mm=0.0)))
    assert (leak[6, 42] == 3).any()


def test_growing_fills_a_core_on_request(make_scope, apply) -> None:
    image, inside = _lesion(radius=10.0)
    z, y, x = ((axis - m) * s for axis, m, s in zip(np.ogrid[0:13, 0:48, 0:64], (6, 24, 32), SPACING, strict=True))
    core = z**2 + y**2 + x**2 <= 16
    image[core] -= 100
    scope = make_scope(np.zeros(SHAPE, np.uint8), image=image)
    place = Target(voxel=(6, 24, 43))
    assert _dice(apply(scope, grow(scope, place, GrowParams(fill=True))) == 3, inside) > 0.95
    assert not (apply(scope, grow(scope, place, GrowParams()))[core] == 3).any()


def test_scribbles_grow_to_the_borders_between_them(make_scope, apply) -> None:
    image, inside = _lesion(radius=10.0, noise=6.0)
    z, y, x = ((axis - m) * s for axis, m, s in zip(np.ogrid[0:13, 0:48, 0:64], (6, 24, 32), SPACING, strict=True))
    core = z**2 + y**2 + x**2 <= 25
    image[core] += 80
    labels = np.zeros(SHAPE, np.uint8)
    labels[6, 24, 30:35] = 1  # in the core
    labels[6, 24 - 11 : 24 - 8, 32] = 3  # in the rim
    labels[6, 24, 42:47] = 3
    labels[3:5, 24, 32] = 3
    labels[8:10, 24, 32] = 3
    labels[6, 44, 5:60] = 2  # background
    scope = make_scope(labels, image=image)
    done = apply(scope, grow_seeds(scope, Target(), GrowSeedsParams(background_label=2)))
    assert not (done == 2).any()
    assert _dice(done == 1, core) > 0.95
    assert _dice(done != 0, inside) > 0.95


def test_scribbles_keep_their_labels_and_locked_ones_all_theirs(make_scope, apply) -> None:
    image, _ = _lesion()
    labels = np.zeros(SHAPE, np.uint8)
    labels[6, 24, 30:35] = 3
    labels[5:8, 20:28, 38:41] = 1
    scope = make_scope(labels, image=image, locked=frozenset({1}))
    done = apply(scope, grow_seeds(scope, Target(), GrowSeedsParams()))
    assert (done[labels == 3] == 3).all()
    assert (done[labels == 1] == 1).all()
    with pytest.raises(InputError, match="scribbles"):
        grow_seeds(make_scope(np.zeros(SHAPE, np.uint8), image=image), Target(), GrowSeedsParams())


def test_scribbles_of_a_slice_grow_in_that_slice(make_scope, apply) -> None:
    image, inside = _lesion()
    labels = np.zeros(SHAPE, np.uint8)
    labels[6, 24, 28:37] = 3
    scope = make_scope(labels, image=image)
    done = apply(scope, grow_seeds(scope, Target(voxel=(6, 24, 32)), GrowSeedsParams(extent="this slice", margin_mm=12)))
    assert not np.delete(done, 6, axis=0).any()
    assert _dice(done[6] == 3, inside[6]) > 0.9


@pytest.mark.parametrize("bright", [100.0, -100.0])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_level_through_a_voxel_encloses_the_lesion(make_scope, apply, bright: float, axis: int) -> None:
    image, _ = _lesion(noise=0.0, bright=bright)
    image = ndimage.gaussian_filter(image, [1.0 / s for s in SPACING])
    voxel = (6, 24, 45)
    if axis == 2:
        voxel = (6, 34, 32)
    scope = make_scope(np.zeros(SHAPE, np.uint8), image=image)
    done = apply(scope, level_tracing(scope, Target(voxel=voxel, axis=axis), LevelParams()))
    level = image[voxel]
    expected = image >= level if bright > 0 else image <= level
    other = np.ones(SHAPE, bool)
    other[(slice(None),) * axis + (voxel[axis],)] = False
    expected[other] = False
    assert np.array_equal(done == 3, expected)


def test_a_level_without_end_encloses_nothing(make_scope) -> None:
    image = np.broadcast_to(np.arange(200.0), (3, 200, 200)).copy()
    scope = make_scope(np.zeros(image.shape, np.uint8), image=image)
    assert level_tracing(scope, Target(voxel=(1, 100, 100)), LevelParams(radius_mm=20.0)) is None


@given(st.integers(0, 50))
def test_scribbles_take_what_is_the_shortest_way_from_them(make_scope, apply, seed: int) -> None:
    from skimage.graph import MCP

    from napari_tumorseg.editing.grow_seeds import _nearest_seed

    rng = np.random.default_rng(seed)
    # On flat ground the way is the distance along the grid, which an independent path finder knows as well.
    shape = (4, 7, 8)
    marks = np.zeros(shape, np.int32)
    for mark in (1, 2, 3):
        marks[tuple(rng.integers(0, n) for n in shape)] = mark
    others = (rng.random(shape) < 0.2) & (marks == 0)
    found = _nearest_seed(np.zeros(shape, np.float32), marks, others, (1.0, 1.0, 1.0))
    cost = np.where(others, -1.0, 1.0)
    ways = []
    for mark in (1, 2, 3):
        start = [tuple(i) for i in np.argwhere(marks == mark)]
        ways.append(MCP(cost, fully_connected=False).find_costs(start)[0] if start else np.full(shape, np.inf))
    best = np.min(ways, axis=0)
    assert (found[others] == 0).all()
    assert np.array_equal(found > 0, np.isfinite(best) & ~others)
    for mark in (1, 2, 3):
        assert np.allclose(ways[mark - 1][found == mark], best[found == mark])
