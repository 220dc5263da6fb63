"""Opening a package as an offline study, and taking back what was done in it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from napari_tumorseg.annotation.entries import Clock
from napari_tumorseg.annotation.study.audit import AuditEntry, verify_chain
from napari_tumorseg.annotation.study.context import Change, refuse_locked
from napari_tumorseg.annotation.study.masks import facts_json, mask_of
from napari_tumorseg.annotation.study.package import Contents, read_package
from napari_tumorseg.annotation.study.plan import Plan
from napari_tumorseg.annotation.study.protocol_file import parse_protocol
from napari_tumorseg.annotation.study.records import Comment, Submission
from napari_tumorseg.annotation.study.setup import add_plan
from napari_tumorseg.annotation.study.store import StudyStore
from napari_tumorseg.annotation.study.submission import check, follow, journal_name
from napari_tumorseg.annotation.study.tables import (
    AnswerRow,
    CaseRow,
    CommentRow,
    MergedRow,
    PackedRow,
    PersonRow,
    TaskRow,
    VersionRow,
)
from napari_tumorseg.core.errors import InputError, OutputError

__all__ = ["merge", "open_package"]

_VERSION = ("uid", "made_us", "dtype", "shape", "affine", "schema", "sha256", "facts")


def open_package(path: Path, folder: Path, *, clock: Clock | None = None) -> StudyStore:
    """Make the offline part of a study from a package.

    Images that the package holds go into ``cases`` under the codes of their cases; where it holds none, the cases have no folder
    until `StudyStore.move_case` names it.

    Raises
    ------
    InputError
        If it is no package, was changed, or is an answer.
    """
    contents = read_package(path)
    if contents.kind != "tasks":
        raise InputError(f"{path.name} holds results.", "Take it back with tumorseg study merge.")
    manifest, files = contents.manifest, contents.files
    protocol = parse_protocol(files["protocol.toml"].decode(), "protocol.toml of the package")
    study = StudyStore.create(
        folder, protocol, seed=0, title=str(manifest["title"]), clock=clock, uid=str(manifest["study"]),
        package=str(manifest["package"]), public_key=str(manifest["public_key"]),
    )  # fmt: skip
    assert study.place is not None
    study.place.write_key(bytes.fromhex(files["answer.key"].decode()))
    images = _images(contents, folder)
    with study.context.changing("") as change:
        for person in _json(contents, "people.json"):
            row = PersonRow(id=person["id"], roles=json.dumps(person["roles"]), expertise=person["expertise"], added_us=change.at_us)
            change.add(row)
        for case in _json(contents, "cases.json"):
            change.add(CaseRow(**case, location=images.get(case["code"], "")))
        change.session.flush()
        for task in _json(contents, "tasks.json"):
            change.add(TaskRow(**task, arm=""))
        change.session.flush()
        for mask in _json(contents, "masks.json"):
            labels = files[f"masks/{mask['id']}"]
            change.add(VersionRow(**mask, labels=labels, author="", kind="ai", made_us=change.at_us, facts="{}"))
        for comment in _json(contents, "comments.json"):
            change.add(CommentRow(**comment))
        change.session.flush()
        change.note("package opened", str(manifest["package"]), sha256=contents.sha256)
    if "plan.json" in files:
        add_plan(study.context, Plan.from_json(json.loads(files["plan.json"])), as_it_is=True)
    return study


def merge(study: StudyStore, path: Path) -> dict[str, Any]:
    """Take back what was done with a package.

    Parameters
    ----------
    study : StudyStore
        The whole study.
    path : Path
        What `pack_answer` wrote.

    Returns
    -------
    dict
        ``merged`` (number of tasks taken over), ``known`` (of tasks that were taken over before) and ``text``.

    Raises
    ------
    InputError
        If it is of another study, was changed, its own audit log is broken, or it says something else of a submitted task. Then nothing
        of it is taken over.
    """
    contents = read_package(path)
    if contents.kind != "answer":
        raise InputError(f"{path.name} holds tasks, not results.", "Open it with tumorseg study init FOLDER --package FILE.")
    if contents.manifest["study"] != study.uid:
        raise InputError(f"{path.name} is of another study.", "Merge it into its own.")
    with study.context.changing(str(contents.manifest["person"])) as change:
        session = change.session
        packed = session.get(PackedRow, str(contents.manifest["package"]))
        if packed is None:
            raise InputError(f"{path.name} answers a package that this study never gave out.", "Nothing was taken over.")
        # Once more, now that the key is known that it must be signed with.
        contents = read_package(path, packed.public_key)
        before = session.scalars(sa.select(MergedRow).where(MergedRow.sha256 == contents.sha256)).first()
        if before is not None:
            day = dt.datetime.fromtimestamp(before.at_us / 1e6, dt.UTC)
            return {
                "merged": 0,
                "known": len(json.loads(before.tasks)),
                "text": f"{path.name} was merged on {day:%Y-%m-%d %H:%M} UTC; nothing was changed.",
            }
        refuse_locked(session)
        try:
            _check_audit(contents, path)
            results = _json(contents, "results.json")
            new = [result for result in results if _is_new(change, packed, result, path)]
            for result in new:
                _take(study, change, contents, packed, result)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{path.name} does not hold what a package holds: {error}.", "Nothing was taken over.") from error
        change.add(
            MergedRow(
                package=packed.id, sha256=contents.sha256, tasks=json.dumps([r["id"] for r in results]),
                audit=contents.files["audit.json"].decode(), at_us=change.at_us,
            )
        )  # fmt: skip
        change.note(
            "merged", packed.person, package=packed.id, tasks=len(new),
            offline_entries=contents.manifest["audit_entries"], offline_head=contents.manifest["audit_head"],
        )  # fmt: skip
        known = len(results) - len(new)
        text = f"{len(new)} tasks of {packed.person} were merged" + (f"; {known} were here already." if known else ".")
        return {"merged": len(new), "known": known, "text": text}


def _json(contents: Contents, name: str) -> list[dict[str, Any]]:
    values: list[dict[str, Any]] = json.loads(contents.files[name])
    return values


def _images(contents: Contents, folder: Path) -> dict[str, str]:
    """Write the images of a package below ``cases``; return the folders by code."""
    found: dict[str, str] = {}
    for name, data in contents.files.items():
        if not name.startswith("images/"):
            continue
        _, code, file = name.split("/", 2)
        # Names in a zip file may lead anywhere.
        if Path(file).name != file or Path(code).name != code or file in ("", ".", "..") or code in ("", ".", "..") or "\\" in file + code:
            raise InputError(f"The package holds a file {name!r}.", "It was not made by this program; ask for it again.")
        place = folder / "cases" / code
        try:
            place.mkdir(parents=True, exist_ok=True)
            (place / file).write_bytes(data)
        except OSError as error:
            raise OutputError(
                f"The images cannot be written to {place}: {error.strerror}.", "Free some space, or choose another folder."
            ) from error
        found[code] = f"cases/{code}"
    return found


def _check_audit(contents: Contents, path: Path) -> None:
    entries = [AuditEntry(**values) for values in _json(contents, "audit.json")]
    severe = [problem for problem in verify_chain(entries) if problem.severe]
    if severe or not entries or entries[-1].hash != contents.manifest["audit_head"]:
        what = str(severe[0]) if severe else "Its end is missing."
        raise InputError(f"The audit log in {path.name} is not whole: {what}", "Nothing was taken over.")


def _is_new(change: Change, packed: PackedRow, result: Mapping[str, Any], path: Path) -> bool:
    """Whether a result is not here yet; raise `InputError` where it is none of the package, or other than what was submitted."""
    row = change.session.get(TaskRow, int(result["id"]))
    if row is None or row.id not in json.loads(packed.tasks):
        raise InputError(f"{path.name} holds a task that was not in its package.", "Nothing was taken over.")
    if row.state != "submitted":
        if row.package != packed.id:
            raise InputError(f"Task {row.code} in {path.name} was called back or excluded.", "Nothing was taken over.")
        return True
    here = change.session.get_one(VersionRow, row.version_id)
    if (here.sha256, row.decision, row.submitted_us) != (result["version"]["sha256"], result["decision"], result["submitted_us"]):
        raise InputError(
            f"{path.name} holds another result of task {row.code} than was submitted.",
            "A submitted result is never changed; nothing was taken over.",
        )
    return False


def _take(study: StudyStore, change: Change, contents: Contents, packed: PackedRow, result: Mapping[str, Any]) -> None:
    """Write one result of a package into its task, checked as if it had been submitted here."""
    session = change.session
    row = session.get_one(TaskRow, int(result["id"]))
    version = VersionRow(
        **{name: result["version"][name] for name in _VERSION}, labels=contents.files[f"masks/{row.id}"], case_id=row.case_id,
        task_id=row.id, step=row.step, author=packed.person, kind="rater", parent_id=row.start_version,
    )  # fmt: skip
    fingerprint = session.get_one(CaseRow, row.case_id).fingerprint
    comments = [{name: values[name] for name in ("z", "y", "x", "text", "at_us")} for values in result["comments"]]
    pins = tuple(Comment((v["z"], v["y"], v["x"]), v["text"]) for v in comments)
    now = {q.name for q in study.protocol.questions if q.when == "submit"}
    given = {str(values["question"]): int(values["value"]) for values in result["answers"]}
    answers = {name: value for name, value in given.items() if name in now}
    check(study.context, session, row, Submission(mask_of(version), fingerprint, result["decision"], answers, pins))
    for name, value in given.items():
        study.protocol.question(name).check(value)
    change.add(version)
    session.flush()
    for values in result["answers"]:
        change.add(AnswerRow(task_id=row.id, question=values["question"], value=values["value"], at_us=values["at_us"]))
    for values in comments:
        change.add(CommentRow(task_id=row.id, **values))
    row.journal, row.journal_sha256 = _journal(study, contents, result, row.id)
    row.decision, row.first_us, row.submitted_us = result["decision"], int(result["first_us"]), int(result["submitted_us"])
    row.facts = facts_json(json.loads(result["facts"]))
    row.person, row.version_id, row.state = packed.person, version.id, "submitted"
    session.flush()
    change.finished(row)
    change.note(
        "submitted", row.code, task=row.id, step=row.step, round=row.round, decision=row.decision,
        mask_sha256=version.sha256, journal_sha256=row.journal_sha256, package=packed.id,
    )  # fmt: skip
    follow(study.context, change, row)


def _journal(study: StudyStore, contents: Contents, result: Mapping[str, Any], task_id: int) -> tuple[str, str]:
    """Copy a journal into the study under a name that is not the package's to choose; return name and hash."""
    if not result["journal"] or study.files is None:
        return "", ""
    data = contents.files.get(str(result["journal"]), b"")
    digest = hashlib.sha256(data).hexdigest()
    if digest != result["journal_sha256"]:
        raise InputError(f"The record of the work on task {result['code']} is not whole.", "Nothing was taken over.")
    name = journal_name(task_id, digest)
    path = study.files / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise OutputError(
            f"The record of the work cannot be written to {path.parent}: {error.strerror}.", "Free some space, and merge again."
        ) from error
    return name, digest
