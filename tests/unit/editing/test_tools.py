"""What all tools have in common."""

from __future__ import annotations

import dataclasses
import re
from enum import Enum
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_tumorseg.core.document import MaskDocument, Origin, PatchSource
from napari_tumorseg.core.errors import Cancelled, InputError
from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.jobs import CancelToken, Progress
from napari_tumorseg.editing.scope import Draft, Scope, Target
from napari_tumorseg.editing.tools import TOOLS, Tool, tool

SHAPE = (5, 9, 10)
LABELS = arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 0, 0, 1, 2, 3]))
#: They say what to draw first.
REFUSING = ("grow_seeds", "pet_percist")
PATH = np.array([[2.0, 1.2, 1.3], [2, 1.1, 7.6], [2, 6.7, 7.4], [2, 6.6, 1.4]])


def _scope(make_scope, labels: np.ndarray, **more: Any) -> Scope:
    rng = np.random.default_rng(0)
    ai = np.roll(labels, 1, axis=2)
    return make_scope(labels, image=rng.normal(100, 20, SHAPE), ai=ai, other=np.roll(labels, 2, axis=1), before=ai, **more)


def _run(entry: Tool, scope: Scope, target: Target, progress: Progress | None = None) -> Draft | None:
    run: Any = entry.run
    if entry.kind == "gate":
        box = Box((1, 1, 1), (4, 8, 8))
        may = run(scope, target, box, np.ones(box.shape, bool), entry.params(), progress)
        assert may.shape == box.shape
        assert may.dtype == bool
        return None
    found: Draft | None = run(scope, target, entry.params(), progress)
    return found


def _target(part: bool = False) -> Target:
    inside = (Box((1, 2, 2), (4, 8, 8)), np.ones((3, 6, 6), bool)) if part else None
    return Target(voxel=(2, 4, 4), path=PATH, part=inside)


@pytest.mark.parametrize("name", list(TOOLS))
def test_settings_can_be_shown_in_a_form(name: str) -> None:
    entry = tool(name)
    assert re.fullmatch(r"[a-z_]+", entry.name)
    assert entry.tip.endswith(".")
    params = entry.params()
    assert params.__dataclass_params__.frozen
    text = (entry.params.__doc__ or "").partition("Attributes\n    ----------\n")[2]
    hints = get_type_hints(entry.params)
    for field in dataclasses.fields(params):
        kind, value = hints[field.name], getattr(params, field.name)
        choices = get_args(kind) if get_origin(kind) is Literal else None
        assert choices or kind in (bool, int, float, str) or issubclass(kind, Enum)
        assert value in choices if choices else type(value) is kind
        assert field.metadata["label"]
        assert f"\n    {field.name} : " in f"\n{text}", f"{field.name} is not described"
        if kind in (int, float):
            assert field.metadata["min"] <= value <= field.metadata["max"]


@pytest.mark.parametrize("name", list(TOOLS))
def test_a_cancelled_tool_gives_nothing(make_scope, name: str) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:4, 2:7, 2:7] = 3
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        _run(tool(name), _scope(make_scope, labels), _target(), Progress(cancel=token))


@pytest.mark.parametrize("name", [name for name, entry in TOOLS.items() if entry.needs])
def test_what_a_tool_needs_is_asked_for(make_scope, name: str) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:4, 2:7, 2:7] = 3
    with pytest.raises(InputError) as caught:
        _run(tool(name), make_scope(labels), _target())
    assert caught.value.hint


@given(LABELS, st.sampled_from(sorted(TOOLS)), st.booleans(), st.sampled_from([1, 2, 3]), st.integers(0, 2))
def test_a_draft_fits_keeps_locks_and_leaves_the_rest(
    make_scope, apply, labels: np.ndarray, name: str, part: bool, lock: int, axis: int
) -> None:
    entry = tool(name)
    scope = _scope(make_scope, labels, locked=frozenset({lock}))
    place = dataclasses.replace(_target(part), axis=axis, path=np.roll(PATH, axis, axis=1) if axis else PATH)
    before = labels.copy()
    try:
        found = _run(entry, scope, place)
    except InputError:
        assert not (labels != 0).any() or name in REFUSING
        return
    assert np.array_equal(scope.labels, before)
    done = apply(scope, found)
    assert np.array_equal(done[labels == lock], labels[labels == lock])
    if found is not None:
        # The tool itself plans with the locks; the document need not mend anything.
        assert np.array_equal(done[found.box.slices], found.labels)
        outside = np.ones(SHAPE, bool)
        outside[found.box.slices] = False
        assert np.array_equal(done[outside], labels[outside])
        assert set(np.unique(found.labels)) <= {0, 1, 2, 3}


@given(LABELS, st.lists(st.sampled_from([name for name in sorted(TOOLS) if TOOLS[name].kind != "gate"]), min_size=1, max_size=5))
def test_a_row_of_tools_is_undone_step_by_step(make_scope, labels: np.ndarray, names: list[str]) -> None:
    scope = _scope(make_scope, labels)
    document = MaskDocument(labels, scope.grid, scope.schema)
    seen = [labels.copy()]
    for name in names:
        now = dataclasses.replace(scope, labels=document.labels)
        try:
            found = _run(tool(name), now, _target())
        except InputError:
            continue
        if found is not None and document.write(found.box, found.labels, Origin(PatchSource.TOOL, name)):
            seen.append(np.array(document.labels))
    for state in reversed(seen[:-1]):
        assert document.undo()
        assert np.array_equal(document.labels, state)
    assert not document.can_undo


@pytest.mark.parametrize("name", [name for name, entry in TOOLS.items() if entry.kind != "gate" and name not in REFUSING])
def test_an_empty_mask_is_no_error(make_scope, apply, name: str) -> None:
    scope = _scope(make_scope, np.zeros(SHAPE, np.uint8))
    apply(scope, _run(tool(name), scope, _target()))


def test_growing_from_no_scribbles_says_what_to_draw(make_scope) -> None:
    scope = _scope(make_scope, np.zeros(SHAPE, np.uint8))
    with pytest.raises(InputError, match="Draw a short line"):
        _run(tool("grow_seeds"), scope, _target())


def test_an_unknown_tool_is_named() -> None:
    with pytest.raises(InputError, match="no tool 'magic'"):
        tool("magic")
