"""Handing out, submitting, and what follows: both protocols from start to end on both databases."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from napari_tumorseg.annotation.study.protocol_file import load_protocol
from napari_tumorseg.annotation.study.records import Comment, Handout, Lease, NewCase, Person, Submission
from napari_tumorseg.annotation.study.store import StudyStore
from napari_tumorseg.core.case import MaskKind
from napari_tumorseg.core.errors import ConflictError, GeometryError, InputError

from .conftest import DAY_US, TEAM, Hands, crossed, fill, finish, new_mask, pipeline, raters


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Give what `StudyStore.create` takes to make a study on each database."""
    return {"database": request.getfixturevalue("database")} if request.param == "postgresql" else {}


def test_a_pipeline_goes_from_student_to_approver(tmp_path: Path, hands: Hands, where: dict[str, Any]) -> None:
    study = pipeline(tmp_path / "s", hands, cases=1, **where)
    first = study.next_task("S1")
    assert first.task is not None
    assert (first.task.step, first.task.has_mask, first.task.person) == ("annotate", True, "")
    assert study.next_task("S2").task is None
    assert study.next_task("N1").task is None
    finish(study, first, 5)
    checks = [study.next_task("N1"), study.next_task("N2")]
    assert [c.task.step for c in checks if c.task] == ["check", "check"]
    assert study.start_mask(checks[0].task).labels.sum() == new_mask(5).labels.sum()
    finish(study, checks[0], 6)
    assert study.next_task("A1").task is None
    finish(study, checks[1], 7)
    last = study.next_task("A1")
    assert last.task is not None
    assert [v.title for v in study.versions(last.task)] == ["Annotate", "Check 1", "Check 2"]
    assert {v.author for v in study.versions(last.task)} == {""}
    finish(study, last, 8)
    assert [study.next_task(p.id).task for p in TEAM] == [None] * 5
    assert study.verify() == []
    assert {(v["step"], v["author"]) for v in study.rows("versions")} == {
        ("pre-segment", "net 1"), ("annotate", "S1"), ("check", "N1"), ("check", "N2"), ("approve", "A1"),
    }  # fmt: skip
    study.close()


def test_a_case_that_is_sent_back_goes_round_again_to_the_same_people(tmp_path: Path, hands: Hands, where: dict[str, Any]) -> None:
    study = pipeline(tmp_path / "s", hands, cases=1, **where)
    finish(study, study.next_task("S2"), 5)
    checks = [study.next_task("N1"), study.next_task("N2")]
    pin = Comment((1, 2, 3), "a lesion is missing here")
    finish(study, checks[0], 6, "return", (pin,))
    assert study.next_task("S2").task is None  # the other checker has not decided
    finish(study, checks[1], 7)
    assert study.next_task("S1").task is None
    again = study.next_task("S2")
    assert again.task is not None
    assert (again.task.step, again.task.round) == ("annotate", 2)
    assert [(c.voxel, c.text, c.step) for c in study.comments(again.task)] == [((1, 2, 3), "a lesion is missing here", "check")]
    mask = study.start_mask(again.task)
    assert mask is not None
    assert int((mask.labels > 0).sum()) == 5  # their own, not a checker's
    finish(study, again, 9)
    second = study.next_task("N2")
    assert second.task is not None
    assert (second.task.step, second.task.round, second.task.person) == ("check", 2, "N2")
    study.close()


def test_checkers_of_a_round_do_not_see_each_others_comments(tmp_path: Path, hands: Hands, where: dict[str, Any]) -> None:
    study = pipeline(tmp_path / "s", hands, cases=1, **where)

    def seen(got: Handout) -> list[tuple[str, int]]:
        assert got.task is not None
        return [(c.text, c.round) for c in study.comments(got.task)]

    finish(study, study.next_task("S1"), 5, comments=(Comment((0, 0, 1), "unsure here"),))
    first, second = study.next_task("N1"), study.next_task("N2")
    finish(study, first, 6, "return", (Comment((1, 2, 3), "too small"),))
    # Handed out before or after the other has submitted: nothing of it.
    assert seen(second) == [("unsure here", 1)]
    finish(study, second, 7, "return", (Comment((2, 2, 2), "too large"),))
    again = study.next_task("S1")
    earlier = [("unsure here", 1), ("too small", 1), ("too large", 1)]
    assert seen(again) == earlier
    finish(study, again, 9)
    # What was said in the round before went to the student, and both may look whether it was followed.
    first, second = study.next_task("N1"), study.next_task("N2")
    finish(study, first, 9, comments=(Comment((3, 3, 3), "good now"),))
    assert seen(second) == earlier
    finish(study, second, 9)
    assert seen(study.next_task("A1")) == [*earlier, ("good now", 2)]
    study.close()


def test_nobody_checks_their_own_work(tmp_path: Path, hands: Hands) -> None:
    study = StudyStore.create(tmp_path / "s", load_protocol("brats-mets-pipeline"), seed=1, clock=hands.clock)
    both = Person("B", ("student", "neuroradiologist", "approver"))
    fill(study, 1, [both, Person("N1", ("neuroradiologist",)), Person("N2", ("neuroradiologist",)), Person("A1", ("approver",))])
    finish(study, study.next_task("B"))
    assert study.next_task("B").task is None
    finish(study, study.next_task("N1"))
    assert study.next_task("N1").task is None
    finish(study, study.next_task("N2"))
    assert study.next_task("B").task is None
    assert study.next_task("A1").task is not None


def test_readings_of_a_case_wait_for_the_washout(tmp_path: Path, hands: Hands, where: dict[str, Any]) -> None:
    study = StudyStore.create(tmp_path / "s", raters(), seed=7, clock=hands.clock, **where)
    fill(study, 3, [Person("R1", ("rater",)), Person("R2", ("rater",))])
    for _ in range(3):
        finish(study, study.next_task("R1"))
        hands.forward(seconds=600)
    nothing = study.next_task("R1")
    assert nothing.task is None
    assert "Nothing until" in nothing.why
    hands.wall_us = hands.wall_us + (nothing.not_before_us - hands.wall_us) - 1
    assert study.next_task("R1").task is None
    hands.forward(seconds=1e-6)
    second = study.next_task("R1")
    assert second.task is not None
    finish(study, second)
    rows = [r for r in study.rows("tasks") if r["person"] == "R1" and r["submitted_us"]]
    assert len({r["code"] for r in rows}) == 4  # a repeat has another code
    study.lock("lead", incomplete=True)
    by_case: dict[str, list[dict[str, Any]]] = {}
    for row in study.rows("tasks"):
        if row["person"] == "R1" and row["submitted_us"]:
            by_case.setdefault(row["case"], []).append(row)
    (twice,) = [rows for rows in by_case.values() if len(rows) == 2]
    assert twice[1]["submitted_us"] - twice[0]["submitted_us"] >= 28 * DAY_US
    assert {row["arm"] for row in twice} == {"scratch", "ai"}
    study.close()


def test_arms_show_only_as_a_mask_until_the_data_are_locked(tmp_path: Path, hands: Hands) -> None:
    study = crossed(tmp_path / "s", hands)
    seen = []
    for _ in range(4):
        got = study.next_task("R1")
        assert got.task is not None
        mask = study.start_mask(got.task)
        seen.append(mask is not None)
        assert mask is None or (mask.author, mask.kind) == ("", MaskKind.RATER)
        finish(study, got)
    assert sorted(seen) == [False, False, True, True]
    assert {(row["arm"], row["case"], row["start"]) for row in study.rows("tasks")} == {(None, None, None)}
    assert "arm" not in str(study.status())
    with pytest.raises(InputError, match=r"12 tasks are not done"):
        study.lock("lead")
    study.lock("lead", incomplete=True)
    assert {row["arm"] for row in study.rows("tasks")} == {"scratch", "ai"}
    with pytest.raises(InputError, match="locked"):
        study.next_task("R1")
    assert study.verify() == []


def test_practice_comes_first_and_is_marked(tmp_path: Path, hands: Hands) -> None:
    study = crossed(tmp_path / "s", hands, practice=2)
    got = [study.next_task("R2")]
    for _ in range(3):
        finish(study, got[-1])
        got.append(study.next_task("R2"))
    assert [g.task.practice for g in got if g.task] == [True, True, False, False]


def test_a_sham_begins_with_another_raters_mask_and_comes_last(tmp_path: Path, hands: Hands) -> None:
    protocol = raters(arms="arms", **{"[instances]": '[[arms]]\nname = "sham"\nstart = "other-rater"\n\n[instances]'})
    study = StudyStore.create(tmp_path / "s", protocol, seed=3, clock=hands.clock)
    fill(study, 2, [Person("R1", ("rater",)), Person("R2", ("rater",))])
    work = {"R1": 20, "R2": 40}
    shams = []
    for _ in range(4):
        for person, value in work.items():
            while (got := study.next_task(person)).task is not None:
                finish(study, got, value)
        hands.forward(days=29)
    study.lock("lead")
    for row in study.rows("tasks"):
        if row["arm"] == "sham":
            shams.append(row)
            start = study.mask(row["start_version"])
            assert int((start.labels > 0).sum()) == work["R2" if row["person"] == "R1" else "R1"]
    assert len(shams) == 4
    assert {row["period"] for row in shams} == {3}


def test_questions_are_asked_afterwards_and_answered_once(tmp_path: Path, hands: Hands) -> None:
    study = crossed(tmp_path / "s", hands)
    receipt = finish(study, study.next_task("R1"))
    assert receipt.questions == ("seen-before", "difficulty", "confidence")
    study.answer(receipt.task_id, "R1", {"seen-before": 0})
    (left,) = study.unanswered("R1")
    assert left[1] == ("difficulty", "confidence")
    for bad, word in (({"seen-before": 1}, "answered already"), ({"difficulty": 6}, "no answer"), ({"mood": 1}, "does not ask")):
        with pytest.raises(InputError, match=word):
            study.answer(receipt.task_id, "R1", bad)
    with pytest.raises(InputError, match="not one that you have submitted"):
        study.answer(receipt.task_id, "R2", {"difficulty": 3})
    study.answer(receipt.task_id, "R1", {"difficulty": 3, "confidence": 5})
    assert study.unanswered("R1") == ()
    assert study.verify() == []


def test_what_does_not_suit_a_task_is_refused(tmp_path: Path, hands: Hands) -> None:
    study = crossed(tmp_path / "s", hands)
    got = study.next_task("R1")
    assert got.task is not None
    assert got.lease is not None
    good = Submission(new_mask(3), got.task.fingerprint)
    big = new_mask(3)
    other_grid = type(big)(np.zeros((7, 8, 8), np.uint8), type(big.grid).from_spacing((7, 8, 8), (1, 1, 1)), big.schema, big.kind)
    unknown = type(big)(np.full(big.labels.shape, 9, np.uint8), big.grid, big.schema, big.kind)
    journal = tmp_path / "x.journal"
    for wrong, error, word in (
        (Submission(good.mask, "0" * 63 + "f"), InputError, "images that are open are not those"),
        (Submission(good.mask, good.fingerprint, "return"), InputError, "no decision"),
        (Submission(other_grid, good.fingerprint), GeometryError, "not on the grid"),
        (Submission(unknown, good.fingerprint), InputError, "holds the value 9"),
        (Submission(good.mask, good.fingerprint, comments=(Comment((0, 0, 99), "x"),)), InputError, "outside the image"),
        (Submission(good.mask, good.fingerprint, answers={"difficulty": 3}), InputError, "not asked with the result"),
        (Submission(good.mask, good.fingerprint, facts={"x": float("nan")}), InputError, "cannot be kept"),
        (Submission(good.mask, good.fingerprint, journal=journal), InputError, "no record of changes"),
    ):
        with pytest.raises(error, match=word):
            study.submit(got.lease, wrong)
    study.submit(got.lease, good)
    with pytest.raises(ConflictError, match="submitted already"):
        study.submit(got.lease, good)
    assert study.verify() == []


def test_a_task_comes_back_to_its_person_and_the_old_program_may_not_submit(tmp_path: Path, hands: Hands) -> None:
    study = pipeline(tmp_path / "s", hands, cases=1)
    first = study.next_task("S1")
    assert first.lease is not None
    assert study.renew(first.lease).until_us >= first.lease.until_us
    second = study.next_task("S1")
    assert second.resumed
    assert second.task == first.task
    with pytest.raises(ConflictError, match="taken over"):
        finish(study, first)
    # After its lease somebody else of the role may have it.
    assert study.next_task("S2").task is None
    hands.forward(seconds=601)
    assert study.next_task("S2").task == first.task
    with pytest.raises(ConflictError, match="taken over"):
        finish(study, second)


def test_a_late_result_counts_where_nobody_took_the_task(tmp_path: Path, hands: Hands) -> None:
    study = pipeline(tmp_path / "s", hands, cases=1)
    got = study.next_task("S1")
    hands.forward(days=3)
    finish(study, got)
    assert study.rows("tasks")[0]["person"] == "S1"


def test_a_task_can_be_given_back(tmp_path: Path, hands: Hands) -> None:
    study = pipeline(tmp_path / "s", hands, cases=1)
    got = study.next_task("S1")
    assert got.lease is not None
    assert study.peek("S2") is None
    study.release(got.lease)
    assert study.peek("S2") == got.task
    assert study.next_task("S2").task == got.task


def test_the_plan_comes_before_the_first_case_and_stays(tmp_path: Path, hands: Hands) -> None:
    study = StudyStore.create(tmp_path / "s", raters(), seed=7, clock=hands.clock)
    plan = study.protocol.plan
    assert plan is not None
    codes = study.add_cases([NewCase("a", "1" * 64)])
    study.add_people([Person("R1", ("rater",)), Person("R2", ("rater",))])
    study.add_ai_mask(codes[0], new_mask(4, "net", MaskKind.AI))
    study.make_tasks()
    with pytest.raises(InputError, match="has no plan yet"):
        study.next_task("R1")
    digest = study.set_plan(plan)
    assert study.plan == plan.seeded(7)
    assert study.set_plan(plan) == digest
    study.next_task("R1")
    other = type(plan)(plan.primary, type(plan.quality)(plan.quality.endpoint, 0.2))
    with pytest.raises(InputError, match="plan cannot be changed"):
        study.set_plan(other)
    assert study.verify() == []
    file = tmp_path / "s" / "plan.json"
    file.write_text(file.read_text().replace("0.05", "0.20"))
    assert [str(p) for p in study.verify()] == ["File plan.json says another plan than the one that was hashed."]


CHANGES = (
    ("UPDATE task SET decision = 'x' WHERE state = 'submitted'", "submitted"),
    ("UPDATE task SET state = 'ready' WHERE state = 'submitted'", "submitted"),
    ("DELETE FROM task WHERE state = 'submitted'", "submitted"),
    ("UPDATE task SET arm = 'ai'", "only ever added"),
    ("UPDATE version SET author = 'x'", "only ever added"),
    ("DELETE FROM version", "only ever added"),
    ("DELETE FROM audit", "only ever added"),
    ("UPDATE audit SET actor = 'x'", "only ever added"),
    ("UPDATE plan SET text = 'x'", "only ever added"),
    ("UPDATE study SET seed = 2", "only ever added"),
)


def test_the_database_itself_refuses_changes(tmp_path: Path, hands: Hands, where: dict[str, Any]) -> None:
    study = StudyStore.create(tmp_path / "s", raters(), seed=7, clock=hands.clock, **where)
    fill(study, 1, [Person("R1", ("rater",)), Person("R2", ("rater",))])
    finish(study, study.next_task("R1"))
    for statement, word in CHANGES:
        with pytest.raises(InputError, match=word), study.context.database.write() as session:
            session.execute(sa.text(statement))
    assert study.verify() == []
    study.close()


def test_excluding_needs_a_reason_and_opens_the_way(tmp_path: Path, hands: Hands) -> None:
    study = pipeline(tmp_path / "s", hands, cases=1)
    finish(study, study.next_task("S1"))
    one, two = study.next_task("N1"), study.next_task("N2")
    finish(study, one)
    assert two.task is not None
    with pytest.raises(InputError, match="no reason"):
        study.exclude(two.task.id, " ", "lead")
    study.exclude(two.task.id, "N2 fell ill", "lead")
    with pytest.raises(ConflictError):
        finish(study, two)
    assert study.next_task("A1").task is not None
    assert [r["excluded"] for r in study.rows("tasks") if r["task"] == two.task.id] == ["N2 fell ill"]
    study.exclude(1, "motion", "lead")  # a submitted one stays as it is and leads to nothing new
    assert Counter(r["step"] for r in study.rows("tasks")) == {"annotate": 1, "check": 2, "approve": 1}
    assert study.verify() == []


class Handing(RuleBasedStateMachine):
    """People come, crash, renew and submit in any order; no task is anybody's twice, none is lost, none changes."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.hands = Hands()
        self.leases: dict[str, Handout] = {}
        self.old: list[tuple[Lease, str]] = []
        self.done: dict[int, str] = {}

    @initialize()
    def make(self) -> None:
        self.study = pipeline(Path(self.folder.name) / "s", self.hands, cases=3)

    @rule(person=st.sampled_from([p.id for p in TEAM]))
    def come(self, person: str) -> None:
        got = self.study.next_task(person)
        if person in self.leases and self.leases[person].lease is not None:
            self.old.append((self.leases.pop(person).lease, person))  # type: ignore[arg-type]
        if got.task is not None:
            assert got.task.id not in self.done
            for other, theirs in list(self.leases.items()):
                if theirs.task is not None and theirs.task.id == got.task.id:
                    # Somebody else's: only where their lease has run out.
                    assert theirs.lease is not None
                    assert theirs.lease.until_us <= self.hands.wall_us
                    self.old.append((self.leases.pop(other).lease, other))  # type: ignore[arg-type]
            self.leases[person] = got

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), value=st.integers(1, 60), sends_back=st.booleans())
    def submit(self, data: st.DataObject, value: int, sends_back: bool) -> None:
        person = data.draw(st.sampled_from(sorted(self.leases)))
        got = self.leases.pop(person)
        assert got.task is not None
        back = got.task.may_return and sends_back
        comments = (Comment((0, 0, 0), "look"),) if back else ()
        receipt = finish(self.study, got, value, "return" if back else "", comments)
        self.done[got.task.id] = self.study.mask(receipt.version).labels.tobytes().hex()

    @precondition(lambda self: self.old)
    @rule(data=st.data())
    def submit_from_a_program_that_lost_it(self, data: st.DataObject) -> None:
        lease, _ = data.draw(st.sampled_from(self.old))
        fingerprint = next(iter(self.study.cases.values()))[1]
        with pytest.raises(ConflictError):
            self.study.submit(lease, Submission(new_mask(1), fingerprint))

    @rule(seconds=st.sampled_from([1, 300, 601]))
    def wait(self, seconds: int) -> None:
        self.hands.forward(seconds=seconds)

    @invariant()
    def nothing_is_lost_and_nothing_changes(self) -> None:
        if not hasattr(self, "study"):
            return
        rows = self.study.rows("tasks")
        assert {r["task"] for r in rows if r["state"] == "submitted"} == set(self.done)
        leased = [r for r in rows if r["state"] == "leased"]
        assert {g.task.id for g in self.leases.values() if g.task} == {r["task"] for r in leased}
        for row in rows:
            if row["state"] == "submitted":
                assert self.study.mask(row["version"]).labels.tobytes().hex() == self.done[row["task"]]
        # Each case is at one step of its last round, or finished.
        for case in self.study.cases:
            mine = [r for r in rows if r["case"] == case]
            assert any(r["state"] in ("ready", "leased") for r in mine) or any(
                r["step"] == "approve" and r["decision"] == "accept" for r in mine
            )

    def teardown(self) -> None:
        if hasattr(self, "study"):
            assert self.study.verify() == []
            self.study.close()
        self.folder.cleanup()


TestHanding = Handing.TestCase
TestHanding.settings = settings(max_examples=5, stateful_step_count=20, deadline=None)
