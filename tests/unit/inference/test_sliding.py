from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_tumorseg.core.errors import Cancelled
from napari_tumorseg.core.jobs import CancelToken, Progress, ProgressState
from napari_tumorseg.inference.memory import Lanes
from napari_tumorseg.inference.sliding import LEAST_WEIGHT, Plan, gaussian_weights, plan_windows, slide, without_background

SIDE_BY_SIDE, BATCH = Lanes(2, 1), Lanes(3, 0)


@settings(max_examples=100, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 90)] * 3),
    window=st.tuples(*[st.integers(1, 5).map(lambda n: 8 * n)] * 3),
    overlap=st.floats(0, 0.75),
)
def test_windows_cover_everything_evenly(shape: tuple[int, ...], window: tuple[int, ...], overlap: float) -> None:
    plan = plan_windows(shape, window, overlap, 8)
    for axis in range(3):
        edge, size = plan.window[axis], shape[axis]
        assert edge % 8 == 0
        assert edge <= window[axis]
        line = sorted({start[axis] for start in plan.starts})
        if size <= edge:
            assert len(line) == 1
            assert line[0] <= 0
            assert line[0] + edge >= size
            continue
        steps = np.diff(line)
        assert line[0] == 0
        assert line[-1] + edge == size
        assert steps.max() - steps.min() <= 1
        assert steps.max() <= max(1, edge * (1 - overlap))


def test_there_are_as_many_windows_as_monai_uses() -> None:
    from monai.data.utils import dense_patch_slices

    for shape in ((140, 175, 140), (97, 112, 300), (155, 240, 240)):
        step = tuple(int(edge * 0.75) for edge in (96, 112, 96))
        assert len(plan_windows(shape, (96, 112, 96), 0.25, 16).starts) == len(dense_patch_slices(shape, (96, 112, 96), step))


def test_the_gaussian_is_monais() -> None:
    from monai.data.utils import compute_importance_map

    window = (16, 24, 8)
    expected = compute_importance_map(window, mode="gaussian", sigma_scale=0.125, device="cpu")
    # MONAI's smallest weight is at least 1e-3 too.
    np.testing.assert_allclose(gaussian_weights(window), expected.numpy(), atol=1e-6)
    assert gaussian_weights(window).min() == pytest.approx(LEAST_WEIGHT)


@pytest.mark.parametrize("lanes", [SIDE_BY_SIDE, BATCH, Lanes(1, 2)])
@pytest.mark.parametrize("shape", [(20, 30, 25), (16, 16, 16), (5, 40, 3)])
def test_a_network_without_neighbours_gives_what_it_gives_to_the_whole(lanes: Lanes, shape: tuple[int, int, int]) -> None:
    image = torch.rand((2, *shape)) + 0.1
    answer, covered = slide(
        lambda x: torch.stack([x[:, 0] * 3, x[:, 1] - x[:, 0]], 1), image, plan_windows(shape, (16, 16, 16), 0.25, 8), lanes, Progress()
    )
    assert covered.all()
    torch.testing.assert_close(answer, torch.stack([image[0] * 3, image[1] - image[0]]))


def test_it_blends_as_monai_does() -> None:
    from monai.inferers import sliding_window_inference

    torch.manual_seed(0)
    net = torch.nn.Conv3d(1, 2, 3, padding=1).eval()
    image = torch.rand((1, 25, 28, 16)) + 0.1
    with torch.inference_mode():
        expected = sliding_window_inference(image[None], (16, 16, 16), 1, net, overlap=0.25, mode="gaussian")[0]
    for lanes in (SIDE_BY_SIDE, BATCH):
        found, _ = slide(net, image, plan_windows((25, 28, 16), (16, 16, 16), 0.25), lanes, Progress())
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_windows_of_background_are_left_out() -> None:
    image = torch.zeros((1, 48, 16, 16))
    image[0, 2, 3, 4] = 1
    plan = without_background(plan_windows((48, 16, 16), (16, 16, 16), 0.0), image)
    assert plan.starts == ((0, 0, 0),)
    answer, covered = slide(lambda x: torch.ones_like(x), image, plan, SIDE_BY_SIDE, Progress())
    assert covered[:16].all()
    assert not covered[16:].any()
    assert not answer[:, 16:].any()


def test_without_any_window_there_is_no_answer() -> None:
    answer, covered = slide(lambda x: x, torch.zeros((1, 4, 4, 4)), Plan((4, 4, 4), (4, 4, 4), ()), SIDE_BY_SIDE, Progress())
    assert answer.shape == (0, 4, 4, 4)
    assert not covered.any()


@pytest.mark.parametrize("lanes", [SIDE_BY_SIDE, BATCH])
def test_progress_rises_and_cancelling_stops_at_the_next_window(lanes: Lanes) -> None:
    token, seen, ran = CancelToken(), [], []

    def report(state: ProgressState) -> None:
        seen.append(state)
        if len(seen) == 3:
            token.cancel()

    def run(batch: torch.Tensor) -> torch.Tensor:
        ran.append(len(batch))
        return batch

    plan = plan_windows((160, 16, 16), (16, 16, 16), 0.0)
    with pytest.raises(Cancelled):
        slide(run, torch.ones((1, 160, 16, 16)), plan, lanes, Progress(report, token))
    assert sum(ran) < len(plan.starts)
    assert [state.fraction for state in seen] == sorted(state.fraction for state in seen)
    assert "window 1 of 10" in seen[1].message


def test_an_error_in_a_window_comes_out_and_leaves_no_thread_and_the_thread_count() -> None:
    before, threads = threading.active_count(), torch.get_num_threads()

    def run(batch: torch.Tensor) -> torch.Tensor:
        raise ArithmeticError("no")

    with pytest.raises(ArithmeticError):
        slide(run, torch.ones((1, 64, 16, 16)), plan_windows((64, 16, 16), (16, 16, 16), 0.0), SIDE_BY_SIDE, Progress())
    assert threading.active_count() == before
    assert torch.get_num_threads() == threads


def test_lanes_run_side_by_side_each_with_its_threads() -> None:
    together = threading.Barrier(2, timeout=20)

    def run(batch: torch.Tensor) -> torch.Tensor:
        together.wait()
        return batch * torch.get_num_threads()

    plan = plan_windows((32, 16, 16), (16, 16, 16), 0.0)
    answer, _ = slide(run, torch.ones((1, 32, 16, 16)), plan, Lanes(2, 1), Progress())
    assert (answer == 1).all()
