"""Images made of images, to search in: a subtraction, and slabs of several slices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.workflows.prior_registration import PriorRequest, Registration, foreground, register

__all__ = ["PROJECTIONS", "Match", "Projection", "Slab", "Subtraction", "match_intensity", "subtract"]

Projection = Literal["max", "min", "mean"]
#: What a slab can show of the slices in it, as the user reads it.
PROJECTIONS: Mapping[Projection, str] = {"max": "Maximum", "min": "Minimum", "mean": "Mean"}

# Tukey's biweight at this multiple of the scale has 95 % of the efficiency of least squares.
_TUKEY = 4.685
_MAD_TO_SIGMA = 1.4826
_FIT_VOXELS = 100_000
_FEWEST_VOXELS = 100


@dataclass(frozen=True)
class Match:
    """A linear map of intensities.

    Attributes
    ----------
    gain, offset : float
        ``gain * value + offset``.
    spread : float
        Robust standard deviation of what the map leaves.
    """

    gain: float
    offset: float
    spread: float


@dataclass(frozen=True, eq=False)
class Subtraction:
    """An image minus another one.

    Attributes
    ----------
    volume : Volume
        float32 on the grid of the first image, in its unit; 0 outside the head.
    head : numpy.ndarray
        bool (z, y, x): where both images show the head.
    match : Match
        What was done to the second image before.
    registration : Registration, optional
        What laid the second image onto the first; None where both were on one grid.
    window : tuple of float
        Lower and upper limit, symmetric about 0, within which changes are seen.
    notes : tuple of str
        What the user should know.
    """

    volume: Volume
    head: npt.NDArray[np.bool_]
    match: Match
    registration: Registration | None
    window: tuple[float, float]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Slab:
    """A slab of several slices around the one in view.

    Attributes
    ----------
    projection : str
        What is shown of each column of voxels: "max", "min" or "mean".
    thickness_mm : float
        Across the slab.

    Examples
    --------
    >>> Slab("max", 10.0).margins(3.0), Slab("max", 10.0).margins(12.0)
    ((3.0, 3.0), (0.0, 0.0))
    """

    projection: Projection = "max"
    thickness_mm: float = 10.0

    def slices(self, spacing_mm: float) -> int:
        """Return the number of slices: odd, so that the one in view is in the middle, and no thicker than the slab; at least 1."""
        return 1 + 2 * int((self.thickness_mm / spacing_mm - 1) / 2 + 1e-6) if self.thickness_mm > spacing_mm else 1

    def margins(self, spacing_mm: float) -> tuple[float, float]:
        """Return how far the middles of the first and the last slice are from the one in view, mm."""
        half = (self.slices(spacing_mm) // 2) * spacing_mm
        return half, half


def match_intensity(values: npt.NDArray[Any], target: npt.NDArray[Any]) -> Match:
    """Find the gain and offset that bring one image to the brightness of another.

    Parameters
    ----------
    values, target : numpy.ndarray
        The same voxels of the two images, any one shape.

    Returns
    -------
    Match
        Least squares, reweighted by Tukey's biweight (A. E. Beaton and J. W. Tukey, Technometrics 16:147, 1974), so that
        what differs between the images, like enhancement, does not count.

    Raises
    ------
    InputError
        If there are too few voxels, or `values` are all the same.

    Examples
    --------
    >>> fit = match_intensity(np.arange(200.0), np.r_[2 * np.arange(180.0) + 5, np.full(20, 9000.0)])
    >>> round(fit.gain, 3), round(fit.offset, 3)
    (2.0, 5.0)
    """
    x, y = (np.asarray(a, np.float64).ravel() for a in (values, target))
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    if x.size < _FEWEST_VOXELS or np.ptp(x) == 0:
        raise InputError("The two images have too little in common to be subtracted.", "Choose two images of one head.")
    step = max(1, x.size // _FIT_VOXELS)
    x, y = x[::step], y[::step]
    # Starting from medians, so that a bright tumour cannot tilt the first line.
    edges = np.quantile(x, (0.25, 0.75))
    low, high = x <= edges[0], x >= edges[1]
    run = np.median(x[high]) - np.median(x[low])
    gain = (np.median(y[high]) - np.median(y[low])) / run if run > 0 else 1.0
    offset = float(np.median(y - gain * x))
    spread = 0.0
    for _ in range(30):
        rest = y - (gain * x + offset)
        spread = float(_MAD_TO_SIGMA * np.median(np.abs(rest - np.median(rest))))
        if spread <= 1e-12 * max(1.0, float(np.abs(y).max())):
            break
        weight = np.clip(1 - (rest / (_TUKEY * spread)) ** 2, 0, None) ** 2
        mean_x, mean_y = np.average(x, weights=weight), np.average(y, weights=weight)
        variance = float(np.average((x - mean_x) ** 2, weights=weight))
        if variance == 0:
            break
        new = float(np.average((x - mean_x) * (y - mean_y), weights=weight)) / variance
        settled = abs(new - gain) <= 1e-6 * max(abs(gain), 1e-12)
        gain, offset = new, float(mean_y - new * mean_x)
        if settled:
            break
    return Match(float(gain), offset, spread)


def subtract(first: Volume, second: Volume, request: PriorRequest | None = None, progress: Progress | None = None) -> Subtraction:
    """Return an image minus another, after bringing the second to the first's place and brightness.

    Parameters
    ----------
    first, second : Volume
        E.g. T1 after contrast agent, and before.
    request : PriorRequest, optional
        How the second is registered where its grid is another one.
    progress : Progress, optional
        Told how far it is; asked whether to stop.

    Returns
    -------
    Subtraction
        Positive where the first is brighter.

    Raises
    ------
    InputError
        If an image is no plain one, or they have too little in common.
    Cancelled
        If the user stopped it.
    """
    from napari_tumorseg.inference.resample import resample

    progress = progress or Progress()
    for volume in (first, second):
        if volume.channels or np.iscomplexobj(volume.data):
            raise InputError(f"{volume.name or volume.modality} is a colour or complex image.", "Choose plain images.")
    progress.update(0.0, "Subtracting")
    found, notes = None, []
    grid = second.grid
    if not grid.matches(first.grid):
        found = register(first, second, request, progress.part(0.0, 0.8))
        grid = found.moved(grid)
        notes.append(f"{second.modality or second.name} was registered to {first.modality or first.name} before.")
    values = resample(second.data, grid, first.grid, fill=np.nan)
    progress.update(0.85, "Subtracting")
    target = np.asarray(first.data, np.float32)
    head = foreground(first.data) & np.isfinite(values)
    head &= foreground(np.where(head, values, np.float32(np.nanmin(values, initial=np.inf))))
    match = match_intensity(values[head], target[head])
    progress.update(0.95, "Subtracting")
    out = np.zeros(first.shape, np.float32)
    out[head] = target[head] - (np.float32(match.gain) * values[head] + np.float32(match.offset))
    name = f"{first.modality or first.name} minus {second.modality or second.name}"
    reach = max(6 * match.spread, 1e-6)
    progress.update(1.0, "Subtracting")
    return Subtraction(Volume(out, first.grid, "", first.unit, name=name), head, match, found, (-reach, reach), tuple(notes))
