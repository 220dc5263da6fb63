"""A small study, a clock that tests move, and a temporary PostgreSQL."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_tumorseg.annotation.entries import Clock
from napari_tumorseg.annotation.study.protocol import Protocol
from napari_tumorseg.annotation.study.protocol_file import load_protocol, parse_protocol
from napari_tumorseg.annotation.study.records import Comment, Handout, NewCase, Person, Receipt, Submission
from napari_tumorseg.annotation.study.store import StudyStore
from napari_tumorseg.core.case import MaskKind, MaskVersion
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset

SHAPE = (6, 8, 8)
GRID = Grid.from_spacing(SHAPE, (1.0, 1.0, 1.0))
SCHEMA = preset("brats-mets-2025")
DAY_US = 86_400 * 10**6


@dataclass
class Hands:
    """Both clocks; a test moves them."""

    wall_us: int = 1_800_000_000 * 10**6
    mono_us: int = 10**9

    def forward(self, days: float = 0.0, seconds: float = 0.0) -> None:
        step = round((days * 86_400 + seconds) * 1e6)
        self.wall_us += step
        self.mono_us += step

    def set_back(self, seconds: float) -> None:
        self.wall_us -= round(seconds * 1e6)

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.mono_us * 1000, lambda: self.wall_us * 1000)


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a folder in memory where there is one: every transaction waits for the disk, and tests make thousands."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path_factory.mktemp("study")
        return
    folder = Path(tempfile.mkdtemp(prefix="tumorseg-test-", dir=memory))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def new_mask(value: int = 0, author: str = "", kind: MaskKind = MaskKind.RATER) -> MaskVersion:
    """Return a mask; `value` says how much of it is tumour."""
    labels = np.zeros(SHAPE, np.uint8)
    labels.flat[: value % labels.size] = 3
    return MaskVersion(labels, GRID, SCHEMA, kind, author)


def raters(by: str = "crossed", sets: int = 1, *, practice: int = 0, extra: str = "", **changes: str) -> Protocol:
    """Return the protocol of the raters with some lines changed."""
    text = load_protocol("brats-mets-raters").text
    text = text.replace('by = "crossed"', f'by = "{by}"').replace("sets = 1", f"sets = {sets}")
    text = text.replace("practice_cases = 1", f"practice_cases = {practice}")
    for old, new in changes.items():
        text = text.replace(old, new)
    return parse_protocol(text + extra, "test.toml")


def fill(study: StudyStore, cases: int, people: list[Person], *, practice: int = 0) -> None:
    """Add cases, people, AI masks, a plan and tasks."""
    new = [NewCase(f"cases/patient-{i}", f"{i:064x}", practice=i < practice) for i in range(cases + practice)]
    codes = study.add_cases(new)
    study.add_people(people)
    for number, code in enumerate(codes):
        study.add_ai_mask(code, new_mask(number + 1, "net 1", MaskKind.AI), {"seconds": 3.5})
    if study.protocol.plan is not None:
        study.set_plan(study.protocol.plan)
    study.make_tasks()


def crossed(folder: Path, hands: Hands, cases: int = 4, people: int = 2, **more: Any) -> StudyStore:
    """Return a comparison by raters R1, R2 and so on."""
    study = StudyStore.create(folder, raters(**more), seed=7, clock=hands.clock)
    fill(study, cases, [Person(f"R{i + 1}", ("rater",)) for i in range(people)], practice=study.protocol.practice_cases)
    return study


TEAM = [
    Person("S1", ("student",)),
    Person("S2", ("student",)),
    Person("N1", ("neuroradiologist",)),
    Person("N2", ("neuroradiologist",)),
    Person("A1", ("approver",)),
]


def pipeline(folder: Path, hands: Hands, cases: int = 2, **more: Any) -> StudyStore:
    """Return a pipeline with two students, two neuroradiologists and one approver."""
    study = StudyStore.create(folder, load_protocol("brats-mets-pipeline"), seed=7, clock=hands.clock, **more)
    fill(study, cases, TEAM)
    return study


def finish(study: StudyStore, got: Handout, value: int = 5, decision: str = "", comments: tuple[Comment, ...] = ()) -> Receipt:
    """Submit what was handed out."""
    assert got.task is not None
    assert got.lease is not None
    choice = decision or ("accept" if got.task.may_return else "submit")
    return study.submit(got.lease, Submission(new_mask(value), got.task.fingerprint, choice, comments=comments))


# -- PostgreSQL


def _find_postgresql() -> Path | None:
    folders = [Path(found).parent for found in (shutil.which("initdb"),) if found]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: p.parent.name, reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "pg_ctl").exists()), None)


def _as_owner(command: list[str]) -> list[str]:
    # PostgreSQL refuses to run as root.
    if os.geteuid() != 0:
        return command
    owner = "postgres" if subprocess.run(["id", "postgres"], capture_output=True, check=False).returncode == 0 else "nobody"
    return ["runuser", "-u", owner, "--", *command]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Give the URL of a running server: a cluster of its own, reached by a socket in a temporary folder."""
    binaries = _find_postgresql()
    if sys.platform == "win32" or binaries is None:
        pytest.skip("PostgreSQL is not installed (on Debian: apt-get install postgresql), so the store is not tested on it")
    pytest.importorskip("psycopg", reason="the driver for PostgreSQL is not installed (napari-tumorseg[postgres])")
    # Not pytest's own folder: that lies below one that only its user may enter, and a socket's path has 107 characters at most.
    home = Path(tempfile.mkdtemp(prefix="tumorseg-pg-", dir="/tmp"))
    if os.geteuid() == 0:
        owner = _as_owner([])[2]
        shutil.chown(home, owner)
    data = home / "data"

    def run(name: str, *arguments: str) -> None:
        done = subprocess.run(_as_owner([str(binaries / name), *arguments]), cwd=home, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    options = f"-c listen_addresses='' -c unix_socket_directories={home} -c fsync=off -c max_connections=40"
    try:
        run("initdb", "-D", str(data), "-A", "trust", "-U", "tester", "--no-sync", "-E", "UTF8", "--locale=C")
        run("pg_ctl", "-D", str(data), "-w", "-l", str(home / "log"), "-o", options, "start")
        try:
            yield f"postgresql://tester@/postgres?host={home}"
        finally:
            run("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def database(postgresql: str) -> Iterator[str]:
    """Give the URL of an empty schema of the temporary server, which is made faster than a database."""
    import uuid

    import sqlalchemy as sa

    name = f"t{uuid.uuid4().hex}"
    engine = sa.create_engine(postgresql.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {name}")
    yield f"{postgresql}&options=-csearch_path%3D{name}"
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {name} CASCADE")
    engine.dispose()
