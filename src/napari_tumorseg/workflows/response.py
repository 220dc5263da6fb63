"""Lesions over time: matched from scan to scan, measured, and the category of response."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_tumorseg.core.case import Case, MaskVersion
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.labels import LabelSchema, preset
from napari_tumorseg.core.lesion import Lesion
from napari_tumorseg.core.settings import RESEARCH_USE_ONLY
from napari_tumorseg.evaluation.response.assess import Entered, Measured, assess
from napari_tumorseg.evaluation.response.criteria import CRITERIA, check_status
from napari_tumorseg.evaluation.response.matching import MatchRules
from napari_tumorseg.evaluation.response.shapes import Shape
from napari_tumorseg.evaluation.response.tracks import Scan, Timeline, follow

__all__ = ["ResponseOptions", "ResponseRequest", "VisitMask", "respond", "respond_to_visits", "visits_of_case"]

#: Stands for a time point that was not evaluated.
NOT_EVALUATED = "-"


@dataclass(frozen=True)
class ResponseOptions:
    """How lesions are followed and what a person has entered.

    Attributes
    ----------
    region : str
        Region of the label schema whose connected parts are followed; by default the tumour core where the schema has one
        (what enhances, with what it encloses), else its region of lesions.
    rules : MatchRules
        When two lesions are one.
    smallest_mm3 : float
        Lesions below this volume are left out at every time point.
    targets : tuple of int
        Ids of target lesions at baseline; the largest measurable ones by default.
    steroids, clinical : tuple of str
        For each time point after the baseline; empty for not entered.
    non_target_progression : tuple of int
        Time points, 1 for the first follow-up, at which the non-target lesions have progressed unequivocally.
    """

    region: str = ""
    rules: MatchRules = field(default_factory=MatchRules)
    smallest_mm3: float = 0.0
    targets: tuple[int, ...] = ()
    steroids: tuple[str, ...] = ()
    clinical: tuple[str, ...] = ()
    non_target_progression: tuple[int, ...] = ()


@dataclass(frozen=True)
class ResponseRequest:
    """What to follow.

    Attributes
    ----------
    masks : tuple of Path
        Masks in order of time, the baseline first, "-" for a time point that was not evaluated; or one folder with a
        sub-folder for each dated visit, images and masks in it.
    images : tuple of Path
        The image of each mask, by which they are registered; empty to go by the positions in the files.
    options : ResponseOptions
        How.
    schema : str
        Label schema of all masks; guessed from each one's values by default.
    """

    masks: tuple[Path, ...]
    images: tuple[Path, ...] = ()
    options: ResponseOptions = field(default_factory=ResponseOptions)
    schema: str = ""


@dataclass(frozen=True, eq=False)
class VisitMask:
    """The mask of a time point.

    Attributes
    ----------
    name : str
        What the user reads.
    mask : MaskVersion, optional
        On its own grid; None where the time point was not evaluated.
    moved : Grid, optional
        Where that grid lies in the baseline's space; its own place by default.
    date : datetime.date, optional
        Of the visit.
    registration : dict, optional
        How it was moved, for the record.
    notes : tuple of str
        What the user should know.
    """

    name: str
    mask: MaskVersion | None
    moved: Grid | None = None
    date: dt.date | None = None
    registration: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


def respond(request: ResponseRequest, progress: Progress | None = None) -> dict[str, Any]:
    """Follow the lesions of masks on disk; see `respond_to_visits` for the result.

    Raises
    ------
    InputError
        If a file cannot be read or the numbers of files do not fit.
    """
    progress = progress or Progress()
    if len(request.masks) == 1 and request.masks[0].is_dir():
        from napari_tumorseg.io.cases import read_case

        case = read_case(request.masks[0], progress=progress.part(0.0, 0.3))
        visits = visits_of_case(case, progress.part(0.3, 0.8))
    else:
        visits = _read(request, progress.part(0.0, 0.8))
    return respond_to_visits(visits, request.options, progress.part(0.8, 1.0))


def visits_of_case(case: Case, progress: Progress | None = None) -> list[VisitMask]:
    """Return the newest mask of each visit of a case, registered to the first by a sequence that both have."""
    from napari_tumorseg.workflows.prior import align_prior

    progress = progress or Progress()
    first, visits = case.timepoints[0], []
    for number, point in enumerate(case.timepoints):
        name = point.date.isoformat() if point.date else f"visit {number + 1}"
        versions = next(iter(point.masks.values()), None)
        if versions is None:
            visits.append(VisitMask(name, None, date=point.date))
            continue
        used, *unused = point.masks
        notes = (f"{name} has more than one mask; {used} was followed, not {', '.join(unused)}.",) if unused else ()
        if number == 0:
            visits.append(VisitMask(name, versions[-1], date=point.date, notes=notes))
            continue
        share = (number / len(case.timepoints), (number + 1) / len(case.timepoints))
        study = align_prior(first, point, progress=progress.part(*share))
        found = study.newest_mask()
        assert found is not None
        record = _record(study.registration, study.sequence, study.notes)
        visits.append(VisitMask(name, versions[-1], found[1].grid, point.date, record, notes))
    return visits


def _read(request: ResponseRequest, progress: Progress) -> list[VisitMask]:
    from napari_tumorseg.io import registry
    from napari_tumorseg.io.visits import date_of
    from napari_tumorseg.workflows.prior_registration import register

    if len(request.masks) < 2:
        raise InputError("A response needs a baseline and at least one follow-up.", "Name the masks in order of time.")
    if request.images and len(request.images) != len(request.masks):
        raise InputError(
            f"There are {len(request.masks)} masks and {len(request.images)} images.", "Give one --images for each mask, in order."
        )
    count, schema = len(request.masks), preset(request.schema) if request.schema else None
    visits: list[VisitMask] = []
    fixed = None
    for number, path in enumerate(request.masks):
        part = progress.part(number / count, (number + 1) / count)
        if str(path) == NOT_EVALUATED:
            visits.append(VisitMask("not evaluated", None))
            continue
        date = date_of(path.name) or date_of(path.parent.name)
        if not request.images:
            part.update(0.0, f"Reading {path.name}")
            visits.append(VisitMask(path.name, registry.read_mask(path, schema=schema), date=date))
            continue
        image = registry.read_image(request.images[number], progress=part.part(0.0, 0.2))
        mask = registry.read_mask(path, schema=schema, reference=image)
        if fixed is None:
            fixed = image
            visits.append(VisitMask(path.name, mask, date=date))
        else:
            found = register(fixed, image, progress=part.part(0.2, 1.0))
            notes = () if found.improved else ("Nothing better than the positions in the files was found.",)
            visits.append(VisitMask(path.name, mask, found.moved(mask.grid), date, _record(found, request.images[number].name, notes)))
    return visits


def _record(registration: Any, image: str, notes: Sequence[str]) -> dict[str, Any]:
    shift = registration.matrix[:3, 3]
    return {
        "image": image,
        "improved": registration.improved,
        "rotation_deg": registration.rotation_deg,
        "matrix": [[float(v) for v in row] for row in registration.matrix],
        "offset_mm": [float(v) for v in shift],
        "notes": list(notes),
    }


def respond_to_visits(
    visits: Sequence[VisitMask], options: ResponseOptions | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Follow lesions through time points that are open.

    Parameters
    ----------
    visits : sequence of VisitMask
        In order of time, the baseline first.
    options : ResponseOptions, optional
        How.
    progress : Progress, optional
        Told how far it is; asked whether to stop.

    Returns
    -------
    dict
        "region", "rules", "timepoints" (name, date, registration, lesions with id, tracks, status, volume and diameters, total
        volume), "tracks" (for each lesion its status and size at each time point), "criteria" (for RECIST 1.1, RANO-BM and
        RANO the targets, and for each time point sums, changes and category), "warnings" and "notice". All of it is JSON.

    Raises
    ------
    InputError
        If there are fewer than two time points, or what was entered does not fit them.
    """
    options, progress = options or ResponseOptions(), progress or Progress()
    entered = _entered(options, len(visits))
    first = visits[0].mask if visits else None
    if len(visits) < 2:
        raise InputError("A response needs a baseline and at least one follow-up.", "Name the masks in order of time.")
    if first is None:
        raise InputError("The first time point has no mask, so that there is no baseline.", "Start with the first scan that was evaluated.")
    region = options.region or _region_of(first.schema)
    scans: list[Scan | None] = []
    measured: list[list[Measured] | None] = []
    for number, visit in enumerate(visits):
        progress.update(0.6 * number / len(visits), f"Measuring {visit.name}")
        scan, rows = _measure(visit, region, options.smallest_mm3)
        scans.append(scan)
        measured.append(rows)
    progress.update(0.6, "Following the lesions")
    line = follow(scans, options.rules)
    # Targets are chosen by the rules of each set of criteria; ids that a person has chosen hold for those of one dimension.
    criteria = {
        name: assess(line, measured, one, entered, options.targets if one.measure == "longest" else ()) for name, one in CRITERIA.items()
    }
    progress.update(1.0, "Following the lesions")
    return {
        "region": region,
        "rules": asdict(options.rules),
        "timepoints": [_timepoint(time, visits, scans[time], measured[time], line) for time in range(len(visits))],
        "tracks": [_track(track, measured, line) for track in line.first],
        "criteria": criteria,
        "constants": {name: asdict(one) for name, one in CRITERIA.items()},
        "warnings": _warnings(visits),
        "notice": RESEARCH_USE_ONLY,
    }


def _entered(options: ResponseOptions, count: int) -> list[Entered]:
    for values, name in ((options.steroids, "steroids"), (options.clinical, "clinical status")):
        if values and len(values) != count - 1:
            raise InputError(
                f"There are {count - 1} time points after the baseline and {len(values)} entries of {name}.", "Give one for each."
            )
    wrong = [t for t in options.non_target_progression if not 0 < t < count]
    if wrong:
        raise InputError(f"There is no follow-up {wrong[0]}.", f"Count from 1 to {count - 1}.")
    found = [Entered()]
    for time in range(1, count):
        steroids = options.steroids[time - 1] if options.steroids else ""
        clinical = options.clinical[time - 1] if options.clinical else ""
        check_status(steroids, clinical)
        found.append(Entered(steroids, clinical, time in options.non_target_progression))
    return found


def _warnings(visits: Sequence[VisitMask]) -> list[str]:
    notes = [note for visit in visits for note in visit.notes]
    schemas = dict.fromkeys(v.mask.schema.name for v in visits if v.mask is not None)
    if len(schemas) < 2:
        return notes
    return [*notes, f"The masks were read with different label schemas ({', '.join(schemas)}), so that their regions may not be the same."]


def _region_of(schema: LabelSchema) -> str:
    return "TC" if any(region.name == "TC" for region in schema.regions) else schema.lesion_region


def _measure(visit: VisitMask, region: str, smallest_mm3: float) -> tuple[Scan | None, list[Measured] | None]:
    """Return the lesions of a time point, as shapes in the baseline's space and as rows measured in its own."""
    from napari_tumorseg.evaluation.diameters import SlicePlane
    from napari_tumorseg.evaluation.lesions import locate_lesions

    mask = visit.mask
    if mask is None:
        return None, None
    found = locate_lesions(mask.labels, mask.grid, mask.schema, region)
    plane = SlicePlane.of(mask.grid)
    across = tuple(axis for axis in range(3) if axis != plane.axis)
    shapes, rows = [], []
    for lesion in found.lesions:
        if lesion.volume_mm3 < smallest_mm3:
            continue
        inside = found.part(lesion)
        shapes.append(Shape(visit.moved or mask.grid, Box(lesion.box_start, lesion.box_stop), inside))
        rows.append(Measured(lesion, int(np.count_nonzero(inside.any(axis=across))), mask.grid.spacing_mm[plane.axis]))
    return Scan(visit.moved or mask.grid, tuple(shapes)), rows


def _timepoint(time: int, visits: Sequence[VisitMask], scan: Scan | None, rows: list[Measured] | None, line: Timeline) -> dict[str, Any]:
    visit, first = visits[time], visits[0].date
    lesions = []
    for shape, one, found in zip(scan.shapes if scan else (), rows or (), line.found[time], strict=True):
        lesions.append(
            {
                "id": one.lesion.id,
                "tracks": sorted(found.tracks),
                "status": "baseline" if time == 0 else found.status,
                "centroid_mm": list(one.lesion.centroid_mm),
                "centroid_in_baseline_mm": [float(v) for v in shape.points_mm.mean(axis=0)],
                **_sizes(one.lesion),
                "slices": one.slices,
            }
        )
    return {
        "timepoint": time,
        "name": visit.name,
        "date": visit.date.isoformat() if visit.date else None,
        "days": (visit.date - first).days if visit.date and first else None,
        "evaluated": scan is not None,
        "registration": visit.registration,
        "lesions": lesions,
        "gone": sorted(line.gone[time]),
        "out_of_view": sorted(line.outside[time]) if scan else [],
        "total_volume_ml": sum(row["volume_ml"] for row in lesions) if scan else None,
    }


def _sizes(row: Lesion) -> dict[str, float]:
    sizes = row.diameters
    return {
        "volume_ml": row.volume_mm3 / 1000,
        "longest_mm": sizes.longest_mm,
        "perpendicular_mm": sizes.perpendicular_mm,
        "product_mm2": sizes.product_mm2,
    }


def _track(track: int, measured: Sequence[list[Measured] | None], line: Timeline) -> dict[str, Any]:
    """Return status and size of a lesion at each time point; parts of a split one are added, a merged one is given whole."""
    steps: list[dict[str, Any]] = []
    for time, rows in enumerate(measured):
        mine = [(one, found) for one, found in zip(rows or (), line.found[time], strict=True) if track in found.tracks]
        if rows is None or track in line.outside[time]:
            status = "not evaluated"
        elif not mine:
            status = "gone" if track in line.gone[time] else "not yet"
        else:
            status = "baseline" if time == 0 else mine[0][1].status
        known = status not in ("not evaluated", "not yet")
        steps.append(
            {
                "status": status,
                "lesions": [one.lesion.id for one, _ in mine],
                "with": sorted({t for _, found in mine for t in found.tracks} - {track}),
                "volume_ml": sum(one.lesion.volume_mm3 for one, _ in mine) / 1000 if known else None,
                "longest_mm": sum(one.lesion.diameters.longest_mm for one, _ in mine) if known else None,
                "product_mm2": sum(one.lesion.diameters.product_mm2 for one, _ in mine) if known else None,
            }
        )
    return {"track": track, "first_seen": line.first[track], "timepoints": steps}
