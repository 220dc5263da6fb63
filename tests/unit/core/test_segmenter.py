from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.segmenter import Input, Need, Prediction, Prompt, Segmenter, SegmenterSpec

SPEC = SegmenterSpec("threshold", "Brighter than one", "test", (Need("T1c"), Need("FLAIR", required=False)), preset("lesion"))


class Threshold:
    """The least that fulfils the contract."""

    spec = SPEC

    def predict(self, given: Input, *, device: str = "auto", probabilities: bool = False, progress: Progress | None = None) -> Prediction:
        (progress or Progress()).update(0.0, "Thresholding")
        image = given.images["T1c"]
        soft = {"Lesion": (image / image.max()).astype(np.float16)} if probabilities else {}
        return Prediction((image > 1).astype(np.uint8), soft, device="cpu" if device == "auto" else device)


def test_any_class_of_that_shape_is_a_segmenter() -> None:
    model: Segmenter = Threshold()
    assert isinstance(model, Segmenter)
    assert not isinstance(object(), Segmenter)
    grid = Grid.from_spacing((1, 1, 2), (1, 1, 1))
    hint = Prompt("point", np.array([[0.0, 0.0, 0.0]]))
    given = Input({"T1c": np.array([[[0.5, 2.0]]], np.float32)}, grid, prompts=(hint,), text="metastasis")
    prediction = model.predict(given, probabilities=True)
    assert prediction.labels.tolist() == [[[0, 1]]]
    assert prediction.probabilities["Lesion"].dtype == np.float16
    assert (prediction.uncertainty, prediction.samples, prediction.notes) == (None, (), ())


def test_a_specification_is_fixed_and_careful_by_default() -> None:
    assert SPEC.modalities == ("T1c", "FLAIR")
    assert [need.required for need in SPEC.inputs] == [True, False]
    assert not SPEC.commercial_use
    assert not SPEC.needs_trust
    with pytest.raises(dataclasses.FrozenInstanceError):
        SPEC.name = "other"  # type: ignore[misc]
