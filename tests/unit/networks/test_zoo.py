from __future__ import annotations

import pytest
import torch

from napari_tumorseg.core.errors import ModelError
from napari_tumorseg.networks.zoo import NETWORKS, build_network

SMALL = {
    "SubvoxelSegResNet": {"init_filters": 8, "blocks_down": [1, 1, 1], "blocks_up": [1, 1]},
    "SegResNet": {"init_filters": 8, "blocks_down": [1, 1], "blocks_up": [1]},
    "UNet": {"channels": [4, 8, 16], "strides": [2, 2]},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_each_network_runs_on_the_smallest_shape_it_names(name: str) -> None:
    net, config = build_network(name, {**SMALL[name], "in_channels": 2, "out_channels": 5})
    edge = 2 * config.divisor
    with torch.inference_mode():
        answer = net.eval()(torch.randn(1, 2, edge, edge, 2 * edge))
    assert answer.shape == (1, 5, edge, edge, 2 * edge)
    assert NETWORKS[name].floats_per_voxel(config) > 7
    assert "doi" in NETWORKS[name].citation or "arXiv" in NETWORKS[name].citation


def test_lists_of_a_table_become_tuples() -> None:
    _, config = build_network("SegResNet", SMALL["SegResNet"])
    assert config.blocks_down == (1, 1)
    assert hash(config)


@pytest.mark.parametrize(
    ("name", "config", "words"),
    [
        ("Transformer", {}, "There is no network 'Transformer'. Use one of SubvoxelSegResNet"),
        ("SegResNet", {"filters": 3}, "SegResNet has no setting filters"),
        ("SegResNet", {"init_filters": 3}, "cannot be made of these settings"),
        ("UNet", {"channels": [4], "strides": [2]}, "cannot be made of these settings"),
    ],
)
def test_what_cannot_be_built_is_said(name: str, config: dict[str, object], words: str) -> None:
    with pytest.raises(ModelError) as caught:
        build_network(name, config)
    assert words in str(caught.value)
