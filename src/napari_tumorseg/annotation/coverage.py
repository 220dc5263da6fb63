"""What of the image was on the screen, at which zoom and for how long, from the record of the views.

All is in *scene axes*: the reference image's own axes, turned to run to inferior, posterior and left, as the views have them. Displayed is
not looked at: what was not displayed was surely not seen, the other way round nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.annotation.entries import EventKind
from napari_tumorseg.annotation.timeline import Moment, Timeline
from napari_tumorseg.annotation.timing import is_submit

__all__ = ["AXES", "Coverage", "SceneFrame", "View", "coverage_of", "displayed"]

#: What a slice across each scene axis is called.
AXES = ("axial", "coronal", "sagittal")
# The largest map that is kept; finer voxels are put together in the plane.
_MOST_CELLS = 48_000_000
_FLASH_S = 0.05

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SceneFrame:
    """Where the reference image lies in the scene.

    Attributes
    ----------
    shape : tuple of int
        Voxels along the scene's (z, y, x) axes.
    spacing_mm : tuple of float
        Voxel size along them.
    first_mm : tuple of float
        World coordinates of the centre of the first voxel.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    first_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def index(self, axis: int, at_mm: float) -> float:
        """Return the voxel index, not rounded, of a world coordinate along an axis."""
        return (at_mm - self.first_mm[axis]) / self.spacing_mm[axis]


@dataclass(frozen=True)
class View:
    """One view for as long as it stood still.

    Attributes
    ----------
    name : str
        Of the view.
    axis : int
        The scene axis that the slice lies across.
    index : int
        Slice along it.
    low, high : tuple of int
        First voxel, and the one behind the last, of the part of the slice within the view, along the two other axes in their order.
    zoom : float
        Screen pixels per mm.
    at_s, length_s : float
        When in its opening, and for how long.
    """

    name: str
    axis: int
    index: int
    low: tuple[int, int]
    high: tuple[int, int]
    zoom: float
    at_s: float
    length_s: float


@dataclass
class _Camera:
    order: tuple[int, ...] = (0, 1, 2)
    at: tuple[float, ...] = ()
    step: tuple[int, ...] = ()
    flat: bool = True
    centre: tuple[float, ...] = ()
    zoom: float = 0.0
    size: tuple[float, float] = (0.0, 0.0)

    def hear(self, kind: str, data: Mapping[str, Any]) -> None:
        if kind == EventKind.SLICE:
            self.order, self.flat = tuple(data["order"])[-3:], data.get("shown", 2) == 2
            # Layers of others may bring axes before the scene's three.
            lead = len(data["order"]) - 3
            self.order = tuple(axis - lead for axis in self.order)
            self.at, self.step = tuple(data.get("at", ()))[-3:], tuple(data["step"])[-3:]
        else:
            self.centre, self.zoom, self.size = tuple(data["centre"])[-2:], float(data["zoom"]), tuple(data["size"])

    def view(self, name: str, frame: SceneFrame, at_s: float, length_s: float) -> View | None:
        """Return what is seen; None in 3-D, before both facts are known, or beside the image."""
        if not self.flat or self.zoom <= 0 or len(self.order) != 3 or not (self.at or self.step):
            return None
        axis = self.order[0]
        index = round(frame.index(axis, self.at[axis])) if self.at else self.step[axis]
        if not 0 <= index < frame.shape[axis]:
            return None
        ranges = {}
        # Rows run along the last axis but one and columns along the last; the size of a view is width, then height.
        for shown, middle, pixels in zip(self.order[1:], self.centre, (self.size[1], self.size[0]), strict=True):
            half = pixels / self.zoom / 2
            # A voxel counts when its centre is within the view.
            low, high = (frame.index(shown, edge) for edge in (middle - half, middle + half))
            ranges[shown] = max(0, int(np.ceil(low))), min(frame.shape[shown], int(np.floor(high)) + 1)
        (a, b), (c, d) = (ranges[k] for k in sorted(ranges))
        if a >= b or c >= d:
            return None
        return View(name, axis, index, (a, c), (b, d), self.zoom, at_s, length_s)


@dataclass(frozen=True)
class Coverage:
    """What was displayed.

    Attributes
    ----------
    frame : SceneFrame
        Of the image.
    seconds : tuple of numpy.ndarray
        For each scene axis the seconds that each slice across it was displayed, all views together, part or whole.
    least_s, least_zoom : float
        A voxel counts as seen when it was displayed that long in all, at that many screen pixels per mm or more.
    seen : numpy.ndarray
        Boolean in scene axes (z, y, x), put together in blocks of `block` voxels: which were seen in any plane.
    block : int
        Voxels along each axis that one cell of `seen` stands for; 1 but for very large images.
    seen_in : tuple of float
        Share of the image's voxels that was seen in axial, coronal and sagittal slices.
    """

    frame: SceneFrame
    seconds: tuple[npt.NDArray[np.float64], ...]
    least_s: float
    least_zoom: float
    seen: Bools
    block: int
    seen_in: tuple[float, float, float]

    def unseen(self) -> Bools:
        """Return which voxels were not seen, boolean of the frame's shape, scene axes."""
        full = self.seen
        for axis in range(3):
            full = np.repeat(full, self.block, axis) if self.block > 1 else full
        return ~full[tuple(slice(0, n) for n in self.frame.shape)]

    def unseen_share(self, inside: Bools | None = None) -> float:
        """Return the share of the image, or of a part of it (scene axes), that was not seen; 0 where the part is empty."""
        unseen = self.unseen()
        if inside is None:
            return float(unseen.mean())
        return float(unseen[inside].mean()) if inside.any() else 0.0

    def unseen_slices(self, axis: int = 0) -> list[tuple[int, int]]:
        """Return the runs of slices across an axis, first and last, of which no voxel was seen in any plane."""
        others = tuple(a for a in range(3) if a != axis)
        blank = np.flatnonzero(self.unseen().all(axis=others))
        runs = np.split(blank, np.flatnonzero(np.diff(blank) > 1) + 1)
        return [(int(run[0]), int(run[-1])) for run in runs if len(run)]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON values, without the map."""
        return {
            "least_s": self.least_s,
            "least_zoom_px_per_mm": self.least_zoom,
            "unseen_share": round(self.unseen_share(), 6),
            "seen_share_by_plane": {name: round(share, 6) for name, share in zip(AXES, self.seen_in, strict=True)},
            "seconds_by_slice": {name: [round(float(v), 3) for v in s] for name, s in zip(AXES, self.seconds, strict=True)},
            "unseen_axial_slices": [list(run) for run in self.unseen_slices()],
        }


def displayed(timeline: Timeline, frame: SceneFrame) -> Iterator[View]:
    """Yield every view for as long as it stood still, from the first image shown to submit, while the program had the keyboard.

    A declared pause shows nothing, and neither does a window in the background. Views that flash by in less than 50 ms, as a slider that is
    drawn along does, are left out.
    """
    for opening in timeline.openings:
        cameras: dict[str, _Camera] = {}
        since: dict[str, float] = {}
        hidden: set[str] = set()
        shown, focused, paused = False, True, False
        for moment in opening.moments:
            was_on = shown and focused and not paused
            shown, focused, paused = _held(moment, shown, focused, paused)
            on = shown and focused and not paused and not is_submit(moment)
            name = str(moment.data.get("view", "")) if moment.kind in (EventKind.SLICE, EventKind.ZOOM) else ""
            gone = str(moment.data.get("view")) if moment.kind == EventKind.VIEW and not moment.data.get("on") else ""
            if moment.kind == EventKind.VIEW:
                # A view that is hidden may go on telling its slices.
                (hidden.add if gone else hidden.discard)(str(moment.data.get("view")))
            ends = tuple(since) if was_on and not on else tuple(n for n in (name, gone) if n in since)
            for ended in ends:
                yield from _view(cameras[ended], ended, frame, since.pop(ended), moment.at_s)
            if name:
                cameras.setdefault(name, _Camera()).hear(moment.kind, moment.data)
            if on:
                for known in sorted(cameras.keys() - hidden):
                    since.setdefault(known, moment.at_s)
            if is_submit(moment):
                shown = False
        for left in tuple(since):
            yield from _view(cameras[left], left, frame, since.pop(left), opening.length_s)


def _held(moment: Moment, shown: bool, focused: bool, paused: bool) -> tuple[bool, bool, bool]:
    if moment.kind == EventKind.FOCUS:
        focused = bool(moment.data.get("on"))
    elif moment.kind == EventKind.PAUSE:
        paused = bool(moment.data.get("on"))
    return shown or moment.kind == EventKind.SHOWN, focused, paused


def _view(camera: _Camera, name: str, frame: SceneFrame, start_s: float, stop_s: float) -> Iterator[View]:
    view = camera.view(name, frame, start_s, stop_s - start_s)
    if view is not None and view.length_s >= _FLASH_S:
        yield view


def coverage_of(views: Iterable[View], frame: SceneFrame, *, least_s: float = 0.2, least_zoom: float = 0.0) -> Coverage:
    """Return what was displayed.

    Parameters
    ----------
    views : iterable of View
        Of `displayed`.
    frame : SceneFrame
        Of the image.
    least_s : float
        For how long in all a voxel must have been displayed in slices of one orientation to count as seen. 0.2 s is shorter than a
        fixation of the eye; what was displayed for less was scrolled past.
    least_zoom : float
        Views with fewer screen pixels per mm do not count.

    Returns
    -------
    Coverage
        Memory is four bytes for each voxel, of at most 48 million cells.

    Examples
    --------
    >>> frame = SceneFrame((4, 10, 10), (5.0, 1.0, 1.0))
    >>> seen = coverage_of([View("main", 0, 2, (0, 0), (10, 5), 4.0, 0.0, 3.0)], frame)
    >>> seen.unseen_share(), seen.unseen_slices(), seen.seconds[0].tolist()
    (0.875, [(0, 1), (3, 3)], [0.0, 0.0, 3.0, 0.0])
    """
    block = 1
    while np.prod([-(-n // block) for n in frame.shape], dtype=np.int64) > _MOST_CELLS:
        block += 1
    cells = [-(-n // block) for n in frame.shape]
    by_axis: dict[int, list[View]] = {0: [], 1: [], 2: []}
    for view in views:
        by_axis[view.axis].append(view)
    seen = np.zeros(cells, np.bool_)
    seconds, shares = [], []
    for axis in range(3):
        indices, lengths = np.array([v.index for v in by_axis[axis]], np.intp), np.array([v.length_s for v in by_axis[axis]])
        seconds.append(np.bincount(indices, lengths, frame.shape[axis]).astype(np.float64))
        there = _seen_across(axis, [v for v in by_axis[axis] if v.zoom >= least_zoom], cells, block, least_s)
        shares.append(float(there.mean()))
        seen |= there
    return Coverage(frame, tuple(seconds), least_s, least_zoom, seen, block, (shares[0], shares[1], shares[2]))


def _seen_across(axis: int, views: Sequence[View], cells: Sequence[int], block: int, least_s: float) -> Bools:
    """Return which cells were displayed long enough in slices across an axis, slice by slice."""
    seen = np.zeros(cells, np.bool_)
    by_slice: dict[int, list[View]] = {}
    for view in views:
        by_slice.setdefault(view.index // block, []).append(view)
    plane = [n for a, n in enumerate(cells) if a != axis]
    for index, here in by_slice.items():
        total: Floats = np.zeros(plane, np.float32)
        for view in here:
            rows, columns = (slice(a // block, -(-b // block)) for a, b in zip(view.low, view.high, strict=True))
            total[rows, columns] += view.length_s
        # A sum of float32 may lie a hair below the limit that it reaches.
        seen[(slice(None),) * axis + (index,)] = total >= least_s * (1 - 1e-5)
    return seen
