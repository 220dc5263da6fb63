"""A correction as a film: GIF or MP4, the image with the mask in the colours of its schema."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from napari_tumorseg.annotation.replay import Replay
from napari_tumorseg.core.errors import InputError, OutputError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.labels import LabelSchema
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.workflows.display import display_window
from napari_tumorseg.workflows.scene import PLANES, Scene

__all__ = ["TimelapseRequest", "export_timelapse"]

Frame = npt.NDArray[np.uint8]
_FILL = 0.35


@dataclass(frozen=True)
class TimelapseRequest:
    """How a film is made.

    Attributes
    ----------
    path : Path
        Target; its ending, .gif or .mp4, is the format.
    plane : str
        Which plane is shown.
    follow : bool
        Show the slice of each change; otherwise the one slice that changed most.
    seconds : float
        Length at most, in seconds; of a longer correction every n-th step is shown, the last one always.
    frames_per_second : int
        Steps shown in a second.
    width_px : int
        Width of the picture in pixels; height follows from the millimetres.
    """

    path: Path
    plane: Literal["axial", "coronal", "sagittal"] = "axial"
    follow: bool = True
    seconds: float = 60.0
    frames_per_second: int = 10
    width_px: int = 480


class _Writer(Protocol):
    def add(self, frame: Frame) -> None: ...


def export_timelapse(replay: Replay, image: Volume, request: TimelapseRequest, progress: Progress | None = None) -> Path:
    """Write the film of a correction and return where it is.

    Parameters
    ----------
    replay : Replay
        The correction; it stands at its end afterwards.
    image : Volume
        On the mask's grid.
    request : TimelapseRequest
        Target and looks.
    progress : Progress, optional
        Reports and cancels; a cancelled film leaves nothing behind.

    Raises
    ------
    InputError
        If there is no step to show, the image is on another grid, or the ending is neither .gif nor .mp4.
    OutputError
        If the film cannot be written, or MP4 needs a package that is missing.
    """
    progress = progress or Progress()
    if not len(replay):
        raise InputError(f"The record of {replay.task.mask} holds no change to show.", "Choose a mask that was corrected.")
    if not image.grid.matches(replay.task.grid) or image.channels:
        raise InputError(
            f"{image.name or 'The image'} is not on the grid of the mask {replay.task.mask}.", "Choose the image it was drawn on."
        )
    wanted = _chosen(len(replay), max(1, int(request.seconds * request.frames_per_second)))
    painter = _Painter(replay, image, request)
    with _target(request, painter.colours) as film:
        for n, index in enumerate(wanted):
            progress.update(n / len(wanted), f"Drawing step {index} of {len(replay)}")
            replay.seek(index)
            film.add(painter.frame(index))
        progress.update(0.99, f"Writing {request.path.name}")
        # The result stands for a second before the film begins anew.
        for _ in range(request.frames_per_second):
            film.add(painter.frame(len(replay)))
    progress.update(1.0, f"Wrote {request.path.name}")
    return request.path


def _chosen(count: int, most: int) -> list[int]:
    """Return the steps that are shown: 0, then every n-th, and the last."""
    every = max(1, -(-count // most))
    return [*range(0, count, every), count]


class _Painter:
    """Draws the mask of a replay over one plane of the image."""

    def __init__(self, replay: Replay, image: Volume, request: TimelapseRequest) -> None:
        self._replay = replay
        self._scene = Scene(image.grid)
        self._order = PLANES[request.plane]
        self._follow = request.follow
        self._image = self._scene.pictures(image)[0][1]
        window = display_window(image)
        self._low, self._high = window.low, window.high
        self._inverted = image.modality == "PET"
        self.colours = _colours(replay.task.schema)
        spacing = self._scene.scale_mm
        rows, columns = (self._scene.grid.shape[a] * spacing[a] for a in self._order[1:])
        width = request.width_px + request.width_px % 2
        # Encoders of films take even numbers only.
        self._size = (width, max(2, round(width * rows / columns / 2) * 2))
        self._slice = self._most_changed()

    def _most_changed(self) -> int:
        axis = self._scene.move.order[self._order[0]]
        counts = self._replay.changed_per_slice(axis)
        where = int(np.argmax(counts))
        return len(counts) - 1 - where if self._scene.move.flips[self._order[0]] else where

    def frame(self, index: int) -> Frame:
        """Return the picture after `index` steps, shape (height, width, 3)."""
        from PIL import Image

        if self._follow and index:
            box = self._scene.box_to_scene(self._replay.steps[index - 1].box)
            axis = self._order[0]
            self._slice = (box.start[axis] + box.stop[axis] - 1) // 2
        where: list[Any] = [slice(None)] * 3
        where[self._order[0]] = self._slice
        grey = np.asarray(self._image[tuple(where)], np.float32)
        labels = self._scene.to_scene(self._replay.labels)[tuple(where)]
        light = np.clip((np.nan_to_num(grey) - self._low) / max(self._high - self._low, 1e-9), 0.0, 1.0)
        shown = (255.0 * (1.0 - light if self._inverted else light)).astype(np.uint8)
        picture = np.asarray(Image.fromarray(shown).resize(self._size, Image.Resampling.BILINEAR))
        mask = np.asarray(Image.fromarray(labels.astype(np.int32)).resize(self._size, Image.Resampling.NEAREST))
        frame = np.repeat(picture[..., None], 3, axis=-1)
        inside = mask > 0
        # Mostly a small part of the picture.
        colours = self.colours[np.minimum(mask[inside], len(self.colours) - 1)]
        alpha = np.where(_edge(mask)[inside], np.float32(1.0), np.float32(_FILL))[:, None]
        frame[inside] = frame[inside] * (1.0 - alpha) + colours * alpha
        return frame


def _edge(mask: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return where a neighbour in the picture has another label."""
    wide = np.pad(mask, 1, mode="edge")
    inner = wide[1:-1, 1:-1]
    different = (wide[:-2, 1:-1] != inner) | (wide[2:, 1:-1] != inner) | (wide[1:-1, :-2] != inner) | (wide[1:-1, 2:] != inner)
    return np.asarray(different)


def _colours(schema: LabelSchema) -> npt.NDArray[np.float32]:
    table = np.full((max(schema.values) + 2, 3), 255.0, np.float32)
    for label in schema.labels:
        table[label.value] = [int(label.colour[i : i + 2], 16) for i in (1, 3, 5)]
    return table


def _target(request: TimelapseRequest, colours: npt.NDArray[np.float32]) -> AbstractContextManager[_Writer]:
    match request.path.suffix.lower():
        case ".gif":
            return _gif(request.path, request.frames_per_second, colours)
        case ".mp4":
            return _mp4(request.path, request.frames_per_second)
    raise InputError(f"{request.path.name} is neither a GIF nor an MP4.", "Choose a name that ends in .gif or .mp4.")


class _Gif:
    def __init__(self, palette: Any) -> None:
        self.frames: list[Any] = []
        self._palette = palette

    def add(self, frame: Frame) -> None:
        from PIL import Image

        # Kept in 256 colours, because the whole film is in memory until it is written.
        self.frames.append(Image.fromarray(frame).quantize(palette=self._palette, dither=Image.Dither.NONE))


def _palette(colours: npt.NDArray[np.float32]) -> Any:
    """Return an image whose palette has grey, each label's colour, and grey seen through its fill.

    One for all frames: choosing the best 256 for each takes fifty times as long, and flickers.
    """
    from PIL import Image

    labels = [colour for colour in np.unique(colours[1:], axis=0) if np.ptp(colour)]
    each = min(32, 128 // max(1, len(labels)))
    greys = np.linspace(0.0, 255.0, 256 - each * len(labels))[:, None].repeat(3, axis=1)
    fills = [_FILL * colour + (1 - _FILL) * np.linspace(0.0, 255.0, each - 1)[:, None] for colour in labels]
    table = np.concatenate([greys, *fills, *(colour[None] for colour in labels)])
    image = Image.new("P", (1, 1))
    image.putpalette(table.round().astype(np.uint8).ravel().tolist())
    return image


@contextmanager
def _gif(path: Path, frames_per_second: int, colours: npt.NDArray[np.float32]) -> Iterator[_Writer]:
    from napari_tumorseg.io.atomic import atomic_write

    film = _Gif(_palette(colours))
    with atomic_write(path) as part:
        yield film
        first, *rest = film.frames
        # GIF counts in hundredths of a second.
        first.save(part, format="GIF", save_all=True, append_images=rest, duration=round(100 / frames_per_second) * 10, loop=0)


class _Mp4:
    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def add(self, frame: Frame) -> None:
        self._writer.append_data(frame)


@contextmanager
def _mp4(path: Path, frames_per_second: int) -> Iterator[_Writer]:
    from napari_tumorseg.io.atomic import atomic_write

    if importlib.util.find_spec("imageio") is None or importlib.util.find_spec("imageio_ffmpeg") is None:
        raise OutputError(
            f"{path.name} was not written: MP4 needs a package that is not installed.",
            "Install it with: pip install 'napari-tumorseg[video]', or choose a name that ends in .gif.",
        )
    import imageio.v2 as imageio

    with atomic_write(path) as part:
        # The size is even already and is not to be stretched to blocks of 16.
        writer = imageio.get_writer(part, format="FFMPEG", fps=frames_per_second, codec="libx264", macro_block_size=2, quality=7)
        try:
            yield _Mp4(writer)
        finally:
            writer.close()
