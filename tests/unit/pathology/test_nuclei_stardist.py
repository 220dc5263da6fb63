from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.networks.stardist import StarDist, StarDistConfig
from napari_tumorseg.pathology.nuclei_stardist import StarOptions, candidates_of, percentile_range, predict_nuclei

UNCHANGED = (np.zeros(3, np.float32), np.ones(3, np.float32))


class DiscNetwork(torch.nn.Module):
    """Knows discs of radius 10 on dark ground: the red channel holds the probability, the green one the radius."""

    divisor, grid = 16, 2
    config = StarDistConfig()

    def __init__(self) -> None:
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(1))

    def forward(self, image):
        small = image[:, :, ::2, ::2]
        return small[:, 0], small[:, 1:2].expand(-1, 32, -1, -1)


def discs(shape=(200, 260), radius=10.0) -> tuple[np.ndarray, np.ndarray]:
    """An image for `DiscNetwork`, and the centres: on seams of tiles of 64, off them, and near the border."""
    at = np.array([(64, 64), (64, 100), (128, 128), (30, 30), (100, 192), (150, 62), (190, 250), (20, 128)])
    y, x = np.mgrid[: shape[0], : shape[1]]
    away = np.min([np.hypot(y - cy, x - cx) for cy, cx in at], axis=0)
    image = np.stack([np.clip(1 - away / radius, 0, 1), np.where(away < radius, radius, 0.0), np.zeros(shape)], axis=-1)
    return image.astype(np.float32), at


@pytest.mark.parametrize("tile_px", [32, 64, 1024])
def test_nuclei_on_seams_are_found_once_and_whole(tile_px: int) -> None:
    image, at = discs()
    found = predict_nuclei(image, DiscNetwork(), UNCHANGED, StarOptions(tile_px=tile_px, margin_px=32))
    assert sorted(map(tuple, found.centres_px.astype(int))) == sorted(map(tuple, at))
    np.testing.assert_allclose(found.distances_px, 10.0, rtol=1e-6)


def test_tiles_give_what_the_whole_image_gives() -> None:
    torch.manual_seed(2)
    network = StarDist(StarDistConfig(filters=4, features=8, depth=2))
    image = np.random.default_rng(0).random((180, 150, 3)).astype(np.float32)
    with torch.no_grad():
        network.distances.bias += 6
        seen = network(torch.from_numpy(np.pad(image, [(0, 4), (0, 2), (0, 0)], mode="symmetric").transpose(2, 0, 1))[None])[0]
    threshold = float(seen.quantile(0.7))
    whole, tiled = (predict_nuclei(image, network, UNCHANGED, StarOptions(threshold, tile_px=side, margin_px=96)) for side in (256, 48))
    assert len(whole.centres_px) > 5
    np.testing.assert_array_equal(whole.centres_px, tiled.centres_px)
    np.testing.assert_allclose(whole.distances_px, tiled.distances_px, rtol=1e-4, atol=1e-4)


def test_candidates_stand_on_the_grid_and_have_an_area() -> None:
    probability = np.array([[0.1, 0.9], [0.8, 0.2]], np.float32)
    distances = np.full((4, 2, 2), -3.0, np.float32)
    distances[:, 0, 1] = [1, 2, 3, 4]
    found = candidates_of(probability, distances, 0.5)
    assert found.centres_px.tolist() == [[0, 2], [2, 0]]
    assert found.distances_px.tolist() == [[1, 2, 3, 4], pytest.approx([1e-3] * 4)]
    assert found.polygons[0].round(6).tolist() == [[0, 3], [2, 2], [0, -1], [-4, 2]]


def test_the_border_of_the_image_holds_no_candidates() -> None:
    image = np.ones((64, 64, 3), np.float32)
    found = predict_nuclei(image, DiscNetwork(), UNCHANGED, StarOptions(tile_px=32, margin_px=16, overlap_limit=1.0))
    assert found.centres_px.min() == 4
    assert found.centres_px.max() == 58
    assert len(np.unique(found.centres_px, axis=0)) == len(found.centres_px) == 28**2


def test_percentiles_are_joint_or_of_each_channel() -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 30, 3)) * np.array([1.0, 0.5, 0.1])
    for channels, values in (("joint", [image] * 3), ("each", [image[..., i] for i in range(3)])):
        low, high = percentile_range(image, channels=channels)
        np.testing.assert_allclose(low, [np.percentile(v, 1) for v in values], rtol=1e-6)
        np.testing.assert_allclose(high, [np.percentile(v, 99.8) for v in values], rtol=1e-6)


def test_bad_input_is_named_and_an_empty_image_holds_nothing() -> None:
    with pytest.raises(InputError, match="no rows, columns"):
        percentile_range(np.zeros((4, 4)))
    with pytest.raises(InputError, match="multiples of 16"):
        predict_nuclei(np.zeros((32, 32, 3)), DiscNetwork(), UNCHANGED, StarOptions(tile_px=40))
    assert len(predict_nuclei(np.zeros((0, 32, 3)), DiscNetwork(), UNCHANGED).centres_px) == 0
