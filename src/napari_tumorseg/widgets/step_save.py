"""The step Save: write the mask where it belongs."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QComboBox, QFileDialog, QFormLayout, QHBoxLayout, QLineEdit, QWidget

from napari_tumorseg.core.settings import RESEARCH_USE_ONLY
from napari_tumorseg.widgets.parts import button, choose, note
from napari_tumorseg.widgets.steps import Step
from napari_tumorseg.widgets.work import Work
from napari_tumorseg.workflows.save import FORMATS, suggested_name

__all__ = ["SaveStep"]


class SaveStep(Step):
    """Names format, folder and file, and writes the active mask."""

    title = "Save"

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self._typed = False
        self.empty = note("There is no mask to save yet.")
        self.format = QComboBox()
        self.format.setAccessibleName("Format")
        self.format.setToolTip("File format of the mask")
        self.folder = QLineEdit()
        self.folder.setAccessibleName("Folder")
        self.folder.setToolTip("Folder that the mask is written to")
        self.name = QLineEdit()
        self.name.setAccessibleName("File name")
        self.name.setToolTip("Name of the file; its ending follows the format")
        self.browse = button("…", "Choose the folder", self._browse)
        self.browse.setAccessibleName("Choose the folder")
        self.browse.setFixedWidth(34)
        self.save = button("Save", "Write the mask with the exact geometry of its image (Ctrl+Alt+M)", self.run, primary=True)
        self.where = note(name="Where the mask was saved")
        self.form = QWidget()
        rows = QFormLayout(self.form)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        place = QHBoxLayout()
        place.addWidget(self.folder, 1)
        place.addWidget(self.browse)
        rows.addRow("Format", self.format)
        rows.addRow("Folder", place)
        rows.addRow("File", self.name)
        for item in (self.empty, self.form, self.save, self.where, note(RESEARCH_USE_ONLY)):
            self.body.addWidget(item)
        self.format.currentIndexChanged.connect(self._on_format)
        self.name.textEdited.connect(self._on_typed)
        self.session.case_changed.connect(self._on_case)
        self.session.masks_changed.connect(self.refresh)
        self.session.edited.connect(self._on_edited)
        work.started.connect(lambda _kind, _title: self.save.setEnabled(False))
        work.ended.connect(lambda _kind, _outcome: self._on_edited())
        self._on_case()

    @property
    def path(self) -> Path:
        """Where the mask will be written."""
        return Path(self.folder.text()).expanduser() / self.name.text()

    def run(self) -> None:
        """Save the active mask; ask before a file is replaced that this mask was not saved to before."""
        active = self.session.active
        if active is None:
            return
        if not self.name.text() or not self.folder.text():
            self.session.said.emit("Name a folder and a file to save to.", True)
            return
        path = self.path
        if not path.exists() or path == active.path or self._may_replace(path):
            self.work.save(active, path)

    def _may_replace(self, path: Path) -> bool:
        question = f"Replace the mask {path.name}?"
        return bool(choose(self, question, f"{path} exists; what it holds would be lost.", ("Replace the mask",)))

    def refresh(self) -> None:
        """Suggest a place and a name for the active mask."""
        active = self.session.active
        for widget in (self.form, self.save):
            widget.setVisible(active is not None)
        self.empty.setVisible(active is None)
        if active is not None:
            source = self.session.volumes[active.reference].source
            dicom = source is not None and source.format == "dicom"
            offered = [name for name in FORMATS if name != "DICOM SEG" or dicom]
            if [self.format.itemText(i) for i in range(self.format.count())] != offered:
                self.format.blockSignals(True)
                self.format.clear()
                self.format.addItems(offered)
                self.format.blockSignals(False)
            self._suggest()
        self._on_edited()

    def _suggest(self) -> None:
        active, case = self.session.active, self.session.case
        if active is None or case is None or self._typed:
            return
        reference = self.session.volumes[active.reference]
        name = suggested_name(case.name, reference, active.document.review.value)
        ending = next((e for e in FORMATS.values() if name.endswith(e)), ".nii.gz")
        index = self.format.findText(next(n for n, e in FORMATS.items() if e == ending))
        self.format.blockSignals(True)
        self.format.setCurrentIndex(max(index, 0))
        self.format.blockSignals(False)
        self.name.setText(name)
        if not self.folder.text():
            self.folder.setText(str(_folder_of(reference.source.paths[0] if reference.source is not None else None)))

    def _on_case(self) -> None:
        self._typed = False
        self.folder.clear()
        self.name.clear()
        self.refresh()

    def _on_typed(self) -> None:
        self._typed = True

    def _on_format(self) -> None:
        """Give the file name the ending of the chosen format."""
        name = self.name.text()
        stem = next((name.removesuffix(e) for e in sorted(FORMATS.values(), key=len, reverse=True) if name.endswith(e)), name)
        self._typed = True
        self.name.setText(f"{stem}{FORMATS[self.format.currentText()]}")

    def _on_edited(self) -> None:
        active = self.session.active
        self.save.setEnabled(active is not None and not self.work.busy)
        if active is None:
            self.set_state("")
            self.where.hide()
            return
        if active.document.revision and not active.path:
            self._suggest()
        self.set_state("✓ saved" if active.saved else "✗ not saved" if self.work.save_problem else "● not saved yet")
        text = f"Last saved to {active.path}" if active.path is not None else ""
        self.where.setText(text)
        self.where.setVisible(bool(text))

    def _browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Choose the folder for the mask", self.folder.text())
        if folder:
            self.folder.setText(folder)


def _folder_of(path: Path | None) -> Path:
    """Return the folder beside which a mask is saved: the image's, or the home folder where that cannot be written."""
    import os

    folder = path.parent if path is not None else Path.home()
    return folder if os.access(folder, os.W_OK) else Path.home()
