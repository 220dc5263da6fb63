"""Nuclei by a star-convex network: normalisation, tiles, and polygons from what the network says.

The network is `networks.stardist.StarDist`, which comes untrained; its published thresholds are the defaults here. Sources differ on
whether the percentiles are taken over all channels together or for each alone, so both are offered; together is the default, as in
stardist-napari and the bioimage.io export of the H&E model.

A tile is normalised with the percentiles of the whole image, not with its own: normalised alone, a tile of blank glass becomes noise
of full contrast, in which nuclei are then found. Tiles overlap by a margin; a candidate counts in the tile whose inner part holds its
centre, and the polygons of all tiles are suppressed together, so that a nucleus on a seam is found once and whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.pathology.polygon_nms import keep_polygons, star_polygons

if TYPE_CHECKING:
    from napari_tumorseg.networks.stardist import StarDist

__all__ = ["StarNuclei", "StarOptions", "candidates_of", "percentile_range", "predict_nuclei"]

Singles = npt.NDArray[np.float32]

#: StarDist raises distances to this, so that every polygon has an area.
_LEAST_DISTANCE_PX = 1e-3


@dataclass(frozen=True)
class StarOptions:
    """How a star-convex network is used; the thresholds are those of the published H&E model.

    Attributes
    ----------
    probability : float
        Least object probability of a candidate.
    overlap_limit : float
        See `polygon_nms.keep_polygons`.
    tile_px : int
        Side of the inner part of a tile, a multiple of the network's divisor.
    margin_px : int
        Image around the inner part, a multiple of the network's divisor; 96 is more than the network sees.
    border_cells : int
        Output pixels along the image's border in which no candidate counts; StarDist's Python drops 2.
    """

    probability: float = 0.6924782541382084
    overlap_limit: float = 0.3
    tile_px: int = 1024
    margin_px: int = 96
    border_cells: int = 2


@dataclass(frozen=True, eq=False)
class StarNuclei:
    """Nuclei as star-convex polygons, by falling probability.

    Attributes
    ----------
    centres_px : numpy.ndarray
        (n, 2) as (y, x).
    distances_px : numpy.ndarray
        (n, rays), see `polygon_nms.star_polygons`.
    probabilities : numpy.ndarray
        (n,).
    """

    centres_px: npt.NDArray[np.float64]
    distances_px: Singles
    probabilities: Singles

    @property
    def polygons(self) -> npt.NDArray[np.float64]:
        """Return the corners, (n, rays, 2) as (y, x), in pixels."""
        return star_polygons(self.centres_px, self.distances_px)


def percentile_range(
    image: npt.NDArray[Any], low: float = 1.0, high: float = 99.8, channels: Literal["joint", "each"] = "joint"
) -> tuple[Singles, Singles]:
    """Return what becomes 0 and what becomes 1, per channel; StarDist's percentiles by default.

    Parameters
    ----------
    image : numpy.ndarray
        (y, x, c): the image, or a reduced copy of a slide with its tissue.
    low, high : float
        Percentiles.
    channels : {"joint", "each"}
        Whether the percentiles are those of all values together or of each channel.

    Examples
    --------
    >>> image = np.stack([np.arange(101), np.arange(101) * 2], axis=-1)[None]
    >>> percentile_range(image, 0, 100)[1].tolist(), percentile_range(image, 0, 100, "each")[1].tolist()
    ([200.0, 200.0], [100.0, 200.0])
    """
    if image.ndim != 3 or not image.size:
        raise InputError(f"An image of shape {image.shape} has no rows, columns and channels.", "Give (y, x, channel).")
    axes = (0, 1) if channels == "each" else None
    ends = np.percentile(image, [low, high], axis=axes).astype(np.float32).reshape(2, -1)
    bottom, top = (np.broadcast_to(end, image.shape[2]) for end in ends)
    return bottom, top


def candidates_of(probability: Singles, distances: Singles, threshold: float, grid: int = 2) -> StarNuclei:
    """Return the candidates that a network's answer holds.

    Parameters
    ----------
    probability : numpy.ndarray
        (h, w).
    distances : numpy.ndarray
        (rays, h, w) in pixels of the image.
    threshold : float
        Pixels above it are candidates.
    grid : int
        Image pixels per output pixel: output (i, j) stands at (grid i, grid j).

    Returns
    -------
    StarNuclei
        Not yet suppressed, by falling probability.
    """
    y, x = np.nonzero(probability > threshold)
    found = probability[y, x]
    order = np.argsort(-found, kind="stable")
    y, x, found = y[order], x[order], found[order]
    centres = np.stack([y, x], axis=1).astype(np.float64) * grid
    return StarNuclei(centres, np.maximum(distances[:, y, x].T, _LEAST_DISTANCE_PX), found)


def predict_nuclei(
    image: npt.NDArray[Any],
    network: StarDist,
    value_range: tuple[Singles, Singles],
    options: StarOptions | None = None,
    progress: Progress | None = None,
) -> StarNuclei:
    """Find the nuclei of an image, tile by tile.

    Parameters
    ----------
    image : numpy.ndarray
        (y, x, c), at the spacing the network was trained for; anything that slices to an array will do.
    network : StarDist
        With weights loaded.
    value_range : tuple of numpy.ndarray
        `percentile_range` of the whole image.
    options : StarOptions, optional
        Thresholds and tiles.
    progress : Progress, optional
        Told of each tile; cancels.

    Returns
    -------
    StarNuclei
        Those kept.

    Raises
    ------
    InputError
        If tile or margin are no multiple of the network's divisor.
    """
    options = options or StarOptions()
    progress = progress or Progress()
    if options.tile_px < 1 or options.margin_px < 0 or options.tile_px % network.divisor or options.margin_px % network.divisor:
        raise InputError(
            f"Tiles of {options.tile_px} with a margin of {options.margin_px} do not fit.", f"Use multiples of {network.divisor}."
        )
    corners = list(_corners(image.shape, options.tile_px))
    found = []
    for done, corner in enumerate(corners):
        progress.update(done / len(corners), "Finding nuclei")
        found.append(_tile(image, corner, network, value_range, options))
    centres = np.concatenate([f.centres_px for f in found] or [np.zeros((0, 2))])
    distances = np.concatenate([f.distances_px for f in found] or [np.zeros((0, network.config.rays), np.float32)])
    probabilities = np.concatenate([f.probabilities for f in found] or [np.zeros(0, np.float32)])
    # Of equal probabilities the upper left goes first, however the image was cut into tiles.
    reading = np.lexsort((centres[:, 1], centres[:, 0]))
    kept = reading[keep_polygons(centres[reading], distances[reading], probabilities[reading], options.overlap_limit)]
    return StarNuclei(centres[kept], distances[kept], probabilities[kept])


def _corners(shape: tuple[int, ...], side: int) -> Iterator[tuple[int, int]]:
    for y in range(0, shape[0], side):
        for x in range(0, shape[1], side):
            yield y, x


def _tile(
    image: npt.NDArray[Any], corner: tuple[int, int], network: StarDist, value_range: tuple[Singles, Singles], options: StarOptions
) -> StarNuclei:
    """Return the candidates whose centres lie in the inner part of a tile."""
    pixels, start = _cut(image, corner, network.divisor, options)
    low, high = value_range
    scaled = (pixels.astype(np.float32) - low) / np.maximum(high - low, np.float32(1e-20))
    probability, distances = _through(network, scaled)
    grid, border = network.grid, options.border_cells
    for axis in range(2):
        first, last = max(corner[axis], border * grid), min(corner[axis] + options.tile_px, image.shape[axis] - border * grid)
        place = start[axis] + grid * np.arange(probability.shape[axis])
        outside = (place < first) | (place >= last)
        probability[outside if axis == 0 else (slice(None), outside)] = 0
    found = candidates_of(probability, distances, options.probability, grid)
    return StarNuclei(found.centres_px + np.array(start), found.distances_px, found.probabilities)


def _cut(image: npt.NDArray[Any], corner: tuple[int, int], divisor: int, options: StarOptions) -> tuple[npt.NDArray[Any], tuple[int, int]]:
    """Cut a tile with its margin, as far as the image reaches, mirrored at the far ends to a multiple of the divisor."""
    start = (max(corner[0] - options.margin_px, 0), max(corner[1] - options.margin_px, 0))
    stop = [min(c + options.tile_px + options.margin_px, n) for c, n in zip(corner, image.shape[:2], strict=True)]
    pixels = np.asarray(image[start[0] : stop[0], start[1] : stop[1]])
    lacking = [(0, -n % divisor) for n in pixels.shape[:2]]
    return np.pad(pixels, [*lacking, (0, 0)], mode="symmetric"), start


def _through(network: StarDist, pixels: Singles) -> tuple[Singles, Singles]:
    import torch

    device = next(network.parameters()).device
    with torch.inference_mode():
        batch = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))).to(device)[None]
        probability, distances = network(batch)
    return np.array(probability[0].cpu().numpy()), np.array(distances[0].cpu().numpy())
