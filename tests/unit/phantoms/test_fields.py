from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_tumorseg.phantoms.fields import Coordinates, RandomField, coverage, smooth_min


def grid(step: float = 1.0, half: float = 12.0) -> Coordinates:
    axis = np.arange(-half, half + step / 2, step, dtype=np.float32)
    z, y, x = (np.ascontiguousarray(a) for a in np.meshgrid(axis, axis, axis, indexing="ij"))
    return Coordinates(z, y, x, (axis, axis, axis), (step, step, step), 0.0)


def test_a_field_has_mean_0_and_deviation_1() -> None:
    axis = np.arange(0, 224, 4.0)
    values = RandomField(1, "a", 30).on_axes(axis, axis, axis)
    assert values.mean() == pytest.approx(0, abs=0.02)
    assert values.std() == pytest.approx(1, abs=0.02)


def test_a_field_is_the_same_on_axes_and_at_points() -> None:
    field = RandomField(5, "b", 20, band=0.2)
    z, y, x = np.linspace(-40, 50, 7), np.linspace(-90, 30, 6), np.linspace(-20, 21, 5)
    points = (np.ascontiguousarray(a, dtype=np.float32) for a in np.meshgrid(z, y, x, indexing="ij"))
    np.testing.assert_allclose(field.on_axes(z, y, x), field.at(*points), atol=2e-3)


def test_a_field_depends_on_seed_and_name() -> None:
    axis = np.arange(0, 40, 5.0)
    first = RandomField(1, "a", 30).on_axes(axis, axis, axis)
    np.testing.assert_array_equal(first, RandomField(1, "a", 30).on_axes(axis, axis, axis))
    assert np.abs(first - RandomField(2, "a", 30).on_axes(axis, axis, axis)).max() > 0.5
    assert np.abs(first - RandomField(1, "b", 30).on_axes(axis, axis, axis)).max() > 0.5


def test_a_band_field_has_its_wavelength() -> None:
    axis = np.arange(0, 224, 3.5)
    power = np.abs(np.fft.fftn(RandomField(3, "c", 28, band=0.15).on_axes(axis, axis, axis))) ** 2
    k = np.fft.fftfreq(len(axis), 3.5)
    radius = np.sqrt(k[:, None, None] ** 2 + k[None, :, None] ** 2 + k[None, None, :] ** 2)
    assert 1 / (np.sum(radius * power) / power.sum()) == pytest.approx(28, rel=0.1)


@given(st.floats(-20, 20), st.floats(-20, 20), st.floats(0.5, 10))
def test_the_smooth_minimum_is_near_the_minimum(a: float, b: float, width: float) -> None:
    got = float(smooth_min(np.array([a], np.float32), np.array([b], np.float32), width)[0])
    assert min(a, b) - width / 4 - 1e-4 <= got <= min(a, b) + 1e-4
    if abs(a - b) >= width:
        assert got == pytest.approx(min(a, b), abs=1e-5)


def test_coverage_is_half_on_the_surface() -> None:
    assert coverage(np.array([-2, -0.25, 0, 0.25, 2], np.float32), 1.0).tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_the_volume_of_a_sphere_comes_out_of_its_coverage() -> None:
    p = grid()
    got = coverage(p.ellipsoid((0.3, -0.2, 0.4), (7, 7, 7)), 1.0).sum()
    assert got == pytest.approx(4 / 3 * np.pi * 7**3, rel=0.01)


def test_an_ellipsoid_is_zero_on_its_poles() -> None:
    p = grid()
    d = p.ellipsoid((0, 0, 0), (4, 6, 8))
    centre = 12
    assert d[centre, centre, centre + 4] == pytest.approx(0, abs=1e-4)
    assert d[centre, centre + 6, centre] == pytest.approx(0, abs=1e-4)
    assert d[centre + 8, centre, centre] == pytest.approx(0, abs=1e-4)
    turned = p.ellipsoid((0, 0, 0), (4, 6, 8), turn_deg=90)
    assert turned[centre, centre, centre + 6] == pytest.approx(0, abs=1e-3)


@settings(max_examples=25)
@given(st.lists(st.floats(-8, 8), min_size=6, max_size=6), st.floats(0.5, 3))
def test_a_tube_of_one_radius_is_a_capsule(ends: list[float], radius: float) -> None:
    a, b = np.array(ends[:3]), np.array(ends[3:])
    if np.linalg.norm(b - a) < 0.5:
        return
    p = grid(step=4.0)
    got = p.tube([tuple(a), tuple(b)], [radius, radius])
    points = np.stack([p.x, p.y, p.z], axis=-1).astype(float)
    t = np.clip(((points - a) @ (b - a)) / ((b - a) @ (b - a)), 0, 1)
    np.testing.assert_allclose(got, np.linalg.norm(points - (a + t[..., None] * (b - a)), axis=-1) - radius, atol=1e-3)


def test_a_window_holds_its_corners() -> None:
    p = grid()
    w = p.window((-3, 0, -2), (4, 5, 2))
    assert [(part.start, part.stop) for part in w] == [(7, 18), (10, 19), (8, 16)]
    assert p.part(w).shape == (11, 9, 8)


def test_the_slope_uses_the_step_of_each_axis() -> None:
    z, y, x = np.arange(0, 20, 4.0), np.arange(0, 6, 2.0), np.arange(0, 3, 1.0)
    arrays = [np.ascontiguousarray(a, dtype=np.float32) for a in np.meshgrid(z, y, x, indexing="ij")]
    p = Coordinates(*arrays, axes=(z, y, x), steps_mm=(4.0, 2.0, 1.0), slack_mm=0.0)
    slopes = p.slope(3 * arrays[0] - arrays[1] + 0.5 * arrays[2])
    for got, expected in zip(slopes, (3, -1, 0.5), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5)
