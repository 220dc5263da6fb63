from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_tumorseg.networks.subvoxel_segresnet import (
    SubvoxelSegResNet,
    SubvoxelSegResNetConfig,
    fold_blocks,
    smooth,
    unfold_blocks,
)


def test_folding_is_undone_exactly() -> None:
    image = torch.randn(2, 3, 4, 6, 8)
    folded = fold_blocks(image, 2)
    assert folded.shape == (2, 24, 2, 3, 4)
    assert torch.equal(unfold_blocks(folded, 2), image)


def test_a_folded_channel_holds_one_voxel_of_each_block() -> None:
    image = torch.arange(4 * 4 * 4.0).reshape(1, 1, 4, 4, 4)
    folded = fold_blocks(image, 2)
    for channel, (z, y, x) in enumerate(np.ndindex(2, 2, 2)):
        assert torch.equal(folded[0, channel], image[0, 0, z::2, y::2, x::2])


def test_smoothing_equals_its_definition() -> None:
    image = torch.randn(1, 2, 5, 6, 7, dtype=torch.float64)
    expected = np.pad(image.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1), (1, 1)), mode="edge")
    for axis in (2, 3, 4):
        low, mid, high = (np.take(expected, range(i, expected.shape[axis] - 2 + i), axis) for i in range(3))
        expected = 0.25 * low + 0.5 * mid + 0.25 * high
    assert np.allclose(smooth(image).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("axes", [(0,), (1, 2), (0, 1, 2)])
def test_no_pattern_of_two_voxels_survives(axes: tuple[int, ...]) -> None:
    place = np.indices((12, 12, 12))
    pattern = torch.from_numpy(1.0 - 2.0 * (sum(place[a] for a in axes) % 2))[None, None]
    assert smooth(pattern)[..., 1:-1, 1:-1, 1:-1].abs().max() < 1e-12


def test_the_shipped_network_has_the_stated_size_and_trains() -> None:
    assert sum(p.numel() for p in SubvoxelSegResNet().parameters()) == 4_714_680
    net = SubvoxelSegResNet(SubvoxelSegResNetConfig.tiny())
    logits = net(torch.randn(1, 4, 16, 32, 16))
    assert logits.shape == (1, 3, 16, 32, 16)
    logits.square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())
