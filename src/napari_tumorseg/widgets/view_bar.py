"""What is seen: the sequence, the plane or all of them, and the grey-scale window."""

from __future__ import annotations

from qtpy.QtWidgets import QButtonGroup, QComboBox, QGridLayout, QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from napari_tumorseg.widgets.linked_views import LinkedViews
from napari_tumorseg.widgets.parts import toggle
from napari_tumorseg.widgets.session import Session
from napari_tumorseg.workflows.display import windows_for

__all__ = ["ViewBar"]

_PLANES = (("Axial", "axial"), ("Coronal", "coronal"), ("Sagittal", "sagittal"), ("3-D", "3-D"))
_PER_ROW = 4


class ViewBar(QWidget):
    """Buttons for sequences, planes and the four linked views, and the grey-scale windows.

    Parameters
    ----------
    session : Session
        Of the viewer.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._linked = LinkedViews.of(session)
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
        linked = self._linked
        self.four = toggle("4 views", "Axial, coronal and sagittal at once, and the mask in 3-D", "Four linked views")
        self.four.clicked.connect(lambda on: linked.set_on(on))
        self.alone = toggle("Enlarge", "Give the view that was clicked last the whole place (Ctrl+6)", "Enlarge the active view")
        self.alone.clicked.connect(linked.toggle_alone)
        self.crosshair = toggle("Cross", "Show where the other views cut this one (double-click or Shift puts it)", "Crosshair")
        self.crosshair.clicked.connect(lambda on: linked.show_crosshair(on))
        self.three_d = toggle("3-D on", "Draw the mask in 3-D; off where drawing is slow", "Draw the 3-D view")
        self.three_d.clicked.connect(lambda on: linked.show_three_d(on))
        linked_row = QHBoxLayout()
        linked_row.setSpacing(3)
        for button in (self.four, self.alone, self.crosshair, self.three_d):
            linked_row.addWidget(button)
        self.window = QComboBox()
        self.window.setAccessibleName("Grey-scale window")
        self.window.setToolTip("Grey-scale window; dragging with the right button on the image sets it by hand")
        self.window.activated.connect(self._set_window)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.setSpacing(4)
        layout.addLayout(self._sequence_rows)
        layout.addLayout(plane_row)
        layout.addLayout(linked_row)
        layout.addWidget(self.window)
        session.case_changed.connect(self.refresh)
        session.view.sequence_changed.connect(self._on_sequence)
        session.view.plane_changed.connect(self._on_plane)
        session.view.window_changed.connect(self._on_window)
        linked.changed.connect(self._on_linked)
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
        self._on_linked()

    def _on_sequence(self, name: str) -> None:
        for button in self.sequences.buttons():
            button.setChecked(button.property("sequence") == name)
        volume = self._session.volumes.get(name)
        windows = windows_for(volume) if volume is not None else ()
        self.window.clear()
        for window in windows:
            limits = "" if " to " in window.name else f" ({window.low:.4g} to {window.high:.4g})"
            self.window.addItem(f"{window.name}{limits}", window)
        now = self._session.view.window
        self.window.setVisible(now is not None)
        if now is not None:
            self._on_window(*now)

    def _on_window(self, low: float, high: float) -> None:
        """Show which window it is, or its width and level where it was set by hand."""
        self.window.setPlaceholderText(f"Window {high - low:.4g}, level {(low + high) / 2:.4g}, set by hand")
        near = 1e-3 * max(high - low, 1e-9)
        offered = [self.window.itemData(i) for i in range(self.window.count())]
        found = next((i for i, w in enumerate(offered) if abs(w.low - low) < near and abs(w.high - high) < near), -1)
        self.window.setCurrentIndex(found)

    def _on_plane(self, name: str) -> None:
        self.planes.setExclusive(False)
        for button in self.planes.buttons():
            button.setChecked(button.property("plane") == name)
        self.planes.setExclusive(True)

    def _on_linked(self) -> None:
        linked = self._linked
        states: tuple[tuple[QToolButton, bool], ...] = (
            (self.four, linked.on),
            (self.alone, linked.alone),
            (self.crosshair, linked.crosshair_shown),
            (self.three_d, linked.three_d),
        )
        for button, down in states:
            button.setChecked(down)
            button.setEnabled(button is self.four or linked.on)

    def _set_window(self, index: int) -> None:
        self._session.view.set_window(self.window.itemData(index))
