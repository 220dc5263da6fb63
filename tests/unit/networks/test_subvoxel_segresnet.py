from __future__ import annotations

import torch

from napari_tumorseg.networks.subvoxel_segresnet import SubvoxelSegResNet, SubvoxelSegResNetConfig, fold_blocks, unfold_blocks


def test_a_block_becomes_the_channels_of_one_voxel() -> None:
    image = torch.arange(2 * 4 * 4 * 6, dtype=torch.float32).view(1, 2, 4, 4, 6)
    folded = fold_blocks(image, 2)
    assert folded.shape == (1, 16, 2, 2, 3)
    assert torch.equal(folded[0, :8, 1, 0, 2], image[0, 0, 2:4, 0:2, 4:6].flatten())
    assert torch.equal(folded[0, 8:, 0, 1, 0], image[0, 1, 0:2, 2:4, 0:2].flatten())
    assert torch.equal(unfold_blocks(folded, 2), image)


def test_every_voxel_gets_an_answer_of_its_own() -> None:
    torch.manual_seed(0)
    config = SubvoxelSegResNetConfig.tiny()
    assert config.divisor == 16
    with torch.inference_mode():
        answer = SubvoxelSegResNet(config).eval()(torch.randn(1, 4, 16, 32, 16))
    assert answer.shape == (1, 3, 16, 32, 16)
    inside_block = answer[0, 0, :2, :2, :2].flatten()
    assert len(inside_block.unique()) == 8


def test_the_shipped_size_is_under_20_mb() -> None:
    assert sum(p.numel() for p in SubvoxelSegResNet().parameters()) * 4 < 20e6
