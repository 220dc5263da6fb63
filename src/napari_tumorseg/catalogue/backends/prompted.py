"""The backend of the click segmenter: no weights, only a card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from napari_tumorseg.core.errors import ModelError
from napari_tumorseg.core.segmenter import SegmenterSpec
from napari_tumorseg.core.settings import Settings
from napari_tumorseg.inference.prompted.segmenter import KINDS, ClickSegmenter

__all__ = ["load_click"]


def load_click(spec: SegmenterSpec, weights: Mapping[str, Path], settings: Settings) -> ClickSegmenter:
    """Return the segmenter that a card of the backend "click" describes.

    Raises
    ------
    ModelError
        If the card names weights, prompts that are not understood, or options that are not known.
    """
    del settings
    unknown = sorted(set(spec.prompts) - set(KINDS))
    if weights or unknown or not spec.prompts:
        what = "weights" if weights else f"the prompts {', '.join(unknown) or 'none'}"
        raise ModelError(
            f"{spec.name} cannot be run by clicks: its card names {what}.", f"Name prompts among {', '.join(KINDS)}, no weights."
        )
    return ClickSegmenter(spec)
