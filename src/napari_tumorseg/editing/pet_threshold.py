"""Thresholds of PET: fixed SUV, a share of the lesion's maximum, and PERCIST's liver.

All work in a ball round the click or in the lesion in focus. What they paint is 18-connected, as the lesions of `evaluation.pet` are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.editing.fields import about
from napari_tumorseg.editing.pet_place import Image, Place, Where, part_at, pet_of, place_of, written
from napari_tumorseg.editing.region import Mask, Over, step
from napari_tumorseg.editing.scope import Draft, Scope, Target

__all__ = ["FixedSuvParams", "PercentParams", "PercistParams", "liver_threshold", "percent_of_max", "percist", "suv_at_least"]


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
    radius_mm: float = field(default=40.0, metadata=about("Radius (mm)", 2.0, 400.0, 5.0))
    over: Over = field(default="background", metadata=about("Over"))
    over_label: int = field(default=0, metadata=about("One label", 0, 65535))

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
    radius_mm: float = field(default=40.0, metadata=about("Radius (mm)", 2.0, 400.0, 5.0))
    over: Over = field(default="background", metadata=about("Over"))
    over_label: int = field(default=0, metadata=about("One label", 0, 65535))


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
    radius_mm: float = field(default=40.0, metadata=about("Radius (mm)", 2.0, 400.0, 5.0))
    over: Over = field(default="background", metadata=about("Over"))
    over_label: int = field(default=0, metadata=about("One label", 0, 65535))


def suv_at_least(scope: Scope, target: Target, params: FixedSuvParams, progress: Progress | None = None) -> Draft | None:
    """Paint what reaches a fixed SUV.

    2.5 and 4.0 are in wide use; Barrington et al. (J. Nucl. Med. 62:332, 2021) compare them, and 41 %, for lymphoma.

    Raises
    ------
    InputError
        If no PET is on the mask's grid, nothing was pointed at, or the voxel clicked on does not reach the threshold.
    """
    step(progress, 0.0, "Looking at the PET")
    place = place_of(scope, target, params)
    return written(scope, place, _above(place, params.suv), params)


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
    place = place_of(scope, target, params)
    share = params.percent / 100
    if place.at is None:
        return written(scope, place, _above(place, share * float(place.block[place.inside].max())), params)
    at = place.at
    while True:
        found = part_at(place.inside & (place.block >= share * float(place.block[at])), at)
        hottest = np.unravel_index(int(np.where(found, place.block, -np.inf).argmax()), found.shape)
        if not place.block[hottest] > place.block[at]:
            return written(scope, place, found, params)
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
    place = place_of(scope, target, params)
    if params.liver == "other mask":
        if scope.other is None or scope.other.shape != scope.labels.shape:
            raise InputError(
                "There is no other mask that holds the liver.", "Start an empty mask, draw the liver there, and come back to this one."
            )
        liver = np.asarray(scope.other != 0)
    else:
        liver = np.asarray(scope.labels == params.liver_label)
    threshold = liver_threshold(pet_of(scope), liver, params.factor, params.deviations)
    return written(scope, place, _above(place, threshold), params)


def _above(place: Place, threshold: float) -> Mask:
    """Return what reaches a threshold: all of it in a lesion in focus, else what hangs together with the click."""
    hot = place.inside & (place.block >= threshold)
    if place.at is None:
        return hot
    here = float(place.block[place.at])
    if here < threshold:
        raise InputError(
            f"The voxel clicked on has {here:.2f}, less than {threshold:.2f}.", "Click on a hotter one, or lower the threshold."
        )
    return part_at(hot, place.at)
