"""The step Correct: labels, locks, tools, undo, accept."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSize
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import QButtonGroup, QCheckBox, QComboBox, QDoubleSpinBox, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_tumorseg.core.case import Review
from napari_tumorseg.widgets.doubt import DoubtBar, Doubts
from napari_tumorseg.widgets.forms import RequestForm
from napari_tumorseg.widgets.mask_layer import MaskLayer
from napari_tumorseg.widgets.paint_gate import ADAPTIVE, THRESHOLD
from napari_tumorseg.widgets.parts import button, note, toggle
from napari_tumorseg.widgets.provenance_overlay import ProvenanceBar, ProvenanceOverlay
from napari_tumorseg.widgets.steps import Step
from napari_tumorseg.widgets.tool_panel import ToolPanel
from napari_tumorseg.widgets.work import Work

__all__ = ["CorrectStep"]

_TOOLS = (
    ("Paint", "paint", "P", "Paint with the chosen label"),
    ("Erase", "erase", "E", "Erase, locked labels excepted"),
    ("Fill", "fill", "F", "Fill the area under the cursor"),
    ("Polygon", "polygon", "3", "Draw an outline; Enter closes it"),
    ("Pick", "pick", "L", "Take the label under the cursor"),
    ("Move", "pan_zoom", "Z", "Move the image; Space does it while held"),
)

_GATES = (
    ("Everything", "", "The brush paints on everything that is not locked"),
    ("Window (T)", THRESHOLD, "The brush paints only on intensities in a window (T)"),
    ("Similar (J)", ADAPTIVE, "The brush paints only on what resembles the voxel under the cursor (J)"),
)


class CorrectStep(Step):
    """Edits the active mask with napari's own tools, in the schema's colours and in millimetres."""

    title = "Correct"

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self._view: MaskLayer | None = None
        self._settings = False
        self.empty = note("Run a model under Segment, or start with an empty mask.")
        self.start_empty = button(
            "Start an empty mask", "Add a mask without any label to draw from nothing; the others are kept", self._start_empty
        )
        self.mask = QComboBox()
        self.mask.setAccessibleName("Mask")
        self.mask.setToolTip("Which mask is edited; the others are kept and hidden")
        self.mask.activated.connect(self._choose_mask)
        self.review = note(name="Review state")
        self.labels = QButtonGroup(self)
        self._label_grid = QGridLayout()
        self._label_grid.setSpacing(4)
        self._label_grid.setColumnStretch(0, 1)
        self._locks: dict[int, QCheckBox] = {}
        self.tools = QButtonGroup(self)
        tools = QGridLayout()
        tools.setSpacing(4)
        for number, (title, mode, key, tip) in enumerate(_TOOLS):
            tool = toggle(f"{title} ({key})", f"{tip} ({key})", title)
            tool.setProperty("mode", mode)
            tool.clicked.connect(lambda _on, m=mode: self._set_mode(m))
            self.tools.addButton(tool)
            tools.addWidget(tool, number // 3, number % 3)
        self.brush = QDoubleSpinBox()
        self.brush.setRange(0.1, 100.0)
        self.brush.setSuffix(" mm")
        self.brush.setDecimals(1)
        self.brush.setAccessibleName("Brush diameter in mm")
        self.brush.setToolTip("Brush diameter ([ and ])")
        self.brush.valueChanged.connect(self._set_brush)
        self.sphere = QCheckBox("All slices")
        self.sphere.setToolTip("The brush is a sphere and fill goes through all slices")
        self.sphere.toggled.connect(self._set_sphere)
        self.outline = QCheckBox("Outline and light fill")
        self.outline.setToolTip("Show the mask as outline with a light fill, otherwise filled (Shift+O); hold H to hide it")
        self.outline.toggled.connect(self._set_outline)
        self.undo = button("Undo", "Take back the last change (Ctrl+Z)", lambda: self._view and self._view.undo())
        self.redo = button("Redo", "Bring back what was undone (Ctrl+Shift+Z)", lambda: self._view and self._view.redo())
        self.accept = button("Accept mask", "Say that you have looked at this mask and stand by it", self.session.accept, primary=True)
        brush = QHBoxLayout()
        brush.addWidget(QLabel("Brush"))
        brush.addWidget(self.brush, 1)
        brush.addWidget(self.sphere)
        self.gates = QButtonGroup(self)
        gates = QHBoxLayout()
        gates.setSpacing(4)
        gates.addWidget(QLabel("Paint on"))
        for title, name, tip in _GATES:
            gate = toggle(title, tip, tip)
            gate.setProperty("gate", name)
            gate.clicked.connect(lambda _on, n=name: self.session.gate.choose(n))
            self.gates.addButton(gate)
            gates.addWidget(gate, 1)
        self.gate_form: RequestForm[Any] | None = None
        self._gate_place = QVBoxLayout()
        self.panel = ToolPanel(self.session.hand)
        self.doubt = DoubtBar(Doubts.of(self.session))
        self.origin = ProvenanceBar(ProvenanceOverlay.of(self.session))
        look = QHBoxLayout()
        look.addWidget(self.outline)
        look.addStretch(1)
        history = QHBoxLayout()
        history.addWidget(self.undo, 1)
        history.addWidget(self.redo, 1)
        self.editor = QWidget()
        box = type(self.body)(self.editor)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(8)
        box.addWidget(self.mask)
        box.addWidget(self.review)
        for row in (self._label_grid, tools, brush, gates, self._gate_place, look, history):
            box.addLayout(row)
        box.addWidget(self.panel)
        box.addWidget(self.doubt)
        box.addWidget(self.origin)
        box.addWidget(self.accept)
        for item in (self.empty, self.editor, self.start_empty):
            self.body.addWidget(item)
        self.session.masks_changed.connect(self.refresh)
        self.session.case_changed.connect(self.refresh)
        self.session.edited.connect(self._on_edited)
        self.session.lesions.changed.connect(self._tell_state)
        self.session.gate.changed.connect(self._show_gate)
        self._show_gate()
        self.refresh()

    def refresh(self) -> None:
        """Show the masks of the case and bind to the active one."""
        active = self.session.active
        self._bind(active.view if active is not None else None)
        self.empty.setVisible(active is None)
        self.editor.setVisible(self._view is not None)
        self.start_empty.setEnabled(self.session.case is not None)
        self.mask.clear()
        for mask in self.session.masks:
            self.mask.addItem(mask.name)
        if active is not None:
            self.mask.setCurrentIndex(self.session.masks.index(active))
            self.editor.setVisible(True)
        self._show_labels()
        self._on_edited()

    def _bind(self, view: MaskLayer | None) -> None:
        if view is self._view:
            return
        events = ("mode", "brush_size", "selected_label", "contour", "n_edit_dimensions")
        if self._view is not None:
            for name in events:
                getattr(self._view.layer.events, name).disconnect(self._on_layer)
        self._view = view
        if view is not None:
            for name in events:
                getattr(view.layer.events, name).connect(self._on_layer)

    def _show_labels(self) -> None:
        for old in self.labels.buttons():
            self.labels.removeButton(old)
            old.deleteLater()
        for lock in self._locks.values():
            lock.deleteLater()
        self._locks.clear()
        if self.session.active is None:
            return
        document = self.session.active.document
        for row, label in enumerate(document.schema.labels):
            choice = toggle(f" {label.name}  {label.title}", f"Draw {label.title} (Alt+{row + 1})", f"Label {label.name}, {label.title}")
            choice.setIcon(_swatch(label.colour))
            choice.setIconSize(QSize(16, 16))
            choice.setToolButtonStyle(choice.toolButtonStyle().ToolButtonTextBesideIcon)
            choice.setProperty("value", label.value)
            choice.clicked.connect(lambda _on, v=label.value: self._set_label(v))
            lock = QCheckBox("Lock")
            lock.setChecked(label.value in document.locked)
            lock.setToolTip(f"Nothing overwrites {label.name} while it is locked")
            lock.setAccessibleName(f"Lock {label.name}")
            lock.toggled.connect(lambda on, v=label.value: self.session.set_locked(v, on))
            self.labels.addButton(choice)
            self._locks[label.value] = lock
            self._label_grid.addWidget(choice, row, 0)
            self._label_grid.addWidget(lock, row, 1)
        self._on_layer()

    def _on_layer(self, _event: Any = None) -> None:
        """Show what the layer is set to, whoever set it."""
        if self._view is None:
            return
        layer = self._view.layer
        self._settings = True
        try:
            for tool in self.tools.buttons():
                tool.setChecked(tool.property("mode") == str(layer.mode))
            for choice in self.labels.buttons():
                choice.setChecked(choice.property("value") == layer.selected_label)
            self.brush.setValue(self._view.brush_mm)
            self.sphere.setChecked(layer.n_edit_dimensions == 3)
            self.outline.setChecked(layer.contour > 0)
        finally:
            self._settings = False

    def _show_gate(self) -> None:
        gate = self.session.gate
        for choice in self.gates.buttons():
            choice.setChecked(choice.property("gate") == gate.name)
        if self.gate_form is not None:
            self._gate_place.removeWidget(self.gate_form)
            self.gate_form.deleteLater()
            self.gate_form = None
        if gate.tool is not None:
            self.gate_form = RequestForm(gate.params())
            self.gate_form.valueChanged.connect(gate.set_params)
            self._gate_place.addWidget(self.gate_form)

    def _on_edited(self) -> None:
        active = self.session.active
        if active is not None:
            self.review.setText(f"State: {active.review_text}")
            self.review.show()
            self.undo.setEnabled(active.document.can_undo)
            self.redo.setEnabled(active.document.can_redo)
            self.accept.setEnabled(active.document.review is not Review.ACCEPTED)
        self._tell_state()

    def _tell_state(self) -> None:
        active = self.session.active
        if active is None:
            self.set_state("needs a mask")
            return
        if self.session.lesions.map is None:
            self.set_state("… counting")
            return
        count = len(self.session.lesions.rows)
        text = f"{count} lesion{'' if count == 1 else 's'}"
        done = "✓ reference, " if active.review_text == "reference" else "✓ accepted, "
        self.set_state(f"{done}{text}" if active.document.review is Review.ACCEPTED else text)

    def _choose_mask(self, index: int) -> None:
        with self.session.reporting():
            self.session.activate(self.session.masks[index])

    def _start_empty(self) -> None:
        with self.session.reporting():
            self.session.add_empty_mask()

    def _set_mode(self, mode: str) -> None:
        if self._view is not None:
            self.session.viewer.layers.selection.active = self._view.layer
            self._view.layer.mode = mode
            self.session.view.focus()

    def _set_label(self, value: int) -> None:
        if self._view is not None:
            self._view.layer.selected_label = value
            self.session.view.focus()

    def _set_brush(self, diameter_mm: float) -> None:
        if self._view is not None and not self._settings:
            self._view.brush_mm = diameter_mm

    def _set_sphere(self, on: bool) -> None:
        if self._view is not None and not self._settings:
            self._view.layer.n_edit_dimensions = 3 if on else 2

    def _set_outline(self, on: bool) -> None:
        if self._view is not None and not self._settings:
            self._view.outlined = on


def _swatch(colour: str) -> QIcon:
    picture = QPixmap(16, 16)
    picture.fill(QColor("white"))
    painter = QPainter(picture)
    painter.fillRect(1, 1, 14, 14, QColor(colour))
    painter.end()
    return QIcon(picture)
