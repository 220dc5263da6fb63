"""DICOM files made for a test: small, with every voxel's value saying where it lies."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
PET = "1.2.840.10008.5.1.4.1.1.128"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
CLASSES = {"CT": CT, "MR": MR, "PT": PET}

Edit = Callable[[Dataset, int], None]


class DicomMaker:
    """Writes DICOM files below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def base(self, sop_class: str, modality: str) -> FileDataset:
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = sop_class
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID, ds.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
        ds.Modality = modality
        ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Secret^Person", "ID-4711", "19500101", "F"
        ds.StudyInstanceUID, ds.StudyDate, ds.StudyTime, ds.StudyID = "1.2.3.4", "20260102", "101500", "1"
        ds.AccessionNumber, ds.ReferringPhysicianName = "", ""
        ds.SeriesDate, ds.SeriesTime = "20260102", "102000"
        ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = "1.2.3.4.99", ""
        ds.Manufacturer = "Test"
        return ds

    def series(
        self,
        folder: str = "series",
        *,
        slices: int = 5,
        shape: tuple[int, int] = (6, 7),
        spacing: tuple[float, float, float] = (2.0, 0.8, 0.7),
        origin: Sequence[float] = (-10.0, -20.0, 30.0),
        orientation: Sequence[float] = (1, 0, 0, 0, 1, 0),
        step: Sequence[float] | None = None,
        modality: str = "CT",
        uid: str | None = None,
        edit: Edit | None = None,
        leave_out: Sequence[int] = (),
        start: int = 0,
    ) -> list[Path]:
        """Write one file per slice, named and numbered against the order of the slices."""
        uid = uid or generate_uid()
        row, column = np.array(orientation[:3], float), np.array(orientation[3:], float)
        advance = np.array(step, float) if step is not None else np.cross(row, column) * spacing[0]
        target = self.root / folder
        target.mkdir(parents=True, exist_ok=True)
        paths = []
        names = random.Random(1).sample(range(1000, 9999), slices + start)
        for z in range(start, start + slices):
            if z in leave_out:
                continue
            ds = self.base(CLASSES[modality], modality)
            ds.SeriesInstanceUID, ds.SeriesNumber, ds.SeriesDescription = uid, 7, "Thorax"
            ds.InstanceNumber = slices - z + 500
            ds.AcquisitionNumber = 1
            ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
            ds.ImagePositionPatient = [float(v) for v in np.array(origin) + z * advance]
            ds.ImageOrientationPatient = [float(v) for v in orientation]
            ds.PixelSpacing = [spacing[1], spacing[2]]
            ds.SliceThickness = spacing[0]
            ds.RescaleSlope, ds.RescaleIntercept = 1, 0
            self.pixels(ds, self.values(z, shape).astype(np.int16))
            if edit is not None:
                edit(ds, z)
            path = target / f"IM{names[z]}"
            ds.save_as(path, enforce_file_format=True)
            paths.append(path)
        return paths

    @staticmethod
    def values(z: int, shape: tuple[int, int]) -> np.ndarray:
        y, x = np.indices(shape)
        return 100 * z + 10 * y + x

    @staticmethod
    def pixels(ds: Dataset, array: np.ndarray) -> None:
        array = np.ascontiguousarray(array)
        ds.Rows, ds.Columns = array.shape[-2:]
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated = ds.BitsStored = 8 * array.dtype.itemsize
        ds.HighBit = ds.BitsStored - 1
        ds.PixelRepresentation = int(array.dtype.kind == "i")
        ds.PixelData = array.tobytes() + b"\0" * (array.nbytes % 2)

    def enhanced(
        self,
        name: str = "mf.dcm",
        *,
        order: Sequence[tuple[int, int]] = ((0, 0), (1, 0), (2, 0)),
        shape: tuple[int, int] = (4, 5),
        shared_plane: bool = False,
        slopes: Sequence[float] | None = None,
    ) -> Path:
        """Write an enhanced MR of frames (slice, echo) in the given order."""
        ds = self.base(ENHANCED_MR, "MR")
        ds.SeriesInstanceUID, ds.SeriesNumber, ds.InstanceNumber = generate_uid(), 3, 1
        ds.SeriesDescription = "multi"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "T2", "NONE"]
        ds.NumberOfFrames = len(order)
        ds.ContentDate, ds.ContentTime = "20260102", "102000"
        plane, measures = Dataset(), Dataset()
        plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        measures.PixelSpacing, measures.SliceThickness = [0.5, 0.5], 3
        shared = Dataset()
        if shared_plane:
            shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [plane], [measures]
        ds.SharedFunctionalGroupsSequence = [shared]
        frames = []
        for index, (z, echo) in enumerate(order):
            item, position, content, timing, scale = (Dataset() for _ in range(5))
            position.ImagePositionPatient = [1.0, 2.0, 3.0 + 3 * z]
            content.StackID, content.InStackPositionNumber = "1", z + 1
            content.DimensionIndexValues = [z + 1]
            timing.EffectiveEchoTime = 10.0 + 70 * echo
            scale.RescaleSlope, scale.RescaleIntercept, scale.RescaleType = (slopes[index] if slopes else 1), 0, "US"
            item.PlanePositionSequence, item.FrameContentSequence, item.MREchoSequence = [position], [content], [timing]
            item.PixelValueTransformationSequence = [scale]
            if not shared_plane:
                item.PlaneOrientationSequence, item.PixelMeasuresSequence = [plane], [measures]
            frames.append(item)
        ds.PerFrameFunctionalGroupsSequence = frames
        self.pixels(ds, np.stack([self.values(z, shape) + 1000 * echo for z, echo in order]).astype(np.uint16))
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        ds.save_as(path, enforce_file_format=True)
        return path

    def rtstruct(self, rois: Sequence[tuple[str, Sequence[Any]]], name: str = "RS.dcm", *, numbers: Sequence[int] | None = None) -> Path:
        """Write contours: each region is a name and contours, arrays (n, 3) of LPS points or (type, array)."""
        ds = self.base(RTSTRUCT, "RTSTRUCT")
        ds.SeriesInstanceUID, ds.StructureSetLabel = generate_uid(), "test"
        ds.StructureSetROISequence, ds.ROIContourSequence, ds.RTROIObservationsSequence = [], [], []
        for index, (roi_name, contours) in enumerate(rois):
            number = numbers[index] if numbers else index + 1
            roi, outline, seen = Dataset(), Dataset(), Dataset()
            roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, roi_name, "1.2.3.4.99"
            roi.ROIGenerationAlgorithm = "MANUAL"
            outline.ReferencedROINumber, outline.ROIDisplayColor = number, [255, 0, 10 * index]
            outline.ContourSequence = []
            for contour in contours:
                kind, points = contour if isinstance(contour, tuple) else ("CLOSED_PLANAR", contour)
                item = Dataset()
                item.ContourGeometricType, item.NumberOfContourPoints = kind, len(points)
                item.ContourData = [f"{v:.6f}" for v in np.asarray(points, float).ravel()]
                outline.ContourSequence.append(item)
            seen.ObservationNumber, seen.ReferencedROINumber, seen.RTROIInterpretedType, seen.ROIInterpreter = number, number, "GTV", ""
            ds.StructureSetROISequence.append(roi)
            ds.ROIContourSequence.append(outline)
            ds.RTROIObservationsSequence.append(seen)
        path = self.root / name
        ds.save_as(path, enforce_file_format=True)
        return path

    @staticmethod
    def change(path: Path, edit: Callable[[Dataset], None]) -> Path:
        """Rewrite a file."""
        ds = pydicom.dcmread(path)
        edit(ds)
        ds.save_as(path)
        return path


@pytest.fixture
def dicom(tmp_path: Path) -> DicomMaker:
    """Return a maker of DICOM files below the test's folder."""
    return DicomMaker(tmp_path)
