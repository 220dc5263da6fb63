"""Thresholds of PET: fixed SUV, a share of the lesion's maximum, PERCIST's liver, and the edge of the gradient.

All work in a ball round the click or in the lesion in focus. What they paint is 18-connected, as the lesions of `evaluation.pet` are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.editing.fields import about
from napari_tumorseg.editing.region import Mask, Over, changed, needed_image, needed_voxel, painted, step, within
from napari_tumorseg.editing.scope import Draft, Scope, Target
from napari_tumorseg.voxels.parts import connected_parts

__all__ = [
    "EdgeParams",
    "FixedSuvParams",
    "PercentParams",
    "PercistParams",
    "gradient_edge",
    "liver_threshold",
    "percent_of_max",
    "percist",
    "suv_at_least",
]

#: Where a threshold acts.
Where = Literal["round the click", "lesion in focus"]
Image = npt.NDArray[Any]
Index = tuple[int, int, int]

# A segment of PET shown on a CT's or MR's mask is meant for the PET; these are the images that it must not be used on.
_NO_PET = frozenset({"CT", "T1", "T1c", "T2", "FLAIR", "ADC", "DWI", "SWI", "T2*"})
_RADIUS = about("Radius (mm)", 2.0, 400.0, 5.0)
_ONE_LABEL = about("One label", 0, 65535)


class _Common(Protocol):
    @property
    def where(self) -> Where: ...
    @property
    def radius_mm(self) -> float: ...
    @property
    def over(self) -> Over: ...
    @property
    def over_label(self) -> int: ...


@dataclass(frozen=True)
class FixedSuvParams:
    """Settings of the fixed threshold.

    Attributes
    ----------
    threshold : str
        2.5 or 4.0, the ones in common use, or another one.
    other_suv : float
        The threshold, with "other".
    where : str
        In a ball round the click, where it paints what hangs together with it; or in the lesion in focus,
        of which it keeps what reaches the threshold.
    radius_mm : float
        Of the ball.
    over : str
        What may be written over.
    over_label : int
        The label that may be written over, with "one label".
    """

    threshold: Literal["SUV 2.5", "SUV 4.0", "other"] = field(default="SUV 2.5", metadata=about("At least"))
    other_suv: float = field(default=3.0, metadata=about("Other (SUV)", 0.0, 1000.0, 0.5))
    where: Where = field(default="round the click", metadata=about("Where"))
    radius_mm: float = field(default=40.0, metadata=_RADIUS)
    over: Over = field(default="background", metadata=about("Over"))
    over_label: int = field(default=0, metadata=_ONE_LABEL)

    @property
    def suv(self) -> float:
        """The threshold itself."""
        return {"SUV 2.5": 2.5, "SUV 4.0": 4.0}.get(self.threshold, self.other_suv)


@dataclass(frozen=True)
class PercentParams:
    """Settings of the threshold by a share of the maximum.

    Attributes
    ----------
    percent : float
        Of the lesion's hottest voxel.
    where : str
        In a ball round the click, where it paints what hangs together with it; or in the lesion in focus,
        of which it keeps what reaches the threshold.
    radius_mm : float
        Of the ball.
    over : str
        What may be written over.
    over_label : int
        The label that may be written over, with "one label".
    """

    percent: float = field(default=41.0, metadata=about("% of maximum", 1.0, 99.0, 1.0))
    where: Where = field(default="round the click", metadata=about("Where"))
    radius_mm: float = field(default=40.0, metadata=_RADIUS)
    over: Over = field(default="background", metadata=about("Over"))
    over_label: int = field(default=0, metadata=_ONE_LABEL)


@dataclass(frozen=True)
class PercistParams:
    """Settings of PERCIST's threshold.

    Attributes
    ----------
    liver : str
        Where the liver region is: all of the case's other mask, or a label of this one.
    liver_label : int
        That label.
    factor : float
        Times the liver's mean.
    deviations : float
        Plus so many standard deviations.
    where : str
        In a ball round the click, where it paints what hangs together with it; or in the lesion in focus,
        of which it keeps what reaches the threshold.
    radius_mm : float
        Of the ball.
    over : str
        What may be written over.
    over_label : int
        The label that may be written over, with "one label".
    """

    liver: Literal["other mask", "label of this mask"] = field(default="other mask", metadata=about("Liver is"))
    liver_label: int = field(default=1, metadata=about("Liver label", 1, 65535))
    factor: float = field(default=1.5, metadata=about("Times its mean", 0.0, 10.0, 0.1))
    deviations: float = field(default=2.0, metadata=about("Plus SDs", 0.0, 10.0, 0.5))
    where: Where = field(default="round the click", metadata=about("Where"))
    radius_mm: float = field(default=40.0, metadata=_RADIUS)
    over: Over = field(default="background", metadata=about("Over"))
    over_label: int = field(default=0, metadata=_ONE_LABEL)


@dataclass(frozen=True)
class EdgeParams:
    """Settings of the gradient edge.

    Attributes
    ----------
    smoothing_mm : float
        Standard deviation of the Gaussian before the gradient is taken; 0 for none.
    where : str
        In a ball round the click, round the hill of uptake that it is on; or in the lesion in focus.
    radius_mm : float
        Of the ball; it should hold the lesion and some of what is round it.
    over : str
        What may be written over.
    over_label : int
        The label that may be written over, with "one label".
    """

    smoothing_mm: float = field(default=3.0, metadata=about("Smoothing (mm)", 0.0, 20.0, 0.5))
    where: Where = field(default="round the click", metadata=about("Where"))
    radius_mm: float = field(default=40.0, metadata=_RADIUS)
    over: Over = field(default="background", metadata=about("Over"))
    over_label: int = field(default=0, metadata=_ONE_LABEL)


@dataclass(frozen=True, eq=False)
class _Place:
    """Where a threshold acts: a box, what counts in it, and the voxel to start from (none in a lesion in focus)."""

    box: Box
    inside: Mask
    block: Image
    at: Index | None


def suv_at_least(scope: Scope, target: Target, params: FixedSuvParams, progress: Progress | None = None) -> Draft | None:
    """Paint what reaches a fixed SUV.

    2.5 and 4.0 are in wide use; Barrington et al. (J. Nucl. Med. 62:332, 2021) compare them, and 41 %, for lymphoma.

    Raises
    ------
    InputError
        If no PET is on the mask's grid, nothing was pointed at, or the voxel clicked on does not reach the threshold.
    """
    step(progress, 0.0, "Looking at the PET")
    place = _place(scope, target, params)
    return _written(scope, place, _above(place, params.suv), params)


def percent_of_max(scope: Scope, target: Target, params: PercentParams, progress: Progress | None = None) -> Draft | None:
    """Paint what reaches a share of the hottest voxel of the lesion clicked on.

    41 % of the maximum is one of the isocontours of the EANM guideline (Boellaard 2015, doi:10.1007/s00259-014-2961-x). What
    hangs together with the click above that share of the value there may hold a hotter voxel; that one is the maximum then,
    until none is hotter.

    Raises
    ------
    InputError
        If no PET is on the mask's grid, or nothing was pointed at.
    """
    step(progress, 0.0, "Looking at the PET")
    place = _place(scope, target, params)
    share = params.percent / 100
    if place.at is None:
        return _written(scope, place, _above(place, share * float(place.block[place.inside].max())), params)
    at = place.at
    while True:
        found = _part(place.inside & (place.block >= share * float(place.block[at])), at)
        hottest = np.unravel_index(int(np.where(found, place.block, -np.inf).argmax()), found.shape)
        if not place.block[hottest] > place.block[at]:
            return _written(scope, place, found, params)
        at = (int(hottest[0]), int(hottest[1]), int(hottest[2]))


def liver_threshold(pet: Image, liver: Mask, factor: float = 1.5, deviations: float = 2.0) -> float:
    """Return PERCIST's threshold: 1.5 times the mean of the liver plus 2 of its standard deviations.

    The formula is the smallest uptake of a measurable lesion at baseline in PERCIST 1.0 (Wahl 2009,
    doi:10.2967/jnumed.108.057307), which takes the liver from a sphere of 3 cm in its right lobe and uses SUV by lean body
    mass; here it is in the unit of the image. The standard deviation is that of the region's voxels (1/n).

    Parameters
    ----------
    pet : numpy.ndarray
        Shape (z, y, x).
    liver : numpy.ndarray
        Boolean, same shape: the liver region.
    factor, deviations : float
        1.5 and 2.

    Raises
    ------
    InputError
        If the region is empty.

    Examples
    --------
    >>> liver_threshold(np.array([[[1.0, 3.0]]]), np.ones((1, 1, 2), bool))
    5.0
    """
    values = np.asarray(pet[liver], np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        raise InputError(
            "There is no liver region.", "Draw one into a mask of its own, e.g. a ball of 3 cm in the right lobe, then come back."
        )
    return factor * float(values.mean()) + deviations * float(values.std())


def percist(scope: Scope, target: Target, params: PercistParams, progress: Progress | None = None) -> Draft | None:
    """Paint what reaches PERCIST's threshold above the liver, see `liver_threshold`.

    Raises
    ------
    InputError
        If no PET is on the mask's grid, no liver is drawn, nothing was pointed at, or the voxel clicked on does not reach it.
    """
    step(progress, 0.0, "Looking at the PET")
    place = _place(scope, target, params)
    if params.liver == "other mask":
        if scope.other is None or scope.other.shape != scope.labels.shape:
            raise InputError(
                "There is no other mask that holds the liver.", "Start an empty mask, draw the liver there, and come back to this one."
            )
        liver = np.asarray(scope.other != 0)
    else:
        liver = np.asarray(scope.labels == params.liver_label)
    threshold = liver_threshold(_pet(scope), liver, params.factor, params.deviations)
    return _written(scope, place, _above(place, threshold), params)


def gradient_edge(scope: Scope, target: Target, params: EdgeParams, progress: Progress | None = None) -> Draft | None:
    """Paint the hill of uptake up to where it falls off most steeply.

    Watershed on the magnitude of the gradient, the idea of Geets 2007 (doi:10.1007/s00259-006-0363-4): water rises from the
    top of the hill and from outside the place, and the two meet on the ridge of the gradient.

    Raises
    ------
    InputError
        If no PET is on the mask's grid, or nothing was pointed at.
    """
    from scipy.ndimage import gaussian_filter
    from skimage.segmentation import watershed

    step(progress, 0.0, "Looking at the PET")
    place = _place(scope, target, params, margin=1)
    spacing = scope.grid.spacing_mm
    smooth = gaussian_filter(np.asarray(place.block, np.float64), [params.smoothing_mm / s for s in spacing], mode="nearest")
    lines = [(axis, s) for axis, (s, n) in enumerate(zip(spacing, smooth.shape, strict=True)) if n > 1]
    slope = np.sqrt(sum((np.gradient(smooth, s, axis=axis) ** 2 for axis, s in lines), np.zeros(smooth.shape)))
    top = _top_of(smooth, place)
    step(progress, 0.5, "Finding the edge")
    markers = np.where(place.inside, 0, 2).astype(np.int8)
    if place.inside.all():
        for axis, _ in lines:
            for end in (0, -1):
                np.moveaxis(markers, axis, 0)[end] = 2
    markers[top] = 1
    found = np.asarray(watershed(slope, markers, connectivity=2) == 1)
    return _written(scope, place, found & place.inside, params)


def _pet(scope: Scope) -> Image:
    """Return the PET on the mask's grid, else the image that is seen unless that is known to be something else."""
    known = scope.images.get("PET")
    if known is not None and known.shape == scope.labels.shape:
        return known
    seen = needed_image(scope)
    name = next((name for name, image in scope.images.items() if image is seen), "")
    if name in _NO_PET:
        raise InputError(f"This threshold is for PET, and {name} is shown.", "Show the PET (Q and W go through the sequences).")
    return seen


def _place(scope: Scope, target: Target, params: _Common, margin: int = 0) -> _Place:
    pet = _pet(scope)
    if params.where == "lesion in focus":
        if target.part is None:
            raise InputError("No lesion is in focus.", "Choose one in the table, or threshold round the click.")
        box = target.part[0].grown(margin, pet.shape)
        inside = within(target.part[1], target.part[0], box)
        at = None
    else:
        z, y, x = needed_voxel(scope, target)
        spacing = scope.grid.spacing_mm
        box = Box((z, y, x), (z + 1, y + 1, x + 1)).grown([int(params.radius_mm / s + 1e-9) + margin for s in spacing], pet.shape)
        at = (z - box.start[0], y - box.start[1], x - box.start[2])
        axes = np.ogrid[tuple(slice(0, n) for n in box.shape)]
        square = sum(((line - i) * s) ** 2 for line, i, s in zip(axes, at, spacing, strict=True))
        inside = np.asarray(square <= params.radius_mm**2 * (1 + 1e-9))
    block = pet[box.slices]
    # What is no number is as cold as can be.
    return _Place(box, inside, np.where(np.isfinite(block), block, -np.inf if not np.isfinite(block).any() else np.nanmin(block)), at)


def _above(place: _Place, threshold: float) -> Mask:
    """Return what reaches a threshold: all of it in a lesion in focus, else what hangs together with the click."""
    hot = place.inside & (place.block >= threshold)
    if place.at is None:
        return hot
    here = float(place.block[place.at])
    if here < threshold:
        raise InputError(
            f"The voxel clicked on has {here:.2f}, less than {threshold:.2f}.", "Click on a hotter one, or lower the threshold."
        )
    return _part(hot, place.at)


def _part(mask: Mask, at: Index) -> Mask:
    parts, _ = connected_parts(mask, 18)
    return np.asarray(parts == parts[at])


def _top_of(smooth: Image, place: _Place) -> Index:
    """Return the voxel that one gets to by always stepping to the hottest neighbour; the hottest of a lesion in focus."""
    height = np.where(place.inside, smooth, -np.inf)
    if place.at is None:
        top = np.unravel_index(int(height.argmax()), height.shape)
        return int(top[0]), int(top[1]), int(top[2])
    at = place.at
    while True:
        low = [max(i - 1, 0) for i in at]
        near = height[tuple(slice(a, i + 2) for a, i in zip(low, at, strict=True))]
        step_to = np.unravel_index(int(near.argmax()), near.shape)
        if not near[step_to] > height[at]:
            return at
        at = (low[0] + int(step_to[0]), low[1] + int(step_to[1]), low[2] + int(step_to[2]))


def _written(scope: Scope, place: _Place, found: Mask, params: _Common) -> Draft | None:
    if place.at is not None:
        return painted(scope, place.box, found, params.over, params.over_label)
    before = place.inside & (scope.labels[place.box.slices] == scope.label)
    return changed(scope, place.box, before, before & found, params.over, params.over_label)
