"""Running an anisotropic network over a volume along one of its axes.

An `MSNet` reads a stack of slices and answers for the ones in the middle. Here a volume is
turned so that the slices lie in the wanted plane, set into a frame of noise, and read
window by window.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["PLANES", "Plane", "frame", "plane_probability", "starts"]

#: Slices that a network sees and answers for.
SLICES_IN, SLICES_OUT = 19, 11
_LOST = (SLICES_IN - SLICES_OUT) // 2

Floats = npt.NDArray[np.float32]
Score = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Plane:
    """A way to slice a volume.

    Attributes
    ----------
    name : str
        "axial", "sagittal" or "coronal".
    order : tuple of int
        Axes of the (z, y, x) volume in the order (slice, row, column).
    brain_frame : tuple of int
        Rows and columns that a slice of a whole brain is padded to at least.
    """

    name: str
    order: tuple[int, int, int]
    brain_frame: tuple[int, int]


#: The three planes, each with the smallest frame that its whole-tumour network was made for.
PLANES = (
    Plane("axial", (0, 1, 2), (180, 160)),
    Plane("sagittal", (2, 0, 1), (160, 180)),
    Plane("coronal", (1, 0, 2), (160, 160)),
)


def starts(depth: int) -> list[int]:
    """Return the first answered slice of each window over `depth` slices.

    Windows follow each other without overlap; the last one is moved back so that it ends one
    slice after the volume, where it overwrites what came before.

    Examples
    --------
    >>> starts(30)
    [0, 11, 20]
    """
    return [min(first, depth - SLICES_OUT + 1) for first in range(0, depth, SLICES_OUT)]


def frame(size: int, least: int) -> int:
    """Return the padded length of a row or column: at least `least`, and a multiple of 4."""
    return max(least, -(-size // 4) * 4)


def plane_probability(
    score: Score, image: Floats, plane: Plane, least: tuple[int, int], rng: np.random.Generator, tick: Callable[[int, int], None]
) -> Floats:
    """Return the target's probability as one network sees it.

    Parameters
    ----------
    score : callable
        Takes a window (19, C, H, W) and returns probabilities (11, H, W), float32.
    image : numpy.ndarray
        Shape (C, z, y, x), float32, normalised.
    plane : Plane
        How the network slices the volume.
    least : tuple of int
        Rows and columns that slices are padded to at least.
    rng : numpy.random.Generator
        Source of the noise around the volume, standard normal as the networks were trained.
    tick : callable
        Called before each window with its number from 0 and the number of windows.

    Returns
    -------
    numpy.ndarray
        Shape (z, y, x), float32, 0 to 1.
    """
    turned = image.transpose(0, *(axis + 1 for axis in plane.order))
    depth, height, width = turned.shape[1:]
    rows, columns = frame(height, least[0]), frame(width, least[1])
    top, left = (rows - height) // 2, (columns - width) // 2
    firsts = starts(depth)
    # A volume thinner than a window needs slices before its first answered one, hence the shift.
    before = _LOST - min(0, firsts[-1])
    stack = rng.standard_normal((before + depth + _LOST + 1, len(image), rows, columns), dtype=np.float32)
    stack[before : before + depth, :, top : top + height, left : left + width] = turned.swapaxes(0, 1)
    out = np.empty((depth, height, width), np.float32)
    for number, first in enumerate(firsts):
        tick(number, len(firsts))
        begin = before + first - _LOST
        answer = score(stack[begin : begin + SLICES_IN])[:, top : top + height, left : left + width]
        inside = slice(max(first, 0), min(first + SLICES_OUT, depth))
        out[inside] = answer[inside.start - first : inside.stop - first]
    return out.transpose(np.argsort(plane.order))
