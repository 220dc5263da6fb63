"""The masks of one case of a study against one another: quality by the other raters, pairs of raters, lesions, planted errors.

What is right is said by the *other raters' readings from scratch*, the first of each: so a reading is never judged by a mask that began
with the same AI, nor by its own rater's. Their mask is the label that most of them gave to a voxel, ties being background.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.case import MaskVersion
from napari_tumorseg.core.grid import Box, bounding_box
from napari_tumorseg.core.labels import LabelSchema
from napari_tumorseg.evaluation.segmentation.profiles import Profile, profile_named
from napari_tumorseg.evaluation.study.bias import Planted, Reading
from napari_tumorseg.evaluation.study.case_masks import CaseLesions, MaskRead, lesions_of_case
from napari_tumorseg.workflows.study.report_readings import Row

if TYPE_CHECKING:
    Labels = npt.NDArray[np.unsignedinteger[Any]]

__all__ = ["MEASURES", "TOLERANCES_MM", "CaseFound", "CaseMasks", "measure_case", "profile_of"]

#: Of the normalised surface Dice between raters.
TOLERANCES_MM = (1.0, 2.0)
#: What is measured of each reading against the other raters' from scratch.
MEASURES = ("dice", "nsd", "lesion_dice", "lesions_missed", "lesions_false", "reference_lesions", "dice_before")
_START = "(start)"


@dataclass(frozen=True, eq=False)
class CaseMasks:
    """What there is of a case.

    Attributes
    ----------
    case : str
        Its code.
    rows : sequence of dict
        Its readings, see `report_readings`.
    masks : mapping of int to MaskVersion
        By task.
    starts : mapping of int to MaskVersion
        By task, the mask that it began with; without those from scratch.
    ai : MaskVersion, optional
        The model's own mask.
    from_scratch : str
        Name of the arm without help; "" where there is none.
    planted : mapping of int to str
        By task, the kind of the error that was planted in what it began with.
    """

    case: str
    rows: Sequence[Row]
    masks: Mapping[int, MaskVersion]
    starts: Mapping[int, MaskVersion]
    ai: MaskVersion | None
    from_scratch: str
    planted: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class CaseFound:
    """What was found in a case.

    Attributes
    ----------
    columns : mapping of int to dict
        By task, what is added to its reading.
    regions, pairs, clusters, merges : list of dict
        Scores by region; comparisons of two readings of one arm; which lesions are the same; lesions that others have apart.
    lesions : CaseLesions
        For agreement on detection and automation bias.
    planted : list of Planted
        What became of planted errors.
    no_errors : list of str
        Codes of readings whose planted error was none: by the others' mask the AI was wrong there, and the error put it right.
    """

    columns: Mapping[int, Row]
    regions: list[Row]
    pairs: list[Row]
    clusters: list[Row]
    merges: list[Row]
    lesions: CaseLesions
    planted: list[Planted]
    no_errors: list[str]


def profile_of(schema: LabelSchema) -> Profile:
    """Return the rules by which lesion-wise scores of a study are made: those of BraTS 2024, on the regions of the study's schema.

    Examples
    --------
    >>> from napari_tumorseg.core.labels import preset
    >>> profile_of(preset("brats-mets-2025")).name, profile_of(preset("lesion")).name
    ('brats-mets-2024', 'brats-mets-2024, regions of lesion')
    """
    if schema.name == "brats-gli-2024":
        return profile_named("brats-gli-2024")
    profile = profile_named("brats-mets-2024")
    regions = {region.name: region.values for region in schema.regions}
    if regions == dict(profile.regions):
        return profile
    steps = profile.merge_steps if "ET" in regions else ()
    return replace(profile, name=f"{profile.name}, regions of {schema.name}", regions=regions, merge_steps=steps)


def measure_case(given: CaseMasks, profile: Profile) -> CaseFound:
    """Measure the masks of a case.

    Parameters
    ----------
    given : CaseMasks
        One reading at least.
    profile : Profile
        Of `profile_of`.
    """
    rows = [row for row in given.rows if row["task"] in given.masks]
    told, judged = _lesions(given, rows)
    count = _lesions_there(told, given, rows)
    columns: dict[int, Row] = {}
    regions: list[Row] = []
    references: dict[str, Labels | None] = {}
    for row in rows:
        rater = row["rater"]
        if rater not in references:
            references[rater] = _reference(given, rows, rater)
        columns[row["task"]], scores = _against(given, row, references[rater], judged.get(row["task"]), profile)
        columns[row["task"]]["case_lesions"] = count
        regions += scores
    names = {_name(row): row["task"] for row in rows}
    clusters, merges = _identity(given.case, told, names)
    return CaseFound(columns, regions, _pairs(given, rows), clusters, merges, told, *_planted(given, rows, references))


# -- lesions


def _name(row: Row) -> str:
    return f"{row['rater']} {row['arm']} {row['repeat']}"


def _lesions(given: CaseMasks, rows: Sequence[Row]) -> tuple[CaseLesions, dict[int, Reading]]:
    """Return which lesions are the same, and each reading that can be judged, with what the AI of that very reading had."""
    from napari_tumorseg.voxels.parts import connected_parts

    inside = {row["task"]: _lesion_mask(given.masks[row["task"]]) for row in rows}
    spoilt = {task: _lesion_mask(given.starts[task]) for task in given.planted if task in inside and task in given.starts}
    ai = None if given.ai is None else _lesion_mask(given.ai)
    everything = [*inside.values(), *spoilt.values(), *([] if ai is None else [ai])]
    box = bounding_box(np.logical_or.reduce(everything)) or Box((0, 0, 0), (1, 1, 1))

    def parts(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.unsignedinteger[Any]]:
        return connected_parts(mask[box.slices])[0]

    reads = [MaskRead(row["rater"], row["arm"], parts(inside[row["task"]]), row["repeat"]) for row in rows]
    # What raters began with where an error was planted takes part in the clustering, so that it is known lesion by lesion.
    begun = {task: MaskRead("(planted)", _START, parts(mask), task) for task, mask in spoilt.items()}
    told = lesions_of_case(given.case, [*reads, *begun.values()], given.from_scratch, None if ai is None else parts(ai))
    judged = dict(zip([r.name for r in (*reads, *begun.values()) if r.name not in told.unjudged], told.readings, strict=True))
    by_task: dict[int, Reading] = {}
    for row in rows:
        reading = judged.get(_name(row))
        if reading is not None:
            start = judged.get(begun[row["task"]].name) if row["task"] in begun else None
            by_task[row["task"]] = reading if start is None else replace(reading, ai=start.has)
    kept = {arm: found for arm, found in told.found.items() if arm != _START}
    unjudged = tuple(name for name in told.unjudged if name not in {r.name for r in begun.values()})
    return CaseLesions(told.clusters, told.merges, kept, tuple(by_task.values()), unjudged), by_task


def _lesion_mask(mask: MaskVersion) -> npt.NDArray[np.bool_]:
    return mask.schema.region_mask(mask.labels, mask.schema.lesion_region)


def _lesions_there(told: CaseLesions, given: CaseMasks, rows: Sequence[Row]) -> float:
    """Return the lesions of a case that half of the readings from scratch have; without any, the median count of all readings."""
    marks = told.found.get(given.from_scratch)
    if marks is not None and marks.shape[1]:
        return float(np.count_nonzero(2 * marks.sum(1) >= marks.shape[1]))
    names = [_name(row) for row in rows]
    return float(np.median([sum(name in cluster.members for cluster in told.clusters) for name in names]))


def _identity(case: str, told: CaseLesions, names: Mapping[str, int]) -> tuple[list[Row], list[Row]]:
    """Return clusters and merges as rows; planted masks are left out."""
    clusters: list[Row] = []
    for cluster in told.clusters:
        members = {name: number for name, number in cluster.members.items() if not name.startswith("(planted)")}
        if members:
            clusters.append({"case": case, "lesion": len(clusters) + 1, "readings": len(set(members) & set(names)), "members": members})
    merges = [
        {"case": case, "reading": m.mask, "its lesion": m.lesion, "apart in": m.other, "lesions there": list(m.lesions)}
        for m in told.merges
        if not any(name.startswith("(planted)") for name in (m.mask, m.other))
    ]
    return clusters, merges


# -- quality


def _reference(given: CaseMasks, rows: Sequence[Row], rater: str) -> Labels | None:
    """Return the others' mask from scratch, None where nobody else has read the case so."""
    from napari_tumorseg.evaluation.raters.consensus import majority

    first: dict[str, Row] = {}
    for row in rows:
        if row["arm"] == given.from_scratch and row["rater"] != rater:
            known = first.get(row["rater"])
            first[row["rater"]] = row if known is None or row["repeat"] < known["repeat"] else known
    masks = [given.masks[first[name]["task"]].labels for name in sorted(first)]
    if not masks:
        return None
    return masks[0] if len(masks) == 1 else majority(masks).labels


def _against(given: CaseMasks, row: Row, reference: Labels | None, judged: Reading | None, profile: Profile) -> tuple[Row, list[Row]]:
    from napari_tumorseg.evaluation.lesions import region_volumes_ml
    from napari_tumorseg.evaluation.segmentation.score import score_case
    from napari_tumorseg.evaluation.segmentation.surface import dice
    from napari_tumorseg.workflows.study.task import change_facts

    mask, start = given.masks[row["task"]], given.starts.get(row["task"])
    region = mask.schema.lesion_region
    volumes = region_volumes_ml(mask.labels, mask.grid, mask.schema)
    columns: Row = {"volume_ml": volumes[region], **change_facts(start, mask), "planted": given.planted.get(row["task"])}
    columns |= dict.fromkeys(MEASURES)
    if judged is not None:
        columns["lesions_missed"] = int(np.count_nonzero(judged.reference & ~judged.has))
        columns["lesions_false"] = int(np.count_nonzero(judged.has & ~judged.reference))
        columns["reference_lesions"] = int(np.count_nonzero(judged.reference))
    if reference is None:
        return columns, []
    scores = score_case(reference, mask.labels, mask.grid.spacing_mm, profile, grid=mask.grid)["regions"]
    own = scores[region]
    columns |= {"dice": own["dice"], "nsd": own["nsd"], "lesion_dice": own["lesionwise_dice"]}
    if start is not None:
        before = dice(_lesion_mask(start), mask.schema.region_mask(reference, region))
        columns["dice_before"] = before if np.isfinite(before) else None
    design = {name: row[name] for name in ("task", "code", "case", "rater", "arm")}
    kept = ("dice", "hd95", "nsd", "lesionwise_dice", "n_tp", "n_fp", "n_fn", "volume_ref_ml", "volume_pred_ml")
    return columns, [{**design, "region": name, **{key: found[key] for key in kept}} for name, found in scores.items()]


def _pairs(given: CaseMasks, rows: Sequence[Row]) -> list[Row]:
    """Compare the first readings of every two raters of an arm, and each rater's repeats, in the region of the lesions."""
    from napari_tumorseg.evaluation.raters.masks import compare_masks

    found: list[Row] = []
    order = sorted(rows, key=lambda row: (row["arm"], row["rater"], row["repeat"]))
    for one, other in combinations(order, 2):
        if one["arm"] != other["arm"]:
            continue
        within = one["rater"] == other["rater"]
        if not within and (one["repeat"], other["repeat"]) != (1, 1):
            continue
        a, b = given.masks[one["task"]], given.masks[other["task"]]
        names = {"case": given.case, "arm": one["arm"], "kind": "within" if within else "between"}
        raters = {"rater_a": one["rater"], "rater_b": other["rater"], "repeat_a": one["repeat"], "repeat_b": other["repeat"]}
        found.append({**names, **raters, **compare_masks(_lesion_mask(a), _lesion_mask(b), a.grid.spacing_mm, TOLERANCES_MM)})
    return found


# -- planted errors


def _planted(given: CaseMasks, rows: Sequence[Row], references: Mapping[str, Labels | None]) -> tuple[list[Planted], list[str]]:
    """Return what became of planted errors, and where there was none because the AI had been wrong itself."""
    found, none = [], []
    for row in rows:
        kind, start = given.planted.get(row["task"]), given.starts.get(row["task"])
        if kind is None or start is None or given.ai is None:
            continue
        changed = start.labels != given.ai.labels
        before, after = given.ai.labels[changed] > 0, given.masks[row["task"]].labels[changed] > 0
        reference = references[row["rater"]]
        if reference is not None and bool((reference[changed][before != (kind == "vessel")] > 0).any()) == (kind == "vessel"):
            none.append(row["code"])
        else:
            found.append(Planted(given.case, row["rater"], kind, _corrected(kind, before, after)))
    return found, none


def _corrected(kind: str, before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]) -> bool:
    """Return whether an error was put right, by what is tumour in its voxels in the AI's own mask and in the final one."""
    if kind == "missed-lesion":
        # Found when a voxel of it is marked, as everywhere where lesions are compared.
        return bool(after.any())
    if kind == "vessel":
        return not after.any()
    return 2 * int(np.count_nonzero(after == before)) > after.size
