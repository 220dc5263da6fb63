"""Running a SegResNet on a CPU with less memory traffic; the numbers stay the same to about 1e-5.

A SegResNet on a CPU spends its time in three places: 3 x 3 x 3 convolutions, which oneDNN does
fastest with the channels last; group normalisation, of which PyTorch makes three passes over
memory and, with channels last, loses three digits to single-precision sums; and fresh memory,
as each new tensor of a whole window costs more in page faults than the arithmetic done on it.
`fast_on_cpu` keeps the channels last, fuses normalisation and activation, sums in columns
short enough to be exact, and writes into memory that is already there. `benchmarks/inference.py`
measures what that brings.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from monai.networks.blocks.segresnet_block import ResBlock
from monai.networks.nets import SegResNet
from torch import nn

from napari_tumorseg.networks.subvoxel_segresnet import SubvoxelSegResNet, smooth, unfold_blocks

__all__ = ["FastNetwork", "fast_on_cpu", "fold_blocks_channels_last", "group_norm_relu"]

#: Maps an image (B, C, Z, Y, X), float32 on the CPU, to logits (B, R, Z, Y, X).
FastNetwork = Callable[[torch.Tensor], torch.Tensor]
#: Columns over which statistics are summed; each column then has few enough numbers for float32.
COLUMNS = 1024


def fast_on_cpu(net: nn.Module, check: Callable[[], None] = lambda: None) -> FastNetwork | None:
    """Return a faster way to run `net` on a CPU, None where there is none.

    Parameters
    ----------
    net : torch.nn.Module
        In evaluation mode, float32, on the CPU. MONAI's `SegResNet` with group normalisation, ReLU
        and trilinear upsampling, and `SubvoxelSegResNet`, are known. The weights are shared.
    check : callable
        Called before each block; what it raises (`Cancelled`) ends the run.

    Examples
    --------
    >>> net = SegResNet(spatial_dims=3, init_filters=8, in_channels=1, out_channels=1).eval()
    >>> image = torch.linspace(0, 1, 16**3).view(1, 1, 16, 16, 16)
    >>> with torch.inference_mode():
    ...     bool((fast_on_cpu(net)(image) - net(image)).abs().max() < 1e-5)
    True
    """
    if isinstance(net, SubvoxelSegResNet):
        body = fast_on_cpu(net.body, check)
        block = net.config.block
        return None if body is None else lambda image: smooth(unfold_blocks(body(fold_blocks_channels_last(image, block)), block))
    return _FastSegResNet(net, check) if _is_known(net) else None


def fold_blocks_channels_last(image: torch.Tensor, block: int) -> torch.Tensor:
    """Do what `fold_blocks` does, with the channels of the result last in memory."""
    b, c, z, y, x = image.shape
    n = block
    out = image.new_empty((b, z // n, y // n, x // n, c, n, n, n))
    # One strided copy for each row of a block is much faster than one permuted copy of everything.
    rows = image.contiguous().view(b, c, z, y, x // n, n)
    for dz in range(n):
        for dy in range(n):
            out[..., dz, dy, :] = rows[:, :, dz::n, dy::n].permute(0, 2, 3, 4, 1, 5)
    return out.flatten(4).permute(0, 4, 1, 2, 3)


def group_norm_relu(image: torch.Tensor, norm: nn.GroupNorm, out: torch.Tensor) -> torch.Tensor:
    """Normalise by groups of channels and cut at 0, in two passes over memory and one in place.

    Parameters
    ----------
    image : torch.Tensor
        Shape (B, C, Z, Y, X), float32, channels last in memory.
    norm : torch.nn.GroupNorm
        Number of groups, weight, bias and epsilon.
    out : torch.Tensor
        Receives the result; may be `image` itself.

    Returns
    -------
    torch.Tensor
        `out`.
    """
    channels, voxels = image.shape[1], image[0, 0].numel()
    # Neighbouring voxels count as further columns: short sums are exact, wide rows are fast.
    fold = math.gcd(voxels, max(1, COLUMNS // channels))
    groups = norm.num_groups
    for sample, result in zip(image, out, strict=True):
        rows = sample.permute(1, 2, 3, 0).reshape(-1, fold * channels)
        columns = rows.t()[None, :, :, None]
        mean, variance = torch.batch_norm_update_stats(columns, None, None, 0.0)
        mean, variance = (s.double().view(fold, groups, -1).transpose(0, 1).flatten(1) for s in (mean, variance))
        centre = mean.mean(1, keepdim=True)
        spread = (variance + (mean - centre).square()).mean(1, keepdim=True)
        scale = (spread + norm.eps).rsqrt() * norm.weight.view(groups, -1)
        shift = norm.bias.view(groups, -1) - centre * scale
        target = result.permute(1, 2, 3, 0).view(-1, fold * channels)
        torch.addcmul(shift.flatten().float().repeat(fold), rows, scale.flatten().float().repeat(fold), out=target)
        target.relu_()
    return out


def _is_known(net: Any) -> bool:
    """Whether `net` is a SegResNet made of the parts that `_FastSegResNet` runs."""
    if type(net) is not SegResNet or net.spatial_dims != 3 or not net.use_conv_final:
        return False
    norms = [m for block in net.modules() if isinstance(block, ResBlock) for m in (block.norm1, block.norm2, block.act)]
    ups = [part for up in net.up_samples for part in up[1].children()]
    return (
        all(isinstance(m, (nn.GroupNorm, nn.ReLU)) for m in (*norms, net.conv_final[0], net.conv_final[1]))
        and all(isinstance(m, nn.Upsample) and m.mode == "trilinear" for m in ups)
        and all(m.affine for m in net.modules() if isinstance(m, nn.GroupNorm))
        and next(net.parameters()).device.type == "cpu"
        and next(net.parameters()).dtype == torch.float32
    )


class _FastSegResNet:
    """MONAI's `SegResNet`, block by block, in inference mode."""

    def __init__(self, net: SegResNet, check: Callable[[], None]) -> None:
        self._net = net.to(memory_format=torch.channels_last_3d)
        self._check = check

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        net = self._net
        scratch: dict[torch.Size, torch.Tensor] = {}
        with torch.inference_mode():
            x = _convolve(net.convInit, image.contiguous(memory_format=torch.channels_last_3d))
            skips = []
            for level in net.down_layers:
                for part in level:
                    x = self._block(part, x, scratch) if isinstance(part, ResBlock) else _convolve(part, x)
                skips.append(x)
            for number, (up, blocks) in enumerate(zip(net.up_samples, net.up_layers, strict=True)):
                self._check()
                x = skips[-2 - number].add_(up[1](_convolve(up[0], x)))
                for part in blocks:
                    x = self._block(part, x, scratch)
            norm, _, last = net.conv_final
            return _convolve(last, group_norm_relu(x, norm, x))

    def _block(self, block: ResBlock, x: torch.Tensor, scratch: dict[torch.Size, torch.Tensor]) -> torch.Tensor:
        """Run a residual block; the result replaces `x`, which nothing else needs."""
        self._check()
        if x.shape not in scratch:
            scratch[x.shape] = torch.empty_like(x, memory_format=torch.channels_last_3d)
        hidden = _convolve(block.conv1, group_norm_relu(x, block.norm1, scratch[x.shape]))
        return _convolve(block.conv2, group_norm_relu(hidden, block.norm2, hidden), x)


def _convolve(layer: nn.Module, image: torch.Tensor, total: torch.Tensor | None = None) -> torch.Tensor:
    """Return the convolution of `image`, channels last; added to `total`, in place, where one is given."""
    conv = getattr(layer, "conv", layer)
    if not (isinstance(conv, nn.Conv3d) and torch.backends.mkldnn.is_available()):  # type: ignore[no-untyped-call]
        plain: torch.Tensor = layer(image).contiguous(memory_format=torch.channels_last_3d)
        return plain if total is None else total.add_(plain)
    where: tuple[Any, ...] = (conv.padding, conv.stride, conv.dilation, conv.groups)
    if total is None:
        # Called by name, as PyTorch would take its slow convolution for a single small window.
        answer: torch.Tensor = torch.mkldnn_convolution(image, conv.weight, conv.bias, *where)
        return answer
    # The operator that PyTorch's own compiler uses for a convolution with a sum after it.
    sum_onto = torch.ops.mkldnn._convolution_pointwise_
    done: torch.Tensor = sum_onto(total, image, conv.weight, conv.bias, *where, "add", None, None, [], None)
    return done
