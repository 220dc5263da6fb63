"""A healthy head as shares of tissues per voxel, from signed distances and random fields.

Positions are (x, y, z) in millimetres of a template whose origin is near the anterior commissure and
whose axes run to the right, to anterior and to superior. Sizes and places of the structures are
ordinary adult ones, rounded, as read off any printed stereotaxic atlas; no image of anybody went
into them. Folds are the zero level of a narrow-band random field that is carried from the brain
surface inwards, which gives sulci a gyrus apart that stand upright on the surface.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_tumorseg.phantoms.fields import Array, Bools, Coordinates, Point, RandomField, coverage, generator, smooth_min
from napari_tumorseg.phantoms.tissues import Anatomy, Tissue
from napari_tumorseg.phantoms.vessels import CALLOSUM, paint_vessels

__all__ = ["build_anatomy"]

#: Template millimetres to head millimetres; the template is about 4 % larger than a mean head.
TEMPLATE_SCALE = 0.96


def _cerebrum(p: Coordinates) -> Array:
    """Return the distance to the smooth hull of both hemispheres; `p` is folded."""
    dome = p.ellipsoid((0, -18, 12), (68, 88, 66))
    # Frontal lobes are narrower than parietal ones.
    dome += np.float32(0.0010) * np.square(np.maximum(p.y + 6, 0)) * np.square(p.x) / (np.square(p.x) + 900)
    # Roof of the orbits in front, tentorium behind, skull base between.
    back = np.clip((-26 - p.y) / 11, 0, 1)
    front = np.clip((p.y + 4) / 18, 0, 1)
    tentorium = 3 + 0.42 * (p.y + 40) - 0.30 * p.x
    orbit = -22 + 0.0035 * np.square(p.x - 14) + 0.004 * np.square(np.maximum(p.y - 30, 0))
    base = (-11.0 * (1 - back) * (1 - front) + back * tentorium + front * (1 - back) * orbit).astype(np.float32)
    hull = -smooth_min(-dome, (p.z - base) * np.float32(0.92), 10)
    temporal = p.ellipsoid((42, -17, -21), (23.5, 41, 20), tilt_deg=-8)
    medial = p.tube([(20, 4, -19), (22, -16, -17), (24, -36, -9), (17, -50, 0)], [9, 9, 9, 9])
    return smooth_min(smooth_min(hull, temporal, 6), medial, 6)


def _fissure(p: Coordinates) -> Array:
    """Return the distance to the interhemispheric gap; it ends at the corpus callosum."""
    below = np.maximum(-p.sagittal_ellipse(*CALLOSUM), 0)
    stem = np.maximum(-p.z - 8, 0) * np.clip((12 - p.y) / 8, 0, 1) * np.clip((p.y + 42) / 8, 0, 1)
    return np.asarray(np.sqrt(np.square(p.x) + np.square(below) + np.square(stem)), dtype=np.float32)


def _sylvian(p: Coordinates, wobble: Array) -> Array:
    """Return the distance to the Sylvian fissure and the cistern over the insula; `p` is folded."""
    rise = 2.2 * wobble - 9 + 0.42 * (22 - p.y) + 0.10 * (p.x - 42) - 0.12 * np.maximum(42 - p.x, 0)
    # In front of the insula it runs on to the midline, behind it ends there.
    medial = 41 - 27 * np.clip((p.y + 3) * np.float32(0.13), 0, 1)
    ends = np.maximum(np.maximum(p.y - 26, -36 - p.y), 0)
    stem = np.sqrt(np.square((p.z - rise) * 0.9) + np.square(np.maximum(medial - p.x, 0)) + np.square(ends))
    # The insula bulges outwards; the circular sulcus around it lies deeper.
    bend = 42.5 - 0.022 * np.square(p.z - 3) - 0.010 * np.square(p.y + 3)
    over = np.maximum(np.maximum(p.z - 17, -11 - p.z), 0)
    along = np.maximum(np.maximum(p.y - 20, -28 - p.y), 0)
    wall = np.sqrt(np.square(p.x - bend) + np.square(over) + np.square(along))
    return np.asarray(np.minimum(stem, wall), dtype=np.float32)


def _folds(seed: int, p: Coordinates, depth: Array, smooth: Array, limit: Array, core: Array) -> Array:
    """Return the distance to the middle of the nearest sulcus.

    `smooth` is a rounder form of `depth` whose gradient shows the way to the surface; `limit` is how
    deep a sulcus may go, `core` the distance to what it must not reach.
    """
    far = np.float32(60)
    near = (depth > -3) & (depth < 34)
    # Sample most of the way up to the surface, so that the sheets stand upright on it; not all of it, so that they curve.
    back = np.float32(0.75) * np.clip(depth[near], 0, 22)
    z, y, x = (g[near] * back for g in p.slope(smooth))
    values = np.full(p.shape, far, np.float32)
    # The two sides of the brain are not mirror images, so each takes its folds from another part of the field.
    apart = np.copysign(np.float32(55), p.x[near])
    values[near] = RandomField(seed, "gyri", 21, band=0.22).at(p.z[near] - z, p.y[near] - y + apart, p.x[near] - x)
    z, y, x = p.slope(values)
    steep = np.sqrt(z * z + y * y + x * x)
    sheet = np.where(near, np.abs(values) / np.maximum(steep, np.float32(0.03)), far).astype(np.float32)
    beyond = np.maximum(depth - limit, 0) * np.float32(1.3) + np.maximum(3 - core, 0)
    return np.asarray(np.sqrt(sheet * sheet + beyond * beyond), dtype=np.float32)


def _cerebellum(p: Coordinates, wobble: Array) -> tuple[Array, Array]:
    """Return depth below the cerebellar surface and depth below the nearest folium surface."""
    hemispheres = p.ellipsoid((25, -64, -34), (29, 27, 23), turn_deg=-8)
    vermis = p.ellipsoid((0, -60, -29), (17, 26, 24))
    hull = smooth_min(hemispheres, vermis, 5)
    tentorium = 1.5 + 0.42 * (p.y + 40) - 0.30 * p.x
    hull = -smooth_min(-hull, (tentorium.astype(np.float32) - p.z), 4)
    notch = p.ellipsoid((0, -92, -44), (5, 14, 18))
    depth = -np.maximum(hull, -notch)
    # Folia fan out from the fourth ventricle and curl forwards at the sides.
    back, up = -(p.y + 50) - np.float32(0.007) * np.square(p.x), p.z + 36 + np.float32(0.42) * p.x
    radius = np.sqrt(np.square(back) + np.square(up)) + 1
    angle = np.arctan2(up, back)
    phase = angle * 20 + wobble * 1.7
    sheet = np.abs(np.sin(phase)) * radius / 20
    limit = (7.0 + 13.0 * np.square(np.cos(phase * 0.25 + 0.4))) * np.clip((radius - 10) / 10, 0, 1)
    gap = np.sqrt(np.square(sheet) + np.square(np.maximum(depth - limit, 0))) - 0.25
    return depth.astype(np.float32), np.minimum(depth, gap).astype(np.float32)


_VENTRICLE: tuple[tuple[Point, float], ...] = (
    ((15, 33, 1), 2.0), ((11.5, 25, 6), 4.4), ((8.5, 10, 12), 5.6), ((9.5, -8, 17), 5.4), ((13, -24, 18), 5.4),
    ((22, -37, 14), 6.4), ((27, -46, 8), 6.2), ((28, -60, 5), 3.6), ((25, -73, 5), 1.2),
)  # fmt: skip
_TEMPORAL_HORN: tuple[tuple[Point, float], ...] = (
    ((26, -43, 6), 5.0), ((32, -33, -5), 3.0), ((34.5, -20, -14), 2.0), ((31, -8, -19), 1.6),
)  # fmt: skip
_CAUDATE: tuple[tuple[Point, float], ...] = (
    ((12, 17, 1), 5.0), ((13.5, 11, 9), 5.6), ((15, 0, 16), 4.2), ((18, -14, 19.5), 3.0), ((23, -28, 18), 2.0),
)  # fmt: skip
_HIPPOCAMPUS: tuple[tuple[Point, float], ...] = (
    ((24, -7, -20), 6.5), ((28, -15, -18), 5.5), ((30, -26, -13), 4.6), ((27, -36, -4), 3.6),
)  # fmt: skip


def _split(chain: tuple[tuple[Point, float], ...], scale: float = 1.0) -> tuple[list[Point], list[float]]:
    return [p for p, _ in chain], [r * scale for _, r in chain]


def _paint_hemispheres(seed: int, a: Anatomy, p: Coordinates, folded: Coordinates, hull: Array) -> tuple[Array, Array]:
    """Paint cortex and white matter; return the distance to the middle of the sulci and the depth below the surface."""
    fissure, sylvian = _fissure(folded), _sylvian(folded, RandomField(seed, "sylvian", 32).on_axes(*p.axes))
    outer = -hull
    open_mm = np.exp(np.minimum(-outer, 0) / np.float32(4.0))
    fissure = fissure - (np.float32(0.45) + np.float32(1.3) * open_mm)
    sylvian = sylvian - (np.float32(0.8) + np.float32(0.8) * open_mm)
    depth = smooth_min(smooth_min(outer, fissure, 8), sylvian, 5)
    smooth = smooth_min(smooth_min(outer, fissure, 18), sylvian, 14)
    vary = RandomField(seed, "sulcal depth", 34).on_axes(*p.axes)
    vary += np.float32(0.8) * RandomField(seed, "sulcal bridges", 15).on_axes(*p.axes)
    limit = np.clip(18 + np.float32(6.5) * vary, 1, 30)
    # Sulci of the medial wall are shallower than those of the convexity, the insula has next to none.
    limit = np.minimum(limit, 5 + np.float32(0.55) * fissure)
    limit = np.minimum(limit, np.where(folded.x < 41, np.float32(0.3), np.float32(3.5)) + np.maximum(sylvian - 3, 0))
    core = folded.ellipsoid((0, -6, 5), (33, 41, 23))
    middle = _folds(seed, p, depth, smooth, limit, core)
    wide = RandomField(seed, "sulcal width", 26).on_axes(*p.axes)
    shallow = np.exp(-np.maximum(depth, 0) * np.float32(1 / 3.2))
    half = np.clip(np.float32(0.30) + np.float32(0.25) * wide, 0.05, 1.2) + np.clip(1 + np.float32(0.55) * wide, 0.25, 2.2) * shallow
    cortex = np.minimum(depth, middle - half)
    thickness = np.clip(2.8 + np.float32(0.35) * RandomField(seed, "cortex", 30).on_axes(*p.axes), 1.8, 3.6)
    a.paint(Tissue.GREY, coverage(-cortex, p.step_mm))
    a.paint(Tissue.WHITE, coverage(thickness - cortex, p.step_mm))
    np.maximum(a.depth_mm, depth, out=a.depth_mm)
    return middle, depth


def _paint_hindbrain(seed: int, a: Anatomy, p: Coordinates) -> None:
    """Paint cerebellum, brainstem and fourth ventricle."""
    w = p.window((-78, -108, -62), (12, 16, 62))
    q, f = p.part(w), p.part(w).mirrored()
    wobble = RandomField(seed, "folia", 24).on_axes(*q.axes)
    depth, folia = _cerebellum(f, wobble)
    a.paint(Tissue.GREY, coverage(-folia, p.step_mm), w)
    a.paint(Tissue.WHITE, coverage(np.float32(1.35) - folia, p.step_mm), w)
    a.depth_mm[w] = np.maximum(a.depth_mm[w], depth)
    a.cerebellum[w] = depth > 0
    dentate = np.abs(f.ellipsoid((14, -57, -37), (7, 8, 5))) - np.float32(0.7)
    a.paint(Tissue.GREY, coverage(dentate, p.step_mm) * np.float32(0.6) * (depth > 8), w)
    peduncle = f.tube([(14, -28, -34), (20, -43, -36)], [8.5, 7.0])
    a.paint(Tissue.WHITE, coverage(peduncle, p.step_mm), w)
    midbrain = f.ellipsoid((7, -25, -11), (11, 12, 12), tilt_deg=20)
    pons = f.ellipsoid((0, -24, -33), (18, 13.5, 15))
    medulla = q.tube([(0, -34, -46), (0, -42, -60), (0, -45, -84)], [11, 8.5, 7.5])
    colliculi = smooth_min(f.ellipsoid((5, -35, -5), (5, 4, 4.5)), f.ellipsoid((5, -36, -12), (5, 4, 4)), 2)
    stem = smooth_min(smooth_min(midbrain, pons, 5), smooth_min(medulla, colliculi, 4), 5)
    chiasm = f.tube([(8, 14, -17), (0, 4, -14), (13, -10, -12)], [1.8, 2.2, 1.8])
    stalk = q.tube([(0, -1, -10), (0, 1, -20)], [2.2, 1.4])
    stem = np.minimum(stem, np.minimum(chiasm, stalk))
    a.paint(Tissue.BRAINSTEM, coverage(stem, p.step_mm), w)
    nigra = f.ellipsoid((9, -19, -12), (5.5, 2.0, 4), turn_deg=-35)
    red = f.ellipsoid((4.5, -23, -8), (2.6, 2.8, 3.5))
    a.paint(Tissue.PALLIDUM, coverage(np.minimum(nigra, red), p.step_mm) * np.float32(0.7), w)
    fourth = smooth_min(f.ellipsoid((0, -42, -36), (8, 4, 11)), f.tube([(0, -42, -34), (0, -50, -35)], [4, 1.0]), 2)
    aqueduct = q.tube([(0, -30, -5), (0, -34, -16), (0, -39, -26)], [1.0, 1.0, 2.0])
    notch = q.tube([(0, -8, -15), (0, -15, -17)], [5, 2.6])
    water = np.minimum(np.minimum(fourth, aqueduct), notch)
    a.paint(Tissue.CSF, coverage(water, p.step_mm), w)
    a.deep_mm[w] = np.minimum(a.deep_mm[w], np.minimum(stem, fourth))


def _paint_core(seed: int, a: Anatomy, p: Coordinates, ventricle_scale: float) -> None:
    """Paint corpus callosum, ventricles and deep nuclei."""
    w = p.window((-32, -82, -48), (36, 44, 48))
    q, f = p.part(w), p.part(w).mirrored()
    step = p.step_mm
    arch = f.sagittal_ellipse(*CALLOSUM)
    # White matter and diencephalon fill the space under the arch; the midbrain has been painted below it.
    floor = np.minimum(-10 + np.float32(0.85) * np.maximum(-20 - q.y, 0), 3)
    fill = np.maximum(f.ellipsoid((0, -5, 4), (27, 35, 24)), floor - q.z)
    a.paint(Tissue.WHITE, coverage(fill, step), w)
    points, radii = _split(_VENTRICLE, ventricle_scale)
    lateral = f.tube(points, radii, rounding_mm=3)
    points, radii = _split(_TEMPORAL_HORN, ventricle_scale)
    lateral = smooth_min(lateral, f.tube(points, radii, rounding_mm=2), 3)
    lateral = lateral + np.float32(0.5) * RandomField(seed, "ventricle", 18).on_axes(*q.axes)
    # Faint bright lining of the ventricles on FLAIR, most at the horns.
    patchy = np.clip(np.float32(0.16) + np.float32(0.2) * RandomField(seed, "lining", 20).on_axes(*q.axes), 0, 0.45)
    a.paint(Tissue.OEDEMA, np.exp(-np.maximum(lateral, 0) * np.float32(0.7)) * patchy, w)
    a.paint(Tissue.CSF, coverage(lateral, step), w)
    third = f.ellipsoid((0, -12, -1), (2.0 * ventricle_scale, 17, 12))
    callosum = np.maximum(np.abs(arch + np.float32(3.2)) - 3.2, np.maximum(f.x - 26, np.float32(-2) - q.z - 0.4 * np.minimum(q.y, 0)))
    septum = np.maximum(np.maximum(f.x - 0.8, arch), np.maximum(np.float32(3) - q.z, -(q.y + 26)))
    fornix = q.mirrored().tube([(1.5, 12, 4), (2, 0, 13), (3, -16, 15.5), (9, -31, 12)], [1.6, 1.9, 2.0, 1.6])
    a.paint(Tissue.WHITE, coverage(np.minimum(np.minimum(callosum, septum), fornix), step), w)
    thalamus = f.ellipsoid((11.5, -18, 6), (9.5, 15.5, 10), turn_deg=24)
    points, radii = _split(_CAUDATE)
    caudate = f.tube(points, radii, rounding_mm=3)
    putamen = f.ellipsoid((27, 2, 2), (5.2, 17, 10.5), turn_deg=-11)
    pallidum = f.ellipsoid((20, -3, 0), (4.4, 9.5, 6.5), turn_deg=-20)
    accumbens = f.ellipsoid((14, 12, -6), (7, 6, 3.5))
    points, radii = _split(_HIPPOCAMPUS)
    hippocampus = f.tube(points, radii, rounding_mm=2)
    hypothalamus = f.ellipsoid((3.5, -3, -8), (5, 10, 6))
    a.paint(Tissue.STRIATUM, coverage(np.minimum(np.minimum(putamen, caudate), accumbens), step), w)
    a.paint(Tissue.PALLIDUM, coverage(pallidum, step), w)
    a.paint(Tissue.THALAMUS, coverage(np.minimum(thalamus, hypothalamus), step), w)
    temporal_horn = f.tube(*_split(_TEMPORAL_HORN[1:], ventricle_scale))
    a.paint(Tissue.GREY, coverage(np.maximum(hippocampus, -temporal_horn), step), w)
    a.paint(Tissue.CSF, coverage(third, step), w)
    # Quadrigeminal cistern and the cistern of the great vein, between splenium and colliculi.
    a.paint(Tissue.CSF, coverage(f.ellipsoid((0, -38, -1), (8, 3.5, 5)), step), w)
    clumps = RandomField(seed, "choroid", 5).on_axes(*q.axes)
    glomus = f.tube([(12, -20, 15.5), (22, -37, 11), (27, -44, 4), (32, -34, -5)], [1.2, 2.2, 3.2, 1.6]) - np.float32(0.9) * clumps
    a.paint(Tissue.CHOROID, coverage(np.maximum(glomus, lateral + 0.8), step) * np.float32(0.85), w)
    deep = np.minimum(np.minimum(lateral, third), np.minimum(np.minimum(thalamus, caudate), np.minimum(putamen, pallidum)))
    basal = f.ellipsoid((0, -8, -13), (20, 26, 14))
    a.deep_mm[w] = np.minimum(a.deep_mm[w], np.minimum(np.minimum(deep, basal), np.minimum(callosum, hippocampus)))


def build_anatomy(seed: int, z_mm: Array, y_mm: Array, x_mm: Array, *, size: float = 1.0, ventricles: float = 1.0) -> Anatomy:
    """Build a head.

    Parameters
    ----------
    seed : int
        The individual: outline, asymmetry, folds, vessels.
    z_mm, y_mm, x_mm : numpy.ndarray
        Increasing positions of the voxel centres along superior, anterior and right.
    size : float
        1 for a brain of about 130 x 168 x 145 mm.
    ventricles : float
        Calibre of the ventricles, 1 for an ordinary adult.

    Returns
    -------
    Anatomy
        On the grid spanned by the positions.
    """
    scale = np.float32(TEMPLATE_SCALE * size)
    axes = (z_mm / scale, y_mm / scale, x_mm / scale)
    steps = [float(v[1] - v[0]) for v in axes]
    reach = 1.8
    moved = []
    for k, (axis, strength) in enumerate(zip(axes, generator(seed, "warp").uniform(0.7, 1.2, 3), strict=True)):
        bend = RandomField(seed, f"warp {k}", 75).on_axes(*axes)
        moved.append(axis.reshape([-1 if i == k else 1 for i in range(3)]) + np.float32(reach * strength) * bend)
    p = Coordinates(moved[0], moved[1], moved[2], axes, (steps[0], steps[1], steps[2]), 4 * reach)
    folded = p.mirrored()
    shape = p.shape
    a = Anatomy(
        shares={},
        tissue=np.zeros(shape, np.uint8),
        brain=np.zeros(shape, bool),
        depth_mm=np.full(shape, -99, np.float32),
        deep_mm=np.full(shape, 99, np.float32),
        cerebellum=np.zeros(shape, bool),
    )
    a.paint(Tissue.CSF, np.ones(shape, np.float32))
    hull = _cerebrum(folded) - np.float32(1.1) * RandomField(seed, "outline", 40).on_axes(*axes)
    sulci, depth = _paint_hemispheres(seed, a, p, folded, hull)
    _paint_core(seed, a, p, ventricles)
    _paint_hindbrain(seed, a, p)
    paint_vessels(seed, a, p, sulci, depth)
    a.brain = _brain_mask(seed, hull, p, folded)
    a.tissue[~a.brain] = Tissue.BACKGROUND
    a.depth_mm *= scale
    a.deep_mm *= scale
    return a


def _brain_mask(seed: int, hull: Array, p: Coordinates, folded: Coordinates) -> Bools:
    w = p.window((-80, -112, -66), (14, 24, 66))
    f = folded.part(w)
    behind = smooth_min(f.ellipsoid((25, -64, -34), (29, 27, 23), turn_deg=-8), f.ellipsoid((0, -60, -29), (17, 26, 24)), 5)
    stem = smooth_min(f.ellipsoid((0, -22, -30), (19, 14, 20)), f.tube([(0, -36, -50), (0, -45, -84)], [11, 8.5]), 6)
    stem = smooth_min(stem, f.tube([(14, -28, -34), (20, -43, -36)], [9.5, 8.5]), 4)
    cisterns = smooth_min(f.ellipsoid((0, -8, -13), (22, 28, 15)), f.ellipsoid((0, -42, -4), (18, 14, 13)), 8)
    hull[w] = smooth_min(smooth_min(hull[w], behind, 10), smooth_min(stem, cisterns, 10), 12)
    edge = RandomField(seed, "skull-stripping", 14).on_axes(*p.axes)
    brain = hull < np.float32(0.5) + np.float32(0.6) * edge
    brain &= p.axes[0][:, None, None] > -76
    parts, count = ndimage.label(brain)
    # Stripping leaves one piece; the noise on the edge can cut off crumbs.
    return np.asarray(parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:])) if count else brain)
