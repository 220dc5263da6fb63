"""MSNet against oracles written from its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from napari_tumorseg.catalogue.backends.brats17_weights import convert_arrays, published_shapes
from napari_tumorseg.networks.msnet import DepthConv, MSNet, MSNetConfig, NormPReLU, SliceConv, SliceStack, SliceUp

RNG = np.random.default_rng(7)


def _slice(channels: int, height: int, width: int) -> torch.Tensor:
    return torch.from_numpy(RNG.standard_normal((1, channels, height, width)).astype(np.float32))


def _published(full: bool) -> dict[str, np.ndarray]:
    """Random tensors under the published names; kernels scaled so that values stay near 1."""
    arrays = {}
    for name, shape in published_shapes(full).items():
        values = RNG.standard_normal(shape).astype(np.float32)
        arrays[name] = values / np.float32(np.sqrt(np.prod(shape[:-1]))) if name.endswith("/w") else values
    return arrays


@pytest.mark.parametrize(("full", "published", "moving"), [(False, 216_130, 1_660), (True, 205_964, 1_568)])
def test_it_has_the_published_numbers_less_the_moving_averages(full: bool, published: int, moving: int) -> None:
    shapes = published_shapes(full)
    assert len(shapes) == (164 if full else 187)
    assert sum(int(np.prod(s)) for s in shapes.values()) == published
    net = MSNet(MSNetConfig(full_size_second_level=full))
    assert sum(p.numel() for p in net.parameters()) == published - moving


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("depth", "height", "width"), [(19, 8, 12), (9, 4, 4)])
def test_shapes(full: bool, depth: int, height: int, width: int) -> None:
    net = MSNet(MSNetConfig.tiny(full_size_second_level=full))
    with torch.inference_mode():
        assert net(torch.randn(depth, 4, height, width)).shape == (depth - 8, height, width)


@pytest.mark.parametrize("shape", [(8, 4, 8, 8), (19, 3, 8, 8), (19, 4, 8, 6)])
def test_a_window_that_does_not_fit_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        MSNet(MSNetConfig.tiny())(torch.zeros(shape))


def test_a_stride_of_two_pads_at_the_end_only() -> None:
    conv = SliceConv(2, 3, stride=2)
    one, kernel = _slice(2, 6, 4), conv.weight.detach().numpy()
    expected = np.zeros((3, 3, 2))
    for o, r, c, i, kr, kc in np.ndindex(3, 3, 2, 2, 3, 3):
        if 2 * r + kr < 6 and 2 * c + kc < 4:
            expected[o, r, c] += one[0, i, 2 * r + kr, 2 * c + kc].item() * kernel[o, i, kr, kc]
    with torch.inference_mode():
        np.testing.assert_allclose(conv(one)[0], expected, atol=1e-5)


@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_dilation_keeps_the_size_with_zeros_around(dilation: int) -> None:
    conv = SliceConv(1, 1, dilation)
    one, kernel = _slice(1, 7, 8), conv.weight.detach().numpy()[0, 0]
    padded = np.pad(one[0, 0].numpy(), dilation)
    expected = sum(
        kernel[r, c] * padded[r * dilation : r * dilation + 7, c * dilation : c * dilation + 8] for r in range(3) for c in range(3)
    )
    with torch.inference_mode():
        np.testing.assert_allclose(conv(one)[0, 0], expected, atol=1e-5)


def test_a_transposed_convolution_collects_input_row_i_through_kernel_row_o_less_2i() -> None:
    up = SliceUp(2, 3)
    one, kernel = _slice(2, 3, 4), up.weight.detach().numpy()
    expected = np.zeros((3, 6, 8))
    for i, o, r, c, y, x in np.ndindex(2, 3, 6, 8, 3, 4):
        if 0 <= r - 2 * y <= 2 and 0 <= c - 2 * x <= 2:
            expected[o, r, c] += one[0, i, y, x].item() * kernel[i, o, r - 2 * y, c - 2 * x]
    with torch.inference_mode():
        np.testing.assert_allclose(up(one)[0], expected, atol=1e-5)


def test_the_depth_convolution_joins_three_slices() -> None:
    conv = DepthConv(2)
    stack = [_slice(2, 2, 3) for _ in range(5)]
    kernel = conv.weight.detach().numpy()[..., 0, 0]
    values = np.stack([one[0].numpy() for one in stack])
    expected = sum(np.einsum("oi,dihw->dohw", kernel[tap], values[tap : tap + 3]) for tap in range(3))
    with torch.inference_mode():
        np.testing.assert_allclose(torch.cat(list(conv(stack))), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 5, 7), (32, 4, 4), (1, 1, 3)])
def test_batch_norm_uses_the_stack_at_hand_and_nothing_else(shape: tuple[int, int, int]) -> None:
    channels = shape[0]
    stack = SliceStack(3 * _slice(*shape) + 2 for _ in range(4))
    act = NormPReLU(channels)
    with torch.no_grad():
        for parameter in act.parameters():
            parameter.copy_(torch.from_numpy(RNG.standard_normal(channels)))
    values = np.stack([one[0].numpy() for one in stack.slices]).astype(np.float64)
    mean, variance = values.mean((0, 2, 3), keepdims=True), values.var((0, 2, 3), keepdims=True)
    gamma, beta, alpha = (p.detach().numpy().reshape(1, -1, 1, 1) for p in (act.gamma, act.beta, act.alpha))
    expected = gamma * (values - mean) / np.sqrt(variance + 1e-5) + beta
    expected = np.where(expected >= 0, expected, alpha * expected)
    with torch.inference_mode():
        folded = act.fold(stack)
        got = np.concatenate([act(one, folded) for one in stack.slices])
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_training_mode_changes_nothing() -> None:
    net = MSNet(MSNetConfig.tiny())
    window = torch.randn(19, 4, 8, 8)
    with torch.inference_mode():
        assert torch.equal(net.train()(window), net.eval()(window))


def _reference(arrays: dict[str, np.ndarray], window: np.ndarray, full: bool) -> np.ndarray:
    """The network in plain 3-D layers, from the published tensors; window (D, H, W, 4), returns (D - 8, H, W)."""
    t = {name: torch.from_numpy(a) for name, a in arrays.items()}

    def act(x: torch.Tensor, layer: str, n: str) -> torch.Tensor:
        x = functional.batch_norm(x, None, None, t[f"{layer}/bn_{n}/gamma"], t[f"{layer}/bn_{n}/beta"], training=True, eps=1e-5)
        return functional.prelu(x, t[f"{layer}/prelu_acti_{n}/alpha"])

    def conv(x: torch.Tensor, name: str, dilation: int = 1) -> torch.Tensor:
        kernel = t[name].permute(4, 3, 0, 1, 2)
        pad = dilation if kernel.shape[-1] == 3 else 0
        return functional.conv3d(x, kernel, padding=(0, pad, pad), dilation=(1, dilation, dilation))

    def block(x: torch.Tensor, layer: str, dilation: int = 1) -> torch.Tensor:
        y = conv(act(x, layer, "0"), f"{layer}/conv_0/w", dilation)
        y = conv(act(y, layer, "1"), f"{layer}/conv_1/w", dilation)
        gap = (y.shape[1] - x.shape[1]) // 2
        return y + torch.cat((torch.zeros_like(y[:, :gap]), x, torch.zeros_like(y[:, :gap])), dim=1)

    def fuse(x: torch.Tensor, layer: str) -> torch.Tensor:
        return act(conv(x, f"{layer}_bn_prelu/conv_/w"), f"{layer}_bn_prelu", "")

    def down(x: torch.Tensor, layer: str) -> torch.Tensor:
        kernel = t[f"{layer}_bn_prelu/conv_/w"].permute(4, 3, 0, 1, 2)
        return act(functional.conv3d(functional.pad(x, (0, 1, 0, 1)), kernel, stride=(1, 2, 2)), f"{layer}_bn_prelu", "")

    def up(x: torch.Tensor, layer: str) -> torch.Tensor:
        kernel = t[f"{layer}_bn_prelu/deconv_/w"].permute(4, 3, 0, 1, 2)
        y = functional.conv_transpose3d(x, kernel, stride=(1, 2, 2))[..., : 2 * x.shape[-2], : 2 * x.shape[-1]]
        return act(y, f"{layer}_bn_prelu", "")

    x = torch.from_numpy(window).permute(3, 0, 1, 2)[None]
    x = fuse(block(block(x, "block1_1"), "block1_2"), "fuse1")
    if not full:
        x = down(x, "downsample1")
    f2 = fuse(block(block(x, "block2_1"), "block2_2"), "fuse2")
    x = down(f2, "downsample2")
    for i in (1, 2, 3):
        x = block(x, f"block3_{i}", i)
    f3 = x = fuse(x, "fuse3")
    for i in (1, 2, 3):
        x = block(x, f"block4_{i}", 4 - i)
    f4 = fuse(x, "fuse4")
    f2, f3 = f2[:, :, 2:-2], f3[:, :, 1:-1]
    if full:
        sides = [conv(f2, "pred1/w"), up(f3, "pred_up2_1"), up(f4, "pred_up3_1")]
    else:
        sides = [up(f2, "pred_up1"), up(up(f3, "pred_up2_1"), "pred_up2_2"), up(up(f4, "pred_up3_1"), "pred_up3_2")]
    return conv(torch.cat(sides, dim=1), "final_pred/w").softmax(dim=1)[0, 1].numpy()


@pytest.mark.parametrize("full", [False, True])
def test_the_converted_network_equals_the_definition(full: bool) -> None:
    from safetensors.torch import load

    arrays = _published(full)
    net = MSNet(MSNetConfig(full_size_second_level=full))
    net.load_state_dict(load(convert_arrays(arrays)))
    window = RNG.standard_normal((19, 4, 16, 20)).astype(np.float32)
    with torch.inference_mode():
        got = torch.sigmoid(net(torch.from_numpy(window))).numpy()
        expected = _reference(arrays, window.transpose(0, 2, 3, 1), full)
    assert expected.std() > 0.05
    np.testing.assert_allclose(got, expected, atol=2e-4)
