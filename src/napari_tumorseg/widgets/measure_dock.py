"""The dock in which masks and tables are measured: a form, its result, and where it can go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.widgets.docking import add_dock, prefer_width, raise_dock
from napari_tumorseg.widgets.forms import RequestForm
from napari_tumorseg.widgets.jobs import Job
from napari_tumorseg.widgets.masks import OpenMask
from napari_tumorseg.widgets.match_overlay import MatchOverlay
from napari_tumorseg.widgets.napari_adapter import main_window
from napari_tumorseg.widgets.parts import button, note
from napari_tumorseg.widgets.result_view import ResultView
from napari_tumorseg.widgets.session import Session
from napari_tumorseg.workflows.measure_forms import OpenMasks, OpenPet, with_choices
from napari_tumorseg.workflows.measures import (
    MEASURES,
    MeasureResult,
    facts_of,
    map_matches,
    measure_open_masks,
    measure_open_pet,
)
from napari_tumorseg.workflows.report.csv import write_table
from napari_tumorseg.workflows.report.page import write_page

__all__ = ["MeasureDock", "show_measures"]

_BY_MATCH = "Colour by match: "
#: Around a place that is jumped to.
_AROUND_MM = 15.0


def show_measures(viewer: Any) -> MeasureDock:
    """Show the dock of a viewer, made at the first call, in front of others."""
    window = main_window(viewer)
    found = window.findChild(MeasureDock)
    if found is None:
        found = MeasureDock(Session.of(viewer))
        prefer_width(viewer, add_dock(viewer, found, "Evaluate", "right", beside=True), 460)
    raise_dock(found)
    return found


class MeasureDock(QWidget):
    """Chooses what is measured, measures it, shows and writes the result.

    Parameters
    ----------
    session : Session
        Whose masks and images can be measured.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._job: Job | None = None
        self._values: dict[int, Any] = {}
        self._of: OpenMasks | None = None
        self.result: MeasureResult | None = None
        self.view: ResultView | None = None
        self.form: RequestForm[Any] | None = None
        self._overlay = MatchOverlay(session)
        self.setAccessibleName("Evaluate")
        self._build()
        session.masks_changed.connect(self._on_open_changed)
        session.case_changed.connect(self._on_open_changed)
        self.show_measure(0)

    @property
    def busy(self) -> bool:
        """Whether something is being measured."""
        return self._job is not None

    def show_measure(self, index: int) -> None:
        """Show the form of one of `MEASURES`."""
        if self.what.currentIndex() == index:
            self._show_form()
        else:
            self.what.setCurrentIndex(index)

    def measure(self) -> None:
        """Measure what the form says, in a job."""
        if self.busy or self.form is None:
            return
        value = self.form.value
        with self._session.reporting():
            work = self._work(value)
            self.said.setVisible(False)
            self.bar.setValue(0)
            job = self._session.runner.start(
                "evaluate",
                work,
                done=lambda result: self._on_done(result, value),
                failed=self._on_failed,
                progress=lambda fraction, message: self._on_progress(fraction, message),
            )
            self._job = job
            job.finished.connect(lambda: self._forget(job))
        self._refresh()

    def cancel(self) -> None:
        """Stop measuring; the last result stays."""
        if self._job is not None:
            self._job.cancel()

    def go_to(self, key: str) -> None:
        """Bring what a row or point is about to the middle of the view, where it lies in the open case."""
        place = self.result.section.places_mm.get(key) if self.result is not None else None
        scene = self._session.view.scene
        if place is None or scene is None:
            return
        grid = self._session.volumes[self._session.reference].grid
        middle = [round(float(i)) for i in grid.to_index(place)]
        if all(0 <= i < n for i, n in zip(middle, grid.shape, strict=True)):
            margin = [max(1, round(_AROUND_MM / s)) for s in grid.spacing_mm]
            z, y, x = middle
            self._session.view.frame(place, Box((z, y, x), (z + 1, y + 1, x + 1)).grown(margin, grid.shape))

    def write_csv(self, path: Path) -> None:
        """Write the table in front as CSV."""
        table = self.view.table_in_front if self.view is not None else None
        if table is not None:
            with self._session.reporting():
                write_table(path, table)
                self._session.said.emit(f"Wrote {path}", False)

    def write_report(self, path: Path) -> None:
        """Write the result as one HTML page."""
        if self.result is not None:
            with self._session.reporting():
                write_page(path, "Evaluation", [self.result.section], facts_of(self.result.document))
                self._session.said.emit(f"Wrote {path}", False)

    def colour_by_match(self, region: str) -> None:
        """Show which lesions of a region were found, missed and false; "" takes the colours away."""
        self._overlay.hide()
        self.matches.setCurrentIndex(max(0, self.matches.findText(f"{_BY_MATCH}{region}")))
        if not region or self._of is None:
            return
        with self._session.reporting():
            reference, prediction = (self._mask(name).document.snapshot() for name in (self._of.reference, self._of.prediction))
            self._overlay.show(map_matches(self._of, reference, prediction, region))

    def changeEvent(self, event: Any) -> None:  # noqa: N802
        """Take the colours away with the dock."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._overlay.hide()
        super().changeEvent(event)

    # -- inside

    def _build(self) -> None:
        self.what = QComboBox()
        self.what.setAccessibleName("What is measured")
        self.what.setToolTip("Choose what is measured")
        self.what.addItems([measure.title for measure in MEASURES])
        self.what.currentIndexChanged.connect(lambda _index: self._show_form())
        self._form_place = QVBoxLayout()
        self.start = button("Measure", "Measure what is chosen above", self.measure, primary=True)
        self.stop = button("Cancel", "Stop measuring", self.cancel)
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress")
        self.bar.setRange(0, 100)
        self.said = note(name="What is missing or failed")
        self.matches = QComboBox()
        self.matches.setAccessibleName("Colour lesions by match")
        self.matches.setToolTip("Blue: found. Yellow stripes: missed. Orange dots: false.")
        self.matches.activated.connect(lambda row: self.colour_by_match(self.matches.itemText(row).removeprefix(_BY_MATCH) if row else ""))
        self.copy = button("Copy table", "Copy the table in front, for a spreadsheet", self._copy)
        self.csv = button("Save table…", "Write the table in front as CSV", self._ask_csv)
        self.page = button("Save report…", "Write tables, plots, constants and versions as one HTML page", self._ask_report)
        self._result_place = QVBoxLayout()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self.what)
        layout.addLayout(self._form_place)
        layout.addLayout(_row(self.start, self.bar, self.stop))
        layout.addWidget(self.said)
        layout.addLayout(self._result_place, 1)
        layout.addWidget(self.matches)
        layout.addLayout(_row(self.copy, self.csv, self.page))
        layout.addStretch(0)

    def _show_form(self) -> None:
        index = self.what.currentIndex()
        value = self._values.get(index, MEASURES[index].start)
        options: dict[str, dict[str, Any]] = {}
        missing = ""
        if isinstance(value, OpenMasks | OpenPet):
            value, options, missing = with_choices(value, self._mask_names(), self._pet_names())
        form = None if missing else RequestForm(value, options=options)
        if self.form is not None:
            # It is deleted when Qt has time, and would be seen until then.
            self.form.hide()
            self._form_place.removeWidget(self.form)
            self.form.deleteLater()
        self.form = form
        self._tell(missing)
        if form is not None:
            form.valueChanged.connect(lambda changed: self._values.__setitem__(index, changed))
            self._form_place.addWidget(form)
        self._refresh()

    def _work(self, value: Any) -> Callable[[Progress], MeasureResult]:
        if isinstance(value, OpenMasks):
            reference, prediction = (self._mask(name).document.snapshot() for name in (value.reference, value.prediction))
            return lambda progress: measure_open_masks(value, reference, prediction, progress)
        if isinstance(value, OpenPet):
            pet, mask = self._session.volumes[value.pet], self._mask(value.mask).document.snapshot()
            return lambda progress: measure_open_pet(pet, mask, progress)
        run = MEASURES[self.what.currentIndex()].run
        assert run is not None
        return lambda progress: run(value, progress)

    def _mask(self, name: str) -> OpenMask:
        return next(mask for mask in self._session.masks if mask.name == name)

    def _mask_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(mask.name for mask in self._session.masks))

    def _pet_names(self) -> tuple[str, ...]:
        return tuple(name for name in self._session.volumes if "PET" in name.upper())

    def _on_done(self, result: MeasureResult, value: Any) -> None:
        self.result = result
        self._of = value if isinstance(value, OpenMasks) else None
        self._overlay.hide()
        if self.view is not None:
            self.view.hide()
            self._result_place.removeWidget(self.view)
            self.view.deleteLater()
        self.view = ResultView(result.section)
        self.view.chosen.connect(self.go_to)
        self._result_place.addWidget(self.view, 1)
        self.matches.clear()
        if self._of is not None:
            self.matches.addItems([f"{_BY_MATCH}{name}" for name in ("off", *result.document["regions"])])
        self._refresh()

    def _on_failed(self, error: BaseException) -> None:
        self._session.report(error)

    def _on_progress(self, fraction: float, message: str) -> None:
        self.bar.setValue(round(100 * fraction))
        self.bar.setFormat(message)

    def _forget(self, job: Job) -> None:
        if self._job is job:
            self._job = None
            self._refresh()

    def _on_open_changed(self) -> None:
        self._overlay.hide()
        self._of = None
        if isinstance(MEASURES[self.what.currentIndex()].start, OpenMasks | OpenPet):
            self._show_form()
        self._refresh()

    def _refresh(self) -> None:
        self.start.setEnabled(self.form is not None and not self.busy)
        self.bar.setVisible(self.busy)
        self.stop.setVisible(self.busy)
        self.matches.setVisible(self._of is not None)
        for made in (self.copy, self.csv, self.page):
            made.setVisible(self.result is not None)

    def _tell(self, text: str) -> None:
        self.said.setText(text)
        self.said.setVisible(bool(text))

    def _copy(self) -> None:
        if self.view is not None and (title := self.view.copy()):
            self._session.said.emit(f"Copied the table {title}", False)

    def _ask_csv(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save table", "table.csv", "Tables (*.csv)")
        if path:
            self.write_csv(Path(path))

    def _ask_report(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save report", "evaluation.html", "Pages (*.html)")
        if path:
            self.write_report(Path(path))


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget)
    return row
