"""Small models for the engine's tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch

from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.segmenter import Input, Need, SegmenterSpec
from napari_tumorseg.core.settings import Settings
from napari_tumorseg.inference.predictor import NetworkSegmenter
from napari_tumorseg.networks import zoo
from napari_tumorseg.networks.subvoxel_segresnet import SubvoxelSegResNetConfig

TINY = {"init_filters": SubvoxelSegResNetConfig.tiny().init_filters, "blocks_down": list(SubvoxelSegResNetConfig.tiny().blocks_down)}
REGIONS = {"WT": "SNFH", "TC": "NETC", "ET": "ET"}


@dataclass(frozen=True)
class BrightConfig:
    """One input, any number of outputs, edges in multiples of 4."""

    in_channels: int = 1
    out_channels: int = 3
    divisor: int = 4


class Bright(torch.nn.Module):
    """Marks what is brighter than 0.5, 1.5, 2.5 in the first channel; knows no neighbours."""

    def __init__(self, config: BrightConfig) -> None:
        super().__init__()
        self.channels = config.out_channels
        self.gain = torch.nn.Parameter(torch.full((1,), 20.0))
        self.seen: list[tuple[int, ...]] = []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(image.shape))
        return torch.cat([(image[:, :1] - (i + 0.5)) * self.gain for i in range(self.channels)], 1)


class Edges(torch.nn.Module):
    """One convolution with random weights: what it answers depends on where its axes run to."""

    def __init__(self, config: BrightConfig) -> None:
        super().__init__()
        self.conv = torch.nn.Conv3d(config.in_channels, config.out_channels, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.conv(image)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings((tmp_path,), tmp_path, tmp_path, tmp_path)


@pytest.fixture
def segmenter(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., NetworkSegmenter]:
    """Return a function that makes a segmenter from a network's name, saving its weights with a fixed seed."""
    from safetensors.torch import save_file

    own = {net.__name__: zoo.Network(net.__name__, BrightConfig, net, lambda config: 8.0, "none") for net in (Bright, Edges)}
    monkeypatch.setattr(zoo, "NETWORKS", MappingProxyType({**zoo.NETWORKS, **own}))

    def make(
        network: str = "SubvoxelSegResNet", config: dict[str, Any] | None = None, half: bool = False, **changes: Any
    ) -> NetworkSegmenter:
        config = (TINY if network == "SubvoxelSegResNet" else {}) if config is None else config
        torch.manual_seed(3)
        built, sizes = zoo.build_network(network, config)
        path = tmp_path / f"{network}.safetensors"
        save_file({name: value.half() if half else value for name, value in built.state_dict().items()}, path)
        options = {"network": network, "config": config, "regions_to_labels": REGIONS, **changes.pop("options", {})}
        needs = tuple(Need(name, required=False) for name in ("T1", "T1c", "T2", "FLAIR")[: sizes.in_channels])
        spec = SegmenterSpec("small", "A small model", "network", needs, preset("brats-mets-2025"), orientation="SPL", window=(32, 32, 32))
        return NetworkSegmenter(replace(spec, options=options, **changes), path, settings)

    return make


@pytest.fixture
def head() -> Callable[..., Input]:
    """Return a function that makes a case of four noisy ellipsoids around a point off centre."""

    def make(
        shape: tuple[int, int, int] = (40, 44, 36), names: tuple[str, ...] = ("T1", "T1c", "T2", "FLAIR"), grid: Grid | None = None
    ) -> Input:
        rng = np.random.default_rng(11)
        z, y, x = np.indices(shape, np.float32)
        centre, radius = np.array(shape) * 0.52, np.array(shape) * 0.38
        brain = ((z - centre[0]) / radius[0]) ** 2 + ((y - centre[1]) / radius[1]) ** 2 + ((x - centre[2]) / radius[2]) ** 2 < 1
        images = {}
        for name in names:
            values = 100 + 10 * rng.standard_normal(shape, dtype=np.float32) + rng.uniform(20, 60) * (x > shape[2] * 0.6)
            images[name] = np.where(brain, values, 0).astype(np.float32)
        return Input(images, grid or Grid.from_spacing(shape, (1, 1, 1), "SPL"))

    return make
