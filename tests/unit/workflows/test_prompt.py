from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_tumorseg.catalogue.card import read_spec
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.segmenter import Input, Prediction
from napari_tumorseg.editing.scope import Draft, Scope, Target
from napari_tumorseg.inference.prompted.segmenter import ClickSegmenter
from napari_tumorseg.workflows.prompt import PromptParams, prompt_tools

SPEC = read_spec(Path(__file__).parents[3] / "src" / "napari_tumorseg" / "models" / "click-lesion")
GRID = Grid.from_spacing((90, 80, 72), (2, 2.5, 2.5), "SPL")
SCHEMA = preset("lesion")
LABEL = SCHEMA.labels[0].value


def away_mm(centre: tuple[float, ...]) -> np.ndarray:
    index = np.stack(np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij"), -1)
    return np.linalg.norm((index - centre) * GRID.spacing_mm, axis=-1)


BALL, FAR = away_mm((30, 40, 36)) <= 14, away_mm((70, 40, 36)) <= 9
#: Longer than the segmenter sees: over the whole grid along z.
TUBE = np.linalg.norm((np.stack(np.meshgrid(*(np.arange(n) for n in GRID.shape[1:]), indexing="ij"), -1) - (14, 14)) * 2.5, axis=-1) <= 9
LONG = np.broadcast_to(TUBE, GRID.shape).copy()
IMAGE = (100 + 60 * (BALL | FAR | LONG) + 5 * np.random.default_rng(0).standard_normal(GRID.shape)).astype(np.float32)


def scope(labels: np.ndarray, label: int = LABEL) -> Scope:
    return Scope(labels.astype(np.uint8), GRID, SCHEMA, label, image=IMAGE, images={"T1c": IMAGE})


def drawn(spec: Any, where: Scope, target: Target, params: PromptParams | None = None, kind: int = 0) -> tuple[np.ndarray, Draft | None]:
    made = prompt_tools(spec, lambda: ClickSegmenter(spec))[kind].run(where, target, params or PromptParams(), None)
    out = where.labels.copy()
    if made is not None:
        out[made.box.slices] = made.labels
    return out, made


LASSO = np.array([[30, 32, 28], [30, 32, 44], [30, 48, 44], [30, 48, 28]], float)
TAKE = PromptParams(action="take away")


@pytest.mark.parametrize(
    ("labels", "target", "params", "kind"),
    [
        (np.zeros(GRID.shape), Target(voxel=(30, 40, 36)), PromptParams(), 0),
        (FAR * LABEL, Target(voxel=(30, 40, 36)), PromptParams(), 0),
        ((BALL & (away_mm((30, 40, 32)) < 12)) * LABEL, Target(voxel=(30, 40, 40)), PromptParams(), 0),
        ((BALL | FAR) * LABEL, Target(voxel=(30, 40, 36)), TAKE, 0),
        (LONG * LABEL, Target(voxel=(5, 14, 14)), TAKE, 0),
        (np.zeros(GRID.shape), Target(path=LASSO, axis=0), PromptParams(), 1),
        (np.zeros(GRID.shape), Target(voxel=(0, 79, 71)), PromptParams(), 0),
    ],
    ids=["new", "beside another", "correction", "take away", "take from a long one", "lasso", "corner"],
)
def test_what_is_found_does_not_depend_on_the_box_that_is_looked_at(
    labels: np.ndarray, target: Target, params: PromptParams, kind: int
) -> None:
    near, made = drawn(SPEC, scope(labels), target, params, kind)
    whole, _ = drawn(replace(SPEC, sees_mm=None), scope(labels), target, params, kind)
    assert np.array_equal(near, whole)
    assert made is not None
    assert (near != labels).any()


def test_the_segmenter_sees_a_box_only() -> None:
    seen = []

    class Watched(ClickSegmenter):
        def predict(self, given: Input, **more: Any) -> Prediction:
            seen.append(given)
            return super().predict(given, **more)

    prompt_tools(SPEC, lambda: Watched(SPEC))[0].run(scope(FAR * LABEL), Target(voxel=(30, 40, 36)), PromptParams(), None)
    assert seen[0].grid.shape == (61, 49, 49)
    assert np.allclose(seen[0].grid.to_index(seen[0].prompts[0].points_mm), [[30, 24, 24]])


@pytest.mark.parametrize(("lesion", "said"), [("as it looks", "either"), ("a new one", "new"), ("the one beside", "same")])
def test_what_a_click_beside_is_about_is_told(lesion: Any, said: str) -> None:
    seen = []

    class Watched(ClickSegmenter):
        def predict(self, given: Input, **more: Any) -> Prediction:
            seen.append(given.prompts[0].lesion)
            return super().predict(given, **more)

    prompt_tools(SPEC, lambda: Watched(SPEC))[0].run(
        scope(np.zeros(GRID.shape)), Target(voxel=(30, 40, 36)), PromptParams(lesion=lesion), None
    )
    assert seen == [said]


def test_other_labels_are_kept() -> None:
    labels = np.where(BALL & (away_mm((30, 40, 42)) < 8), 7, 0)
    after, _ = drawn(SPEC, scope(labels), Target(voxel=(30, 40, 33)))
    assert np.array_equal(after == 7, labels == 7)
    assert (after == LABEL).sum() > 0.7 * (BALL & (labels == 0)).sum()


def test_without_an_image_or_a_place_it_says_what_to_do() -> None:
    tool = prompt_tools(SPEC, lambda: ClickSegmenter(SPEC))[0]
    with pytest.raises(InputError, match="No image"):
        tool.run(Scope(np.zeros(GRID.shape, np.uint8), GRID, SCHEMA, LABEL), Target(voxel=(0, 0, 0)), PromptParams(), None)
    with pytest.raises(InputError, match="pointed"):
        tool.run(scope(np.zeros(GRID.shape)), Target(), PromptParams(), None)
