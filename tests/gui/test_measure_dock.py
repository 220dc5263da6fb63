"""Measuring in the window: forms, results that lead to places, colours by match, files."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QDialog

from napari_tumorseg.core.case import MaskKind
from napari_tumorseg.widgets.measure_dock import MeasureDock, show_measures
from napari_tumorseg.widgets.plot_view import PlotView
from napari_tumorseg.widgets.result_view import TableView
from napari_tumorseg.workflows.measures import MEASURES
from napari_tumorseg.workflows.report.plot import Band, Line, Plot, Series
from napari_tumorseg.workflows.report.section import Table


@pytest.fixture
def bench(open_window, load, qtbot):
    """The window with two masks: one of two lesions, one that has one of them and a false one."""
    dock = open_window()
    load(dock)
    with qtbot.waitSignal(dock.work.segmented, timeout=20000):
        dock.segment.run.click()
    session = dock.session
    found = session.active.document.snapshot()
    labels = found.labels.copy()
    labels[0:2, 2:4, 2:4] = 3
    session.add_mask(replace(found, labels=labels, kind=MaskKind.REFERENCE), "manual")
    other = found.labels.copy()
    other[8:10, 30:32, 2:4] = 3
    session.add_mask(replace(found, labels=other), "second")
    return dock


def measured(dock, qtbot, reference="manual", prediction="second") -> MeasureDock:
    panel = show_measures(dock.viewer)
    panel.form.controls["reference"].value = reference
    panel.form.controls["prediction"].value = prediction
    qtbot.mouseClick(panel.start, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not panel.busy and panel.result is not None, timeout=20000)
    return panel


def test_the_lesions_of_two_open_masks_are_matched_and_gone_to(bench, qtbot):
    panel = measured(bench, qtbot)
    regions, lesions = panel.view.tables
    assert [lesions.table.rows[i][2] for i in range(3)].count("found") == 1
    keys = list(lesions.table.keys)
    missed = next(key for key, row in zip(keys, lesions.table.rows, strict=True) if row[0] == "ET" and row[2] == "missed")
    lesions.show_key(missed)
    place = panel.result.section.places_mm[missed]
    world = bench.session.view.scene.to_world(place)
    step = bench.viewer.dims.point[-3]
    assert step == pytest.approx(world[0], abs=bench.session.view.scene.scale_mm[0])
    assert regions.rowCount() == len(panel.result.document["regions"])


def test_a_point_of_the_plot_leads_to_its_row(bench, qtbot):
    panel = measured(bench, qtbot)
    plot = panel.view.plots[0]
    key = plot.plot.series[0].keys[0]
    with qtbot.waitSignal(panel.view.chosen) as heard:
        plot.chosen.emit(key)
    lesions = panel.view.tables[1]
    assert heard.args == [key]
    assert lesions.table.keys[lesions._result_row(lesions.currentRow())] == key


def test_colours_by_match_come_and_go(bench, qtbot):
    panel = measured(bench, qtbot)
    row = next(i for i in range(panel.matches.count()) if panel.matches.itemText(i).endswith(" ET"))
    panel.matches.setCurrentIndex(row)
    panel.matches.activated.emit(row)
    layer = bench.viewer.layers["Matches"]
    assert set(np.unique(layer.data)) == {0, 1, 2, 3}
    panel.matches.activated.emit(0)
    assert "Matches" not in bench.viewer.layers
    assert panel.matches.currentIndex() == 0
    panel.matches.activated.emit(row)
    bench.viewer.layers.remove("Matches")
    panel.matches.activated.emit(row)
    assert "Matches" in bench.viewer.layers


def test_tables_and_reports_are_written(bench, qtbot, tmp_path, monkeypatch):
    panel = measured(bench, qtbot)
    panel.write_csv(tmp_path / "regions.csv")
    panel.write_report(tmp_path / "report.html")
    head = (tmp_path / "regions.csv").read_text().splitlines()[0]
    assert head.startswith("region,lesion-wise Dice,lesion-wise HD95 (mm)")
    page = (tmp_path / "report.html").read_text()
    assert "Dice against size" in page
    assert "brats-mets-2024" in page
    qtbot.mouseClick(panel.copy, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text().splitlines()[0].startswith("region\tlesion-wise Dice")
    told = []
    monkeypatch.setattr(bench.session, "report", lambda error: told.append(str(error)))
    panel.write_report(tmp_path / "nowhere" / "report.html")
    assert "nowhere does not exist" in told[0]


def test_measuring_can_be_stopped(bench, qtbot, monkeypatch):
    gate = threading.Event()

    def slow(_form, _reference, _prediction, progress):
        progress.update(0.1, "Waiting")
        while not gate.wait(0.01):
            progress.update(0.2, "Waiting")

    monkeypatch.setattr("napari_tumorseg.widgets.measure_dock.measure_open_masks", slow)
    panel = show_measures(bench.viewer)
    panel.measure()
    assert panel.busy
    assert not panel.start.isEnabled()
    panel.cancel()
    gate.set()
    assert not panel.busy
    assert panel.result is None
    assert panel.start.isEnabled()


def test_every_form_shows_and_an_empty_one_is_told_once(bench, qtbot, monkeypatch):
    told = []
    panel = show_measures(bench.viewer)
    monkeypatch.setattr(bench.session, "report", lambda error: told.append(str(error)))
    for index, measure in enumerate(MEASURES):
        before = panel.form
        panel.show_measure(index)
        # A form that was shown before must not lie over this one until Qt deletes it.
        assert before is panel.form or before is None or before.isHidden()
        if measure.run is None:
            continue
        assert set(panel.form.controls) == set(vars(measure.start))
        panel.measure()
        qtbot.waitUntil(lambda: not panel.busy, timeout=20000)
        assert "not chosen yet" in told[-1]
    assert len(told) == sum(measure.run is not None for measure in MEASURES)


def test_what_is_open_is_followed(bench, qtbot):
    panel = show_measures(bench.viewer)
    assert set(panel.form.controls["reference"].choices) == {mask.name for mask in bench.session.masks}
    bench.session.close_case()
    assert panel.form is None
    assert "two masks" in panel.said.text()
    assert not panel.start.isEnabled()


def test_it_opens_once_and_beside_the_steps(bench):
    panel = show_measures(bench.viewer)
    assert show_measures(bench.viewer) is panel
    assert panel.isVisible()


def test_a_table_sorts_numbers_as_numbers_and_dashes_last(qtbot):
    view = TableView(Table("T", ("name", "value"), (("a", 10.0), ("b", 9.0), ("c", None)), ("ka", "kb", "kc")))
    qtbot.addWidget(view)
    view.sortItems(1, Qt.SortOrder.AscendingOrder)
    assert [view.item(row, 0).text() for row in range(3)] == ["b", "a", "c"]
    assert view.as_text().splitlines() == ["name\tvalue", "b\t9.0", "a\t10.0", "c\t"]
    with qtbot.waitSignal(view.chosen) as heard:
        view.setCurrentCell(1, 0)
    assert heard.args == ["ka"]


def test_a_plot_of_every_kind_draws(qtbot):
    series = (Series("a", (1.0, 10.0), (0.1, 0.9), keys=("k1", "k2"), error=((0.0, 0.2), (0.8, 1.0))), Series("b", (2.0,), (0.5,), "cross"))
    lines = (Line("level", 0.0, 0.5), Line("slope", 0.1, 0.0, dashed=True))
    dialog = QDialog()
    qtbot.addWidget(dialog)
    for plot in (
        Plot("One", "x", "y", series, lines, (Band(0.2, 0.3),), y_limits=(0, 1)),
        Plot("Two", "x", "y", series, x_log=True),
        Plot("Three", "", "y", (Series("", (0.0, 1.0), (1.0, 2.0), joined=True),), x_names=("p", "q")),
        Plot("Empty", "x", "y"),
    ):
        view = PlotView(plot)
        qtbot.addWidget(view)
        view.show()
        assert not view.grab().isNull()
        assert len(view.item.listDataItems()) >= sum(bool(s.x) for s in plot.series)
