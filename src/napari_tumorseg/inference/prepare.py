"""From images on the scanner's grid to what a network sees, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import AxisTransform, Box, Grid, bounding_box
from napari_tumorseg.core.segmenter import Input, SegmenterSpec
from napari_tumorseg.inference.normalise import normaliser
from napari_tumorseg.inference.resample import resample, working_grid

__all__ = ["Prepared", "check_images", "prepare"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a network sees, and where it lies.

    Attributes
    ----------
    image : numpy.ndarray
        Shape (C, z, y, x) on `grid`, float32, normalised; 0 is background and what is missing.
    grid : Grid
        Orientation and spacing of the network.
    source : Grid
        The same box on the images' own voxels, turned to the network's orientation.
    box : Box
        Where `source` lies in the turned images.
    move : AxisTransform
        Turns the images' axes to the network's.
    """

    image: Floats
    grid: Grid
    source: Grid
    box: Box
    move: AxisTransform

    @property
    def resampled(self) -> bool:
        """Whether `grid` has other voxels than `source`."""
        return self.grid is not self.source

    def back(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return `values` (z, y, x) of `grid` at the voxels of `source`; interpolated linearly where they differ."""
        return resample(values, self.grid, self.source, antialias=False) if self.resampled else values

    def place(self, values: npt.NDArray[Any], shape: tuple[int, int, int]) -> npt.NDArray[Any]:
        """Return `values` (z, y, x) of `source` in an array of the images' own `shape` and axes, 0 elsewhere."""
        whole = np.zeros(shape, values.dtype)
        self.move.apply(whole)[self.box.slices] = values
        return whole


def check_images(given: Input, spec: SegmenterSpec) -> dict[str, Floats]:
    """Return the images that the model takes, by modality in its order; raise `InputError` where they do not do."""
    missing = [need.modality for need in spec.inputs if need.required and need.modality not in given.images]
    present = {m: given.images[m] for m in spec.modalities if m in given.images}
    if missing or not present:
        wanted = ", ".join(missing or spec.modalities)
        raise InputError(f"{spec.title or spec.name} needs {wanted}, which the case lacks.", "Add the image, or choose another model.")
    for name, image in present.items():
        if image.shape != given.grid.shape:
            raise InputError(f"The {name} image has shape {image.shape}, its grid {given.grid.shape}.", "Check the file.")
        if not np.isfinite(image).all():
            raise InputError(f"The {name} image holds values that are not finite.", "Export it again from its source.")
    return present


def prepare(given: Input, spec: SegmenterSpec, normalise: str, margin_mm: float = 0.0) -> Prepared | None:
    """Turn, cut to the brain, resample and normalise the images.

    Parameters
    ----------
    given : Input
        Images on one grid.
    spec : SegmenterSpec
        Modalities, orientation and spacing of the model.
    normalise : str
        Name of the normalisation.
    margin_mm : float
        Background kept around what is not 0 in any image.

    Returns
    -------
    Prepared
        None where all images are 0 everywhere.

    Raises
    ------
    InputError
        If a required image is missing, does not fit the grid, or is not finite.
    """
    images = check_images(given, spec)
    turned, move = given.grid.reorient(spec.orientation or given.grid.orientation)
    views = {name: move.apply(image) for name, image in images.items()}
    box = _brain_box(views)
    if box is None:
        return None
    margin = [int(np.ceil(margin_mm / step)) for step in turned.spacing_mm]
    box = box.grown(margin, turned.shape)
    source = turned.crop(box)
    grid = working_grid(source, spec.spacing_mm)
    scale = normaliser(normalise)
    stack = np.zeros((len(spec.modalities), *grid.shape), np.float32)
    for channel, name in zip(stack, spec.modalities, strict=True):
        if name in views:
            cut = views[name][box.slices]
            channel[...] = scale(cut if grid is source else _on(grid, cut, source))
    return Prepared(stack, grid, source, box, move)


def _brain_box(views: Mapping[str, Floats]) -> Box | None:
    """Return the box around what is not 0 in any image."""
    boxes = [box for box in map(bounding_box, views.values()) if box is not None]
    if not boxes:
        return None
    whole = boxes[0]
    for box in boxes[1:]:
        whole = whole.union(box)
    return whole


def _on(grid: Grid, image: Floats, source: Grid) -> Floats:
    """Resample an image; its background of zeros, which normalisation relies on, stays 0 and keeps its outline."""
    values = resample(image, source, grid)
    brain = image != 0
    if not brain.all():
        values[resample(brain, source, grid, antialias=False) <= 0.5] = 0
    return values
