"""Studies by the command line from init to merge, on small images."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from napari_tumorseg.annotation.study.store import StudyStore
from napari_tumorseg.cli import main
from napari_tumorseg.core.case import MaskKind, MaskVersion
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.io.registry import read_image, read_mask, write_image, write_mask
from napari_tumorseg.workflows.study.task import change_facts, open_task

SHAPE = (8, 10, 12)
GRID = Grid.from_spacing(SHAPE, (1.0, 1.0, 1.0))
SCHEMA = preset("brats-mets-2025")
SECRET = "DOE-JANE-1961"


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """Three cases whose folders are named after patients, each with a mask beside that nobody may see."""
    rng = np.random.default_rng(1)
    for number in range(3):
        folder = tmp_path / "cases" / f"{SECRET}-{number}"
        folder.mkdir(parents=True)
        for name in ("t1c", "t2f"):
            write_image(folder / f"{SECRET}-{number}-{name}.nii.gz", Volume(rng.integers(1, 900, SHAPE).astype(np.int16), GRID))
        write_mask(folder / f"{SECRET}-{number}-seg.nii.gz", lesions(50))
    return tmp_path / "cases"


@pytest.fixture
def ai(tmp_path: Path, cases: Path) -> Path:
    folder = tmp_path / "ai"
    folder.mkdir()
    for number in range(3):
        write_mask(folder / f"{SECRET}-{number}.nii.gz", lesions(20 + number))
    return folder


def lesions(voxels: int) -> MaskVersion:
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:5, 2:6, 2:8].flat[:voxels] = 3
    block = labels[2:5, 2:6, 2:8]
    block[np.unravel_index(np.arange(voxels), block.shape)] = 3
    return MaskVersion(labels, GRID, SCHEMA, MaskKind.AI, "net")


class Shell:
    """Runs commands and reads what they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: object) -> dict[str, Any]:
        self.capsys.readouterr()
        status = main(["study", *map(str, arguments), "--json"])
        out, err = self.capsys.readouterr()
        assert status == 0, err
        document: dict[str, Any] = json.loads(out)
        assert SECRET not in json.dumps({k: v for k, v in document.items() if k not in ("folder", "file", "files")})
        return document

    def fails(self, *arguments: object, status: int = 2) -> str:
        self.capsys.readouterr()
        assert main(["study", *map(str, arguments)]) == status
        out, err = self.capsys.readouterr()
        said = err or out
        assert said.strip().count("\n") == 0, said
        assert "Traceback" not in said
        return said


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


def start(shell: Shell, tmp_path: Path, cases: Path, ai: Path) -> Path:
    study = tmp_path / "study"
    made = shell("init", study, "--protocol", "brats-mets-raters", "--cases", cases, "--seed", 3, "--title", "Two arms")
    assert (made["cases"], made["practice"], made["seed"]) == (2, 1, 3)
    assert shell("assign", study, "--person", "R1:rater:resident", "--person", "R2:rater", "--ai-masks", ai)["tasks"] == 10
    return study


def work(shell: Shell, study: Path, person: str, out: Path, voxels: int) -> dict[str, Any]:
    """Take a task, draw, submit."""
    got = shell("next", study, "--person", person, "--out", out)
    folder = out / got["task"]["code"]
    mask = read_mask(folder / "start.nii.gz", schema=SCHEMA)
    assert bool(mask.labels.any()) == got["task"]["has_mask"]
    write_mask(folder / "done.nii.gz", lesions(voxels))
    return shell("submit", study, folder / "ticket.json", folder / "done.nii.gz", "--answer", "difficulty=2", "--answer", "seen-before=0")


def test_from_init_to_the_tables(shell: Shell, tmp_path: Path, cases: Path, ai: Path) -> None:
    study = start(shell, tmp_path, cases, ai)
    assert shell("next", study, "--person", "R1", "--peek")["task"]["practice"]
    for person in ("R1", "R2"):
        for _ in range(3):
            assert work(shell, study, person, tmp_path / "work", 30)["questions"] == ["confidence"]
    nothing = shell("next", study, "--person", "R1", "--peek")
    assert nothing["task"] is None
    assert nothing["why"].startswith("Nothing until ")
    status = shell("status", study)
    assert (status["tasks"], status["title"]) == ({"ready": 4, "submitted": 6}, "Two arms")
    assert [p["submitted"] for p in status["people"]] == [3, 3]
    assert shell("verify", study)["ok"]
    hidden = shell("export", study, "--out", tmp_path / "tables")
    assert "arms" in hidden["notice"]
    assert not (tmp_path / "tables" / "planted.csv").exists()
    assert "are given out once the data are locked" in shell.fails("export", study, "--out", tmp_path / "tables", "--masks")
    assert "4 tasks are not done" in shell.fails("export", study, "--out", tmp_path / "tables", "--lock")
    shell("exclude", study, 1, "--reason", "interrupted", "--person", "lead")
    shown = shell("export", study, "--out", tmp_path / "tables", "--lock", "--incomplete", "--masks")
    assert shown["rows"]["tasks"] == 10
    with (tmp_path / "tables" / "tasks.csv").open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    packed = parquet.read_table(tmp_path / "tables" / "tasks.parquet").to_pylist()
    assert [r["code"] for r in rows] == [r["code"] for r in packed]
    assert {r["arm"] for r in rows} == {"ai", "scratch"}
    assert [r["excluded"] for r in packed if r["task"] == 1] == ["interrupted"]
    done = [r for r in packed if r["state"] == "submitted"]
    for row in done:
        facts = json.loads(row["facts"])
        assert (facts["dice_with_start"] is None) == (row["arm"] == "scratch")
        assert facts["voxels_added"] - facts["voxels_removed"] == 30 - (0 if row["arm"] == "scratch" else _start_size(tmp_path, row))
    everything = b"".join(path.read_bytes() for path in (tmp_path / "tables").rglob("*") if path.is_file())
    assert SECRET.encode() not in everything
    assert shell("verify", study)["ok"]
    assert "are locked" in shell.fails("next", study, "--person", "R1", "--out", tmp_path / "x")


def _start_size(tmp_path: Path, row: dict[str, Any]) -> int:
    return int((read_mask(tmp_path / "tables" / "masks" / f"{row['start_version']}.nii.gz").labels > 0).sum())


def test_images_are_shown_under_their_code_alone(shell: Shell, tmp_path: Path, cases: Path, ai: Path) -> None:
    study = start(shell, tmp_path, cases, ai)
    got = shell("next", study, "--person", "R1", "--out", tmp_path / "work")
    folder = tmp_path / "work" / got["task"]["code"]
    assert sorted(p.name for p in folder.iterdir()) == ["FLAIR.nii.gz", "T1c.nii.gz", "start.nii.gz", "ticket.json"]
    assert SECRET not in (folder / "ticket.json").read_text()
    with StudyStore.open(study) as store:
        task = store.task(got["task"]["id"])
        opened = open_task(store, task)
        volumes = opened.case.latest.volumes
        assert (opened.case.name, sorted(v.name for v in volumes.values()), dict(opened.case.latest.masks)) == (
            task.code,
            ["FLAIR", "T1c"],
            {},
        )
        np.testing.assert_array_equal(read_image(folder / "T1c.nii.gz").data, volumes["T1c"].data)
        assert opened.mask.grid.matches(volumes["T1c"].grid)
        assert SECRET not in json.dumps([store.rows(t) for t in ("tasks", "versions", "audit")], default=str)


def test_a_wrong_case_is_not_opened(shell: Shell, tmp_path: Path, cases: Path, ai: Path) -> None:
    study = start(shell, tmp_path, cases, ai)
    got = shell("next", study, "--person", "R1", "--out", tmp_path / "work")
    with StudyStore.open(study) as store:
        task = store.task(got["task"]["id"])
        image = store.case_folder(task) / f"{store.case_folder(task).name}-t1c.nii.gz"
    other = next(path for path in sorted(cases.rglob("*t1c.nii.gz")) if path != image)
    shutil.copy(other, image)
    ticket = tmp_path / "work" / task.code
    said = shell.fails("submit", study, ticket / "ticket.json", ticket / "start.nii.gz")
    assert said == f"The images of task {task.code} are not those that the study was made with. Bring the original files back.\n"


def test_a_study_that_was_moved_finds_its_cases_again(shell: Shell, tmp_path: Path, cases: Path, ai: Path) -> None:
    study = start(shell, tmp_path, cases, ai)
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    study = Path(shutil.move(study, deep / "study"))
    assert "are not where the study has them" in shell.fails("next", study, "--person", "R1", "--out", tmp_path / "w")
    assert "None of the study's cases" in shell.fails(
        "assign", study, "--cases", ai.parent / "w" if (ai.parent / "w").exists() else _empty(tmp_path)
    )
    # Renamed, and with other cases beside: content decides.
    for number, folder in enumerate(sorted(cases.iterdir())):
        folder.rename(cases / f"renamed-{number}")
    assert shell("assign", study, "--cases", cases)["found"] == 3
    assert work(shell, study, "R1", tmp_path / "work", 10)
    # Study and cases moved together stay together.
    both = tmp_path / "both"
    both.mkdir()
    shutil.move(tmp_path / "a", both / "a")
    shutil.move(cases, both / "cases")
    assert work(shell, both / "a" / "b" / "study", "R2", tmp_path / "work", 10)


def _empty(tmp_path: Path) -> Path:
    folder = tmp_path / "others" / "case"
    folder.mkdir(parents=True)
    write_image(folder / "t1c.nii.gz", Volume(np.zeros(SHAPE, np.int16), GRID))
    return folder.parent


def test_a_missing_model_is_told(shell: Shell, tmp_path: Path, cases: Path) -> None:
    study = tmp_path / "study"
    shell("init", study, "--protocol", "brats-mets-raters", "--cases", cases)
    people = ("--person", "R1:rater", "--person", "R2:rater")
    assert "no-such-model" in shell.fails("assign", study, *people, "--model", "no-such-model")
    # The same line again says the same, and not that the people are there; somebody else of that id is refused.
    assert "no-such-model" in shell.fails("assign", study, *people, "--model", "no-such-model")
    assert "as another" in shell.fails("assign", study, "--person", "R1:rater:professor")
    said = shell.fails("assign", study)
    assert said.startswith("3 cases have no AI mask: ")
    assert "--model" in said


def test_a_package_goes_out_and_comes_back(shell: Shell, tmp_path: Path, cases: Path, ai: Path) -> None:
    study, there = start(shell, tmp_path, cases, ai), tmp_path / "hospital"
    assert shell("pack", study, "--person", "R2", "--out", tmp_path / "r2.zip")["tasks"] == 5
    assert SECRET.encode() not in (tmp_path / "r2.zip").read_bytes()
    opened = shell("init", there, "--package", tmp_path / "r2.zip")
    assert (opened["cases"], opened["practice"]) == (2, 1)
    work(shell, there, "R2", tmp_path / "work", 33)
    assert shell("pack", there, "--out", tmp_path / "back.zip")["tasks"] == 1
    assert shell("merge", study, tmp_path / "back.zip")["merged"] == 1
    assert "nothing was changed" in shell("merge", study, tmp_path / "back.zip")["text"]
    assert "packages are never replaced" in shell.fails("pack", there, "--out", tmp_path / "back.zip")
    assert shell("verify", study)["ok"]
    # Without images the hospital names its own.
    assert shell("pack", study, "--person", "R1", "--out", tmp_path / "r1.zip", "--no-images")["tasks"] == 5
    shell("init", tmp_path / "other", "--package", tmp_path / "r1.zip", "--cases", cases)
    work(shell, tmp_path / "other", "R1", tmp_path / "work", 12)


def test_planted_errors_are_told_after_the_lock_alone(shell: Shell, tmp_path: Path, cases: Path, ai: Path) -> None:
    from napari_tumorseg.annotation.study.protocol_file import load_protocol

    own = tmp_path / "own.toml"
    text = load_protocol("brats-mets-raters").text.replace("share = 0.0", "share = 0.5").replace('"vessel", ', "")
    own.write_text(text, encoding="utf-8")
    study = tmp_path / "study"
    shell("init", study, "--protocol", own, "--cases", cases, "--seed", 1)
    shell("assign", study, "--person", "R1:rater", "--person", "R2:rater", "--ai-masks", ai)
    with StudyStore.open(study) as store:
        assert store.rows("planted") == []
        assert {row["kind"] for row in store.rows("versions")} == {None}
        store.lock("lead", incomplete=True)
        planted = store.rows("planted")
        assert sorted(row["kind"] for row in planted) == ["missed-lesion", "shifted-edge"]
        assert store.verify() == []


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("init", "{new}"), "needs a protocol and cases"),
        (("init", "{new}", "--protocol", "x", "--cases", "{cases}"), "no protocol 'x'"),
        (("init", "{new}", "--protocol", "brats-mets-raters", "--cases", "{cases}", "--practice", "x"), "no case 'x' for practice"),
        (("status", "{new}"), "is no study"),
        (("next", "{study}", "--person", "R9", "--peek"), "R9 is not in this study. There are R1, R2."),
        (("next", "{study}", "--person", "R1"), "--out"),
        (("assign", "{study}", "--person", "R1"), "describes nobody"),
        (("assign", "{study}", "--person", "R3:boss"), "does not know"),
        (("assign", "{study}", "--person", "Jane Doe:rater"), "is no id of a person"),
        (("submit", "{study}", "{new}", "{new}"), "is no ticket"),
        (("submit", "{study}", "{new}", "{new}", "--comment", "here"), "not pinned to a voxel"),
        (("merge", "{study}", "{new}"), "There is no file"),
        (("pack", "{study}", "--person", "R1"), "--out FILE.zip"),
        (("pack", "{study}", "--out", "{new}"), "not the offline part"),
    ],
)
def test_mistakes_are_told_in_one_line(shell: Shell, tmp_path: Path, cases: Path, ai: Path, arguments: tuple[str, ...], word: str) -> None:
    study = start(shell, tmp_path, cases, ai)
    places = {"new": tmp_path / "new", "study": study, "cases": cases}
    assert word in shell.fails(*(text.format(**places) for text in arguments))
    assert not (tmp_path / "new").exists()


def test_what_changed_is_counted_by_lesion() -> None:
    before, after = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    before[0, 0, 0:3] = 3  # kept
    after[0, 0, 0:3] = 3
    before[3, 3, 3:5] = 3  # relabelled in one voxel, one added
    after[3, 3, 3:6] = (3, 2, 3)
    before[6, 6, 6] = 3  # deleted
    after[7, 9, 0:2] = 3  # added
    facts = change_facts(MaskVersion(before, GRID, SCHEMA, MaskKind.AI), MaskVersion(after, GRID, SCHEMA, MaskKind.RATER))
    assert facts == {
        "voxels_added": 3, "voxels_removed": 1, "voxels_relabelled": 1, "dice_with_start": 2 * 5 / (6 + 8), "unmodified": False,
        "lesions": 3, "lesions_added": 1, "lesions_deleted": 1, "lesions_accepted_unmodified": 1,
    }  # fmt: skip
    alone = change_facts(None, MaskVersion(after, GRID, SCHEMA, MaskKind.RATER))
    assert (alone["dice_with_start"], alone["unmodified"], alone["lesions_added"]) == (None, None, 3)
    empty = MaskVersion(np.zeros(SHAPE, np.uint8), GRID, SCHEMA, MaskKind.RATER)
    assert change_facts(empty, empty)["dice_with_start"] == 1.0


def test_half_a_study_is_not_left_behind(tmp_path: Path, cases: Path) -> None:
    from napari_tumorseg.workflows.study.init import InitRequest, init_study

    shutil.copytree(cases / f"{SECRET}-0", cases / "again")
    with pytest.raises(InputError, match="Two cases hold the same images"):
        init_study(InitRequest(tmp_path / "study", "brats-mets-pipeline", cases))
    assert not (tmp_path / "study").exists()
