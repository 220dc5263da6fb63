"""What a report may not tell, and studies in which something is missing, altered, or of another kind."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from napari_tumorseg.annotation.study.protocol_file import load_protocol
from napari_tumorseg.annotation.study.records import Comment, NewCase, Person, Submission
from napari_tumorseg.annotation.study.store import StudyStore
from napari_tumorseg.cli import main
from napari_tumorseg.core.case import MaskKind, MaskVersion
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.workflows.study.report import StudyReportRequest, study_report


def finish(made: Any) -> Path:
    """Do everything, lock, and let go of the database; return the folder."""
    made.work()
    made.study.lock("lead")
    made.study.close()
    folder: Path = made.folder
    return folder


def test_arms_are_hidden_until_the_data_are_locked(
    small: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], numbers_in: Callable[[str], str]
) -> None:
    small.work()
    assert main(["study", "report", str(small.folder), "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("The arms are hidden until the data are locked.")
    assert not list(tmp_path.iterdir())
    assert main(["study", "report", str(small.folder), "--out", str(tmp_path), "--blinded", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert document["kind"] == "progress"
    times = [small.seconds[task] for task, row in small.design.items() if not row["practice"]]
    assert document["times"]["primary_s"]["median"] == pytest.approx(np.median(times), abs=0.01)
    text = numbers_in((tmp_path / "report.html").read_text(encoding="utf-8"))
    codes = {row["case"] for row in small.design.values()} | {t["code"] for t in small.study.rows("tasks")}
    assert not [code for code in codes if re.search(rf"\b{code}\b", text)]
    # The seed would let anybody draw the allocation again.
    assert (document["study"]["seed"], document["plan"]["seed"]) == (None, None)
    assert not re.search(rf"\bseed\W+{small.seed}\b", text)
    assert "saved" not in text
    assert not {"time", "endpoints", "bias", "contrast", "readings"} & set(document)
    small.study.lock("lead")
    assert main(["study", "report", str(small.folder), "--out", str(tmp_path), "--draws", "99"]) == 0
    assert "for these 2 raters only" in capsys.readouterr().out


def test_what_was_tampered_with_is_on_the_page(
    small: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], numbers_in: Callable[[str], str]
) -> None:
    folder = finish(small)
    journals = sorted((folder / "journals").iterdir())
    journals[4].unlink()
    journals[9].write_bytes(journals[9].read_bytes()[:2000])
    with sqlite3.connect(folder / "study.sqlite") as base:
        for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            base.execute(f"DROP TRIGGER {name}")
        base.execute("UPDATE answer SET value = 5 WHERE id = 3")
        base.execute("UPDATE audit SET actor = 'R9' WHERE seq = 30")
    base.close()
    assert main(["study", "report", str(folder), "--out", str(tmp_path / "out"), "--draws", "99", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert not document["audit"]["ok"]
    text = numbers_in((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    assert "AUDIT FAILED: 4 things are not as they were written" in text
    for wanted in ("Answer 3 was altered.", "Entry 30 was altered.", "is missing.", "Journal of task"):
        assert wanted in text
    assert len(document["time"]["left_out"]) == 2, "readings without a journal have no time"
    assert "2 readings have no time" in text


def test_masks_that_were_altered_are_left_out(small: Any, tmp_path: Path) -> None:
    folder = finish(small)
    with sqlite3.connect(folder / "study.sqlite") as base:
        for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            base.execute(f"DROP TRIGGER {name}")
        case = base.execute("SELECT case_id FROM task WHERE NOT practice ORDER BY id LIMIT 1").fetchone()[0]
        base.execute("UPDATE version SET labels = x'00' WHERE case_id = ?", (case,))
    base.close()
    document = study_report(StudyReportRequest(str(folder), tmp_path / "out", draws=99))
    assert document["lesions"]["cases"] == 2
    assert document["time"]["analysis"]["readings"] == 12, "times do not depend on masks"
    assert any(
        note.endswith("no mask can be read, and the count of its lesions is taken as 1 in the models of time.")
        for note in document["notes"]
    )
    assert not document["audit"]["ok"]


def test_nothing_finished(small: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small.study.lock("lead", incomplete=True)
    with pytest.raises(InputError, match="No task that counts is finished"):
        study_report(StudyReportRequest(str(small.folder), tmp_path))
    assert main(["study", "report", str(small.folder), "--out", str(tmp_path), "--blinded"]) == 0
    assert "0 readings" in capsys.readouterr().out
    assert not (tmp_path / "readings.csv").exists()


def test_without_any_record_of_the_work(small: Any, tmp_path: Path, numbers_in: Callable[[str], str]) -> None:
    small.work(journal=lambda _: False)
    small.study.lock("lead")
    document = study_report(StudyReportRequest(str(small.folder), tmp_path, draws=99))
    text = numbers_in((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "No reading in the arm scratch has a usable primary_s." in text
    assert document["time"]["analysis"] is None
    assert document["endpoints"]["secondary"][0]["p_holm"] == 1.0, "what was planned and cannot be tested counts as a test"
    assert "It counts among the tests as p = 1." in text
    assert document["quality"]["ai"]["dice"]["n"] == 6, "masks are measured all the same"


def test_one_rater_only(rehearsals: Any, tmp_path: Path, numbers_in: Callable[[str], str]) -> None:
    made = rehearsals("one", rehearsals.protocol(sets=1, **{'by = "crossed"': 'by = "same"'}), people=1, cases=4, truth=rehearsals.short)
    made.work(journal=lambda task: task % 5 > 0)
    made.study.lock("lead")
    document = study_report(StudyReportRequest(str(made.folder), tmp_path, draws=99))
    analysis = document["time"]["analysis"]
    assert "for this rater only" in analysis["claim"]
    assert analysis["primary"]["saved_percent"] == pytest.approx(30, abs=15)
    # Of 4 cases of one rater 6 allocations can be drawn, so that nothing is ever rejected at 5 %.
    assert (analysis["primary"]["low_percent"], analysis["primary"]["high_percent"]) == (None, 100.0)
    assert (document["endpoints"]["primary"]["low"], document["endpoints"]["primary"]["high"]) == (None, None)
    text = numbers_in((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "The interval of time has no end" in text
    assert "No reading could be judged: no other rater has read its case from scratch." in text
    assert "was done with another program: it has no times." in text
    assert "quality (lesion_dice) could not be tested for non-inferiority" in text
    repeats = document["volumes"]["by_arm"]["ai"]["repeatability"]
    readings = parquet.read_table(tmp_path / "readings.parquet").to_pylist()
    within = [[r["volume_ml"] for r in readings if (r["case"], r["arm"]) == (case, "ai")] for case in sorted({r["case"] for r in readings})]
    pooled = np.mean([np.var(pair, ddof=1) for pair in within])
    assert repeats["coefficient"] == pytest.approx(1.96 * np.sqrt(2 * pooled), rel=1e-3)
    assert {row["kind"] for row in document["agreement"]} == {"within"}


def test_a_study_without_an_ai(rehearsals: Any, tmp_path: Path, numbers_in: Callable[[str], str]) -> None:
    changes = {
        'name = "ai"\ntitle = "After AI pre-segmentation"\nstart = "ai"': 'name = "sham"\ntitle = "Sham"\nstart = "other-rater"',
        'contrast = ["ai", "scratch"]': 'contrast = ["sham", "scratch"]',
    }
    made = rehearsals("sham", rehearsals.protocol(sets=1, **changes), people=2, cases=3, truth=rehearsals.short)
    made.work()
    made.study.lock("lead")
    document = study_report(StudyReportRequest(str(made.folder), tmp_path, draws=99))
    text = numbers_in((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "No arm began with an AI's mask, so nothing is said about its mistakes." in text
    # The sham comes last within a case, so that nothing tells it from the second look.
    assert document["time"]["analysis"] is None
    assert "The arms cannot be told from raters, cases and periods." in text
    assert document["time"]["by_arm"]["sham"]["primary_s"]["n"] == 6


def test_a_pipeline(rehearsals: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], numbers_in: Callable[[str], str]) -> None:
    folder = rehearsals.root / "pipeline" / "study"
    labels = np.zeros((4, 8, 8), np.uint8)
    labels[1:3, 2:5, 2:5] = 3
    grid, schema = Grid.from_spacing(labels.shape, (1.0, 1.0, 1.0)), preset("brats-mets-2025")
    with StudyStore.create(folder, load_protocol("brats-mets-pipeline"), seed=2) as study:
        codes = study.add_cases([NewCase(f"cases/DOE-{n}", f"{n:064x}") for n in range(2)])
        study.add_people([Person("S1", ("student",)), Person("A1", ("approver",))])
        study.add_people([Person(f"N{n}", ("neuroradiologist",)) for n in (1, 2)])
        for code in codes:
            study.add_ai_mask(code, MaskVersion(labels, grid, schema, MaskKind.AI, "net"), {})
        study.make_tasks()
        sent_back = False
        for person in ("S1", "N1", "N2", "S1", "N1", "N2", "A1"):
            while (got := study.next_task(person)).task is not None and got.lease is not None:
                mine = labels.copy()
                mine[0, 0, 0] = 3 * (person == "N1")
                decision = "accept" if got.task.may_return else "submit"
                comments: tuple[Comment, ...] = ()
                if person == "N2" and not sent_back:
                    sent_back, decision, comments = True, "return", (Comment((1, 2, 2), "the edge"),)
                mask = MaskVersion(mine, grid, schema, MaskKind.RATER)
                study.submit(got.lease, Submission(mask, got.task.fingerprint, decision, comments=comments))
    assert main(["study", "report", str(folder), "--out", str(tmp_path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    steps = {row["step"]: row for row in document["steps"]}
    assert (steps["annotate"]["done"], steps["check"]["returned"], steps["check"]["comments"]) == (3, 1, 1)
    assert steps["approve"]["done"] == 2
    agreed = next(row for row in document["agreement"] if (row["step"], row["score"]) == ("check", "dice"))
    assert (agreed["n"], agreed["mean"]) == (3, pytest.approx(36 / 37))
    text = numbers_in((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "Nothing is compared in a pipeline" in text
    assert "the edge" not in text, "comments are free text, and stay in the study"
