"""Multi-sequence MR images of a made-up brain with metastases, and their exact labels.

No patient, atlas or third-party image is part of it: shapes are formulas and seeded random fields
(`anatomy`), lesions are planted at the border of grey and white matter (`lesions`), intensities
follow signal equations (`mri`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.case import Case, MaskKind, MaskVersion, Review, TimePoint
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.phantoms.anatomy import build_anatomy
from napari_tumorseg.phantoms.fields import Array, Bools, generator
from napari_tumorseg.phantoms.lesions import Kind, Metastasis, choose_places, plant
from napari_tumorseg.phantoms.mri import PROTOCOL, PulseSequence, Scanner, acquire
from napari_tumorseg.phantoms.tissues import Tissue

__all__ = ["BrainPhantom", "BrainPhantomConfig", "Kind", "Metastasis", "Scanner", "Tissue", "make_brain_phantom", "tiny"]

#: Middle of the head in the coordinates of the anatomy, (z, y, x) mm.
_MIDDLE_MM = (1.0, -16.5, 0.0)


@dataclass(frozen=True)
class BrainPhantomConfig:
    """What to make.

    Attributes
    ----------
    shape : tuple of int
        (z, y, x) of the images in `orientation`.
    spacing_mm : tuple of float
        Voxel size along (z, y, x).
    orientation : str
        Where the axes run to, e.g. "SPL" as in BraTS files.
    seed : int
        The individual and the lesions.
    scan_seed : int, optional
        Noise, bias field and mottle; None takes `seed`. Another one is another scan of the same head.
    n_ring, n_solid, n_tiny, n_cavity : int
        Number of lesions by kind.
    ring_mm, solid_mm, tiny_mm, cavity_mm : tuple of float
        Smallest and largest diameter by kind.
    lesions : tuple of Metastasis, optional
        Plants these instead, e.g. those of an earlier phantom, grown or shrunk.
    oedema : float
        Factor on the volume of oedema.
    mass_effect : float
        Share of a lesion's volume that pushes the brain aside, 0 to 1.
    ventricles, size : float
        Factors on the calibre of the ventricles and on the brain.
    scanner : Scanner
        Noise, bias field and blur.
    protocol : tuple of PulseSequence
        Images to take.
    """

    shape: tuple[int, int, int] = (150, 180, 144)
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    orientation: str = "SPL"
    seed: int = 0
    scan_seed: int | None = None
    n_ring: int = 3
    n_solid: int = 3
    n_tiny: int = 2
    n_cavity: int = 0
    ring_mm: tuple[float, float] = (15.0, 30.0)
    solid_mm: tuple[float, float] = (6.0, 12.0)
    tiny_mm: tuple[float, float] = (2.0, 4.0)
    cavity_mm: tuple[float, float] = (20.0, 30.0)
    lesions: tuple[Metastasis, ...] | None = None
    oedema: float = 1.0
    mass_effect: float = 0.5
    ventricles: float = 1.0
    size: float = 1.0
    scanner: Scanner = field(default_factory=Scanner)
    protocol: tuple[PulseSequence, ...] = PROTOCOL

    def __post_init__(self) -> None:
        """Refuse what cannot be made."""
        if len(self.shape) != 3 or min(self.shape) < 8 or min(self.spacing_mm) <= 0:
            raise InputError(
                f"A phantom of {self.shape} voxels of {self.spacing_mm} mm cannot be made.", "Give at least 8 voxels along each axis."
            )
        if len(self.orientation) != 3 or any(len(set(pair) & set(self.orientation)) != 1 for pair in ("LR", "PA", "IS")):
            raise InputError(f"'{self.orientation}' does not name three directions.", "Use one of L/R, P/A and I/S each, e.g. SPL.")
        if min(self.n_ring, self.n_solid, self.n_tiny, self.n_cavity) < 0:
            raise InputError("A phantom cannot have fewer than no lesions.", "Give counts of 0 or more.")
        if not 0 <= self.mass_effect <= 1:
            raise InputError(f"A mass effect of {self.mass_effect} is not a share.", "Give a number from 0 to 1.")


@dataclass(frozen=True, eq=False)
class BrainPhantom:
    """Images and their truth, all on one grid.

    Attributes
    ----------
    volumes : mapping of str to Volume
        By modality; int16 (z, y, x), 0 outside the brain, arbitrary units.
    labels : MaskVersion
        uint8, schema "brats-mets-2025", kind REFERENCE.
    instances : numpy.ndarray
        uint8 (z, y, x): which of `lesions`, counted from 1, a labelled voxel belongs to, oedema included.
    tissue : numpy.ndarray
        uint8 (z, y, x), values of `Tissue`: the healthy tissue, also under lesions, after mass effect.
    brain : numpy.ndarray
        bool (z, y, x), brain mask.
    lesions : tuple of Metastasis
        What was planted; centres in RAS millimetres of the grid.
    """

    volumes: Mapping[str, Volume]
    labels: MaskVersion
    instances: npt.NDArray[np.uint8]
    tissue: npt.NDArray[np.uint8]
    brain: Bools
    lesions: tuple[Metastasis, ...]

    @property
    def grid(self) -> Grid:
        """Grid of all arrays."""
        return self.labels.grid

    def case(self, name: str = "phantom") -> Case:
        """Return the phantom as a case with one time point and its labels as mask "seg"."""
        return Case(name, (TimePoint(self.volumes, {"seg": (self.labels,)}),))


def tiny(seed: int = 0, **changes: object) -> BrainPhantomConfig:
    """Return a configuration that takes a fraction of a second: 48 voxels of 4 mm a side, three lesions.

    `changes` are fields of `BrainPhantomConfig`.
    """
    values: dict[str, object] = {
        "shape": (48, 48, 48),
        "spacing_mm": (4.0, 4.0, 4.0),
        "seed": seed,
        "n_ring": 1,
        "n_solid": 1,
        "n_tiny": 1,
        "ring_mm": (32.0, 36.0),
        "solid_mm": (12.0, 16.0),
        "tiny_mm": (4.0, 6.0),
    }
    return BrainPhantomConfig(**(values | changes))  # type: ignore[arg-type]


def _wanted(config: BrainPhantomConfig) -> list[tuple[Kind, float]]:
    rng = generator(config.seed, "sizes")
    wanted: list[tuple[Kind, float]] = []
    counts = (
        (Kind.CAVITY, config.n_cavity, config.cavity_mm),
        (Kind.RING, config.n_ring, config.ring_mm),
        (Kind.SOLID, config.n_solid, config.solid_mm),
        (Kind.TINY, config.n_tiny, config.tiny_mm),
    )
    for kind, count, (low, high) in counts:
        # Evenly over the range with some play, so that a case shows small and large ones.
        sizes = low + (high - low) * (np.arange(count) + rng.uniform(0.1, 0.9, count)) / max(count, 1)
        wanted += [(kind, float(size)) for size in sizes[::-1]]
    return wanted


def _axes(config: BrainPhantomConfig) -> tuple[Grid, Grid, tuple[Array, Array, Array]]:
    """Return the grid asked for, the same voxels in SAR order, and the latter's positions in mm."""
    asked = Grid.from_spacing(config.shape, config.spacing_mm, config.orientation)
    inner, _ = asked.reorient("SAR")
    start = [m - s * (n - 1) / 2 for m, s, n in zip(_MIDDLE_MM, inner.spacing_mm, inner.shape, strict=True)]
    affine = inner.affine.copy()
    affine[:3, 3] = start[::-1]
    inner = Grid(inner.shape, affine)
    z, y, x = ((a + s * np.arange(n)).astype(np.float32) for a, s, n in zip(start, inner.spacing_mm, inner.shape, strict=True))
    return inner.reorient(config.orientation)[0], inner, (z, y, x)


def make_brain_phantom(config: BrainPhantomConfig | None = None, progress: Progress | None = None) -> BrainPhantom:
    """Make a phantom.

    Parameters
    ----------
    config : BrainPhantomConfig, optional
        What to make; the default is a 1 mm head with eight metastases.
    progress : Progress, optional
        Told how far it is; asked whether to stop.

    Returns
    -------
    BrainPhantom
        The same for the same configuration.

    Raises
    ------
    InputError
        If a lesion finds no place in the field of view.
    Cancelled
        If asked to stop.

    Notes
    -----
    The origin of the coordinates lies near the anterior commissure. One seed gives one anatomy at
    any voxel size; where lesions sit can differ between voxel sizes unless `lesions` is given.

    Examples
    --------
    >>> phantom = make_brain_phantom(tiny(seed=3))
    >>> sorted(phantom.volumes), phantom.grid.orientation, len(phantom.lesions)
    (['FLAIR', 'T1', 'T1c', 'T2'], 'SPL', 3)
    """
    config = config or BrainPhantomConfig()
    progress = progress or Progress()
    grid, inner, axes = _axes(config)
    progress.update(0.0, "Building the head")
    anatomy = build_anatomy(config.seed, *axes, size=config.size, ventricles=config.ventricles)
    progress.update(0.5, "Planting lesions")
    lesions = config.lesions
    if lesions is None:
        lesions = choose_places(anatomy, axes, _wanted(config), config.seed, config.oedema)
    labels, instances = plant(anatomy, axes, lesions, config.mass_effect)
    _, move = inner.reorient(config.orientation)
    scan_seed = config.seed if config.scan_seed is None else config.scan_seed
    volumes = {}
    for k, sequence in enumerate(config.protocol):
        progress.update(0.6 + 0.4 * k / len(config.protocol), f"Taking {sequence.name}")
        image = acquire(anatomy.shares, anatomy.brain, axes, sequence, config.scanner, scan_seed)
        volumes[sequence.name] = Volume(np.ascontiguousarray(move.apply(image)), grid, sequence.name, name=sequence.name)
    mask = MaskVersion(
        np.ascontiguousarray(move.apply(labels)),
        grid,
        preset("brats-mets-2025"),
        MaskKind.REFERENCE,
        author="phantom",
        review=Review.ACCEPTED,
        created=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        version=f"phantom-{config.seed}",
    )
    progress.update(1.0, "Done")
    return BrainPhantom(
        volumes,
        mask,
        np.ascontiguousarray(move.apply(instances)),
        np.ascontiguousarray(move.apply(anatomy.tissue)),
        np.ascontiguousarray(move.apply(anatomy.brain)),
        lesions,
    )
