"""A person's desk: tasks as the window opens them, their records, their results."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_tumorseg.annotation.journal import Journal
from napari_tumorseg.annotation.recorder import Recorder
from napari_tumorseg.annotation.study.protocol_file import load_protocol
from napari_tumorseg.annotation.study.records import Comment, Person
from napari_tumorseg.annotation.study.store import StudyStore
from napari_tumorseg.annotation.task import Task
from napari_tumorseg.core.case import MaskKind, MaskVersion
from napari_tumorseg.core.document import MaskDocument, Origin, PatchSource
from napari_tumorseg.core.errors import ConflictError, InputError
from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.settings import Settings
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.io.registry import write_image, write_mask
from napari_tumorseg.workflows.recover import new_journal_path
from napari_tumorseg.workflows.study.assign import AssignRequest, assign
from napari_tumorseg.workflows.study.desk import (
    COMMENTS,
    Desk,
    Finished,
    TaskInHand,
    answer_questions,
    ask_next,
    begin_task,
    finish_task,
    give_back,
    last_desk,
    open_desk,
    peek_next,
    read_task,
    renew_lease,
)
from napari_tumorseg.workflows.study.init import InitRequest, init_study

SHAPE = (6, 8, 10)
GRID = Grid.from_spacing(SHAPE, (1.0, 1.0, 1.0))
SECRET = "DOE-JANE"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings((tmp_path / "models",), tmp_path / "cache", tmp_path / "log", tmp_path / "state")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A pipeline of two cases whose folders are named after patients, with the masks of a model."""
    rng = np.random.default_rng(1)
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:4, 2:5, 2:5] = 3
    (tmp_path / "ai").mkdir()
    for number in range(2):
        folder = tmp_path / "cases" / f"{SECRET}-{number}"
        folder.mkdir(parents=True)
        write_image(folder / f"{SECRET}-{number}-t1c.nii.gz", Volume(rng.integers(1, 900, SHAPE).astype(np.int16), GRID))
        mask = MaskVersion(labels, GRID, preset("brats-mets-2025"), MaskKind.AI, "secret-net")
        write_mask(tmp_path / "ai" / f"{SECRET}-{number}.nii.gz", mask)
    init_study(InitRequest(tmp_path / "study", "brats-mets-pipeline", tmp_path / "cases", seed=1))
    roles = {"S": "student", "N1": "neuroradiologist", "N2": "neuroradiologist", "A": "approver"}
    people = tuple(Person(name, (role,)) for name, role in roles.items())
    assign(AssignRequest(str(tmp_path / "study"), people, ai_masks=tmp_path / "ai"))
    return tmp_path / "study"


def take(desk: Desk) -> TaskInHand:
    got = ask_next(desk)
    assert got.task is not None, got.why
    assert got.lease is not None
    return begin_task(desk, read_task(desk, got.task), got.lease)


def worked(desk: Desk, hand: TaskInHand, comments: tuple[Comment, ...] = (), close: bool = True) -> tuple[Path, MaskDocument]:
    """Paint a voxel under the eyes of a journal."""
    start = hand.opened.mask
    document = MaskDocument(start.labels, start.grid, start.schema, start.kind, start.author)
    facts = {name: value for name, value in hand.journal.items() if name != "case"}
    journal = Journal(new_journal_path(desk.settings), Task.of(document, hand.task.code, "mask", **facts), document)
    recorder = Recorder(document, journal)
    document.write(Box((0, 0, 0), (1, 1, 1)), np.full((1, 1, 1), 2, np.uint8), Origin(PatchSource.HAND, "paint", desk.person))
    journal.status(**{COMMENTS: [[*c.voxel, c.text] for c in comments]})
    recorder.stop()
    assert journal.close() if close else journal.flush()
    return journal.path, document


def test_a_task_shows_nothing_of_whose_it_is(study: Path, settings: Settings) -> None:
    desk = Desk(str(study), "S", settings)
    about = open_desk(desk)
    assert (about.why, about.unanswered, about.title) == ("", (), load_protocol("brats-mets-pipeline").title)
    assert last_desk(settings) == (str(study), "S")
    hand = take(desk)
    mask = hand.opened.mask
    assert (mask.author, mask.kind, hand.opened.sequence, bool(mask.labels.any())) == ("", MaskKind.RATER, "T1c", True)
    assert all(volume.source is None for point in hand.opened.case.timepoints for volume in point.volumes.values())
    assert SECRET not in json.dumps([hand.opened.case.name, hand.journal, [v.name for v in hand.opened.case.latest.volumes.values()]])
    assert hand.task.code == hand.opened.case.name
    found = peek_next(desk)
    assert found is not None
    assert found[0].id != hand.task.id
    assert found[1].name.startswith(SECRET)  # the folder is for reading, never shown


def test_work_that_was_broken_off_goes_on(study: Path, settings: Settings) -> None:
    desk = Desk(str(study), "S", settings)
    hand = take(desk)
    assert hand.restored is None
    pinned = (Comment((1, 2, 3), "look here"),)
    path, document = worked(desk, hand, pinned)
    again = take(desk)
    assert again.task.id == hand.task.id
    assert again.lease.token != hand.lease.token
    assert again.found is not None
    assert again.found.path == path
    assert again.restored is not None
    np.testing.assert_array_equal(again.restored.document.labels, document.labels)
    assert again.drafts == pinned
    # Nobody else's, and no other task's.
    assert take(Desk(str(study), "S", replace(settings, state_dir=settings.state_dir / "elsewhere"))).restored is None
    # The program that had it before can neither keep nor submit it.
    with pytest.raises(ConflictError, match="another program"):
        renew_lease(desk, hand.lease)
    with pytest.raises(ConflictError, match="another program"):
        finish_task(desk, hand, Finished(document.snapshot()))


def test_a_record_that_cannot_be_read_is_told_and_the_task_begins_anew(
    study: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(str(study), "S", settings)
    worked(desk, take(desk))

    def broken(_found: object) -> None:
        raise InputError("It is damaged.")

    monkeypatch.setattr("napari_tumorseg.workflows.study.desk.restore", broken)
    again = take(desk)
    assert again.restored is None
    assert "It is damaged. The task begins anew." in again.note


def test_a_result_is_handed_in_with_its_record_and_goes_on_to_the_next_step(study: Path, settings: Settings) -> None:
    student = Desk(str(study), "S", settings)
    first = take(student)
    journal, document = worked(student, first)
    receipt = finish_task(student, first, Finished(document.snapshot(), journal=journal))
    assert not journal.exists()
    assert receipt.questions == ("difficulty", "confidence")
    asked = open_desk(student).unanswered
    assert [(task.id, [q.name for q in questions]) for task, questions in asked] == [(first.task.id, ["difficulty", "confidence"])]
    answer_questions(student, first.task.id, {"difficulty": 2, "confidence": 4})
    assert open_desk(student).unanswered == ()
    with StudyStore.open(study) as store:
        kept = store.journal_file(first.task.id)
        assert kept.is_file()
        assert SECRET.encode() not in kept.read_bytes()
        assert store.verify() == []
    checker = Desk(str(study), "N1", settings)
    check = take(checker)
    np.testing.assert_array_equal(check.opened.mask.labels, document.labels)
    with pytest.raises(InputError, match="sent back with a comment"):
        finish_task(checker, check, Finished(check.opened.mask, "return"))
    pin = Comment((0, 0, 0), "this voxel is none")
    finish_task(checker, check, Finished(check.opened.mask, "return", (pin,)))
    second = take(Desk(str(study), "N2", settings))
    finish_task(Desk(str(study), "N2", settings), second, Finished(second.opened.mask, "accept"))
    while (back := take(student)).task.round == 1:
        finish_task(student, back, Finished(back.opened.mask))
    assert [(c.voxel, c.text, c.step) for c in back.comments] == [((0, 0, 0), "this voxel is none", "check")]
    assert back.versions == ()


def test_a_task_that_was_given_back_is_the_next_one(study: Path, settings: Settings) -> None:
    desk = Desk(str(study), "S", settings)
    hand = take(desk)
    give_back(desk, hand.lease)
    assert take(desk).task.id == hand.task.id


def test_what_is_not_as_it_was_is_told_in_a_line(study: Path, settings: Settings, tmp_path: Path) -> None:
    desk = Desk(str(study), "S", settings)
    got = ask_next(desk)
    assert got.task is not None
    image = next((tmp_path / "cases").rglob("*.nii.gz"))
    whole = image.read_bytes()
    image.write_bytes(next(p for p in (tmp_path / "cases").rglob("*.nii.gz") if p != image).read_bytes())
    other = next(p for p in (tmp_path / "cases").rglob("*.nii.gz") if p != image)
    kept = other.read_bytes()
    other.write_bytes(kept + b"\0")
    with pytest.raises(InputError, match="are not those that the study was made with"):
        read_task(desk, got.task)
    image.write_bytes(whole)
    other.write_bytes(kept)
    moved = tmp_path / "deep" / "er" / "study"
    moved.parent.mkdir(parents=True)
    shutil.move(study, moved)
    with pytest.raises(InputError, match=r"Choose|study\.toml|no study"):
        open_desk(desk)
    with pytest.raises(InputError, match="are not where the study has them"):
        read_task(Desk(str(moved), "S", settings), got.task)
    with pytest.raises(InputError, match="R9 is not in this study"):
        open_desk(Desk(str(moved), "R9", settings))
    assert last_desk(settings) == ("", "")
