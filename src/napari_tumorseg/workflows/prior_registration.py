"""Rigid registration of two images of one head or body by mutual information."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import Cancelled, InputError
from napari_tumorseg.core.grid import Grid, bounding_box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.volume import Volume

if TYPE_CHECKING:
    import SimpleITK

__all__ = ["PriorRequest", "Registration", "called", "foreground", "register"]

Matrix = npt.NDArray[np.float64]
_MESSAGE = "Registering the prior study"
# Around the foreground, so that the edge of the head counts.
_MARGIN_MM = 8.0
_SHEAR = 0.005
# Voxel size of the images, and angle in radians between the rotations, of the first look.
_COARSE_MM = 6.0
_TURN = 0.21
# No two visits have a head this much apart, once the centres of mass are laid onto each other.
_ASTRAY_MM = 60.0


@dataclass(frozen=True)
class PriorRequest:
    """How a prior study is registered.

    Attributes
    ----------
    samples : int
        Voxels at which the images are compared, at the finest level.
    bins : int
        Of the joint histogram.
    iterations : int
        At most, at each level.
    seed : int
        Of the choice of samples.
    """

    samples: int = 40_000
    bins: int = 32
    iterations: int = 60
    seed: int = 2026


@dataclass(frozen=True, eq=False)
class Registration:
    """Where a moving image lies in a fixed one.

    Attributes
    ----------
    matrix : numpy.ndarray
        4 x 4, rigid: RAS millimetres of the moving image to those of the fixed one.
    information : float
        Mattes mutual information at the end, in nats; larger is more alike.
    improved : bool
        False when nothing better than the positions in the files was found; the matrix is the identity then.
    """

    matrix: Matrix
    information: float
    improved: bool

    @property
    def rotation_deg(self) -> float:
        """Angle of the rotation."""
        return float(np.degrees(np.arccos(np.clip((np.trace(self.matrix[:3, :3]) - 1) / 2, -1, 1))))

    def moved(self, grid: Grid) -> Grid:
        """Return a grid of the moving image in the coordinates of the fixed one."""
        return Grid(grid.shape, self.matrix @ grid.affine)


def foreground(data: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return the voxels that are no background.

    Parameters
    ----------
    data : numpy.ndarray
        Shape (z, y, x), any real dtype.

    Returns
    -------
    numpy.ndarray
        bool: above the middle between the 1st percentile and Otsu's threshold (N. Otsu, IEEE Trans. Syst. Man Cybern.
        9:62, 1979), so that dark tissue belongs to it and noise around the head does not.

    Examples
    --------
    >>> foreground(np.array([[[0, 0, 0, 100, 90, 40]]])).tolist()
    [[[False, False, False, True, True, True]]]
    """
    from skimage.filters import threshold_otsu

    low, high = _limits(data)
    if not low < high:
        return np.zeros(data.shape, bool)
    sample = np.clip(np.asarray(_sample(data), np.float64), low, high)
    return np.asarray(data > (low + float(threshold_otsu(sample))) / 2)


def _sample(data: npt.NDArray[Any]) -> npt.NDArray[Any]:
    step = max(1, round((data.size / 400_000) ** (1 / 3)))
    values = data[::step, ::step, ::step].ravel()
    return np.asarray(values[np.isfinite(values)])


def _limits(data: npt.NDArray[Any]) -> tuple[float, float]:
    """Return the 1st and the 99.8th percentile: a few bright voxels must not fill the histograms."""
    values = _sample(data)
    return (0.0, 0.0) if not values.size else (float(np.percentile(values, 1)), float(np.percentile(values, 99.8)))


def register(fixed: Volume, moving: Volume, request: PriorRequest | None = None, progress: Progress | None = None) -> Registration:
    """Find the rigid transform that lays `moving` onto `fixed`.

    Mattes mutual information (D. Mattes et al., IEEE Trans. Med. Imaging 22:120, 2003) is maximised
    over six parameters, at voxels of about 4 and then 2 mm, from the best of a lattice of starts: turned by
    12 degrees or not about each axis, at the positions in the files or with the centres of mass on each
    other. The same images and request give the same answer, but for rounding.

    Parameters
    ----------
    fixed, moving : Volume
        Plain images of one head or body; any grids, any modalities.
    request : PriorRequest, optional
        How.
    progress : Progress, optional
        Told how far it is; asked whether to stop, within an iteration.

    Raises
    ------
    InputError
        If an image is empty or they cannot be compared.
    Cancelled
        If the user stopped it.
    """
    request, progress = request or PriorRequest(), progress or Progress()
    progress.update(0.0, _MESSAGE)
    still, centre_still = _image(fixed)
    progress.update(0.05, _MESSAGE)
    mover, centre_mover = _image(moving)
    progress.update(0.1, _MESSAGE)
    method = _method(request)
    factors = _shrink_factors(fixed.grid)
    method.SetMetricSamplingStrategy(method.RANDOM)
    shares = [_share(still, f, request) for f in factors]
    method.SetMetricSamplingPercentagePerLevel(shares, request.seed)
    method.SetShrinkFactorsPerLevel(factors)
    method.SetSmoothingSigmasPerLevel([0.5 * f if f > 1 else 0.0 for f in factors])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 5e-3, request.iterations, 0.5, 1e-6)
    method.SetOptimizerScalesFromPhysicalShift()
    stopped = _watch(method, progress, len(factors), request.iterations)
    start = _start(centre_still, np.zeros(3))
    try:
        coarse = _coarse_start(still, mover, centre_still, centre_mover, request, progress)
        method.SetInitialTransform(coarse, inPlace=True)
        method.Execute(still, mover)
        if stopped:
            raise Cancelled("stopped by the user")
        as_filed, after = (_metric(still, mover, transform, request) for transform in (start, coarse))
    except RuntimeError as error:
        if stopped:
            raise Cancelled("stopped by the user") from None
        raise InputError(f"{called(moving)} could not be registered to {called(fixed)}.", "Compare them without registering.") from error
    progress.update(1.0, _MESSAGE)
    # ITK's transform maps points of the fixed image to the moving one, in LPS.
    there = np.asarray(coarse.TransformPoint([float(v) for v in centre_still]))
    if not after < as_filed or np.linalg.norm(there - centre_mover) > _ASTRAY_MM:
        return Registration(np.eye(4), -as_filed, improved=False)
    flip = np.diag((-1.0, -1.0, 1.0, 1.0))
    return Registration(np.asarray(np.linalg.inv(flip @ _matrix_of(coarse) @ flip), np.float64), -after, improved=True)


def _method(request: PriorRequest) -> SimpleITK.ImageRegistrationMethod:
    import SimpleITK as sitk

    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(request.bins)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _share(image: SimpleITK.Image, factor: int, request: PriorRequest) -> float:
    """Return the share of the voxels of a shrunk image that are compared."""
    return float(min(1.0, request.samples / (np.prod(image.GetSize()) / factor**3)))


def _coarse_start(
    still: SimpleITK.Image, mover: SimpleITK.Image, centre_still: Matrix, centre_mover: Matrix, request: PriorRequest, progress: Progress
) -> SimpleITK.Euler3DTransform:
    """Return the best of a lattice of rotations about the centre, with the shifts in the files and of the centres of mass.

    Descent from one start ends in a wrong place where the head is turned by more than some 15 degrees.
    """
    import SimpleITK as sitk

    small = [
        sitk.Shrink(sitk.SmoothingRecursiveGaussian(i, _COARSE_MM / 2), [max(1, round(_COARSE_MM / s)) for s in i.GetSpacing()])
        for i in (still, mover)
    ]
    best, lowest = _start(centre_still, np.zeros(3)), np.inf
    turns = list(itertools.product((0.0, -_TURN, _TURN), repeat=3))
    for number, turn in enumerate(turns):
        progress.update(0.1 * number / len(turns), _MESSAGE)
        for shift in (np.zeros(3), centre_mover - centre_still):
            candidate = _start(centre_still, shift, turn)
            value = _metric(small[0], small[1], candidate, request)
            if value < lowest:
                best, lowest = candidate, value
    return best


def called(volume: Volume) -> str:
    """Return what the user reads for an image."""
    return volume.name or volume.modality or "The image"


def _shrink_factors(grid: Grid) -> list[int]:
    """Return factors for voxels near 4 mm and near 2 mm, none where they are that large already."""
    return sorted({max(1, round(edge / min(grid.spacing_mm))) for edge in (4.0, 2.0)}, reverse=True)


def _image(volume: Volume) -> tuple[SimpleITK.Image, Matrix]:
    """Return an image for ITK and the centre of mass of its foreground, LPS."""
    import SimpleITK as sitk

    grid, data = volume.grid, volume.data
    directions = grid.directions
    if np.abs(directions.T @ directions - np.eye(3)).max() > _SHEAR:
        from napari_tumorseg.inference.resample import resample, working_grid

        straight = working_grid(grid, None)
        data, grid = resample(np.asarray(data, np.float32), grid, straight), straight
    limits = _limits(data)
    inside = foreground(data)
    box = bounding_box(inside)
    if box is None:
        raise InputError(f"{called(volume)} is empty.", "Choose another image.")
    counts = [inside.sum(axis=tuple(a for a in range(3) if a != axis), dtype=np.int64) for axis in range(3)]
    centre = grid.to_mm([float(np.average(np.arange(len(c)), weights=c)) for c in counts])
    box = box.grown([int(np.ceil(_MARGIN_MM / s)) for s in grid.spacing_mm], grid.shape)
    data, grid = data[box.slices], grid.crop(box)
    image = sitk.GetImageFromArray(np.clip(np.ascontiguousarray(data, np.float32), *limits))
    flip = np.diag((-1.0, -1.0, 1.0))
    image.SetOrigin([float(v) for v in flip @ grid.affine[:3, 3]])
    image.SetSpacing([float(s) for s in reversed(grid.spacing_mm)])
    # Rounding in files is more than ITK allows in a rotation.
    left, _, right = np.linalg.svd(flip @ grid.directions[:, ::-1])
    image.SetDirection([float(v) for v in (left @ right).ravel()])
    return image, np.asarray(flip @ centre)


def _start(centre: Matrix, shift: Matrix, turn: tuple[float, ...] = (0.0, 0.0, 0.0)) -> SimpleITK.Euler3DTransform:
    import SimpleITK as sitk

    made = sitk.Euler3DTransform()
    made.SetCenter([float(v) for v in centre])
    made.SetRotation(*turn)
    made.SetTranslation([float(v) for v in shift])
    return made


def _metric(still: SimpleITK.Image, mover: SimpleITK.Image, transform: SimpleITK.Transform, request: PriorRequest) -> float:
    """Return the negative mutual information, always at the same voxels."""
    method = _method(request)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(_share(still, 1, request))
    method.SetInitialTransform(transform, inPlace=True)
    try:
        return float(method.MetricEvaluate(still, mover))
    except RuntimeError:
        # The images do not overlap there.
        return np.inf


def _matrix_of(transform: SimpleITK.Euler3DTransform) -> Matrix:
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(transform.GetMatrix()).reshape(3, 3)
    centre, shift = np.array(transform.GetCenter()), np.array(transform.GetTranslation())
    matrix[:3, 3] = centre + shift - matrix[:3, :3] @ centre
    return matrix


def _watch(method: SimpleITK.ImageRegistrationMethod, progress: Progress, levels: int, iterations: int) -> list[bool]:
    """Report each iteration and stop the method when asked; the list is filled when that has happened."""
    import SimpleITK as sitk

    stopped: list[bool] = []

    def look() -> None:
        level = method.GetCurrentLevel()
        inside = min(1.0, method.GetOptimizerIteration() / iterations)
        try:
            progress.update(0.1 + 0.85 * (level + inside) / levels, _MESSAGE)
        except Cancelled:
            # An exception does not pass through ITK.
            stopped.append(True)
            method.StopRegistration()

    method.AddCommand(sitk.sitkIterationEvent, look)
    return stopped
