"""Backends: what turns a specification and its weight files into a running `Segmenter`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from napari_tumorseg.core.segmenter import Segmenter, SegmenterSpec
from napari_tumorseg.core.settings import Settings

__all__ = ["BACKENDS", "Backend"]

Backend = Callable[[SegmenterSpec, Mapping[str, Path], Settings], Segmenter]


def _network(spec: SegmenterSpec, weights: Mapping[str, Path], settings: Settings) -> Segmenter:
    from napari_tumorseg.inference.predictor import NetworkSegmenter

    return NetworkSegmenter(spec, next(iter(weights.values())), settings)


def _brats17_cascade(spec: SegmenterSpec, weights: Mapping[str, Path], settings: Settings) -> Segmenter:
    from napari_tumorseg.inference.cascade import Brats17Cascade

    return Brats17Cascade(spec, weights, settings)


def _click(spec: SegmenterSpec, weights: Mapping[str, Path], settings: Settings) -> Segmenter:
    from napari_tumorseg.catalogue.backends.prompted import load_click

    return load_click(spec, weights, settings)


#: Backend by name; each imports its library only when a model is loaded.
BACKENDS: Mapping[str, Backend] = MappingProxyType({"network": _network, "brats17-cascade": _brats17_cascade, "click": _click})
