"""Decoding DICOM pixels, with every failure in words."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError, TumorSegError
from napari_tumorseg.io.dicom_files import listening, read_dataset
from napari_tumorseg.io.dicom_frames import Frame

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["PixelReader", "decode", "is_colour", "stored_frames"]

_COLOUR = {"RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "YBR_PARTIAL_420", "YBR_PARTIAL_422"}


def is_colour(dataset: Dataset) -> bool:
    """Whether pixels have red, green and blue."""
    return str(dataset.get("PhotometricInterpretation", "")).strip() in _COLOUR


def decode(dataset: Dataset, name: str, notes: list[str] | None = None) -> npt.NDArray[Any]:
    """Return the stored values of all frames of a dataset that was read with its pixels.

    Parameters
    ----------
    dataset : pydicom.Dataset
        With pixel data.
    name : str
        File name for messages.
    notes : list of str, optional
        Gets a sentence when the pixels break the standard in a way worth telling.

    Returns
    -------
    numpy.ndarray
        (frames, rows, columns), or (frames, rows, columns, 3) as RGB for colour images.

    Raises
    ------
    InputError
        If there are no pixels, they are cut short, or no decoder is installed.
    """
    if not any(keyword in dataset for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise InputError(f"{name} holds no pixel data.", "Choose a file with an image, or copy it again from its source.")
    _check_length(dataset, name)
    from pydicom.pixels.processing import apply_color_lut

    try:
        with listening(notes):
            pixels: npt.NDArray[Any] = dataset.pixel_array
            if str(dataset.get("PhotometricInterpretation", "")) == "PALETTE COLOR":
                colours = apply_color_lut(pixels, dataset)[..., :3]
                top = int(dataset.RedPaletteColorLookupTableDescriptor[2])
                pixels = (colours >> 8).astype(np.uint8) if top == 16 else colours.astype(np.uint8)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise whatever they like
        raise _decode_error(dataset, name, error) from error
    count = int(dataset.get("NumberOfFrames", 1) or 1)
    shape = (count, int(dataset.Rows), int(dataset.Columns), *((3,) if is_colour(dataset) else ()))
    if pixels.size != int(np.prod(shape)):
        raise InputError(f"{name} holds {pixels.size} values instead of {int(np.prod(shape))}.", "Copy it again from its source.")
    return pixels.reshape(shape)


def stored_frames(dataset: Dataset, name: str, order: Sequence[int]) -> Iterator[npt.NDArray[Any]]:
    """Yield the stored values (rows, columns) of single frames in the order given, one at a time in memory.

    Raises
    ------
    InputError
        As `decode`.
    """
    if "PixelData" not in dataset:
        raise InputError(f"{name} holds no pixel data.", "Copy it again from its source.")
    _check_length(dataset, name)
    if int(dataset.get("BitsAllocated", 0)) == 1 and not dataset.file_meta.TransferSyntaxUID.is_compressed:
        yield from _unpacked(dataset, order)
        return
    from pydicom.pixels import iter_pixels

    try:
        yield from iter_pixels(dataset, raw=True, indices=list(order))
    except (MemoryError, TumorSegError):
        raise
    except Exception as error:  # decoders raise whatever they like
        raise _decode_error(dataset, name, error) from error


def _unpacked(dataset: Dataset, order: Sequence[int]) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield single frames of one-bit pixels.

    Frames follow one another without padding (DICOM PS3.5 8.1.1), so one may begin and end inside
    a byte; pydicom 3.0.2 fails on such frames when they are asked for one by one.
    """
    packed = np.frombuffer(dataset.PixelData, np.uint8)
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    size = rows * columns
    for index in order:
        start, stop = index * size, (index + 1) * size
        bits = np.unpackbits(packed[start // 8 : -(-stop // 8)], bitorder="little")
        yield bits[start % 8 : start % 8 + size].reshape(rows, columns)


def _check_length(dataset: Dataset, name: str) -> None:
    if "PixelData" not in dataset or dataset.file_meta.TransferSyntaxUID.is_compressed:
        return
    from pydicom.pixels.utils import get_expected_length

    try:
        expected = int(get_expected_length(dataset))
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"{name} does not say how its pixels are stored.", "Copy it again from its source.") from error
    present = len(dataset.PixelData or b"")
    if present < expected:
        raise InputError(f"{name} is cut short at {present} of {expected} bytes of pixels.", "Copy it again from its source.")


def _decode_error(dataset: Dataset, name: str, error: Exception) -> InputError:
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_compressed:
        return InputError(f"The pixels of {name} cannot be read.", "Copy it again from its source.")
    text = str(error).lower()
    if "plugins are missing" in text or "missing dependencies" in text or "no available" in text or "not supported" in text:
        return InputError(
            f"{name} is compressed ({syntax.name}) and no decoder for that is installed.",
            "Install it with: pip install 'napari-tumorseg[compressed-dicom]'",
        )
    return InputError(
        f"The compressed pixels of {name} ({syntax.name}) cannot be decoded; they may be damaged.", "Copy it again from its source."
    )


class PixelReader:
    """Stored values of single planes; keeps the few files last read.

    A multi-frame file is decoded once although its planes are asked for one by one.

    Parameters
    ----------
    keep : int
        Number of decoded files held.
    """

    def __init__(self, keep: int = 2) -> None:
        self._keep = keep
        self._files: OrderedDict[Path, npt.NDArray[Any]] = OrderedDict()
        self.notes: list[str] = []

    def plane(self, frame: Frame) -> npt.NDArray[Any]:
        """Return the stored values (rows, columns), or (rows, columns, 3) for colour."""
        if frame.path not in self._files:
            dataset = read_dataset(frame.path, pixels=True, notes=self.notes)
            if dataset is None:
                raise InputError(f"{frame.path.name} is not a DICOM file any more.", "Read the folder again.")
            self._files[frame.path] = decode(dataset, frame.path.name, self.notes)
            while len(self._files) > self._keep:
                self._files.popitem(last=False)
        self._files.move_to_end(frame.path)
        pixels = self._files[frame.path]
        index = frame.index or 0
        if index >= len(pixels):
            raise InputError(f"{frame.path.name} lacks frame {index + 1}.", "Copy it again from its source.")
        return np.asarray(pixels[index])

    def same(self, a: Frame, b: Frame) -> bool:
        """Whether two planes hold the same rescaled values."""
        if (a.slope, a.intercept) != (b.slope, b.intercept):
            return False
        return np.array_equal(self.plane(a), self.plane(b))
