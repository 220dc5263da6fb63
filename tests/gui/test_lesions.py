"""The lesion table in the real window: follows strokes at once, leads the view, decides, splits, joins, is saved."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_tumorseg.annotation.provenance import Provenance
from napari_tumorseg.annotation.review import LesionStatus
from napari_tumorseg.core.grid import Box
from napari_tumorseg.widgets.lesion_model import COLUMNS
from napari_tumorseg.widgets.napari_adapter import main_window

from .conftest import drag, press

STATUS, NUMBER, MADE_OF, VOLUME, LONGEST = 0, 1, 2, 3, 4
UNDO = (Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
REDO = (Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)


@pytest.fixture
def table(open_window, load, qtbot):
    """The table of a case with the fake model's mask: one lesion."""
    dock = open_window()
    load(dock)
    with qtbot.waitSignal(dock.work.ended, timeout=20000):
        dock.segment.run.click()
    qtbot.waitUntil(lambda: dock.session.lesions.up_to_date, timeout=20000)
    made = dock.viewer.window.dock_widgets["Lesions (Tumour segmentation)"]
    made.dock = dock
    return made


def cells(table, column: int) -> list[str]:
    return [table._sorted.index(row, column).data() for row in range(table._sorted.rowCount())]


def statuses(table) -> dict[str, str]:
    return dict(zip(cells(table, NUMBER), cells(table, STATUS), strict=True))


def stroke(table, *worlds) -> None:
    press(table.dock, Qt.Key.Key_P)
    drag(table.dock, *worlds)


def pick(table, number: int) -> None:
    row = cells(table, NUMBER).index(str(number))
    table.table.clicked.emit(table._sorted.index(row, 0))


def choose(menu, text: str) -> None:
    action = next(action for action in menu.actions() if action.text().startswith(text))
    assert action.isEnabled()
    action.trigger()
    menu.aboutToHide.emit()


def test_the_table_follows_a_stroke_and_its_undo_without_waiting(table):
    assert statuses(table) == {"1": "○ to do"}
    before = cells(table, VOLUME)
    stroke(table, (0.0, 8.0), (0.0, 9.0))
    # No waiting: the row is there when the stroke is.
    assert statuses(table) == {"1": "○ to do", "2": "+ added"}
    assert cells(table, VOLUME)[0] == before[0]
    lesion = table.dock.session.lesions.rows[1]
    assert cells(table, LONGEST)[1] == f"{lesion.diameters.longest_mm:.1f}"
    press(table.dock, *UNDO)
    assert statuses(table) == {"1": "○ to do"}


def test_an_edit_makes_it_edited_and_the_choice_stays(table):
    stroke(table, (0.0, 8.0), (0.0, 9.0))
    pick(table, 1)
    assert table.selected() == [1]
    centre = tuple(table.dock.viewer.scene.camera.center[-2:])
    before = table.dock.session.lesions.rows[0].volume_mm3
    press(table.dock, Qt.Key.Key_E)
    drag(table.dock, centre, (centre[0], centre[1] + 1))
    assert table.dock.session.lesions.rows[0].volume_mm3 < before
    assert statuses(table)["1"] == "✎ edited"
    assert table.selected() == [1]
    assert table.dock.session.focus.lesion == table.dock.session.lesions.rows[0]
    table.table.sortByColumn(VOLUME, Qt.SortOrder.AscendingOrder)
    assert cells(table, NUMBER) == ["2", "1"]
    assert table.selected() == [1]
    press(table.dock, *UNDO)
    assert statuses(table)["1"] == "○ to do"


def test_deciding_goes_on_to_what_is_left_to_do(table):
    stroke(table, (0.0, 8.0), (0.0, 9.0))
    session = table.dock.session
    review, focus = session.focus.review, session.focus
    review.put_back(2)
    focus.go_to(session.lesions.rows[0])
    review.accept()
    assert statuses(table) == {"1": "✓ accepted", "2": "○ to do"}
    assert focus.lesion.id == 2
    review.call_uncertain()
    assert statuses(table) == {"1": "✓ accepted", "2": "? uncertain"}
    assert "1 accepted, 1 uncertain" in table.totals.text()
    press(table.dock, *UNDO)
    assert statuses(table) == {"1": "✓ accepted", "2": "○ to do"}
    press(table.dock, *UNDO)
    assert statuses(table) == {"1": "○ to do", "2": "○ to do"}
    press(table.dock, *REDO)
    press(table.dock, *REDO)
    assert statuses(table) == {"1": "✓ accepted", "2": "? uncertain"}


def test_rejecting_keeps_the_row_and_undo_or_bringing_back_gives_the_lesion_back(table):
    session = table.dock.session
    before = session.active.document.labels.copy()
    session.focus.go_to(session.lesions.rows[0])
    volume = cells(table, VOLUME)
    session.focus.review.reject()
    assert statuses(table) == {"1": "✗ rejected"}
    assert cells(table, VOLUME) == volume
    assert not session.active.document.labels.any()
    assert session.active.view.highlight is None
    press(table.dock, *UNDO)
    assert statuses(table) == {"1": "○ to do"}
    assert np.array_equal(session.active.document.labels, before)
    choose(table.menu(1), "Reject")
    stroke(table, (10.0, -10.0), (10.0, -11.0))
    pick(table, 1)
    choose(table.menu(1), "Bring back")
    assert statuses(table) == {"1": "○ to do", "2": "+ added"}
    assert np.array_equal(session.active.document.labels[before > 0], before[before > 0])


def test_split_and_join_change_no_voxel_and_are_undone_in_order_with_strokes(table):
    session = table.dock.session
    labels = session.active.document.labels.copy()
    lists = [cells(table, VOLUME)]
    choose(table.menu(1), "Split as lesions")
    assert statuses(table) == {"1": "○ to do", "2": "○ to do"}
    lists.append(cells(table, VOLUME))
    stroke(table, (10.0, -10.0), (10.0, -11.0))
    lists.append(cells(table, VOLUME))
    table.table.selectAll()
    choose(table.menu(1), "Join with")
    assert cells(table, NUMBER) == ["1"]
    assert session.focus.lesion.voxels == np.count_nonzero(session.active.document.labels)
    lists.append(cells(table, VOLUME))
    for before in reversed(lists[:-1]):
        press(table.dock, *UNDO)
        assert cells(table, VOLUME) == before
    assert np.array_equal(session.active.document.labels, labels)
    assert not session.active.document.can_undo
    for after in lists[1:]:
        press(table.dock, *REDO)
        assert cells(table, VOLUME) == after
    session.focus.review.split()
    assert len(session.lesions.rows) == 3


def test_the_lesions_chosen_in_the_table_are_joined_by_the_command_else_the_nearest(table):
    session = table.dock.session
    focus = session.focus
    stroke(table, (10.0, -10.0), (10.0, -11.0))
    focus.go_to(session.lesions.rows[0])
    focus.review.split()
    assert cells(table, NUMBER) == ["1", "2", "3"]
    focus.go_to(session.lesions.rows[0])
    focus.review.join_chosen()
    assert sorted(cells(table, NUMBER)) == ["1", "2"], "lesion 3 is the other half of 1"
    press(table.dock, *UNDO)
    table.table.selectAll()
    focus.review.join_chosen()
    assert cells(table, NUMBER) == ["1"]


def test_the_filter_hides_rows_and_leads_the_keys(table):
    for x in (8.0, -6.0):
        stroke(table, (0.0, x), (0.0, x + 1))
    assert len(cells(table, NUMBER)) == 3
    table.only.setCurrentIndex(table.only.findText("+ added"))
    table.only.activated.emit(table.only.currentIndex())
    assert cells(table, NUMBER) == ["2", "3"]
    for expected in (2, 3, 2):
        press(table.dock, Qt.Key.Key_N)
        assert table.dock.session.focus.lesion.id == expected
    table.only.setCurrentIndex(table.only.findText("With NETC"))
    table.only.activated.emit(table.only.currentIndex())
    assert all("NETC" in text for text in cells(table, MADE_OF))


def test_the_list_is_saved_as_it_is_shown(table, tmp_path, monkeypatch):
    stroke(table, (0.0, 8.0), (0.0, 9.0))
    table.dock.session.focus.review.reject(1)
    path = tmp_path / "list.csv"
    monkeypatch.setattr("qtpy.QtWidgets.QFileDialog.getSaveFileName", lambda *_a, **_k: (str(path), ""))
    table.save.click()
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(lines[1:]))
    assert [(row["lesion"], row["status"]) for row in rows] == [("1", "rejected"), ("2", "added")]
    assert "A.B." not in path.read_text(encoding="utf-8")
    assert not any("BraTS" in line for line in lines)


def test_where_the_voxels_come_from(table):
    session = table.dock.session
    document = session.active.document
    provenance = Provenance(document)
    session.lesions.set_provenance(document, provenance.counts)
    last = len(COLUMNS) - 1
    assert cells(table, last) == ["0 %"]
    stroke(table, (0.0, 8.0), (0.0, 9.0))
    assert cells(table, last) == ["0 %", "100 %"]
    provenance.close()


def test_another_mask_keeps_its_own_statuses(table, qtbot):
    session = table.dock.session
    first = session.active
    session.focus.review.accept(1)
    session.add_empty_mask()
    qtbot.waitUntil(lambda: session.lesions.up_to_date, timeout=20000)
    assert cells(table, NUMBER) == []
    session.activate(first)
    assert statuses(table) == {"1": "✓ accepted"}


def test_a_change_too_large_to_follow_at_once_is_followed_off_the_gui_thread(table, qtbot, monkeypatch):
    monkeypatch.setattr("napari_tumorseg.widgets.lesion_tracker._AT_ONCE_VOXELS", 0)
    lesions = table.dock.session.lesions
    stroke(table, (0.0, 8.0), (0.0, 9.0))
    stroke(table, (0.0, -6.0), (0.0, -7.0))
    press(table.dock, *UNDO)
    qtbot.waitUntil(lambda: lesions.up_to_date, timeout=20000)
    assert statuses(table) == {"1": "○ to do", "2": "+ added"}


def test_what_cannot_be_done_is_told_in_one_line(table, monkeypatch):
    shown = []
    monkeypatch.setattr("napari_tumorseg.widgets.session.show_error", shown.append)
    session = table.dock.session
    session.focus.review.accept()
    session.focus.review.accept(77)
    session.set_locked(3, True)
    session.focus.review.reject(1)
    assert [line.split(".")[0] for line in shown] == [
        "No lesion is chosen",
        "Lesion 77 is not in the mask",
        "Lesion 1 holds ET, which is locked",
    ]
    assert statuses(table) == {"1": "○ to do"}


def test_nothing_is_clipped_on_a_small_screen(table, qtbot):
    document = table.dock.session.active.document
    for row in range(20):
        new = np.full((1, 1, 1), 1 + row % 3, np.uint8)
        from napari_tumorseg.core.document import Origin, PatchSource

        document.write(Box((0, row, 0), (1, row + 1, 1)), new, Origin(PatchSource.HAND, "paint"))
    main_window(table.dock.viewer).resize(1366, 768)
    qtbot.wait(50)
    QApplication.processEvents()
    view = table.table
    header = view.horizontalHeader()
    assert header.length() <= view.viewport().width() + 1, "no column is beyond the edge"
    for column in range(len(COLUMNS)):
        if column != MADE_OF:
            assert header.sectionSize(column) >= view.sizeHintForColumn(column), COLUMNS[column][0]
            words = COLUMNS[column][0].split("\n")
            assert header.sectionSize(column) >= max(header.fontMetrics().horizontalAdvance(word) for word in words) + 6
    assert header.sectionSize(MADE_OF) >= 60
    assert table.totals.height() >= table.totals.heightForWidth(table.totals.width()), "the totals are read whole"
    assert table.save.width() >= table.save.sizeHint().width()
    assert view.viewport().height() >= 3 * 22


def test_the_status_bar_names_lesion_and_status(table):
    session = table.dock.session
    voxel = tuple(int(i) for i in np.argwhere(session.active.document.labels)[0])
    session.focus.review.accept(1)
    line = session.lesions.describe(voxel)
    assert line.startswith("Lesion 1, WT")
    assert line.endswith(LesionStatus.ACCEPTED.value)
    assert session.lesions.describe((0, 0, 0)) == ""
