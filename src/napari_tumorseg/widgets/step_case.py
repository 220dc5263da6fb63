"""The step Case: open a patient's images and say which is which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from qtpy.QtWidgets import QComboBox, QFileDialog, QGridLayout, QHBoxLayout, QLabel, QWidget

from napari_tumorseg._npe2 import is_mask_file
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.widgets.case_queue import CaseQueueList, CaseQueueWork
from napari_tumorseg.widgets.forms import RequestForm
from napari_tumorseg.widgets.parts import More, button, choose, emphasise, note
from napari_tumorseg.widgets.steps import Step
from napari_tumorseg.widgets.work import Work
from napari_tumorseg.workflows.open_case import OpenRequest
from napari_tumorseg.workflows.sample import SAMPLE_TITLE, sample_folder

__all__ = ["MODALITIES", "CaseStep"]

#: Sequences that models know by name.
MODALITIES = ("T1", "T1c", "T2", "FLAIR", "CT", "PET")
_OVERLAP = {"First segment wins": "first", "Last segment wins": "last"}


class CaseStep(Step):
    """Opens folders and files, lists the sequences and lets the user correct what they are called."""

    title = "Case"

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self.empty = note("Drop a folder of NIfTI or DICOM files here, or open the sample case.")
        self.open_folder = button("Open folder…", "Open a folder of NIfTI, NRRD, TIFF or DICOM files", self._choose_folder, primary=True)
        self.open_files = button("Open files…", "Open the images of one patient", self._choose_files)
        self.open_sample = button("Sample case", f"Open {SAMPLE_TITLE}", lambda: self.open([sample_folder()]))
        self.open_mask = button("Add a mask…", "Open a mask that was drawn on one of these images", self._choose_mask)
        self.name = note(name="Name of the case")
        self.timepoint = QComboBox()
        self.timepoint.setAccessibleName("Visit")
        self.timepoint.setToolTip("Which visit is shown")
        self.timepoint.activated.connect(self._set_timepoint)
        self.sequences = QWidget()
        self._grid = QGridLayout(self.sequences)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setColumnStretch(1, 1)
        self.warnings = note(name="What the reader noticed")
        self.form: RequestForm[OpenRequest] = RequestForm(OpenRequest())
        opening = QHBoxLayout()
        opening.addWidget(self.open_folder, 1)
        opening.addWidget(self.open_files, 1)
        other = QHBoxLayout()
        other.addWidget(self.open_sample, 1)
        other.addWidget(self.open_mask, 1)
        for item in (self.empty, self.name, self.timepoint, self.sequences, self.warnings):
            self.body.addWidget(item)
        self.body.addLayout(opening)
        self.body.addLayout(other)
        self.queue = CaseQueueList(CaseQueueWork.of(self.session))
        self.body.addWidget(self.queue)
        self.body.addWidget(More(self.form))
        self.session.case_changed.connect(self.refresh)
        work.started.connect(lambda kind, _title: self.set_state("… reading") if kind == "open" else None)
        work.ended.connect(lambda kind, _outcome: self.refresh() if kind == "open" else None)
        work.overlapped.connect(self._ask_overlap)
        self.refresh()

    def open(self, paths: Sequence[Path]) -> None:
        """Open a case, or add a mask to the open one when `paths` is a mask file."""
        if not paths:
            return
        if self.session.held:
            self.session.said.emit(self.session.held, True)
            return
        if self.session.case is not None and len(paths) == 1 and is_mask_file(paths[0]):
            self.work.open_mask(paths[0], self.form.value)
            return
        if not self.session.unsaved or self._may_discard():
            self.work.open_paths(replace(self.form.value, paths=tuple(paths)))

    def _may_discard(self) -> bool:
        names = ", ".join(mask.name for mask in self.session.unsaved)
        question = "Close the case without saving its mask?"
        return bool(choose(self, question, f"{names} is not saved. Opening another case closes it.", ("Discard the mask",)))

    def refresh(self) -> None:
        """Show the open case."""
        case = self.session.case
        self.empty.setVisible(case is None)
        emphasise(self.open_folder, case is None)
        self.open_mask.setEnabled(case is not None)
        self._clear_grid()
        if case is None:
            self.set_state("open one")
            for widget in (self.name, self.timepoint, self.sequences, self.warnings):
                widget.hide()
            return
        volumes = self.session.volumes
        known = all(name in MODALITIES for name in volumes)
        brain = set(volumes) <= {"T1", "T1c", "T2", "FLAIR"}
        count = f"{len(volumes)} of 4 sequences" if brain else f"{len(volumes)} image{'' if len(volumes) == 1 else 's'}"
        self.set_state(f"{'✓' if known else '!'} {count}")
        self.name.setText(f"<b>{case.name}</b>")
        self.name.show()
        self.timepoint.clear()
        for index, point in enumerate(case.timepoints):
            self.timepoint.addItem(point.date.isoformat() if point.date else f"Visit {index + 1}")
        self.timepoint.setCurrentIndex(self.session.timepoint % len(case.timepoints))
        self.timepoint.setVisible(len(case.timepoints) > 1)
        for row, (name, volume) in enumerate(volumes.items()):
            self._add_row(row, name, volume)
        self.sequences.show()
        told = [f"! {name}: {warning}" for name, volume in volumes.items() for warning in volume.warnings]
        self.warnings.setText("\n".join(told))
        self.warnings.setVisible(bool(told))

    def _add_row(self, row: int, name: str, volume: Volume) -> None:
        combo = QComboBox()
        names = list(MODALITIES) if name in MODALITIES else [name, *MODALITIES]
        combo.addItems(names)
        combo.setCurrentText(name)
        combo.setMinimumWidth(84)
        combo.setAccessibleName(f"What {volume.name or name} is")
        combo.setToolTip("Which sequence this image is; two images change places")
        combo.textActivated.connect(lambda new, old=name: self.session.rename_sequence(old, new))
        z, y, x = volume.grid.spacing_mm
        file = volume.source.paths[0].name if volume.source is not None and len(volume.source.paths) == 1 else volume.name
        shown = QLabel(f"{_short(file)}\n{volume.shape[2]} x {volume.shape[1]} x {volume.shape[0]}, {x:.2g} x {y:.2g} x {z:.2g} mm")
        shown.setToolTip(file)
        shown.setMinimumWidth(10)
        self._grid.addWidget(combo, row, 0)
        self._grid.addWidget(shown, row, 1)

    def _clear_grid(self) -> None:
        while (item := self._grid.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.deleteLater()

    def _set_timepoint(self, index: int) -> None:
        case = self.session.case
        if case is not None and index != self.session.timepoint % len(case.timepoints):
            if not self.session.unsaved or self._may_discard():
                self.session.open_case(case, index)
            else:
                self.refresh()

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open a case folder")
        self.open([Path(path)] if path else [])

    def _choose_files(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Open the images of one patient")
        self.open([Path(p) for p in paths])

    def _choose_mask(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a mask of this case")
        if path:
            self.work.open_mask(Path(path), self.form.value)

    def _ask_overlap(self, path: Path, error: Exception) -> None:
        verb = choose(self, "Which segment wins where several overlap?", str(error), tuple(_OVERLAP))
        if verb:
            self.work.open_mask(path, replace(self.form.value, on_overlap=_OVERLAP[verb]))


def _short(name: str, length: int = 34) -> str:
    """Return a name cut in its middle, because both ends tell files apart."""
    return name if len(name) <= length else f"{name[: length // 2 - 1]}…{name[-length // 2 :]}"
