from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from napari_tumorseg.annotation.checkpoints import Capture
from napari_tumorseg.annotation.reader import Steps
from napari_tumorseg.annotation.replay import Replay
from napari_tumorseg.annotation.task import Task
from napari_tumorseg.core.document import Change, MaskDocument, Origin, PatchSource
from napari_tumorseg.core.errors import Cancelled, InputError, OutputError
from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.jobs import CancelToken, Progress
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.workflows.timelapse import TimelapseRequest, export_timelapse

#: Runs to superior, anterior and the patient's right: on the screen rows and columns are flipped.
GRID = Grid.from_spacing((6, 20, 30), (5.0, 1.0, 2.0), "SAR")
ET = (0xD5, 0x5E, 0x00)


@pytest.fixture
def image() -> Volume:
    ramp = np.linspace(0, 100, GRID.shape[0] * GRID.shape[1] * GRID.shape[2], dtype=np.float32).reshape(GRID.shape)
    return Volume(ramp, GRID, "T1c", name="T1c")


def replay_of(boxes: list[Box], value: int = 3) -> Replay:
    document = MaskDocument(np.zeros(GRID.shape, np.uint8), GRID, preset("brats-mets-2025"))
    capture = Capture(document)
    for _ in capture.blocks():
        pass
    changes: list[Change] = []
    document.listen(changes.append)
    for box in boxes:
        document.write(box, np.full(box.shape, value, np.uint8), Origin(PatchSource.HAND, "paint"))
    return Replay(Steps(Task.of(document, "case", "mask"), [capture.entry(0, 0)], [(c.revision, c.patch) for c in changes]))


def frames_of(path: Path) -> list[np.ndarray]:
    with Image.open(path) as film:
        frames = []
        for n in range(film.n_frames):
            film.seek(n)
            frames.append(np.asarray(film.convert("RGB")))
    return frames


def near(frame: np.ndarray, colour: tuple[int, int, int], tolerance: int = 24) -> np.ndarray:
    return np.asarray((np.abs(frame.astype(int) - colour) <= tolerance).all(axis=-1))


SLICE_2 = Box((2, 4, 6), (3, 12, 15))
SLICE_4 = Box((4, 4, 6), (5, 6, 8))


def test_a_film_shows_the_mask_in_its_colours_where_it_lies(tmp_path: Path, image: Volume) -> None:
    path = tmp_path / "film.gif"
    request = TimelapseRequest(path, follow=False, frames_per_second=5, width_px=300)
    assert export_timelapse(replay_of([SLICE_4, SLICE_2]), image, request) == path
    assert [p.name for p in tmp_path.iterdir()] == ["film.gif"]
    frames = frames_of(path)
    with Image.open(path) as film:
        durations = []
        for n in range(film.n_frames):
            film.seek(n)
            durations.append(film.info["duration"])
        # Start, two steps, and the result for a second; frames that are alike are one.
        assert sum(durations) == 3 * 200 + 1000
        # 30 columns of 2 mm, 20 rows of 1 mm.
        assert film.size == (300, 100)
    # The most changed slice is shown throughout; its outline appears with the second step.
    assert not near(frames[0], ET).any()
    rows, columns = np.nonzero(near(frames[-1], ET))
    # Scene rows run to posterior and columns to the patient's left: both against the grid's axes.
    assert (rows.min(), rows.max() + 1) == pytest.approx(((20 - 12) * 5, (20 - 4) * 5), abs=2)
    assert (columns.min(), columns.max() + 1) == pytest.approx(((30 - 15) * 10, (30 - 6) * 10), abs=2)


def test_following_shows_the_slice_of_each_change(tmp_path: Path, image: Volume) -> None:
    path = tmp_path / "film.gif"
    export_timelapse(replay_of([SLICE_4, SLICE_2]), image, TimelapseRequest(path, follow=True, width_px=300))
    frames = frames_of(path)
    sizes = [int(near(frame, ET).any(axis=1).sum()) for frame in frames[:3]]
    assert sizes[0] == 0
    assert 0 < sizes[1] < sizes[2]


@pytest.mark.parametrize(("plane", "size"), [("axial", (300, 100)), ("coronal", (300, 150)), ("sagittal", (300, 450))])
def test_every_plane_has_its_millimetres(tmp_path: Path, image: Volume, plane: Any, size: tuple[int, int]) -> None:
    path = tmp_path / "film.gif"
    export_timelapse(replay_of([SLICE_2]), image, TimelapseRequest(path, plane=plane, width_px=300))
    with Image.open(path) as film:
        assert film.size == size


def test_a_long_correction_stays_a_short_film_and_ends_with_its_end(tmp_path: Path, image: Volume) -> None:
    boxes = [Box((2, y, x), (3, y + 1, x + 1)) for y in range(10) for x in range(30)]
    path = tmp_path / "film.gif"
    seen: list[str] = []
    progress = Progress(lambda state: seen.append(state.message))
    export_timelapse(replay_of(boxes), image, TimelapseRequest(path, seconds=2, frames_per_second=10), progress)
    drawn = [int(m.split()[2]) for m in seen if m.startswith("Drawing")]
    assert len(drawn) <= 21
    assert (drawn[0], drawn[-1]) == (0, 300)
    assert len(set(np.diff(drawn)[:-1])) == 1


def test_a_cancelled_film_leaves_nothing(tmp_path: Path, image: Volume) -> None:
    token = CancelToken()

    def stop(state: Any) -> None:
        if "step 1" in state.message:
            token.cancel()

    with pytest.raises(Cancelled):
        export_timelapse(replay_of([SLICE_2, SLICE_4]), image, TimelapseRequest(tmp_path / "film.gif"), Progress(stop, token))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(importlib.util.find_spec("imageio_ffmpeg") is None, reason="the extra 'video' is not installed")
def test_an_mp4_can_be_read_again(tmp_path: Path, image: Volume) -> None:
    import imageio_ffmpeg

    path = tmp_path / "film.mp4"
    export_timelapse(replay_of([SLICE_4, SLICE_2]), image, TimelapseRequest(path, frames_per_second=10, width_px=301))
    assert [p.name for p in tmp_path.iterdir()] == ["film.mp4"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    frames = np.frombuffer(raw, np.uint8).reshape(-1, 100, 302, 3)
    assert len(frames) == 3 + 10
    assert near(frames[-1], ET, 60).sum() > near(frames[0], ET, 60).sum()


def test_without_ffmpeg_it_says_what_to_install(tmp_path: Path, image: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "imageio_ffmpeg" else find(name, *rest))
    with pytest.raises(OutputError, match=r"pip install 'napari-tumorseg\[video\]'"):
        export_timelapse(replay_of([SLICE_2]), image, TimelapseRequest(tmp_path / "film.mp4"))
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_filmed_is_refused(tmp_path: Path, image: Volume) -> None:
    with pytest.raises(InputError, match="no change to show"):
        export_timelapse(replay_of([]), image, TimelapseRequest(tmp_path / "film.gif"))
    with pytest.raises(InputError, match="neither a GIF nor an MP4"):
        export_timelapse(replay_of([SLICE_2]), image, TimelapseRequest(tmp_path / "film.avi"))
    other = Volume(np.zeros((2, 2, 2)), Grid.from_spacing((2, 2, 2), (1, 1, 1)), name="other")
    with pytest.raises(InputError, match="other is not on the grid"):
        export_timelapse(replay_of([SLICE_2]), other, TimelapseRequest(tmp_path / "film.gif"))
