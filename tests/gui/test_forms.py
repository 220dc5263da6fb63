from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from napari_tumorseg.widgets.forms import RequestForm, describe_fields
from napari_tumorseg.workflows.open_case import OpenRequest
from napari_tumorseg.workflows.segment import SegmentRequest


@dataclass(frozen=True)
class Wish:
    """A request.

    Attributes
    ----------
    count : int
        How many
        of them.
    size_mm : float
        How large.
    keep : bool
        Whether to keep it.
    how : str
        In which way.
    name, title : str
        Words.
    extra : tuple
        Not for a form.

    Examples
    --------
    >>> Wish().count
    1
    """

    count: int = 1
    size_mm: float = field(default=2.0, metadata={"min": 0.5, "max": 9.0, "label": "Size (mm)"})
    keep: bool = False
    how: Literal["a", "b"] = "a"
    name: str = ""
    title: str = ""
    folder: Path = Path("/")
    extra: tuple[int, ...] = (1, 2)


@pytest.fixture
def form(qtbot):
    form = RequestForm(Wish())
    qtbot.addWidget(form)
    return form


def test_every_field_of_a_known_type_has_a_control(form):
    assert list(form.controls) == ["count", "size_mm", "keep", "how", "name", "title", "folder"]
    assert form.controls["size_mm"].label == "Size (mm)"
    assert form.controls["how"].choices == ("a", "b")


def test_the_docstring_gives_the_tooltips(form):
    assert describe_fields(Wish)["count"] == "How many of them."
    assert describe_fields(Wish)["title"] == "Words."
    assert form.controls["keep"].native.toolTip() == "Whether to keep it."
    assert form.controls["count"].native.accessibleName() == "Count"


def test_editing_a_control_gives_a_new_request(form, qtbot):
    with qtbot.waitSignal(form.valueChanged) as told:
        form.controls["count"].value = 5
    assert told.args == [Wish(count=5)]
    assert form.value == Wish(count=5)


def test_set_value_shows_a_request_and_tells_once(form):
    told = []
    form.valueChanged.connect(told.append)
    wish = Wish(count=3, size_mm=4.5, keep=True, how="b", name="x", extra=(9,))
    form.setValue(wish)
    assert told == [wish]
    assert form.value.extra == (9,)
    assert form.controls["how"].value == "b"
    form.controls["keep"].value = False
    assert form.value == Wish(count=3, size_mm=4.5, how="b", name="x", extra=(9,))


def test_hidden_fields_keep_their_value(qtbot):
    form = RequestForm(SegmentRequest("m"), hidden=("model", "timepoint"))
    qtbot.addWidget(form)
    assert "model" not in form.controls
    assert "prompts" not in form.controls
    assert {"device", "probabilities", "text"} <= set(form.controls)
    assert form.value.model == "m"


def test_the_form_of_opening(qtbot):
    form = RequestForm(OpenRequest())
    qtbot.addWidget(form)
    assert set(form.controls) == {"split_4d", "on_overlap", "slice_mm", "pixel_mm"}
    assert form.value.spacing_mm is None
    form.controls["slice_mm"].value = 3.0
    form.controls["pixel_mm"].value = 0.5
    assert form.value.spacing_mm == (3.0, 0.5, 0.5)


def test_a_device_is_chosen_not_typed(qtbot):
    form = RequestForm(SegmentRequest("m"))
    qtbot.addWidget(form)
    assert form.controls["device"].choices == ("auto", "cpu", "cuda")
    form.controls["device"].value = "cpu"
    form.show_field("text", False)
    assert form.controls["text"].native.isHidden()
    assert form.value == SegmentRequest("m", device="cpu")
