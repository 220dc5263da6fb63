"""Packages: there, back, twice, changed, foreign."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from napari_tumorseg.annotation.study.merge import merge, open_package
from napari_tumorseg.annotation.study.package import pack, pack_answer, recall
from napari_tumorseg.annotation.study.records import Comment
from napari_tumorseg.annotation.study.store import StudyStore
from napari_tumorseg.core.errors import InputError

from .conftest import Hands, crossed, finish, pipeline


def changed(path: Path, target: Path, edits: dict[str, bytes | None]) -> Path:
    """Copy a zip file with some of its files replaced, added or (None) left out."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in [*old.namelist(), *(n for n in edits if n not in old.namelist())]:
            data = edits.get(name, old.read(name) if name in old.namelist() else b"")
            if data is not None:
                new.writestr(name, data)
    return target


def submitted(study: StudyStore) -> list[tuple[Any, ...]]:
    return sorted((r["task"], r["version"], r["decision"], r["submitted_us"]) for r in study.rows("tasks") if r["state"] == "submitted")


@pytest.fixture
def whole(tmp_path: Path, hands: Hands) -> StudyStore:
    return crossed(tmp_path / "whole", hands)


@pytest.fixture
def offline(whole: StudyStore, tmp_path: Path, hands: Hands) -> StudyStore:
    """A package for R1, opened, with two of four first readings done."""
    assert pack(whole, "R1", tmp_path / "r1.zip")["tasks"] == 8
    study = open_package(tmp_path / "r1.zip", tmp_path / "there", clock=hands.clock)
    for value in (11, 12):
        receipt = finish(study, study.next_task("R1"), value)
        study.answer(receipt.task_id, "R1", {"seen-before": 0})
        hands.forward(seconds=60)
    return study


def test_tasks_go_out_and_results_come_back(whole: StudyStore, offline: StudyStore, tmp_path: Path, hands: Hands) -> None:
    assert whole.next_task("R1").why == "Your tasks were given out in a package."
    assert whole.next_task("R2").task is not None
    assert offline.verify() == []
    assert pack_answer(offline, tmp_path / "back.zip")["tasks"] == 2
    assert merge(whole, tmp_path / "back.zip") == {"merged": 2, "known": 0, "text": "2 tasks of R1 were merged."}
    first = submitted(whole)
    assert {(whole.mask(v).labels > 0).sum() for _, v, _, _ in first} == {11, 12}
    assert [r["value"] for r in whole.rows("ratings")] == [0, 0]
    # Twice is once.
    again = merge(whole, tmp_path / "back.zip")
    assert again["merged"] == 0
    assert "was merged on" in again["text"]
    assert "nothing was changed" in again["text"]
    assert submitted(whole) == first
    # The rest, after the washout, on top of what is there.
    for _ in range(2):
        finish(offline, offline.next_task("R1"), 30)
    assert offline.next_task("R1").not_before_us > 0
    hands.forward(days=29)
    for _ in range(4):
        finish(offline, offline.next_task("R1"), 40)
    pack_answer(offline, tmp_path / "rest.zip")
    assert merge(whole, tmp_path / "rest.zip")["text"] == "6 tasks of R1 were merged; 2 were here already."
    assert submitted(whole)[: len(first)] == first or set(first) <= set(submitted(whole))
    assert whole.verify() == []
    whole.lock("lead", incomplete=True)
    with pytest.raises(InputError, match="locked"):
        pack(whole, "R2", tmp_path / "r2.zip")


def test_a_package_does_not_say_what_is_hidden(whole: StudyStore, tmp_path: Path) -> None:
    pack(whole, "R1", tmp_path / "r1.zip")
    with zipfile.ZipFile(tmp_path / "r1.zip") as file:
        tables = b"".join(file.read(name) for name in file.namelist() if name.endswith(".json"))
    assert b"patient" not in tables  # the folders of the cases
    assert b"net 1" not in tables
    assert b'"arm"' not in tables
    assert b'"seed":0' in tables


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("results.json", lambda data: data.replace(b'"submit"', b'"return"')),
        ("results.json", lambda data: None),
        ("manifest.json", lambda data: data.replace(b'"R1"', b'"R2"')),
        ("signature", lambda data: bytes(64)),
        ("signature", lambda data: None),
        ("more.txt", lambda data: b"x"),
        ("audit.json", lambda data: data.replace(b"handed out", b"handed-out")),
    ],
)
def test_a_changed_package_is_refused(whole: StudyStore, offline: StudyStore, tmp_path: Path, name: str, make: Any) -> None:
    pack_answer(offline, tmp_path / "back.zip")
    with zipfile.ZipFile(tmp_path / "back.zip") as file:
        data = file.read(name) if name in file.namelist() else b""
    bad = changed(tmp_path / "back.zip", tmp_path / "bad.zip", {name: make(data)})
    before = whole.audit_head
    with pytest.raises(InputError, match=r"was changed|right signature"):
        merge(whole, bad)
    assert whole.audit_head == before
    assert submitted(whole) == []


def test_a_tampered_package_of_tasks_is_refused(whole: StudyStore, tmp_path: Path) -> None:
    pack(whole, "R1", tmp_path / "r1.zip")
    with zipfile.ZipFile(tmp_path / "r1.zip") as file:
        tasks = json.loads(file.read("tasks.json"))
    tasks[0]["not_before_us"] = 1
    bad = changed(tmp_path / "r1.zip", tmp_path / "bad.zip", {"tasks.json": json.dumps(tasks).encode()})
    with pytest.raises(InputError, match="changed after it was made"):
        open_package(bad, tmp_path / "there")
    (tmp_path / "half.zip").write_bytes((tmp_path / "r1.zip").read_bytes()[:500])
    with pytest.raises(InputError, match="no package of a study, or is damaged"):
        open_package(tmp_path / "half.zip", tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_foreign_packages_are_refused(whole: StudyStore, offline: StudyStore, tmp_path: Path, hands: Hands) -> None:
    pack_answer(offline, tmp_path / "back.zip")
    other = crossed(tmp_path / "other", hands)
    with pytest.raises(InputError, match="is of another study"):
        merge(other, tmp_path / "back.zip")
    with pytest.raises(InputError, match="holds tasks, not results"):
        merge(whole, tmp_path / "r1.zip")
    with pytest.raises(InputError, match="holds results"):
        open_package(tmp_path / "back.zip", tmp_path / "x")
    # Somebody with the study's id, but without a package of ours.
    pack(other, "R1", tmp_path / "o1.zip")
    forged = open_package(tmp_path / "o1.zip", tmp_path / "forged", clock=hands.clock)
    finish(forged, forged.next_task("R1"))
    forged.context.uid = whole.uid
    pack_answer(forged, tmp_path / "forged.zip")
    with pytest.raises(InputError, match="never gave out"):
        merge(whole, tmp_path / "forged.zip")


def test_two_copies_of_a_package_cannot_change_what_was_submitted(
    whole: StudyStore, offline: StudyStore, tmp_path: Path, hands: Hands
) -> None:
    copy = open_package(tmp_path / "r1.zip", tmp_path / "copy", clock=hands.clock)
    finish(copy, copy.next_task("R1"), 99)
    pack_answer(offline, tmp_path / "back.zip")
    pack_answer(copy, tmp_path / "copy.zip")
    merge(whole, tmp_path / "back.zip")
    first = submitted(whole)
    with pytest.raises(InputError, match="holds another result of task"):
        merge(whole, tmp_path / "copy.zip")
    assert submitted(whole) == first
    assert whole.verify() == []


def test_a_lost_package_is_called_back(whole: StudyStore, offline: StudyStore, tmp_path: Path) -> None:
    pack_answer(offline, tmp_path / "back.zip")
    assert recall(whole, offline.package) == 8
    assert whole.next_task("R1").task is not None
    with pytest.raises(InputError, match="called back"):
        merge(whole, tmp_path / "back.zip")
    with pytest.raises(InputError, match="No task is out"):
        recall(whole, offline.package)
    assert whole.verify() == []


def test_a_checker_works_offline_in_a_pipeline(tmp_path: Path, hands: Hands) -> None:
    study = pipeline(tmp_path / "s", hands, cases=1)
    finish(study, study.next_task("S1"), 5)
    pack(study, "N1", tmp_path / "n1.zip")
    there = open_package(tmp_path / "n1.zip", tmp_path / "there", clock=hands.clock)
    finish(there, there.next_task("N1"), 6, "return", (Comment((1, 1, 1), "too large"),))
    assert there.next_task("N1").task is None
    assert there.verify() == []
    pack_answer(there, tmp_path / "back.zip")
    finish(study, study.next_task("N2"), 7)
    assert study.next_task("S1").task is None
    merge(study, tmp_path / "back.zip")
    back = study.next_task("S1")
    assert back.task is not None
    assert back.task.round == 2
    # The student's correction offline: the comments and their own mask go along.
    pack_target = tmp_path / "s1.zip"
    assert back.lease is not None
    study.release(back.lease)
    pack(study, "S1", pack_target)
    student = open_package(pack_target, tmp_path / "student", clock=hands.clock)
    got = student.next_task("S1")
    assert got.task is not None
    assert [c.text for c in student.comments(got.task)] == ["too large"]
    mask = student.start_mask(got.task)
    assert mask is not None
    assert int((mask.labels > 0).sum()) == 5
    assert student.verify() == []
    assert study.verify() == []


@pytest.mark.parametrize(
    ("edit", "word"),
    [
        (lambda r: r.update(id=9), "was not in its package"),
        (lambda r: r.update(decision="approve"), "no decision of the step"),
        (lambda r: r["version"].update(sha256="0" * 64), "was altered"),
        (lambda r: r["version"].update(shape="[1,1,384]"), "not on the grid"),
        (lambda r: r.pop("facts"), "does not hold what a package holds"),
        (lambda r: r["answers"].append({"question": "seen-before", "value": 7, "at_us": 0}), "no answer to"),
        (lambda r: r["comments"].append({"z": 99, "y": 0, "x": 0, "text": "x", "at_us": 0}), "outside the image"),
        (lambda r: r.update(journal="../../study.sqlite", journal_sha256="0" * 64), "is not whole"),
    ],
)
def test_its_holder_cannot_put_into_a_package_what_the_study_would_not_take(
    whole: StudyStore, offline: StudyStore, tmp_path: Path, edit: Any, word: str
) -> None:
    from napari_tumorseg.annotation.study.package import _write

    pack_answer(offline, tmp_path / "back.zip")
    with zipfile.ZipFile(tmp_path / "back.zip") as file:
        files = {name: file.read(name) for name in file.namelist()}
    manifest = {k: v for k, v in json.loads(files.pop("manifest.json")).items() if k != "files"}
    files.pop("signature")
    results = json.loads(files["results.json"])
    edit(results[0])
    files["results.json"] = json.dumps(results).encode()
    assert offline.place is not None
    _write(tmp_path / "edited.zip", manifest, files, offline.place.read_key())
    before = (whole.audit_head, sorted(p.name for p in (tmp_path / "whole").iterdir()))
    with pytest.raises(InputError, match=word):
        merge(whole, tmp_path / "edited.zip")
    assert (whole.audit_head, sorted(p.name for p in (tmp_path / "whole").iterdir())) == before
    assert submitted(whole) == []
    assert merge(whole, tmp_path / "back.zip")["merged"] == 2
