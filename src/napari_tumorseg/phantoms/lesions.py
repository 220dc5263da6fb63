"""Metastases: where they sit, what shape they have, and the oedema that spreads from them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.phantoms.fields import Array, Bools, RandomField, coverage, generator
from napari_tumorseg.phantoms.tissues import Anatomy, Tissue

__all__ = ["Kind", "Metastasis", "choose_places", "plant"]

Axes = tuple[Array, Array, Array]


class Kind(StrEnum):
    """How a metastasis looks."""

    RING = "ring"
    SOLID = "solid"
    TINY = "tiny"
    CAVITY = "cavity"


@dataclass(frozen=True)
class Metastasis:
    """One lesion to plant, or planted.

    Attributes
    ----------
    kind : Kind
        A ring around necrosis, solid, tiny (solid, without oedema), or the cavity left by surgery.
    centre_mm : tuple of float
        (x, y, z) in RAS millimetres.
    diameter_mm : float
        Of the sphere with the volume of the tumour core (enhancing and necrotic parts, or cavity).
    oedema_ml : float
        Volume of the oedema around it; less where there is not enough white matter.
    seed : int
        Of its shape.
    """

    kind: Kind
    centre_mm: tuple[float, float, float]
    diameter_mm: float
    oedema_ml: float
    seed: int

    @property
    def volume_mm3(self) -> float:
        """Volume of the tumour core."""
        return float(np.pi / 6 * self.diameter_mm**3)


def choose_places(anatomy: Anatomy, axes_mm: Axes, wanted: list[tuple[Kind, float]], seed: int, oedema: float) -> tuple[Metastasis, ...]:
    """Choose where lesions sit: at the border of grey and white matter, away from the deep nuclei and from each other.

    Parameters
    ----------
    anatomy : Anatomy
        The head.
    axes_mm : tuple of numpy.ndarray
        Positions of its voxel centres along superior, anterior and right.
    wanted : list of (Kind, float)
        Kind and diameter in mm of each lesion, largest first.
    seed : int
        Same seed, same places.
    oedema : float
        Factor on the usual amount of oedema.

    Raises
    ------
    InputError
        If a lesion finds no place, as in a field of view that shows little of the brain.
    """
    rng = generator(seed, "places")
    steps = np.array([float(v[1] - v[0]) for v in axes_mm])
    low, high = (np.array([float(v[i]) for v in axes_mm]) for i in (0, -1))
    points = rng.uniform([-70, -106, -66], [70, 72, 66], (24000, 3))[:, ::-1]
    points = points[((points >= low) & (points <= high)).all(1)]
    index = tuple(np.rint((points - low) / steps).astype(int).T)
    white = anatomy.shares[Tissue.WHITE]
    border = ndimage.uniform_filter(white, [max(1, round(3 / s)) for s in steps])[index]
    depth, deep, brain, tissue = anatomy.depth_mm[index], anatomy.deep_mm[index], anatomy.brain[index], anatomy.tissue[index]
    behind = anatomy.cerebellum[index]
    chosen: list[Metastasis] = []
    for kind, diameter in wanted:
        r = diameter / 2
        fits = brain & (deep > r + 3) & (np.abs(points[:, 2]) > r + 4) & np.isin(tissue, (Tissue.GREY, Tissue.WHITE))
        if kind in (Kind.RING, Kind.CAVITY):
            fits &= (depth > 0.8 * r + 1) & (depth < 1.4 * r + 6)
            # The posterior fossa has no room for a large one with its oedema.
            fits &= ~behind | (diameter < 18)
        else:
            fits &= (depth > 0.6 * r + 1.2) & (depth < 16) & (border > 0.3) & (border < 0.75)
        places = np.flatnonzero(fits)
        if places.size == 0:
            raise InputError(
                f"The phantom has no room for a lesion of {diameter:.0f} mm.", "Show more of the head or plant smaller lesions."
            )
        draw = rng.choice(places, min(12, places.size), replace=False)
        if chosen:
            # Of a dozen places, the one whose nearest neighbour is farthest: lesions and their oedema stay apart.
            held = np.array([m.centre_mm[::-1] for m in chosen])
            reach = np.array([m.diameter_mm / 2 + (8 if m.oedema_ml else 0) for m in chosen])
            gap = (np.linalg.norm(points[draw, None] - held, axis=2) - reach).min(1)
            best = points[draw[int(gap.argmax())]]
        else:
            best = points[draw[0]]
        factor = {Kind.RING: rng.uniform(1.6, 3.2), Kind.SOLID: rng.uniform(1.5, 4.0), Kind.TINY: 0.0, Kind.CAVITY: 0.5}[kind]
        z, y, x = (round(float(v), 2) for v in best)
        wet_ml = oedema * factor * np.pi / 6 * diameter**3 / 1000
        chosen.append(Metastasis(kind, (x, y, z), round(diameter, 2), round(float(wet_ml), 3), int(rng.integers(2**31))))
    return tuple(chosen)


@dataclass(eq=False)
class _Block:
    """The part of the head around a lesion."""

    window: tuple[slice, slice, slice]
    axes: Axes
    offset: tuple[Array, Array, Array]
    distance: Array
    steps_mm: tuple[float, float, float]
    whole: bool

    @property
    def step_mm(self) -> float:
        """Mean voxel size."""
        return sum(self.steps_mm) / 3

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel."""
        return float(np.prod(self.steps_mm))


def _block(axes_mm: Axes, lesion: Metastasis, margin_mm: float) -> _Block:
    parts, axes = [], []
    whole = True
    for axis, centre in zip(axes_mm, lesion.centre_mm[::-1], strict=True):
        reach = lesion.diameter_mm * 0.8 + margin_mm
        start, stop = np.searchsorted(axis, [centre - reach, centre + reach])
        parts.append(slice(int(start), int(stop)))
        axes.append(axis[start:stop])
        whole &= bool(axis[0] <= centre - lesion.diameter_mm * 0.7 and axis[-1] >= centre + lesion.diameter_mm * 0.7)
    dz, dy, dx = (float(v[1] - v[0]) for v in axes_mm)
    z, y, x = (
        (a - np.float32(c)).reshape([-1 if i == k else 1 for i in range(3)]).astype(np.float32)
        for k, (a, c) in enumerate(zip(axes, lesion.centre_mm[::-1], strict=True))
    )
    distance = np.sqrt(z * z + y * y + x * x)
    window = parts[0], parts[1], parts[2]
    return _Block(window, (axes[0], axes[1], axes[2]), (z, y, x), distance, (dz, dy, dx), whole)


def _shape(lesion: Metastasis, block: _Block) -> Array:
    """Return an irregular blob as a distance-like function, smaller inside; its level is set by volume later."""
    rng = generator(lesion.seed, "shape")
    r = np.float32(lesion.diameter_mm / 2)
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    stretch = rng.uniform(0.84, 1.19, 3)
    frame = (turn * (1 / (stretch * np.prod(stretch) ** (-1 / 3)))).astype(np.float32)
    z, y, x = block.offset
    parts = [frame[0, i] * z + frame[1, i] * y + frame[2, i] * x for i in range(3)]
    body = np.sqrt(parts[0] ** 2 + parts[1] ** 2 + parts[2] ** 2)
    if lesion.diameter_mm > 12:
        for _ in range(2):
            a = (rng.standard_normal(3) * 0.33 * r).astype(np.float32)
            lobe = np.sqrt((z - a[0]) ** 2 + (y - a[1]) ** 2 + (x - a[2]) ** 2) + np.float32(0.28) * r
            body = np.minimum(body, lobe)
    coarse = RandomField(lesion.seed, "outline", max(4.0, 0.9 * lesion.diameter_mm)).on_axes(*block.axes)
    fine = RandomField(lesion.seed, "border", max(3.0, 0.35 * lesion.diameter_mm)).on_axes(*block.axes)
    return np.asarray(body + r * (np.float32(0.12) * coarse + np.float32(0.06) * fine), dtype=np.float32)


def _level(score: Array, allowed: Bools, voxels: int) -> float:
    """Return the value below which `score` has `voxels` voxels where allowed."""
    held = np.sort(score[allowed])
    if held.size == 0:
        return -np.inf
    k = min(max(voxels, 1), held.size)
    upper = held[k] if k < held.size else held[k - 1] + 1e-3
    return float((held[k - 1] + upper) / 2)


def _push(anatomy: Anatomy, block: _Block, lesion: Metastasis, strength: float) -> None:
    """Move tissue outwards to make room for a share `strength` of the lesion's volume.

    Incompressible radial flow: what was at radius s comes to radius t with t^3 = s^3 + strength R^3; it fades out towards the block's edge.
    """
    t = np.maximum(block.distance, np.float32(1e-3))
    radius = lesion.diameter_mm / 2
    source = np.cbrt(np.maximum(t**3 - np.float32(strength * radius**3), 0))
    edge = float(min(np.abs(o).max() for o in block.offset))
    fade = np.clip((edge - t) / np.float32(0.3 * edge), 0, 1)
    ratio = 1 + (source / t - 1) * fade
    points = np.stack([(o * ratio - o.flat[0]) / np.float32(s) for o, s in zip(block.offset, block.steps_mm, strict=True)])
    for share in anatomy.shares.values():
        part = share[block.window]
        if part.any():
            share[block.window] = ndimage.map_coordinates(part, points, order=1, mode="nearest", output=np.float32)
    kept = anatomy.tissue[block.window]
    moved = ndimage.map_coordinates(kept, points, order=0, mode="nearest")
    anatomy.tissue[block.window] = np.where((kept > 0) & (moved > 0), moved, kept)


def _spread(white: Array, source: Bools, step_mm: float, reach_mm: float) -> Array:
    """Return how much fluid from `source` arrives where, when it diffuses through white matter alone (0 to 1)."""
    stride = max(1, round(2.0 / step_mm))
    low = ndimage.uniform_filter(white, stride)[::stride, ::stride, ::stride]
    held = ndimage.uniform_filter(source.astype(np.float32), stride)[::stride, ::stride, ::stride] > 0.4
    if not held.any():
        held = ndimage.maximum_filter(source, 2 * stride + 1)[::stride, ::stride, ::stride]
    conductive = np.maximum(low, held)
    conductive = np.square(conductive) + np.float32(0.01)
    fluid = held.astype(np.float32)
    links = [conductive[_cut(k, 1)] * conductive[_cut(k, 0)] for k in range(3)]
    for _ in range(int(np.ceil(2.5 * (reach_mm / (stride * step_mm)) ** 2)) + 8):
        gain = np.zeros_like(fluid)
        for k, link in enumerate(links):
            flux = np.float32(0.16) * link * (fluid[_cut(k, 1)] - fluid[_cut(k, 0)])
            gain[_cut(k, 0)] += flux
            gain[_cut(k, 1)] -= flux
        fluid += gain
        fluid[held] = 1
    points = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) / stride for n in white.shape), indexing="ij"))
    return np.asarray(ndimage.map_coordinates(fluid, points, order=1, mode="nearest", output=np.float32))


def _cut(axis: int, start: int) -> tuple[slice, ...]:
    return tuple(slice(start, None if start else -1) if k == axis else slice(None) for k in range(3))


def plant(
    anatomy: Anatomy,
    axes_mm: Axes,
    lesions: tuple[Metastasis, ...],
    mass_effect: float,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Put lesions into a head.

    Parameters
    ----------
    anatomy : Anatomy
        Changed in place: shares, and tissues that were pushed aside.
    axes_mm : tuple of numpy.ndarray
        Positions of its voxel centres along superior, anterior and right.
    lesions : tuple of Metastasis
        What to plant; where two overlap the later one wins.
    mass_effect : float
        Share of a lesion's volume that pushes the brain aside instead of replacing it, 0 to 1.

    Returns
    -------
    labels : numpy.ndarray
        uint8 (z, y, x): 1 NETC, 2 SNFH, 3 ET, 4 RC, as in "brats-mets-2025".
    instances : numpy.ndarray
        uint8 (z, y, x): 1 for the first lesion and its oedema, and so on.
    """
    labels = np.zeros(anatomy.tissue.shape, np.uint8)
    instances = np.zeros(anatomy.tissue.shape, np.uint8)
    # An earlier scan's lesion may lie outside a smaller field of view.
    shown = {n: lesion for n, lesion in enumerate(lesions, start=1) if _block(axes_mm, lesion, 4.0).distance.size}
    for lesion in shown.values():
        if mass_effect > 0 and lesion.diameter_mm > 5:
            _push(anatomy, _block(axes_mm, lesion, 0.7 * lesion.diameter_mm + 6), lesion, mass_effect)
    white = anatomy.shares[Tissue.WHITE].copy()
    blocks = {n: _block(axes_mm, lesion, 4.0) for n, lesion in shown.items()}
    insides = {n: _inside(anatomy, lesion, blocks[n]) for n, lesion in shown.items()}
    for n, inside in insides.items():
        instances[blocks[n].window][inside < 0] = n
    solid = instances > 0
    for n, lesion in shown.items():
        if lesion.oedema_ml > 0:
            _paint_oedema(anatomy, axes_mm, lesion, white, solid, labels, instances, n)
    for n, lesion in shown.items():
        _paint_core(anatomy, lesion, blocks[n], insides[n], labels[blocks[n].window])
    labels[~anatomy.brain] = 0
    instances[~anatomy.brain] = 0
    return labels, instances


def _inside(anatomy: Anatomy, lesion: Metastasis, block: _Block) -> Array:
    """Return a distance-like function, negative inside the lesion's core, which has the wanted volume."""
    allowed = anatomy.brain[block.window] & (anatomy.depth_mm[block.window] > 0.5)
    score = _shape(lesion, block)
    level = _level(score, allowed, round(lesion.volume_mm3 / block.voxel_mm3)) if block.whole else lesion.diameter_mm / 2
    inside = score - np.float32(level)
    return np.where(allowed, inside, np.maximum(inside, np.float32(block.step_mm))).astype(np.float32)


def _paint_core(anatomy: Anatomy, lesion: Metastasis, block: _Block, inside: Array, labels: npt.NDArray[np.uint8]) -> None:
    hard = inside < 0
    share = coverage(inside, block.step_mm)
    if lesion.kind is Kind.CAVITY:
        anatomy.paint(Tissue.CAVITY, share, block.window)
        labels[hard] = 4
        return
    anatomy.paint(Tissue.ENHANCING, share, block.window)
    labels[hard] = 3
    if lesion.kind is Kind.RING:
        rng = generator(lesion.seed, "rim")
        away = rng.standard_normal(3)
        z, y, x = (o * np.float32(v) for o, v in zip(block.offset, away / np.linalg.norm(away), strict=True))
        nodule = np.clip(((z + y + x) / np.maximum(block.distance, 1) - 0.55) / 0.45, 0, 1)
        uneven = RandomField(lesion.seed, "rim", 0.45 * lesion.diameter_mm + 2).on_axes(*block.axes)
        rim = np.clip(0.125 * lesion.diameter_mm, 1.8, 3.2) * (1 + 0.42 * uneven) + 0.15 * lesion.diameter_mm * nodule
        # A rim of 1.75 voxels has no hole through which necrosis would touch the brain, not even at a corner.
        rim = np.maximum(rim, 1.75 * max(block.steps_mm))
        deep = ndimage.distance_transform_edt(hard, sampling=block.steps_mm)
        necrosis = deep > rim
        soft = ndimage.gaussian_filter((deep - rim).astype(np.float32), 0.5)
        anatomy.paint(Tissue.NECROSIS, coverage(-soft, block.step_mm), block.window)
        labels[necrosis] = 1


def _paint_oedema(
    anatomy: Anatomy,
    axes_mm: Axes,
    lesion: Metastasis,
    white: Array,
    solid: Bools,
    labels: npt.NDArray[np.uint8],
    instances: npt.NDArray[np.uint8],
    number: int,
) -> None:
    # About half of what surrounds a lesion is white matter that can take up fluid.
    reach = float(np.cbrt((2.2 * lesion.oedema_ml * 1000 + lesion.volume_mm3) * 0.75 / np.pi)) - lesion.diameter_mm / 2 + 3
    block = _block(axes_mm, lesion, 1.5 * reach + 6)
    w = block.window
    source = instances[w] == number
    source &= solid[w]
    fluid = _spread(np.where(solid[w], 0, white[w]), source, block.step_mm, reach)
    ragged = RandomField(lesion.seed, "oedema", 11).on_axes(*block.axes)
    score = -np.log(fluid + np.float32(1e-6)) + np.float32(0.35) * ragged
    score += np.maximum(block.distance - np.float32(lesion.diameter_mm / 2 + 1.5 * reach), 0)
    allowed = (white[w] > 0.5) & anatomy.brain[w] & ~solid[w] & (anatomy.depth_mm[w] > 1)
    # Where there is less white matter than asked for, some of it stays dry, and the front keeps off the block's faces.
    near = np.count_nonzero(allowed & (block.distance < lesion.diameter_mm / 2 + 1.5 * reach))
    voxels = min(round(lesion.oedema_ml * 1000 / block.voxel_mm3), round(0.75 * near))
    front = score - np.float32(_level(score, allowed, voxels))
    wet = allowed & (front < 0)
    parts, _ = ndimage.label(wet | source, structure=np.ones((3, 3, 3)))
    joined = np.isin(parts, np.unique(parts[source])) & (parts > 0)
    share = np.clip(0.5 - 1.2 * front, 0, 1) * white[w] * ndimage.binary_dilation(joined)
    anatomy.paint(Tissue.OEDEMA, (np.float32(0.95) * share).astype(np.float32), w)
    new = wet & joined & (labels[w] == 0)
    labels[w][new] = 2
    instances[w][new] = number
