"""Stain statistics of nuclei, and of the cells grown around them.

Compartments are those of QuPath: the nucleus, the cell (nucleus included), the cytoplasm (the cell without its nucleus) and the
membrane (the cell's pixels that touch another cell or the outside across an edge).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.pathology.cell_shapes import group_instances

__all__ = ["STATISTICS", "compartment_maps", "expand_nuclei", "region_statistics"]

#: Statistics per compartment and stain. The standard deviation is that of a sample (n - 1), 0 for a single pixel.
STATISTICS = ("mean", "median", "min", "max", "std")

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def expand_nuclei(nuclei: npt.NDArray[Any], distance_um: float, spacing_um: float) -> npt.NDArray[Any]:
    """Grow each nucleus to a cell, up to a distance and to where the next nucleus is nearer.

    Parameters
    ----------
    nuclei : numpy.ndarray
        Integer (y, x), 0 outside.
    distance_um : float
        How far; QuPath's usual value is 5. QuPath's limit by the nucleus's own size is not applied.
    spacing_um : float
        Micrometres per pixel.

    Examples
    --------
    >>> expand_nuclei(np.array([[0, 0, 1, 0, 0, 0, 2, 0]]), distance_um=1.0, spacing_um=0.5).tolist()
    [[1, 1, 1, 1, 1, 2, 2, 2]]
    """
    from skimage.segmentation import expand_labels

    if distance_um < 0 or spacing_um <= 0:
        raise InputError(f"Cells cannot grow by {distance_um} um at {spacing_um} um per pixel.", "Give two positive lengths.")
    return np.asarray(expand_labels(nuclei, distance=distance_um / spacing_um))


def compartment_maps(nuclei: npt.NDArray[Any], cells: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    """Return the maps of nucleus, cytoplasm, cell and membrane, all with the ids of the nuclei.

    Raises
    ------
    InputError
        If the maps differ in shape, or a nucleus is not inside the cell of its id.
    """
    if nuclei.shape != cells.shape or np.any((nuclei != 0) & (nuclei != cells)):
        raise InputError("The cells do not hold the nuclei of the same id.", "Make the cell map with expand_nuclei.")
    padded = np.pad(cells, 1)
    inner = np.ones(cells.shape, np.bool_)
    for other in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        inner &= other == cells
    return {
        "nucleus": nuclei,
        "cytoplasm": np.where(nuclei == 0, cells, 0),
        "cell": cells,
        "membrane": np.where(inner, 0, cells),
    }


def region_statistics(regions: npt.NDArray[Any], ids: Ints, stains: Mapping[str, npt.NDArray[Any]]) -> dict[str, Floats]:
    """Take the statistics of each stain in each region.

    Parameters
    ----------
    regions : numpy.ndarray
        Integer (y, x), 0 outside.
    ids : numpy.ndarray
        (n,) ascending: the regions wanted, which must hold all that occur.
    stains : mapping of str to numpy.ndarray
        (y, x) finite values by name, such as optical densities of haematoxylin and eosin.

    Returns
    -------
    dict
        "<stain>_<statistic>" to (n,); NaN for ids without a pixel.

    Examples
    --------
    >>> found = region_statistics(np.array([[1, 1, 2]]), np.array([1, 2, 3]), {"h": np.array([[1.0, 3.0, 5.0]])})
    >>> found["h_mean"].tolist(), found["h_std"].round(3).tolist()
    ([2.0, 5.0, nan], [1.414, 0.0, nan])
    """
    groups = group_instances(regions)
    rows = np.searchsorted(ids, groups.ids)
    if rows.size and (rows.max() >= len(ids) or np.any(ids[rows] != groups.ids)):
        raise InputError("The map holds regions that were not asked for.", "Give all ids of the map.")
    owner = np.repeat(np.arange(len(groups.ids)), groups.counts)
    found: dict[str, Floats] = {}
    for name, values in stains.items():
        if values.shape != regions.shape:
            raise InputError(f"The stain {name} has the shape {values.shape}, the map {regions.shape}.", "Use one grid.")
        taken = values.ravel()[groups.pixels].astype(np.float32)
        if not np.isfinite(taken).all():
            raise InputError(f"The stain {name} is not a number everywhere.", "Deconvolve the stains again.")
        for statistic, measured in _statistics(_sort_in_groups(taken, owner), owner, groups.starts, groups.counts).items():
            whole = np.full(len(ids), np.nan)
            whole[rows] = measured
            found[f"{name}_{statistic}"] = whole
    return found


def _sort_in_groups(values: npt.NDArray[np.float32], owner: Ints) -> Floats:
    """Sort values within their groups: owner and value make one integer, which sorts far faster than two keys."""
    bits = values.view(np.uint32)
    # Positive floats order as their bits do; negative ones the other way round.
    negative = bits >> 31 == 1
    ordered = np.where(negative, ~bits, bits | np.uint32(0x80000000))
    keys = np.sort((owner.astype(np.uint64) << np.uint64(32)) | ordered)
    low = (keys & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    back = np.where(low >> 31 == 1, low & np.uint32(0x7FFFFFFF), ~low)
    return back.view(np.float32).astype(np.float64)


def _statistics(values: Floats, owner: Ints, starts: Ints, counts: Ints) -> dict[str, Floats]:
    if not len(counts):
        return {name: np.zeros(0) for name in STATISTICS}
    mean = np.add.reduceat(values, starts) / counts
    squares = np.add.reduceat((values - mean[owner]) ** 2, starts)
    return {
        "mean": mean,
        "median": (values[starts + (counts - 1) // 2] + values[starts + counts // 2]) / 2,
        "min": values[starts],
        "max": values[starts + counts - 1],
        "std": np.sqrt(squares / np.maximum(counts - 1, 1)),
    }
