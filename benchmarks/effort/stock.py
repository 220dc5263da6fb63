"""What both arms have: napari's brush, eraser and fill, in a slice and in space."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from effort.desk import Act, Aim, Desk, Setting, click_s, drag_s
from napari_tumorseg.core.grid import Box, bounding_box
from napari_tumorseg.voxels.ball import ball
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["DISCS_MM", "Ground", "outlined", "stock_acts", "survey"]

Bools = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.uint8]
#: Diameters of the brush that are tried, in mm.
DISCS_MM = (1.0, 2.0, 3.0, 5.0, 7.0, 11.0, 17.0, 27.0, 41.0)
SPHERES_MM = (3.0, 5.0, 7.0, 11.0, 17.0, 27.0, 41.0)
_SIX = 6


class Ground:
    """What lies around an error: what painting the label would mend and what it would spoil.

    Attributes
    ----------
    mend, spoil : numpy.ndarray
        Boolean, shape of `box`: voxels that become right or wrong when they get the label.
    free : numpy.ndarray
        Boolean: voxels that the label may be painted over under the over rule in force.
    """

    def __init__(self, desk: Desk, aim: Aim) -> None:
        self.box = aim.box
        self.now = np.array(desk.labels[aim.box.slices])
        truth = desk.truth[aim.box.slices]
        if aim.outline:
            good_now, good_then = (self.now > 0) == (truth > 0), (truth > 0) == (aim.label > 0)
            # Outlines are drawn without touching the classes that are there already; erasing takes what it meets.
            self.free = self.now == 0 if aim.label else self.now > 0
            self.over: Setting = ("over", "background" if aim.label else "everything")
        else:
            good_now, good_then = self.now == truth, truth == aim.label
            self.free = self.now != aim.label
            self.over = ("over", "everything")
        self.mend = good_then & ~good_now & self.free
        self.spoil = good_now & ~good_then & self.free
        self.spacing_mm = desk.subject.grid.spacing_mm
        self.label = aim.label

    def gain(self, mask: Bools, part: tuple[slice, ...] = (slice(None),) * 3) -> int:
        """Return by how many voxels painting `mask` would bring the mask nearer to the reference."""
        return int(np.count_nonzero(mask & self.mend[part])) - int(np.count_nonzero(mask & self.spoil[part]))

    def painted(self, mask: Bools) -> Labels:
        """Return the labels of the box with the label where `mask` is and may be painted."""
        return np.where(mask & self.free, np.uint8(self.label), self.now)


def survey(ground: Ground, aim: Aim) -> list[int]:
    """Return the slices of the box that hold most of the error, most first."""
    area = np.count_nonzero(aim.error & ground.mend, axis=(1, 2))
    order = np.argsort(-area)
    return [int(z) for z in order[:5] if area[z] > 0]


def stock_acts(desk: Desk, aim: Aim, ground: Ground, z: int) -> Iterator[Act]:
    """Offer strokes of the brush in a slice and in space, a click of the sphere, an outline with fill, and fill."""
    yield from _strokes(desk, aim, ground, z)
    yield from _spheres(desk, aim, ground)
    yield from _outline_and_fill(desk, aim, ground, z)
    yield from _fills(desk, aim, ground)


def brush(ground: Ground, size_mm: float, in_3d: bool) -> tuple[Setting, ...]:
    """Return the settings of a brush."""
    tool = "paint" if ground.label else "erase"
    label: tuple[Setting, ...] = (("label", ground.label),) if ground.label else ()
    return (("tool", tool), *label, ("size", size_mm), ("in 3-D", in_3d), ground.over)


def _strokes(desk: Desk, aim: Aim, ground: Ground, z: int) -> Iterator[Act]:
    """Offer the best stroke in a slice for each size, as a disc and as a sphere."""
    import edt

    plane_mm = ground.spacing_mm[1:]
    error = aim.error[z] & ground.mend[z]
    away = edt.edt(np.ascontiguousarray(~error), anisotropy=plane_mm, black_border=False)
    clear = edt.edt(np.ascontiguousarray(~ground.spoil[z]), anisotropy=plane_mm, black_border=False)
    for size in DISCS_MM:
        centres = _centres(away, clear, size / 2)
        if centres is None:
            continue
        rows, columns = _around(centres, size / 2, plane_mm)
        near = edt.edt(np.ascontiguousarray(~centres[rows, columns]), anisotropy=plane_mm, black_border=False)
        mask = np.zeros_like(error)
        mask[rows, columns] = near <= size / 2 + 1e-6
        length = _length_mm(centres, size, plane_mm)

        def perform(mask: Bools = mask) -> tuple[Box, Labels]:
            return _drawn(desk, ground, z, mask)

        gain = ground.gain(mask[None], (slice(z, z + 1),))
        yield Act("brush 2-D", "drag", gain, drag_s(length), brush(ground, size, False), perform, _start(aim, z, centres), length)
    deep = max(1, int(SPHERES_MM[-1] / 2 / ground.spacing_mm[0]))
    first, last = max(0, z - deep), min(ground.now.shape[0], z + deep + 1)
    harm = np.ascontiguousarray(~ground.spoil[first:last])
    clear = edt.edt(harm, anisotropy=ground.spacing_mm, black_border=False)[z - first]
    for size in SPHERES_MM:
        centres = _centres(away, clear, size / 2)
        if centres is None:
            continue
        rows, columns = _around(centres, size / 2, plane_mm)
        thick = int(size / 2 / ground.spacing_mm[0])
        low, high = max(0, z - thick), min(ground.now.shape[0], z + thick + 1)
        flat = edt.edt(np.ascontiguousarray(~centres[rows, columns]), anisotropy=plane_mm, black_border=False)
        level = (np.arange(low, high) - z) * ground.spacing_mm[0]
        mask = flat**2 + (level**2)[:, None, None] <= (size / 2) ** 2 + 1e-6
        length = _length_mm(centres, size, plane_mm)

        def perform_3d(seed: Bools = centres, size: float = size, low: int = low, high: int = high) -> tuple[Box, Labels]:
            return _swept(desk, ground, z, seed, size, low, high)

        gain = ground.gain(mask, (slice(low, high), rows, columns))
        yield Act("brush 3-D", "drag", gain, drag_s(length), brush(ground, size, True), perform_3d, _start(aim, z, centres), length)


def _centres(away: npt.NDArray[np.float32], clear: npt.NDArray[np.float32], radius: float) -> Bools | None:
    """Return where the brush's middle goes in one stroke: over the error, as near to what is right as a person dares."""
    # Half a millimetre over the line is what a person allows himself.
    may = (clear > radius - 0.5) & (away <= max(radius - 0.5, 0.3))
    if not may.any():
        return None
    parts, count = connected_parts(may[None], 26)
    if count == 1:
        return may
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    sizes[0] = 0
    centres: Bools = parts[0] == int(sizes.argmax())
    return centres


def _around(plane: Bools, radius: float, plane_mm: tuple[float, ...]) -> tuple[slice, slice]:
    where = [np.flatnonzero(plane.any(1)), np.flatnonzero(plane.any(0))]
    margin = [int(radius / s) + 1 for s in plane_mm]
    rows, columns = (slice(max(0, int(w[0]) - m), min(n, int(w[-1]) + m + 1)) for w, m, n in zip(where, margin, plane.shape, strict=True))
    return rows, columns


def _start(aim: Aim, z: int, centres: Bools) -> tuple[int, int, int]:
    y, x = _first(centres)
    return z + aim.box.start[0], y + aim.box.start[1], x + aim.box.start[2]


def _length_mm(centres: Bools, size_mm: float, plane_mm: tuple[float, ...]) -> float:
    """Return the length of a stroke that takes the brush's middle over `centres`: rows three quarters of its width apart."""
    where = np.argwhere(centres)
    extent = float(np.linalg.norm((where.max(0) - where.min(0)) * plane_mm))
    area = len(where) * plane_mm[0] * plane_mm[1]
    return max(extent, area / (0.75 * size_mm))


def _first(centres: Bools) -> tuple[int, int]:
    y, x = (int(v) for v in np.argwhere(centres)[0])
    return y, x


def _drawn(desk: Desk, ground: Ground, z: int, mask: Bools) -> tuple[Box, Labels]:
    drawn = np.zeros_like(ground.free)
    drawn[z] = desk.hand.drawn(mask, ground.spacing_mm[1:])
    return ground.box, ground.painted(drawn)


def _swept(desk: Desk, ground: Ground, z: int, centres: Bools, size_mm: float, low: int, high: int) -> tuple[Box, Labels]:
    import edt

    radius = size_mm / 2
    reach = edt.edt(np.ascontiguousarray(~centres), anisotropy=ground.spacing_mm[1:], black_border=False)
    drawn = np.zeros_like(ground.free)
    widest = desk.hand.drawn(reach <= radius + 1e-6, ground.spacing_mm[1:])
    # One movement of the hand: every slice of the sphere's trace is moved alike, by what the widest one tells.
    inner = edt.edt(np.ascontiguousarray(widest), anisotropy=ground.spacing_mm[1:], black_border=False)
    for k in range(low, high):
        away = (k - z) * ground.spacing_mm[0]
        half = np.sqrt(max(0.0, radius**2 - away**2))
        drawn[k] = widest & (inner > radius - half + 1e-6) if away else widest
    return ground.box, ground.painted(drawn)


def _spheres(desk: Desk, aim: Aim, ground: Ground) -> Iterator[Act]:
    """Offer the best click with the spherical brush for each size."""
    from scipy import ndimage

    error = (aim.error & ground.mend).astype(np.float32)
    harm = ground.spoil.astype(np.float32)
    for size in SPHERES_MM:
        width = [max(1, int(0.8 * size / s) | 1) for s in ground.spacing_mm]
        if any(w > 2 * n for w, n in zip(width, error.shape, strict=True)):
            break
        score = ndimage.uniform_filter(error - harm, width, mode="constant")
        place = tuple(int(v) for v in np.unravel_index(int(score.argmax()), score.shape))
        if score[place] <= 0:
            continue
        mask, part = _ball_at(place, size, ground)
        gain = ground.gain(mask, part)
        where = (place[0] + aim.box.start[0], place[1] + aim.box.start[1], place[2] + aim.box.start[2])

        def perform(where: tuple[int, int, int] = where, size: float = size) -> tuple[Box, Labels]:
            landed = desk.hand.clicked(where, desk.truth.shape, ground.spacing_mm)
            local = tuple(min(max(v - a, 0), n - 1) for v, a, n in zip(landed, ground.box.start, ground.now.shape, strict=True))
            full = np.zeros_like(ground.free)
            mask, part = _ball_at(local, size, ground)
            full[part] = mask
            return ground.box, ground.painted(full)

        yield Act("brush 3-D click", "click", gain, click_s(), brush(ground, size, True), perform, where)


def _ball_at(place: tuple[int, ...], size_mm: float, ground: Ground) -> tuple[Bools, tuple[slice, ...]]:
    """Return a sphere cut to the box, and which part of the box it covers."""
    whole = ball(size_mm, ground.spacing_mm)
    start = [p - n // 2 for p, n in zip(place, whole.shape, strict=True)]
    low = [max(0, -s) for s in start]
    high = [min(n, m - s) for n, m, s in zip(whole.shape, ground.now.shape, start, strict=True)]
    cut = whole[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return cut, tuple(slice(s + a, s + b) for s, a, b in zip(start, low, high, strict=True))


def outlined(aim: Aim, ground: Ground, z: int) -> Iterator[tuple[Bools, float, tuple[int, int]]]:
    """Give the smooth outlines (filled, (y, x)) that a person would draw around the error of a slice, their length and start."""
    from scipy import ndimage

    error = aim.error[z] & ground.mend[z]
    # Whatever neither mends nor spoils may lie inside; a hand draws no corners of single voxels.
    soft = ndimage.gaussian_filter(error.astype(np.float32) - 0.6 * ground.spoil[z], [0.8 / s for s in ground.spacing_mm[1:]])
    parts, count = connected_parts((soft > 0.15)[None], _SIX)
    if count == 0:
        return
    parts = parts[0]
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    sizes[0] = 0
    for number in np.argsort(-sizes)[:2]:
        if sizes[number] < 3:
            continue
        mask = (
            ndimage.binary_fill_holes(parts == number)
            if not (ground.spoil[z] & ndimage.binary_fill_holes(parts == number)).any()
            else parts == number
        )
        border = mask & ~ndimage.binary_erosion(mask)
        yield mask, float(np.count_nonzero(border)) * float(np.mean(ground.spacing_mm[1:])) * 1.1, _first(border)


def _outline_and_fill(desk: Desk, aim: Aim, ground: Ground, z: int) -> Iterator[Act]:
    """Offer to draw round an error with a thin brush and fill the inside."""
    if ground.label == 0:
        return
    for mask, length, start in outlined(aim, ground, z):
        inside = ground.now[z][mask & ground.free[z]]
        if inside.size < 30:
            continue
        # The bucket fills one label only.
        common = int(np.bincount(inside).argmax())
        filled = mask & (ground.now[z] == common)
        where = (z + aim.box.start[0], start[0] + aim.box.start[1], start[1] + aim.box.start[2])

        def perform(mask: Bools = mask, common: int = common) -> tuple[Box, Labels]:
            drawn = np.zeros_like(ground.free)
            drawn[z] = desk.hand.drawn(mask, ground.spacing_mm[1:]) & (ground.now[z] == common)
            return ground.box, ground.painted(drawn)

        gain = ground.gain(filled[None], (slice(z, z + 1),))
        # A key for the bucket, going to the inside, a click, a key for the brush.
        seconds = drag_s(length) + 2 * 0.28 + 0.5 + click_s()
        yield Act("brush outline and fill", "drag", gain, seconds, brush(ground, 2.0, False), perform, where, length, strokes=2)


def _fills(desk: Desk, aim: Aim, ground: Ground) -> Iterator[Act]:
    """Offer a click of the bucket on the island of the current label that holds the error, in space and in its slice."""
    place = np.argwhere(aim.error & ground.mend)
    if len(place) == 0:
        return
    middle = place[len(place) // 2]
    where = tuple(int(v) for v in middle + np.asarray(aim.box.start))
    value = int(ground.now[tuple(middle)])
    if value == 0:
        return
    for in_3d in (True, False) if ground.now.shape[0] > 1 else (False,):
        labels = desk.labels
        if in_3d:
            wide = bounding_box(labels == value)
            assert wide is not None
        else:
            wide = Box((where[0], 0, 0), (where[0] + 1, labels.shape[1], labels.shape[2]))
        parts, _ = connected_parts(labels[wide.slices] == value, _SIX)
        island = parts == parts[tuple(v - a for v, a in zip(where, wide.start, strict=True))]
        truth, now = desk.truth[wide.slices], labels[wide.slices]
        if aim.outline:
            better = ((truth > 0) == (aim.label > 0)).astype(int) - ((truth > 0) == (now > 0)).astype(int)
        else:
            better = (truth == aim.label).astype(int) - (truth == now).astype(int)
        gain = int(better[island].sum())
        if gain <= 0:
            continue

        def perform(wide: Box = wide, island: Bools = island) -> tuple[Box, Labels]:
            return wide, np.where(island, np.uint8(aim.label), desk.labels[wide.slices])

        settings: tuple[Setting, ...] = (("tool", "fill"), ("label", aim.label), ("in 3-D", in_3d))
        yield Act("fill", "click", gain, click_s(), settings, perform, (where[0], where[1], where[2]))
