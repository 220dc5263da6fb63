"""Areas and counts behind the TIL score, gathered tile by tile.

Scored stroma is what is labelled Stroma or Immune, outside tumour nests, inside the border and in no exclusion. The gaps of a nest
belong to it: connected parts of what is not Tumour that lie wholly within Tumour and fit in a square of `NEST_GAP_UM`. A tile is read
with a margin of that width, so that the tiles' seams change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["EXCLUSION_REASONS", "NEST_GAP_UM", "Cells", "Exclusion", "LabelSource", "Tally", "TissueCodes", "tally"]

#: Why a region may be left out (International TILs Working Group, PMC6267863, table 2; and what its readers add).
EXCLUSION_REASONS = (
    "outside the border",
    "DCIS",
    "encapsulated papillary",
    "benign lobule",
    "crush",
    "necrosis",
    "hyalinisation",
    "biopsy site",
    "drawn by hand",
)
#: Side of the largest gap that still belongs to a tumour nest; this program's choice, about the width of five tumour cells.
NEST_GAP_UM = 80.0
_TILE_PX = 4096

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Polygon = npt.NDArray[Any]


class LabelSource(Protocol):
    """Tissue labels that are read in pieces: a NumPy, Zarr or Dask array, or anything that makes them when asked."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""

    def __getitem__(self, key: tuple[slice, slice], /) -> Any:
        """Return a piece that NumPy understands."""


@dataclass(frozen=True)
class TissueCodes:
    """The numbers that the tissue classes have in a label array; other numbers are tissue that is not scored."""

    tumour: int = 1
    stroma: int = 2
    immune: int = 3


@dataclass(frozen=True, eq=False)
class Cells:
    """What the score needs of the cells.

    Attributes
    ----------
    centroids_um : numpy.ndarray
        (n, 2) as (y, x), in micrometres from the upper left corner of the slide.
    til : numpy.ndarray
        (n,) boolean: whether the cell is of a class that counts.
    areas_um2 : numpy.ndarray
        (n,) areas of the nuclei.
    """

    centroids_um: Floats
    til: Flags
    areas_um2: Floats


@dataclass(frozen=True, eq=False)
class Exclusion:
    """A region that is not scored, and why.

    Attributes
    ----------
    polygon_um : numpy.ndarray
        (k, 2) as (y, x), in micrometres from the upper left corner of the slide.
    reason : str
        One of `EXCLUSION_REASONS`.
    """

    polygon_um: Polygon
    reason: str

    def __post_init__(self) -> None:
        """Refuse reasons that no report knows."""
        if self.reason not in EXCLUSION_REASONS:
            raise InputError(f"{self.reason!r} is no reason to exclude.", f"Use one of {', '.join(EXCLUSION_REASONS)}.")


@dataclass(eq=False)
class Tally:
    """Pixels and cells, summed.

    Attributes
    ----------
    stroma_px, tumour_px : int
        Scored.
    nuclei : int
        Cells inside the border and in no exclusion, of any class and in any tissue.
    blocks : dict
        (row, column) of a block to [stroma pixels, TILs, their area in um2]; their sums are the score's.
    removed : numpy.ndarray
        (exclusions + 1, 3): stroma pixels, TILs and area that lie in each exclusion; last, those outside the border.
    alone : numpy.ndarray
        The same of what nothing else leaves out: what would be scored without it.
    """

    stroma_px: int = 0
    tumour_px: int = 0
    nuclei: int = 0
    blocks: dict[tuple[int, int], Floats] = field(default_factory=dict)
    removed: Floats = field(default_factory=lambda: np.zeros((1, 3)))
    alone: Floats = field(default_factory=lambda: np.zeros((1, 3)))

    @property
    def tils(self) -> int:
        """Return the number of TILs in the scored stroma."""
        return int(sum(block[1] for block in self.blocks.values()))

    @property
    def til_area_um2(self) -> float:
        """Return the area of their nuclei."""
        return float(sum(block[2] for block in self.blocks.values()))


def tally(
    labels: LabelSource,
    spacing_um: float,
    cells: Cells,
    border_um: Sequence[Polygon] | None,
    exclusions: Sequence[Exclusion],
    block_um: float,
    codes: TissueCodes,
    progress: Progress,
    tile_px: int = _TILE_PX,
) -> Tally:
    """Gather areas and counts over a slide; see `til_score.score_tils` for the parameters."""
    block_px = max(round(block_um / spacing_um), 1)
    gap_px = int(NEST_GAP_UM / spacing_um)
    tile_px = max(tile_px // block_px, 1) * block_px
    found = Tally(removed=np.zeros((len(exclusions) + 1, 3)), alone=np.zeros((len(exclusions) + 1, 3)))
    windows = list(_windows(labels.shape, tile_px))
    indices, order, bounds = _by_tile(cells, spacing_um, labels.shape, tile_px)
    for done, (y, x) in enumerate(windows):
        progress.update(done / len(windows), "Counting TILs")
        stroma, tumour = _scorable(labels, (y, x), gap_px, codes)
        shape = stroma.shape
        left_out = [_inside(e.polygon_um, y.start, x.start, shape, spacing_um) for e in exclusions]
        left_out.append(_outside_border(border_um, y.start, x.start, shape, spacing_um))
        rows = order[bounds[done] : bounds[done + 1]]
        _add(found, stroma, tumour, left_out, (y.start, x.start), block_px, indices[rows] - (y.start, x.start), cells, rows)
    return found


def _windows(shape: tuple[int, ...], tile_px: int) -> Iterator[tuple[slice, slice]]:
    for y in range(0, shape[0], tile_px):
        for x in range(0, shape[1], tile_px):
            yield slice(y, min(y + tile_px, shape[0])), slice(x, min(x + tile_px, shape[1]))


def _by_tile(
    cells: Cells, spacing_um: float, shape: tuple[int, ...], tile_px: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the pixel of each cell, an order that puts the cells tile by tile, and where each tile begins in it."""
    indices = np.floor(cells.centroids_um / spacing_um).astype(np.int64)
    inside = ((indices >= 0) & (indices < np.array(shape[:2]))).all(axis=1)
    columns = -(-shape[1] // tile_px)
    tiles = np.where(inside, indices[:, 0] // tile_px * columns + indices[:, 1] // tile_px, -1)
    order = np.argsort(tiles, kind="stable")
    bounds = np.searchsorted(tiles[order], np.arange(columns * -(-shape[0] // tile_px) + 1))
    return indices, order, bounds


def _scorable(labels: LabelSource, window: tuple[slice, slice], gap_px: int, codes: TissueCodes) -> tuple[Flags, Flags]:
    """Return the stroma outside nests, and the tumour, of a window."""
    reach = [slice(max(s.start - gap_px - 1, 0), min(s.stop + gap_px + 1, n)) for s, n in zip(window, labels.shape[:2], strict=True)]
    wide = np.asarray(labels[reach[0], reach[1]])
    inner = tuple(slice(s.start - r.start, s.stop - r.start) for s, r in zip(window, reach, strict=True))
    tumour = wide == codes.tumour
    here = wide[inner]
    stroma = (here == codes.stroma) | (here == codes.immune)
    if stroma.any() and tumour.any():
        stroma &= ~_gaps(tumour, gap_px)[inner]
    return stroma, tumour[inner]


def _gaps(tumour: Flags, gap_px: int) -> Flags:
    """Mark the parts of what is not tumour that fit in a square and do not reach the edge of the window."""
    from scipy import ndimage

    parts = connected_parts(~tumour[None], connectivity=6)[0][0]
    small = np.zeros(int(parts.max()) + 1, np.bool_)
    for number, box in enumerate(ndimage.find_objects(parts.astype(np.int32)), start=1):
        sides = [(s.start, s.stop, n) for s, n in zip(box, tumour.shape, strict=True)]
        small[number] = all(stop - start <= gap_px and start > 0 and stop < n for start, stop, n in sides)
    return small[parts] if small.any() else np.zeros(tumour.shape, np.bool_)


def _inside(polygon_um: Polygon, top: int, left: int, shape: tuple[int, ...], spacing_um: float) -> Flags | None:
    """Mark the pixels of a window whose centres lie in a polygon; None when there are none."""
    from skimage.draw import polygon

    corners = np.asarray(polygon_um, np.float64) / spacing_um - 0.5 - (top, left)
    if (corners.max(axis=0) < 0).any() or (corners.min(axis=0) > np.array(shape) - 1).any():
        return None
    y, x = polygon(corners[:, 0], corners[:, 1], shape)
    marked = np.zeros(shape, np.bool_)
    marked[y, x] = True
    return marked if len(y) else None


def _outside_border(border_um: Sequence[Polygon] | None, top: int, left: int, shape: tuple[int, ...], spacing_um: float) -> Flags | None:
    if border_um is None:
        return None
    outside = np.ones(shape, np.bool_)
    for polygon_um in border_um:
        inside = _inside(polygon_um, top, left, shape, spacing_um)
        if inside is not None:
            outside &= ~inside
    return outside if outside.any() else None


def _add(
    found: Tally,
    stroma: Flags,
    tumour: Flags,
    left_out: Sequence[Flags | None],
    corner: tuple[int, int],
    block_px: int,
    at: npt.NDArray[np.int64],
    cells: Cells,
    rows: npt.NDArray[np.int64],
) -> None:
    """Add a window; `left_out` holds its exclusions and what is outside the border, `at` the pixels of its cells `rows`."""
    covers = [(i, mask) for i, mask in enumerate(left_out) if mask is not None]
    times = np.zeros(stroma.shape, np.uint8) if covers else None
    for _, mask in covers:
        # Once or more often is all that matters.
        np.minimum(times + mask, 2, out=times)  # type: ignore[operator]
    y, x = at[:, 0], at[:, 1]
    til = cells.til[rows] & stroma[y, x]
    areas = cells.areas_um2[rows]
    for i, mask in covers:
        only = mask & (times == 1)
        for table, where in ((found.removed, mask), (found.alone, only)):
            hit = til & where[y, x]
            table[i] += (np.count_nonzero(stroma & where), hit.sum(), areas[hit].sum())
    if times is not None:
        scored = times == 0
        stroma, tumour = stroma & scored, tumour & scored
        til, found.nuclei = til & scored[y, x], found.nuclei + int(scored[y, x].sum())
    else:
        found.nuclei += len(rows)
    found.stroma_px += int(np.count_nonzero(stroma))
    found.tumour_px += int(np.count_nonzero(tumour))
    _add_blocks(found, stroma, corner, block_px, y[til], x[til], areas[til])


def _add_blocks(
    found: Tally,
    stroma: Flags,
    corner: tuple[int, int],
    block_px: int,
    y: npt.NDArray[np.int64],
    x: npt.NDArray[np.int64],
    areas: Floats,
) -> None:
    starts = [np.arange(0, n, block_px) for n in stroma.shape]
    along = np.add.reduceat(stroma, starts[1], axis=1, dtype=np.int64)
    pixels = np.add.reduceat(along, starts[0], axis=0)
    width = len(starts[1])
    which = y // block_px * width + x // block_px
    tils = np.bincount(which, minlength=pixels.size).reshape(pixels.shape)
    til_areas = np.bincount(which, areas, minlength=pixels.size).reshape(pixels.shape)
    for i, j in np.argwhere(pixels > 0):
        found.blocks[corner[0] // block_px + int(i), corner[1] // block_px + int(j)] = np.array([pixels[i, j], tils[i, j], til_areas[i, j]])
