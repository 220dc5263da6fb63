"""The tables of a study, the same in SQLite and in PostgreSQL.

`APPEND_ONLY` tables are only ever added to, and a ``task`` that was submitted does not change any more; triggers of the database
hold that (see `migrations`). Masks lie in the database itself, so that they are under the same locks and triggers as everything
else; images and journals are files.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = [
    "APPEND_ONLY",
    "AnswerRow",
    "AuditRow",
    "Base",
    "CaseRow",
    "CommentRow",
    "ExclusionRow",
    "MergedRow",
    "PackedRow",
    "PersonRow",
    "PlanRow",
    "PlantedRow",
    "StudyRow",
    "TaskRow",
    "VersionRow",
]

#: Tables to which is only ever added.
APPEND_ONLY = ("version", "answer", "comment", "exclusion", "plan", "planted", "packed", "merged", "audit")

_KEY = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """Names constraints alike in every database, so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class StudyRow(Base):
    """The study itself, one row."""

    __tablename__ = "study"
    id: Mapped[int] = mapped_column(_KEY, primary_key=True)
    uid: Mapped[str] = mapped_column(String(32))
    title: Mapped[str] = mapped_column(Text)
    seed: Mapped[int] = mapped_column(BigInteger)
    schema: Mapped[str] = mapped_column(String(64))
    protocol: Mapped[str] = mapped_column(Text)
    protocol_sha256: Mapped[str] = mapped_column(String(64))
    created_us: Mapped[int] = mapped_column(BigInteger)
    #: Raw Ed25519 key, hexadecimal, that packages of the study are signed with; the private one lies in a file.
    public_key: Mapped[str] = mapped_column(String(64))
    #: Package that this study is the offline part of; "" for a whole study.
    package: Mapped[str] = mapped_column(String(32), default="")
    #: When the data were locked; 0 before.
    locked_us: Mapped[int] = mapped_column(BigInteger, default=0)


class PersonRow(Base):
    """Somebody who works on the study."""

    __tablename__ = "person"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    roles: Mapped[str] = mapped_column(Text)
    expertise: Mapped[str] = mapped_column(Text, default="")
    added_us: Mapped[int] = mapped_column(BigInteger)


class CaseRow(Base):
    """A patient's images; `location` is told to nobody but the program that opens them."""

    __tablename__ = "case"
    id: Mapped[int] = mapped_column(_KEY, primary_key=True)
    code: Mapped[str] = mapped_column(String(16), unique=True)
    location: Mapped[str] = mapped_column(Text)
    fingerprint: Mapped[str] = mapped_column(String(64), unique=True)
    practice: Mapped[bool] = mapped_column(default=False)


class TaskRow(Base):
    """One step of one person on one case."""

    __tablename__ = "task"
    id: Mapped[int] = mapped_column(_KEY, primary_key=True)
    code: Mapped[str] = mapped_column(String(16))
    case_id: Mapped[int] = mapped_column(ForeignKey("case.id"), index=True)
    step: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(64))
    #: 1, and one more each time that the case was sent back.
    round: Mapped[int] = mapped_column(default=1)
    #: Which of several people of the step, from 1.
    place: Mapped[int] = mapped_column(default=1)
    #: Whose it is; empty for the first who comes with the role.
    person: Mapped[str | None] = mapped_column(ForeignKey("person.id"))
    arm: Mapped[str] = mapped_column(String(64), default="")
    start: Mapped[str] = mapped_column(String(16))
    start_version: Mapped[int | None] = mapped_column(BigInteger)
    practice: Mapped[bool] = mapped_column(default=False)
    period: Mapped[int] = mapped_column(default=1)
    repeat: Mapped[int] = mapped_column(default=1)
    position: Mapped[int] = mapped_column(default=1)
    #: waiting, ready, leased, packed, submitted or withdrawn
    state: Mapped[str] = mapped_column(String(16))
    not_before_us: Mapped[int] = mapped_column(BigInteger, default=0)
    lease_person: Mapped[str] = mapped_column(String(32), default="")
    lease_token: Mapped[str] = mapped_column(String(32), default="")
    lease_until_us: Mapped[int] = mapped_column(BigInteger, default=0)
    first_us: Mapped[int] = mapped_column(BigInteger, default=0)
    submitted_us: Mapped[int] = mapped_column(BigInteger, default=0)
    decision: Mapped[str] = mapped_column(String(16), default="")
    version_id: Mapped[int | None] = mapped_column(BigInteger)
    journal: Mapped[str] = mapped_column(Text, default="")
    journal_sha256: Mapped[str] = mapped_column(String(64), default="")
    #: What was computed at submit (voxels changed, times), JSON.
    facts: Mapped[str] = mapped_column(Text, default="{}")
    package: Mapped[str] = mapped_column(String(32), default="")
    __table_args__ = (
        Index("ix_task_of_person", "state", "person"),
        Index("ix_task_of_role", "state", "role"),
        Index("ix_task_by_code", "code"),
    )


class VersionRow(Base):
    """One state of a mask, with who made it in which step."""

    __tablename__ = "version"
    id: Mapped[int] = mapped_column(_KEY, primary_key=True)
    uid: Mapped[str] = mapped_column(String(32), unique=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("case.id"), index=True)
    task_id: Mapped[int | None] = mapped_column(ForeignKey("task.id"))
    step: Mapped[str] = mapped_column(String(64))
    author: Mapped[str] = mapped_column(Text)
    #: ai, rater or planted
    kind: Mapped[str] = mapped_column(String(16))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("version.id"))
    made_us: Mapped[int] = mapped_column(BigInteger)
    dtype: Mapped[str] = mapped_column(String(8))
    shape: Mapped[str] = mapped_column(Text)
    affine: Mapped[str] = mapped_column(Text)
    schema: Mapped[str] = mapped_column(Text)
    #: Read only when it is asked for.
    labels: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    #: Of the labels' bytes before they were compressed.
    sha256: Mapped[str] = mapped_column(String(64))
    #: What the model was and how long it ran beforehand, JSON.
    facts: Mapped[str] = mapped_column(Text, default="{}")


class AnswerRow(Base):
    """What a person said about a task."""

    __tablename__ = "answer"
    id: Mapped[int] = mapped_column(_KEY, primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("task.id"))
    question: Mapped[str] = mapped_column(String(64))
    value: Mapped[int]
    at_us: Mapped[int] = mapped_column(BigInteger)
    __table_args__ = (UniqueConstraint("task_id", "question"),)


class CommentRow(Base):
    """A comment pinned to a voxel (z, y, x)."""

    __tablename__ = "comment"
    id: Mapped[int] = mapped_column(_KEY, primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("task.id"), index=True)
    z: Mapped[int]
    y: Mapped[int]
    x: Mapped[int]
    text: Mapped[str] = mapped_column(Text)
    at_us: Mapped[int] = mapped_column(BigInteger)


class ExclusionRow(Base):
    """A task that is left out of the analysis, and why."""

    __tablename__ = "exclusion"
    id: Mapped[int] = mapped_column(_KEY, primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("task.id"), unique=True)
    reason: Mapped[str] = mapped_column(Text)
    by: Mapped[str] = mapped_column(Text)
    at_us: Mapped[int] = mapped_column(BigInteger)


class PlanRow(Base):
    """A plan of the analysis; the last one counts."""

    __tablename__ = "plan"
    id: Mapped[int] = mapped_column(_KEY, primary_key=True)
    text: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))
    at_us: Mapped[int] = mapped_column(BigInteger)


class PlantedRow(Base):
    """An error planted into a version."""

    __tablename__ = "planted"
    id: Mapped[int] = mapped_column(_KEY, primary_key=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("version.id"), unique=True)
    record: Mapped[str] = mapped_column(Text)


class PackedRow(Base):
    """A package that was given out."""

    __tablename__ = "packed"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    person: Mapped[str] = mapped_column(ForeignKey("person.id"))
    public_key: Mapped[str] = mapped_column(String(64))
    tasks: Mapped[str] = mapped_column(Text)
    at_us: Mapped[int] = mapped_column(BigInteger)


class MergedRow(Base):
    """A package that came back."""

    __tablename__ = "merged"
    id: Mapped[int] = mapped_column(_KEY, primary_key=True)
    package: Mapped[str] = mapped_column(ForeignKey("packed.id"))
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    tasks: Mapped[str] = mapped_column(Text)
    #: The audit log of the offline study, as it came.
    audit: Mapped[str] = mapped_column(Text)
    at_us: Mapped[int] = mapped_column(BigInteger)


class AuditRow(Base):
    """One entry of the audit log (see `audit`)."""

    __tablename__ = "audit"
    seq: Mapped[int] = mapped_column(_KEY, primary_key=True, autoincrement=False)
    at_us: Mapped[int] = mapped_column(BigInteger)
    mono_ns: Mapped[int] = mapped_column(BigInteger)
    boot: Mapped[str] = mapped_column(String(64))
    actor: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(Text)
    payload: Mapped[str] = mapped_column(Text)
    previous: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))
