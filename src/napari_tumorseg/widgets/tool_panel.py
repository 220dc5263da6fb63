"""Choosing an editing tool, its settings, and using it."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from napari_tumorseg.editing.tools import Tool
from napari_tumorseg.widgets.forms import RequestForm
from napari_tumorseg.widgets.parts import button, note, toggle
from napari_tumorseg.widgets.tool_hand import ToolHand

__all__ = ["ToolPanel"]

_HOW = {
    "click": "Escape puts the tool down.",
    "outline": "Escape drops the outline.",
}


class _Choice(QComboBox):
    """A list that says that it is about to be opened, so that it can be brought up to date."""

    opened = Signal()

    def showPopup(self) -> None:  # noqa: N802
        """Open the list."""
        self.opened.emit()
        super().showPopup()


class ToolPanel(QWidget):
    """A list of tools, a form made from the settings of the chosen one, and a button.

    Parameters
    ----------
    hand : ToolHand
        What the tools are run by.
    """

    def __init__(self, hand: ToolHand) -> None:
        super().__init__()
        self._hand = hand
        self._form: RequestForm[Any] | None = None
        self.choice = _Choice()
        self.choice.setAccessibleName("Tool")
        self.choice.setToolTip("What to change the mask with; the lesion in focus is changed where one is chosen in the table")
        self.choice.setMaxVisibleItems(24)
        self.choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.choice.setMinimumContentsLength(12)
        self.choice.opened.connect(hand.look_for_models)
        self._list()
        self.choice.activated.connect(self._on_choice)
        self.tip = note(name="What the tool does")
        self.apply = button("Apply", "Use the tool on the lesion in focus, or on the whole mask", self._on_apply, primary=True)
        self.point = toggle("Point", "Take the tool up to point with the mouse, or put it down", "Point with the tool")
        # Beside a list it must not give way to it, as it does beside buttons of its kind.
        self.point.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Fixed)
        self.point.clicked.connect(self._on_point)
        row = QHBoxLayout()
        row.addWidget(self.choice, 1)
        row.addWidget(self.apply)
        row.addWidget(self.point)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(6)
        self._layout.addLayout(row)
        self._layout.addWidget(self.tip)
        hand.changed.connect(self._on_hand)
        hand.listed.connect(self._on_listed)
        hand.started.connect(lambda _title: self._enable())
        hand.ended.connect(lambda _name, _outcome: self._enable())
        self._show(self.tool)

    @property
    def tool(self) -> Tool:
        """The tool that is chosen."""
        name = self.choice.currentData()
        return next(tool for tool in self._hand.tools if tool.name == name)

    @property
    def form(self) -> RequestForm[Any] | None:
        """The settings of the chosen tool."""
        return self._form

    def choose(self, name: str) -> None:
        """Choose a tool by name, as the user would."""
        self.choice.setCurrentIndex(self.choice.findData(name))
        self._on_choice()

    def _list(self) -> None:
        self.choice.clear()
        for tool in self._hand.tools:
            self.choice.addItem(tool.title, tool.name)

    def _on_listed(self) -> None:
        chosen = self.choice.currentData()
        self._list()
        self.choice.setCurrentIndex(max(0, self.choice.findData(chosen)))
        self._show(self.tool)

    def _on_choice(self, _index: int = 0) -> None:
        self._show(self.tool)
        if self.tool.kind == "apply":
            self._hand.put_down()
        else:
            self._hand.take(self.tool.name)

    def _on_apply(self) -> None:
        self._hand.use(self.tool.name)

    def _on_point(self, on: bool) -> None:
        if on:
            self._hand.take(self.tool.name)
        else:
            self._hand.put_down()

    def _on_hand(self) -> None:
        held = self._hand.tool
        if held is not None and held.name != self.tool.name:
            self.choice.setCurrentIndex(self.choice.findData(held.name))
            self._show(held)
        self._enable()

    def _enable(self) -> None:
        pointed = self.tool.kind != "apply"
        self.apply.setVisible(not pointed)
        self.point.setVisible(pointed)
        self.apply.setEnabled(not self._hand.busy)
        self.point.setChecked(self._hand.tool is not None)

    def _show(self, tool: Tool) -> None:
        if self._form is not None:
            self._layout.removeWidget(self._form)
            self._form.deleteLater()
        how = _HOW.get(tool.kind, "")
        self.tip.setText(f"{tool.tip} {how}".strip())
        self.tip.show()
        self._form = RequestForm(self._hand.params(tool))
        self._form.valueChanged.connect(lambda value, t=tool: self._hand.set_params(t, value))
        self._layout.addWidget(self._form)
        self._enable()
