"""From loose planes to stacks: sorted along their normal, checked for gaps, doubles, tilt and unevenness."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.io.dicom_frames import SPLIT_KEYS, Frame
from napari_tumorseg.io.dicom_modality import number

__all__ = ["Layout", "Stack", "layout_of", "lps_to_ras", "stacks_of"]

Vector = npt.NDArray[np.float64]
Parts = Mapping[tuple[Any, ...], tuple[Frame, ...]]

_SAME_PLACE_MM = 0.01
_EVEN = 0.01  # share of the slice distance that counts as rounding
_UNEVEN = 0.25  # share of the slice distance from which an even grid would mislead
_TILT_DEG = 0.05


@dataclass(frozen=True, eq=False)
class Stack:
    """Planes of one shape and orientation, each at its own place, sorted along their normal.

    Attributes
    ----------
    frames : tuple of Frame
        In slice order.
    label : str
        What tells the stack from others of its series, e.g. "acquisition 2"; "" for the only one.
    warnings : tuple of str
        What was noticed.
    """

    frames: tuple[Frame, ...]
    label: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def heights_mm(self) -> Vector:
        """Place of each plane along the normal."""
        return _heights(self.frames)


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


def lps_to_ras(points: npt.ArrayLike) -> Vector:
    """Turn the x and y axes of (..., 3) points or vectors; the inverse is the same."""
    return np.asarray(np.asarray(points, dtype=np.float64) * (-1.0, -1.0, 1.0))


def _heights(frames: Sequence[Frame]) -> Vector:
    normal = frames[0].normal
    return np.array([float(frame.position_lps @ normal) for frame in frames])


def stacks_of(frames: Sequence[Frame], same: Callable[[Frame, Frame], bool], what: str) -> list[Stack]:
    """Divide the planes of one series into stacks.

    Parameters
    ----------
    frames : sequence of Frame
        All planes of the series, in any order.
    same : callable
        Whether two planes hold the same values; asked only about planes at the same place.
    what : str
        Name of the series for messages.

    Returns
    -------
    list of Stack
        In the order of what tells them apart.

    Raises
    ------
    InputError
        If different planes lie at the same place and nothing tells their stacks apart.
    """
    groups: list[list[Frame]] = []
    for frame in frames:
        for group in groups:
            if _alike(group[0], frame):
                group.append(frame)
                break
        else:
            groups.append([frame])
    # A scout is often stored with the stack that it served: single planes in other directions.
    kept = [group for group in groups if len(group) > 1] or groups
    if len(kept) > 1 and all(len(group) == 1 for group in kept):
        raise InputError(
            f"{what} holds {len(frames)} single images in different directions or sizes.", "Choose a series that is one stack of slices."
        )
    warnings: tuple[str, ...] = ()
    if len(kept) < len(groups):
        warnings = (f"{len(groups) - len(kept)} single image(s) of {what} in another direction or size were left out.",)
    stacks: list[Stack] = []
    for number_, group in enumerate(kept, 1):
        for stack in _split(group, same, what):
            label = stack.label if len(kept) == 1 else " ".join(filter(None, (f"stack {number_}", stack.label)))
            stacks.append(replace(stack, label=label, warnings=(*warnings, *stack.warnings)))
    return stacks


def _alike(a: Frame, b: Frame) -> bool:
    return (
        a.shape == b.shape
        and a.dataset.get("SamplesPerPixel", 1) == b.dataset.get("SamplesPerPixel", 1)
        and bool(np.abs(a.orientation - b.orientation).max() < 1e-3)
        and bool(np.allclose(a.spacing_mm, b.spacing_mm, rtol=1e-4))
    )


def _sorted(frames: Iterable[Frame]) -> tuple[Frame, ...]:
    items = list(frames)
    heights = _heights(items)
    return tuple(items[i] for i in np.argsort(heights, kind="stable"))


def _clusters(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Group sorted planes that lie at the same place."""
    heights = _heights(frames)
    groups = [[frames[0]]]
    for frame, gap in zip(frames[1:], np.diff(heights), strict=True):
        if gap <= _SAME_PLACE_MM and np.linalg.norm(frame.position_lps - groups[-1][-1].position_lps) < 1.0:
            groups[-1].append(frame)
        else:
            groups.append([frame])
    return groups


def _unique(frames: Sequence[Frame]) -> bool:
    return len(_clusters(frames)) == len(frames)


def _regular(frames: Sequence[Frame]) -> bool:
    steps = np.diff(_heights(frames))
    return len(steps) < 2 or bool(np.ptp(steps) < 0.05 * np.median(steps))


def _by_key(frames: Sequence[Frame], keys: Sequence[str]) -> Parts:
    parts: dict[tuple[Any, ...], list[Frame]] = {}
    for frame in frames:
        parts.setdefault(tuple(frame.keys[key] for key in keys), []).append(frame)

    def order(values: tuple[Any, ...]) -> list[tuple[str, Any]]:
        return [(type(value).__name__, value) for value in values]

    return {values: _sorted(parts[values]) for values in sorted(parts, key=order)}


def _split(group: Sequence[Frame], same: Callable[[Frame, Frame], bool], what: str) -> list[Stack]:
    frames = _sorted(group)
    clusters = _clusters(frames)
    if len(clusters) == len(frames):
        if not _regular(frames):
            # Two interleaved or separate acquisitions look like one uneven stack.
            for key in ("stack", "time", "acquisition", "echo", "kind"):
                parts = _by_key(frames, [key])
                if len(parts) > 1 and all(len(part) > 1 and _regular(part) for part in parts.values()):
                    return _labelled(parts, [key])
        return [Stack(frames)]
    varying = [key for key in SPLIT_KEYS if len({frame.keys[key] for frame in frames}) > 1]
    found = _separating(frames, varying, lambda parts: len({_places(part) for part in parts.values()}) == 1)
    if found:
        return _labelled(_by_key(frames, found), found)
    frames, dropped = _without_copies(clusters, same)
    warnings = (f"{dropped} slice(s) of {what} were stored twice with the same values; the copies were left out.",) if dropped else ()
    if _unique(frames):
        return [Stack(frames, warnings=warnings)]
    found = _separating(frames, varying, lambda _parts: True)
    if found:
        return _labelled(_by_key(frames, found), found, warnings)
    clash = next(cluster for cluster in _clusters(frames) if len(cluster) > 1)
    names = ", ".join(sorted({frame.path.name for frame in clash})[:3])
    raise InputError(
        f"{what} has {len(clash)} different slices at the same place ({_heights(clash)[0]:.1f} mm along the stack: {names})"
        " and no attribute tells their stacks apart.",
        "Choose the files of one stack.",
    )


def _places(frames: Sequence[Frame]) -> tuple[int, ...]:
    return tuple(np.round(_heights(frames) / (10 * _SAME_PLACE_MM)).astype(int).tolist())


def _separating(frames: Sequence[Frame], varying: Sequence[str], accept: Callable[[Parts], bool]) -> list[str]:
    """Return the keys, one where it is enough, that divide the planes into stacks without doubles."""
    trials = [[key] for key in varying] + [list(varying[:n]) for n in range(2, len(varying) + 1)]
    for keys in trials:
        parts = _by_key(frames, keys)
        if len(parts) > 1 and all(_unique(part) for part in parts.values()) and accept(parts):
            return keys
    return []


def _labelled(parts: Parts, keys: Sequence[str], warnings: tuple[str, ...] = ()) -> list[Stack]:
    def word(key: str, value: Any) -> str:
        if isinstance(value, tuple):
            value = " ".join(v for v in value if v not in ("ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY"))
        text = f"{value:g}" if isinstance(value, float) else str(value)
        return f"{SPLIT_KEYS[key]} {text}" if value is not None else f"no {SPLIT_KEYS[key]}"

    return [Stack(part, ", ".join(word(k, v) for k, v in zip(keys, values, strict=True)), warnings) for values, part in parts.items()]


def _without_copies(clusters: Sequence[Sequence[Frame]], same: Callable[[Frame, Frame], bool]) -> tuple[tuple[Frame, ...], int]:
    kept: list[Frame] = []
    dropped = 0
    for cluster in clusters:
        first: list[Frame] = []
        for frame in cluster:
            if any(same(other, frame) for other in first):
                dropped += 1
            else:
                first.append(frame)
        kept += first
    return tuple(kept), dropped


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
        if off <= max(_SAME_PLACE_MM, _EVEN * base):
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
            "Choose an evenly spaced series, or allow gaps to have it resampled.",
        )
    places = [f"{n} between slice {i + 1} and {i + 2} ({heights[i]:.1f} and {heights[i + 1]:.1f} mm)" for i, n in missing.items()]
    more = f" and {len(places) - 3} more places" if len(places) > 3 else ""
    total = sum(missing.values())
    return InputError(
        f"{what} lacks {total} slice{'s' if total > 1 else ''} of {len(heights) + total}: {'; '.join(places[:3])}{more}.",
        "Copy the series again from its source, or allow gaps to have them filled from their neighbours.",
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
        from napari_tumorseg.io.dicom_frames import shared_group

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
    tolerance = max(_SAME_PLACE_MM, _EVEN * base)
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
