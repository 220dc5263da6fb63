"""The fast way against the network itself, and its parts against double precision."""

from __future__ import annotations

import copy

import pytest
import torch
from monai.networks.nets import SegResNet, UNet

from napari_tumorseg.core.errors import Cancelled
from napari_tumorseg.core.jobs import CancelToken
from napari_tumorseg.networks.segresnet_cpu import fast_on_cpu, fold_blocks_channels_last, group_norm_relu
from napari_tumorseg.networks.subvoxel_segresnet import SubvoxelSegResNet, SubvoxelSegResNetConfig, fold_blocks, unfold_blocks

LAST = torch.channels_last_3d


def _shaken(net: torch.nn.Module) -> torch.nn.Module:
    """Give the norms weights and biases of their own, so that a mistake with them shows."""
    torch.manual_seed(5)
    with torch.no_grad():
        for part in net.modules():
            if isinstance(part, torch.nn.GroupNorm):
                part.weight.uniform_(0.5, 1.5)
                part.bias.uniform_(-0.5, 0.5)
    return net.eval()


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("shape", [(16, 16, 16), (32, 16, 48)])
@pytest.mark.parametrize("subvoxel", [True, False])
def test_it_gives_what_the_network_gives(batch: int, shape: tuple[int, int, int], subvoxel: bool) -> None:
    if subvoxel:
        net = _shaken(SubvoxelSegResNet(SubvoxelSegResNetConfig.tiny()))
    else:
        net = _shaken(SegResNet(spatial_dims=3, init_filters=8, in_channels=4, out_channels=3, blocks_down=(1, 2, 1), blocks_up=(1, 1)))
    image = torch.randn(batch, 4, *shape)
    with torch.inference_mode():
        expected = copy.deepcopy(net).double()(image.double())
        fast = fast_on_cpu(net)
        assert fast is not None
        kept = image.clone()
        found = fast(image)
        again = fast(image)
    assert torch.equal(image, kept)
    assert torch.equal(found, again)
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-5)


def test_without_onednn_it_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    net = _shaken(SubvoxelSegResNet(SubvoxelSegResNetConfig.tiny()))
    image = torch.randn(1, 4, 32, 32, 32)
    with torch.inference_mode():
        expected = net(image)
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
        torch.testing.assert_close(fast_on_cpu(net)(image), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "net",
    [
        UNet(spatial_dims=3, in_channels=1, out_channels=1, channels=(4, 8), strides=(2,)),
        SegResNet(spatial_dims=3, in_channels=1, out_channels=1, upsample_mode="deconv"),
        SegResNet(spatial_dims=3, in_channels=1, out_channels=1, act="LEAKYRELU"),
        SegResNet(spatial_dims=3, in_channels=1, out_channels=1, norm="INSTANCE"),
        SegResNet(spatial_dims=3, in_channels=1, out_channels=1).double(),
        SegResNet(spatial_dims=2, in_channels=1, out_channels=1),
    ],
    ids=["unet", "deconv", "leaky", "instance", "double", "2-D"],
)
def test_networks_that_it_does_not_know_are_left_alone(net: torch.nn.Module) -> None:
    assert fast_on_cpu(net.eval()) is None


@pytest.mark.parametrize("shape", [(1, 16, 48, 56, 48), (2, 8, 5, 7, 3), (1, 128, 1, 1, 1), (3, 8, 16, 16, 16)])
@pytest.mark.parametrize("mean", [0.0, 10.0])
def test_norm_and_activation_are_exact_to_single_precision(shape: tuple[int, ...], mean: float) -> None:
    norm = _shaken(torch.nn.GroupNorm(8, shape[1]))
    image = (torch.randn(shape) + mean).contiguous(memory_format=LAST)
    with torch.inference_mode():
        expected = copy.deepcopy(norm).double()(image.double()).relu()
        out = torch.empty_like(image, memory_format=LAST)
        assert group_norm_relu(image, norm, out) is out
        torch.testing.assert_close(out.double(), expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(group_norm_relu(image, norm, image), out)


@pytest.mark.parametrize("block", [1, 2, 3])
def test_folding_is_the_same_and_can_be_undone(block: int) -> None:
    image = torch.randn(2, 3, 2 * block, 4 * block, 3 * block)
    folded = fold_blocks_channels_last(image, block)
    assert torch.equal(folded, fold_blocks(image, block))
    assert folded.is_contiguous(memory_format=LAST)
    assert torch.equal(unfold_blocks(folded, block), image)


def test_it_can_be_stopped_between_blocks() -> None:
    token = CancelToken()
    calls = []

    def check() -> None:
        calls.append(0)
        if len(calls) == 3:
            token.cancel()
        token.raise_if_cancelled()

    fast = fast_on_cpu(SubvoxelSegResNet(SubvoxelSegResNetConfig.tiny()).eval(), check)
    with pytest.raises(Cancelled):
        fast(torch.zeros(1, 4, 16, 16, 16))
    assert len(calls) == 3
