"""Building blocks of phantoms: smooth random fields and signed distances to simple shapes.

Everything is a function of position in millimetres, never of voxel indices, so that one seed gives
one anatomy on every grid. Distances are negative inside and positive outside unless a name says
`depth`, which is the opposite.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

__all__ = ["Coordinates", "RandomField", "coverage", "generator", "smooth_min"]

Array = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Window = tuple[slice, slice, slice]
Point = tuple[float, float, float]


def generator(seed: int, name: str) -> np.random.Generator:
    """Return a random generator that depends on `seed` and `name` alone."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def smooth_min(a: Array, b: Array, width: float) -> Array:
    """Return the minimum of two arrays, rounded where they differ by less than `width`.

    Polynomial form, I. Quilez, "Smooth minimum", 2013: lower than the minimum by at most a quarter of the width.
    """
    h = np.maximum(np.float32(width) - np.abs(a - b), np.float32(0))
    return np.asarray(np.minimum(a, b) - h * h * np.float32(0.25 / width))


def coverage(distance: Array, width_mm: float) -> Array:
    """Return the share of a voxel of `width_mm` that lies inside a shape, from the distance of its centre to the surface."""
    return np.asarray(np.clip(np.float32(0.5) - distance * np.float32(1.0 / width_mm), 0, 1))


class RandomField:
    """A smooth Gaussian random field with mean 0 and standard deviation 1.

    Cubic B-splines over a lattice of filtered white noise; periodic after 14 wavelengths or a head.

    Parameters
    ----------
    seed : int
        Same seed and name, same field.
    name : str
        What the field is for.
    wavelength_mm : float
        Where the spectrum has its peak (band) or falls to 60 % (low-pass).
    band : float
        Width of the band as a share of its centre; 0 for a low-pass.

    Notes
    -----
    The zero level of a narrow-band field is a labyrinth of sheets half a wavelength apart.
    """

    def __init__(self, seed: int, name: str, wavelength_mm: float, band: float = 0.0) -> None:
        box_mm = min(224.0, 14 * wavelength_mm)
        n = int(np.ceil(box_mm / wavelength_mm * 4.5))
        self.pitch_mm = box_mm / n
        noise = generator(seed, name).standard_normal((n, n, n), dtype=np.float32)
        k = np.asarray(fft.fftfreq(n, self.pitch_mm), dtype=np.float32)
        kx = np.asarray(fft.rfftfreq(n, self.pitch_mm), dtype=np.float32)
        radius = np.sqrt(k[:, None, None] ** 2 + k[None, :, None] ** 2 + kx[None, None, :] ** 2) * np.float32(wavelength_mm)
        shape = np.exp(-0.5 * ((radius - 1) / band) ** 2) if band else np.exp(-0.5 * radius**2)
        shape[0, 0, 0] = 0
        values = np.asarray(fft.irfftn(fft.rfftn(noise) * shape, s=(n, n, n)), dtype=np.float32)
        seen = values
        for axis in range(3):
            seen = ndimage.convolve1d(seen, [1 / 6, 4 / 6, 1 / 6], axis=axis, mode="wrap")
        self.coefficients: Array = np.asarray(values / seen.std(), dtype=np.float32)

    def _weights(self, mm: npt.NDArray[np.floating]) -> Array:
        n = self.coefficients.shape[0]
        position = np.asarray(mm, np.float64) / self.pitch_mm
        first = np.floor(position).astype(int)
        t = position - first
        basis = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
        matrix = np.zeros((len(position), n), np.float32)
        for offset, weight in enumerate(basis):
            np.add.at(matrix, (np.arange(len(position)), (first + offset - 1) % n), weight / 6)
        return matrix

    def on_axes(self, z: npt.NDArray[np.floating], y: npt.NDArray[np.floating], x: npt.NDArray[np.floating]) -> Array:
        """Return the field on the grid spanned by three lists of positions in mm, shape (len(z), len(y), len(x))."""
        bz, by, bx = (self._weights(v) for v in (z, y, x))
        lines = self.coefficients @ bx.T
        planes = np.einsum("yj,ijx->iyx", by, lines, optimize=True)
        return np.asarray(np.tensordot(bz, planes, axes=(1, 0)), dtype=np.float32)

    def at(self, z: Array, y: Array, x: Array) -> Array:
        """Return the field at points given by equally shaped arrays of mm."""
        scale = np.float32(1 / self.pitch_mm)
        points = np.stack([z * scale, y * scale, x * scale])
        values = ndimage.map_coordinates(self.coefficients, points, order=3, mode="grid-wrap", prefilter=False, output=np.float32)
        return np.asarray(values)


@dataclass(frozen=True)
class Coordinates:
    """Positions at which an anatomy is evaluated, in the millimetres of its template.

    Attributes
    ----------
    z, y, x : numpy.ndarray
        float32, one shape: to superior, anterior and right, after the individual's own warp.
    axes : tuple of numpy.ndarray
        The unwarped positions along each array axis.
    steps_mm : tuple of float
        Voxel size along each array axis.
    slack_mm : float
        How far the warp moves a point at most.
    """

    z: Array
    y: Array
    x: Array
    axes: tuple[Array, Array, Array]
    steps_mm: tuple[float, float, float]
    slack_mm: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the arrays."""
        a, b, c = self.z.shape
        return a, b, c

    @property
    def step_mm(self) -> float:
        """Mean voxel size, for partial volume."""
        return sum(self.steps_mm) / 3

    def slope(self, a: Array) -> tuple[Array, Array, Array]:
        """Return the change per mm of an array on these voxels along its axes."""
        z, y, x = (np.asarray(g, np.float32) for g in np.gradient(a, *(np.float32(s) for s in self.steps_mm)))
        return z, y, x

    def window(self, low: Sequence[float], high: Sequence[float]) -> Window:
        """Return the block of voxels that holds every point between two corners (z, y, x) of the template."""
        parts = []
        for axis, a, b in zip(self.axes, low, high, strict=True):
            reach = self.slack_mm + 2 * max(self.steps_mm)
            start, stop = np.searchsorted(axis, [a - reach, b + reach])
            parts.append(slice(int(start), int(stop)))
        return parts[0], parts[1], parts[2]

    def part(self, window: Window) -> Coordinates:
        """Return the coordinates inside a block."""
        a, b, c = (axis[part] for axis, part in zip(self.axes, window, strict=True))
        return Coordinates(self.z[window], self.y[window], self.x[window], (a, b, c), self.steps_mm, self.slack_mm)

    def mirrored(self) -> Coordinates:
        """Return the coordinates with left folded onto right."""
        return Coordinates(self.z, self.y, np.abs(self.x), self.axes, self.steps_mm, self.slack_mm)

    def ellipsoid(self, centre: Point, radii: Point, turn_deg: float = 0.0, tilt_deg: float = 0.0) -> Array:
        """Return the approximate distance to an ellipsoid.

        Parameters
        ----------
        centre, radii : tuple of float
            (x, y, z) in mm, the order in which atlases print coordinates.
        turn_deg : float
            Rotation in the axial plane; positive moves the anterior end to the left.
        tilt_deg : float
            Rotation in the sagittal plane; positive moves the anterior end up.
        """
        x, y, z = self.x - np.float32(centre[0]), self.y - np.float32(centre[1]), self.z - np.float32(centre[2])
        if turn_deg:
            c, s = np.float32(np.cos(np.radians(turn_deg))), np.float32(np.sin(np.radians(turn_deg)))
            x, y = c * x + s * y, c * y - s * x
        if tilt_deg:
            c, s = np.float32(np.cos(np.radians(tilt_deg))), np.float32(np.sin(np.radians(tilt_deg)))
            y, z = c * y + s * z, c * z - s * y
        rx, ry, rz = (np.float32(1 / r) for r in radii)
        x, y, z = x * rx, y * ry, z * rz
        k0 = x * x + y * y + z * z
        k1 = (x * rx) ** 2 + (y * ry) ** 2 + (z * rz) ** 2
        # Distance to first order: the implicit function over its gradient.
        root = np.sqrt(k0)
        return np.asarray((root - 1) * root / np.sqrt(k1 + np.float32(1e-9)), dtype=np.float32)

    def sagittal_ellipse(self, centre: tuple[float, float], radii: tuple[float, float]) -> Array:
        """Return the approximate distance, within the sagittal plane, to an ellipse given as (y, z)."""
        y, z = (self.y - np.float32(centre[0])) * np.float32(1 / radii[0]), (self.z - np.float32(centre[1])) * np.float32(1 / radii[1])
        return np.asarray((np.sqrt(y * y + z * z) - 1) * np.float32(sum(radii) / 2), dtype=np.float32)

    def tube(self, points: Sequence[Point], radii: Sequence[float], rounding_mm: float = 0.0) -> Array:
        """Return the distance to a chain of straight pieces whose radius runs linearly between `points` (x, y, z)."""
        out: Array | None = None
        for a, b, ra, rb in zip(points, points[1:], radii, radii[1:], strict=False):
            d = np.subtract(b, a).astype(np.float32)
            x, y, z = self.x - np.float32(a[0]), self.y - np.float32(a[1]), self.z - np.float32(a[2])
            t = np.clip((x * d[0] + y * d[1] + z * d[2]) * np.float32(1 / float(d @ d)), 0, 1)
            x, y, z = x - t * d[0], y - t * d[1], z - t * d[2]
            piece = np.sqrt(x * x + y * y + z * z) - (np.float32(ra) + t * np.float32(rb - ra))
            out = piece if out is None else smooth_min(out, piece, rounding_mm) if rounding_mm else np.minimum(out, piece)
        if out is None:
            raise ValueError("A tube needs at least two points.")
        return out
