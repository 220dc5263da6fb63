"""What is seen: the sequence, the plane and the grey-scale window."""

from __future__ import annotations

from qtpy.QtWidgets import QButtonGroup, QComboBox, QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from napari_tumorseg.widgets.parts import toggle
from napari_tumorseg.widgets.session import Session
from napari_tumorseg.workflows.display import windows_for

__all__ = ["ViewBar"]

_PLANES = (("Axial", "axial"), ("Coronal", "coronal"), ("Sagittal", "sagittal"), ("3-D", "3-D"))
_PER_ROW = 4


class ViewBar(QWidget):
    """Buttons for sequences and planes, and the windows of CT and PET.

    Parameters
    ----------
    session : Session
        Of the viewer.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.sequences = QButtonGroup(self)
        self.planes = QButtonGroup(self)
        self._sequence_rows = QGridLayout()
        self._sequence_rows.setSpacing(3)
        plane_row = QHBoxLayout()
        plane_row.setSpacing(3)
        for title, name in _PLANES:
            button = toggle(title, f"Show the {title.lower()} {'view' if name == '3-D' else 'plane'}")
            button.setProperty("plane", name)
            button.clicked.connect(lambda _on, n=name: session.view.show_plane(n))
            self.planes.addButton(button)
            plane_row.addWidget(button)
        self.window = QComboBox()
        self.window.setAccessibleName("Grey-scale window")
        self.window.setToolTip("Grey-scale window")
        self.window.activated.connect(self._set_window)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.setSpacing(4)
        layout.addLayout(self._sequence_rows)
        layout.addLayout(plane_row)
        layout.addWidget(self.window)
        session.case_changed.connect(self.refresh)
        session.view.sequence_changed.connect(self._on_sequence)
        session.view.plane_changed.connect(self._on_plane)
        self.refresh()

    def refresh(self) -> None:
        """Show a button for each sequence of the open case."""
        for button in self.sequences.buttons():
            self.sequences.removeButton(button)
            self._sequence_rows.removeWidget(button)
            button.deleteLater()
        for number, name in enumerate(self._session.volumes):
            button = toggle(name, f"Show {name} (Q and W go through the sequences)")
            button.setProperty("sequence", name)
            button.clicked.connect(lambda _on, n=name: self._session.view.show_sequence(n))
            self.sequences.addButton(button)
            self._sequence_rows.addWidget(button, number // _PER_ROW, number % _PER_ROW)
        self.setVisible(bool(self._session.volumes))
        self._on_sequence(self._session.view.sequence)
        self._on_plane(self._session.view.plane)

    def _on_sequence(self, name: str) -> None:
        for button in self.sequences.buttons():
            button.setChecked(button.property("sequence") == name)
        volume = self._session.volumes.get(name)
        windows = windows_for(volume) if volume is not None else ()
        self.window.clear()
        for window in windows:
            limits = "" if " to " in window.name else f" ({window.low:g} to {window.high:g})"
            self.window.addItem(f"{window.name}{limits}", window)
        self.window.setVisible(len(windows) > 1)

    def _on_plane(self, name: str) -> None:
        self.planes.setExclusive(False)
        for button in self.planes.buttons():
            button.setChecked(button.property("plane") == name)
        self.planes.setExclusive(True)

    def _set_window(self, index: int) -> None:
        self._session.view.set_window(self.window.itemData(index))
