"""Lesions followed through all time points by identity.

A track is a lesion as it was first seen. Where lesions merge, the merged lesion carries the tracks of all of them; where one
splits, every part carries its tracks. A lesion that is gone keeps its place, so that it is known again should it return.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from napari_tumorseg.core.grid import Grid
from napari_tumorseg.evaluation.response.matching import MatchRules, Status, describe, link
from napari_tumorseg.evaluation.response.shapes import Shape, share_outside

__all__ = ["Found", "Scan", "Timeline", "follow"]

#: A lesion is not known to be gone where more of its place than this is outside the field of view.
_OUTSIDE = 0.1


@dataclass(frozen=True, eq=False)
class Scan:
    """The lesions of one time point.

    Attributes
    ----------
    grid : Grid
        The mask's, in the common space; its field of view says what was looked at.
    shapes : tuple of Shape
        Its lesions.
    """

    grid: Grid
    shapes: tuple[Shape, ...]


@dataclass(frozen=True)
class Found:
    """A lesion at a time point.

    Attributes
    ----------
    tracks : frozenset of int
        The tracks that it carries, from 1.
    status : str
        What happened to it since it was last seen; "unchanged" at baseline has no meaning.
    before : tuple of (int, int)
        Time point and place of the lesions that it comes from.
    """

    tracks: frozenset[int]
    status: Status
    before: tuple[tuple[int, int], ...] = ()


@dataclass
class Timeline:
    """All lesions of all time points.

    Attributes
    ----------
    found : list of list of Found
        By time point, in the order of the scan's shapes; empty for one that was not evaluated.
    gone, outside : list of frozenset of int
        By time point: tracks that were seen before and are gone, and those whose place is out of view or not evaluated.
    first : dict of int to int
        Time point at which each track was first seen.
    """

    found: list[list[Found]] = field(default_factory=list)
    gone: list[frozenset[int]] = field(default_factory=list)
    outside: list[frozenset[int]] = field(default_factory=list)
    first: dict[int, int] = field(default_factory=dict)


@dataclass
class _Known:
    """A lesion as it was last seen."""

    time: int
    place: int
    shape: Shape
    tracks: frozenset[int]
    state: str = "there"


def follow(scans: Sequence[Scan | None], rules: MatchRules | None = None) -> Timeline:
    """Follow lesions through time points.

    Parameters
    ----------
    scans : sequence of Scan, optional
        In order of time, the baseline first; all in one space. None for a time point that was not evaluated.
    rules : MatchRules, optional
        When two lesions are one.

    Returns
    -------
    Timeline
        Tracks are numbered in the order of the baseline's lesions, then as they appear, the largest first.
    """
    rules = rules or MatchRules()
    line = Timeline()
    known: list[_Known] = []
    for time, scan in enumerate(scans):
        if scan is None:
            line.found.append([])
            line.gone.append(frozenset(t for k in known if k.state == "gone" for t in k.tracks))
            line.outside.append(frozenset(t for k in known if k.state != "gone" for t in k.tracks))
            continue
        found = _matched(scan, time, known, rules, line)
        there = {t for one in found for t in one.tracks}
        seen = {place for one in found for place in one.before}
        rest = [k for k in known if (k.time, k.place) not in seen]
        for old in rest:
            old.state = "outside" if share_outside(old.shape, scan.grid) > _OUTSIDE else "gone"
        known = [_Known(time, i, s, f.tracks) for i, (s, f) in enumerate(zip(scan.shapes, found, strict=True))] + rest
        line.found.append(found)
        line.outside.append(frozenset(t for k in rest if k.state == "outside" for t in k.tracks if t not in there))
        line.gone.append(frozenset(t for k in rest for t in k.tracks if t not in there) - line.outside[-1])
    return line


def _matched(scan: Scan, time: int, known: list[_Known], rules: MatchRules, line: Timeline) -> list[Found]:
    """Return what the lesions of a scan are: by those that were there, then by those that were gone, else new."""
    shapes = scan.shapes
    found: list[Found | None] = [None] * len(shapes)
    for gone in (False, True):
        olds = [k for k in known if (k.state == "gone") == gone]
        free = [i for i, one in enumerate(found) if one is None]
        pairs = link([k.shape for k in olds], [shapes[i] for i in free], rules)
        for change in describe(pairs, [k.shape.volume_mm3 for k in olds], [shapes[i].volume_mm3 for i in free], rules):
            if not change.earlier or not change.later:
                continue
            for j in change.later:
                mine = [olds[i] for i in change.earlier if (i, j) in pairs]
                tracks = frozenset(t for k in mine for t in k.tracks)
                status: Status = "returned" if gone else change.status
                found[free[j]] = Found(tracks, status, tuple((k.time, k.place) for k in mine))
    fresh = [i for i, one in enumerate(found) if one is None]
    for i in sorted(fresh, key=lambda i: shapes[i].key) if time else fresh:
        track = len(line.first) + 1
        line.first[track] = time
        found[i] = Found(frozenset({track}), "new" if time else "unchanged")
    return [one for one in found if one is not None]
