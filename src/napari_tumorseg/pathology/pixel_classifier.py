"""A trainable classifier of a slide's pixels: tissue classes from multi-scale features.

Random trees as in QuPath, or a small neural network. A classifier knows its resolution in micrometres per pixel and is applied
at no other: `ScaledImage` brings a level of a slide to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.pathology.forest import Forest
from napari_tumorseg.pathology.pixel_features import FeatureSpec, pixel_features
from napari_tumorseg.pathology.pixel_mlp import Mlp
from napari_tumorseg.pathology.pixel_tiles import ScaledImage, Tile, in_lanes, plan_tiles, tile_side

if TYPE_CHECKING:
    import torch

__all__ = ["IGNORE", "REGION", "TISSUE_CLASSES", "PixelClass", "PixelClassifier"]

Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class PixelClass:
    """A class: its value in label maps (1 to 255), name, and colour "#RRGGBB"."""

    value: int
    name: str
    colour: str


#: What is only a region to look at: strokes of it teach nothing.
REGION = PixelClass(6, "Region*", "#0000B4")
#: What is learnt, but 0 in label maps.
IGNORE = PixelClass(7, "Ignore*", "#B4B4B4")
#: The classes of tissue with QuPath's colours (`PathClass`).
TISSUE_CLASSES = (
    PixelClass(1, "Tumour", "#C80000"),
    PixelClass(2, "Stroma", "#96C896"),
    PixelClass(3, "Immune cells", "#A05AA0"),
    PixelClass(4, "Necrosis", "#323232"),
    PixelClass(5, "Other", "#FFC800"),
    REGION,
    IGNORE,
)


@dataclass(frozen=True, eq=False)
class PixelClassifier:
    """What was learnt from scribbles.

    Attributes
    ----------
    spec : FeatureSpec
        The features it sees.
    classes : tuple of PixelClass
        In the order of the model's outputs.
    spacing_um : float
        Micrometres per pixel that it works at.
    model : Forest or Mlp
        Random trees, or a small network.
    training : mapping
        JSON-able: seed, settings, samples by class.
    """

    spec: FeatureSpec
    classes: tuple[PixelClass, ...]
    spacing_um: float
    model: Forest | Mlp
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the parts fit each other."""
        if len(self.spec.names) != self.model.n_features or not 2 <= len(self.classes) == self.model.n_classes:
            raise InputError("The classifier's features, classes and model do not fit each other.", "Train the classifier again.")
        if len({c.value for c in self.classes}) < len(self.classes) or not all(0 < c.value < 256 for c in self.classes):
            raise InputError("The classes' values are not different numbers from 1 to 255.", "Train the classifier again.")

    def scores(self, features: torch.Tensor) -> npt.NDArray[np.float32]:
        """Return the share of the votes, or probability, of each class: float32 (class, y, x) for features (feature, y, x)."""
        columns = features.reshape(len(features), -1)
        if isinstance(self.model, Mlp):
            scores: npt.NDArray[np.float32] = self.model.probabilities(columns).cpu().numpy()
        else:
            votes = self.model.votes(columns.numpy()) if columns.device.type == "cpu" else self.model.votes_on(columns).cpu().numpy()
            scores = votes * np.float32(1 / len(self.model.roots))
        return scores.reshape(len(scores), *features.shape[1:])

    def labels_of(self, features: torch.Tensor) -> Labels:
        """Return the values of the winning classes, uint8 (y, x); where two are equal the first class wins."""
        table = np.array([0 if c.name == IGNORE.name else c.value for c in self.classes], np.uint8)
        if isinstance(self.model, Forest) and features.device.type == "cpu":
            winners = self.model.winners(features.reshape(len(features), -1).numpy()).reshape(features.shape[1:])
        else:
            winners = self.scores(features).argmax(axis=0)
        return np.asarray(table[winners])

    def probabilities(self, image: npt.NDArray[Any], device: str = "cpu") -> npt.NDArray[np.float32]:
        """Return `scores` of an image (y, x, 3) at the classifier's resolution."""
        source = self._same(image)
        out = np.empty((len(self.classes), *source.shape), np.float32)
        tiles = plan_tiles(source.shape)
        for tile, part in zip(tiles, in_lanes(lambda t: self.scores(self._features(source, t, 1, device)), tiles, device), strict=True):
            out[:, tile.rows, tile.columns] = part
        return out

    def labels(self, image: npt.NDArray[Any], step: int = 1, device: str = "cpu") -> Labels:
        """Classify an image, e.g. what is in view.

        Parameters
        ----------
        image : numpy.ndarray
            (y, x, 3) RGB, 0 to 255, at the classifier's resolution.
        step : int
            Only each `step`-th pixel is computed, and fills a square of that side: a preview.
        device : str
            Torch's name of where to compute.

        Returns
        -------
        numpy.ndarray
            uint8 (y, x): values of the classes, 0 for Ignore*.
        """
        source = self._same(image)
        out = np.empty(source.shape, np.uint8)
        tiles = plan_tiles(source.shape, tile_side(step))
        for tile, part in zip(tiles, in_lanes(lambda t: self._tile(source, t, step, device), tiles, device), strict=True):
            out[tile.rows, tile.columns] = part
        return out

    def preview(self, image: npt.NDArray[Any], steps: Sequence[int] = (4, 2, 1), device: str = "cpu") -> Iterator[tuple[int, Labels]]:
        """Yield a step and `labels` at it, from coarse to fine, so that something is seen at once; the last is exact."""
        for step in steps:
            yield step, self.labels(image, step, device)

    def tiles(
        self,
        source: ScaledImage,
        core: tuple[slice, slice] | None = None,
        progress: Progress | None = None,
        device: str = "cpu",
    ) -> Iterator[tuple[Tile, Labels]]:
        """Classify a region or a whole slide, tile by tile; only a few tiles are in memory.

        Parameters
        ----------
        source : ScaledImage
            The slide at this classifier's resolution.
        core : tuple of slice, optional
            Rows and columns at that resolution; all by default.
        progress : Progress, optional
            Hears of each tile, and stops the work.
        device : str
            Torch's name of where to compute.

        Yields
        ------
        tuple of Tile and numpy.ndarray
            Where, and uint8 labels (y, x). Values are those of `labels` of the whole.
        """
        self._check(source)
        plan = plan_tiles(source.shape, core=core)
        for done, (tile, part) in enumerate(zip(plan, in_lanes(lambda t: self._tile(source, t, 1, device), plan, device), strict=True), 1):
            yield tile, part
            if progress:
                progress.update(done / len(plan), f"Classifying tissue, tile {done} of {len(plan)}")

    def lazily(self, source: ScaledImage, chunk_px: int = 1024) -> Any:
        """Return the label map as a dask array (y, x), uint8; a chunk is computed when it is asked for."""
        import dask.array as da

        self._check(source)
        sizes = tuple(tuple(min(chunk_px, n - start) for start in range(0, n, chunk_px)) for n in source.shape)

        def chunk(block_info: Any) -> Labels:
            (top, bottom), (first, last) = block_info[None]["array-location"]
            out = np.empty((bottom - top, last - first), np.uint8)
            for tile in plan_tiles(source.shape, core=(slice(top, bottom), slice(first, last))):
                rows = slice(tile.rows.start - top, tile.rows.stop - top)
                out[rows, tile.columns.start - first : tile.columns.stop - first] = self._tile(source, tile, 1, "cpu")
            return out

        return da.map_blocks(chunk, chunks=sizes, dtype=np.uint8, meta=np.empty((0, 0), np.uint8))

    def _same(self, image: npt.NDArray[Any]) -> ScaledImage:
        return ScaledImage(image, (self.spacing_um, self.spacing_um), self.spacing_um)

    def _check(self, source: ScaledImage) -> None:
        if abs(source.wanted_um / self.spacing_um - 1) > 1e-3:
            raise InputError(
                f"The classifier works at {self.spacing_um:g} um per pixel, not at {source.wanted_um:g}.",
                "Scale the image to its resolution.",
            )

    def _features(self, source: ScaledImage, tile: Tile, step: int, device: str) -> torch.Tensor:
        grown, inner = tile.with_halo(self.spec.halo_px, source.shape)
        return pixel_features(source.read(grown.rows, grown.columns), self.spec, (inner.rows, inner.columns), step, device)

    def _tile(self, source: ScaledImage, tile: Tile, step: int, device: str) -> Labels:
        found = self.labels_of(self._features(source, tile, step, device))
        if step == 1:
            return found
        size = tile.rows.stop - tile.rows.start, tile.columns.stop - tile.columns.start
        return found.repeat(step, axis=0).repeat(step, axis=1)[: size[0], : size[1]]
