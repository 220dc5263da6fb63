"""The score of tumour-infiltrating lymphocytes (TILs) in the stroma of a tumour.

What counts: the cells of the classes in `COUNTED_CLASSES` whose centroid lies in scored stroma, which is what is labelled Stroma or
Immune, outside tumour nests, inside the invasive border and in no exclusion. Stroma and Immune are one to the score, so that calling a
dense infiltrate Immune changes nothing. Lymphocytes in tumour nests and polymorphs never count.

Three measures are given, none of which is the percentage that a pathologist estimates:

- `density_per_mm2`: TILs per square millimetre of scored stroma;
- `til_area_percent`: area of their nuclei over that of the stroma (easTILs of PMC10182981, with nuclei for cells);
- `til_percent_tiger`: 100 n 64 um2 / stroma, cut to 0 to 100 (baseline of the TIGER challenge).

The interval is a spatial bootstrap: square blocks of the slide are drawn with replacement, stroma and TILs with them, and the density is
taken of their sums (a ratio estimate). It says how far the density depends on where in this slide it was taken, not how well cells and
tissue were told apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.pathology.til_cutoffs import CUT_OFFS, CutOffs
from napari_tumorseg.pathology.til_tally import Cells, Exclusion, LabelSource, Polygon, Tally, TissueCodes, tally

__all__ = ["COUNTED_CLASSES", "ScoreOptions", "counted", "score_tils"]

#: Classes of cells that are TILs: mononuclear, plasma cells included.
COUNTED_CLASSES = frozenset({"til", "lymphocyte", "plasma cell"})
#: Area that the TIGER baseline gives to each TIL, in square micrometres.
_TIGER_TIL_UM2 = 64.0
_UM2_PER_MM2 = 1e6
#: Blocks with stroma below which an interval says little.
_FEW_BLOCKS = 10

Measures = dict[str, float | None]


@dataclass(frozen=True)
class ScoreOptions:
    """How a slide is scored.

    Attributes
    ----------
    cutoffs : CutOffs
        What turns a measure into a category.
    border_confirmed : bool
        Whether a person has confirmed the invasive border; without it no category is given.
    plasma_cells_known : bool
        Whether the classifier of cells was validated on plasma cells; that shipped was not.
    post_neoadjuvant : bool or None
        Whether the tissue was taken after neoadjuvant therapy; None when nobody has said.
    block_um : float
        Side of the blocks of the bootstrap.
    draws : int
        Of the bootstrap.
    confidence : float
        Of the interval.
    seed : int
        Of the bootstrap.
    """

    cutoffs: CutOffs = CUT_OFFS["10-40"]
    border_confirmed: bool = False
    plasma_cells_known: bool = False
    post_neoadjuvant: bool | None = None
    block_um: float = 500.0
    draws: int = 2000
    confidence: float = 0.95
    seed: int = 0


def counted(classes: Iterable[str]) -> npt.NDArray[np.bool_]:
    """Tell for the name of each cell's class whether it counts.

    Examples
    --------
    >>> counted(["Lymphocyte", "Neutrophil", "plasma cell"]).tolist()
    [True, False, True]
    """
    return np.array([name.casefold() in COUNTED_CLASSES for name in classes], np.bool_)


def score_tils(
    labels: LabelSource,
    spacing_um: float,
    cells: Cells,
    border_um: Sequence[Polygon] | None = None,
    exclusions: Sequence[Exclusion] = (),
    options: ScoreOptions | None = None,
    codes: TissueCodes | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score the TILs of a slide.

    Parameters
    ----------
    labels : LabelSource
        (y, x) tissue classes; read tile by tile.
    spacing_um : float
        Micrometres per pixel of `labels`.
    cells : Cells
        All cells of the slide, those that are no TILs too.
    border_um : sequence of numpy.ndarray, optional
        Polygons (k, 2) as (y, x) in micrometres from the slide's upper left corner; a pixel in any of them is inside. None while there
        is no border, in which case the whole slide is taken and no category given.
    exclusions : sequence of Exclusion
        Regions left out.
    options : ScoreOptions, optional
        Cut-offs, what is known of the slide, and the bootstrap.
    codes : TissueCodes, optional
        Numbers of the classes in `labels`.
    progress : Progress, optional
        Told of each tile; cancels.

    Returns
    -------
    dict
        `scorable`, `reason`, `stroma_mm2`, `tumour_mm2`, `n_nuclei`, `n_tils_stroma`, the three measures, `category`, `cutoffs`,
        `border_confirmed`, `interval`, `excluded` and `notes`, ready for JSON. What cannot be given is None: all measures when there
        is no scored stroma, the category while the border is not confirmed.

    Raises
    ------
    InputError
        If spacing, cells or options do not fit, or a border is called confirmed where there is none.

    Examples
    --------
    >>> labels = np.full((100, 100), 2, np.uint8)
    >>> cells = Cells(np.array([[5.0, 5.0]]), np.array([True]), np.array([40.0]))
    >>> score_tils(labels, 1.0, cells)["density_per_mm2"]
    100.0
    """
    options, codes = options or ScoreOptions(), codes or TissueCodes()
    _check(labels, spacing_um, cells, border_um, options)
    _check_polygons([*(border_um or ()), *(e.polygon_um for e in exclusions)])
    found = tally(labels, spacing_um, cells, border_um, exclusions, options.block_um, codes, progress or Progress())
    pixel_um2 = spacing_um**2
    measures = _measures(found.stroma_px * pixel_um2, found.tils, found.til_area_um2)
    scorable = found.stroma_px > 0
    category = None
    value = measures[options.cutoffs.measure]
    if value is not None and options.border_confirmed:
        category = options.cutoffs.category(value)
    return {
        "scorable": scorable,
        "reason": None if scorable else "not scorable: there is no stroma outside tumour nests and exclusions, inside the border",
        "stroma_mm2": found.stroma_px * pixel_um2 / _UM2_PER_MM2,
        "tumour_mm2": found.tumour_px * pixel_um2 / _UM2_PER_MM2,
        "n_nuclei": found.nuclei,
        "n_tils_stroma": found.tils,
        **measures,
        "category": category,
        "cutoffs": options.cutoffs.as_dict(),
        "border_confirmed": options.border_confirmed,
        "interval": _interval(found, pixel_um2, options) if scorable else None,
        "excluded": _excluded(found, pixel_um2, exclusions, border_um is not None, options),
        "notes": _notes(found, border_um is not None, options),
    }


def _check(labels: LabelSource, spacing_um: float, cells: Cells, border_um: Sequence[Polygon] | None, options: ScoreOptions) -> None:
    n = len(cells.til)
    if len(labels.shape) != 2:
        raise InputError(f"Tissue labels of shape {labels.shape} are not (y, x).", "Give one class per pixel.")
    if not (np.isfinite(spacing_um) and spacing_um > 0):
        raise InputError(f"{spacing_um} micrometres per pixel is not a size.", "Give the size of a pixel of the tissue labels.")
    if cells.centroids_um.shape != (n, 2) or cells.areas_um2.shape != (n,) or cells.til.dtype != np.bool_:
        raise InputError("Centroids, classes and areas of the cells do not fit each other.", "Give one of each per cell.")
    if not (np.isfinite(cells.centroids_um).all() and np.isfinite(cells.areas_um2).all()):
        raise InputError("A centroid or an area of a cell is not a number.", "Measure the cells again.")
    if options.border_confirmed and border_um is None:
        raise InputError("The border is called confirmed, but there is none.", "Draw the invasive border and confirm it.")
    if options.draws < 1 or not 0 < options.confidence < 1 or options.block_um <= 0:
        raise InputError("The bootstrap needs draws, blocks and a confidence between 0 and 1.", "Use the defaults.")


def _check_polygons(polygons: Sequence[Polygon]) -> None:
    for polygon in polygons:
        corners = np.asarray(polygon, np.float64)
        if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3 or not np.isfinite(corners).all():
            raise InputError("A border or an exclusion is no polygon.", "Give at least three corners (y, x) in micrometres.")


def _measures(stroma_um2: float, tils: float, til_area_um2: float) -> Measures:
    """Return the three measures; None each without stroma."""
    if stroma_um2 <= 0:
        return {"density_per_mm2": None, "til_area_percent": None, "til_percent_tiger": None}
    return {
        "density_per_mm2": tils / stroma_um2 * _UM2_PER_MM2,
        "til_area_percent": 100 * til_area_um2 / stroma_um2,
        "til_percent_tiger": min(100 * tils * _TIGER_TIL_UM2 / stroma_um2, 100.0),
    }


def _interval(found: Tally, pixel_um2: float, options: ScoreOptions) -> dict[str, Any]:
    """Draw blocks with replacement and return the range of the density, and the categories at its ends."""
    blocks = np.array([found.blocks[key] for key in sorted(found.blocks)])
    rng = np.random.default_rng(options.seed)
    ends: dict[str, list[float]] = {"density_per_mm2": [], options.cutoffs.measure: []}
    drawn = np.array([rng.multinomial(len(blocks), np.full(len(blocks), 1 / len(blocks))) @ blocks for _ in range(options.draws)])
    measured = [_measures(px * pixel_um2, tils, area) for px, tils, area in drawn]
    tail = 50 * (1 - options.confidence)
    for name in ends:
        ends[name] = np.percentile([m[name] for m in measured], [tail, 100 - tail]).tolist()
    shown = None
    if options.border_confirmed:
        shown = [options.cutoffs.category(value) for value in ends[options.cutoffs.measure]]
    return {
        "confidence": options.confidence,
        **ends,
        "blocks": len(blocks),
        "block_um": options.block_um,
        "categories": shown,
        "category_could_flip": None if shown is None else shown[0] != shown[1],
    }


def _excluded(
    found: Tally, pixel_um2: float, exclusions: Sequence[Exclusion], bordered: bool, options: ScoreOptions
) -> list[dict[str, Any]]:
    """Return what each exclusion leaves out, and what the score would be without it."""
    reasons = [e.reason for e in exclusions] + (["outside the border"] if bordered else [])
    rows = []
    for reason, removed, alone in zip(reasons, found.removed, found.alone, strict=False):
        without = _measures((found.stroma_px + alone[0]) * pixel_um2, found.tils + alone[1], found.til_area_um2 + alone[2])
        value = without[options.cutoffs.measure]
        rows.append(
            {
                "reason": reason,
                "stroma_mm2": removed[0] * pixel_um2 / _UM2_PER_MM2,
                "n_tils_stroma": int(removed[1]),
                "without_it": {
                    **without,
                    "category": options.cutoffs.category(value) if value is not None and options.border_confirmed else None,
                },
            }
        )
    return rows


def _notes(found: Tally, bordered: bool, options: ScoreOptions) -> list[str]:
    notes = ["The percentages are computed and are not a pathologist's estimate."]
    if not options.cutoffs.validated:
        notes.append(f"The cut-offs {options.cutoffs.name} are not validated on this measure.")
    if not bordered:
        notes.append("There is no invasive border: the whole slide was taken.")
    elif not options.border_confirmed:
        notes.append("The invasive border is not confirmed, so no category is given.")
    if not options.plasma_cells_known:
        notes.append("Plasma cells not validated.")
    if options.post_neoadjuvant:
        notes.append("Post-neoadjuvant tissue: the cut-offs are for untreated tumours.")
    elif options.post_neoadjuvant is None:
        notes.append("Whether the tissue was taken after neoadjuvant therapy is not stated.")
    if 0 < len(found.blocks) < _FEW_BLOCKS:
        notes.append(f"The interval rests on {len(found.blocks)} blocks of stroma only.")
    return notes
