"""The networks that a model's table may name: configuration, builder, citation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Protocol

from monai.networks.nets import SegResNet, UNet
from torch import nn

from napari_tumorseg.core.errors import ModelError
from napari_tumorseg.networks.subvoxel_segresnet import SubvoxelSegResNet, SubvoxelSegResNetConfig

__all__ = ["NETWORKS", "Network", "NetworkConfig", "SegResNetConfig", "UNetConfig", "build_network"]


class NetworkConfig(Protocol):
    """What the engine needs to know of any network's configuration."""

    @property
    def in_channels(self) -> int:
        """Image channels."""
        ...

    @property
    def out_channels(self) -> int:
        """Channels of the result."""
        ...

    @property
    def divisor(self) -> int:
        """Spatial shapes must be a multiple of this number of voxels."""
        ...


@dataclass(frozen=True)
class SegResNetConfig:
    """Size of MONAI's `SegResNet`.

    Attributes
    ----------
    in_channels, out_channels : int
        Image channels, and channels of the result.
    init_filters : int
        Filters of the first level; they double at each step down.
    blocks_down, blocks_up : tuple of int
        Residual blocks at each level.
    """

    in_channels: int = 4
    out_channels: int = 3
    init_filters: int = 16
    blocks_down: tuple[int, ...] = (1, 2, 2, 4)
    blocks_up: tuple[int, ...] = (1, 1, 1)

    @property
    def divisor(self) -> int:
        """Spatial shapes must be a multiple of this number of voxels."""
        return int(2 ** (len(self.blocks_down) - 1))


@dataclass(frozen=True)
class UNetConfig:
    """Size of MONAI's `UNet`.

    Attributes
    ----------
    in_channels, out_channels : int
        Image channels, and channels of the result.
    channels : tuple of int
        Channels of each level.
    strides : tuple of int
        Step between levels, one fewer than `channels`.
    num_res_units : int
        Residual units at each level.
    norm : str
        MONAI's name of the normalisation.
    """

    in_channels: int = 1
    out_channels: int = 2
    channels: tuple[int, ...] = (16, 32, 64, 128, 256)
    strides: tuple[int, ...] = (2, 2, 2, 2)
    num_res_units: int = 2
    norm: str = "INSTANCE"

    @property
    def divisor(self) -> int:
        """Spatial shapes must be a multiple of this number of voxels."""
        return math.prod(self.strides)


@dataclass(frozen=True)
class Network:
    """An architecture.

    Attributes
    ----------
    name : str
        As a model's table gives it.
    config : type
        Frozen dataclass of its sizes; fulfils `NetworkConfig`.
    build : callable
        Makes the network, with random weights, from a configuration.
    floats_per_voxel : callable
        Numbers that a configuration keeps in memory at once for each voxel of a window, at most.
    citation : str
        Where it was published.
    """

    name: str
    config: type[Any]
    build: Callable[[Any], nn.Module]
    floats_per_voxel: Callable[[Any], float]
    citation: str


def _segresnet(config: SegResNetConfig) -> nn.Module:
    net: nn.Module = SegResNet(spatial_dims=3, **{field.name: getattr(config, field.name) for field in fields(config)})
    return net


def _unet(config: UNetConfig) -> nn.Module:
    net: nn.Module = UNet(spatial_dims=3, **{field.name: getattr(config, field.name) for field in fields(config)})
    return net


def _ends(config: NetworkConfig) -> int:
    return 2 * (config.in_channels + config.out_channels)


#: Architectures by name.
NETWORKS: Mapping[str, Network] = MappingProxyType(
    {
        network.name: network
        for network in (
            Network(
                "SubvoxelSegResNet",
                SubvoxelSegResNetConfig,
                SubvoxelSegResNet,
                lambda config: 5 * config.init_filters / config.block**3 + 2 * _ends(config),
                "Myronenko A. 3D MRI brain tumor segmentation using autoencoder regularization. arXiv:1810.11654, 2018. "
                "Shi W. et al. Real-time single image and video super-resolution using an efficient sub-pixel convolutional "
                "neural network. arXiv:1609.05158, 2016.",
            ),
            Network(
                "SegResNet",
                SegResNetConfig,
                _segresnet,
                lambda config: 5 * config.init_filters + _ends(config),
                "Myronenko A. 3D MRI brain tumor segmentation using autoencoder regularization. arXiv:1810.11654, 2018.",
            ),
            Network(
                "UNet",
                UNetConfig,
                _unet,
                lambda config: 6 * config.channels[0] + _ends(config),
                "Kerfoot E. et al. Left-ventricle quantification using residual U-Net. STACOM 2018, doi:10.1007/978-3-030-12029-0_40.",
            ),
        )
    }
)


def build_network(name: str, config: Mapping[str, Any]) -> tuple[nn.Module, NetworkConfig]:
    """Make a network of `NETWORKS` with random weights.

    Parameters
    ----------
    name : str
        Key of `NETWORKS`.
    config : mapping
        Fields of its configuration; those left out keep their default, lists become tuples.

    Returns
    -------
    torch.nn.Module
        The network, in training mode, on the CPU.
    NetworkConfig
        Its configuration.

    Raises
    ------
    ModelError
        If the name or a field is unknown, or the network cannot be made of these sizes.

    Examples
    --------
    >>> net, config = build_network("SegResNet", {"in_channels": 1, "blocks_down": [1, 1], "blocks_up": [1]})
    >>> config.divisor
    2
    """
    if name not in NETWORKS:
        raise ModelError(f"There is no network {name!r}.", f"Use one of {', '.join(NETWORKS)}.")
    network = NETWORKS[name]
    known = {field.name for field in fields(network.config)}
    unknown = sorted(set(config) - known)
    if unknown:
        raise ModelError(f"{name} has no setting {', '.join(unknown)}.", f"Its settings are {', '.join(sorted(known))}.")
    try:
        made = network.config(**{key: tuple(value) if isinstance(value, list) else value for key, value in config.items()})
        return network.build(made), made
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{name} cannot be made of these settings: {error}.", "Correct `config` in the model's table.") from error
