"""From loose planes to stacks: one per direction, echo, time point or acquisition, sorted along the normal, without doubles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.io.dicom_frames import SPLIT_KEYS, Frame

__all__ = ["SAME_PLACE_MM", "Stack", "stacks_of"]

Vector = npt.NDArray[np.float64]
Parts = Mapping[tuple[Any, ...], tuple[Frame, ...]]

#: Planes closer together than this lie at the same place.
SAME_PLACE_MM = 0.01


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
        if gap <= SAME_PLACE_MM and np.linalg.norm(frame.position_lps - groups[-1][-1].position_lps) < 1.0:
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
    return tuple(np.round(_heights(frames) / (10 * SAME_PLACE_MM)).astype(int).tolist())


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
