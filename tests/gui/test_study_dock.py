"""The Study dock in the real window: people go through a pipeline, a rater through both arms with a kill in the middle."""

from __future__ import annotations

import csv
import shutil

import nibabel
import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton, QWidget

from napari_tumorseg.annotation.reader import JournalReader
from napari_tumorseg.annotation.study.protocol_file import load_protocol
from napari_tumorseg.annotation.study.store import StudyStore
from napari_tumorseg.annotation.timing import task_timing
from napari_tumorseg.core.case import MaskKind
from napari_tumorseg.widgets.napari_adapter import canvas_widget, main_window
from napari_tumorseg.widgets.provenance_overlay import ProvenanceOverlay
from napari_tumorseg.widgets.restore_note import RestoreNote
from napari_tumorseg.widgets.study_dock import show_study
from napari_tumorseg.workflows.study.assign import AssignRequest, assign, parse_person
from napari_tumorseg.workflows.study.export import ExportRequest, export_study
from napari_tumorseg.workflows.study.init import InitRequest, init_study
from napari_tumorseg.workflows.study.report import StudyReportRequest, study_report

from .conftest import AFFINE, NIFTI_SHAPE, drag, press

WAIT_MS = 20000
NEUTRAL = {"T1c", "FLAIR", "mask"}


@pytest.fixture
def cases(case_folder, tmp_path):
    """Two cases with two lesions each, and the masks of a model that found one of them."""
    found = np.zeros(NIFTI_SHAPE, np.uint8)
    found[26:30, 23:27, 5:8] = 3
    (tmp_path / "ai").mkdir()
    for number in (1, 2):
        name = f"DOE-JANE-{number}"
        folder = tmp_path / "cases" / name
        folder.mkdir(parents=True)
        for path in (p for p in case_folder.iterdir() if "t1c" in p.name or "t2f" in p.name):
            image = nibabel.load(path)
            data = np.asarray(image.dataobj).copy()
            data[10 + number, 18, 6] += 300
            nibabel.save(nibabel.Nifti1Image(data, AFFINE), folder / path.name)
        nibabel.save(nibabel.Nifti1Image(found, AFFINE), tmp_path / "ai" / f"{name}.nii.gz")
    return tmp_path / "cases"


def make(tmp_path, cases, protocol, *people):
    init_study(InitRequest(tmp_path / "study", protocol, cases, seed=2))
    assign(AssignRequest(str(tmp_path / "study"), tuple(parse_person(p) for p in people), ai_masks=tmp_path / "ai"))
    return tmp_path / "study"


@pytest.fixture
def pipeline(tmp_path, cases):
    return make(tmp_path, cases, "brats-mets-pipeline", "S:student", "N1:neuroradiologist", "N2:neuroradiologist", "A:approver")


@pytest.fixture
def arms(tmp_path, cases):
    """One rater reads one case in both arms at once, after one for practice."""
    text = load_protocol("brats-mets-raters").text
    for old, new in (("washout_days = 28", "washout_days = 0"), ('by = "crossed"', 'by = "same"'), ("per_arm = 2", "per_arm = 1")):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "own.toml").write_text(text, encoding="utf-8")
    return make(tmp_path, cases, str(tmp_path / "own.toml"), "R1:rater")


class Seat:
    """A person's window."""

    def __init__(self, open_window, qtbot):
        self.qtbot = qtbot
        self.dock = open_window()
        self.session = self.dock.session
        self.study = show_study(self.dock.viewer)
        self.work = self.study.work
        self.work.may_submit = lambda _verb, _code: True

    def wait(self, condition):
        self.qtbot.waitUntil(condition, timeout=WAIT_MS)

    def idle(self):
        self.wait(lambda: not self.work.busy)

    def click(self, button):
        assert button.isVisible(), button.text()
        assert button.isEnabled(), button.text()
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    def sit(self, study, person):
        """Open the study as somebody else."""
        if self.work.about is not None:
            self.click(self.study.other)
        self.study.form.study.setText(str(study))
        self.study.form.person.setText(person)
        self.click(self.study.form.open)
        self.wait(lambda: self.work.about is not None and not self.work.busy)

    def take(self):
        with self.qtbot.waitSignal(self.work.opened, timeout=WAIT_MS):
            self.click(self.study.bar.next)
        return self.work.hand.task

    def hand_in(self, button):
        with self.qtbot.waitSignal(self.work.submitted, timeout=WAIT_MS):
            self.click(button)
        assert self.session.case is None
        assert not self.study.bar.next.isEnabled()
        for question in self.work.asked[1]:
            assert not self.study.send.isEnabled()
            self.study.questions.choose(question.name, 1)
        self.click(self.study.send)
        self.wait(lambda: self.work.asked is None and not self.work.busy)

    @property
    def labels(self):
        return self.session.active.document.labels

    def paint(self, *points):
        before = self.session.active.document.revision
        press(self.dock, Qt.Key.Key_P)
        drag(self.dock, *(points or ((0.0, -5.0), (0.0, 5.0))))
        assert self.session.active.document.revision == before + 1


@pytest.fixture
def seat(open_window, qtbot):
    return Seat(open_window, qtbot)


def test_people_go_through_the_pipeline(seat, pipeline, qtbot):
    bar, comments, versions = seat.study.bar, seat.study.comments, seat.study.versions
    seat.sit(pipeline, "S")
    first = seat.take()
    assert (bar.task.text(), bar.state.text()) == (f"{first.code}: Annotate", "● running")
    assert seat.labels.any()
    assert seat.session.view.sequence == "T1c"
    # The next case comes while this one is worked on, and is shown without reading it again.
    seat.wait(lambda: seat.work.ahead != "")
    seat.paint()
    drawn = seat.labels.copy()
    assert not comments.isVisible()
    seat.hand_in(bar.submit)
    ahead = seat.work.ahead
    second = seat.take()
    assert str(second.id) == ahead
    seat.hand_in(bar.submit)
    assert seat.work.line == "All your tasks are done."

    seat.sit(pipeline, "N1")
    pinned = None
    for _ in range(2):
        task = seat.take()
        assert (bar.accept.isVisible(), bar.back.isEnabled(), bar.submit.isVisible()) == (True, False, False)
        assert not versions.isVisible()
        if task.code != first.code:
            seat.hand_in(bar.accept)
            continue
        np.testing.assert_array_equal(seat.labels, drawn)
        # Neither who made it nor whether it was a model.
        document = seat.session.active.document
        assert (document.author, document.kind) == ("", MaskKind.RATER)
        assert {layer.name for layer in seat.dock.viewer.layers} == NEUTRAL
        assert not seat.dock.correct.origin.switch.isVisibleTo(seat.dock.correct)
        ProvenanceOverlay.of(seat.session).set_on(True)
        assert not ProvenanceOverlay.of(seat.session).on
        seat.session.view.crosshair.move(seat.session.view.scene.to_world((-9.0, 7.0, 3.0)))
        comments.text.setText("a lesion is missing here")
        seat.click(comments.add)
        pinned = seat.work.comments[0].voxel
        assert comments.list.item(0).text() == "You: a lesion is missing here"
        seat.hand_in(bar.back)
    seat.sit(pipeline, "N2")
    for _ in range(2):
        seat.take()
        seat.hand_in(bar.accept)

    seat.sit(pipeline, "S")
    again = seat.take()
    assert (again.code, again.round) == (first.code, 2)
    assert bar.task.text().endswith("Annotate, round 2")
    assert comments.list.item(0).text() == "Check: a lesion is missing here"
    seat.session.view.crosshair.move(seat.session.view.scene.to_world((0.0, 0.0, 0.0)))
    comments.list.itemClicked.emit(comments.list.item(0))
    at = seat.session.active.document.grid.to_index(seat.session.view.scene.to_patient(seat.session.view.crosshair.point_mm))
    assert tuple(round(float(v)) for v in at) == pinned
    whole = seat.labels.copy()
    seat.session.active.view.layer.paint((3, 10, 10), 1)
    corrected = seat.labels.copy()
    assert not np.array_equal(corrected, whole)
    seat.hand_in(bar.submit)
    for person in ("N1", "N2"):
        seat.sit(pipeline, person)
        seat.take()
        seat.hand_in(bar.accept)

    seat.sit(pipeline, "A")
    for _ in range(2):
        task = seat.take()
        assert versions.isVisible()
        seat.wait(lambda: versions.comparison is not None)
        if task.code == first.code:
            approve_by_lesion(seat, versions, whole, corrected)
        else:
            assert versions.comparison.lesions == ()
        seat.hand_in(bar.accept)
    assert seat.work.line == "All your tasks are done."
    with StudyStore.open(pipeline) as study:
        assert set(study.status()["tasks"]) == {"submitted"}
        assert study.verify() == []
        tasks = study.rows("tasks")
        assert all(row["journal"] for row in tasks)
        last = next(row for row in tasks if row["step"] == "approve" and row["code"] == first.code)
        np.testing.assert_array_equal(study.mask(last["version"]).labels, corrected)


def approve_by_lesion(seat, versions, whole, corrected):
    """Look at versions side by side and as differences; take one, then a lesion of another."""
    titles = [title for title, _ in versions._versions]
    assert titles == ["Annotate", "Check 1", "Check 2", "Annotate, round 2", "Check 1, round 2", "Check 2, round 2"]
    place = main_window(seat.dock.viewer).centralWidget().layout()
    count = place.count()
    seat.click(versions._sides[0])
    seat.click(versions._sides[3])
    assert place.count() == count + 2
    seat.session.view.show_sequence("FLAIR")
    seat.click(versions._sides[0])
    beside = main_window(seat.dock.viewer).findChild(QWidget, f"tumorseg_{titles[3]}")
    close = next(b for b in beside.findChildren(QPushButton) if b.text() == f"Close {titles[3]}")
    seat.wait(close.isVisible)
    seat.click(close)
    assert not versions._sides[3].isChecked()
    assert place.count() == count
    seat.click(versions.differences)
    layer = seat.dock.viewer.layers["Differences"]
    assert int((layer.data > 0).sum()) == int((whole != corrected).sum())
    seat.click(versions.differences)
    assert "Differences" not in seat.dock.viewer.layers
    versions.take(0)
    np.testing.assert_array_equal(seat.labels, whole)
    assert versions.lesions.rowCount() == 1
    versions.lesions.selectRow(0)
    versions.take_lesion(3)
    np.testing.assert_array_equal(seat.labels, corrected)
    seat.session.active.view.undo()
    np.testing.assert_array_equal(seat.labels, whole)
    seat.session.active.view.redo()


def test_a_rater_goes_through_both_arms_and_is_killed_in_the_middle(open_window, arms, qtbot, tmp_path, monkeypatch):
    killed = Seat(open_window, qtbot)
    killed.sit(arms, "R1")
    practice = killed.take()
    assert practice.practice
    assert killed.study.bar.practice.isVisible()
    killed.hand_in(killed.study.bar.submit)
    first = killed.take()
    assert not killed.study.bar.practice.isVisible()
    assert killed.labels.any() == first.has_mask
    models_only_beside_ai(killed, first)
    killed.paint()
    drawn = killed.labels.copy()
    pause_hides(killed)
    # The process is killed: what is on the disk is all that is left.
    home, journal = tmp_path / "home after", killed.session.keeper.journal
    assert journal.flush()
    kept = home / journal.path.relative_to(tmp_path / "home")
    kept.parent.mkdir(parents=True)
    for end in ("", "-wal"):
        shutil.copyfile(f"{journal.path}{end}", f"{kept}{end}")
    monkeypatch.setenv("TUMORSEG_HOME", str(home))
    seat = Seat(open_window, qtbot)
    note = RestoreNote(seat.dock.work, seat.session.keeper)
    seat.wait(lambda: not [j for j in seat.session.runner.running if j.name == "journals"])
    # A study's task is not offered outside its study.
    assert note.rows == []
    note.deleteLater()
    seat.sit(arms, "R1")
    assert seat.take() == first
    np.testing.assert_array_equal(seat.labels, drawn)
    said = []
    killed.session.said.connect(lambda line, _bad: said.append(line))
    killed.click(killed.study.bar.submit)
    killed.wait(lambda: bool(said) and not killed.work.busy)
    assert f"Task {first.code} (annotate) was taken over by another program." in said[0]
    seat.session.active.view.undo()
    assert not np.array_equal(seat.labels, drawn)
    seat.session.active.view.redo()
    seat.hand_in(seat.study.bar.submit)
    second = seat.take()
    assert second.has_mask is not first.has_mask
    assert second.code != first.code
    assert seat.labels.any() == second.has_mask
    models_only_beside_ai(seat, second)
    assert {layer.name for layer in seat.dock.viewer.layers} == NEUTRAL
    seat.hand_in(seat.study.bar.submit)
    assert seat.work.line == "All your tasks are done."
    assert seat.session.no_models == ""
    with StudyStore.open(arms) as study:
        assert study.status()["tasks"] == {"submitted": 3}
        assert study.verify() == []
        with JournalReader(study.journal_file(first.id)) as reader:
            timing = task_timing(reader)
            assert reader.task.person == "R1"
            assert reader.verify().ok
        assert b"DOE-JANE" not in study.journal_file(first.id).read_bytes()
    assert (timing.openings, timing.broken_off, timing.submitted, timing.shown) == (2, 1, True, True)
    assert timing.paused_s > 0
    report_counts(arms, tmp_path / "out", {first, second})


def models_only_beside_ai(seat, task):
    """No tool that works by a model is taken up or run where a mask is drawn from scratch; other tools are."""
    said, hand, before = [], seat.session.hand, seat.labels.copy()
    panel = seat.dock.correct.panel
    click_tool = next(tool for tool in hand.tools if tool.kind == "click" and tool.name.endswith(":point"))
    line = f"Task {task.code} is drawn from scratch: tools that work by a model are not used in it."
    seat.session.said.connect(lambda text, _bad: said.append(text))
    if task.has_mask:
        hand.take(click_tool.name)
        assert (hand.tool, said) == (click_tool, [])
        press(seat.dock, Qt.Key.Key_K, Qt.KeyboardModifier.ShiftModifier)
        seat.wait(lambda: said != [] and not hand.busy)
        assert "No slice has been checked." in said[0]
    else:
        panel.choose(click_tool.name)
        assert (hand.tool, panel.point.isChecked(), said) == (None, False, [line])
        press(seat.dock, Qt.Key.Key_K, Qt.KeyboardModifier.ShiftModifier)
        assert (hand.busy, said) == (False, [line, line])
        hand.take("grow")
        assert hand.tool.name == "grow"
        assert said == [line, line]
    hand.put_down()
    np.testing.assert_array_equal(seat.labels, before)


def report_counts(study, out, done):
    """Lock the data and report them: the readings done in the window are there, with their times."""
    assert export_study(ExportRequest(str(study), out / "data", lock=True, by="R1"))["locked"]
    document = study_report(StudyReportRequest(str(study), out / "report", draws=99))
    assert document["files"][0] == str(out / "report" / "report.html")
    page = (out / "report" / "report.html").read_text(encoding="utf-8")
    assert document["audit"]["ok"]
    assert document["notes"] == []
    assert (document["study"]["readings"], document["study"]["practice_readings"], document["rows"]["readings"]) == (2, 1, 2)
    with (out / "report" / "readings.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {(row["code"], row["arm"]) for row in rows} == {(task.code, "ai" if task.has_mask else "scratch") for task in done}
    assert all(float(row["primary_s"]) > 0 for row in rows)
    assert all(row["code"] in page for row in rows)


def pause_hides(seat):
    """Nothing of the case is seen during a pause, and nothing can be handed in."""
    bar, canvas = seat.study.bar, canvas_widget(seat.dock.viewer)
    assert canvas.isVisible()
    seat.click(bar.pause)
    assert bar.state.text() == "‖ paused"
    assert not canvas.isVisible()
    assert not seat.dock.correct.isEnabled()
    assert not bar.submit.isEnabled()
    seat.qtbot.wait(20)
    assert bar.pause.text() == "Continue"
    seat.click(bar.pause)
    assert canvas.isVisible()
    assert seat.dock.correct.isEnabled()
    assert bar.state.text() == "● running"


def test_a_task_holds_its_case(seat, pipeline, case_folder, qtbot):
    said = []
    seat.session.said.connect(lambda line, _bad: said.append(line))
    seat.sit(pipeline, "S")
    task = seat.take()
    held = f"Task {task.code} is open. Submit it, or leave it for later, first."
    seat.dock.open([case_folder])
    seat.dock.segment.run.click()
    assert said == [held, held]
    assert seat.session.case.name == task.code
    # Another case that came in past the window is noticed when the mask is handed in.
    seat.paint()
    drawn, other = seat.labels.copy(), seat.work.hand.opened.case
    seat.session.case = type(other)("another", other.timepoints)
    seat.click(seat.study.bar.submit)
    assert "is not that of task" in said[-1]
    seat.session.case = other
    with qtbot.waitSignal(seat.work.changed, timeout=WAIT_MS):
        seat.click(seat.study.bar.later)
    assert (seat.session.case, seat.session.held, seat.session.settings.person) == (None, "", "A.B.")
    assert seat.take() == task
    np.testing.assert_array_equal(seat.labels, drawn)
    assert seat.dock.steps.opened == 2


def test_what_is_not_as_it_was_is_told_in_a_line(seat, pipeline, cases, qtbot):
    said = []
    seat.session.said.connect(lambda line, _bad: said.append(line))
    form = seat.study.form
    form.study.setText(str(pipeline))
    form.person.setText("X9")
    seat.click(form.open)
    seat.wait(lambda: bool(seat.work.line) and not seat.work.busy)
    assert seat.work.line == "X9 is not in this study. There are A, N1, N2, S."
    seat.sit(pipeline, "S")
    cases.rename(cases.with_name("elsewhere"))
    seat.click(seat.study.bar.next)
    seat.wait(lambda: len(said) > 1 and not seat.work.busy)
    assert "are not where the study has them" in seat.work.line
    assert seat.work.hand is None
    cases.with_name("elsewhere").rename(cases)
    seat.wait(lambda: not [j for j in seat.session.runner.running if j.name == "study"])
    seat.take()


def test_a_protocol_may_show_the_time_and_ask_with_the_result(seat, tmp_path, cases, qtbot):
    text = load_protocol("brats-mets-pipeline").text.replace("show_clock = false", "show_clock = true")
    asked = 'text = "How difficult was this case?"\nwhen = '
    assert f'{asked}"after"' in text
    text = text.replace(f'{asked}"after"', f'{asked}"submit"')
    (tmp_path / "own.toml").write_text(text, encoding="utf-8")
    study = make(tmp_path, cases, str(tmp_path / "own.toml"), "S:student", "N1:neuroradiologist", "N2:neuroradiologist", "A:approver")
    bar, comments = seat.study.bar, seat.study.comments
    seat.sit(study, "S")
    seat.take()
    assert bar.state.text().startswith("● running  0:0")
    assert not bar.submit.isEnabled()
    seat.study.questions.choose("difficulty", 4)
    assert not seat.study.send.isVisible()
    seat.hand_in(bar.submit)
    seat.sit(study, "N1")
    task = seat.take()
    for said in ("first", "second"):
        comments.text.setText(said)
        seat.click(comments.add)
    comments.list.setCurrentRow(0)
    seat.click(comments.remove)
    # What is pinned outlives leaving, and a crash, with the record of the work.
    seat.click(bar.later)
    assert seat.take() == task
    assert [comments.list.item(i).text() for i in range(comments.list.count())] == ["You: second"]
    with StudyStore.open(study) as store:
        assert [(r["question"], r["value"]) for r in store.rows("ratings")] == [("difficulty", 4), ("confidence", 1)]
