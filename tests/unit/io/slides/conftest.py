"""Small slides of each kind, written for a test, with pixels that say where they lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000Lossless, generate_uid

Array = np.ndarray[Any, Any]

WSI = "1.2.840.10008.5.1.4.1.1.77.1.6"
APERIO = (
    "Aperio Image Library v11.2.1\r\n{w}x{h} [0,0 {w}x{h}] ({t}x{t}) J2K/KDU Q=70"
    "|AppMag = 40|User = Secret Person|ImageID = 4711|Filename = SECRET-0815{mpp}"
)


def levels_of(shape: tuple[int, int] = (301, 423), count: int = 3, seed: int = 0) -> list[Array]:
    """Return noise, and every second pixel of it, and so on: the factors are no whole numbers."""
    base = np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)
    return [base[:: 2**i, :: 2**i] for i in range(count)]


def write_svs(path: Path, levels: list[Array], *, mpp: str = "0.2525", tile: int = 64, compression: Any = "lzw") -> Path:
    """Write what OpenSlide takes for an Aperio slide."""
    h, w = levels[0].shape[:2]
    text = APERIO.format(w=w, h=h, t=tile, mpp=f"|MPP = {mpp}" if mpp else "")
    with tifffile.TiffWriter(path) as file:
        for index, level in enumerate(levels):
            file.write(level, tile=(tile, tile), photometric="rgb", description=text, metadata=None, compression=compression)
            if index == 0:
                file.write(level[::8, ::8], photometric="rgb", description="Aperio\r\nthumbnail", metadata=None, rowsperstrip=16)
        label = np.full((20, 30, 3), 77, np.uint8)
        file.write(label, photometric="rgb", description="Aperio\r\nlabel 20x30", metadata=None, rowsperstrip=20, subfiletype=1)
    return path


def write_ome(path: Path, levels: list[Array], **options: Any) -> Path:
    """Write OME-TIFF with levels in sub-images."""
    metadata = {"axes": "YXS", "PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.26, "PhysicalSizeYUnit": "um"}
    metadata |= options.pop("metadata", {})
    options = {"photometric": "rgb", "tile": (64, 80), "compression": "zlib", **options}
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(levels[0], subifds=len(levels) - 1, metadata=metadata, **options)
        for level in levels[1:]:
            file.write(level, subfiletype=1, metadata=None, **options)
    return path


def write_pages(path: Path, levels: list[Array], resolution: tuple[float, float] = (40_000, 20_000)) -> Path:
    """Write a pyramid of one page after another, as libvips does, with the resolution in centimetres."""
    with tifffile.TiffWriter(path) as file:
        for index, level in enumerate(levels):
            file.write(
                level,
                tile=(64, 64),
                photometric="rgb",
                compression="deflate",
                subfiletype=1 if index else 0,
                metadata=None,
                resolution=resolution,
                resolutionunit="CENTIMETER",
            )
    return path


def write_zarr(path: Path, levels: list[Array], *, version: int = 3, unit: str = "micrometer", omero: Any = None) -> Path:
    """Write OME-Zarr 0.5 (zarr 3) or 0.4 (zarr 2), axes (c, y, x), with a scale for each level."""
    group = zarr.open_group(path, mode="w", zarr_format=version)
    datasets = []
    for index, level in enumerate(levels):
        planes = np.moveaxis(level, -1, 0)
        array = group.create_array(str(index), shape=planes.shape, chunks=(planes.shape[0], 64, 96), dtype=planes.dtype)
        array[:] = planes
        scale = [1.0, 0.5 * 2.0**index * 1.00003**index, 0.5 * 2.0**index]
        datasets.append({"path": str(index), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
    space = {"type": "space", **({"unit": unit} if unit else {})}
    axes = [{"name": "c", "type": "channel"}, {"name": "y", **space}, {"name": "x", **space}]
    image = {"multiscales": [{"axes": axes, "datasets": datasets}], **({"omero": omero} if omero else {})}
    if version == 3:
        group.attrs["ome"] = {"version": "0.5", **image}
    else:
        image["multiscales"][0]["version"] = "0.4"
        group.attrs.update(image)
    return path


def write_dicom(folder: Path, levels: list[Array], *, spacing_mm: float | None = 0.00025, tile: int = 64) -> Path:
    """Write a DICOM slide with tiles in lossless JPEG 2000, one file for each level, and a patient."""
    folder.mkdir()
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for index, level in enumerate(levels):
        h, w = level.shape[:2]
        rows, columns = -(-h // tile), -(-w // tile)
        whole = np.pad(level, ((0, rows * tile - h), (0, columns * tile - w), (0, 0)))
        frames = [
            imagecodecs.jpeg2k_encode(whole[r * tile : (r + 1) * tile, c * tile : (c + 1) * tile], level=0, codecformat="j2k", mct=True)
            for r in range(rows)
            for c in range(columns)
        ]
        ds = _dataset(study, series, frame)
        ds.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE" if index == 0 else "RESAMPLED"]
        ds.Rows = ds.Columns = tile
        ds.TotalPixelMatrixRows, ds.TotalPixelMatrixColumns, ds.NumberOfFrames = h, w, len(frames)
        ds.ImagedVolumeWidth, ds.ImagedVolumeHeight, ds.ImagedVolumeDepth = (spacing_mm or 1.0) * levels[0].shape[1], 1.0, 0.001
        ds.ImagedVolumeHeight = (spacing_mm or 1.0) * levels[0].shape[0]
        measures, shared = Dataset(), Dataset()
        if spacing_mm is not None:
            measures.PixelSpacing = [spacing_mm * levels[0].shape[0] / h, spacing_mm * levels[0].shape[1] / w]
        measures.SliceThickness = 0.001
        shared.PixelMeasuresSequence = Sequence([measures])
        ds.SharedFunctionalGroupsSequence = Sequence([shared])
        ds.PixelData = encapsulate(frames)
        ds["PixelData"].is_undefined_length = True
        ds.save_as(folder / f"level{index}.dcm", enforce_file_format=True)
    return folder


def _dataset(study: str, series: str, frame: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = WSI, generate_uid()
    meta.TransferSyntaxUID = JPEG2000Lossless
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = WSI, meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame
    ds.PatientName, ds.PatientID, ds.Modality, ds.Manufacturer = "Secret^Person", "ID-4711", "SM", "Maker"
    ds.DimensionOrganizationType, ds.SamplesPerPixel, ds.PhotometricInterpretation = "TILED_FULL", 3, "YBR_RCT"
    ds.PlanarConfiguration, ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 0, 8, 8, 7, 0
    ds.FocusMethod, ds.ExtendedDepthOfField, ds.LossyImageCompression, ds.SpecimenLabelInImage = "AUTO", "NO", "00", "NO"
    ds.BurnedInAnnotation, ds.VolumetricProperties, ds.NumberOfOpticalPaths, ds.TotalPixelMatrixFocalPlanes = "NO", "VOLUME", 1, 1
    ds.AcquisitionDateTime, ds.ContainerIdentifier, ds.ImageOrientationSlide = "20240101120000", "SECRET-0815", [0, -1, 0, -1, 0, 0]
    origin, path, code = Dataset(), Dataset(), Dataset()
    origin.XOffsetInSlideCoordinateSystem = origin.YOffsetInSlideCoordinateSystem = 0.0
    ds.TotalPixelMatrixOriginSequence = Sequence([origin])
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "111744", "DCM", "Brightfield illumination"
    path.OpticalPathIdentifier, path.IlluminationTypeCodeSequence = "0", Sequence([code])
    ds.OpticalPathSequence = Sequence([path])
    return ds


WRITERS: dict[str, Callable[[Path, list[Array]], Path]] = {
    "svs": lambda folder, levels: write_svs(folder / "s.svs", levels),
    "ome-tiff": lambda folder, levels: write_ome(folder / "s.ome.tif", levels),
    "zarr3": lambda folder, levels: write_zarr(folder / "s3.zarr", levels),
    "zarr2": lambda folder, levels: write_zarr(folder / "s2.zarr", levels, version=2),
    "dicom": lambda folder, levels: write_dicom(folder / "dicom", levels),
}


@pytest.fixture
def writers() -> dict[str, Callable[..., Path]]:
    """The writers by name, for slides that differ from the usual one."""
    return {"svs": write_svs, "ome": write_ome, "pages": write_pages, "zarr": write_zarr, "dicom": write_dicom}


@pytest.fixture
def levels() -> list[Array]:
    """The pixels of the written slides."""
    return levels_of()


@pytest.fixture(scope="session", params=list(WRITERS))
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, list[Array]]:
    """A kind, a slide of it, and the pixels of its levels."""
    pixels = levels_of()
    return request.param, WRITERS[request.param](tmp_path_factory.mktemp(request.param), pixels), pixels


def spoil(path: Path, offset: int, size: int) -> None:
    """Overwrite part of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xa5" * size)
