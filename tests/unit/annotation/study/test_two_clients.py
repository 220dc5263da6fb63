"""A thousand tasks, two programs, one of them killed: none is handed out twice, none is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from napari_tumorseg.annotation.study.protocol_file import load_protocol, parse_protocol
from napari_tumorseg.annotation.study.records import NewCase, Person
from napari_tumorseg.annotation.study.store import StudyStore

TASKS = 1000
# Longer than a program on a busy machine is kept waiting, shorter than the other one still works.
LEASE_S = 5.0
NETWORK = "server:/x / nfs4 rw 0 0"
# One program: asks and submits until told that all is done; says what it does, so that the test sees when to kill it.
CLIENT = """
import sys, time
from napari_tumorseg.core.case import MaskKind, MaskVersion
from napari_tumorseg.annotation.study.records import Submission
from napari_tumorseg.annotation.study.store import StudyStore
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
import numpy as np
place, person, mounts, hold = sys.argv[1:5]
study = StudyStore.open(place, mounts=mounts or None)
mask = MaskVersion(np.zeros((6, 8, 8), np.uint8), Grid.from_spacing((6, 8, 8), (1, 1, 1)), preset("brats-mets-2025"), MaskKind.RATER)
print("ready", flush=True)
sys.stdin.readline()
count = 0
while True:
    got = study.next_task(person)
    if got.task is None:
        if "other people" in got.why:
            time.sleep(0.05)
            continue
        print("done", got.why, flush=True)
        break
    print("has", got.task.id, flush=True)
    count += 1
    if count == int(hold):
        time.sleep(3600)
    study.submit(got.lease, Submission(mask, got.task.fingerprint))
    print("submitted", got.task.id, flush=True)
"""


def one_step_study(folder: Path, tasks: int, **where: Any) -> StudyStore:
    """Return a study in which any of three students may do any of the tasks, and there is nothing else to do."""
    text = load_protocol("brats-mets-pipeline").text
    start, rest = text.split("[[steps]]")[0], "[[questions]]" + text.split("[[questions]]", 1)[1]
    step = '[[steps]]\nname = "annotate"\nrole = "student"\nstart = "empty"\n\n'
    protocol = parse_protocol(start.replace("lease_minutes = 10", f"lease_minutes = {LEASE_S / 60}") + step + rest, "one.toml")
    study = StudyStore.create(folder, protocol, seed=1, **where)
    study.add_cases([NewCase(f"c/{i}", f"{i:064x}") for i in range(tasks)])
    study.add_people([Person(f"S{i}", ("student",)) for i in (1, 2)])
    study.make_tasks()
    return study


def run_two(place: str, mounts: str, kill_after: int) -> list[list[str]]:
    """Run two programs at once, kill the first while it has a task, and return what each said."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    clients = [
        subprocess.Popen(
            [sys.executable, "-c", CLIENT, place, f"S{i + 1}", mounts, str(kill_after if i == 0 else -1)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env,
        )
        for i in range(2)
    ]  # fmt: skip
    try:
        for client in clients:
            assert client.stdout is not None
            assert client.stdout.readline() == "ready\n", client.communicate()[1]
        for client in clients:
            assert client.stdin is not None
            client.stdin.write("go\n")
            client.stdin.flush()
        said: list[list[str]] = [[], []]
        assert clients[0].stdout is not None
        while len([line for line in said[0] if line.startswith("has")]) < kill_after:
            line = clients[0].stdout.readline()
            assert line, f"The first program ended before it had {kill_after} tasks: {said[0][-1:]}"
            said[0].append(line.strip())
        clients[0].send_signal(signal.SIGKILL)
        clients[0].communicate()
        out, errors = clients[1].communicate(timeout=300)
        assert clients[1].returncode == 0, errors
        said[1] = out.split("\n")
        return said
    finally:
        for client in clients:
            if client.poll() is None:
                client.kill()
                client.communicate()


def check(study: StudyStore, said: list[list[str]], tasks: int) -> None:
    done = [[int(line.split()[1]) for line in lines if line.startswith("submitted")] for lines in said]
    held = [int(line.split()[1]) for line in said[0] if line.startswith("has")][-1]
    assert held not in done[0]
    assert held in done[1]  # the lease of the killed one ran out, and the other took its task
    everything = done[0] + done[1]
    assert Counter(everything) == Counter(range(1, tasks + 1))
    assert done[0]
    rows = study.rows("tasks")
    assert {row["state"] for row in rows} == {"submitted"}
    assert Counter(row["person"] for row in rows) == {"S1": len(done[0]), "S2": len(done[1])}
    actions = Counter(row["action"] for row in study.rows("audit"))
    assert (actions["handed out"], actions["submitted"]) == (tasks + 1, tasks)
    assert study.verify() == []
    study.close()


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_thousand_tasks_on_postgresql(tmp_path: Path, database: str) -> None:
    study = one_step_study(tmp_path / "s", TASKS, database=database)
    check(study, run_two(database, "", 100), TASKS)


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_thousand_tasks_on_sqlite(tmp_path: Path) -> None:
    study = one_step_study(tmp_path / "s", TASKS)
    check(study, run_two(str(tmp_path / "s"), "", 100), TASKS)


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_sqlite_on_a_network_share_keeps_no_shared_memory(tmp_path: Path) -> None:
    study = one_step_study(tmp_path / "s", 60, mounts=NETWORK)
    said = run_two(str(tmp_path / "s"), NETWORK, 5)
    assert not [p.name for p in (tmp_path / "s").iterdir() if p.name.endswith(("-wal", "-shm"))]
    with study.context.reading() as session:
        assert session.connection().exec_driver_sql("PRAGMA journal_mode").scalar() == "delete"
    check(study, said, 60)


def test_one_program_waits_for_the_other(tmp_path: Path) -> None:
    study = one_step_study(tmp_path / "s", 1)
    with study.context.database.write():
        other = StudyStore.open(tmp_path / "s")
        began = time.monotonic()
        other.context.database.engine.dispose()
        assert other.status()["tasks"] == {"ready": 1}  # looking needs no turn
        assert time.monotonic() - began < 30
    assert other.next_task("S1").task is not None
