"""Rules over the connected parts of a mask.

Two voxels are neighbours when they share a face or an edge (18 neighbours). All functions
take and return boolean (z, y, x) arrays and leave their input as it is.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import bounding_box
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["close", "drop_outside", "fuse_nested", "keep_larger_than", "keep_largest_two"]

Mask = npt.NDArray[np.bool_]


def close(mask: Mask, iterations: int = 1) -> Mask:
    """Close small gaps: dilation, then erosion, by the 18-neighbour element.

    Parameters
    ----------
    mask : numpy.ndarray
        Boolean (z, y, x).
    iterations : int
        How often it is dilated, and then eroded.

    Returns
    -------
    numpy.ndarray
        Boolean (z, y, x), holds all of `mask`, at the array's border too.

    Examples
    --------
    >>> cube = np.ones((3, 3, 3), bool)
    >>> cube[1, 1, 1] = False
    >>> bool(close(cube).all())
    True
    """
    from scipy import ndimage

    out = mask.copy()
    box = bounding_box(mask)
    if box is None:
        return out
    # Beyond the border lies background; without the rim the erosion would eat the border instead.
    rim = iterations + 1
    element = ndimage.generate_binary_structure(3, 2)
    closed = ndimage.binary_closing(np.pad(mask[box.slices], rim), element, iterations)
    out[box.slices] = closed[(slice(rim, -rim),) * 3]
    return out


def _parts(mask: Mask) -> tuple[npt.NDArray[np.unsignedinteger], npt.NDArray[np.int64]]:
    """Return the parts numbered from 1, and the number of voxels by number (0 for the background)."""
    parts, _ = connected_parts(mask, 18)
    sizes = np.bincount(parts.ravel()).astype(np.int64)
    sizes[0] = 0
    return parts, sizes


def keep_larger_than(mask: Mask, voxels: int) -> Mask:
    """Keep the parts with more than `voxels` voxels; a mask of a single part stays whatever its size."""
    parts, sizes = _parts(mask)
    if len(sizes) <= 2:
        return mask.copy()
    return np.asarray((sizes > voxels)[parts])


def keep_largest_two(mask: Mask, share: float = 0.1) -> Mask:
    """Keep the largest part, and the second too where it has more than `share` of the largest's voxels."""
    parts, sizes = _parts(mask)
    if len(sizes) <= 2:
        return mask.copy()
    keep = np.zeros(len(sizes), bool)
    first, second = np.argsort(-sizes, kind="stable")[:2]
    keep[first] = True
    keep[second] = sizes[second] > share * sizes[first]
    return np.asarray(keep[parts])


def drop_outside(mask: Mask, whole: Mask, share: float = 0.5) -> Mask:
    """Drop the parts of `mask` with less than `share` of their voxels inside `whole`."""
    parts, sizes = _parts(mask)
    inside = np.bincount(parts[whole].ravel(), minlength=len(sizes))
    keep = inside >= share * sizes
    keep[0] = False
    return np.asarray(keep[parts])


def fuse_nested(whole: Mask, core: Mask, enhancing: Mask, *, min_whole: int = 2000, min_enhancing: int = 30) -> tuple[Mask, Mask, Mask]:
    """Make three nested masks of a cascade agree.

    The union of all three, closed and without its small parts, bounds the whole tumour. What the
    core and the enhancing mask cover inside it is closed, and loses the parts that lie mostly
    outside and all but its two largest parts; that is the core, and the whole tumour takes it in.

    Parameters
    ----------
    whole, core, enhancing : numpy.ndarray
        Boolean (z, y, x), as the networks gave them.
    min_whole : int
        Parts of the whole tumour with this many voxels or fewer are dropped, unless there is only one.
    min_enhancing : int
        An enhancing mask with fewer voxels is emptied.

    Returns
    -------
    tuple of numpy.ndarray
        Whole tumour, core and enhancing core; each holds the next.

    References
    ----------
    Wang et al., 2017, arXiv:1709.00382, and the published test procedure that goes with it.
    """
    bound = keep_larger_than(close(whole | core | enhancing), min_whole)
    inner = drop_outside(close((core | enhancing) & bound), bound)
    fused_core = keep_largest_two(inner)
    fused_enhancing = fused_core & enhancing
    if np.count_nonzero(fused_enhancing) < min_enhancing:
        fused_enhancing = np.zeros_like(enhancing)
    return bound | fused_core, fused_core, fused_enhancing
