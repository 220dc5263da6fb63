"""How images are shown: windows, colour maps and the order of the sequences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.volume import Volume

__all__ = ["CT_WINDOWS", "PET_WINDOWS", "Window", "colormap_for", "display_window", "in_reading_order", "windows_for"]


@dataclass(frozen=True)
class Window:
    """A grey-scale window.

    Attributes
    ----------
    name : str
        What the user reads.
    low, high : float
        Values shown black and white, in the unit of the image.
    """

    name: str
    low: float
    high: float

    @classmethod
    def around(cls, name: str, width: float, level: float) -> Window:
        """Return a window from its width and centre, as radiologists state it."""
        return cls(name, level - width / 2, level + width / 2)


#: In Hounsfield units.
CT_WINDOWS = (
    Window.around("Brain", 80, 40),
    Window.around("Subdural", 200, 75),
    Window.around("Mediastinum", 350, 40),
    Window.around("Abdomen", 400, 50),
    Window.around("Lung", 1500, -600),
    Window.around("Bone", 1800, 400),
)

#: In SUV.
PET_WINDOWS = tuple(Window(f"SUV 0 to {top}", 0, top) for top in (10, 5, 7, 20))

# Tumours are read on the contrast-enhanced T1 first, oedema on FLAIR next.
_READING_ORDER = ("T1c", "FLAIR", "T2", "T1", "CT", "PET")


def windows_for(volume: Volume) -> tuple[Window, ...]:
    """Return the windows offered for a volume, the default first."""
    if volume.modality == "CT":
        return CT_WINDOWS
    if volume.modality == "PET" and volume.unit.upper().startswith("SUV"):
        return PET_WINDOWS
    return (_by_percentiles(volume.data),)


def display_window(volume: Volume) -> Window:
    """Return the window that a volume opens with.

    CT opens in the brain window, PET in SUV 0 to 10, all else by percentiles of the foreground.
    """
    return windows_for(volume)[0]


def _by_percentiles(data: npt.NDArray[Any]) -> Window:
    """Return the 1st to 99.7th percentile of the foreground (for a brain scan, the head)."""
    step = max(1, round((data.size / 400_000) ** (1 / 3)))
    sample = data[(..., *(slice(None, None, step),) * 3)]
    values = (np.abs(sample) if np.iscomplexobj(sample) else sample).astype(np.float64, copy=False).ravel()
    values = values[np.isfinite(values)]
    if values.size == 0:
        return Window("Auto", 0.0, 1.0)
    # Skull-stripped images are mostly one background value; others have dark noise around the head.
    background = values.min()
    bright = np.percentile(values, 99)
    foreground = values[values > background + 0.05 * (bright - background)]
    chosen = foreground if foreground.size >= 0.01 * values.size else values
    low, high = (float(v) for v in np.percentile(chosen, (1.0, 99.7)))
    return Window("Auto", low, high if high > low else low + 1.0)


def colormap_for(volume: Volume) -> str:
    """Return the colour map of a volume: inverted grey for PET, grey for all else."""
    return "gray_r" if volume.modality == "PET" else "gray"


def in_reading_order(modalities: Iterable[str]) -> list[str]:
    """Sort modalities as they are read: T1c, FLAIR, T2, T1, CT, PET, then the others as given."""
    given = list(modalities)
    return sorted(given, key=lambda m: (_READING_ORDER.index(m) if m in _READING_ORDER else len(_READING_ORDER), given.index(m)))
