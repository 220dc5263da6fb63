"""Offline packages: one person's tasks as a signed file, and what comes back.

A package is a zip file: ``manifest.json`` names every other file with its SHA-256, ``signature`` is an Ed25519 signature of the
manifest. What goes out is signed with the study's key and holds a key made for this package alone, which what comes back
is signed with. So a package of another study, one whose files were changed, and an answer to no package of ours are refused. Whoever
has the package can answer it: it is given to its person alone.

A package holds masks, codes and orders, neither the arms' names nor where a planted error is. Whoever looks for it can
see which tasks begin with a mask, as they will when they open them.
"""

from __future__ import annotations

import hashlib
import json
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from napari_tumorseg.annotation.study.audit import read_entries
from napari_tumorseg.annotation.study.context import audit_head, refuse_locked
from napari_tumorseg.annotation.study.plan import canonical_json
from napari_tumorseg.annotation.study.signing import is_signed, new_key, public_of, sign
from napari_tumorseg.annotation.study.store import StudyStore
from napari_tumorseg.annotation.study.submission import open_up
from napari_tumorseg.annotation.study.tables import (
    AnswerRow,
    CaseRow,
    CommentRow,
    PackedRow,
    PersonRow,
    PlanRow,
    TaskRow,
    VersionRow,
)
from napari_tumorseg.core.errors import InputError

__all__ = ["Contents", "pack", "pack_answer", "read_package", "recall"]

_FORMAT = 1
_OUT, _BACK = "tasks", "answer"
# What of a task goes along; the arm does not, nor who did the steps before.
_TASK = (
    "id",
    "code",
    "case_id",
    "step",
    "role",
    "round",
    "place",
    "practice",
    "period",
    "repeat",
    "position",
    "not_before_us",
    "start_version",
)
_DONE = ("decision", "submitted_us", "first_us", "facts", "journal", "journal_sha256")


@dataclass(frozen=True)
class Contents:
    """A package whose files and signature were checked.

    Attributes
    ----------
    manifest : mapping
        What it says of itself.
    files : mapping of str to bytes
        Its files by name.
    sha256 : str
        Of the manifest.
    signature : bytes
        Of the manifest.
    """

    manifest: Mapping[str, Any]
    files: Mapping[str, bytes]
    sha256: str
    signature: bytes

    @property
    def kind(self) -> str:
        """Return "tasks" for what goes out, "answer" for what comes back."""
        return str(self.manifest["kind"])


def pack(study: StudyStore, person: str, target: Path, images: Mapping[str, Sequence[tuple[str, Path]]] | None = None) -> dict[str, Any]:
    """Write a person's open tasks into a package; they are not handed out here any more.

    Parameters
    ----------
    study : StudyStore
        A whole study, on the machine that has its key.
    person : str
        Whose tasks.
    target : Path
        File to write.
    images : mapping of str to sequence of (str, Path), optional
        Name in the package and file of the images of each case, by the case's own code; left out where the person has them.

    Returns
    -------
    dict
        ``package``, ``person``, ``tasks``.

    Raises
    ------
    InputError
        If the study is offline itself, has no key here, or the person has nothing that could be packed.
    """
    if study.package:
        raise InputError("This is the offline part of a study.", "Pack what was done with tumorseg study pack STUDY, without --person.")
    if study.place is None:
        raise InputError("Packages are signed with a key in the study's folder.", "Name the folder, not the address of the database.")
    key, answer_key, name = study.place.read_key(), new_key(), uuid.uuid4().hex
    context = study.context
    with context.changing(person) as change:
        session = change.session
        refuse_locked(session)
        if context.protocol.needs_plan and session.scalar(sa.select(sa.func.count(PlanRow.id))) == 0:
            raise InputError("The study has no plan yet, and cases are handed out only afterwards.", "Make one with init --plan FILE.")
        rows = _packable(session, person, study.protocol.is_comparison)
        for row in rows:
            row.person = person
        files = _contents(session, rows, name, pipeline=not context.protocol.is_comparison)
        case_ids = {row.case_id for row in rows}
        for case in session.scalars(sa.select(CaseRow).where(CaseRow.id.in_(case_ids))):
            for wanted, path in (images or {}).get(case.code, ()):
                files[f"images/{case.code}/{wanted}"] = path.read_bytes()
        plan = session.scalars(sa.select(PlanRow.text).order_by(PlanRow.id.desc()).limit(1)).first()
        if plan:
            files["plan.json"] = plan.encode()
        files["protocol.toml"] = context.protocol.text.encode()
        files["answer.key"] = answer_key.hex().encode()
        manifest = {
            "format": _FORMAT, "kind": _OUT, "study": context.uid, "title": context.title, "package": name, "person": person,
            "seed": 0, "public_key": public_of(key), "made_us": change.at_us,
        }  # fmt: skip
        change.add(
            PackedRow(
                id=name, person=person, public_key=public_of(answer_key), tasks=canonical_json([row.id for row in rows]), at_us=change.at_us
            )
        )
        for row in rows:
            row.state, row.package = "packed", name
        change.note("packed", person, package=name, tasks=len(rows))
        # The file is there before the tasks are marked as given out; what is left of a failure is a file without a study.
        _write(target, manifest, files, key)
        return {"package": name, "person": person, "tasks": len(rows)}


def pack_answer(study: StudyStore, target: Path) -> dict[str, Any]:
    """Write what was done in the offline part of a study into a package for the whole one."""
    if not study.package or study.place is None:
        raise InputError("This is not the offline part of a study.", "Name the person whose tasks are to be packed: --person ID.")
    key = study.place.read_key()
    context = study.context
    with context.reading() as session:
        rows = list(
            session.scalars(
                sa.select(TaskRow)
                .where(TaskRow.state == "submitted", TaskRow.package == study.package)
                .order_by(TaskRow.submitted_us, TaskRow.id)
            )
        )
        if not rows:
            raise InputError("Nothing was submitted yet.", "Submit a task first.")
        files: dict[str, bytes] = {}
        done = []
        for row in rows:
            version = session.get_one(VersionRow, row.version_id)
            done.append(_result(session, row, version))
            files[f"masks/{row.id}"] = version.labels
            if row.journal and study.files is not None:
                files[row.journal] = (study.files / row.journal).read_bytes()
        files["results.json"] = canonical_json(done).encode()
        files["audit.json"] = canonical_json([entry.__dict__ for entry in read_entries(session)]).encode()
        person = rows[0].person
        seq, head = audit_head(session)
    manifest = {
        "format": _FORMAT, "kind": _BACK, "study": context.uid, "package": context.package, "person": person,
        "audit_entries": seq, "audit_head": head,
    }  # fmt: skip
    _write(target, manifest, files, key)
    return {"package": context.package, "person": person, "tasks": len(rows)}


def recall(study: StudyStore, package: str) -> int:
    """Take the tasks of a package that was lost back into the study; return how many. Its answers are refused from now on."""
    context = study.context
    with context.changing("") as change:
        refuse_locked(change.session)
        rows = list(change.session.scalars(sa.select(TaskRow).where(TaskRow.package == package, TaskRow.state == "packed")))
        if change.session.get(PackedRow, package) is None or not rows:
            raise InputError(f"No task is out in a package {package}.", "See tumorseg study status.")
        for row in rows:
            row.package, row.state = "", "waiting" if context.protocol.is_comparison else "ready"
        change.session.flush()
        change.note("called back", package, tasks=len(rows))
        for case_id in sorted({row.case_id for row in rows} if context.protocol.is_comparison else ()):
            open_up(context, change.session, case_id)
        return len(rows)


def read_package(path: Path, public_key: str = "") -> Contents:
    """Read a package and check that no file of it was changed, added or taken out.

    Parameters
    ----------
    path : Path
        The file.
    public_key : str
        Whose signature it must bear; "" to take the key that the package itself names, which shows that it is whole and not whose it is.

    Raises
    ------
    InputError
        If it is no package, was changed, or was signed by another study.
    """
    try:
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
            files = {name: file.read(name) for name in names}
    except FileNotFoundError:
        raise InputError(f"There is no file {path}.", "Check the path.") from None
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
        raise InputError(f"{path.name} is no package of a study, or is damaged: {error}.", "Copy it again from its source.") from None
    changed = InputError(f"{path.name} was changed after it was made.", "Ask for the package again; nothing was taken over.")
    raw, signature = files.pop("manifest.json", b""), files.pop("signature", b"")
    try:
        manifest = json.loads(raw)
        hashes, kind, format_ = manifest["files"], manifest["kind"], manifest["format"]
        stated = manifest["public_key"] if kind == _OUT else ""
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path.name} is no package of a study.", "Choose a file that tumorseg study pack wrote.") from None
    if format_ != _FORMAT:
        raise InputError(f"{path.name} was written by a newer program.", "Install the newest version.")
    if len(names) != len(set(names)) or {name: hashlib.sha256(data).hexdigest() for name, data in files.items()} != hashes:
        raise changed
    if (public_key or stated) and not is_signed(public_key or stated, signature, raw):
        raise (
            changed
            if not public_key or stated == public_key
            else InputError(
                f"{path.name} does not bear the right signature.", "It is of another study, or was changed; nothing was taken over."
            )
        )
    return Contents(manifest, files, hashlib.sha256(raw).hexdigest(), signature)


def _write(target: Path, manifest: dict[str, Any], files: Mapping[str, bytes], key: bytes) -> None:
    raw = canonical_json({**manifest, "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}}).encode()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as file:
        for name, data in (("manifest.json", raw), ("signature", sign(key, raw)), *sorted(files.items())):
            file.writestr(zipfile.ZipInfo(name), data)


def _packable(session: Session, person: str, comparison: bool) -> list[TaskRow]:
    row = session.scalars(sa.select(PersonRow).where(PersonRow.id == person).with_for_update()).first()
    if row is None:
        raise InputError(f"{person} is not in this study.", "Add people with tumorseg study assign.")
    own = sa.select(TaskRow).where(TaskRow.person == person, TaskRow.state.in_(("ready", "waiting")))
    # A sham whose mask is not there yet stays here.
    own = own.where(sa.or_(TaskRow.start != "other-rater", TaskRow.start_version.is_not(None)))
    rows = list(session.scalars(own.order_by(TaskRow.id).with_for_update()))
    if not comparison:
        from napari_tumorseg.annotation.study.handout import free_parameters, free_query

        roles = json.loads(row.roles)
        found = session.scalars(free_query().with_for_update(skip_locked=True, of=TaskRow), free_parameters(person, roles, 1 << 62))
        for candidate in found:
            # Of a case one step is theirs, never two.
            if candidate.state == "ready" and candidate.case_id not in {r.case_id for r in rows}:
                rows.append(candidate)
    if not rows:
        raise InputError(f"{person} has no open task that could be packed.", "See tumorseg study status.")
    return rows


def _contents(session: Session, rows: Sequence[TaskRow], name: str, *, pipeline: bool) -> dict[str, bytes]:
    """Return tasks, cases, masks and people as files; in a pipeline with what the steps before have made and said of the cases."""
    case_ids = sorted({row.case_id for row in rows})
    cases = [session.get_one(CaseRow, number) for number in case_ids]
    people = [session.get_one(PersonRow, person) for person in sorted({row.person for row in rows if row.person})]
    query = sa.select(TaskRow).where(TaskRow.case_id.in_(case_ids), TaskRow.state == "submitted").order_by(TaskRow.id)
    before = list(session.scalars(query)) if pipeline else []
    wanted = {r.start_version for r in rows} | {r.version_id for r in before}
    versions = [session.get_one(VersionRow, number) for number in sorted(number for number in wanted if number is not None)]
    told = {r.id for r in before}
    comments = session.scalars(sa.select(CommentRow).where(CommentRow.task_id.in_(told)).order_by(CommentRow.id))
    tables = {
        "tasks": [{**_going(row), "person": row.person, "state": row.state, "package": name} for row in rows]
        + [{**_going(row), "state": "submitted", "version_id": row.version_id, "decision": row.decision} for row in before],
        "cases": [{"id": c.id, "code": c.code, "fingerprint": c.fingerprint, "practice": c.practice} for c in cases],
        "people": [{"id": p.id, "roles": json.loads(p.roles), "expertise": p.expertise} for p in people],
        # Neither authors nor kinds: a planted error looks like any other mask to begin with.
        "masks": [
            {n: getattr(v, n) for n in ("id", "case_id", "dtype", "shape", "affine", "schema", "sha256")}
            | {"uid": uuid.uuid4().hex, "task_id": v.task_id if v.task_id in told else None, "step": v.step if v.task_id in told else ""}
            for v in versions
        ],
        "comments": [{"task_id": c.task_id, "z": c.z, "y": c.y, "x": c.x, "text": c.text, "at_us": c.at_us} for c in comments],
    }
    files = {f"{table}.json": canonical_json(values).encode() for table, values in tables.items()}
    return files | {f"masks/{version.id}": version.labels for version in versions}


def _going(row: TaskRow) -> dict[str, Any]:
    return {**{name: getattr(row, name) for name in _TASK}, "start": "previous" if row.start_version is not None else "empty"}


def _result(session: Session, row: TaskRow, version: VersionRow) -> dict[str, Any]:
    answers = session.scalars(sa.select(AnswerRow).where(AnswerRow.task_id == row.id).order_by(AnswerRow.id))
    comments = session.scalars(sa.select(CommentRow).where(CommentRow.task_id == row.id).order_by(CommentRow.id))
    return {
        **{name: getattr(row, name) for name in ("id", "code", *_DONE)},
        "version": {n: getattr(version, n) for n in ("uid", "made_us", "dtype", "shape", "affine", "schema", "sha256", "facts")},
        "answers": [{"question": a.question, "value": a.value, "at_us": a.at_us} for a in answers],
        "comments": [{"z": c.z, "y": c.y, "x": c.x, "text": c.text, "at_us": c.at_us} for c in comments],
    }
