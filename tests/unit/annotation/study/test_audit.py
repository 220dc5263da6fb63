"""Tampering of every kind is named; a clock that was set back is flagged."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from napari_tumorseg.annotation.study.audit import AuditEntry, verify_chain
from napari_tumorseg.annotation.study.records import Submission
from napari_tumorseg.annotation.study.store import StudyStore
from napari_tumorseg.core.errors import InputError

from .conftest import Hands, crossed, finish, new_mask


@pytest.fixture
def study(tmp_path: Path, hands: Hands) -> StudyStore:
    """A study with two results, of which one is rated."""
    found = crossed(tmp_path / "s", hands)
    receipt = finish(found, found.next_task("R1"), 11)
    found.answer(receipt.task_id, "R1", {"difficulty": 2})
    finish(found, found.next_task("R2"), 12)
    assert found.verify() == []
    return found


def tamper(study: StudyStore, *statements: str) -> None:
    """Change the file as somebody would who knows SQLite: triggers away, the change, triggers back."""
    assert study.place is not None
    connection = sqlite3.connect(study.place.folder / "study.sqlite")
    with connection:
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            assert connection.execute(statement).rowcount, statement
        for _, sql in triggers:
            connection.execute(sql)
    connection.close()


def entry_of(study: StudyStore, action: str) -> int:
    return next(int(row["seq"]) for row in study.rows("audit") if row["action"] == action)


def said(study: StudyStore, head: str = "") -> list[str]:
    return [str(problem) for problem in study.verify(head)]


@pytest.mark.parametrize("column", ["actor", "subject", "action", "payload", "boot"])
def test_an_altered_entry_is_named(study: StudyStore, column: str) -> None:
    seq = entry_of(study, "submitted")
    new = '{"decision":"submit"}' if column == "payload" else "x"
    tamper(study, f"UPDATE audit SET {column} = '{new}' WHERE seq = {seq}")
    assert f"Entry {seq} was altered." in said(study)


def test_every_altered_entry_is_named(study: StudyStore) -> None:
    tamper(study, "UPDATE audit SET at_us = at_us + 1 WHERE seq IN (3, 5, 9)")
    assert said(study) == [f"Entry {n} was altered." for n in (3, 5, 9)]


def test_missing_entries_are_named_wherever_they_are(study: StudyStore) -> None:
    seq, head = study.audit_head
    tamper(study, "DELETE FROM audit WHERE seq IN (1, 4, 5)")
    found = said(study)
    assert "Entry 1 is missing." in found
    assert "Entries 4 to 5 are missing." in found
    tamper(study, f"DELETE FROM audit WHERE seq = {seq}")
    # The end is missed by what was written with it; and by its hash, where that was noted down.
    assert any("not in the audit log" in line for line in said(study))
    assert any("end of the log" in line for line in said(study, head))


def test_entries_that_changed_places_are_named(study: StudyStore) -> None:
    tamper(
        study,
        "UPDATE audit SET seq = 1000 WHERE seq = 3",
        "UPDATE audit SET seq = 3 WHERE seq = 4",
        "UPDATE audit SET seq = 4 WHERE seq = 1000",
    )
    assert {"Entry 3 was altered.", "Entry 4 was altered."} <= set(said(study))


def test_an_entry_rewritten_with_a_right_hash_breaks_the_chain_behind_it(study: StudyStore) -> None:
    seq = entry_of(study, "answered")
    row = next(row for row in study.rows("audit") if row["seq"] == seq)
    forged = AuditEntry(**{**row, "actor": "R2", "hash": ""})
    tamper(study, f"UPDATE audit SET actor = 'R2', hash = '{forged.digest}' WHERE seq = {seq}")
    assert said(study) == [f"Entry {seq + 1} does not follow from the one before it, which was altered, moved or put in."]


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("UPDATE answer SET value = 5", "Answer 1 was altered."),
        ("DELETE FROM answer", "Answer 1 is missing."),
        ("INSERT INTO answer VALUES (77, 1, 'confidence', 5, 0)", "Answer 77 is not in the audit log: it was put in."),
        ("UPDATE task SET submitted_us = submitted_us - 60000000 WHERE id = 1", "Task 1 was altered."),
        ("UPDATE task SET arm = CASE arm WHEN 'ai' THEN 'scratch' ELSE 'ai' END WHERE id = 3", "Task 3 was altered."),
        ("UPDATE task SET state = 'ready' WHERE state = 'submitted' AND person = 'R1'", "Task 1 is missing."),
        ("DELETE FROM version WHERE kind = 'rater' AND author = 'R1'", "Version 5 is missing."),
        ("UPDATE version SET author = 'R2' WHERE id = 5", "Version 5 was altered."),
        ("UPDATE version SET labels = x'00' WHERE id = 5", "Version 5 has other voxels than were submitted."),
        ("UPDATE plan SET text = replace(text, '0.05', '0.25')", "Plan is not what was hashed."),
        ("UPDATE study SET seed = 8", "Study 1 was altered."),
        ("UPDATE person SET expertise = 'professor' WHERE id = 'R1'", "Person R1 was altered."),
        ('UPDATE "case" SET practice = 1 WHERE id = 1', "Case 1 was altered."),
    ],
)
def test_rows_that_were_altered_taken_out_or_put_in_are_named(study: StudyStore, statement: str, word: str) -> None:
    if "author = 'R1'" in statement or "person = 'R1'" in statement or "id = 1" in statement or "id = 5" in statement:
        first = next(row for row in study.rows("tasks") if row["person"] == "R1" and row["submitted_us"])
        assert first["task"] == 1
    tamper(study, statement)
    assert word in said(study)


def test_voxels_that_were_altered_are_not_shown(study: StudyStore) -> None:
    uid = study.rows("versions")[-1]["version"]
    tamper(study, f"UPDATE version SET labels = x'789c030000000001' WHERE uid = '{uid}'")
    with pytest.raises(InputError, match="was altered in the database"):
        study.mask(uid)


@pytest.mark.parametrize(
    "set_back", [lambda hands: hands.set_back(3600), lambda hands: (hands.forward(seconds=7200), hands.set_back(3600))]
)
def test_a_clock_that_was_set_back_is_flagged_and_no_more(tmp_path: Path, hands: Hands, set_back: Callable[[Hands], None]) -> None:
    study = crossed(tmp_path / "s", hands)
    got = study.next_task("R1")
    hands.forward(seconds=60)
    set_back(hands)
    finish(study, got)
    (problem,) = study.verify()
    assert not problem.severe
    assert "clock had been set back by 3600.0 s" in str(problem)
    # It is in the log for good, and told once.
    hands.forward(days=2)
    finish(study, study.next_task("R1"))
    assert len(study.verify()) == 1


def test_a_laptop_that_slept_is_no_clock_set_back(tmp_path: Path, hands: Hands) -> None:
    study = crossed(tmp_path / "s", hands)
    got = study.next_task("R1")
    hands.wall_us += 10**10  # the monotonic clock stood still
    finish(study, got)
    assert study.verify() == []


def test_a_journal_that_was_altered_or_lost_is_named(tmp_path: Path, hands: Hands) -> None:
    from napari_tumorseg.annotation.journal import Journal
    from napari_tumorseg.annotation.task import Task
    from napari_tumorseg.core.document import MaskDocument

    study = crossed(tmp_path / "s", hands)
    got = study.next_task("R1")
    assert got.task is not None
    assert got.lease is not None
    mask = new_mask(0)
    document = MaskDocument(mask.labels, mask.grid, mask.schema)
    facts = study.journal_facts(got.task, "R1")
    other = Journal(tmp_path / "other.journal", Task.of(document, "x", "mask"), document)
    other.close()
    with pytest.raises(InputError, match="record of another task"):
        study.submit(got.lease, Submission(mask, got.task.fingerprint, journal=tmp_path / "other.journal"))
    journal = Journal(tmp_path / "a.journal", Task.of(document, facts.pop("case"), "mask", **facts), document, clock=hands.clock)
    journal.event("shown", volumes=["T1c"])
    journal.event("key", key="N")
    journal.close()
    study.submit(got.lease, Submission(mask, got.task.fingerprint, journal=tmp_path / "a.journal"))
    kept = study.journal_file(got.task.id)
    assert kept.read_bytes() == (tmp_path / "a.journal").read_bytes()
    events = study.rows("events")
    assert [(e["kind"], e["person"], e["code"]) for e in events] == [("shown", "R1", got.task.code), ("key", "R1", got.task.code)]
    assert study.verify() == []
    kept.write_bytes(kept.read_bytes()[:-1] + b"\0")
    assert said(study) == [f"Journal of task {got.task.code} was altered."]
    kept.unlink()
    assert said(study) == [f"Journal of task {got.task.code} is missing."]


def test_an_empty_log_is_whole() -> None:
    assert verify_chain([]) == []
