from __future__ import annotations

import pytest
import torch

from napari_tumorseg.networks.stardist import StarDist, StarDistConfig


def test_the_network_is_as_large_as_the_published_one() -> None:
    network = StarDist()
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert sum(p.numel() for p in network.parameters()) == 1_425_761
    assert len(convolutions) == 19
    assert [tuple(c.weight.shape[:2]) for c in convolutions] == [
        (32, 3), (32, 32),
        (32, 32), (32, 32), (64, 32), (64, 64), (128, 64), (128, 128),
        (256, 128), (128, 256),
        (128, 256), (64, 128), (64, 128), (32, 64), (32, 64), (32, 32),
        (128, 32), (1, 128), (32, 128),
    ]  # fmt: skip
    assert network.divisor == 16


def test_the_answer_has_half_the_size_and_a_probability() -> None:
    torch.manual_seed(0)
    with torch.inference_mode():
        probability, distances = StarDist(StarDistConfig.tiny())(torch.randn(2, 3, 48, 64))
    assert probability.shape == (2, 24, 32)
    assert distances.shape == (2, 32, 24, 32)
    assert 0 < probability.min() <= probability.max() < 1


def test_it_sees_less_than_the_margin_of_a_tile() -> None:
    torch.manual_seed(0)
    network = StarDist(StarDistConfig.tiny())
    image = torch.rand(1, 3, 512, 32, requires_grad=True)
    network(image)[1][0, :, 128, 8].sum().backward()
    rows = torch.nonzero(image.grad.abs().sum(dim=(0, 1, 3)))[:, 0]
    assert 256 - rows.min() <= 96
    assert rows.max() - 256 <= 96


@pytest.mark.parametrize("shape", [(1, 3, 40, 32), (1, 1, 32, 32), (3, 32, 32)])
def test_a_shape_that_does_not_fit_is_refused(shape) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        StarDist(StarDistConfig.tiny())(torch.zeros(shape))
