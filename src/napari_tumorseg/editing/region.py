"""Which voxels a tool works on: the smallest box that matters, what may be written, what is handed back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box, bounding_box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.editing.scope import Draft, Scope, Target
from napari_tumorseg.voxels.clusters import clusters
from napari_tumorseg.voxels.parts import connected_parts

__all__ = [
    "Extent",
    "Mask",
    "Over",
    "Reach",
    "Region",
    "box_of_values",
    "changed",
    "chosen",
    "chosen_groups",
    "draft",
    "enlarged",
    "island_at",
    "joined",
    "needed_image",
    "needed_path",
    "needed_voxel",
    "painted",
    "slice_box",
    "step",
    "within",
    "writable",
]

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.unsignedinteger[Any]]
#: In three dimensions, in each slice by itself, or in the slice that is looked at.
Extent = Literal["3-D", "every slice", "this slice"]
#: What a tool may write over, besides the label it draws with; a locked label never.
Over = Literal["background", "all but locked", "one label"]
#: The lesion in focus (the whole mask where none is), or always the whole mask.
Reach = Literal["lesion in focus", "whole mask"]


@dataclass(frozen=True, eq=False)
class Region:
    """Some voxels and the box that holds them.

    Attributes
    ----------
    box : Box
        Where, in the mask.
    mask : numpy.ndarray
        Boolean, shape of the box.
    axis : int, optional
        The axis across which nothing acts, for tools that work slice by slice; None in 3-D.
    """

    box: Box
    mask: Mask
    axis: int | None = None


def box_of_values(labels: Labels, values: Sequence[int] | None = None) -> Box | None:
    """Return the smallest box that holds all voxels with one of `values`.

    One pass over the volume, slice by slice, which needs no memory of the volume's size.

    Parameters
    ----------
    labels : numpy.ndarray
        Shape (z, y, x), unsigned integer.
    values : sequence of int, optional
        Every value but 0 by default.

    Returns
    -------
    Box, optional
        None when there is no such voxel.

    Examples
    --------
    >>> labels = np.zeros((4, 5, 6), np.uint8)
    >>> labels[1:3, 2, 3] = 7
    >>> box_of_values(labels, (7,))
    Box(start=(1, 2, 3), stop=(3, 3, 4))
    """
    flat = np.zeros(labels.shape[1:], np.uint8)
    first, last = -1, -1
    for z, plane in enumerate(labels):
        found = _among(plane, values)
        if found.any():
            first = z if first < 0 else first
            last = z
            flat |= found.view(np.uint8)
    if first < 0:
        return None
    y, x = np.flatnonzero(flat.any(axis=1)), np.flatnonzero(flat.any(axis=0))
    return Box((first, int(y[0]), int(x[0])), (last + 1, int(y[-1]) + 1, int(x[-1]) + 1))


def _among(labels: Labels, values: Sequence[int] | None) -> Mask:
    if values is None:
        return np.asarray(labels != 0)
    if len(values) == 1:
        return np.asarray(labels == values[0])
    return np.isin(labels, list(values))


def slice_box(box: Box, axis: int, index: int) -> Box | None:
    """Return the part of `box` that lies in one slice across `axis`, None when the slice misses it."""
    if not box.start[axis] <= index < box.stop[axis]:
        return None
    start, stop = list(box.start), list(box.stop)
    start[axis], stop[axis] = index, index + 1
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def chosen(scope: Scope, target: Target, reach: Reach, extent: Extent = "3-D", values: Sequence[int] | None = None) -> Region | None:
    """Return the voxels that a tool is to change: those of the label drawn with, in the lesion in focus or all of them.

    Parameters
    ----------
    scope, target : Scope, Target
        What there is, and what the user pointed at.
    reach : str
        "lesion in focus" or "whole mask".
    extent : str
        "this slice" leaves out what is not in the slice of ``target.voxel`` across ``target.axis``.
    values : sequence of int, optional
        Labels that count; the one drawn with by default, () for every label.

    Returns
    -------
    Region, optional
        Cut to its voxels; None when there are none.

    Raises
    ------
    InputError
        If the slice is meant and no voxel was pointed at.
    """
    wanted = None if values == () else (values or (scope.label,))
    part = target.part if reach == "lesion in focus" else None
    box: Box | None = part[0] if part else Box.whole(scope.labels.shape)
    inside = part[1] if part else None
    if extent == "this slice" and box is not None:
        thin = slice_box(box, target.axis, needed_voxel(scope, target)[target.axis])
        inside = within(inside, box, thin) if inside is not None and thin is not None else None
        box = thin
    elif part is None:
        box = box_of_values(scope.labels, wanted)
    if box is None:
        return None
    mask = _among(scope.labels[box.slices], wanted)
    if inside is not None:
        mask &= inside
    return _trimmed(box, mask, None if extent == "3-D" else target.axis)


def chosen_groups(
    scope: Scope, target: Target, reach: Reach, extent: Extent = "3-D", values: Sequence[int] | None = None, range_mm: float = 0.0
) -> list[Region]:
    """Return the same voxels as `chosen`, in groups that can be worked on one by one.

    Parameters
    ----------
    scope, target, reach, extent, values
        As for `chosen`.
    range_mm : float
        How far a voxel has a say: no voxel of the volume is within it of two groups.

    Returns
    -------
    list of Region
        One for the lesion in focus or for a slice.
    """
    if extent == "this slice" or (reach == "lesion in focus" and target.part is not None):
        region = chosen(scope, target, reach, extent, values)
        return [] if region is None else [region]
    axis = None if extent == "3-D" else target.axis
    gap = [2 * int(np.ceil(range_mm / size)) + 1 for size in scope.grid.spacing_mm]
    wanted = None if values == () else (values or (scope.label,))
    return [Region(box, mask, axis) for box, mask in clusters(scope.labels, wanted, gap)]


def joined(scope: Scope, drafts: Sequence[Draft | None]) -> Draft | None:
    """Return one draft that makes the changes of several, none of which changes a voxel of another.

    Examples
    --------
    >>> from napari_tumorseg.core.grid import Grid
    >>> from napari_tumorseg.core.labels import preset
    >>> labels = np.zeros((1, 1, 4), np.uint8)
    >>> scope = Scope(labels, Grid.from_spacing(labels.shape, (1, 1, 1)), preset("lesion"), 1)
    >>> one = np.ones((1, 1, 1), np.uint8)
    >>> both = [Draft(Box((0, 0, i), (1, 1, i + 1)), one) for i in (0, 2)]
    >>> joined(scope, both).labels
    array([[[1, 0, 1]]], dtype=uint8)
    """
    real = [part for part in drafts if part is not None]
    if len(real) < 2:
        return real[0] if real else None
    box = real[0].box
    for part in real[1:]:
        box = box.union(part.box)
    new = scope.labels[box.slices].copy()
    for part in real:
        inner = tuple(slice(a - o, b - o) for a, b, o in zip(part.box.start, part.box.stop, box.start, strict=True))
        old = scope.labels[part.box.slices]
        np.copyto(new[inner], part.labels, where=part.labels != old)
    return Draft(box, new)


def _trimmed(box: Box, mask: Mask, axis: int | None) -> Region | None:
    inner = bounding_box(mask)
    if inner is None:
        return None
    return Region(_moved(inner, box.start), mask[inner.slices], axis)


def _moved(box: Box, by: tuple[int, int, int]) -> Box:
    (a, b, c), (d, e, f), (z, y, x) = box.start, box.stop, by
    return Box((a + z, b + y, c + x), (d + z, e + y, f + x))


def within(mask: Mask, box: Box, other: Box) -> Mask:
    """Return a mask given on `box` as a new mask on another box, False where the boxes do not meet.

    Examples
    --------
    >>> within(np.ones((1, 1, 2), bool), Box((0, 0, 0), (1, 1, 2)), Box((0, 0, 1), (1, 1, 4)))
    array([[[ True, False, False]]])
    """
    out = np.zeros(other.shape, bool)
    low = [max(a, b) for a, b in zip(box.start, other.start, strict=True)]
    high = [min(a, b) for a, b in zip(box.stop, other.stop, strict=True)]
    if all(a < b for a, b in zip(low, high, strict=True)):
        there = tuple(slice(a - o, b - o) for a, b, o in zip(low, high, other.start, strict=True))
        here = tuple(slice(a - o, b - o) for a, b, o in zip(low, high, box.start, strict=True))
        out[there] = mask[here]
    return out


def enlarged(scope: Scope, region: Region, margin_mm: float = 0.0) -> Region:
    """Return the region in a box that is larger by `margin_mm` and one voxel, cut at the volume.

    A region that is worked on slice by slice gets no more slices.
    """
    margins = [int(np.ceil(margin_mm / size)) + 1 for size in scope.grid.spacing_mm]
    if region.axis is not None:
        margins[region.axis] = 0
    box = region.box.grown(margins, scope.labels.shape)
    return Region(box, within(region.mask, region.box, box), region.axis)


def writable(scope: Scope, old: Labels, over: Over, over_label: int = 0) -> Mask:
    """Return where the label drawn with may be put: over background, over one label, or over all that is not locked."""
    if over == "background":
        free = np.asarray(old == 0)
    elif over == "one label":
        free = np.asarray(old == over_label)
    else:
        free = np.ones(old.shape, bool)
    if scope.locked:
        free &= ~np.isin(old, list(scope.locked))
    return free


def draft(box: Box, old: Labels, new: Labels) -> Draft | None:
    """Return the change from `old` to `new` in `box`, cut to the voxels that differ; None when none does."""
    inner = bounding_box(old != new)
    if inner is None:
        return None
    return Draft(_moved(inner, box.start), np.ascontiguousarray(new[inner.slices]))


def painted(scope: Scope, box: Box, where: Mask, over: Over, over_label: int = 0, label: int | None = None) -> Draft | None:
    """Return a draft that puts a label (the one drawn with) `where` it may be put."""
    old = scope.labels[box.slices]
    new = old.copy()
    new[where & writable(scope, old, over, over_label)] = scope.label if label is None else label
    return draft(box, old, new)


def changed(scope: Scope, box: Box, before: Mask, after: Mask, over: Over, over_label: int = 0) -> Draft | None:
    """Return a draft that turns the voxels `before` of the label drawn with into those `after`.

    What leaves becomes background; what comes is written only where it may be.
    """
    old = scope.labels[box.slices]
    new = old.copy()
    new[before & ~after & ~np.isin(old, list(scope.locked))] = 0
    new[after & ~before & writable(scope, old, over, over_label)] = scope.label
    return draft(box, old, new)


def island_at(
    shape: Sequence[int],
    voxel: tuple[int, int, int],
    look: Callable[[Box], Mask],
    axis: int | None = None,
    connectivity: Literal[6, 18, 26] = 26,
    limit: Box | None = None,
) -> Region | None:
    """Return the connected part of a mask that a voxel belongs to, without a look at the rest of the volume.

    The box round the voxel is doubled until the part no longer touches its faces.

    Parameters
    ----------
    shape : sequence of int
        (z, y, x) of the volume.
    voxel : tuple of int
        (z, y, x).
    look : callable
        Given a box, returns the mask in it.
    axis : int, optional
        Stay in the slice across this axis.
    connectivity : int
        6, 18 or 26.
    limit : Box, optional
        Look no further than this; the whole volume by default.

    Returns
    -------
    Region, optional
        None when the voxel is not in the mask.
    """
    outer = limit or Box.whole(shape)
    if axis is not None:
        thin = slice_box(outer, axis, voxel[axis])
        if thin is None:
            return None
        outer = thin
    z, y, x = voxel
    half = 16
    while True:
        box = Box((z, y, x), (z + 1, y + 1, x + 1)).grown(half, shape)
        start = tuple(max(a, b) for a, b in zip(box.start, outer.start, strict=True))
        stop = tuple(min(a, b) for a, b in zip(box.stop, outer.stop, strict=True))
        box = Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
        at = tuple(v - a for v, a in zip(voxel, box.start, strict=True))
        if any(not 0 <= i < n for i, n in zip(at, box.shape, strict=True)):
            return None
        parts, _ = connected_parts(look(box), connectivity)
        if parts[at] == 0:
            return None
        part = np.asarray(parts == parts[at])
        found = _trimmed(box, part, axis)
        assert found is not None
        open_low = any(a == b and a > o for a, b, o in zip(found.box.start, box.start, outer.start, strict=True))
        open_high = any(a == b and a < o for a, b, o in zip(found.box.stop, box.stop, outer.stop, strict=True))
        if not (open_low or open_high):
            return found
        half *= 2


def step(progress: Progress | None, fraction: float, message: str) -> None:
    """Report progress where somebody listens; this is where a tool is cancelled."""
    if progress is not None:
        progress.update(fraction, message)


def needed_image(scope: Scope) -> npt.NDArray[Any]:
    """Return the image that is looked at; raise `InputError` when there is none on the mask's grid."""
    if scope.image is None or scope.image.shape != scope.labels.shape:
        raise InputError("This tool looks at an image and none is shown on the mask's grid.", "Show an image of the case.")
    return scope.image


def needed_voxel(scope: Scope, target: Target) -> tuple[int, int, int]:
    """Return the voxel pointed at; raise `InputError` when there is none in the mask."""
    voxel = target.voxel
    if voxel is None or any(not 0 <= v < n for v, n in zip(voxel, scope.labels.shape, strict=True)):
        raise InputError("Nothing inside the image was pointed at.", "Put the cursor on the image.")
    return voxel


def needed_path(target: Target, points: int) -> npt.NDArray[np.float64]:
    """Return the way of the cursor, shape (n, 3); raise `InputError` when it has fewer than `points` points."""
    path = target.path
    if path is None and target.voxel is not None:
        path = np.array([target.voxel], np.float64)
    if path is None or path.ndim != 2 or path.shape[1] != 3 or len(path) < points or not np.isfinite(path).all():
        raise InputError("The outline is too short.", "Draw round what is meant." if points > 1 else "Draw on the image.")
    return np.asarray(path, np.float64)
