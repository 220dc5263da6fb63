"""A study that was never read by anybody: raters with known habits drive the real store and real journals by a clock of their own."""

from __future__ import annotations

import html
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import sqlalchemy as sa

from napari_tumorseg.annotation.rehearsal import Habits, HandClock, rehearse
from napari_tumorseg.annotation.study.planted import PlantedError, plant
from napari_tumorseg.annotation.study.protocol import Protocol
from napari_tumorseg.annotation.study.protocol_file import load_protocol, parse_protocol
from napari_tumorseg.annotation.study.records import Handout, NewCase, Person, Submission
from napari_tumorseg.annotation.study.store import StudyStore
from napari_tumorseg.annotation.study.tables import CaseRow, TaskRow
from napari_tumorseg.core.case import MaskKind, MaskVersion
from napari_tumorseg.core.document import MaskDocument
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.evaluation.study.readings import Readings
from napari_tumorseg.evaluation.study.simulate import Truth, draw_times

SHAPE = (4, 24, 24)
GRID = Grid.from_spacing(SHAPE, (2.0, 1.0, 1.0))
SCHEMA = preset("brats-mets-2025")
Labels = npt.NDArray[np.uint8]
SHORT = Truth(0.3, rater_arm_sd=0.05, case_arm_sd=0.05, residual_sd=0.1, median_s=15.0)


def lesion_at(place: int) -> tuple[slice, slice, slice]:
    """Return where the lesion of one of nine places lies; places do not touch."""
    y, x = divmod(place, 3)
    return slice(0, 3), slice(8 * y + 1, 8 * y + 5), slice(8 * x + 1, 8 * x + 5)


def with_lesions(places: list[int]) -> Labels:
    labels = np.zeros(SHAPE, np.uint8)
    for place in places:
        labels[lesion_at(place)] = 3
    return labels


def raters_protocol(*, sets: int = 0, planted: float = 0.0, **changes: str) -> Protocol:
    text = load_protocol("brats-mets-raters").text.replace("sets = 1", f"sets = {sets}").replace("share = 0.0", f"share = {planted}")
    text = text.replace('kinds = ["missed-lesion", "vessel", "shifted-edge"]', 'kinds = ["missed-lesion", "shifted-edge"]')
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return parse_protocol(text, "test.toml")


@dataclass
class Rehearsed:
    """A study under way: cases with 2 to 5 lesions, whose AI misses the last one and marks one that is not there.

    Raters miss a tenth of the lesions from scratch. Helped, they add what the AI missed in `sees` of the cases, and take out what it
    made up in as many.
    """

    folder: Path
    protocol: Protocol
    people: int = 6
    cases: int = 5
    seed: int = 4
    truth: Truth = field(default_factory=lambda: Truth(0.35, rater_arm_sd=0.1, case_arm_sd=0.05, residual_sd=0.12, median_s=60.0))
    sees: float = 0.3

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.clock = HandClock()
        self.study = StudyStore.create(self.folder, self.protocol, seed=self.seed, title="Rehearsal", clock=self.clock.clock)
        practice = self.protocol.practice_cases
        new = [NewCase(f"cases/DOE-JANE-{n}", f"{n:064x}", practice=n < practice) for n in range(self.cases + practice)]
        codes = self.study.add_cases(new)
        self.study.add_people([Person(f"R{n + 1}", ("rater",), f"{n + 1} years") for n in range(self.people)])
        self.true = {code: list(range(2 + n % 4)) for n, code in enumerate(codes)}
        for code, places in self.true.items():
            mask = MaskVersion(with_lesions([*places[:-1], 7]), GRID, SCHEMA, MaskKind.AI, "net")
            self.study.add_ai_mask(code, mask, {"seconds": 3.5})
        assert self.protocol.plan is not None
        self.study.set_plan(self.protocol.plan)
        self.study.make_tasks(self._plant)
        with self.study.context.reading() as session:
            rows = session.execute(sa.select(TaskRow, CaseRow.code).join(CaseRow, CaseRow.id == TaskRow.case_id).order_by(TaskRow.id)).all()
            self.design: dict[int, dict[str, Any]] = {
                row.id: {
                    "case": code,
                    "arm": row.arm,
                    "rater": row.person,
                    "period": row.period,
                    "order": row.position,
                    "practice": row.practice,
                }
                for row, code in rows
            }
        self.seconds = self._times()
        self.drawn: dict[int, Labels] = {}

    def _plant(self, case: str, mask: MaskVersion, kind: str, seed: int) -> tuple[MaskVersion, PlantedError]:
        labels, error = plant(mask.labels, mask.grid, mask.schema, kind, seed, shift_mm=2.0)
        return replace(mask, labels=labels), error

    def _times(self) -> dict[int, float]:
        """Draw the times of all readings by the truth, the arms as the study has drawn them."""
        arms = [arm.name for arm in self.protocol.arms][:2]
        tasks = [task for task, row in self.design.items() if row["arm"] in arms]
        rows = [{**self.design[task], "lesions": len(self.true[self.design[task]["case"]]), "seconds": 1.0} for task in tasks]
        log_s, _ = draw_times(Readings.of(rows, arms), self.truth, self.rng)
        return dict(zip(tasks, map(float, np.exp(log_s)), strict=True))

    def drawing(self, task: int, start: MaskVersion | None) -> Labels:
        """Return what the rater makes of it."""
        row, rng = self.design[task], self.rng
        places = self.true[row["case"]]
        if start is None:
            labels = with_lesions([place for place in places if rng.random() > 0.1])
        else:
            labels = np.array(start.labels)
            for place in places:
                if not labels[lesion_at(place)].any() and rng.random() < self.sees:
                    labels[lesion_at(place)] = 3
            if rng.random() < self.sees:
                labels[lesion_at(7)] = 0
        if rng.random() < 0.5:
            labels[0, :, ::8] = 0  # a row of each lesion less
            labels[2] = np.where(rng.random(SHAPE[1:]) < 0.1, 0, labels[2])
        return labels

    def read(self, got: Handout, journal: bool = True) -> None:
        """Do a task: draw, write the journal, submit, answer."""
        assert got.task is not None
        assert got.lease is not None
        task = got.task
        start = self.study.start_mask(task)
        labels = self.drawing(task.id, start)
        path = self.folder.parent / f"{task.id}.journal"
        if journal:
            before = np.zeros(SHAPE, np.uint8) if start is None else start.labels
            document = MaskDocument(before, GRID, SCHEMA, MaskKind.RATER if start is None else MaskKind.AI)
            rater = int(task.person[1:])
            habits = Habits(
                think_share=0.1 + 0.1 * rater, think_s=15.0, act_s=2.5, pause_s=60.0 if task.id % 5 == 0 else 0.0,
                away_s=20.0 if task.id % 7 == 0 else 0.0, wait_share=0.1 if rater % 2 else 0.0,
            )  # fmt: skip
            facts = self.study.journal_facts(task, task.person)
            rehearse(path, document, self.seconds.get(task.id, 60.0), self.rng, habits, self.clock, final=labels, mask="lesions", **facts)
        mask = MaskVersion(labels, GRID, SCHEMA, MaskKind.RATER)
        self.study.submit(got.lease, Submission(mask, task.fingerprint, journal=path if journal else None))
        self.study.answer(task.id, task.person, {"seen-before": 0, "difficulty": 2 + task.id % 3, "confidence": 4})
        self.drawn[task.id] = labels
        path.unlink(missing_ok=True)

    def work(self, journal: Callable[[int], bool] = lambda _: True) -> None:
        """Let everybody do everything, with the washout between."""
        while True:
            done = 0
            for number in range(self.people):
                while (got := self.study.next_task(f"R{number + 1}")).task is not None:
                    self.read(got, journal(got.task.id))
                    done += 1
            if not done:
                return
            self.clock.work(29 * 86_400)


@pytest.fixture(scope="session")
def memory_folder() -> Iterator[Path]:
    """Give a folder in memory where there is one: every transaction waits for the disk."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="tumorseg-test-", dir=memory if os.access(memory, os.W_OK) else None))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Maker:
    """Makes rehearsed studies in folders of their own."""

    root: Path
    short: Truth = SHORT

    def __call__(self, name: str, protocol: Protocol | None = None, **more: Any) -> Rehearsed:
        return Rehearsed(self.root / name / "study", protocol or raters_protocol(), **more)

    protocol = staticmethod(raters_protocol)


@pytest.fixture(scope="session")
def rehearsals(memory_folder: Path) -> Maker:
    return Maker(memory_folder)


@pytest.fixture(scope="session")
def finished(rehearsals: Maker) -> Rehearsed:
    """A study of 6 raters and 5 cases, all read in both arms, planted errors, locked; one reading is excluded."""
    made = rehearsals("finished", raters_protocol(planted=0.25))
    made.work()
    made.study.exclude(next(task for task, row in made.design.items() if not row["practice"]), "interrupted by an alarm", "lead")
    made.study.lock("lead")
    return made


@pytest.fixture
def small(rehearsals: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A study of 2 raters and 3 cases, not begun."""
    name = re.sub(r"\W", "-", request.node.name)
    made = rehearsals(name, rehearsals.protocol(sets=1), people=2, cases=3, truth=SHORT)
    yield made
    made.study.close()


def _text_of(page: str) -> str:
    """Return the page's text with its tags taken out."""
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"<svg.*?</svg>", "", page, flags=re.S))))


@pytest.fixture(scope="session")
def numbers_in() -> Callable[[str], str]:
    """Give what makes text of a page."""
    return _text_of
