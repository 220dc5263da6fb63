"""``tumorseg study``: studies of annotation from start to end."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_tumorseg.cli.console import emit, shown_progress
from napari_tumorseg.cli.study_power import power
from napari_tumorseg.cli.study_report import report
from napari_tumorseg.core.errors import InputError

__all__ = ["study_app"]

study_app = typer.Typer(help="Time and compare annotation by a protocol.", no_args_is_help=False, rich_markup_mode=None)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Study = Annotated[str, typer.Argument(help="Folder of the study, or URL of its database.")]
Files = Annotated[Path | None, typer.Option(help="Folder of journals and cases on this machine, where it is another one.")]
Who = Annotated[str, typer.Option(help="Who is working.", envvar="TUMORSEG_PERSON")]


@study_app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="New folder of the study.")],
    protocol: Annotated[str, typer.Option(help="brats-mets-pipeline, brats-mets-raters, or a TOML file.")] = "",
    cases: Annotated[Path | None, typer.Option(help="Folder with one folder for each case.")] = None,
    practice: Annotated[list[str] | None, typer.Option(help="Folder of a case for practice; may be repeated. Drawn by default.")] = None,
    seed: Annotated[int, typer.Option(help="Of every draw; drawn itself by default.")] = -1,
    plan: Annotated[Path | None, typer.Option(help="Plan of the analysis, TOML; the protocol's own by default.")] = None,
    title: Annotated[str, typer.Option(help="For reports.")] = "",
    database: Annotated[str, typer.Option(help="postgresql://HOST/DATABASE for a team; a file in the folder by default.")] = "",
    files: Files = None,
    package: Annotated[Path | None, typer.Option(help="Make the offline part of a study from a package of tasks.")] = None,
    as_json: Json = False,
) -> None:
    """Make a study from a protocol and cases."""
    from napari_tumorseg.workflows.study.init import InitRequest, init_study

    request = InitRequest(folder, protocol, cases, tuple(practice or ()), seed, plan, title, database, files, package)
    with shown_progress() as progress:
        document = init_study(request, progress)
    lines = [f"Study {document['folder']}: {document['protocol']}, {document['cases']} cases and {document['practice']} for practice"]
    if document["plan_sha256"]:
        lines.append(f"Plan, SHA-256: {document['plan_sha256']}")
    emit(document, as_json=as_json, text="\n".join(lines))


@study_app.command()
def status(study: Study, files: Files = None, as_json: Json = False) -> None:
    """Say how far the study is; nothing by arm."""
    from napari_tumorseg.workflows.study.exchange import study_status

    document = study_status(study, files)
    state = "locked" if document["locked"] else "offline part" if document["offline"] else "open"
    lines = [f"{document['title'] or 'Study'} ({document['protocol']}, {state}): {document['cases']} cases"]
    lines += [f"  {step:<14} {_counts(found)}" for step, found in document["steps"].items()]
    lines += [f"  {p['id']:<14} {p['submitted']} submitted, {p['open']} open{_later(p['next_at_us'])}" for p in document["people"]]
    lines.append(f"Plan: {document['plan_sha256'] or 'none'}")
    lines.append(f"Audit log: {document['audit_entries']} entries, last hash {document['audit_head']}")
    emit(document, as_json=as_json, text="\n".join(lines))


@study_app.command()
def assign(
    study: Study,
    person: Annotated[list[str] | None, typer.Option(help="ID:ROLE[+ROLE][:EXPERTISE], e.g. R1:rater; may be repeated.")] = None,
    model: Annotated[str, typer.Option(help="Model that pre-segments the cases.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    ai_masks: Annotated[Path | None, typer.Option("--ai-masks", help="Folder of AI masks, each named as its case's folder.")] = None,
    cases: Annotated[Path | None, typer.Option(help="Find cases that were moved, by their content, in this folder.")] = None,
    tasks: Annotated[bool, typer.Option("--tasks/--no-tasks", help="Draw and make the tasks now; once.")] = True,
    files: Files = None,
    as_json: Json = False,
) -> None:
    """Add people and AI masks, and draw the tasks."""
    from napari_tumorseg.workflows.study.assign import AssignRequest, parse_person
    from napari_tumorseg.workflows.study.assign import assign as run_assign

    people = tuple(parse_person(text) for text in person or ())
    with shown_progress() as progress:
        document = run_assign(AssignRequest(study, people, model, device, ai_masks, cases, files, tasks), progress)
    parts = [f"{document['people']} people", f"{document['ai_masks']} AI masks", f"{document['tasks']} tasks"]
    found = f"; {document['found']} cases found again" if document["found"] else ""
    emit(document, as_json=as_json, text=f"Added {', '.join(parts)}{found}")


@study_app.command("next")
def next_(
    study: Study,
    person: Who = "",
    out: Annotated[Path | None, typer.Option(help="Folder for the mask to begin with and the ticket that submit wants.")] = None,
    peek: Annotated[bool, typer.Option("--peek", help="Only say what comes next; nothing is taken.")] = False,
    files: Files = None,
    as_json: Json = False,
) -> None:
    """Hand a person their next task, for other programs than napari."""
    from napari_tumorseg.workflows.study.task import NextRequest, next_task

    if not peek and out is None:
        raise InputError("A task is handed out for work.", "Name a folder with --out, look only with --peek, or open the study in napari.")
    with shown_progress() as progress:
        document = next_task(NextRequest(study, person, out, peek, files), progress)
    task = document["task"]
    lines = [document["why"]] if task is None else [f"{task['code']}: {task['title']}{', practice' if task['practice'] else ''}"]
    if "ticket" in document:
        lines += [*(f"Image: {path}" for path in document["images"]), f"Mask: {document['start_mask']}", f"Ticket: {document['ticket']}"]
    emit(document, as_json=as_json, text="\n".join(lines))


@study_app.command()
def submit(
    study: Study,
    ticket: Annotated[Path, typer.Argument(help="What next wrote.")],
    mask: Annotated[Path, typer.Argument(help="The finished mask.")],
    decision: Annotated[str, typer.Option(help="accept or return, in a step that decides.")] = "submit",
    comment: Annotated[list[str] | None, typer.Option(help="Z,Y,X:TEXT, pinned to a voxel; may be repeated.")] = None,
    answer: Annotated[list[str] | None, typer.Option(help="QUESTION=NUMBER; may be repeated.")] = None,
    files: Files = None,
    as_json: Json = False,
) -> None:
    """Submit a mask that was made with another program; it is never changed afterwards."""
    from napari_tumorseg.workflows.study.task import SubmitRequest, submit_task

    answers = dict(_answer(text) for text in answer or ())
    request = SubmitRequest(study, ticket, mask, decision, tuple(_pin(text) for text in comment or ()), answers, files)
    with shown_progress() as progress:
        document = submit_task(request, progress)
    rest = f"; still asked: {', '.join(document['questions'])}" if document["questions"] else ""
    emit(document, as_json=as_json, text=f"Submitted {document['code']}{rest}")


@study_app.command()
def export(
    study: Study,
    out: Annotated[Path, typer.Option(help="Folder for the tables.")],
    masks: Annotated[bool, typer.Option("--masks", help="Also write every version of every mask.")] = False,
    lock: Annotated[bool, typer.Option("--lock", help="Lock the data first: nothing is added any more, and arms are shown.")] = False,
    incomplete: Annotated[bool, typer.Option("--incomplete", help="Lock although tasks are not done.")] = False,
    person: Who = "",
    files: Files = None,
    as_json: Json = False,
) -> None:
    """Write tasks, events, versions, ratings, comments and audit log as CSV and Parquet."""
    from napari_tumorseg.workflows.study.export import ExportRequest, export_study

    with shown_progress() as progress:
        document = export_study(ExportRequest(study, out, masks, lock, incomplete, person, files), progress)
    text = f"Wrote {len(document['files'])} files to {out}: {_counts(document['rows'])}"
    emit(document, as_json=as_json, text=text + (f"\n{document['notice']}" if document["notice"] else ""))


@study_app.command()
def exclude(
    study: Study,
    task: Annotated[int, typer.Argument(help="Number of the task in the exported table.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    person: Who = "",
    files: Files = None,
    as_json: Json = False,
) -> None:
    """Leave a task out of the analysis, before the data are locked."""
    from napari_tumorseg.workflows.study.exchange import exclude_task

    document = exclude_task(study, task, reason, person, files)
    emit(document, as_json=as_json, text=f"Excluded task {task}: {reason}")


@study_app.command()
def verify(
    study: Study,
    head: Annotated[str, typer.Option(help="Hash of an audit entry that was noted down earlier.")] = "",
    files: Files = None,
    as_json: Json = False,
) -> int:
    """Check that nothing was altered or taken out; exit status 2 when something was."""
    from napari_tumorseg.workflows.study.exchange import verify_study

    document = verify_study(study, head, files)
    lines = [problem["text"] for problem in document["problems"]]
    lines.append(f"{'Whole' if document['ok'] else 'Not whole'}: {document['audit_entries']} entries, last hash {document['audit_head']}")
    emit(document, as_json=as_json, text="\n".join(lines))
    return 0 if document["ok"] else 2


@study_app.command()
def pack(
    study: Study,
    out: Annotated[Path | None, typer.Option(help="Package to write, FILE.zip.")] = None,
    person: Annotated[str, typer.Option(help="Whose tasks; leave it out in an offline part, whose results are packed.")] = "",
    images: Annotated[bool, typer.Option("--images/--no-images", help="Put the images in, under codes.")] = True,
    recall: Annotated[str, typer.Option(help="Take back the tasks of a package that was lost.")] = "",
    as_json: Json = False,
) -> None:
    """Write one person's tasks into a signed package, or the results of an offline part."""
    from napari_tumorseg.workflows.study.exchange import PackRequest, pack_study

    with shown_progress() as progress:
        document = pack_study(PackRequest(study, out, person, images, recall), progress)
    text = f"Called back {document['tasks']} tasks" if recall else f"Packed {document['tasks']} tasks of {document['person']} into {out}"
    emit(document, as_json=as_json, text=text)


@study_app.command()
def merge(
    study: Study,
    package: Annotated[Path, typer.Argument(help="Package of results.")],
    files: Files = None,
    as_json: Json = False,
) -> None:
    """Take back what was done with a package; twice is once."""
    from napari_tumorseg.workflows.study.exchange import merge_package

    document = merge_package(study, package, files)
    emit(document, as_json=as_json, text=document["text"])


study_app.command()(power)
study_app.command()(report)


def _counts(found: dict[str, Any]) -> str:
    return ", ".join(f"{count} {name}" for name, count in found.items()) or "nothing yet"


def _later(at_us: int | None) -> str:
    return f", next from {dt.datetime.fromtimestamp(at_us / 1e6, dt.UTC):%Y-%m-%d %H:%M} UTC" if at_us else ""


def _pin(text: str) -> tuple[tuple[int, int, int], str]:
    place, _, said = text.partition(":")
    try:
        z, y, x = (int(v) for v in place.split(","))
    except ValueError:
        raise InputError(
            f"--comment {text!r} is not pinned to a voxel.", "Write Z,Y,X:TEXT, e.g. --comment '40,98,112:a lesion is missing'."
        ) from None
    return (z, y, x), said


def _answer(text: str) -> tuple[str, int]:
    name, _, value = text.partition("=")
    if not value.lstrip("-").isdigit():
        raise InputError(f"--answer {text!r} is no answer.", "Write QUESTION=NUMBER, e.g. --answer difficulty=3.")
    return name, int(value)
