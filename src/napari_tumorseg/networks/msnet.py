"""MSNet: the anisotropic network of the BraTS 2017 cascade.

The network sees a stack of 19 slices and answers for the 11 in the middle. All of its
convolutions but four lie within a slice, so a stack is kept as separate slices
(`SliceStack`), each (1, C, H, W) in channels-last memory: a slice stays in the processor's
cache from one layer to the next, which on a CPU makes everything besides the
convolutions nearly free. Only the batch norms and the four convolutions along depth look
across slices.

Batch norm uses the mean and variance of the stack at hand, in testing as in training.
That is how the published weights were made to be used; the stored moving averages are
not part of this network.

References
----------
G. Wang, W. Li, S. Ourselin, T. Vercauteren, "Automatic Brain Tumor Segmentation using
Cascaded Anisotropic Convolutional Neural Networks", 2017, arXiv:1709.00382.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

__all__ = ["DEPTH_LOST", "MSNet", "MSNetConfig"]

#: Slices that the four convolutions along depth take off the stack, over both ends.
DEPTH_LOST = 8

_EPSILON = 1e-5
_SIDE_CHANNELS = (2, 4, 8)

Folded = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class MSNetConfig:
    """Size of an `MSNet`.

    Attributes
    ----------
    in_channels : int
        Image channels.
    filters : int
        Channels of the body; `filters - in_channels` is even.
    full_size_second_level : bool
        Whether the second pair of blocks works at the input's resolution (the enhancing-core
        networks), not at half of it (whole tumour and core).
    """

    in_channels: int = 4
    filters: int = 32
    full_size_second_level: bool = False

    @classmethod
    def tiny(cls, *, full_size_second_level: bool = False) -> MSNetConfig:
        """Return a configuration that runs in milliseconds, for tests."""
        return cls(filters=8, full_size_second_level=full_size_second_level)


class SliceStack:
    """Slices of one stack, and the mean and variance of each channel over all of them.

    Parameters
    ----------
    slices : iterable of torch.Tensor
        Each (1, C, H, W), float32; consumed one by one, so that the sums over a slice are
        taken while it is still in the cache.
    """

    def __init__(self, slices: Iterable[torch.Tensor]) -> None:
        self.slices: list[torch.Tensor] = []
        sums, squares, count = [], [], 0
        for one in slices:
            rows, channels = one.shape[2] * one.shape[3], one.shape[1]
            # Several pixels side by side make the sums run over long rows, which is faster with few channels.
            side = math.gcd(rows, 16)
            values = one.permute(0, 2, 3, 1).reshape(rows // side, side * channels)
            sums.append(values.sum(0).view(side, channels).sum(0))
            squares.append((values * values).sum(0).view(side, channels).sum(0))
            count += rows
            self.slices.append(one)
        mean = torch.stack(sums).double().sum(0) / count
        variance = torch.stack(squares).double().sum(0) / count - mean * mean
        self.mean, self.variance = mean.float(), variance.clamp(min=0).float()


class NormPReLU(nn.Module):
    """Batch norm over a stack, then PReLU with one slope per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))
        self.alpha = nn.Parameter(torch.zeros(channels))

    def fold(self, stack: SliceStack) -> Folded:
        """Return scale and offset, each (1, C, 1, 1), that normalise the slices of `stack`."""
        scale = self.gamma * torch.rsqrt(stack.variance + _EPSILON)
        offset = self.beta - stack.mean * scale
        return scale.view(1, -1, 1, 1), offset.view(1, -1, 1, 1)

    def forward(self, one: torch.Tensor, folded: Folded) -> torch.Tensor:
        """Return a slice (1, C, H, W) normalised with what `fold` gave, after the PReLU."""
        scale, offset = folded
        return functional.prelu(torch.addcmul(offset, one, scale), self.alpha)


class SliceConv(nn.Module):
    """3 x 3 convolution within a slice, without bias.

    With stride 2 it follows TensorFlow's "same" rule for even sizes: output pixel i is
    centred on input pixel 2i + 1, and zeros are added at the end only.
    """

    def __init__(self, in_channels: int, out_channels: int, dilation: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
        nn.init.kaiming_normal_(self.weight)
        self.dilation = dilation
        self.stride = stride

    def forward(self, one: torch.Tensor) -> torch.Tensor:
        """Map (1, C, H, W) to (1, C', H, W), or half of H and W with stride 2."""
        if self.stride == 2:
            return functional.conv2d(functional.pad(one, (0, 1, 0, 1)), self.weight, stride=2)
        return functional.conv2d(one, self.weight, padding=self.dilation, dilation=self.dilation)


class SliceUp(nn.Module):
    """Transposed 3 x 3 convolution with stride 2, without bias.

    Output row o collects input row i through kernel row o - 2i; the row and the column
    beyond twice the input size are cut off (TensorFlow's "same" rule).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(in_channels, out_channels, 3, 3))
        nn.init.kaiming_normal_(self.weight)

    def forward(self, one: torch.Tensor) -> torch.Tensor:
        """Map (1, C, H, W) to (1, C', 2H, 2W)."""
        h, w = one.shape[2:]
        return functional.conv_transpose2d(one, self.weight, stride=2)[:, :, : 2 * h, : 2 * w].contiguous(memory_format=torch.channels_last)


class DepthConv(nn.Module):
    """Convolution over three neighbouring slices, pixel by pixel, without bias or padding."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(3, channels, channels, 1, 1))
        nn.init.kaiming_normal_(self.weight)

    def forward(self, slices: list[torch.Tensor]) -> Iterable[torch.Tensor]:
        """Give one slice less at either end; each comes from the three around it."""
        before, here, after = self.weight
        for a, b, c in zip(slices, slices[1:], slices[2:], strict=False):
            yield functional.conv2d(a, before).add_(functional.conv2d(b, here)).add_(functional.conv2d(c, after))


class Layer(nn.Module):
    """A convolution of any kind, then batch norm and PReLU."""

    def __init__(self, conv: nn.Module, channels: int) -> None:
        super().__init__()
        self.conv = conv
        self.act = NormPReLU(channels)

    def forward(self, slices: list[torch.Tensor]) -> Iterable[torch.Tensor]:
        """Give the slices one after the other."""
        stack = SliceStack(self.conv(slices) if isinstance(self.conv, DepthConv) else (self.conv(one) for one in slices))
        folded = self.act.fold(stack)
        return (self.act(one, folded) for one in stack.slices)


class ResidualBlock(nn.Module):
    """Twice batch norm, PReLU and convolution; the input is added.

    An input with fewer channels than the output is padded with zero channels, as many before
    as after.
    """

    def __init__(self, in_channels: int, out_channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.act_0 = NormPReLU(in_channels)
        self.conv_0 = SliceConv(in_channels, out_channels, dilation)
        self.act_1 = NormPReLU(out_channels)
        self.conv_1 = SliceConv(out_channels, out_channels, dilation)
        self.padding = (out_channels - in_channels) // 2

    def forward(self, stack: SliceStack) -> SliceStack:
        """Return a stack of as many slices."""
        folded = self.act_0.fold(stack)
        hidden = SliceStack(self.conv_0(self.act_0(one, folded)) for one in stack.slices)
        folded_hidden = self.act_1.fold(hidden)
        return SliceStack(self._add(self.conv_1(self.act_1(h, folded_hidden)), x) for h, x in zip(hidden.slices, stack.slices, strict=True))

    def _add(self, new: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
        if self.padding == 0:
            return new + old
        return new + functional.pad(old, (0, 0, 0, 0, self.padding, self.padding))


class MSNet(nn.Module):
    """Anisotropic network with residual blocks, dilation and three side outputs.

    Parameters
    ----------
    config : MSNetConfig, optional
        Size; the published whole-tumour and core networks by default.

    Examples
    --------
    >>> net = MSNet(MSNetConfig.tiny())
    >>> net(torch.zeros(19, 4, 16, 24)).shape
    torch.Size([11, 16, 24])
    """

    def __init__(self, config: MSNetConfig | None = None) -> None:
        super().__init__()
        self.config = config or MSNetConfig()
        n, full = self.config.filters, self.config.full_size_second_level
        two, four, eight = _SIDE_CHANNELS
        self.block1_1 = ResidualBlock(self.config.in_channels, n)
        self.block1_2 = ResidualBlock(n, n)
        self.fuse1 = Layer(DepthConv(n), n)
        if not full:
            self.downsample1 = Layer(SliceConv(n, n, stride=2), n)
        self.block2_1 = ResidualBlock(n, n)
        self.block2_2 = ResidualBlock(n, n)
        self.fuse2 = Layer(DepthConv(n), n)
        self.downsample2 = Layer(SliceConv(n, n, stride=2), n)
        self.block3_1 = ResidualBlock(n, n, dilation=1)
        self.block3_2 = ResidualBlock(n, n, dilation=2)
        self.block3_3 = ResidualBlock(n, n, dilation=3)
        self.fuse3 = Layer(DepthConv(n), n)
        self.block4_1 = ResidualBlock(n, n, dilation=3)
        self.block4_2 = ResidualBlock(n, n, dilation=2)
        self.block4_3 = ResidualBlock(n, n, dilation=1)
        self.fuse4 = Layer(DepthConv(n), n)
        if full:
            self.pred1 = SliceConv(n, two)
        else:
            self.pred_up1 = Layer(SliceUp(n, two), two)
        self.pred_up2_1 = Layer(SliceUp(n, four), four)
        self.pred_up3_1 = Layer(SliceUp(n, eight), eight)
        if not full:
            self.pred_up2_2 = Layer(SliceUp(four, four), four)
            self.pred_up3_2 = Layer(SliceUp(eight, eight), eight)
        self.final_pred = SliceConv(sum(_SIDE_CHANNELS), 2)

    @property
    def divisor(self) -> int:
        """Height and width must be a multiple of this number of pixels."""
        return 2 if self.config.full_size_second_level else 4

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        """Score a stack of slices.

        Parameters
        ----------
        window : torch.Tensor
            Shape (D, C, H, W), float32; D more than 8, H and W multiples of `divisor`.

        Returns
        -------
        torch.Tensor
            Shape (D - 8, H, W): the target's score less the background's; `sigmoid` of it is
            the softmax probability of the target.

        Raises
        ------
        ValueError
            If the shape does not fit.
        """
        depth, channels, height, width = window.shape
        if depth <= DEPTH_LOST or channels != self.config.in_channels or height % self.divisor or width % self.divisor:
            raise ValueError(f"a window of shape {tuple(window.shape)} does not fit this network")
        window = window.contiguous(memory_format=torch.channels_last)
        stack = self.block1_2(self.block1_1(SliceStack(window[i : i + 1] for i in range(depth))))
        slices = list(self.fuse1(stack.slices))
        if not self.config.full_size_second_level:
            slices = list(self.downsample1(slices))
        stack = self.block2_2(self.block2_1(SliceStack(slices)))
        second = list(self.fuse2(stack.slices))
        stack = self.block3_3(self.block3_2(self.block3_1(SliceStack(self.downsample2(second)))))
        third = SliceStack(self.fuse3(stack.slices))
        stack = self.block4_3(self.block4_2(self.block4_1(third)))
        fourth = list(self.fuse4(stack.slices))
        return self._join(second[2:-2], third.slices[1:-1], fourth)

    def _join(self, second: list[torch.Tensor], third: list[torch.Tensor], fourth: list[torch.Tensor]) -> torch.Tensor:
        """Bring the three side outputs to the input's resolution and score each pixel."""
        if self.config.full_size_second_level:
            sides = [[self.pred1(one) for one in second], self.pred_up2_1(third), self.pred_up3_1(fourth)]
        else:
            sides = [self.pred_up1(second), self.pred_up2_2(list(self.pred_up2_1(third))), self.pred_up3_2(list(self.pred_up3_1(fourth)))]
        # Of two softmax channels only the difference counts, so one convolution gives it.
        weight = self.final_pred.weight[1:] - self.final_pred.weight[:1]
        joined = (torch.cat(three, dim=1).contiguous(memory_format=torch.channels_last) for three in zip(*sides, strict=True))
        return torch.cat([functional.conv2d(one, weight, padding=1)[:, 0] for one in joined])
