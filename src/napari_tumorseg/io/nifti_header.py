"""What a NIfTI header says: type, size, and the two positions that it may hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import GeometryError, InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.io.contents import COPY_AGAIN, describe
from napari_tumorseg.io.geometry import affine_zyx, displacement_mm

__all__ = ["LONGEST", "Layout", "from_affine", "geometry_only", "layout", "parse", "position", "text"]

#: Bytes of the longer of the two headers, NIfTI-2.
LONGEST = 540

_GEOMETRY = (
    *("sform_code", "srow_x", "srow_y", "srow_z"),
    *("qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    "xyzt_units",
)
_SPATIAL_UNIT = 7  # bits of xyzt_units
_METRE, _MICROMETRE = 1, 3
# float32 quaternions place the far corner of a head no worse than this.
_AGREE_VOXELS = 0.05


@dataclass(frozen=True)
class Layout:
    """Where the voxels of a file lie: shape (x, y, z, …), type, first byte, and bytes of the whole file."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    file_bytes: int

    @property
    def spatial(self) -> tuple[int, int, int]:
        """The first three axes as (z, y, x)."""
        x, y, z = self.shape[:3]
        return z, y, x


def parse(block: bytes, name: str) -> Any:
    """Return nibabel's header of the first bytes of a file, none of its fields repaired.

    Raises
    ------
    InputError
        If the bytes are no NIfTI header; the message says what they seem to be.
    """
    from nibabel import Nifti1Header, Nifti2Header

    for kind, size, magic, single in ((Nifti1Header, 348, 344, b"n+1\0"), (Nifti2Header, 540, 4, b"n+2\0")):
        for endianness in ("<", ">"):
            if block[:4] != np.array(size, f"{endianness}i4").tobytes():
                continue
            if len(block) < size:
                raise InputError(f"{name} is cut short inside its header.", COPY_AGAIN)
            found = block[magic : magic + 4]
            if found == single:
                return kind(block[:size], endianness, check=False)
            if found in (b"ni1\0", b"ni2\0"):
                raise InputError(
                    f"{name} is only the header of a NIfTI pair; its voxels are in an .img file.", "Convert the pair to one .nii file."
                )
            raise InputError(
                f"{name} is an Analyze 7.5 file, which does not say left from right.", "Convert it to NIfTI with the program that made it."
            )
    raise InputError(f"{name} is not a NIfTI file: {describe(block)}.", "Choose another file, or get this one again from its source.")


def layout(header: Any, name: str) -> Layout:
    """Return where the voxels lie; raise `InputError` when the header cannot be right."""
    from nibabel.spatialimages import HeaderDataError

    damaged = InputError(
        f"{name} has a damaged header: size {[int(n) for n in header['dim']]}, type {int(header['datatype'])}.", COPY_AGAIN
    )
    if not 1 <= int(header["dim"][0]) <= 7:
        raise damaged
    try:
        shape = tuple(int(n) for n in header.get_data_shape())
        dtype = np.dtype(header.get_data_dtype())
    except (HeaderDataError, KeyError, TypeError, ValueError):
        raise damaged from None
    shape = (*shape, *(1 for _ in range(3 - len(shape))))
    if any(n == 0 for n in shape):
        raise InputError(f"{name} holds no voxels: its size is {'x'.join(map(str, shape))}.", COPY_AGAIN)
    offset = float(header["vox_offset"])
    if any(n < 0 for n in shape) or dtype.itemsize == 0 or not np.isfinite(offset) or offset < 0:
        raise damaged
    first = max(int(offset), len(header.binaryblock) + 4)
    size = 1
    for n in shape:
        size *= n
    return Layout(shape, dtype, first, first + size * dtype.itemsize)


def position(header: Any, shape: tuple[int, int, int], name: str) -> tuple[npt.NDArray[np.float64], str, tuple[str, ...]]:
    """Return the affine that a header states, where it comes from, and what is odd about it.

    The sform is used where its code is above 0, else the qform, else the voxel size alone, as
    nibabel does.

    Parameters
    ----------
    header : nibabel.Nifti1Header or nibabel.Nifti2Header
        As `parse` gives it.
    shape : tuple of int
        (z, y, x).
    name : str
        What the file is called in warnings.

    Returns
    -------
    numpy.ndarray
        4 x 4, maps (z, y, x, 1) to RAS millimetres.
    str
        "sform", "qform" or "size".
    tuple of str
        Warnings.
    """
    warnings = []
    scale = {_METRE: 1000.0, _MICROMETRE: 0.001}.get(int(header["xyzt_units"]) & _SPATIAL_UNIT, 1.0)
    unit = np.diag((scale, scale, scale, 1.0))
    found: dict[str, Grid] = {}
    for kind in ("sform", "qform"):
        if int(header[f"{kind}_code"]) > 0:
            try:
                found[kind] = Grid(shape, affine_zyx(unit @ (_sform(header) if kind == "sform" else _qform(header))))
            except (GeometryError, ValueError):
                warnings.append(f"{name}: its {kind} is unusable and was left out.")
    if not found:
        sizes = np.abs(np.nan_to_num(np.array(header["pixdim"][1:4], np.float64), posinf=0.0, neginf=0.0))
        stated = np.where(sizes > 0, sizes, 1.0)
        warnings.append(f"{name} states no position; its axes are taken as left, front, top, its centre as the origin.")
        if (sizes == 0).any():
            warnings.append(f"{name} states no voxel size along every axis; 1 mm is taken.")
        # As nibabel: the first axis runs to the patient's left.
        affine = np.diag((-stated[0], stated[1], stated[2], 1.0))
        affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape[::-1]) - 1) / 2)
        return affine_zyx(unit @ affine), "size", tuple(warnings)
    used = "sform" if "sform" in found else "qform"
    grid = found[used]
    if scale != 1.0:
        sizes_text = "x".join(f"{s:.3g}" for s in reversed(grid.spacing_mm))
        warnings.append(f"{name} is stored in {'metres' if scale > 1 else 'micrometres'}: a voxel is {sizes_text} mm.")
    if len(found) == 2:
        apart = displacement_mm(found["sform"], found["qform"])
        if apart > _AGREE_VOXELS * min(grid.spacing_mm):
            warnings.append(f"{name} states two positions that differ by up to {apart:.3g} mm; its sform was used, its qform left out.")
    return grid.affine, used, tuple(warnings)


def _sform(header: Any) -> npt.NDArray[np.float64]:
    affine = np.eye(4)
    for row, field in enumerate(("srow_x", "srow_y", "srow_z")):
        affine[row] = header[field]
    return affine


def _qform(header: Any) -> npt.NDArray[np.float64]:
    """Return the affine of the quaternion; formula: nifti1.h of the NIfTI standard, method 2."""
    b, c, d = (float(header[f"quatern_{letter}"]) for letter in "bcd")
    rest = 1.0 - (b * b + c * c + d * d)
    if not np.isfinite(rest) or rest < -1e-3:
        raise ValueError("the quaternion is no rotation")
    if rest < 1e-7:
        # A half turn, for which rounding may leave the squares a little above 1.
        length = np.sqrt(b * b + c * c + d * d)
        a, b, c, d = 0.0, b / length, c / length, d / length
    else:
        a = float(np.sqrt(rest))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    sizes = np.array(header["pixdim"][1:4], np.float64)
    if float(header["pixdim"][0]) < 0:
        sizes[2] = -sizes[2]
    affine = np.eye(4)
    affine[:3, :3] = rotation * sizes
    affine[:3, 3] = [float(header[f"qoffset_{letter}"]) for letter in "xyz"]
    return affine


def geometry_only(header: Any) -> Any:
    """Return a new header of the same version that states exactly the position of `header`, and nothing else of it."""
    new = type(header)()
    for field in _GEOMETRY:
        new[field] = header[field]
    new["pixdim"][:4] = header["pixdim"][:4]
    return new


def from_affine(affine: npt.NDArray[np.float64], longest_axis: int) -> Any:
    """Return a header for an image that came from no NIfTI file.

    Parameters
    ----------
    affine : numpy.ndarray
        4 x 4, (x, y, z, 1) to RAS millimetres.
    longest_axis : int
        NIfTI-1 counts to 32767 voxels; beyond that the header is NIfTI-2.
    """
    from nibabel import Nifti1Header, Nifti2Header

    header = Nifti1Header() if longest_axis < 32768 else Nifti2Header()
    header.set_data_shape((1, 1, 1))
    header.set_sform(affine, code="scanner")
    columns = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    # A quaternion has no room for shear; half a position would be worse than one.
    orthogonal = np.abs(columns.T @ columns - np.eye(3)).max() < 1e-4
    header.set_qform(affine, code="scanner" if orthogonal else "unknown")
    header.set_xyzt_units("mm", "unknown")
    return header


def text(header: Any, field: str) -> str:
    """Return a text field of a header."""
    return bytes(header[field].tobytes()).split(b"\0")[0].decode("ascii", "replace")
