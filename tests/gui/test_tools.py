"""Editing tools in the real window: driven by the mouse, one step each, locks kept."""

from __future__ import annotations

import shutil
import threading
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QApplication
from scipy import ndimage

from napari_tumorseg.annotation.entries import EntryKind
from napari_tumorseg.annotation.review import LesionStatus
from napari_tumorseg.core.document import Origin, PatchSource
from napari_tumorseg.core.grid import Box
from napari_tumorseg.widgets.diameter_lines import DiameterLines
from napari_tumorseg.widgets.napari_adapter import main_window
from napari_tumorseg.widgets.outline_preview import OutlinePreview

from .conftest import click, drag, mouse, press


@pytest.fixture
def bench(open_window, load, qtbot):
    """A dock with the case open and the fake model's mask, the ball of enhancing tumour, in focus."""
    dock = open_window()
    load(dock)
    with qtbot.waitSignal(dock.work.ended, timeout=20000):
        dock.segment.run.click()
    qtbot.waitUntil(lambda: dock.session.lesions.up_to_date, timeout=20000)
    dock.session.focus.go_to(dock.session.lesions.rows[0])
    return dock


def centre_of(dock) -> tuple[float, float]:
    return tuple(dock.viewer.scene.camera.center[-2:])


def steps_of(document) -> list:
    found = []
    document.listen(lambda change: found.append((change.patch.origin.source, change.patch.origin.tool)))
    return found


def use(dock, qtbot, name, act):
    """Take a tool up as the user does, act with it, wait until it is done; return the outcome."""
    dock.correct.panel.choose(name)
    with qtbot.waitSignal(dock.session.hand.ended, timeout=20000) as ended:
        act()
    return ended.args


def test_grow_by_a_click_paints_the_bright_ball(bench, qtbot):
    document = bench.session.active.document
    ball = document.labels == 3
    bench.session.set_locked(3, True)
    found = steps_of(document)
    with qtbot.waitSignal(bench.session.hand.ended, timeout=20000):
        bench.correct.panel.choose("delete_island")
        click(bench, centre_of(bench))
    assert not found
    bench.session.set_locked(3, False)
    assert use(bench, qtbot, "delete_island", lambda: click(bench, centre_of(bench))) == ["delete_island", "done"]
    assert not document.labels.any()
    press(bench, Qt.Key.Key_3, Qt.KeyboardModifier.AltModifier)
    assert use(bench, qtbot, "grow", lambda: click(bench, centre_of(bench))) == ["grow", "done"]
    grown = document.labels == 3
    assert 2 * (grown & ball).sum() / (grown.sum() + ball.sum()) > 0.9
    assert found == [(PatchSource.TOOL, "delete_island"), (PatchSource.TOOL, "grow")]
    press(bench, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    press(bench, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(document.labels == 3, ball)


def test_one_click_draws_the_lesion(bench, qtbot):
    document = bench.session.active.document
    ball = document.labels == 3
    use(bench, qtbot, "delete_island", lambda: click(bench, centre_of(bench)))
    press(bench, Qt.Key.Key_3, Qt.KeyboardModifier.AltModifier)
    assert use(bench, qtbot, "click-lesion:point", lambda: click(bench, centre_of(bench))) == ["click-lesion:point", "done"]
    drawn = document.labels == 3
    assert 2 * (drawn & ball).sum() / (drawn.sum() + ball.sum()) > 0.8
    press(bench, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not document.labels.any()


def test_a_lasso_round_a_lesion_draws_the_lesion(bench, qtbot):
    document = bench.session.active.document
    ball = document.labels == 3
    use(bench, qtbot, "delete_island", lambda: click(bench, centre_of(bench)))
    row, column = centre_of(bench)
    press(bench, Qt.Key.Key_3, Qt.KeyboardModifier.AltModifier)
    corners = [(row - 7, column - 7), (row - 7, column + 7), (row + 7, column + 7), (row + 7, column - 7), (row - 7, column - 7)]
    assert use(bench, qtbot, "click-lesion:lasso", lambda: drag(bench, *corners))[1] == "done"
    drawn = document.labels == 3
    assert 2 * (drawn & ball).sum() / (drawn.sum() + ball.sum()) > 0.7


def test_margin_by_the_button_grows_in_mm(bench, qtbot):
    document = bench.session.active.document
    ball = document.labels == 3
    press(bench, Qt.Key.Key_3, Qt.KeyboardModifier.AltModifier)
    bench.correct.panel.choose("margin")
    bench.correct.panel.form.controls["margin_mm"].value = 3.0
    with qtbot.waitSignal(bench.session.hand.ended, timeout=20000):
        bench.correct.panel.apply.click()
    # Oracle: every voxel whose centre is within 3 mm of a voxel of the ball.
    away = ndimage.distance_transform_edt(~ball, sampling=document.grid.spacing_mm)
    assert np.array_equal(document.labels == 3, away <= 3.0)


def test_a_lasso_fills_what_it_encloses(bench, qtbot):
    document = bench.session.active.document
    before = document.labels.copy()
    press(bench, Qt.Key.Key_1, Qt.KeyboardModifier.AltModifier)
    row, column = centre_of(bench)
    corners = [(row + 6, column - 14), (row + 6, column - 6), (row + 14, column - 6), (row + 14, column - 14), (row + 6, column - 14)]
    use(bench, qtbot, "lasso", lambda: drag(bench, *corners))
    new = np.argwhere((document.labels == 1) & (before != 1))
    assert 49 <= len(new) <= 81
    assert len(set(new[:, 0].tolist())) == 1
    x, y, _ = document.grid.to_mm(new).T
    assert -y.mean() == pytest.approx(row + 10, abs=0.6)
    assert -x.mean() == pytest.approx(column - 10, abs=0.6)


def test_a_live_wire_follows_the_balls_edge(bench, qtbot):
    document = bench.session.active.document
    ball = document.labels == 3
    row, column = centre_of(bench)
    press(bench, Qt.Key.Key_2, Qt.KeyboardModifier.AltModifier)
    bench.correct.panel.choose("livewire")
    bench.correct.panel.form.controls["over"].value = "all but locked"
    drawn = []
    bench.session.hand.drawing.connect(drawn.append)
    for place in ((row - 4, column), (row, column + 4), (row + 4, column), (row, column - 4)):
        click(bench, place)
        mouse(bench, QEvent.Type.MouseMove, place, held=False)
    assert max(len(d) for d in drawn) > 12
    with qtbot.waitSignal(bench.session.hand.ended, timeout=20000):
        press(bench, Qt.Key.Key_Return)
    z = int(np.argwhere(document.labels == 2)[0][0])
    inside = document.labels[z] == 2
    assert 2 * (inside & ball[z]).sum() / (inside.sum() + ball[z].sum()) > 0.8
    assert len(drawn[-1]) == 0


def test_escape_drops_the_outline_then_the_tool(bench, qtbot):
    row, column = centre_of(bench)
    bench.correct.panel.choose("livewire")
    click(bench, (row - 4, column))
    click(bench, (row, column + 4))
    press(bench, Qt.Key.Key_Escape)
    assert not bench.session.hand.finish()
    assert bench.session.hand.tool is not None
    press(bench, Qt.Key.Key_Escape)
    assert bench.session.hand.tool is None
    layer = bench.session.active.view.layer
    assert layer.mouse_pan
    before = bench.session.active.document.revision
    click(bench, (row, column))
    assert bench.session.active.document.revision == before


def test_taking_up_the_brush_puts_the_tool_down(bench):
    bench.correct.panel.choose("grow")
    assert bench.session.hand.tool.name == "grow"
    press(bench, Qt.Key.Key_P)
    assert bench.session.hand.tool is None
    assert str(bench.session.active.view.layer.mode) == "paint"


def test_threshold_paint_by_its_key_paints_bright_voxels_only(bench, qtbot):
    document = bench.session.active.document
    image = bench.session.image_on_mask()
    row, column = centre_of(bench)
    use(bench, qtbot, "delete_island", lambda: click(bench, (row, column)))
    press(bench, Qt.Key.Key_T)
    assert bench.session.gate.name == "threshold_paint"
    bench.correct.gate_form.controls["low"].value = 400.0
    press(bench, Qt.Key.Key_P)
    press(bench, Qt.Key.Key_3, Qt.KeyboardModifier.AltModifier)
    bench.session.active.view.brush_mm = 16.0
    drag(bench, (row, column), (row, column + 3))
    painted = document.labels == 3
    assert painted.any()
    assert image[painted].min() >= 400
    press(bench, Qt.Key.Key_T)
    assert bench.session.gate.name == ""
    drag(bench, (row, column), (row, column + 3))
    assert image[document.labels == 3].min() < 400


def test_the_adaptive_brush_stays_in_the_ball(bench, qtbot):
    document = bench.session.active.document
    ball = document.labels == 3
    row, column = centre_of(bench)
    use(bench, qtbot, "delete_island", lambda: click(bench, (row, column)))
    press(bench, Qt.Key.Key_J)
    press(bench, Qt.Key.Key_P)
    press(bench, Qt.Key.Key_3, Qt.KeyboardModifier.AltModifier)
    bench.session.active.view.brush_mm = 16.0
    drag(bench, (row, column))
    z = int(np.argwhere(document.labels == 3)[0][0])
    painted = document.labels[z] == 3
    assert 2 * (painted & ball[z]).sum() / (painted.sum() + ball[z].sum()) > 0.9


def test_a_result_for_a_mask_that_has_changed_is_not_used(bench, qtbot):
    document = bench.session.active.document
    hand = bench.session.hand
    said = []
    bench.session.said.connect(lambda line, bad: said.append(line))
    press(bench, Qt.Key.Key_3, Qt.KeyboardModifier.AltModifier)
    with qtbot.waitSignal(hand.ended, timeout=20000) as ended:
        hand.use("margin")
        # The stroke of a hand that was quicker: no event has been handled since.
        bench.session.active.view.layer.paint((1, 2, 2), 1)
    after = document.labels.copy()
    assert ended.args == ["margin", "failed"]
    assert (after == 1).any()
    assert "changed while the tool was running" in said[-1]


@pytest.mark.parametrize("name", ["fill_holes", "smooth", "smooth_jointly", "hollow", "drop_small", "restore_part", "interpolate"])
def test_tools_with_a_button_end_and_can_be_undone(bench, qtbot, name):
    document = bench.session.active.document
    before = document.labels.copy()
    press(bench, Qt.Key.Key_3, Qt.KeyboardModifier.AltModifier)
    bench.correct.panel.choose(name)
    with qtbot.waitSignal(bench.session.hand.ended, timeout=20000) as ended:
        bench.correct.panel.apply.click()
    assert ended.args[1] in ("done", "nothing")
    if ended.args[1] == "done":
        press(bench, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(document.labels, before)


def test_enter_accepts_the_lesion_and_undo_takes_the_decision_back(bench):
    session = bench.session
    before = session.active.document.labels.copy()
    number = session.focus.lesion.id
    press(bench, Qt.Key.Key_Return)
    assert session.lesions.sheet.status(number) is LesionStatus.ACCEPTED
    press(bench, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert session.lesions.sheet.status(number) is LesionStatus.TODO
    assert np.array_equal(session.active.document.labels, before)


def test_delete_rejects_the_lesion_and_undo_brings_it_back(bench):
    session = bench.session
    before = session.active.document.labels.copy()
    number = session.focus.lesion.id
    press(bench, Qt.Key.Key_Delete)
    assert not session.active.document.labels.any()
    assert session.lesions.sheet.status(number) is LesionStatus.REJECTED
    press(bench, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(session.active.document.labels, before)
    assert session.lesions.sheet.status(number) is LesionStatus.TODO


def test_decisions_are_in_the_journal(bench):
    session = bench.session
    press(bench, Qt.Key.Key_Return)
    journal = session.keeper.journal
    assert journal.flush()
    found = journal.ask(lambda store: [entry.data["what"] for entry in store.entries(EntryKind.REVIEW)]).result(10)
    assert "status" in found


def test_tools_point_in_each_of_the_four_views(bench, qtbot):
    document = bench.session.active.document
    ball = document.labels == 3
    press(bench, Qt.Key.Key_5, Qt.KeyboardModifier.ControlModifier)
    assert len(bench.views.mask_layers()) == 3
    press(bench, Qt.Key.Key_3, Qt.KeyboardModifier.AltModifier)
    bench.correct.panel.choose("delete_island")
    side = bench.views.mask_layers()[1]
    assert str(side.layer.mode) == "pan_zoom"
    # What napari's mouse binding does in the other view, at the middle of the ball.
    z, y, x = bench.session.view.scene.to_world(bench.session.focus.lesion.centroid_mm)
    event = SimpleNamespace(button=1, modifiers=(), type="mouse_press", position=(z, y, x), dims_displayed=[0, 2])
    with qtbot.waitSignal(bench.session.hand.ended, timeout=20000) as ended:
        for callback in side.layer.mouse_drag_callbacks:
            steps = callback(side.layer, event)
            if steps is not None:
                next(steps)
                event.type = "mouse_release"
                next(steps, None)
    assert ended.args == ["delete_island", "done"]
    assert ball.any()
    assert not document.labels.any()
    press(bench, Qt.Key.Key_5, Qt.KeyboardModifier.ControlModifier)
    assert bench.session.hand.tool is None


def test_an_outline_is_seen_while_it_is_drawn(bench):
    preview = bench.session.hand.findChild(OutlinePreview)
    row, column = centre_of(bench)
    bench.correct.panel.choose("livewire")
    click(bench, (row - 4, column))
    click(bench, (row, column + 4))
    assert preview.shown == 1
    press(bench, Qt.Key.Key_Escape)
    assert preview.shown == 0


def test_the_diameters_are_drawn_in_their_slice(bench):
    session = bench.session
    lines = session.findChild(DiameterLines)
    ends = session.focus.lesion.diameters.longest_ends_mm
    z, y, x = session.view.scene.to_world(ends[0])
    session.view.crosshair.move((z, y, x))
    assert lines.shown == 1
    drawn = lines._lines[0].shown[0]
    assert np.linalg.norm(np.subtract(*np.array(drawn)[:, -2:])) == pytest.approx(session.focus.lesion.diameters.longest_mm, abs=1e-3)
    session.view.crosshair.move((z + 6.0, y, x))
    assert lines.shown == 0
    session.view.crosshair.move((z, y, x))
    press(bench, Qt.Key.Key_Delete)
    assert lines.shown == 0


def test_other_slices_are_corrected_as_the_checked_ones_were(bench, qtbot):
    session = bench.session
    document = session.active.document
    ball = document.labels == 3
    axial = np.flatnonzero(ball.any(axis=(1, 2)))
    # The model's ball is of the wrong class; two slices are put right and checked.
    for index in axial[[0, len(axial) // 2]]:
        z, y, x = session.view.scene.to_world(document.grid.to_mm((index, 18, 20)))
        session.view.crosshair.move((z, y, x))
        box = Box((int(index), 0, 0), (int(index) + 1, *document.labels.shape[1:]))
        document.write(box, np.where(ball[box.slices], 1, 0).astype(np.uint8), Origin(PatchSource.HAND, "paint"))
        press(bench, Qt.Key.Key_K)
    assert session.checked.slices == {(0, int(i)) for i in axial[[0, len(axial) // 2]]}
    with qtbot.waitSignal(session.hand.ended, timeout=300000) as ended:
        press(bench, Qt.Key.Key_K, Qt.KeyboardModifier.ShiftModifier)
    assert ended.args == ["learn", "done"]
    right = (document.labels == 1) & ball
    assert right.sum() > 0.7 * ball.sum()
    for index in axial[[0, len(axial) // 2]]:
        assert np.array_equal(document.labels[index] == 1, ball[index])
    press(bench, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert (document.labels == 3).any()


def test_redrawn_borders_are_carried_to_the_slice_between(bench, qtbot):
    session = bench.session
    document = session.active.document
    before = document.labels.copy()
    axial = np.flatnonzero(before.any(axis=(1, 2)))
    assert len(axial) == 3
    row, column = centre_of(bench)
    turns = np.linspace(0, 2 * np.pi, 25)
    circle = [(row + 8 * np.sin(t), column + 8 * np.cos(t)) for t in turns]
    # The case has slices of 3 mm and pixels of 1 mm; the first and the last slice of the ball are redrawn much wider.
    place = document.grid.to_index(session.focus.lesion.centroid_mm)
    for index in axial[[0, 2]]:
        session.view.crosshair.move(session.view.scene.to_world(document.grid.to_mm((index, *place[1:]))))
        press(bench, Qt.Key.Key_3, Qt.KeyboardModifier.AltModifier)
        assert use(bench, qtbot, "reshape", lambda: drag(bench, *circle)) == ["reshape", "done"]
        assert np.count_nonzero(document.labels[index] == 3) == pytest.approx(np.pi * 64, rel=0.08)
    assert np.array_equal(document.labels[axial[1]], before[axial[1]])
    redrawn = document.labels.copy()
    bench.correct.panel.choose("carry")
    bench.correct.panel.form.controls["beyond_mm"].value = 0.0
    with qtbot.waitSignal(session.hand.ended, timeout=20000) as ended:
        bench.correct.panel.apply.click()
    assert ended.args == ["carry", "done"]
    # Half of the change of either neighbour: the discs of the ball's ends are 2.6 mm in radius, that of its middle 4 mm.
    grown = np.count_nonzero(document.labels[axial[1]] == 3)
    assert np.count_nonzero(before[axial[1]]) < 55 < 190 < grown < 380
    for index in set(range(len(before))) - {int(axial[1])}:
        assert np.array_equal(document.labels[index], redrawn[index])
    # Carried once, the corrections are settled: there is nothing to carry again.
    with qtbot.waitSignal(session.hand.ended, timeout=20000) as ended:
        press(bench, Qt.Key.Key_I, Qt.KeyboardModifier.ShiftModifier)
    assert ended.args == ["carry", "nothing"]
    press(bench, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(document.labels, redrawn)
    session.set_locked(3, True)
    press(bench, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    press(bench, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(document.labels, before)


def hold(hand, monkeypatch):
    """Make every tool wait inside its job; return the event that lets it go on."""
    started, go_on = threading.Event(), threading.Event()

    def slow(request, scope, progress):
        started.set()
        while not go_on.wait(0.005):
            progress.check()
        return

    monkeypatch.setattr("napari_tumorseg.widgets.tool_hand.draft_of", slow)
    hand.use("margin")
    assert started.wait(20)
    return go_on


def test_the_window_shows_that_a_tool_runs_and_nothing_outlives_it(bench, qtbot, monkeypatch):
    hand, window = bench.session.hand, main_window(bench.viewer)
    go_on = hold(hand, monkeypatch)
    assert window.cursor().shape() == Qt.CursorShape.BusyCursor
    assert QApplication.overrideCursor() is None
    with qtbot.waitSignal(hand.ended, timeout=20000) as ended:
        go_on.set()
    assert ended.args == ["margin", "nothing"]
    assert window.cursor().shape() == Qt.CursorShape.ArrowCursor


def test_closing_the_window_while_a_tool_runs_leaves_no_busy_cursor(bench, monkeypatch):
    hold(bench.session.hand, monkeypatch)
    bench.viewer.close()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QApplication.processEvents()
    assert QApplication.overrideCursor() is None


def test_a_model_that_is_added_while_the_window_is_open_is_listed(bench):
    hand, panel = bench.session.hand, bench.correct.panel
    kept = hand.named("click-lesion:point")
    shipped = Path(str(files("napari_tumorseg"))) / "models" / "click-lesion"
    added = bench.session.settings.model_dirs[0] / "click-other"
    panel.choose("margin")
    shutil.copytree(shipped, added)
    try:
        card = added / "model.toml"
        card.write_text(card.read_text(encoding="utf-8").replace('name = "click-lesion"', 'name = "click-other"'), encoding="utf-8")
        assert panel.choice.findData("click-other:point") < 0
        panel.choice.showPopup()
        panel.choice.hidePopup()
        assert panel.choice.findData("click-other:point") >= 0
        assert panel.choice.currentData() == panel.tool.name == "margin"
        # What was loaded already stays so.
        assert hand.named("click-lesion:point") is kept
        panel.choose("click-other:point")
        assert hand.tool is not None
    finally:
        shutil.rmtree(added)
    panel.choice.showPopup()
    panel.choice.hidePopup()
    assert hand.tool is None
    assert panel.choice.findData("click-other:point") < 0
