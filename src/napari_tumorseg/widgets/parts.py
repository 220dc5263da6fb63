"""Small controls that the steps share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QLayout, QMessageBox, QPushButton, QScrollArea, QSizePolicy, QToolButton, QVBoxLayout, QWidget

__all__ = ["More", "button", "choose", "emphasise", "note", "tab_in_layout_order", "toggle"]

_PRIMARY = (
    "QPushButton { background: #1f6fb2; color: white; font-weight: bold; padding: 6px 12px; border-radius: 3px; }"
    "QPushButton:hover { background: #2a80c7; }"
    "QPushButton:disabled { background: rgba(128, 128, 128, 60); color: rgba(160, 160, 160, 200); }"
    "QPushButton:focus { border: 1px solid #9fd0ff; }"
)

# napari's themes leave tool buttons flat, so that one cannot see which is chosen.
_TOGGLE = (
    "QToolButton { background: rgba(128, 128, 128, 45); border: 1px solid rgba(128, 128, 128, 70);"
    " border-radius: 3px; padding: 4px 5px; text-align: left; }"
    "QToolButton:hover { background: rgba(128, 128, 128, 90); }"
    "QToolButton:checked { background: #1f6fb2; color: white; border-color: #9fd0ff; font-weight: bold; }"
    "QToolButton:focus { border-color: #9fd0ff; }"
    "QToolButton:disabled { color: rgba(160, 160, 160, 140); }"
)


def toggle(text: str, tip: str, name: str = "") -> QToolButton:
    """Return a button that stays down and takes the width it is given."""
    made = QToolButton()
    made.setText(text)
    made.setCheckable(True)
    made.setToolTip(tip)
    made.setAccessibleName(name or text)
    made.setAccessibleDescription(tip)
    made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    made.setStyleSheet(_TOGGLE)
    return made


def button(text: str, tip: str, clicked: Callable[[], object], *, primary: bool = False) -> QPushButton:
    """Return a push button with a tooltip that is its accessible description too."""
    made = QPushButton(text)
    made.setToolTip(tip)
    made.setAccessibleName(text)
    made.setAccessibleDescription(tip)
    made.clicked.connect(lambda _checked=False: clicked())
    emphasise(made, primary)
    return made


def emphasise(made: QPushButton, primary: bool) -> None:
    """Show a button as the thing to do next, or as one among others."""
    made.setStyleSheet(_PRIMARY if primary else "")


def note(text: str = "", name: str = "") -> QLabel:
    """Return a text that wraps and can be copied."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    if name:
        label.setAccessibleName(name)
    label.setVisible(bool(text))
    return label


class More(QWidget):
    """Settings that are rarely touched, closed at first.

    Parameters
    ----------
    content : QWidget
        What is shown when it is opened.
    title : str
        Of the button.
    """

    def __init__(self, content: QWidget, title: str = "More") -> None:
        super().__init__()
        self._button = QToolButton()
        self._button.setText(title)
        self._button.setCheckable(True)
        self._button.setArrowType(Qt.ArrowType.RightArrow)
        self._button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._button.setAutoRaise(True)
        self._button.setToolTip("Show settings that are rarely needed")
        self._button.setAccessibleName(f"{title}, settings that are rarely needed")
        self._content = content
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._button)
        layout.addWidget(content)
        self._button.toggled.connect(self.set_open)
        self.set_open(False)

    def set_open(self, opened: bool) -> None:
        """Show or hide the content."""
        self._button.setArrowType(Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow)
        self._content.setVisible(opened)


def tab_in_layout_order(root: QWidget) -> None:
    """Let the tab key follow the eye: from control to control as the layouts have them."""
    chain = [widget for widget in _walk(root) if widget.focusPolicy() != Qt.FocusPolicy.NoFocus]
    for before, after in pairwise(chain):
        QWidget.setTabOrder(before, after)


def _walk(widget: QWidget) -> Iterator[QWidget]:
    yield widget
    if isinstance(widget, QScrollArea):
        inside = widget.widget()
        if inside is not None:
            yield from _walk(inside)
    layout = widget.layout()
    if layout is not None:
        yield from _walk_layout(layout)


def _walk_layout(layout: QLayout) -> Iterator[QWidget]:
    for index in range(layout.count()):
        item = layout.itemAt(index)
        if item is not None and (widget := item.widget()) is not None:
            yield from _walk(widget)
        elif item is not None and (inner := item.layout()) is not None:
            yield from _walk_layout(inner)


def choose(parent: QWidget, question: str, detail: str, verbs: tuple[str, ...]) -> str:
    """Ask with a verb on each button; return the verb, "" when the user keeps things as they are."""
    box = QMessageBox(parent)
    box.setText(question)
    box.setInformativeText(detail)
    buttons = {box.addButton(verb, QMessageBox.ButtonRole.AcceptRole): verb for verb in verbs}
    keep = box.addButton("Cancel", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(keep)
    box.exec()
    return buttons.get(box.clickedButton(), "")
