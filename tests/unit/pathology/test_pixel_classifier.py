"""The pixel classifier: from scribbles to label maps, files, tiles."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from napari_tumorseg.core.errors import Cancelled, InputError, ModelError
from napari_tumorseg.core.jobs import CancelToken, Progress
from napari_tumorseg.pathology.forest import ForestSettings
from napari_tumorseg.pathology.pixel_classifier import IGNORE, REGION, TISSUE_CLASSES, PixelClassifier
from napari_tumorseg.pathology.pixel_features import FeatureSpec
from napari_tumorseg.pathology.pixel_files import load_classifier, save_classifier
from napari_tumorseg.pathology.pixel_mlp import MlpSettings
from napari_tumorseg.pathology.pixel_tiles import ScaledImage, plan_tiles
from napari_tumorseg.pathology.pixel_training import Samples, Scribbles, sample_scribbles, train

SPEC = FeatureSpec(sigmas_px=(1.0, 4.0), features=("gaussian", "weighted deviation", "gradient magnitude", "hessian max", "hessian min"))
TREES = ForestSettings(trees=12)
BOTH = pytest.mark.parametrize("how", [TREES, MlpSettings()], ids=["trees", "network"])


def tissue(side: int = 320, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return an image of known regions, (y, x, 3) uint8, and their values.

    Tumour has large dark nuclei on pink, stroma waves on pink, immune small dense nuclei on the same pink: no colour of a single
    pixel tells them apart. The regions have curved borders.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    wave = 20 * np.sin(x / 37 + seed) + 20 * np.sin(y / 29)
    truth = np.where(x + wave < side / 3, 1, np.where(x + wave < 2 * side / 3, 2, 3)).astype(np.uint8)
    image = np.full((side, side, 3), (225.0, 165.0, 200.0))
    image += (truth == 2)[..., None] * 12 * np.sin((y + 0.4 * x) / 2)[..., None]
    for value, radius, gap in ((1, 5, 17), (3, 3, 8)):
        for cy in range(gap // 2, side, gap):
            for cx in range(gap // 2, side, gap):
                py, px = (int(np.clip(c + rng.integers(-2, 3), 0, side - 1)) for c in (cy, cx))
                near = slice(max(0, py - radius), py + radius + 1), slice(max(0, px - radius), px + radius + 1)
                if truth[py, px] == value:
                    image[near][(y[near] - py) ** 2 + (x[near] - px) ** 2 <= radius**2] = (95, 60, 140)
    image += rng.normal(0, 8, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8), truth


def strokes(truth: np.ndarray, each: int = 4, seed: int = 0) -> np.ndarray:
    """Return `each` thin strokes per class, inside its region."""
    rng = np.random.default_rng(seed)
    labels = np.zeros_like(truth)
    for value in np.unique(truth):
        ys, xs = np.nonzero(truth == value)
        for k in rng.choice(len(ys), each, replace=False):
            part = (slice(ys[k], ys[k] + 3), slice(xs[k], xs[k] + 40))
            labels[part][truth[part] == value] = value
    return labels


@pytest.fixture(scope="module")
def samples() -> Samples:
    image, truth = tissue()
    return sample_scribbles([Scribbles(image, strokes(truth))], SPEC)


@BOTH
def test_known_regions_are_found_from_a_few_strokes(samples: Samples, how: ForestSettings | MlpSettings) -> None:
    classifier = train(samples, SPEC, 1.0, ForestSettings() if how is TREES else how)
    image, truth = tissue(seed=5)  # nuclei and borders elsewhere than in training
    found = classifier.labels(image)
    assert set(np.unique(found)) <= {1, 2, 3}
    assert (found == truth).mean() > 0.9
    assert min((found == truth)[truth == v].mean() for v in (1, 2, 3)) > 0.8
    assert len(samples.values) < 2000


@BOTH
def test_the_seed_decides_and_nothing_else(samples: Samples, how: ForestSettings | MlpSettings) -> None:
    a, b, c = (train(samples, SPEC, 1.0, how, seed=seed).model.arrays() for seed in (1, 1, 2))
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert any(a[name].shape != c[name].shape or not np.array_equal(a[name], c[name]) for name in a)


@BOTH
def test_a_file_gives_the_same_classifier_back(samples: Samples, how: ForestSettings | MlpSettings, tmp_path: Path) -> None:
    classifier = train(samples, SPEC, 1.01, how, seed=3)
    save_classifier(classifier, tmp_path / "tissue.safetensors")
    again = load_classifier(tmp_path / "tissue.safetensors")
    image, _ = tissue(side=90, seed=2)
    np.testing.assert_array_equal(again.probabilities(image), classifier.probabilities(image))
    assert (again.classes, again.spacing_um, again.spec.names) == (classifier.classes, 1.01, SPEC.names)
    assert again.training == json.loads(json.dumps(classifier.training))
    assert again.training["samples"] == {c.name: int((samples.values == c.value).sum()) for c in TISSUE_CLASSES[:3]}


@BOTH
def test_probabilities_sum_to_one_and_their_best_is_the_label(samples: Samples, how: ForestSettings | MlpSettings) -> None:
    classifier = train(samples, SPEC, 1.0, how)
    image, _ = tissue(side=120, seed=4)
    probabilities = classifier.probabilities(image)
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(classifier.labels(image), probabilities.argmax(axis=0) + 1)


def test_tiles_chunks_and_previews_agree_with_the_whole(samples: Samples) -> None:
    classifier = train(samples, SPEC, 1.0, TREES)
    image, _ = tissue(side=300, seed=6)
    whole = classifier.labels(image)
    source = ScaledImage(image, (1.0, 1.0), 1.0)
    tiled = np.zeros_like(whole)
    for tile, part in classifier.tiles(source, core=(slice(10, 300), slice(0, 290))):
        tiled[tile.rows, tile.columns] = part
    # A feature that equals a threshold to the last bit may fall on the other side.
    assert (tiled[10:, :290] == whole[10:, :290]).mean() > 0.9999
    assert not tiled[:10].any()
    lazy = classifier.lazily(source, chunk_px=128)
    assert (lazy.shape, lazy.dtype, lazy.chunks) == (whole.shape, np.uint8, ((128, 128, 44), (128, 128, 44)))
    assert (np.asarray(lazy[100:200, 30:90]) == whole[100:200, 30:90]).mean() > 0.9999
    for step, shown in classifier.preview(image):
        assert shown.shape == whole.shape
        assert (shown[::step, ::step] == whole[::step, ::step]).mean() > 0.9999
        assert (shown[step - 1 :: step, ::step] == shown[::step, ::step][: len(shown) // step]).all()
    assert step == 1


def test_a_whole_slide_reads_tiles_only_and_can_be_stopped(samples: Samples) -> None:
    classifier = train(samples, SPEC, 1.0, ForestSettings(trees=1))

    class Endless:
        shape = (200_000, 200_000, 3)
        most = 0

        def __getitem__(self, index: tuple[slice, slice]) -> np.ndarray:
            size = [part.stop - part.start for part in index]
            self.most = max(self.most, size[0] * size[1])
            return np.full((*size, 3), 200, np.uint8)

    pixels, token = Endless(), CancelToken()
    running = classifier.tiles(ScaledImage(pixels, (0.25, 0.25), 1.0), progress=Progress(cancel=token))
    for _ in range(3):
        next(running)
    token.cancel()
    with pytest.raises(Cancelled):
        next(running)
    assert pixels.most <= (4 * (256 + 2 * SPEC.halo_px)) ** 2


@settings(max_examples=40)
@given(
    spacing=st.tuples(st.floats(0.2, 1.4), st.floats(0.2, 1.4)),
    start=st.tuples(st.integers(0, 8), st.integers(0, 8)),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_a_pixel_of_another_resolution_is_the_mean_over_its_area(
    spacing: tuple[float, float], start: tuple[int, int], size: tuple[int, int]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 80, 3), dtype=np.uint8)
    source = ScaledImage(pixels, spacing, 1.0)
    rows, columns = (slice(a, min(a + n, limit)) for a, n, limit in zip(start, size, source.shape, strict=True))
    part = source.read(rows, columns)
    y, x = rows.stop - 1, columns.stop - 1
    total = weight = 0.0
    fy, fx = source.factors
    for i in range(90):
        for j in range(int(x * fx), min(80, int((x + 1) * fx) + 1)):
            area = max(0.0, min(i + 1, (y + 1) * fy) - max(i, y * fy)) * max(0.0, min(j + 1, (x + 1) * fx) - max(j, x * fx))
            total, weight = total + area * float(pixels[i, j, 1]), weight + area
    assert part[-1, -1, 1] == pytest.approx(total / weight, abs=1e-2)
    whole = source.read(slice(0, source.shape[0]), slice(0, source.shape[1]))
    np.testing.assert_allclose(part, whole[rows, columns], atol=1e-3)


def test_region_strokes_teach_nothing_and_ignored_tissue_is_zero() -> None:
    image, truth = tissue()
    labels = strokes(truth)
    labels[labels == 3] = IGNORE.value
    without = sample_scribbles([Scribbles(image, labels)], SPEC)
    labels[0:5, 0:50] = REGION.value
    with_region = sample_scribbles([Scribbles(image, labels)], SPEC)
    np.testing.assert_array_equal(without.features, with_region.features)
    classifier = train(without, SPEC, 1.0, TREES)
    assert [c.name for c in classifier.classes] == ["Tumour", "Stroma", "Ignore*"]
    found = classifier.labels(image)
    assert set(np.unique(found)) == {0, 1, 2}
    assert (found[truth == 3] == 0).mean() > 0.85


def test_a_rare_class_counts_as_much_as_a_common_one() -> None:
    rng = np.random.default_rng(0)
    spec = FeatureSpec(("red",), (1.0,), ("gaussian", "laplacian"))
    values = np.array([1] * 950 + [2] * 50, np.uint8)
    features = (rng.normal(size=(1000, 2)) + np.where(values == 2, 1.0, 0.0)[:, None]).astype(np.float32)
    for how in (ForestSettings(trees=30, depth=2), MlpSettings(hidden=4)):
        fit = train(Samples(features, values), spec, 1.0, how)
        import torch

        found = fit.labels_of(torch.from_numpy(np.ascontiguousarray(features.T))[:, None])[0]
        assert (found[values == 2] == 2).mean() > 0.6  # one that follows the counts says 1 nearly always


def test_several_crops_teach_together() -> None:
    image, truth = tissue(side=160)
    labels = strokes(truth)
    crops = [Scribbles(image, np.where(labels == v, labels, 0)) for v in (1, 2, 3)]
    together = sample_scribbles(crops, SPEC)
    assert np.bincount(together.values).tolist() == [0, *np.bincount(labels.ravel())[1:].tolist()]
    thinned = train(together, SPEC, 1.0, TREES, max_samples=100)
    assert sum(thinned.training["samples"].values()) == 100


def test_strokes_that_teach_nothing_are_refused(samples: Samples) -> None:
    image, truth = tissue(side=60)
    with pytest.raises(InputError, match="no strokes"):
        sample_scribbles([Scribbles(image, np.zeros_like(truth))], SPEC)
    with pytest.raises(InputError, match="value 42"):
        sample_scribbles([Scribbles(image, np.full_like(truth, 42))], SPEC)
    with pytest.raises(InputError, match="same crop"):
        Scribbles(image, truth[:-1])
    only = samples.values == 1
    with pytest.raises(InputError, match="two classes"):
        train(Samples(samples.features[only], samples.values[only]), SPEC, 1.0)
    with pytest.raises(InputError, match="micrometres"):
        train(samples, SPEC, 0.0)


def test_the_wrong_resolution_is_refused(samples: Samples) -> None:
    classifier = train(samples, SPEC, 1.0, TREES)
    image, _ = tissue(side=60)
    with pytest.raises(InputError, match="finer level"):
        ScaledImage(image, (4.0, 4.0), 1.0)
    with pytest.raises(InputError, match="not known"):
        ScaledImage(image, (float("nan"), 1.0), 1.0)
    with pytest.raises(InputError, match="RGB"):
        ScaledImage(image[..., :1], (1.0, 1.0), 1.0)
    with pytest.raises(InputError, match="works at 1 um"):
        next(classifier.tiles(ScaledImage(image, (0.5, 0.5), 0.5)))
    with pytest.raises(InputError, match="region"):
        plan_tiles((10, 10), core=(slice(0, 11), slice(0, 5)))


def test_files_that_are_no_classifier_are_refused(samples: Samples, tmp_path: Path) -> None:
    good = tmp_path / "good.safetensors"
    classifier: PixelClassifier = train(samples, SPEC, 1.0, TREES)
    save_classifier(classifier, good)
    other = tmp_path / "other.safetensors"
    for header in (None, {"format": "x"}, {"format": "napari-tumorseg pixel classifier 1", "card": "{}"}):
        save_file(load_file(good), other, metadata=header)
        with pytest.raises(ModelError, match="other"):
            load_classifier(other)
    other.write_bytes(good.read_bytes()[:-200])
    with pytest.raises(ModelError, match="cannot be read"):
        load_classifier(other)
    with pytest.raises(ModelError):
        load_classifier(tmp_path / "none.safetensors")
    assert b"pickle" not in good.read_bytes()
