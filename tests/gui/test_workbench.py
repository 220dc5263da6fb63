"""The main job in the real window: open, segment, paint with the mouse, save, read back."""

from __future__ import annotations

import itertools
import threading
import time

import nibabel
import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_tumorseg.core.case import Review
from napari_tumorseg.core.document import PatchSource
from napari_tumorseg.core.errors import ModelError

from .conftest import AFFINE, NIFTI_SHAPE, FakeSegmenter, click, drag, fake_spec, press


@pytest.fixture
def segmented(open_window, load, qtbot):
    """A dock with the case open and the fake model's mask in it."""

    def run(*models):
        dock = open_window(*models)
        load(dock)
        with qtbot.waitSignal(dock.work.ended, timeout=20000):
            dock.segment.run.click()
        qtbot.waitUntil(lambda: dock.session.lesions.up_to_date, timeout=20000)
        return dock

    return run


def test_the_main_job(segmented, qtbot, tmp_path):
    dock = segmented()
    session = dock.session
    assert [s.state for s in dock.steps.steps[:3]] == ["✓ 4 of 4 sequences", "✓ done, 0 s", "1 lesion"]
    assert dock.steps.opened == 2
    document = session.active.document
    assert document.review is Review.NOT_REVIEWED
    assert "AI, not reviewed" in dock.status.mask.text()
    before = document.labels.copy()
    patches = []
    document.listen(lambda change: patches.append(change.patch))
    press(dock, Qt.Key.Key_P)
    press(dock, Qt.Key.Key_2, Qt.KeyboardModifier.AltModifier)
    layer = session.active.view.layer
    assert (str(layer.mode), layer.selected_label) == ("paint", 2)
    # A horizontal stroke 10 mm long through the middle of the head, in world millimetres.
    drag(dock, (0.0, -5.0), (0.0, 0.0), (0.0, 5.0))
    assert [(p.origin.source, p.origin.tool, p.origin.person) for p in patches] == [(PatchSource.HAND, "paint", "A.B.")]
    assert document.review is Review.IN_CORRECTION
    painted = np.argwhere(document.labels != before)
    # Oracle: the stroke runs from the patient's right 5 mm to left 5 mm at anterior 0 mm.
    x, y, _ = document.grid.to_mm(painted).T
    assert x.min() == pytest.approx(-5 - 2, abs=1.01)
    assert x.max() == pytest.approx(5 + 2, abs=1.01)
    assert np.abs(y).max() <= 3.01
    assert len(set(painted[:, 0].tolist())) == 1
    assert "● Not saved yet" in dock.status.saved.text()
    dock.steps.open(3)
    dock.save.folder.setText(str(tmp_path / "out"))
    dock.save.name.setText("mask.nii.gz")
    with qtbot.waitSignal(dock.work.ended, timeout=20000):
        dock.save.save.click()
    assert dock.status.saved.text() == "✓ All changes saved"
    written = nibabel.load(tmp_path / "out" / "mask.nii.gz")
    assert written.shape == NIFTI_SHAPE
    assert np.array_equal(written.affine, AFFINE)
    assert np.array_equal(np.asarray(written.dataobj).transpose(2, 1, 0), document.labels)
    press(dock, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(document.labels, before)
    assert "● Not saved yet" in dock.status.saved.text()


def test_erase_fill_and_polygon_with_the_mouse(segmented):
    dock = segmented()
    document = dock.session.active.document
    dock.session.focus.go_to(dock.session.lesions.rows[0])
    centre = tuple(dock.viewer.scene.camera.center[-2:])
    tools = []
    document.listen(lambda change: tools.append((change.patch.origin.source, change.patch.origin.tool)))
    press(dock, Qt.Key.Key_E)
    drag(dock, centre, (centre[0], centre[1] + 1))
    press(dock, Qt.Key.Key_F)
    press(dock, Qt.Key.Key_1, Qt.KeyboardModifier.AltModifier)
    drag(dock, centre, centre)
    press(dock, Qt.Key.Key_2, Qt.KeyboardModifier.AltModifier)
    press(dock, Qt.Key.Key_3)
    for offset in ((10, -20), (10, -10), (18, -15)):
        click(dock, (centre[0] + offset[0], centre[1] + offset[1]))
    press(dock, Qt.Key.Key_Return)
    assert tools == [(PatchSource.HAND, t) for t in ("erase", "fill", "polygon")]
    for _ in range(3):
        press(dock, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert set(np.unique(document.labels)) == {0, 3}
    assert not document.can_undo


def test_a_lock_holds_against_the_mouse(segmented):
    dock = segmented()
    document = dock.session.active.document
    before = document.labels.copy()
    dock.session.focus.go_to(dock.session.lesions.rows[0])
    dock.correct._locks[3].setChecked(True)
    press(dock, Qt.Key.Key_P)
    centre = tuple(dock.viewer.scene.camera.center[-2:])
    drag(dock, centre, (centre[0], centre[1] + 2))
    assert np.array_equal(document.labels[before == 3], before[before == 3])


def test_the_lesion_table_follows_and_leads(segmented, qtbot):
    dock = segmented()
    table = dock.viewer.window.dock_widgets["Lesions (Tumour segmentation)"]
    assert table.model.rowCount() == 1
    press(dock, Qt.Key.Key_P)
    drag(dock, (0.0, 8.0), (0.0, 9.0))
    qtbot.waitUntil(lambda: table.model.rowCount() == 2, timeout=20000)
    index = table._sorted.index(0, 0)
    table.table.clicked.emit(index)
    lesion = dock.session.lesions.rows[0]
    x, y, z = lesion.centroid_mm
    assert dock.viewer.scene.camera.center[-2:] == pytest.approx((-y, -x), abs=1.0)
    assert dock.viewer.dims.point[0] == pytest.approx(-z, abs=1.6)
    assert "R" in table.model.data(table.model.index(0, 7)) or "L" in table.model.data(table.model.index(0, 7))
    press(dock, Qt.Key.Key_N)
    assert dock.session.focus.lesion.id == 2


def test_keys_for_sequences_outline_and_hiding(segmented):
    dock = segmented()
    session = dock.session
    assert session.view.sequence == "T1c"
    press(dock, Qt.Key.Key_W)
    assert session.view.sequence == "FLAIR"
    assert [name for name, layers in session.view.layers.items() if layers[0].visible] == ["FLAIR"]
    press(dock, Qt.Key.Key_Q)
    press(dock, Qt.Key.Key_Q)
    assert session.view.sequence == "T1"
    press(dock, Qt.Key.Key_O, Qt.KeyboardModifier.ShiftModifier)
    assert not session.active.view.outlined
    canvas = dock.viewer.window._qt_viewer.canvas.native
    layer = session.active.view.layer
    QTest.keyPress(canvas, Qt.Key.Key_H)
    assert not layer.visible
    QTest.keyRelease(canvas, Qt.Key.Key_H)
    assert layer.visible
    press(dock, Qt.Key.Key_2, Qt.KeyboardModifier.ControlModifier)
    assert session.view.plane == "coronal"


def test_nothing_is_lost_by_a_second_run(segmented, qtbot):
    dock = segmented()
    first = dock.session.active
    with qtbot.waitSignal(dock.work.ended, timeout=20000):
        dock.segment.run.click()
    assert [m.name for m in dock.session.masks] == ["fake", "fake 2"]
    assert dock.session.active is not first
    assert not first.view.layer.visible
    assert len(dock.session.case.latest.masks["fake"]) == 2
    dock.viewer.layers.remove(first.view.layer)
    dock.correct.mask.activated.emit(0)
    assert dock.session.active is first
    assert first.view.layer in dock.viewer.layers


def test_cancel_answers_at_once(open_window, load, qtbot):
    gate = threading.Event()
    dock = open_window(FakeSegmenter(gate=gate))
    load(dock)
    dock.segment.run.click()
    qtbot.waitUntil(lambda: "Looking" in dock.status.step.text(), timeout=20000)
    assert "fake" in dock.status.step.text()
    assert "the processor" in dock.status.step.text()
    started = time.perf_counter()
    with qtbot.waitSignal(dock.work.ended) as ended:
        dock.status.cancel.click()
    assert time.perf_counter() - started < 0.5
    assert ended.args == ["segment", "cancelled"]
    assert not dock.session.masks
    assert dock.segment.state == "cancelled"
    assert dock.segment.run.isEnabled()
    gate.set()


def test_a_failure_is_shown_once_and_changes_nothing(open_window, load, qtbot, monkeypatch):
    shown = []
    monkeypatch.setattr("napari_tumorseg.widgets.session.show_error", shown.append)
    dock = open_window(FakeSegmenter(error=ModelError("The weights are cut short.", "Get them again.")))
    load(dock)
    layers = list(dock.viewer.layers)
    with qtbot.waitSignal(dock.work.ended, timeout=20000) as ended:
        dock.segment.run.click()
    assert ended.args == ["segment", "failed"]
    assert shown == ["The weights are cut short. Get them again."]
    assert dock.status.message.text() == "✗ The weights are cut short. Get them again."
    assert list(dock.viewer.layers) == layers


def test_a_fault_of_ours_names_its_log(open_window, load, qtbot, monkeypatch, tmp_path):
    shown = []
    monkeypatch.setattr("napari_tumorseg.widgets.session.show_error", shown.append)
    dock = open_window(FakeSegmenter(error=ZeroDivisionError("oops")))
    load(dock)
    with qtbot.waitSignal(dock.work.ended, timeout=20000):
        dock.segment.run.click()
    (log,) = (tmp_path / "home" / "log").iterdir()
    assert str(log) in shown[0]
    assert "ZeroDivisionError: oops" in log.read_text()


def test_a_folder_without_images_is_told(open_window, qtbot, monkeypatch, tmp_path):
    shown = []
    monkeypatch.setattr("napari_tumorseg.widgets.session.show_error", shown.append)
    empty = tmp_path / "empty"
    empty.mkdir()
    dock = open_window(show=False)
    with qtbot.waitSignal(dock.work.ended, timeout=20000):
        dock.open([empty])
    assert len(shown) == 1
    assert "empty" in shown[0]
    assert dock.case.state == "open one"


def test_saving_to_a_place_that_cannot_be_written_keeps_the_mask(segmented, qtbot, monkeypatch, tmp_path):
    shown = []
    monkeypatch.setattr("napari_tumorseg.widgets.session.show_error", shown.append)
    dock = segmented()
    (tmp_path / "file").write_text("not a folder")
    dock.save.folder.setText(str(tmp_path / "file"))
    with qtbot.waitSignal(dock.work.ended, timeout=20000) as ended:
        dock.save.save.click()
    assert ended.args == ["save", "failed"]
    assert len(shown) == 1
    assert dock.status.saved.text() == "✗ Not saved; working in memory"
    assert dock.session.active.document.labels.any()


def test_a_mask_that_exists_is_replaced_only_after_asking(segmented, qtbot, monkeypatch, tmp_path):
    dock = segmented()
    target = tmp_path / "there.nii.gz"
    target.write_bytes(b"precious")
    dock.save.folder.setText(str(tmp_path))
    dock.save.name.setText(target.name)
    asked = []
    monkeypatch.setattr("napari_tumorseg.widgets.step_save.choose", lambda *a: asked.append(a[-1]) or "")
    dock.save.save.click()
    assert asked == [("Replace the mask",)]
    assert target.read_bytes() == b"precious"
    monkeypatch.setattr("napari_tumorseg.widgets.step_save.choose", lambda *a: a[-1][0])
    with qtbot.waitSignal(dock.work.ended, timeout=20000):
        dock.save.save.click()
    assert nibabel.load(target).shape == NIFTI_SHAPE


def test_another_case_is_opened_only_after_asking(segmented, qtbot, monkeypatch, case_folder):
    dock = segmented()
    asked = []
    monkeypatch.setattr("napari_tumorseg.widgets.step_case.choose", lambda *a: asked.append(a[-1]) or "")
    dock.open([case_folder])
    assert asked == [("Discard the mask",)]
    assert not dock.work.busy
    assert dock.session.masks


def test_accepting(segmented):
    dock = segmented()
    dock.correct.accept.click()
    assert dock.session.active.document.review is Review.ACCEPTED
    assert "accepted by A.B." in dock.status.mask.text()
    assert dock.correct.state == "✓ accepted, 1 lesion"
    press(dock, Qt.Key.Key_P)
    drag(dock, (0.0, 0.0), (0.0, 2.0))
    assert dock.session.active.document.review is Review.IN_CORRECTION


def test_what_a_model_lacks_is_said(open_window, load, qtbot):
    from napari_tumorseg.core.segmenter import Need

    dock = open_window(FakeSegmenter(fake_spec("needs-ct", inputs=(Need("CT"),))))
    assert dock.segment.state == "needs a case"
    load(dock)
    assert not dock.segment.run.isEnabled()
    assert "lacks CT" in dock.segment.fitness.text()
    assert "does not allow commercial use" in dock.segment.limits.text()
    combo = dock.case.sequences.findChildren(type(dock.case.timepoint))[1]
    combo.textActivated.emit("CT")
    assert dock.segment.run.isEnabled()
    assert set(dock.session.volumes) == {"T1c", "CT", "T2", "T1"}


def test_an_oblique_sequence_is_shown_on_the_reference(open_window, case_folder, load):
    turn = np.array([[0.96, -0.28, 0, 0], [0.28, 0.96, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    path = next(case_folder.glob("*t2f*"))
    image = nibabel.load(path)
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), turn @ AFFINE), path)
    dock = open_window(show=False)
    load(dock)
    layer = dock.session.view.layers["FLAIR"][0]
    assert layer.data.shape == dock.session.view.scene.grid.shape
    assert np.asarray(layer.data).any()


def test_a_mask_file_dropped_on_an_open_case_is_added(open_window, load, qtbot, tmp_path):
    dock = open_window(show=False)
    load(dock)
    labels = np.zeros(NIFTI_SHAPE, np.uint8)
    labels[10:14, 10:14, 5] = 2
    nibabel.save(nibabel.Nifti1Image(labels, AFFINE), tmp_path / "rater1-seg.nii.gz")
    with qtbot.waitSignal(dock.work.ended, timeout=20000):
        dock.open([tmp_path / "rater1-seg.nii.gz"])
    assert np.array_equal(dock.session.active.document.labels, labels.transpose(2, 1, 0))
    assert dock.session.active.saved
    assert not dock.session.unsaved


def test_an_empty_mask_to_draw_from_nothing(open_window, load):
    dock = open_window(show=False)
    load(dock)
    dock.correct.start_empty.click()
    assert not dock.session.active.document.labels.any()
    assert dock.session.active.document.review is Review.IN_CORRECTION


def test_napari_saves_the_layer_with_the_geometry_of_its_image(segmented, tmp_path):
    dock = segmented()
    layer = dock.session.active.view.layer
    from napari_tumorseg._npe2 import write_labels

    data, meta, _ = layer.as_layer_data_tuple()
    (path,) = write_labels(str(tmp_path / "napari.nii.gz"), data, meta)
    written = nibabel.load(path)
    assert np.array_equal(written.affine, AFFINE)
    assert np.array_equal(np.asarray(written.dataobj).transpose(2, 1, 0), dock.session.active.document.labels)


def test_errors_of_reading_a_mask_on_another_grid_are_told(open_window, load, qtbot, monkeypatch, tmp_path):
    shown = []
    monkeypatch.setattr("napari_tumorseg.widgets.session.show_error", shown.append)
    dock = open_window(show=False)
    load(dock)
    nibabel.save(nibabel.Nifti1Image(np.ones((5, 5, 5), np.uint8), np.eye(4)), tmp_path / "other-seg.nii.gz")
    with qtbot.waitSignal(dock.work.ended, timeout=20000):
        dock.open([tmp_path / "other-seg.nii.gz"])
    assert len(shown) == 1
    assert not dock.session.masks


def test_the_tab_key_follows_the_eye(segmented):
    dock = segmented()
    for number in range(4):
        dock.steps.open(number)
        dock.layout().activate()
        chain, widget = [], dock.steps._headers[0]
        while widget is not None and widget not in chain:
            chain.append(widget)
            widget = widget.nextInFocusChain()
        rows = [
            w.mapTo(dock, w.rect().center()).y()
            for w in chain
            if w.isVisible() and dock.steps.isAncestorOf(w) and w.focusPolicy() & Qt.FocusPolicy.TabFocus and w.isEnabled()
        ]
        assert len(rows) > 6
        assert all(b >= a - 6 for a, b in itertools.pairwise(rows)), rows


def test_every_control_has_a_name_and_a_tooltip(segmented):
    from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit

    dock = segmented()
    for kind in (QAbstractButton, QComboBox, QAbstractSpinBox, QLineEdit):
        for control in dock.findChildren(kind):
            if control.objectName().startswith("qt_") or isinstance(control.parent(), (QAbstractSpinBox, QComboBox)):
                continue
            named = control.accessibleName() or (isinstance(control, QAbstractButton) and control.text())
            assert named, control
            assert control.toolTip(), named


def test_layers_of_others_with_more_axes_do_no_harm(segmented):
    dock = segmented()
    dock.viewer.add_image(np.zeros((3, 4, 50, 60)), name="film")
    dock.session.view.show_plane("sagittal")
    assert dock.session.view.plane == "sagittal"
    dock.session.focus.go_to(dock.session.lesions.rows[0])
    assert dock.session.view._letters.texts["left"] == "A"
    press(dock, Qt.Key.Key_1, Qt.KeyboardModifier.ControlModifier)
    assert dock.session.view.plane == "axial"


def test_commands_without_a_case_do_nothing(open_window):
    from napari_tumorseg.widgets.command_table import COMMANDS

    dock = open_window(show=False)
    for command in COMMANDS:
        if command.key:
            result = command.run(dock.viewer)
            if hasattr(result, "__next__"):
                list(result)
    assert not dock.session.masks


def test_a_folder_dropped_on_the_dock_is_opened(open_window, case_folder, qtbot):
    from qtpy.QtCore import QMimeData, QPoint, QPointF, QUrl
    from qtpy.QtGui import QDragEnterEvent, QDropEvent
    from qtpy.QtWidgets import QApplication

    dock = open_window()
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(case_folder))])
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(50, 50), Qt.DropAction.CopyAction, data, left, none)
    QApplication.sendEvent(dock, enter)
    assert enter.isAccepted()
    with qtbot.waitSignal(dock.work.ended, timeout=20000):
        QApplication.sendEvent(dock, QDropEvent(QPointF(50, 50), Qt.DropAction.CopyAction, data, left, none))
    assert dock.session.case.name == case_folder.name
