"""Which study, and who works."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from napari_tumorseg.core.settings import Settings
from napari_tumorseg.widgets.parts import button
from napari_tumorseg.workflows.study.desk import last_desk

__all__ = ["StudyOpenForm"]


class StudyOpenForm(QWidget):
    """Study and person, as they were the last time.

    Signals
    -------
    wanted(str, str)
        Folder or URL, and the person.

    Parameters
    ----------
    settings : Settings
        Where it is remembered.
    """

    wanted = Signal(str, str)

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        study, person = last_desk(settings)
        self.study = QLineEdit(study)
        self.study.setPlaceholderText("Folder, or postgresql://…")
        self.study.setAccessibleName("Folder or URL of the study")
        self.study.setToolTip("Folder of the study, or the URL of its database")
        self.person = QLineEdit(person or settings.person)
        self.person.setPlaceholderText("e.g. R1")
        self.person.setAccessibleName("Who you are in this study")
        self.person.setToolTip("Your id in this study, as the lead gave it to you")
        self.browse = button("Folder…", "Choose the folder of the study", self._choose)
        self.open = button("Open the study", "Open it and see what is next", self._want, primary=True)
        row = QHBoxLayout()
        row.addWidget(self.study, 1)
        row.addWidget(self.browse)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(QLabel("Study"))
        layout.addLayout(row)
        layout.addWidget(QLabel("You are"))
        layout.addWidget(self.person)
        layout.addWidget(self.open)
        for line in (self.study, self.person):
            line.textChanged.connect(self._refresh)
            line.returnPressed.connect(self._want)
        self._refresh()

    def _refresh(self) -> None:
        self.open.setEnabled(bool(self.study.text().strip() and self.person.text().strip()))

    def _want(self) -> None:
        if self.open.isEnabled():
            self.wanted.emit(self.study.text(), self.person.text())

    def _choose(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Folder of the study")
        if path:
            self.study.setText(path)
