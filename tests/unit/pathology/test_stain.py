"""Stain deconvolution and its inverse, estimated vectors, and normalisation, on colours that are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.pathology.stain import QUPATH_HE, Stains, compose, deconvolve, normalise, optical_density
from napari_tumorseg.pathology.stain_estimation import estimate_macenko, estimate_vahadane, high_amounts

#: Not QuPath's: what an estimate must find by itself.
PLANTED = Stains(("Haematoxylin", "Eosin"), ((0.55, 0.76, 0.35), (0.10, 0.90, 0.42)), (240.0, 238.0, 243.0))


def stained(stains: Stains = PLANTED, side: int = 150, seed: int = 0, noise: float = 0.0) -> np.ndarray:
    """Return an image in which some pixels hold one stain only, some both, and some none; uint8."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 4, (side, side))
    amounts = np.zeros((side, side, 3))
    amounts[..., 0] = np.where((kind == 0) | (kind == 2), rng.uniform(0.4, 1.6, kind.shape), 0)
    amounts[..., 1] = np.where((kind == 1) | (kind == 2), rng.uniform(0.4, 1.2, kind.shape), 0)
    rgb = compose(amounts, stains) + noise * rng.normal(size=(side, side, 3))
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


def degrees(a, b) -> float:
    return float(np.degrees(np.arccos(np.clip(np.dot(a, b), -1, 1))))


def test_qupaths_vectors_are_those_that_it_saves():
    # facts: a project of QuPath 0.5 stores these after normalising .65 .70 .29.
    assert np.round(QUPATH_HE.vectors[0], 5).tolist() == [0.65111, 0.70119, 0.29049]
    assert np.allclose(np.linalg.norm(QUPATH_HE.matrix, axis=1), 1, atol=1e-12)
    assert abs(QUPATH_HE.matrix[2] @ QUPATH_HE.matrix[0]) < 1e-12


@given(hnp.arrays(np.float64, (5, 4, 3), elements=st.floats(1.0, 255.0)))
def test_round_trip(rgb):
    for stains in (QUPATH_HE, PLANTED, Stains(("H", "E", "D"), ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78)))):
        assert np.abs(compose(deconvolve(rgb, stains), stains) - rgb).max() < 1e-6


@given(hnp.arrays(np.float64, (6, 3), elements=st.floats(-0.2, 1.5)))
def test_the_amounts_that_were_put_in_come_out(amounts):
    # Dark pixels would fall below an intensity of 1, which counts as 1.
    rgb = compose(amounts, PLANTED)
    lit = (rgb >= 1).all(axis=-1)
    assert np.abs(deconvolve(rgb, PLANTED) - amounts)[lit].max(initial=0) < 1e-6


def test_skimage_separates_the_same():
    from skimage.color import separate_stains

    rgb = stained(QUPATH_HE)
    # scikit-image counts from white, in a logarithm of its own base (1e-6), and without a smallest intensity of 1.
    theirs = separate_stains(rgb, np.linalg.inv(QUPATH_HE.matrix)) * -np.log(1e-6)
    assert np.abs(deconvolve(rgb) - np.maximum(theirs, 0))[theirs > 0].max() < 1e-6


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_macenko_finds_planted_vectors(noise):
    found = estimate_macenko(stained(noise=noise), background=PLANTED.background)
    for one, planted in zip(found.vectors, PLANTED.vectors, strict=True):
        assert degrees(one, planted) < (1.0 if noise == 0 else 2.5)
    # The default vectors would not have passed.
    assert degrees(QUPATH_HE.vectors[1], PLANTED.vectors[1]) > 5


def test_vahadane_finds_planted_vectors():
    found = estimate_vahadane(stained(side=100, noise=1.0), background=PLANTED.background)
    errors = [degrees(one, planted) for one, planted in zip(found.vectors, PLANTED.vectors, strict=True)]
    # The weight on the amounts' sum draws the vectors together a little; it begins at QuPath's, which are further away.
    assert max(errors) < 4
    assert sum(errors) < 0.5 * sum(degrees(one, planted) for one, planted in zip(QUPATH_HE.vectors, PLANTED.vectors, strict=True))
    assert estimate_vahadane(stained(side=100, noise=1.0), background=PLANTED.background) == found


def test_normalising_gives_the_references_colours():
    target = Stains(("Haematoxylin", "Eosin"), QUPATH_HE.vectors)
    image, reference = stained(seed=1), stained(target, seed=1)
    shown = normalise(image, PLANTED, high_amounts(image, PLANTED), target, high_amounts(reference, target))
    assert np.abs(shown.astype(float) - reference).mean() < 2.5
    assert np.abs(image.astype(float) - reference).mean() > 8
    same = normalise(image, PLANTED, np.ones(2), PLANTED, np.ones(2))
    assert np.abs(same.astype(int) - image).max() <= 1


def test_black_is_not_infinite():
    assert np.isfinite(optical_density(np.zeros((2, 3), np.uint8))).all()
    assert np.isfinite(deconvolve(np.zeros((2, 3), np.uint8))).all()


@pytest.mark.parametrize("estimate", [estimate_macenko, estimate_vahadane])
def test_blank_glass_has_no_stain(estimate):
    glass = np.random.default_rng(0).normal(238, 2, (200, 200, 3)).astype(np.uint8)
    with pytest.raises(InputError, match="too few"):
        estimate(glass)


def test_one_stain_alone_is_refused():
    amounts = np.zeros((100, 100, 3))
    amounts[..., 0] = np.random.default_rng(0).uniform(0.5, 1.5, (100, 100))
    with pytest.raises(InputError, match="same colour"):
        estimate_macenko(compose(amounts, PLANTED), background=PLANTED.background)
    with pytest.raises(InputError, match="missing"):
        normalise(stained(), PLANTED, np.array([1.0, 0.0]), PLANTED, np.ones(2))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Stains(("H",), ((0.6, 0.7, 0.3),)),
        lambda: Stains(("H", "E"), ((0.6, 0.7, 0.3), (0.0, 0.0, 0.0))),
        lambda: Stains(("H", "E"), ((0.6, 0.7, 0.3), (0.6, 0.7, 0.3))),
        lambda: Stains(("H", "E"), QUPATH_HE.vectors, (255.0, 255.0, 0.0)),
        lambda: deconvolve(np.zeros((4, 4), np.uint8)),
        lambda: deconvolve(np.zeros((4, 4, 3), np.uint16)),
    ],
)
def test_what_cannot_be_separated(make):
    with pytest.raises(InputError):
        make()
