"""Arteries, veins and dura: what enhances in a healthy head."""

from __future__ import annotations

import numpy as np

from napari_tumorseg.phantoms.fields import Array, Coordinates, Point, RandomField, coverage
from napari_tumorseg.phantoms.tissues import Anatomy, Tissue

__all__ = ["CALLOSUM", "paint_vessels"]

#: Centre and radii (y, z) of the ellipse that the outer border of the corpus callosum follows.
CALLOSUM = ((-4.0, 4.0), (36.0, 24.0))

_TRUNKS: tuple[tuple[tuple[Point, ...], tuple[float, ...]], ...] = (
    # Basilar artery.
    (((0, -13, -52), (0, -8.5, -42), (0, -8, -18)), (1.4, 1.7, 1.7)),
    # Internal carotid arteries.
    (((12, 0, -28), (12, 4, -14)), (2.3, 2.1)),
    # Middle cerebral arteries.
    (((12, 4, -14), (17, 6, -8.5), (28, 7, -5), (41, 8, -2.5)), (1.5, 1.2, 1.0, 0.8)),
    # Anterior cerebral arteries.
    (((12, 4, -14), (3, 16, -9), (2, 36, 0), (2, 39, 12), (2, 28, 27), (2, 0, 33)), (1.3, 1.2, 1.2, 1.1, 1.0, 0.8)),
    # Posterior cerebral arteries.
    (((1, -9, -17), (12, -14, -16), (18, -30, -8), (16, -48, 2)), (1.3, 1.2, 1.1, 0.8)),
    # Internal cerebral veins.
    (((1.2, 0, 13), (1.2, -18, 12.5), (0.5, -33, 9)), (0.4, 0.5, 1.1)),
    # Great vein and straight sinus.
    (((0, -35, 8), (0, -42, 8), (0, -70, -3), (0, -98, -17)), (2.0, 2.2, 2.0, 2.2)),
    # Transverse sinuses.
    (((0, -103, -17), (24, -96, -21), (48, -76, -27), (57, -52, -31)), (2.8, 3.0, 3.0, 2.6)),
)


def paint_vessels(seed: int, a: Anatomy, p: Coordinates, sulci: Array, depth: Array) -> None:
    """Paint vessels and dura.

    Parameters
    ----------
    seed : int
        Of the sulcal vessels.
    a : Anatomy
        Painted on.
    p : Coordinates
        Of its voxels.
    sulci, depth : numpy.ndarray
        float32 (z, y, x), distance to the middle of the nearest sulcus and depth below the brain's surface.
    """
    _paint_sulcal_vessels(seed, a, p, sulci, depth)
    for points, radii in _TRUNKS:
        reach = max(radii) + 2
        low, high = np.min(points, axis=0) - reach, np.max(points, axis=0) + reach
        v = p.window((low[2], low[1], -high[0]), (high[2], high[1], high[0]))
        a.paint(Tissue.VESSEL, coverage(p.part(v).mirrored().tube(points, radii), max(p.step_mm, 0.8)), v)
    _paint_dura(a, p)


def _paint_sulcal_vessels(seed: int, a: Anatomy, p: Coordinates, sulci: Array, depth: Array) -> None:
    # Where the zero levels of two fields meet there is a line; one of the two is the sulcus.
    cross = RandomField(seed, "sulcal vessels", 17, band=0.3).on_axes(*p.axes)
    z, y, x = p.slope(cross)
    line = np.abs(cross) / np.maximum(np.sqrt(z * z + y * y + x * x), np.float32(0.04))
    calibre = np.float32(0.36) + np.float32(0.45) * RandomField(seed, "calibre", 22).on_axes(*p.axes)
    in_sulcus = (depth > -2.5) & (depth < 13)
    sulcal = np.where(in_sulcus, np.sqrt(sulci * sulci + line * line) - calibre, np.float32(9))
    a.paint(Tissue.VESSEL, coverage(sulcal.astype(np.float32), max(p.step_mm, 0.8)) * (calibre > 0.25))


def _paint_dura(a: Anatomy, p: Coordinates) -> None:
    """Paint the superior sagittal sinus, falx and tentorium."""
    w = p.window((-60, -112, -64), (84, 74, 64))
    q = p.part(w).mirrored()
    ring = q.sagittal_ellipse((-18, 12), (89, 67))
    back = np.clip((40 - q.y) / 130, 0, 1)
    size = np.float32(0.8) + np.float32(3.0) * back
    sinus = np.sqrt(np.square(ring + 0.6) + np.square(q.x * 1.15)) - size
    sinus = np.where(q.z > -12 + 0.6 * np.maximum(q.y, 0), sinus, np.float32(9)).astype(np.float32)
    a.paint(Tissue.VESSEL, coverage(sinus, max(p.step_mm, 0.8)), w)
    falx = np.maximum(q.x - np.float32(0.35), -(q.sagittal_ellipse(*CALLOSUM) - np.float32(9) - np.float32(0.16) * np.maximum(q.y, 0)))
    falx = np.where(q.z > -14, falx, np.float32(9))
    sheet_z = 2.2 + 0.42 * (q.y + 40) - 0.30 * q.x
    free_edge = np.maximum(q.y + 38, np.float32(14) - q.x - np.maximum(-q.y - 60, 0))
    tent = np.maximum(np.abs(q.z - sheet_z) * np.float32(0.9) - np.float32(0.35), free_edge)
    a.paint(Tissue.DURA, coverage(np.minimum(falx, tent).astype(np.float32), max(p.step_mm, 1.0)) * np.float32(0.8), w)
