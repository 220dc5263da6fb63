"""Images: a `Volume` in a scanner's grid, and a `Slide` under a microscope."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Grid

__all__ = ["Slide", "SlideLevel", "Source", "Volume"]


@dataclass(frozen=True)
class Source:
    """Where an image came from, and what is needed to write a mask that fits it exactly.

    Attributes
    ----------
    format : str
        Name of the format in `io.registry`, e.g. "nifti", "dicom", "nrrd".
    paths : tuple of Path
        The files, in slice order where there are several.
    header : mapping
        Geometry header fields of the format, opaque to every floor but `io/`.
    """

    format: str
    paths: tuple[Path, ...]
    header: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Volume:
    """A scanned image.

    Parameters
    ----------
    data : numpy.ndarray
        Shape (z, y, x), or (c, z, y, x) when `channels` are named; any real dtype or complex64.
    grid : Grid
        Position of the voxels.
    modality : str
        What was measured, e.g. "T1c", "FLAIR", "CT", "PET"; "" when unknown.
    unit : str
        Unit of the values, e.g. "HU", "SUV"; "" for arbitrary units.
    channels : tuple of str
        Names of the leading axis, e.g. ("R", "G", "B"); empty for a plain volume.
    name : str
        What the user sees.
    source : Source, optional
        Where it came from.
    warnings : tuple of str
        What the reader noticed, in the user's words.

    Raises
    ------
    InputError
        If the array does not fit the grid or the channels.

    Examples
    --------
    >>> Volume(np.zeros((4, 5, 6)), Grid.from_spacing((4, 5, 6), (1, 1, 1)), "CT", "HU").shape
    (4, 5, 6)
    """

    data: npt.NDArray[Any]
    grid: Grid
    modality: str = ""
    unit: str = ""
    channels: tuple[str, ...] = ()
    name: str = ""
    source: Source | None = None
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the shape."""
        expected = (*((len(self.channels),) if self.channels else ()), *self.grid.shape)
        if self.data.shape != expected:
            raise InputError(f"{self.name or 'The image'} has shape {self.data.shape}, its grid needs {expected}.", "Check the file.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Spatial shape (z, y, x)."""
        return self.grid.shape


@dataclass(frozen=True)
class SlideLevel:
    """One resolution of a slide: size in pixels (y, x) and its exact downsampling factor (y, x)."""

    shape: tuple[int, int]
    downsample: tuple[float, float]


@dataclass(frozen=True)
class Slide:
    """A whole-slide image; its pixels are read by region through `io/`, never held whole.

    Attributes
    ----------
    path : Path
        The file or folder.
    levels : tuple of SlideLevel
        From full resolution down.
    mpp_um : tuple of float, optional
        Micrometres per pixel (y, x) at full resolution; None when the file does not say, and
        then the user is asked.
    associated : tuple of str
        Names of label, macro and thumbnail images.
    channels : tuple of str
        What the last axis of the pixels is.
    dtype : str
        Of the pixels, e.g. "uint8", "uint16".
    is_rgb : bool
        Whether the channels are the colours of a brightfield image; fluorescence is not.
    format, vendor : str
        Kind of file, and who made the scanner, "" where the file does not say.
    objective : float, optional
        Magnification of the objective.
    mpp_from : str
        Who says the resolution: the file's field, or "stated" for the user.
    made_levels : int
        How many of the last levels are not in the file but averaged from the one above.
    notes : tuple of str
        What the reader noticed, in the user's words.
    """

    path: Path
    levels: tuple[SlideLevel, ...]
    mpp_um: tuple[float, float] | None = None
    associated: tuple[str, ...] = ()
    channels: tuple[str, ...] = ("R", "G", "B")
    dtype: str = "uint8"
    is_rgb: bool = True
    format: str = ""
    vendor: str = ""
    objective: float | None = None
    mpp_from: str = ""
    made_levels: int = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check levels and resolution."""
        if not self.levels:
            raise InputError(f"{self.path.name} holds no image level.", "Export the slide again.")
        if self.mpp_um is not None and not all(np.isfinite(v) and v > 0 for v in self.mpp_um):
            raise InputError(f"{self.path.name} says {self.mpp_um} micrometres per pixel.", "Type the scanner's value.")
