"""Tissues, and the shares that they have of each voxel."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from napari_tumorseg.phantoms.fields import Array, Bools, Window

__all__ = ["Anatomy", "Tissue"]


class Tissue(IntEnum):
    """What a voxel holds most of; 0 is outside the brain mask, from OEDEMA on it is disease."""

    BACKGROUND = 0
    CSF = 1
    GREY = 2
    WHITE = 3
    STRIATUM = 4
    PALLIDUM = 5
    THALAMUS = 6
    BRAINSTEM = 7
    CHOROID = 8
    VESSEL = 9
    DURA = 10
    OEDEMA = 11
    ENHANCING = 12
    NECROSIS = 13
    CAVITY = 14


@dataclass(eq=False)
class Anatomy:
    """The tissues of a head while it is being put together.

    Attributes
    ----------
    shares : dict of Tissue to numpy.ndarray
        Share of each tissue in each voxel, float32 (z, y, x); they add up to 1.
    tissue : numpy.ndarray
        uint8 (z, y, x), the healthy tissue painted last over at least half of the voxel.
    brain : numpy.ndarray
        bool (z, y, x), what a skull-stripping leaves.
    depth_mm : numpy.ndarray
        Distance from the smooth outer surface of cerebrum or cerebellum, float32 (z, y, x), positive inside.
    deep_mm : numpy.ndarray
        Distance from ventricles, deep nuclei, callosum, brainstem and basal cisterns, float32 (z, y, x), positive outside them.
    cerebellum : numpy.ndarray
        bool (z, y, x), within the outline of the cerebellum.
    """

    shares: dict[Tissue, Array]
    tissue: npt.NDArray[np.uint8]
    brain: Bools
    depth_mm: Array
    deep_mm: Array
    cerebellum: Bools

    def paint(self, tissue: Tissue, share: Array, window: Window = (slice(None),) * 3) -> None:
        """Let `tissue` take `share` of each voxel in `window`, from all that is there in proportion."""
        rest = 1 - share
        for held in self.shares.values():
            held[window] *= rest
        if tissue not in self.shares:
            self.shares[tissue] = np.zeros(self.tissue.shape, np.float32)
        self.shares[tissue][window] += share
        if tissue < Tissue.OEDEMA:
            self.tissue[window][share > 0.5] = tissue
