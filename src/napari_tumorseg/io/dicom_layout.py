"""From a stack of planes to a grid: gaps, tilt and unevenness."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.io.dicom_frames import Frame, shared_group
from napari_tumorseg.io.dicom_modality import number
from napari_tumorseg.io.dicom_sorting import SAME_PLACE_MM, Stack

__all__ = ["Layout", "layout_of"]

Vector = npt.NDArray[np.float64]

_EVEN = 0.01  # share of the slice distance that counts as rounding
_UNEVEN = 0.25  # share of the slice distance from which an even grid would mislead
_TILT_DEG = 0.05


@dataclass(frozen=True, eq=False)
class Layout:
    """How the planes of a stack fill a grid.

    Attributes
    ----------
    grid : Grid
        The volume's grid.
    below, above : tuple of int
        For each slice of the grid the planes it lies between; equal where it is a plane itself.
    weight_above : tuple of float
        Share of the plane above.
    positions_lps : numpy.ndarray
        Shape (z, 3): the true centre of each slice's first pixel, LPS millimetres.
    warnings : tuple of str
        What was noticed.
    """

    grid: Grid
    below: tuple[int, ...]
    above: tuple[int, ...]
    weight_above: tuple[float, ...]
    positions_lps: Vector
    warnings: tuple[str, ...] = ()


def layout_of(stack: Stack, what: str, allow_gaps: bool = False) -> Layout:
    """Return the grid of a stack and which planes fill it.

    A tilted gantry shears the stack: slices are shifted against each other by a constant amount.
    The shear stays in the affine instead of being resampled away, because only then does each
    voxel of a mask belong to exactly one pixel of one source slice, and a DICOM SEG goes back
    without interpolation. A viewer or model that needs right angles resamples a copy.

    Parameters
    ----------
    stack : Stack
        Sorted planes.
    what : str
        Name of the series for messages.
    allow_gaps : bool
        Whether missing or unevenly spaced slices are interpolated instead of refused.

    Raises
    ------
    InputError
        If slices are missing, uneven or shifted, and gaps are not allowed.
    """
    frames, heights = stack.frames, stack.heights_mm
    first = frames[0]
    warnings: list[str] = []
    count = len(frames)
    if count == 1:
        thickness = _single_thickness(first, warnings)
        return _layout(first, first.position_lps[None], first.normal * thickness, range(1), range(1), [0.0], warnings)
    steps = np.diff(heights)
    base, missing = _gaps(steps)
    positions = np.stack([frame.position_lps for frame in frames])
    step = (positions[-1] - positions[0]) / (heights[-1] - heights[0]) * base
    shifts = positions - positions[0] - np.outer((heights - heights[0]) / base, step)
    if np.abs(shifts).max() > max(0.1, 0.1 * min(first.spacing_mm)):
        worst = int(np.abs(shifts).max(axis=1).argmax())
        raise InputError(
            f"The slices of {what} are shifted against each other: slice {worst + 1} by {np.linalg.norm(shifts[worst]):.1f} mm.",
            "Choose a series that is one straight stack.",
        )
    _report_tilt(first, step, what, warnings)
    if missing is not None and not missing:
        even = heights[0] + base * np.arange(count)
        even += (heights - even).mean()
        off = float(np.abs(heights - even).max())
        if off <= max(SAME_PLACE_MM, _EVEN * base):
            return _layout(first, positions, step, range(count), range(count), [0.0] * count, warnings)
        if off <= _UNEVEN * base and not allow_gaps:
            warnings.append(
                f"The slices of {what} are unevenly spaced: up to {off:.2f} mm off an even distance of {base:.2f} mm."
                " They were kept as they are."
            )
            return _layout(first, positions, step, range(count), range(count), [0.0] * count, warnings)
    if not allow_gaps:
        raise _refusal(what, heights, steps, missing)
    return _resampled(first, positions, heights, base, step, what, missing, warnings)


def _gaps(steps: Vector) -> tuple[float, dict[int, int] | None]:
    """Return the slice distance, and how many slices lack after which one; None when the steps are no multiples."""
    near = steps[steps < 1.2 * steps.min()]
    base = float(np.median(near))
    times = np.maximum(1, np.round(steps / base))
    if np.abs(steps - times * base).max() > _UNEVEN * base:
        return float(np.median(steps)), None
    base = float(steps.sum() / times.sum())
    return base, {int(i): int(times[i]) - 1 for i in np.flatnonzero(times > 1)}


def _refusal(what: str, heights: Vector, steps: Vector, missing: Mapping[int, int] | None) -> InputError:
    if not missing:
        return InputError(
            f"The slices of {what} are unevenly spaced: {steps.min():.2f} to {steps.max():.2f} mm apart.",
            "Choose an evenly spaced series, or convert it with --allow-gaps to have it resampled.",
        )
    places = [f"{n} between slice {i + 1} and {i + 2} ({heights[i]:.1f} and {heights[i + 1]:.1f} mm)" for i, n in missing.items()]
    more = f" and {len(places) - 3} more places" if len(places) > 3 else ""
    total = sum(missing.values())
    return InputError(
        f"{what} lacks {total} slice{'s' if total > 1 else ''} of {len(heights) + total}: {'; '.join(places[:3])}{more}.",
        "Copy the series again from its source, or convert it with --allow-gaps to have them filled from their neighbours.",
    )


def _report_tilt(first: Frame, step: Vector, what: str, warnings: list[str]) -> None:
    cosine = float(step @ first.normal) / float(np.linalg.norm(step))
    tilt = float(np.degrees(np.arccos(min(1.0, abs(cosine)))))
    stated = number(first.dataset.get("GantryDetectorTilt")) or 0.0
    if tilt > _TILT_DEG:
        warnings.append(
            f"The gantry of {what} was tilted by {tilt:.1f} degrees: the volume is sheared,"
            " and is kept so that masks fit its slices exactly."
        )
    elif abs(stated) > 0.5 and abs(abs(first.normal[2]) - 1.0) < 1e-6:
        warnings.append(
            f"The header of {what} states a gantry tilt of {stated:.1f} degrees that its slice positions do not show;"
            " its geometry may be wrong."
        )


def _single_thickness(frame: Frame, warnings: list[str]) -> float:
    measures = frame.dataset
    if frame.index is not None:
        measures = shared_group(frame.dataset, frame.index, "PixelMeasuresSequence") or frame.dataset
    for keyword in ("SpacingBetweenSlices", "SliceThickness"):
        value = number(measures.get(keyword))
        if value and value > 0:
            return value
    warnings.append("A single slice without a thickness: 1 mm was taken.")
    return 1.0


def _layout(
    first: Frame,
    positions: Vector,
    step: Vector,
    below: Iterable[int],
    above: Iterable[int],
    weights: Sequence[float],
    warnings: Sequence[str],
) -> Layout:
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = first.orientation[3:] * first.spacing_mm[0]
    affine[:3, 2] = first.orientation[:3] * first.spacing_mm[1]
    affine[:3, 3] = positions[0]
    if len(positions) > 2:
        # The line through all slices, not through the first alone, which may be off by rounding.
        affine[:3, 3] += (positions - positions[0] - np.outer(np.arange(len(positions)), step)).mean(axis=0)
    affine[:2] *= -1
    rows, columns = first.shape
    grid = Grid((len(positions), rows, columns), affine)
    return Layout(grid, tuple(below), tuple(above), tuple(weights), positions, tuple(warnings))


def _resampled(
    first: Frame,
    positions: Vector,
    heights: Vector,
    base: float,
    step: Vector,
    what: str,
    missing: Mapping[int, int] | None,
    warnings: list[str],
) -> Layout:
    count = round(float(heights[-1] - heights[0]) / base) + 1
    base_exact = float(heights[-1] - heights[0]) / (count - 1)
    step = step * (base_exact / base)
    targets = heights[0] + base_exact * np.arange(count)
    after = np.clip(np.searchsorted(heights, targets), 1, len(heights) - 1)
    weights = np.clip((targets - heights[after - 1]) / (heights[after] - heights[after - 1]), 0.0, 1.0)
    tolerance = max(SAME_PLACE_MM, _EVEN * base)
    low, high, share = [], [], []
    for target, upper, weight in zip(targets, after, weights, strict=True):
        nearest = int(upper if weight > 0.5 else upper - 1)
        whole = abs(target - heights[nearest]) <= tolerance
        low.append(nearest if whole else int(upper) - 1)
        high.append(nearest if whole else int(upper))
        share.append(0.0 if whole else float(weight))
    made = sum(a != b for a, b in zip(low, high, strict=True))
    places = ", ".join(f"{n} after slice {i + 1}" for i, n in (missing or {}).items())
    lacking = f" ({places} were missing)" if places else ""
    warnings.append(f"{made} of {count} slices of {what} were interpolated from their neighbours{lacking}.")
    return _layout(first, positions[0] + np.outer(np.arange(count), step), step, low, high, share, warnings)
