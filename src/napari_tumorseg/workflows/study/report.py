"""``tumorseg study report``: what came of a study, as one page and as tables, all from its store and the journals kept in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_tumorseg.core.errors import InputError, TumorSegError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.workflows.study.report_readings import Gathered, Row, gather, values_of

if TYPE_CHECKING:
    from napari_tumorseg.annotation.study.store import StudyStore
    from napari_tumorseg.workflows.study.report_cases import CaseFound, CaseMasks

__all__ = ["StudyReportRequest", "study_report"]

#: Draws of the protocol's allocation; the smallest p is one over one more.
DRAWS = 1999
PAGE = "report.html"


@dataclass(frozen=True)
class StudyReportRequest:
    """What is reported, and where it goes.

    Attributes
    ----------
    study : str
        Folder, or URL of the database.
    out : Path, optional
        Folder of page and tables; ``report`` in the study's folder by default.
    blinded : bool
        Only how far the study is: no arm, and nothing by which arms could be told. Needed until the data are locked.
    draws : int
        How often the protocol's allocation is drawn again.
    files : Path, optional
        See `StudyStore.open`.
    """

    study: str
    out: Path | None = None
    blinded: bool = False
    draws: int = DRAWS
    files: Path | None = None


def study_report(request: StudyReportRequest, progress: Progress | None = None) -> dict[str, Any]:
    """Write the report of a study.

    Returns
    -------
    dict
        ``kind`` ("comparison", "pipeline" or "progress"), ``study``, ``plan``, ``audit``, ``notes``, ``constants``, ``versions``, ``rows``
        by table and ``files``; of a comparison ``endpoints``, ``time``, ``quality``, ``agreement``, ``volumes``, ``detection``,
        ``lesions``, ``bias``, ``planted``, ``coverage`` and ``answers``; of a pipeline ``steps`` and ``agreement``.

    Raises
    ------
    InputError
        If the data are not locked and arms were asked for, no task is finished, or no folder to write into is known.
    OutputError
        If the folder cannot be written.
    """
    from napari_tumorseg.annotation.study.store import StudyStore
    from napari_tumorseg.io.atomic import make_folder
    from napari_tumorseg.workflows.report.page import write_page
    from napari_tumorseg.workflows.study.export import write_rows
    from napari_tumorseg.workflows.study.report_sections import facts_of, sections_of
    from napari_tumorseg.workflows.study.report_time import plain

    progress = progress or Progress()
    if request.draws < 99:
        raise InputError(f"{request.draws} draws of the allocation are too few.", "Give 99 or more; 1999 is the default.")
    with StudyStore.open(request.study, files=request.files) as study:
        out = _folder(study, request)
        if study.protocol.is_comparison and not study.locked and not request.blinded:
            raise InputError(
                "The arms are hidden until the data are locked.",
                "Lock them (tumorseg study export STUDY --out FOLDER --lock), or ask for how far it is with --blinded.",
            )
        document, tables = _document(study, request, progress.part(0.0, 0.95))
    document = plain(document)
    make_folder(out)
    files = [str(path) for name, rows in tables.items() if rows for path in write_rows(rows, out, name)]
    document |= {"rows": {name: len(rows) for name, rows in tables.items()}}
    progress.update(0.96, "Drawing the page")
    title = document["study"]["title"] or f"Study by {document['study']['protocol']['name']}"
    page = write_page(out / PAGE, title, sections_of(document, tables), facts_of(document))
    progress.update(1.0, "Done")
    return {**document, "files": [str(page), *files]}


def _folder(study: StudyStore, request: StudyReportRequest) -> Path:
    if request.out is not None:
        return request.out
    if study.place is None:
        raise InputError("The study was opened by its database's address, so there is no folder for the report.", "Name one with --out.")
    return study.place.folder / "report"


def _document(study: StudyStore, request: StudyReportRequest, progress: Progress) -> tuple[dict[str, Any], dict[str, list[Row]]]:
    progress.update(0.0, "Verifying the study")
    head: dict[str, Any] = {"study": _study(study), "plan": _plan(study), "audit": _audit(study), "versions": _versions()}
    gathered = gather(study, progress.part(0.05, 0.35))
    head["study"] |= {"readings": len(gathered.readings), "practice_readings": gathered.practice}
    columns = ("task", "code", "person", "arm", "step", "excluded")
    head["study"]["excluded"] = [{name: task[name] for name in columns} for task in gathered.excluded]
    hidden = study.protocol.is_comparison and not study.locked
    if request.blinded or hidden:
        return _progress(head, gathered), {}
    if not gathered.readings:
        raise InputError(
            "No task that counts is finished, so there is nothing to report.", "See how far the study is: tumorseg study status."
        )
    if not study.protocol.is_comparison:
        from napari_tumorseg.workflows.study.report_pipeline import pipeline

        return pipeline(study, head, gathered, progress.part(0.35, 1.0))
    return _comparison(study, head, gathered, request, progress.part(0.35, 1.0))


# -- heads


def _study(study: StudyStore) -> dict[str, Any]:
    import hashlib

    protocol, status = study.protocol, study.status()
    return {
        "title": status["title"],
        "id": study.uid,
        "protocol": {
            "name": protocol.name,
            "title": protocol.title,
            "version": protocol.version,
            "source": protocol.source,
            "sha256": hashlib.sha256(protocol.text.encode()).hexdigest(),
            "instances": asdict(protocol.instances),
            "washout_days": protocol.washout_days,
            "planted": asdict(protocol.planted),
        },
        "arms": {arm.name: {"title": arm.title or arm.name, "start": arm.start} for arm in protocol.arms},
        "schema": protocol.schema,
        "seed": study.seed,
        "locked": study.locked,
        "cases": status["cases"],
        "practice_cases": status["practice_cases"],
        "tasks": status["tasks"],
        "people": [{name: person[name] for name in ("id", "expertise", "submitted", "open")} for person in status["people"]],
    }


def _plan(study: StudyStore) -> dict[str, Any] | None:
    plan = study.plan
    if plan is None:
        return None
    at_us = next((row["at_us"] for row in reversed(study.rows("audit")) if row["action"] == "plan"), None)
    first = [task["first_us"] for task in study.rows("tasks") if task["first_us"] and not task["practice"]]
    return {**plan.to_json(), "sha256": plan.sha256, "hashed_us": at_us, "first_case_us": min(first, default=None)}


def _audit(study: StudyStore) -> dict[str, Any]:
    problems = study.verify()
    entries, head = study.audit_head
    locked = next((row["at_us"] for row in reversed(study.rows("audit")) if row["action"] == "locked"), None)
    return {
        "ok": not any(problem.severe for problem in problems),
        "problems": [{"text": str(problem), "severe": problem.severe} for problem in problems],
        "entries": entries,
        "head": head,
        "locked_us": locked,
    }


def _versions() -> dict[str, str]:
    import platform
    from importlib.metadata import version

    packages = ("napari-tumorseg", "numpy", "scipy", "statsmodels", "SQLAlchemy", "connected-components-3d", "matplotlib")
    return {**{name: version(name) for name in packages}, "Python": platform.python_version()}


def _progress(head: dict[str, Any], gathered: Gathered) -> dict[str, Any]:
    """Return how far a study is: nothing by arm, case or task."""
    from napari_tumorseg.workflows.study.report_time import quartiles

    rows = gathered.readings
    names = ("primary_s", "active_s", "idle_s", "waiting_s", "wall_s")
    people = sorted({row["rater"] for row in rows})
    by_person = {
        person: {name: quartiles(values_of([r for r in rows if r["rater"] == person], name)) for name in names} for person in people
    }
    # Exclusions are told by number: which task was left out would tell its arm.
    excluded = [{"code": row["code"], "reason": row["excluded"]} for row in gathered.excluded]
    head["study"].pop("excluded")
    if head["study"]["arms"]:
        # Whoever has the seed can draw the allocation.
        head["study"]["seed"] = None
        if head["plan"] is not None:
            head["plan"]["seed"] = None
    notes = [*gathered.notes, "Arms, and what would tell them, are left out."] if head["study"]["arms"] else gathered.notes
    return {
        **head,
        "kind": "progress",
        "excluded": excluded,
        "times": {name: quartiles(values_of(rows, name)) for name in names},
        "by_person": by_person,
        "unseen_share": quartiles(values_of(rows, "unseen_share")),
        "notes": notes,
        "constants": {},
    }


# -- a comparison


def _comparison(
    study: StudyStore, head: dict[str, Any], gathered: Gathered, request: StudyReportRequest, progress: Progress
) -> tuple[dict[str, Any], dict[str, list[Row]]]:
    from napari_tumorseg.core.labels import preset
    from napari_tumorseg.workflows.study import report_agreement as part
    from napari_tumorseg.workflows.study.report_cases import profile_of
    from napari_tumorseg.workflows.study.report_time import Analysis, times_by
    from napari_tumorseg.workflows.study_design import Redraws

    plan, rows = study.plan, gathered.readings
    contrast = plan.primary.contrast if plan is not None else _contrast(study)
    alpha = plan.alpha if plan is not None else 0.05
    profile = profile_of(preset(study.protocol.schema))
    found = _measured(study, gathered, profile, progress.part(0.0, 0.7))
    pairs = sorted({(t["case"], t["person"]) for t in gathered.tasks if not t["practice"] and t["person"]})
    analysis = Analysis(rows, Redraws(study.protocol, pairs, study.seed), request.draws, alpha)
    progress.update(0.7, "Testing the endpoints")
    endpoints = analysis.planned(plan) if plan is not None else None
    progress.update(0.85, "Analysing the times")
    readings_pairs = [row for case in found for row in case.pairs]
    document = {
        **head,
        "kind": "comparison",
        "contrast": list(contrast),
        "endpoints": endpoints,
        "time": {**analysis.time(contrast), "by_arm": times_by(rows, "arm")},
        "agreement": part.agreement(readings_pairs, 1 - alpha),
        "quality": part.by_arm(rows, ("dice", "nsd", "lesion_dice", "lesions_missed", "lesions_false", "dice_before")),
        "volumes": part.volumes(rows, contrast, 1 - alpha),
        "detection": part.detection(found, 1 - alpha),
        "lesions": _identity(found),
        "bias": part.bias(found, contrast),
        "planted": part.planted(found, 1 - alpha),
        "planted_no_errors": [code for case in found for code in case.no_errors],
        "coverage": part.by_arm(rows, ("unseen_share", "unseen_share_of_lesions")),
        "answers": part.answers(rows, study.protocol.questions),
        "model_s": _model_seconds(study),
        "notes": gathered.notes,
        "constants": _constants(request, study, profile, alpha),
    }
    tables: dict[str, list[Row]] = {
        "readings": rows,
        "times_by": gathered.times_by,
        "regions": [row for case in found for row in case.regions],
        "pairs": readings_pairs,
        "lesions": [row for case in found for row in case.clusters],
        "merges": [row for case in found for row in case.merges],
        "planted": [asdict(row) for case in found for row in case.planted],
        "excluded": head["study"]["excluded"],
    }
    return document, tables


def _contrast(study: StudyStore) -> tuple[str, str]:
    """Return which arms are compared where no plan says it: the AI's, or the second, with the one from scratch, or the first."""
    arms = study.protocol.arms
    first = next((arm for arm in arms if arm.start == "empty"), arms[0])
    second = next((arm for arm in arms if arm.start == "ai"), next(arm for arm in arms if arm is not first))
    return second.name, first.name


def _measured(study: StudyStore, gathered: Gathered, profile: Any, progress: Progress) -> list[CaseFound]:
    """Measure the masks case by case, and write what is found into the readings."""
    from napari_tumorseg.workflows.study.report_cases import measure_case

    versions = study.rows("versions")
    planted = {row["task"]: row["kind"] for row in study.rows("planted")}
    codes = sorted({row["case"] for row in gathered.readings})
    found = []
    for number, code in enumerate(codes):
        progress.update(number / len(codes), f"Comparing the masks of case {code}")
        rows = [row for row in gathered.readings if row["case"] == code]
        given = _masks(study, code, rows, versions, planted, gathered.notes)
        if not given.masks:
            gathered.notes.append(f"Case {code}: no mask can be read, and the count of its lesions is taken as 1 in the models of time.")
            for row in rows:
                row["case_lesions"] = 1.0
            continue
        case = measure_case(given, profile)
        # A mask that cannot be read any more takes no time away: the count of lesions is the case's.
        count = {"case_lesions": next(iter(case.columns.values()))["case_lesions"]}
        for row in rows:
            row |= case.columns.get(row["task"], count)
        found.append(case)
    return found


def _masks(
    study: StudyStore, code: str, rows: Sequence[Row], versions: Sequence[Row], planted: dict[int, str], notes: list[str]
) -> CaseMasks:
    from napari_tumorseg.workflows.study.report_cases import CaseMasks

    def read(uid: str, whose: str) -> Any:
        try:
            return study.mask(uid)
        except TumorSegError as error:
            notes.append(f"{whose} is left out. {error}")
            return None

    masks = {row["task"]: read(row["version"], f"The mask of task {row['code']}") for row in rows}
    starts = {row["task"]: read(row["start_version"], f"What task {row['code']} began with") for row in rows if row["start_version"]}
    own = next((v["version"] for v in versions if v["case"] == code and v["kind"] == "ai"), None)
    scratch = next((arm.name for arm in study.protocol.arms if arm.start == "empty"), "")
    kept, begun = ({task: mask for task, mask in some.items() if mask is not None} for some in (masks, starts))
    ai = read(own, f"The AI's mask of case {code}") if own else None
    return CaseMasks(code, rows, kept, begun, ai, scratch, {row["task"]: planted[row["task"]] for row in rows if row["task"] in planted})


def _identity(found: Sequence[CaseFound]) -> dict[str, Any]:
    clusters = [row for case in found for row in case.clusters]
    return {
        "lesions": len(clusters),
        "of_one_reading": sum(row["readings"] == 1 for row in clusters),
        "of_the_ai_alone": sum(row["readings"] == 0 for row in clusters),
        "merges": sum(len(case.merges) for case in found),
        "cases": len(found),
    }


def _model_seconds(study: StudyStore) -> dict[str, Any]:
    from napari_tumorseg.workflows.study.report_time import quartiles

    seconds = [row["facts"]["seconds"] for row in study.rows("versions") if row["kind"] == "ai" and "seconds" in row["facts"]]
    return quartiles(seconds)


def _constants(request: StudyReportRequest, study: StudyStore, profile: Any, alpha: float) -> dict[str, Any]:
    from napari_tumorseg.annotation.timeline import BEAT_S, JUMP_S
    from napari_tumorseg.annotation.timing import IDLE_S, MODEL_JOBS, THRESHOLDS_S
    from napari_tumorseg.evaluation.study.lesion_clusters import CLUSTER_RULE
    from napari_tumorseg.evaluation.study.randomisation import FEWEST_RATERS
    from napari_tumorseg.workflows.study.report_cases import TOLERANCES_MM
    from napari_tumorseg.workflows.study_record import RecordRequest

    seen = RecordRequest(Path())
    return {
        "level": alpha,
        "intervals": 1 - alpha,
        "redrawn_allocations": request.draws,
        "seed_of_redrawing": study.seed,
        "seed_of_bootstrap": 0,
        "bootstrap_draws": 2000,
        "raters_are_fixed_below": FEWEST_RATERS,
        "idle_after_s": IDLE_S,
        "sensitivity_thresholds_s": list(THRESHOLDS_S),
        "model_jobs": sorted(MODEL_JOBS),
        "beat_s": BEAT_S,
        "clock_jump_s": JUMP_S,
        "seen_after_s": seen.least_s,
        "least_zoom_px_per_mm": seen.least_zoom,
        "nsd_tolerances_between_raters_mm": list(TOLERANCES_MM),
        "lesion_identity": CLUSTER_RULE,
        "lesion_region": _region(study),
        "reference": "the other raters' first readings from scratch: the label of most of them, ties background; a lesion by half of them",
        "profile": profile.name,
        "profile_constants": profile.constants(),
    }


def _region(study: StudyStore) -> str:
    from napari_tumorseg.core.labels import preset

    return preset(study.protocol.schema).lesion_region
