from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from napari_tumorseg.core.case import Case, MaskKind, Review, TimePoint
from napari_tumorseg.core.errors import Cancelled, InputError, ModelError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.jobs import CancelToken, Progress
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.segmenter import Input, Need, Prediction, Segmenter, SegmenterSpec
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.workflows.segment import SegmentRequest, case_fitness, report, segment_case, warnings_for

SPEC = SegmenterSpec(
    "bright",
    "Marks what is bright",
    "test",
    (Need("T1c"), Need("FLAIR", required=False)),
    preset("brats-mets-2025"),
    licence="test licence",
    warnings=("Knows brightness only.",),
)


class Bright:
    """Marks enhancing tumour where T1c is above 10, oedema where FLAIR is."""

    def __init__(self, spec: SegmenterSpec = SPEC, labels: np.ndarray | None = None) -> None:
        self.spec = spec
        self.labels = labels
        self.seen: Input | None = None

    def predict(self, given: Input, *, device: str = "auto", probabilities: bool = False, progress: Progress | None = None) -> Prediction:
        (progress or Progress()).update(0.5, "Marking")
        self.seen = given
        labels = np.zeros(given.grid.shape, np.uint8)
        if "FLAIR" in given.images:
            labels[given.images["FLAIR"] > 10] = 2
        labels[given.images["T1c"] > 10] = 3
        return Prediction(
            labels if self.labels is None else self.labels, device="cpu", seconds={"network": 0.1}, notes=("moved to the CPU",)
        )


def make_case(flair_grid: Grid | None = None) -> Case:
    grid = Grid.from_spacing((6, 8, 10), (2.0, 1.0, 1.0), "SPL")
    t1c = np.zeros(grid.shape, np.int16)
    t1c[2:4, 3:5, 4:7] = 20
    flair = np.zeros((flair_grid or grid).shape, np.float32)
    flair[1:-1, 2:-2, 3:-2] = 20
    volumes = {"T1c": Volume(t1c, grid, "T1c"), "FLAIR": Volume(flair, flair_grid or grid, "FLAIR")}
    return Case("c", (TimePoint(volumes),))


def test_the_fake_fulfils_the_contract() -> None:
    assert isinstance(Bright(), Segmenter)


def test_a_case_becomes_an_unreviewed_mask_on_the_reference_grid() -> None:
    case = make_case()
    result = segment_case(case, Bright())
    assert result.reference == "T1c"
    assert result.mask.grid == case.latest.volumes["T1c"].grid
    assert (result.mask.kind, result.mask.review) == (MaskKind.AI, Review.NOT_REVIEWED)
    assert np.array_equal(result.mask.labels == 3, case.latest.volumes["T1c"].data > 10)
    assert result.regions_ml["ET"] == pytest.approx(12 * 2.0 / 1000)
    assert [lesion.region for lesion in result.lesions] == ["WT"]
    assert result.seconds["total"] >= result.seconds["model"]


def test_notes_carry_limits_licence_and_what_the_model_said() -> None:
    notes = segment_case(make_case(), Bright()).notes
    assert notes == ("Knows brightness only.", "The licence of bright (test licence) does not allow commercial use.", "moved to the CPU")
    assert warnings_for(replace(SPEC, commercial_use=True)) == ("Knows brightness only.",)


def test_a_sequence_on_another_grid_is_resampled_for_the_model() -> None:
    shifted = Grid.from_spacing((12, 8, 10), (1.0, 1.0, 1.0), "SPL")
    model = Bright()
    segment_case(make_case(shifted), model)
    assert model.seen is not None
    image = model.seen.images["FLAIR"]
    assert image.shape == (6, 8, 10)
    # Voxel (2, 4, 5) of the reference lies at z = 4 mm: voxel 4 of the finer grid, inside the bright block.
    assert image[2, 4, 5] == pytest.approx(20, rel=0.01)
    # Outside the block, but within reach of the smoothing that a twice coarser grid asks for.
    assert 0 <= image[0, 4, 5] < 5
    assert image[2, 0, 0] == pytest.approx(0)


def test_fitness_names_what_is_missing() -> None:
    case = make_case()
    only_flair = Case("c", (TimePoint({"FLAIR": case.latest.volumes["FLAIR"]}),))
    assert case_fitness(only_flair, SPEC).reason == "This case lacks T1c, which bright needs."
    only_t1c = Case("c", (TimePoint({"T1c": case.latest.volumes["T1c"]}),))
    assert case_fitness(only_t1c, SPEC).ready
    assert case_fitness(only_t1c, SPEC).reason == "Without FLAIR the result will be less sure."
    with pytest.raises(InputError, match="lacks T1c"):
        segment_case(only_flair, Bright())


def test_a_model_that_needs_nothing_in_particular_still_needs_something() -> None:
    spec = replace(SPEC, inputs=(Need("CT", required=False), Need("PET", required=False)))
    assert not case_fitness(make_case(), spec).ready
    assert case_fitness(make_case(), spec).reason == "This case has none of CT and PET."


@pytest.mark.parametrize("labels", [np.zeros((2, 2, 2), np.uint8), np.full((6, 8, 10), 9, np.uint8)])
def test_a_wrong_answer_of_a_model_is_an_error(labels: np.ndarray) -> None:
    with pytest.raises((ModelError, InputError)):
        segment_case(make_case(), Bright(labels=labels))


def test_cancelling_stops_before_the_next_step() -> None:
    token = CancelToken()

    def stop_at_half(state) -> None:
        if state.message == "Marking":
            token.cancel()

    with pytest.raises(Cancelled):
        segment_case(make_case(), Bright(), progress=Progress(stop_at_half, token))


def test_progress_never_goes_back_and_ends_at_one() -> None:
    seen = []
    segment_case(make_case(), Bright(), SegmentRequest("bright"), Progress(seen.append))
    fractions = [state.fraction for state in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_the_report_is_json_with_the_agreed_keys() -> None:
    document = json.loads(json.dumps(report(segment_case(make_case(), Bright()), SPEC, None)))
    assert {"mask", "model", "device", "seconds", "regions_ml", "lesions"} <= set(document)
    assert {"id", "region", "centroid_mm", "volume_mm3"} <= set(document["lesions"][0])
    assert document["notice"].startswith("Research use only")
    assert document["review"] == "AI, not reviewed"
