from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_tumorseg.catalogue.backends import BACKENDS
from napari_tumorseg.catalogue.registry import Catalogue
from napari_tumorseg.core.errors import ModelError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.segmenter import Input, Prompt
from napari_tumorseg.core.settings import Settings


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue(Settings((tmp_path / "models",), tmp_path / "cache", tmp_path / "log", tmp_path / "state"))


def test_the_shipped_card_is_sound_and_needs_nothing(catalogue: Catalogue) -> None:
    assert catalogue.check("click-lesion") == []
    assert catalogue.state("click-lesion").ready
    spec = catalogue.spec("click-lesion")
    assert spec.prompts == ("point", "box", "scribble", "lasso", "mask")
    assert spec.commercial_use
    assert not any(need.required for need in spec.inputs)
    assert "no network" in catalogue.card("click-lesion")


def test_it_loads_and_answers_a_click(catalogue: Catalogue) -> None:
    image = np.zeros((9, 9, 9), np.float32)
    image[3:6, 3:6, 3:6] = 10
    grid = Grid.from_spacing(image.shape, (1, 1, 1))
    found = catalogue.load("click-lesion").predict(Input({"CT": image}, grid, (Prompt("point", np.array([[4.0, 4, 4]])),)))
    assert found.labels[4, 4, 4] == 1
    assert np.count_nonzero(found.labels) <= 5**3


@pytest.mark.parametrize("changes", [{"prompts": ()}, {"prompts": ("text",)}, {"options": {"fast": True}}])
def test_a_card_that_cannot_work_is_refused(catalogue: Catalogue, tmp_path: Path, changes: dict[str, object]) -> None:
    spec = replace(catalogue.spec("click-lesion"), **changes)
    settings = Settings((tmp_path,), tmp_path, tmp_path, tmp_path)
    with pytest.raises(ModelError):
        BACKENDS["click"](spec, {}, settings)


def test_weights_are_refused(catalogue: Catalogue, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="names weights"):
        BACKENDS["click"](catalogue.spec("click-lesion"), {"w": tmp_path / "w"}, Settings((tmp_path,), tmp_path, tmp_path, tmp_path))
