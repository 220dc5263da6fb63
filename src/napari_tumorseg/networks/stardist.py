"""The network of StarDist's H&E model, untrained.

Shapes follow the published model `2D_versatile_he` (Schmidt 2018, doi:10.1007/978-3-030-00934-2_30; CSBDeep's `internals/blocks.py`
and stardist's `model2d.py`): two convolutions and a pooling for the grid of 2, a U-Net of depth 3, one convolution of features and two
heads. All convolutions are 3 x 3 with zero padding and ReLU but the heads, which are 1 x 1; there is no normalisation layer. Whoever
makes one gets random weights until a state is loaded into it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

__all__ = ["StarDist", "StarDistConfig"]


@dataclass(frozen=True)
class StarDistConfig:
    """Size of a `StarDist`.

    Attributes
    ----------
    in_channels : int
        Image channels.
    rays : int
        Distances per pixel.
    filters : int
        Channels of the first level; doubled at each deeper one.
    depth : int
        Poolings within the U-Net.
    features : int
        Channels of the convolution before the heads.
    """

    in_channels: int = 3
    rays: int = 32
    filters: int = 32
    depth: int = 3
    features: int = 128

    @classmethod
    def tiny(cls) -> StarDistConfig:
        """Return a configuration that runs in milliseconds, for tests."""
        return cls(filters=4, features=8)


class StarDist(nn.Module):
    """Object probability and distances to the border along rays, at half the resolution of the image.

    Parameters
    ----------
    config : StarDistConfig, optional
        Size; that of the published H&E model by default.

    Examples
    --------
    >>> probability, distances = StarDist(StarDistConfig.tiny())(torch.zeros(1, 3, 32, 48))
    >>> probability.shape, distances.shape
    (torch.Size([1, 16, 24]), torch.Size([1, 32, 16, 24]))
    """

    #: Image pixels per output pixel.
    grid = 2

    def __init__(self, config: StarDistConfig | None = None) -> None:
        super().__init__()
        self.config = config or StarDistConfig()
        n, depth = self.config.filters, self.config.depth
        self.stem = nn.ModuleList([_conv(self.config.in_channels, n), _conv(n, n)])
        channels = n
        self.down = nn.ModuleList()
        for level in range(depth):
            wide = n * 2**level
            self.down.append(nn.ModuleList([_conv(channels, wide), _conv(wide, wide)]))
            channels = wide
        self.middle = nn.ModuleList([_conv(channels, 2 * channels), _conv(2 * channels, channels)])
        self.up = nn.ModuleList()
        for level in reversed(range(depth)):
            wide = n * 2**level
            # The last convolution of a level gives as many channels as the next level up has; at the top, as the first level.
            self.up.append(nn.ModuleList([_conv(2 * wide, wide), _conv(wide, max(wide // 2, n))]))
        self.features = _conv(n, self.config.features)
        self.probability = nn.Conv2d(self.config.features, 1, 1)
        self.distances = nn.Conv2d(self.config.features, self.config.rays, 1)

    @property
    def divisor(self) -> int:
        """Height and width must be a multiple of this number of pixels."""
        return int(self.grid * 2**self.config.depth)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict for images.

        Parameters
        ----------
        image : torch.Tensor
            (N, C, H, W) float32, normalised; H and W multiples of `divisor`.

        Returns
        -------
        probability : torch.Tensor
            (N, H / 2, W / 2), 0 to 1.
        distances : torch.Tensor
            (N, rays, H / 2, W / 2) in pixels of the image; may be negative, as the head is linear.

        Raises
        ------
        ValueError
            If the shape does not fit.
        """
        if image.ndim != 4 or image.shape[1] != self.config.in_channels or image.shape[2] % self.divisor or image.shape[3] % self.divisor:
            raise ValueError(f"images of shape {tuple(image.shape)} do not fit this network")
        x = functional.max_pool2d(_through(self.stem, image), self.grid)
        skips = []
        for block in self.down:
            x = _through(block, x)
            skips.append(x)
            x = functional.max_pool2d(x, 2)
        x = _through(self.middle, x)
        for block, skip in zip(self.up, reversed(skips), strict=True):
            x = _through(block, torch.cat([functional.interpolate(x, scale_factor=2, mode="nearest"), skip], dim=1))
        x = functional.relu(self.features(x))
        return torch.sigmoid(self.probability(x))[:, 0], self.distances(x)


def _conv(channels: int, wide: int) -> nn.Conv2d:
    return nn.Conv2d(channels, wide, 3, padding=1)


def _through(block: nn.Module, x: torch.Tensor) -> torch.Tensor:
    assert isinstance(block, nn.ModuleList)
    for conv in block:
        x = functional.relu(conv(x))
    return x
