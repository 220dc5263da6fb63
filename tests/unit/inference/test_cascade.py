"""The three stages, on networks with random weights and on networks whose answer is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_tumorseg.core.errors import Cancelled, InputError, ModelError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.jobs import CancelToken, Progress, ProgressState
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.segmenter import Input, Need, Segmenter, SegmenterSpec
from napari_tumorseg.core.settings import Settings
from napari_tumorseg.inference import cascade
from napari_tumorseg.inference.cascade import STAGES, Brats17Cascade, Stage, weight_name
from napari_tumorseg.inference.planes import PLANES, Plane

SETTINGS = Settings(model_dirs=(Path("models"),), cache_dir=Path("cache"), log_dir=Path("log"), state_dir=Path("state"))
SPEC = SegmenterSpec(
    name="brats17-cascade",
    title="Cascade",
    backend="brats17-cascade",
    inputs=tuple(Need(m) for m in ("FLAIR", "T1", "T1c", "T2")),
    schema=preset("brats-mets-2025"),
    remap={4: 3},
    regions=("WT", "TC", "ET"),
    spacing_mm=(1.0, 1.0, 1.0),
    orientation="SPL",
    skull_stripped=True,
    options={"filters": 4},
)
SHAPE = (30, 36, 32)
ALL_ORIENTATIONS = ("SPL", "RAS", "IAR", "LIP", "PSR", "ARI")


def _ball(centre: tuple[float, float, float], radius: float, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    z, y, x = np.indices(shape)
    return (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 <= radius**2


BRAIN = _ball((15, 18, 16), 14)
WHOLE, CORE, ENHANCING = (_ball((15, 19, 15), r) for r in (8, 5, 3))


def _images() -> dict[str, np.ndarray]:
    """A brain of about 100 with a tumour that is bright on FLAIR, its core on T2, its middle on T1c."""
    rng = np.random.default_rng(4)

    def image(*bright: np.ndarray) -> np.ndarray:
        values = 100 + 5 * rng.standard_normal(SHAPE)
        for part in bright:
            values[part] += 300
        return np.where(BRAIN, values, 0).astype(np.float32)

    return {"T1c": image(ENHANCING), "FLAIR": image(WHOLE), "T1": image(), "T2": image(CORE)}


def _case(orientation: str = "SPL") -> Input:
    grid, move = Grid.from_spacing(SHAPE, (1, 1, 1), "SPL").reorient(orientation)
    return Input({name: np.ascontiguousarray(move.apply(image)) for name, image in _images().items()}, grid)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    import torch
    from safetensors.torch import save_file

    from napari_tumorseg.networks.msnet import MSNet, MSNetConfig

    folder, paths = tmp_path_factory.mktemp("weights"), {}
    torch.manual_seed(1)
    for stage in STAGES:
        for plane in PLANES:
            name = weight_name(stage, plane)
            net = MSNet(MSNetConfig(filters=4, full_size_second_level=stage.full_size_second_level))
            save_file(net.state_dict(), folder / name)
            paths[name] = folder / name
    return paths


class Oracle:
    """Stands for the networks: each answers with the brightness that its target has in `_images`."""

    def __init__(self, *_: object) -> None:
        self.device = "cpu"
        self.notes: list[str] = []

    def load(self, stage: Stage, _plane: Plane) -> int:
        return {"WT": 0, "TC": 3, "ET": 2}[stage.region]

    def score(self, channel: int, window: np.ndarray) -> np.ndarray:
        # Half way between the brain and the target, in standard deviations of the brain.
        threshold = {0: 0.85, 3: 2.0, 2: 4.8}[channel]
        return np.asarray(1 / (1 + np.exp(threshold - window[4:15, channel])), np.float32)


@pytest.fixture
def oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cascade, "_Networks", Oracle)


def _model(weights: dict[str, Path] | None = None, **options: object) -> Brats17Cascade:
    return Brats17Cascade(replace(SPEC, options={**SPEC.options, **options}), weights or {}, SETTINGS)


def _expected() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[WHOLE], labels[CORE], labels[ENHANCING] = 2, 1, 3
    return labels


def test_it_is_a_segmenter() -> None:
    assert isinstance(_model(), Segmenter)
    assert _model().spec.modalities == ("FLAIR", "T1", "T1c", "T2")


@pytest.mark.usefixtures("oracle")
@pytest.mark.parametrize("fusion", [False, True])
@pytest.mark.parametrize("orientation", ALL_ORIENTATIONS)
def test_known_answers_come_back_as_labels_on_the_input_grid(orientation: str, fusion: bool) -> None:
    found = _model(fusion=fusion).predict(_case(orientation))
    _, move = Grid.from_spacing(SHAPE, (1, 1, 1), "SPL").reorient(orientation)
    np.testing.assert_array_equal(found.labels, move.apply(_expected()))
    assert found.labels.dtype == np.uint8
    assert found.labels.flags.c_contiguous
    assert set(found.seconds) == {"prepare", "WT", "TC", "ET", "finish"}
    assert found.probabilities == {}


@pytest.mark.usefixtures("oracle")
def test_probabilities_are_kept_when_asked_for() -> None:
    found = _model().predict(_case("RAS"), probabilities=True)
    assert list(found.probabilities) == ["WT", "TC", "ET"]
    for name, map_ in found.probabilities.items():
        assert map_.dtype == np.float16
        assert map_.shape == found.labels.shape
        assert 0 <= map_.min() <= map_.max() <= 1
        region = SPEC.schema.region_mask(found.labels, name)
        assert (map_[region] >= 0.5).all()


@pytest.mark.usefixtures("oracle")
@pytest.mark.parametrize("spacing_mm", [(2.0, 1.0, 1.0), (0.8, 0.8, 0.8), (1.0, 1.5, 1.2)])
def test_other_voxel_sizes_give_the_tumour_in_its_place(spacing_mm: tuple[float, float, float]) -> None:
    from napari_tumorseg.inference.resample import resample

    fine = Grid.from_spacing(SHAPE, (1, 1, 1), "SPL")
    grid, _ = fine.resampled(spacing_mm).reorient("RAS")
    given = Input({name: resample(image, fine, grid, antialias=False) for name, image in _images().items()}, grid)
    found = _model().predict(given)
    assert found.labels.shape == grid.shape
    for name, ball in (("WT", WHOLE), ("TC", CORE), ("ET", ENHANCING)):
        truth = resample(ball, fine, grid, antialias=False) > 0.5
        mask = SPEC.schema.region_mask(found.labels, name)
        dice = 2 * (mask & truth).sum() / (mask.sum() + truth.sum())
        assert dice > 0.85


@pytest.mark.usefixtures("oracle")
def test_small_parts_are_left_out_and_it_is_said() -> None:
    given = _case()
    images = dict(given.images)
    speck = np.zeros(SHAPE, bool)
    speck[14:16, 6:8, 15:17] = True
    images["FLAIR"] = np.where(speck, np.float32(400), images["FLAIR"])
    found = _model(min_whole_voxels=100).predict(replace(given, images=images))
    np.testing.assert_array_equal(found.labels, _expected())
    assert any("0.008 mL in all" in note for note in found.notes)


@pytest.mark.usefixtures("oracle")
def test_a_healthy_brain_gives_an_empty_mask_and_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Oracle, "score", lambda self, channel, window: np.zeros_like(window[4:15, 0]))
    stages: set[str] = set()
    found = _model().predict(_case(), progress=Progress(lambda state: stages.add(state.message.split(",")[0])))
    assert not found.labels.any()
    assert found.notes == ("No tumour was found.",)
    assert "Tumour core" not in stages


def test_the_same_case_gives_the_same_mask_and_another_seed_another_background(weights: dict[str, Path]) -> None:
    first, second = (_model(weights).predict(_case(), device="cpu", probabilities=True) for _ in range(2))
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(first.probabilities["WT"], second.probabilities["WT"])
    other = _model(weights, seed=1).predict(_case(), device="cpu", probabilities=True)
    assert (other.probabilities["WT"] != first.probabilities["WT"]).any()
    assert first.device == "cpu"
    ml = [SPEC.schema.region_mask(first.labels, name).sum() for name in ("WT", "TC", "ET")]
    assert ml == sorted(ml, reverse=True)
    outside = first.probabilities["WT"][~BRAIN]
    assert not outside.any()


@pytest.mark.usefixtures("oracle")
@pytest.mark.parametrize(
    ("wide", "frames"),
    [(False, {"axial": (36, 32), "sagittal": (32, 36), "coronal": (32, 32)}), (True, {p.name: p.brain_frame for p in PLANES})],
)
def test_slices_are_padded_as_the_option_says(monkeypatch: pytest.MonkeyPatch, wide: bool, frames: dict[str, tuple[int, int]]) -> None:
    seen: dict[tuple[str, str], set[tuple[int, ...]]] = {}
    monkeypatch.setattr(Oracle, "load", lambda self, stage, plane: (stage.region, plane.name))

    def score(self: Oracle, which: tuple[str, str], window: np.ndarray) -> np.ndarray:
        seen.setdefault(which, set()).add(window.shape)
        return np.asarray(window[4:15, 0] > 0.85, np.float32)

    monkeypatch.setattr(Oracle, "score", score)
    _model(wide_frames=wide).predict(_case())
    for plane, size in frames.items():
        assert seen["WT", plane] == {(19, 4, *size)}
        assert all(shape[2:] == (96, 96) for shape in seen["TC", plane] | seen["ET", plane]) == wide


@pytest.mark.usefixtures("oracle")
def test_progress_names_stage_and_view_and_never_goes_back() -> None:
    seen: list[ProgressState] = []
    _model().predict(_case(), progress=Progress(seen.append))
    fractions = [state.fraction for state in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    messages = [state.message for state in seen]
    for stage in STAGES:
        for plane in PLANES:
            assert any(m.startswith(f"{stage.title}, {plane.name} view: window 1 of") for m in messages)


@pytest.mark.usefixtures("oracle")
def test_it_stops_at_the_next_window(monkeypatch: pytest.MonkeyPatch) -> None:
    token = CancelToken()
    scored: list[int] = []
    real = Oracle.score

    def score(self: Oracle, channel: int, window: np.ndarray) -> np.ndarray:
        scored.append(channel)
        if len(scored) == 3:
            token.cancel()
        return real(self, channel, window)

    monkeypatch.setattr(Oracle, "score", score)
    with pytest.raises(Cancelled):
        _model().predict(_case(), progress=Progress(cancel=token))
    assert len(scored) == 3


def test_it_stops_inside_a_window(weights: dict[str, Path]) -> None:
    token = CancelToken()
    networks = cascade._Networks(weights, 4, "cpu", token)
    network = networks.load(STAGES[0], PLANES[0])
    window = np.zeros((19, 4, 8, 8), np.float32)
    assert networks.score(network, window).shape == (11, 8, 8)
    token.cancel()
    with pytest.raises(Cancelled):
        networks.score(network, window)


def test_an_answer_that_is_not_finite_is_refused(weights: dict[str, Path]) -> None:
    networks = cascade._Networks(weights, 4, "cpu", CancelToken())
    network = networks.load(STAGES[0], PLANES[0])
    network.final_pred.weight.fill_(np.nan)
    with pytest.raises(ModelError, match="not finite"):
        networks.score(network, np.zeros((19, 4, 8, 8), np.float32))


def test_a_full_gpu_is_left_for_the_cpu(monkeypatch: pytest.MonkeyPatch, weights: dict[str, Path]) -> None:
    import torch

    real = cascade._Networks._run

    def run(self: cascade._Networks, network: object, window: np.ndarray) -> np.ndarray:
        if self.device == "cuda":
            raise torch.OutOfMemoryError
        return real(self, network, window)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(cascade._Networks, "_run", run)
    found = _model(weights).predict(_case())
    assert found.device == "cpu"
    assert sum("memory was full" in note for note in found.notes) == 1


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, weights: dict[str, Path]) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="no GPU"):
        _model(weights).predict(_case(), device="cuda")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda images: images.pop("T2"), "needs T2, which the case lacks"),
        (lambda images: images["T1"].__setitem__((3, 3, 3), np.nan), "T1 image holds values that are not finite"),
        (lambda images: images["T1"].__setitem__((3, 3, 3), np.inf), "T1 image holds values that are not finite"),
        (lambda images: images["FLAIR"].fill(0), "FLAIR image is empty"),
        (lambda images: images["T1c"].fill(7), "T1c image has no contrast"),
        (lambda images: images["T2"].fill(0), "T2 image has no contrast"),
    ],
)
def test_unusable_images_are_refused(weights: dict[str, Path], change: object, match: str) -> None:
    images = _images()
    change(images)  # type: ignore[operator]
    with pytest.raises(InputError, match=match):
        _model(weights).predict(replace(_case(), images=images))


def test_missing_and_wrong_weights_are_named(weights: dict[str, Path], tmp_path: Path) -> None:
    first = weight_name(STAGES[0], PLANES[0])
    with pytest.raises(ModelError, match=f"{first} are missing"):
        _model({}).predict(_case())
    text = tmp_path / first
    text.write_text("text")
    for wrong in (text, weights[weight_name(STAGES[2], PLANES[0])], tmp_path / "absent"):
        with pytest.raises(ModelError, match="does not hold the weights"):
            _model({**weights, first: wrong}).predict(_case())


def test_weight_names() -> None:
    assert weight_name(STAGES[2], PLANES[1]) == "et-sagittal.safetensors"
