"""The frames of four views in two rows: which are seen, and which one is active."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent
from qtpy.QtWidgets import QFrame, QLabel, QSplitter, QVBoxLayout, QWidget

__all__ = ["ViewPanel", "ViewPanels"]

#: Red, green, blue, opacity.
_QUIET = (128, 128, 128, 90)
_PER_ROW = 2


class ViewPanel(QFrame):
    """A frame around one view that says by its colour which one is active, and by a text when it is switched off.

    Parameters
    ----------
    name : str
        For the screen reader.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setObjectName(f"tumorseg_view_{name}")
        self.setAccessibleName(f"View {name}")
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(1, 1, 1, 1)
        self._layout.setSpacing(0)
        self._note = QLabel()
        self._note.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._note.hide()
        self._layout.addWidget(self._note)
        self._colour = QColor(*_QUIET)

    def hold(self, widget: QWidget) -> None:
        """Put a view inside."""
        self._layout.addWidget(widget, 1)

    def mark(self, colour: str | None) -> None:
        """Frame the panel as the active one, in a colour, or as one of the others."""
        # A style sheet would have Qt style all that is inside anew, a tenth of a second for four views.
        wanted = QColor(colour) if colour is not None else QColor(*_QUIET)
        if wanted != self._colour:
            self._colour = wanted
            self.update()

    @property
    def colour(self) -> str:
        """Colour of the frame, as "#rrggbb"."""
        return self._colour.name()

    def paintEvent(self, _event: QPaintEvent | None) -> None:  # noqa: N802
        """Draw the frame."""
        painter = QPainter(self)
        painter.setPen(self._colour)
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def say(self, text: str) -> None:
        """Show a text instead of the view, "" for the view."""
        self._note.setText(text)
        self._note.setVisible(bool(text))


class ViewPanels(QSplitter):
    """Panels in rows of two, whose sizes the user may change.

    Parameters
    ----------
    names : tuple of str
        Of the panels, from the upper left to the lower right.

    Attributes
    ----------
    panels : tuple of ViewPanel
        In the same order.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(Qt.Orientation.Vertical)
        self.setObjectName("tumorseg_views")
        self.panels = tuple(ViewPanel(name) for name in names)
        self._rows = [QSplitter(Qt.Orientation.Horizontal) for _ in names[::_PER_ROW]]
        for number, panel in enumerate(self.panels):
            self._rows[number // _PER_ROW].addWidget(panel)
        for row in self._rows:
            row.setChildrenCollapsible(False)
            self.addWidget(row)
        self.setChildrenCollapsible(False)

    def even(self) -> None:
        """Give all panels the same size."""
        for splitter in (self, *self._rows):
            splitter.setSizes([10_000] * splitter.count())

    def show_panels(self, alone: int | None) -> None:
        """Show one panel alone, None for all of them."""
        for number, panel in enumerate(self.panels):
            panel.setVisible(alone in (None, number))
        for number, row in enumerate(self._rows):
            row.setVisible(alone is None or alone // _PER_ROW == number)

    def mark(self, active: int, colour: str) -> None:
        """Frame one panel as the active one."""
        for number, panel in enumerate(self.panels):
            panel.mark(colour if number == active else None)
