"""Outlines: a lasso or a live-wire, filled with the label or with background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.editing.fields import about
from napari_tumorseg.editing.livewire import LiveWire
from napari_tumorseg.editing.region import Mask, Over, Region, draft, needed_image, needed_path, painted, step
from napari_tumorseg.editing.scope import Draft, Scope, Target

__all__ = ["LassoParams", "WireParams", "enclosed", "fill_polygon", "lasso", "livewire", "wire_outline"]

Action = Literal["add", "erase", "erase all labels"]


@dataclass(frozen=True)
class LassoParams:
    """Settings of the lasso.

    Attributes
    ----------
    action : str
        Add the label, take it away, or take away every label that is not locked.
    depth_mm : float
        How far the outline reaches through the slices on either side; 0 for this slice.
    over : str
        What may be written over when adding.
    over_label : int
        The label that may be written over, with "one label".
    """

    action: Action = field(default="add", metadata=about("Action"))
    depth_mm: float = field(default=0.0, metadata=about("Depth (mm)", 0.0, 500.0, 1.0))
    over: Over = field(default="background", metadata=about("Over"))
    over_label: int = field(default=0, metadata=about("One label", 0, 65535))


@dataclass(frozen=True)
class WireParams:
    """Settings of the live-wire.

    Attributes
    ----------
    action : str
        Add the label, take it away, or take away every label that is not locked.
    smoothing_mm : float
        Details of the image smaller than this are no edges.
    over : str
        What may be written over when adding.
    over_label : int
        The label that may be written over, with "one label".
    """

    action: Action = field(default="add", metadata=about("Action"))
    smoothing_mm: float = field(default=0.7, metadata=about("Smoothing (mm)", 0.1, 10.0, 0.1))
    over: Over = field(default="background", metadata=about("Over"))
    over_label: int = field(default=0, metadata=about("One label", 0, 65535))


def fill_polygon(points: npt.NDArray[np.float64], shape: Sequence[int]) -> tuple[tuple[int, int], Mask]:
    """Return the pixels whose centres lie inside a closed polygon, by the even-odd rule.

    Parameters
    ----------
    points : numpy.ndarray
        Shape (n, 2), fractional (row, column); the last is joined to the first.
    shape : sequence of int
        Rows and columns of the image; the rest is cut off.

    Returns
    -------
    corner : tuple of int
        Row and column of the first pixel of the mask.
    mask : numpy.ndarray
        Boolean, as large as what the polygon covers of the image; may be empty.

    Examples
    --------
    >>> corner, mask = fill_polygon(np.array([[0.5, 0.5], [0.5, 3.5], [2.5, 3.5], [2.5, 0.5]]), (9, 9))
    >>> corner, mask.shape, bool(mask.all())
    ((1, 1), (2, 3), True)
    """
    low = np.maximum(np.ceil(points.min(axis=0)), 0).astype(int)
    high = np.minimum(np.floor(points.max(axis=0)) + 1, shape).astype(int)
    rows, columns = np.maximum(high - low, 0)
    flips = np.zeros((int(rows), int(columns) + 1), np.int32)
    if rows and columns:
        a, b = points, np.roll(points, -1, axis=0)
        swap = (a[:, 0] > b[:, 0])[:, None]
        top, bottom = np.where(swap, b, a), np.where(swap, a, b)
        first = np.maximum(np.ceil(top[:, 0]), low[0]).astype(int)
        count = np.maximum(np.minimum(np.ceil(bottom[:, 0]), high[0]).astype(int) - first, 0)
        # One entry for each crossing of an edge and a row of pixel centres.
        edge = np.repeat(np.arange(len(points)), count)
        line = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
        slope = (bottom - top)[edge]
        cut = top[edge, 1] + (line - top[edge, 0]) * (slope[:, 1] / slope[:, 0])
        # Every pixel to the right of a crossing changes sides.
        np.add.at(flips, (line - low[0], np.clip(np.ceil(cut).astype(int) - low[1], 0, columns)), 1)
    inside = np.cumsum(flips, axis=1)[:, :-1] % 2 == 1
    return (int(low[0]), int(low[1])), np.asarray(inside)


def enclosed(path: npt.NDArray[np.float64], axis: int, scope: Scope, depth_mm: float = 0.0, with_border: bool = False) -> Region | None:
    """Return the voxels that a closed path in a slice encloses, and those before and behind them up to a depth.

    Parameters
    ----------
    path : numpy.ndarray
        Shape (n, 3), fractional (z, y, x) voxel indices.
    axis : int
        Axis across the slice.
    scope : Scope
        For shape and spacing.
    depth_mm : float
        How far it reaches through the slices on either side.
    with_border : bool
        Add the voxels that the path runs through.
    """
    others = [i for i in range(3) if i != axis]
    shape = scope.labels.shape
    index = int(np.floor(path[0, axis] + 0.5))
    flat = path[:, others]
    if with_border:
        low = np.maximum(np.floor(flat.min(axis=0) + 0.5).astype(int), 0)
        high = np.minimum(np.floor(flat.max(axis=0) + 0.5).astype(int) + 1, [shape[i] for i in others])
        plane = np.zeros(np.maximum(high - low, 0), bool)
        (row, column), mask = fill_polygon(flat, [shape[i] for i in others])
        if plane.size:
            plane[row - low[0] : row - low[0] + mask.shape[0], column - low[1] : column - low[1] + mask.shape[1]] = mask
            pixels = np.floor(flat + 0.5).astype(int) - low
            pixels = pixels[((pixels >= 0) & (pixels < plane.shape)).all(axis=1)]
            plane[tuple(pixels.T)] = True
        corner, mask = (int(low[0]), int(low[1])), plane
    else:
        corner, mask = fill_polygon(flat, [shape[i] for i in others])
    deep = int(depth_mm / scope.grid.spacing_mm[axis] + 1e-9)
    first, last = max(index - deep, 0), min(index + deep + 1, shape[axis])
    if first >= last or not mask.any():
        return None
    start, stop = [0, 0, 0], [0, 0, 0]
    start[axis], stop[axis] = first, last
    for i, c, n in zip(others, corner, mask.shape, strict=True):
        start[i], stop[i] = c, c + n
    box = Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
    return Region(box, np.repeat(np.expand_dims(mask, axis), last - first, axis), axis)


def lasso(scope: Scope, target: Target, params: LassoParams, progress: Progress | None = None) -> Draft | None:
    """Fill the closed outline ``target.path``.

    Raises
    ------
    InputError
        If the outline has fewer than three points.
    """
    step(progress, 0.0, "Filling the outline")
    found = enclosed(needed_path(target, 3), target.axis, scope, params.depth_mm)
    return None if found is None else _act(scope, found, params.action, params.over, params.over_label)


def wire_outline(
    image: npt.NDArray[Any], spacing_mm: Sequence[float], anchors: npt.NDArray[np.float64], smoothing_mm: float = 0.7
) -> npt.NDArray[np.float64]:
    """Return the closed live-wire through anchors in a slice, integer pixels as (n, 2) floats.

    Parameters
    ----------
    image : numpy.ndarray
        2-D slice.
    spacing_mm : sequence of float
        Pixel size along both axes.
    anchors : numpy.ndarray
        Shape (n, 2), fractional (row, column).
    smoothing_mm : float
        As for `LiveWire`.
    """
    # What is far from all anchors does not matter, and the slice may be large.
    room = 2 * LiveWire.corridor + 32
    low = np.maximum(np.floor(anchors.min(axis=0)).astype(int) - room, 0)
    high = np.minimum(np.ceil(anchors.max(axis=0)).astype(int) + room + 1, image.shape)
    wire = LiveWire(image[low[0] : high[0], low[1] : high[1]], spacing_mm, smoothing_mm)
    legs = []
    for a, b in zip(anchors, np.roll(anchors, -1, axis=0), strict=True):
        wire.anchor(a - low)
        legs.append(wire.path_to(b - low)[:-1] + low)
    return np.concatenate(legs).astype(np.float64)


def livewire(scope: Scope, target: Target, params: WireParams, progress: Progress | None = None) -> Draft | None:
    """Close the live-wire through the anchors ``target.path`` and fill it, border included.

    Raises
    ------
    InputError
        If there are fewer than three anchors, or no image is shown on the mask's grid.
    """
    step(progress, 0.0, "Following edges")
    anchors, image, axis = needed_path(target, 3), needed_image(scope), target.axis
    others = [i for i in range(3) if i != axis]
    index = min(max(int(np.floor(anchors[0, axis] + 0.5)), 0), image.shape[axis] - 1)
    plane: tuple[Any, ...] = (*(slice(None),) * axis, index)
    outline = wire_outline(image[plane], [scope.grid.spacing_mm[i] for i in others], anchors[:, others], params.smoothing_mm)
    step(progress, 0.8, "Filling the outline")
    path = np.empty((len(outline), 3))
    path[:, axis], path[:, others] = index, outline
    found = enclosed(path, axis, scope, with_border=True)
    return None if found is None else _act(scope, found, params.action, params.over, params.over_label)


def _act(scope: Scope, found: Region, action: Action, over: Over, over_label: int) -> Draft | None:
    if action == "add":
        return painted(scope, found.box, found.mask, over, over_label)
    old = scope.labels[found.box.slices]
    goes = found.mask & ~np.isin(old, list(scope.locked))
    if action == "erase":
        goes &= old == scope.label
    return draft(found.box, old, np.where(goes, np.zeros_like(old), old))
