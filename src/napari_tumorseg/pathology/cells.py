"""The table of cells: shape, stains and surroundings of each nucleus.

Columns carry their unit in the name. `smoothed_` columns are means over the neighbourhood, weighted with a Gaussian of 25 micrometres
full width at half maximum and cut at three standard deviations, the cell itself included; they, and the count of neighbours within that
width, are those of QuPath's SmoothFeaturesPlugin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.pathology.cell_shapes import Shapes, group_instances, map_shapes, polygon_shapes
from napari_tumorseg.pathology.cell_stains import compartment_maps, expand_nuclei, region_statistics

__all__ = ["SMOOTHING_FWHM_UM", "CellTable", "measure_map", "measure_polygons", "neighbour_counts", "smooth_columns", "with_surroundings"]

#: Full width at half maximum of the smoothing, QuPath's default.
SMOOTHING_FWHM_UM = 25.0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CellTable:
    """Measured cells.

    Attributes
    ----------
    ids : numpy.ndarray
        (n,) ids in the instance map, or positions in the list of polygons.
    centroids_px : numpy.ndarray
        (n, 2) as (y, x), in pixels; (0, 0) is the centre of the first pixel.
    spacing_um : float
        Micrometres per pixel.
    columns : mapping of str to numpy.ndarray
        (n,) float64 each.
    """

    ids: npt.NDArray[np.int64]
    centroids_px: Floats
    spacing_um: float
    columns: Mapping[str, Floats]

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.ids)

    def matrix(self, names: Sequence[str]) -> Floats:
        """Return columns side by side, (n, len(names)), as a classifier takes them."""
        missing = [name for name in names if name not in self.columns]
        if missing:
            raise InputError(f"The cells have not been measured for {', '.join(missing)}.", "Measure them with the same options.")
        return np.stack([self.columns[name] for name in names], axis=1) if names else np.zeros((len(self), 0))

    def take(self, rows: npt.NDArray[Any]) -> CellTable:
        """Return the cells of `rows`, indices or booleans."""
        return replace(
            self, ids=self.ids[rows], centroids_px=self.centroids_px[rows], columns={name: c[rows] for name, c in self.columns.items()}
        )


def measure_map(
    nuclei: npt.NDArray[Any],
    spacing_um: float,
    stains: Mapping[str, npt.NDArray[Any]] | None = None,
    expansion_um: float | None = None,
) -> CellTable:
    """Measure the nuclei of an instance map, and with an expansion their cells.

    Parameters
    ----------
    nuclei : numpy.ndarray
        Integer (y, x), 0 outside nuclei. An id that occurs in two places is one nucleus.
    spacing_um : float
        Micrometres per pixel.
    stains : mapping of str to numpy.ndarray, optional
        (y, x) values by name.
    expansion_um : float, optional
        Grow cells by so much; without it, only nuclei are measured.

    Returns
    -------
    CellTable
        Ids ascending.

    Examples
    --------
    >>> table = measure_map(np.array([[0, 1, 1], [0, 1, 1]]), spacing_um=0.5, stains={"h": np.ones((2, 3))})
    >>> float(table.columns["nucleus_area_um2"][0]), float(table.columns["nucleus_h_mean"][0])
    (1.0, 1.0)
    """
    groups = group_instances(nuclei)
    shapes = map_shapes(nuclei, groups, spacing_um)
    columns = _shape_columns("nucleus", shapes)
    maps = {"nucleus": nuclei}
    if expansion_um is not None:
        cells = expand_nuclei(nuclei, expansion_um, spacing_um)
        maps = compartment_maps(nuclei, cells)
        columns |= _shape_columns("cell", map_shapes(cells, group_instances(cells), spacing_um))
        columns["nucleus_cell_area_ratio"] = columns["nucleus_area_um2"] / columns["cell_area_um2"]
    for part, regions in maps.items():
        measured = region_statistics(regions, groups.ids, stains or {})
        columns |= {f"{part}_{name}": values for name, values in measured.items()}
    return CellTable(groups.ids, shapes.centroids_px, spacing_um, columns)


def measure_polygons(
    polygons: Sequence[npt.NDArray[Any]] | npt.NDArray[Any], spacing_um: float, stains: Mapping[str, npt.NDArray[Any]] | None = None
) -> CellTable:
    """Measure nuclei given as polygons; stains are taken at the pixels whose centres lie inside.

    Parameters
    ----------
    polygons : sequence of numpy.ndarray
        Each (k, 2) as (y, x), in pixels. They may overlap: each takes its own pixels.
    spacing_um : float
        Micrometres per pixel.
    stains : mapping of str to numpy.ndarray, optional
        (y, x) values by name.

    Returns
    -------
    CellTable
        In the order of the polygons, ids from 0 on; stain columns are NaN for a polygon that holds no pixel centre.
    """
    shapes = polygon_shapes(polygons, spacing_um)
    columns = _shape_columns("nucleus", shapes)
    ids = np.arange(len(shapes.area_um2))
    if stains:
        pixels, owner = _pixels_inside(polygons, next(iter(stains.values())).shape)
        rows = np.zeros((1, 0), np.int64) if not owner.size else owner[None] + 1
        measured = region_statistics(rows, ids + 1, {name: values.ravel()[pixels][None] for name, values in stains.items()})
        columns |= {f"nucleus_{name}": values for name, values in measured.items()}
    return CellTable(ids, shapes.centroids_px, spacing_um, columns)


def neighbour_counts(centroids_um: Floats, radius_um: float = SMOOTHING_FWHM_UM) -> npt.NDArray[np.int64]:
    """Count the other cells within a distance.

    Examples
    --------
    >>> neighbour_counts(np.array([[0.0, 0.0], [0.0, 20.0], [0.0, 60.0]])).tolist()
    [1, 1, 0]
    """
    from scipy.spatial import cKDTree

    if not len(centroids_um):
        return np.zeros(0, np.int64)
    tree = cKDTree(centroids_um)
    return np.asarray(tree.query_ball_point(centroids_um, radius_um, return_length=True), np.int64) - 1


def smooth_columns(centroids_um: Floats, values: Floats, fwhm_um: float = SMOOTHING_FWHM_UM) -> Floats:
    """Average values over the neighbourhood of each cell, weighted with a Gaussian.

    Parameters
    ----------
    centroids_um : numpy.ndarray
        (n, 2) in micrometres.
    values : numpy.ndarray
        (n, m); values that are not a number are left out of the averages.
    fwhm_um : float
        Full width at half maximum; the standard deviation is this over sqrt(8 ln 2), and cells beyond three of them do not count.

    Returns
    -------
    numpy.ndarray
        (n, m); NaN where no neighbour, the cell itself included, has a value.

    Examples
    --------
    >>> two = np.array([[0.0, 0.0], [0.0, 12.5]])
    >>> smooth_columns(two, np.array([[0.0], [3.0]])).round(2).tolist()
    [[1.0], [2.0]]
    """
    from scipy.sparse import coo_array
    from scipy.spatial import cKDTree

    n = len(centroids_um)
    if not n:
        return values.astype(np.float64)
    sigma = fwhm_um / np.sqrt(8 * np.log(2))
    pairs = cKDTree(centroids_um).query_pairs(3 * sigma, output_type="ndarray")
    apart = ((centroids_um[pairs[:, 0]] - centroids_um[pairs[:, 1]]) ** 2).sum(axis=1)
    weights = np.exp(-apart / (2 * sigma**2))
    half = coo_array((weights, (pairs[:, 0], pairs[:, 1])), shape=(n, n)).tocsr()
    known = np.isfinite(values)
    plain = np.where(known, values, 0.0)
    weighted = plain + half @ plain + half.T @ plain
    total = known + half @ known.astype(np.float64) + half.T @ known.astype(np.float64)
    smoothed: Floats = np.divide(weighted, total, out=np.full(values.shape, np.nan), where=total > 0)
    return smoothed


def with_surroundings(table: CellTable, fwhm_um: float = SMOOTHING_FWHM_UM) -> CellTable:
    """Return the table with all columns smoothed besides, and with the count of neighbours.

    Cells near the border of what was measured have neighbours that are not in the table: measure tiles with a margin of three
    standard deviations (32 micrometres by default) before smoothing, or smooth the whole slide's table at once.
    """
    names = list(table.columns)
    centroids_um = table.centroids_px * table.spacing_um
    smoothed = smooth_columns(centroids_um, table.matrix(names), fwhm_um)
    columns = dict(table.columns) | {f"smoothed_{name}": smoothed[:, i] for i, name in enumerate(names)}
    columns["neighbours"] = neighbour_counts(centroids_um, fwhm_um).astype(np.float64)
    return replace(table, columns=columns)


def _shape_columns(part: str, shapes: Shapes) -> dict[str, Floats]:
    names = ("area_um2", "perimeter_um", "circularity", "solidity", "max_diameter_um", "min_diameter_um")
    return {f"{part}_{name}": getattr(shapes, name) for name in names}


def _pixels_inside(
    polygons: Sequence[npt.NDArray[Any]] | npt.NDArray[Any], shape: tuple[int, ...]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the flat indices of the pixels whose centres lie in each polygon, and the polygon of each, ascending."""
    sizes = np.array([len(p) for p in polygons], np.int64)
    if not sizes.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    corners = np.concatenate(list(polygons)).astype(np.float64)
    ends = np.cumsum(sizes)
    after = np.arange(1, len(corners) + 1)
    after[ends - 1] = ends - sizes
    edge, row = _edge_rows(corners[:, 0], corners[after, 0])
    owner = np.repeat(np.arange(len(sizes)), sizes)[edge]
    (y, x), (y_next, x_next) = corners[edge].T, corners[after[edge]].T
    crossing = x + (row - y) * (x_next - x) / (y_next - y)
    order = np.lexsort((crossing, row, owner))
    # In each row an outline is crossed an even number of times: from each first to the second of a pair lies the inside.
    first = np.clip(np.ceil(crossing[order[::2]]).astype(np.int64), 0, shape[1])
    stop = np.clip(np.ceil(crossing[order[1::2]]).astype(np.int64), 0, shape[1])
    rows, owners = row[order[::2]], owner[order[::2]]
    lengths = np.where((rows >= 0) & (rows < shape[0]), np.maximum(stop - first, 0), 0)
    return np.repeat(rows * shape[1] + first, lengths) + _steps(lengths), np.repeat(owners, lengths)


def _edge_rows(start: Floats, stop: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the edges and rows of all crossings of an edge and a row; an edge holds its upper end and not its lower one."""
    top, bottom = (np.ceil(v(start, stop)).astype(np.int64) for v in (np.minimum, np.maximum))
    edge = np.repeat(np.arange(len(start)), bottom - top)
    return edge, top[edge] + _steps(bottom - top)


def _steps(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return 0 to n - 1 for each length n, one after the other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)
