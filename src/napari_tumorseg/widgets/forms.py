"""Forms made from frozen dataclasses: a new field gives a new control.

The control follows from the field's type: bool, int, float, str, Path, an Enum or a Literal. More
can be said in the field's metadata, with the keys of magicgui's options ("label", "choices",
"min", "max", "step", "tooltip", "hidden"). The tooltip is otherwise the field's description in the
numpydoc "Attributes" section of the class. Fields of other types get no control and keep the
value they were given.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

from magicgui.widgets import create_widget
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QWidget

__all__ = ["RequestForm", "describe_fields"]

Request = TypeVar("Request")
_PLAIN = (bool, int, float, str, Path)


class RequestForm(QWidget, Generic[Request]):
    """Edits a frozen dataclass.

    Signals
    -------
    valueChanged(object)
        The new request.

    Parameters
    ----------
    value : dataclass
        What the form starts with; its class gives the controls.
    hidden : tuple of str
        Fields without a control.
    options : mapping of str to mapping
        By field, what is known only now, e.g. the choices; it comes before the field's metadata.
    """

    valueChanged = Signal(object)  # noqa: N815 - Qt's way

    def __init__(self, value: Request, hidden: tuple[str, ...] = (), options: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        super().__init__()
        self._value = value
        self._busy = False
        self.controls: dict[str, Any] = {}
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        types = get_type_hints(type(value))
        help_texts = describe_fields(type(value))
        for field in dataclasses.fields(value):  # type: ignore[arg-type]
            chosen = {**field.metadata, **(options or {}).get(field.name, {})}
            if field.name in hidden or chosen.pop("hidden", False):
                continue
            control = _control(field.name, types[field.name], getattr(value, field.name), chosen)
            if control is None:
                continue
            tip = control.tooltip or help_texts.get(field.name, "")
            control.native.setToolTip(tip)
            control.native.setAccessibleName(control.label)
            control.native.setAccessibleDescription(tip)
            control.changed.connect(self._on_changed)
            layout.addRow(control.label, control.native)
            row = layout.labelForField(control.native)
            if row is not None:
                row.setToolTip(tip)
            self.controls[field.name] = control

    @property
    def value(self) -> Request:
        """The request as it stands in the form."""
        return self._value

    def setValue(self, value: Request) -> None:  # noqa: N802 - Qt's way
        """Show another request."""
        self._busy = True
        try:
            for name, control in self.controls.items():
                control.value = getattr(value, name)
        finally:
            self._busy = False
        changed = value != self._value
        self._value = value
        if changed:
            self.valueChanged.emit(value)

    def show_field(self, name: str, shown: bool) -> None:
        """Show or hide the control of a field; it keeps its value."""
        layout = self.layout()
        if name in self.controls and isinstance(layout, QFormLayout):
            layout.setRowVisible(self.controls[name].native, shown)

    def _on_changed(self) -> None:
        if self._busy:
            return
        value = dataclasses.replace(self._value, **{n: c.value for n, c in self.controls.items()})  # type: ignore[type-var]
        if value != self._value:
            self._value = value
            self.valueChanged.emit(value)


def _control(name: str, annotation: Any, value: Any, options: Mapping[str, Any]) -> Any:
    """Return the control of a field, None for a type that has none."""
    chosen = dict(options)
    label = str(chosen.pop("label", name.replace("_", " ").capitalize()))
    if get_origin(annotation) is Literal:
        chosen.setdefault("choices", get_args(annotation))
        annotation = None
    elif "choices" in chosen:
        annotation = None
    elif not (annotation in _PLAIN or (inspect.isclass(annotation) and issubclass(annotation, Enum))):
        return None
    return create_widget(value=value, annotation=annotation, name=name, label=label, options=chosen)


def describe_fields(kind: type) -> dict[str, str]:
    """Return the descriptions in the numpydoc "Attributes" section of a class, by field."""
    text = inspect.cleandoc(kind.__doc__ or "")
    found = re.search(r"^Attributes\n-+\n(.*?)(?:\n\n\w[^\n]*\n-+\n|\Z)", text, re.DOTALL | re.MULTILINE)
    if not found:
        return {}
    described: dict[str, str] = {}
    names: list[str] = []
    for line in found.group(1).splitlines():
        if line and not line[0].isspace():
            names = [part.strip() for part in line.partition(":")[0].split(",")]
        elif line.strip():
            for name in names:
                described[name] = f"{described.get(name, '')} {line.strip()}".strip()
    return described
