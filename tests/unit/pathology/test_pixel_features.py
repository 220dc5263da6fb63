"""Pixel features against their definitions, written out slowly."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import correlate1d

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.pathology.pixel_features import CHANNELS, FEATURES, FeatureSpec, pixel_features
from napari_tumorseg.pathology.pixel_tiles import image_features
from napari_tumorseg.pathology.stain import Stains


def kernel(sigma: float, order: int) -> np.ndarray:
    """Return G0, G1 or G2 as the definition has it, flipped: a correlation with it is the convolution."""
    out = []
    for x in range(-math.floor(4 * sigma), math.floor(4 * sigma) + 1):
        e = math.exp(-(x**2) / (2 * sigma**2))
        values = (
            e / (sigma * math.sqrt(2 * math.pi)),
            -x * e / (sigma**3 * math.sqrt(2 * math.pi)),
            -(sigma**2 - x**2) * e / (sigma**5 * math.sqrt(2 * math.pi)),
        )
        out.append(values[order])
    return np.array(out[::-1])


def filtered(plane: np.ndarray, sigma: float, y: int, x: int) -> np.ndarray:
    down = correlate1d(plane, kernel(sigma, y), axis=0, mode="nearest")
    return correlate1d(down, kernel(sigma, x), axis=1, mode="nearest")


def eigen(xx: np.ndarray, yy: np.ndarray, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values = np.linalg.eigvalsh(np.stack([np.stack([xx, xy], -1), np.stack([xy, yy], -1)], -1))
    return values[..., 1], values[..., 0]


def oracle(plane: np.ndarray, sigma: float) -> dict[str, np.ndarray]:
    """Return all features of one channel and scale in float64."""
    xx, yy, xy = filtered(plane, sigma, 0, 2), filtered(plane, sigma, 2, 0), filtered(plane, sigma, 1, 1)
    mean = filtered(plane, sigma, 0, 0)
    variance = filtered(plane**2, sigma, 0, 0) - mean**2
    dx = correlate1d(correlate1d(plane, [-1, 0, 1], axis=1, mode="nearest"), [1, 2, 1], axis=0, mode="nearest")
    dy = correlate1d(correlate1d(plane, [-1, 0, 1], axis=0, mode="nearest"), [1, 2, 1], axis=1, mode="nearest")
    smooth = [filtered(p, sigma, 0, 0) for p in (dx * dx, dy * dy, dx * dy)]
    high, low = eigen(*smooth)
    total = high + low
    h_max, h_min = eigen(xx, yy, xy)
    return {
        "gaussian": mean,
        "laplacian": xx + yy,
        "weighted deviation": np.sqrt(np.maximum(variance, 0)),
        "gradient magnitude": np.hypot(filtered(plane, sigma, 0, 1), filtered(plane, sigma, 1, 0)),
        "structure tensor max": high,
        "structure tensor min": low,
        "structure tensor coherence": np.where(high == low, 0, ((high - low) / np.where(total == 0, 1, total)) ** 2),
        "hessian determinant": xx * yy - xy**2,
        "hessian max": h_max,
        "hessian min": h_min,
    }


def noise(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def compared(found: np.ndarray, wanted: np.ndarray, name: str) -> None:
    scale = max(1.0, float(np.abs(wanted).max()))
    assert np.abs(found - wanted).max() < 1e-5 * scale, name


@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.3, 8.0])
def test_every_feature_is_as_defined_up_to_the_border(sigma: float) -> None:
    image = noise((37, 52))
    spec = FeatureSpec(channels=("green", "red"), sigmas_px=(2.0, sigma))
    found = dict(zip(spec.names, pixel_features(image, spec).numpy(), strict=True))
    for channel, index in (("green", 1), ("red", 0)):
        for name, wanted in oracle(image[..., index].astype(np.float64), sigma).items():
            compared(found[f"{channel} {name} {sigma:g}"], wanted, name)


def test_stain_channels_are_deconvolved_decimal_densities() -> None:
    image = noise((20, 25))
    spec = FeatureSpec(channels=CHANNELS[3:], sigmas_px=(1.0,), features=("gaussian",))
    rows = [np.array(v) / np.linalg.norm(v) for v in ((0.65, 0.70, 0.29), (0.2159, 0.8012, 0.5581))]
    third = np.cross(*rows)
    matrix = np.stack([*rows, third / np.linalg.norm(third)])
    density = np.maximum(0, -np.log10(np.maximum(image.astype(np.float64), 1) / 255))
    amounts = density @ np.linalg.inv(matrix)
    for index, found in enumerate(pixel_features(image, spec).numpy()):
        np.testing.assert_allclose(found, filtered(amounts[..., index], 1.0, 0, 0), atol=2e-5)


def test_a_quadratic_image_has_constant_curvature() -> None:
    a, b = 0.02, -0.01
    y, x = np.mgrid[-60:61, -60:61].astype(np.float64)
    image = np.repeat((a * x**2 + b * y**2 + 100)[..., None], 3, axis=2)
    names = ("laplacian", "hessian max", "hessian min", "hessian determinant", "gaussian")
    spec = FeatureSpec(("red",), (2.0, 4.0), names)
    at = pixel_features(image, spec)[:, 60, 60].numpy().reshape(2, 5)
    for sigma, (laplacian, high, low, determinant, gaussian) in zip(spec.sigmas_px, at, strict=True):
        # What the cut-off kernels leave of the constant 100 is known exactly.
        rest = 100 * kernel(sigma, 2).sum() * kernel(sigma, 0).sum()
        assert laplacian == pytest.approx(2 * a + 2 * b + 2 * rest, abs=3e-4)
        assert high == pytest.approx(2 * a + rest, abs=3e-4)
        assert low == pytest.approx(2 * b + rest, abs=3e-4)
        assert determinant == pytest.approx(high * low, rel=1e-4)
        assert gaussian == pytest.approx(100 + (a + b) * sigma**2, abs=0.05)


def test_stripes_are_coherent_and_flat_areas_are_not() -> None:
    image = np.full((40, 80, 3), 90, np.uint8)
    image[:, 40::4] = 200
    spec = FeatureSpec(("red",), (2.0,), ("structure tensor coherence", "gradient magnitude"))
    coherence, gradient = pixel_features(image, spec).numpy()
    assert coherence[20, 60] == pytest.approx(1.0, abs=1e-6)
    assert coherence[20, 10] == 0
    assert gradient[20, 10] == pytest.approx(0, abs=1e-4)


@settings(max_examples=20)
@given(
    y=st.tuples(st.integers(0, 59), st.integers(1, 60)),
    x=st.tuples(st.integers(0, 69), st.integers(1, 70)),
    step=st.integers(1, 4),
    normalisation=st.sampled_from(["none", "mean", "mean and deviation"]),
)
def test_a_tile_with_its_halo_has_the_values_of_the_whole(y: tuple[int, int], x: tuple[int, int], step: int, normalisation: str) -> None:
    image = noise((60, 70), seed=1)
    image[:25, :30] = 240  # flat, where rounding would show
    spec = FeatureSpec(("red", "eosin"), (0.5, 2.0), local_normalisation=normalisation, normalisation_sigma_px=3.0)
    rows, columns = slice(y[0], min(60, y[0] + y[1])), slice(x[0], min(70, x[0] + x[1]))
    top, left, halo = max(0, rows.start - spec.halo_px), max(0, columns.start - spec.halo_px), spec.halo_px
    block = image[top : rows.stop + halo, left : columns.stop + halo]
    core = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
    found = pixel_features(block, spec, core, step).numpy()
    wanted = pixel_features(image, spec).numpy()
    for name, a, b in zip(spec.names, found, wanted, strict=True):
        assert np.abs(a - b[rows, columns][::step, ::step]).max() <= 1e-5 * max(1.0, np.abs(b).max()), name


def test_features_side_by_side_are_those_of_the_whole() -> None:
    image = noise((300, 270))
    spec = FeatureSpec(("blue",), (1.0, 4.0))
    whole = pixel_features(image, spec).numpy()
    scale = np.maximum(np.abs(whole).max(axis=(1, 2), keepdims=True), 1)
    assert (np.abs(image_features(image, spec).numpy() - whole) / scale).max() < 1e-5
    assert (np.abs(image_features(image, spec, step=3).numpy() - whole[:, ::3, ::3]) / scale).max() < 1e-5


def test_local_normalisation_takes_mean_and_deviation_out() -> None:
    plane = noise((50, 50))[..., 0].astype(np.float64)
    image = np.repeat(plane[..., None], 3, axis=2)
    mean = filtered(plane, 8.0, 0, 0)
    deviation = np.sqrt(filtered(plane**2, 8.0, 0, 0) - mean**2)
    for kind, wanted in (("mean", plane - mean), ("mean and deviation", (plane - mean) / deviation)):
        spec = FeatureSpec(("red",), (1.0,), ("gaussian",), local_normalisation=kind)
        np.testing.assert_allclose(pixel_features(image, spec)[0].numpy(), filtered(wanted, 1.0, 0, 0), atol=1e-4)


def test_black_and_white_give_finite_features() -> None:
    for value in (0, 255):
        found = pixel_features(np.full((30, 30, 3), value, np.uint8), FeatureSpec(channels=CHANNELS)).numpy()
        assert np.isfinite(found).all()


def test_a_spec_survives_json() -> None:
    stains = Stains(("H", "E"), ((0.6, 0.7, 0.3), (0.1, 0.9, 0.4)), (250.0, 240.0, 245.0))
    spec = FeatureSpec(("eosin",), (0.5, 12.0), ("gaussian", "hessian min"), stains, "mean", 16.0)
    again = FeatureSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert again.names == spec.names
    assert again.local_normalisation == "mean"
    np.testing.assert_allclose(again.stains.matrix, spec.stains.matrix, atol=1e-15)
    assert FeatureSpec().features == FEATURES


@pytest.mark.parametrize(
    "fields",
    [
        {"channels": ("infrared",)},
        {"channels": ()},
        {"features": ("gaussian", "gaussian")},
        {"sigmas_px": ()},
        {"sigmas_px": (0.1,)},
        {"sigmas_px": (math.nan,)},
        {"sigmas_px": (1.0, 1.0)},
        {"local_normalisation": "some"},
        {"normalisation_sigma_px": 1e9},
    ],
)
def test_a_spec_that_means_nothing_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(InputError):
        FeatureSpec(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(10, 10), (10, 10, 4), (0, 10, 3)])
def test_what_is_no_rgb_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="RGB"):
        pixel_features(np.zeros(shape, np.uint8), FeatureSpec())
    with pytest.raises(InputError, match="region"):
        pixel_features(np.zeros((10, 10, 3), np.uint8), FeatureSpec(), (slice(0, 11), slice(0, 5)))


@pytest.mark.parametrize("fields", [{}, {"stains": 3}, {"nonsense": 1}])
def test_json_that_is_no_spec_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(InputError):
        FeatureSpec.from_json(fields)
