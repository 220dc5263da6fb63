from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_tumorseg.core.errors import Cancelled, InputError, ModelError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.jobs import CancelToken, Progress, ProgressState
from napari_tumorseg.core.segmenter import Input, Need, Segmenter
from napari_tumorseg.inference import memory, predictor
from napari_tumorseg.inference.normalise import zscore_nonzero
from napari_tumorseg.inference.predictor import NetworkSegmenter, _Loaded, choose_device

Make = Callable[..., NetworkSegmenter]
Head = Callable[..., Input]
ORIENTATIONS = ["".join(codes) for axes in itertools.permutations(("LR", "PA", "IS")) for codes in itertools.product(*axes)]
FULL = {"window": (48, 48, 48), "options": {"margin_mm": 0.0}}


def _bright(make: Make, **changes: Any) -> NetworkSegmenter:
    """A segmenter that marks raw values above 0.5, 1.5 and 2.5 as WT, TC and ET."""
    options = {"normalise": "none", **changes.pop("options", {})}
    return make("Bright", options=options, **changes)


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def _sphere(grid: Grid, radius_mm: float, value: float = 1.0) -> np.ndarray:
    middle = grid.to_mm((np.array(grid.shape) - 1) / 2)
    points = grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    return np.where(np.linalg.norm(points - middle, axis=-1) < radius_mm, value, 0).astype(np.float32)


class TestAgainstTheWholeVolume:
    def test_one_window_over_all_is_the_plain_network(self, segmenter: Make, head: Head) -> None:
        model, case = segmenter(**FULL), head()
        assert isinstance(model, Segmenter)
        found = model.predict(case, device="cpu", probabilities=True)
        box = tuple(slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(sum(case.images.values())))
        stack = np.stack([zscore_nonzero(case.images[name]) for name in ("T1", "T1c", "T2", "FLAIR")])[:, *box]
        size = np.array(stack.shape[1:])
        padded = -(-size // 16) * 16
        before = (padded - size) // 2
        stack = np.pad(stack, [(0, 0), *zip(before, padded - size - before, strict=True)])
        loaded = model._load()
        with torch.inference_mode():
            whole = torch.sigmoid(loaded._network(torch.from_numpy(stack)[None]))[0].numpy()
        inner = whole[:, *(slice(b, b + n) for b, n in zip(before, size, strict=True))]
        for region, expected in zip(("WT", "TC", "ET"), inner, strict=True):
            assert found.probabilities[region].dtype == np.float16
            np.testing.assert_allclose(found.probabilities[region][box], expected, atol=2e-3)
        labels = np.zeros(inner.shape[1:], np.uint8)
        for mask, value in zip(inner > 0.5, (2, 1, 3), strict=True):
            labels[mask] = value
        assert np.mean(labels == found.labels[box]) > 0.9999
        assert set(found.seconds) == {"prepare", "network", "finish"}
        assert found.device == "cpu"
        assert found.notes == ()

    def test_probabilities_are_kept_only_when_asked_for(self, segmenter: Make, head: Head) -> None:
        model, case = segmenter(), head()
        without, kept = model.predict(case, device="cpu"), model.predict(case, device="cpu", probabilities=True)
        assert without.probabilities == {}
        assert list(kept.probabilities) == ["WT", "TC", "ET"]
        np.testing.assert_array_equal(without.labels, kept.labels)
        for region in kept.probabilities.values():
            assert region.nbytes == 2 * case.grid.shape[0] * case.grid.shape[1] * case.grid.shape[2]
            assert 0 <= region.min() <= region.max() <= 1

    def test_half_precision_weights_give_nearly_the_same(self, segmenter: Make, head: Head) -> None:
        case = head()
        full = segmenter().predict(case, device="cpu", probabilities=True).probabilities["WT"].astype(float)
        half = segmenter(half=True).predict(case, device="cpu", probabilities=True).probabilities["WT"].astype(float)
        assert 0 < np.abs(full - half).max() < 0.02

    @pytest.mark.parametrize(
        ("network", "config"),
        [
            ("SegResNet", {"init_filters": 8, "blocks_down": [1, 1], "blocks_up": [1]}),
            ("UNet", {"in_channels": 4, "out_channels": 3, "channels": [4, 8], "strides": [2]}),
        ],
    )
    def test_other_networks_run(self, segmenter: Make, head: Head, network: str, config: dict[str, Any]) -> None:
        found = segmenter(network, config, window=(24, 32, 24)).predict(head(), device="cpu")
        assert found.labels.any()


class TestGeometry:
    def test_the_network_sees_the_same_in_all_48_orientations(self, segmenter: Make, head: Head) -> None:
        case, model = head((20, 24, 18)), segmenter("Edges", {"in_channels": 4}, window=(16, 16, 16))
        expected = model.predict(case, device="cpu").labels
        assert len(np.unique(expected)) == 4
        assert len(set(ORIENTATIONS)) == 48
        for orientation in ORIENTATIONS:
            grid, move = case.grid.reorient(orientation)
            turned = Input({name: np.ascontiguousarray(move.apply(image)) for name, image in case.images.items()}, grid)
            found = model.predict(turned, device="cpu").labels
            assert found.flags["C_CONTIGUOUS"]
            np.testing.assert_array_equal(found, move.apply(expected), err_msg=orientation)

    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(orientation=st.sampled_from(ORIENTATIONS), shape=st.tuples(*[st.integers(1, 20)] * 3), seed=st.integers(0, 99))
    def test_any_shape_in_any_orientation(self, segmenter: Make, orientation: str, shape: tuple[int, int, int], seed: int) -> None:
        rng = np.random.default_rng(seed)
        grid = Grid.from_spacing(shape, (1, 1, 1), orientation)
        images = {name: rng.random(shape, dtype=np.float32) * (rng.random(shape) < 0.3) for name in ("T1", "T1c")}
        model = segmenter("Edges", {"in_channels": 2}, window=(8, 8, 8))
        found = model.predict(Input(images, grid), device="cpu").labels
        straight, move = grid.reorient("SPL")
        turned = Input({name: np.ascontiguousarray(move.apply(image)) for name, image in images.items()}, straight)
        np.testing.assert_array_equal(move.apply(found), model.predict(turned, device="cpu").labels)

    @pytest.mark.parametrize("spacing", [(3.0, 0.8, 0.8), (1.5, 1.5, 1.5), (0.6, 0.7, 0.8)])
    @pytest.mark.parametrize("shear", [0.0, 0.4])
    def test_a_sphere_comes_back_from_another_spacing(self, segmenter: Make, spacing: tuple[float, float, float], shear: float) -> None:
        shape = tuple(int(40 / step) for step in spacing)
        grid = Grid.from_spacing(shape, spacing, "IAR")
        affine = np.array(grid.affine)
        affine[1, 0] += shear * spacing[0]
        affine[:3, 3] = (-12.0, 30.0, 5.0)
        grid = Grid(grid.shape, affine)
        truth = _sphere(grid, 11.0)
        model = _bright(segmenter, inputs=(Need("T1c"),), spacing_mm=(1.0, 1.0, 1.0), options={"margin_mm": 4.0})
        # The background lies just above 0, so that nothing is taken for the outside of a head.
        found = model.predict(Input({"T1c": truth + np.float32(0.01)}, grid), device="cpu", probabilities=True)
        assert found.labels.shape == grid.shape
        assert _dice(found.labels == 2, truth > 0) > 0.97
        assert found.probabilities["WT"].shape == grid.shape

    def test_the_background_of_a_resampled_head_stays_background(self, segmenter: Make) -> None:
        grid = Grid.from_spacing((12, 40, 40), (3, 1, 1), "SPL")
        seen = []
        model = _bright(
            segmenter, inputs=(Need("T1c"),), spacing_mm=(1.0, 1.0, 1.0), options={"normalise": "zscore-nonzero", "margin_mm": 4.0}
        )
        network = model._load()._network
        network.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
        brain = _sphere(grid, 14.0)
        image = brain * np.random.default_rng(0).uniform(90, 110, grid.shape).astype(np.float32)
        model.predict(Input({"T1c": image}, grid), device="cpu")
        values = torch.cat([window.flatten() for window in seen])
        inside = values[values != 0]
        assert 0.1 < len(inside) / len(values) < 0.5
        # A rim of half-background voxels would stand out far below the mean.
        assert inside.abs().max() < 4


class TestLabels:
    def test_regions_become_labels_and_lie_inside_each_other(self, segmenter: Make) -> None:
        class Odd(torch.nn.Module):
            def forward(self, image: torch.Tensor) -> torch.Tensor:
                return torch.cat([image == 1, (image == 1) | (image == 2), image > 0], 1).float() * 20 - 10

        row = np.zeros((4, 4, 12), np.float32)
        row[1, 1, :3], row[1, 1, 3:6], row[1, 1, 6:9] = 1, 2, 3
        case = Input({"T1": row}, Grid.from_spacing(row.shape, (1, 1, 1), "SPL"))
        for nested, expected in ((True, [3] * 3 + [0] * 6), (False, [3] * 9)):
            model = _bright(segmenter, options={"nested": nested})
            model._load()._fast = Odd()
            assert model.predict(case, device="cpu").labels[1, 1, :9].tolist() == expected

    def test_values_of_the_model_are_replaced_by_those_of_the_schema(self, segmenter: Make) -> None:
        case = Input({"T1": np.full((8, 8, 8), 3, np.float32)}, Grid.from_spacing((8, 8, 8), (1, 1, 1)))
        options = {"regions_to_labels": {"WT": 2, "TC": 1, "ET": 4}}
        model = _bright(segmenter, options=options, remap={4: 3}, schema=_schema("brats-gli-2024"))
        assert (model.predict(case, device="cpu").labels == 3).all()

    def test_softmax_takes_the_most_probable(self, segmenter: Make) -> None:
        row = np.zeros((4, 4, 16), np.float32)
        row[..., 2:6], row[..., 6:9] = 1, 2
        options = {"activation": "softmax", "regions_to_labels": {"TC": "NETC", "ET": "ET"}, "config": {"out_channels": 3}}
        model = _bright(segmenter, options=options)

        class Classes(torch.nn.Module):
            def forward(self, image: torch.Tensor) -> torch.Tensor:
                return torch.cat([image == 0, image == 1, image == 2], 1).float() * 9

        model._load()._fast = Classes()
        found = model.predict(Input({"T1": row}, Grid.from_spacing(row.shape, (1, 1, 1))), device="cpu", probabilities=True)
        assert found.labels[0, 0].tolist() == [0] * 2 + [1] * 4 + [3] * 3 + [0] * 7
        assert found.probabilities["ET"][0, 0, 7] > 0.99
        assert found.probabilities["ET"][0, 0, 3] < 0.01

    def test_small_lesions_are_dropped_by_their_volume(self, segmenter: Make) -> None:
        image = np.full((10, 10, 20), 0.01, np.float32)
        image[2:4, 2:4, 2:4] = 1
        image[5:9, 5:9, 12:16] = 1
        case = Input({"T1": image}, Grid.from_spacing(image.shape, (2, 1, 1), "SPL"))
        found = _bright(segmenter, options={"min_lesion_mm3": 17.0}).predict(case, device="cpu").labels
        assert not found[2:4, 2:4, 2:4].any()
        assert (found[5:9, 5:9, 12:16] == 2).all()
        assert _bright(segmenter, options={"min_lesion_mm3": 16.0}).predict(case, device="cpu").labels[2, 2, 2] == 2


def _schema(name: str) -> Any:
    from napari_tumorseg.core.labels import preset

    return preset(name)


class TestInputs:
    def test_a_missing_optional_image_is_a_channel_of_zeros(self, segmenter: Make, head: Head) -> None:
        model, case = segmenter(), head()
        seen: list[torch.Tensor] = []
        network = model._load()
        network._fast = lambda batch: seen.append(batch) or torch.zeros((len(batch), 3, *batch.shape[2:]))
        model.predict(Input({name: case.images[name] for name in ("FLAIR", "T1c")}, case.grid), device="cpu")
        both = torch.cat(seen)
        assert not both[:, [0, 2]].any()
        assert both[:, 1].any()
        assert both[:, 3].any()

    def test_an_empty_case_gives_empty_labels_without_the_network(self, segmenter: Make) -> None:
        model = segmenter()
        case = Input({"T1": np.zeros((9, 8, 7), np.float32)}, Grid.from_spacing((9, 8, 7), (1, 1, 1)))
        found = model.predict(case, device="cpu", probabilities=True)
        assert found.labels.shape == (9, 8, 7)
        assert not found.labels.any()
        assert not found.probabilities["ET"].any()
        assert "nothing was segmented" in found.notes[0]
        assert model._loaded is None

    def test_a_missing_required_image_is_named(self, segmenter: Make, head: Head) -> None:
        model = segmenter(inputs=(Need("T1"), Need("T1c"), Need("T2"), Need("FLAIR")))
        with pytest.raises(InputError, match=r"needs T1c, FLAIR"):
            model.predict(head(names=("T1", "T2")), device="cpu")

    def test_no_image_at_all_is_an_input_error(self, segmenter: Make, head: Head) -> None:
        with pytest.raises(InputError, match="T1, T1c, T2, FLAIR"):
            segmenter().predict(head(names=("CT",)), device="cpu")

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_values_that_are_not_finite_are_refused(self, segmenter: Make, head: Head, value: float) -> None:
        case = head()
        case.images["T2"][3, 4, 5] = value
        with pytest.raises(InputError, match="T2 image holds values that are not finite"):
            segmenter().predict(case, device="cpu")

    def test_an_image_off_the_grid_is_refused(self, segmenter: Make, head: Head) -> None:
        case = head()
        with pytest.raises(InputError, match="T1 image has shape"):
            segmenter().predict(replace(case, images={**case.images, "T1": np.zeros((3, 3, 3), np.float32)}), device="cpu")

    def test_a_volume_of_one_voxel(self, segmenter: Make) -> None:
        case = Input({"T1": np.full((1, 1, 1), 5, np.float32)}, Grid.from_spacing((1, 1, 1), (1, 1, 1)))
        assert segmenter().predict(case, device="cpu").labels.shape == (1, 1, 1)


class TestDevices:
    def test_cuda_without_a_gpu_is_an_input_error(self, segmenter: Make, head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.raises(InputError, match="no GPU"):
            segmenter().predict(head(), device="cuda")
        assert choose_device("auto") == "cpu"

    def test_an_unknown_device_is_an_input_error(self) -> None:
        with pytest.raises(InputError, match="'auto', 'cpu' or 'cuda'"):
            choose_device("tpu")

    def test_the_number_of_threads_is_put_back(self, segmenter: Make, head: Head) -> None:
        before = torch.get_num_threads()
        segmenter().predict(head(), device="cpu")
        assert torch.get_num_threads() == before

    def test_the_network_stays_loaded(self, segmenter: Make, head: Head) -> None:
        model, case = segmenter(), head()
        model.predict(case, device="cpu")
        loaded = model._loaded
        model._weights.unlink()
        model.predict(case, device="cpu")
        assert model._loaded is loaded


class TestFullMemory:
    """The ladder: fewer windows at a time, smaller windows, the CPU."""

    @pytest.fixture
    def gpu(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[torch.Tensor], bool]], list[tuple[int, ...]]]:
        """Return a function that fakes a GPU whose memory is full when told so; gives the batches that it saw."""
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
        monkeypatch.setattr(memory, "free_bytes", lambda device: 2**34)
        monkeypatch.setattr(_Loaded, "_move", lambda self, device: None)

        def fake(full: Callable[[torch.Tensor], bool]) -> list[tuple[int, ...]]:
            seen: list[tuple[int, ...]] = []

            def run(self: _Loaded, batch: torch.Tensor) -> torch.Tensor:
                seen.append((len(batch), *batch.shape[2:]))
                if full(batch):
                    raise torch.OutOfMemoryError("CUDA out of memory")
                return self._network(batch)

            monkeypatch.setattr(_Loaded, "_on_gpu", run)
            return seen

        return fake

    @staticmethod
    def _plain(segmenter: Make, case: Input, **changes: Any) -> np.ndarray:
        return segmenter(**changes).predict(case, device="cpu").labels

    def test_a_gpu_gets_batches(self, segmenter: Make, head: Head, gpu: Any) -> None:
        case = head()
        expected = self._plain(segmenter, case)
        seen = gpu(lambda batch: False)
        found = segmenter().predict(case)
        assert found.device == "cuda"
        assert found.notes == ()
        assert seen[0][0] > 1
        assert np.mean(found.labels == expected) > 0.9999

    def test_the_batch_is_halved_first(self, segmenter: Make, head: Head, gpu: Any) -> None:
        case = head()
        expected = self._plain(segmenter, case)
        seen = gpu(lambda batch: len(batch) > 1)
        found = segmenter().predict(case)
        assert [count for count, *_ in seen][:4] == [4, 2, 1, 1]
        assert found.device == "cuda"
        assert found.notes == ()
        assert np.mean(found.labels == expected) > 0.9999

    def test_then_the_window(self, segmenter: Make, head: Head, gpu: Any) -> None:
        case = head()
        seen = gpu(lambda batch: batch[0, 0].numel() > 16**3)
        found = segmenter().predict(case)
        assert found.device == "cuda"
        assert seen[-1][1:] == (16, 16, 16)
        assert "windows of 16 x 16 x 16 voxels" in found.notes[0]

    def test_then_the_cpu_and_says_so(self, segmenter: Make, head: Head, gpu: Any) -> None:
        case = head()
        expected = self._plain(segmenter, case)
        gpu(lambda batch: True)
        found = segmenter().predict(case)
        assert found.device == "cpu"
        assert found.notes == ("The GPU's memory was full, so it ran on the CPU.",)
        np.testing.assert_array_equal(found.labels, expected)

    def test_a_cpu_takes_smaller_windows_too(self, segmenter: Make, head: Head) -> None:
        model = segmenter()
        loaded = model._load()

        def run(batch: torch.Tensor) -> torch.Tensor:
            if batch[0, 0].numel() > 16**3:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
            return loaded._network(batch)

        loaded._fast = run
        found = model.predict(head(), device="cpu")
        assert "windows of 16 x 16 x 16 voxels" in found.notes[0]

    def test_and_gives_up_with_a_word(self, segmenter: Make, head: Head) -> None:
        model = segmenter()

        def run(batch: torch.Tensor) -> torch.Tensor:
            raise MemoryError

        model._load()._fast = run
        with pytest.raises(ModelError, match="needs more memory than is free"):
            model.predict(head(), device="cpu")

    def test_other_errors_are_not_taken_for_it(self, segmenter: Make, head: Head) -> None:
        model = segmenter()

        def run(batch: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("shapes do not match")

        model._load()._fast = run
        with pytest.raises(RuntimeError, match="shapes"):
            model.predict(head(), device="cpu")


class TestStopping:
    def test_cancelling_before_the_first_window(self, segmenter: Make, head: Head) -> None:
        token = CancelToken()
        token.cancel()
        with pytest.raises(Cancelled):
            segmenter().predict(head(), device="cpu", progress=Progress(cancel=token))

    def test_cancelling_half_way_leaves_the_model_usable(self, segmenter: Make, head: Head) -> None:
        model, case, token = segmenter(), head(), CancelToken()
        seen: list[ProgressState] = []

        def report(state: ProgressState) -> None:
            seen.append(state)
            if "window 2" in state.message:
                token.cancel()

        with pytest.raises(Cancelled):
            model.predict(case, device="cpu", progress=Progress(report, token))
        assert seen[-1].fraction < 0.93
        assert model.predict(case, device="cpu").labels.shape == case.grid.shape

    @pytest.mark.parametrize("network", ["SubvoxelSegResNet", "UNet"])
    def test_cancelling_answers_inside_a_window(self, segmenter: Make, network: str) -> None:
        model = segmenter(network, {"in_channels": 4, "out_channels": 3} if network == "UNet" else None)
        loaded, token = model._load(), CancelToken()
        run = loaded.on("cpu", token)
        token.cancel()
        with pytest.raises(Cancelled):
            run(torch.zeros(1, 4, 32, 32, 32))

    def test_progress_rises_to_1_and_names_the_windows(self, segmenter: Make, head: Head) -> None:
        seen: list[ProgressState] = []
        segmenter().predict(head(), device="cpu", progress=Progress(seen.append))
        fractions = [state.fraction for state in seen]
        assert fractions == sorted(fractions)
        assert fractions[-1] == 1
        assert any("window 3 of" in state.message for state in seen)

    def test_predictions_wait_for_each_other(self, segmenter: Make, head: Head) -> None:
        from concurrent.futures import ThreadPoolExecutor

        model, case, inside, most = segmenter(), head(), [0], [0]

        def run(batch: torch.Tensor) -> torch.Tensor:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.005)
            inside[0] -= 1
            return torch.zeros((1, 3, *batch.shape[2:]))

        model._load()._fast = run
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda _: model.predict(case, device="cpu"), range(3)))
        assert most[0] <= memory.cores()


class TestBadModels:
    def test_an_answer_that_is_not_finite_is_a_model_error(self, segmenter: Make, head: Head) -> None:
        model = segmenter()
        with torch.no_grad():
            next(iter(model._load()._network.parameters())).fill_(float("nan"))
        with pytest.raises(ModelError, match="not finite"):
            model.predict(head(), device="cpu")

    def test_missing_weights(self, segmenter: Make, head: Head) -> None:
        model = segmenter()
        model._weights.unlink()
        with pytest.raises(ModelError, match="weights of small are not at"):
            model.predict(head(), device="cpu")

    @pytest.mark.parametrize("content", [b"", b"not weights", (8).to_bytes(8, "little") + b"{}      "])
    def test_weights_that_are_something_else(self, segmenter: Make, head: Head, content: bytes) -> None:
        model = segmenter()
        model._weights.write_bytes(content)
        with pytest.raises(ModelError, match="does not hold the weights of small"):
            model.predict(head(), device="cpu")

    def test_weights_of_another_network(self, segmenter: Make, head: Head, tmp_path: Path) -> None:
        segmenter("UNet", {"in_channels": 4, "out_channels": 3})
        model = segmenter()
        model._weights = tmp_path / "UNet.safetensors"
        with pytest.raises(ModelError, match="does not hold the weights"):
            model.predict(head(), device="cpu")

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"options": {"overlapp": 0.5}}, "unknown option overlapp"),
            ({"options": {"activation": "relu"}}, "activation 'relu'"),
            ({"options": {"overlap": 1.0}}, "overlap 1.0"),
            ({"options": {"overlap": "much"}}, "a word where an option is a number"),
            ({"options": {"threshold": -0.1}}, "threshold -0.1"),
            ({"options": {"regions_to_labels": {}}}, "no regions_to_labels"),
            ({"options": {"activation": "softmax", "nested": True}}, "nested regions of a softmax"),
            ({"regions": ("WT", "RC")}, "a region without a label"),
        ],
    )
    def test_options_that_cannot_be(self, segmenter: Make, changes: dict[str, Any], words: str) -> None:
        with pytest.raises(ModelError, match=words):
            segmenter(**changes)

    def test_a_model_without_a_network(self, segmenter: Make) -> None:
        model = segmenter()
        with pytest.raises(ModelError, match="does not say which network"):
            NetworkSegmenter(replace(model.spec, options={}), model._weights, model._settings)

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"window": (30, 32, 32)}, "multiples of 16"),
            ({"inputs": (Need("T1"),)}, "1 inputs and 3 outputs"),
            ({"options": {"normalise": "percentile"}}, "normalisation 'percentile'"),
            ({"options": {"network": "Transformer"}}, "no network 'Transformer'"),
        ],
    )
    def test_models_that_do_not_fit_their_network(self, segmenter: Make, head: Head, changes: dict[str, Any], words: str) -> None:
        model = segmenter(**{k: v for k, v in changes.items() if k != "options"})
        model = NetworkSegmenter(
            replace(model.spec, options={**model.spec.options, **changes.get("options", {})}), model._weights, model._settings
        )
        with pytest.raises(ModelError, match=words):
            model.predict(head(), device="cpu")


def test_importing_it_does_not_import_torch() -> None:
    import subprocess
    import sys

    code = f"import sys, {predictor.__name__}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
