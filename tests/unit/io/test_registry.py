from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage, SegmentationStorage, generate_uid

from napari_tumorseg.core.case import MaskKind, MaskVersion
from napari_tumorseg.core.errors import GeometryError, InputError, OutputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.jobs import CancelToken, Progress
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.io import registry
from napari_tumorseg.io.formats import FORMATS, format_of, look_into

SHAPE = (4, 5, 6)
SUFFIXES = [".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".nhdr", ".mha", ".mhd", ".tif", ".tiff", ".ome.tif"]


def a_volume(name: str = "t1c") -> Volume:
    data = np.random.default_rng(0).integers(0, 1000, SHAPE).astype(np.int16)
    return Volume(data, Grid.from_spacing(SHAPE, (3, 1, 1), "SPL"), name=name)


def a_mask() -> MaskVersion:
    labels = (np.arange(np.prod(SHAPE)).reshape(SHAPE) % 4).astype(np.uint8)
    return MaskVersion(labels, a_volume().grid, preset("brats-mets-2025"), MaskKind.RATER)


def dicom_file(path: Path, sop_class: str, **fields: object) -> Path:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    for name, value in fields.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_images_and_masks_go_through_every_format(tmp_path: Path, suffix: str) -> None:
    volume, mask = a_volume(), a_mask()
    image = registry.write_image(tmp_path / f"i{suffix}", volume)
    assert np.array_equal(registry.read_image(image).data, volume.data)
    target = registry.write_mask(tmp_path / f"m{suffix}", mask, reference=volume)
    back = registry.read_mask(target, reference=volume)
    assert np.array_equal(back.labels, mask.labels)
    assert back.grid == volume.grid
    assert back.schema == mask.schema
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([image.name, target.name])


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.nii", "nifti"),
        ("A.NII.GZ", "nifti"),
        ("a.seg.nrrd", "nrrd"),
        ("a.nhdr", "nrrd"),
        ("a.mhd", "mha"),
        ("a.ome.tiff", "tiff"),
        ("new.dcm", "dicom-seg"),
    ],
)
def test_the_suffix_names_the_format(name: str, form: str) -> None:
    assert format_of(Path(name)) == form


def test_the_content_of_dicom_files_names_the_format(tmp_path: Path) -> None:
    assert format_of(dicom_file(tmp_path / "a", CTImageStorage, Rows=1, Columns=1)) == "dicom"
    assert format_of(dicom_file(tmp_path / "b.dcm", SegmentationStorage)) == "dicom-seg"
    assert format_of(dicom_file(tmp_path / "c.IMA", RTStructureSetStorage)) == "rtstruct"
    assert format_of(tmp_path) == "dicom"


@pytest.mark.parametrize("name", ["a.xyz", "a", "notes.txt"])
def test_unknown_formats_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="no image format that is read here"):
        format_of(tmp_path / name)
    (tmp_path / name).write_text("hello")
    for read in (format_of, registry.read_images, registry.read_mask):
        with pytest.raises(InputError, match="no image format that is read here"):
            read(tmp_path / name)
    with pytest.raises(InputError, match=r"Masks are not written as .*\.nii\.gz, \.seg\.nrrd, \.mha, \.tif, \.dcm"):
        registry.write_mask(tmp_path / name, a_mask())
    with pytest.raises(InputError, match="Images are not written as"):
        registry.write_image(tmp_path / name, a_volume())


def test_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no image"):
        format_of(tmp_path)
    with pytest.raises(InputError, match="holds no image"):
        registry.read_images(tmp_path)
    for name in ("t10", "t2"):
        registry.write_image(tmp_path / f"{name}.nii.gz", a_volume())
    assert format_of(tmp_path) == "nifti"
    (tmp_path / ".hidden.nii.gz").write_text("x")
    (tmp_path / "cases.csv").write_text("x")
    assert [v.name for v in registry.read_images(tmp_path)] == ["t2", "t10"]
    with pytest.raises(InputError, match="holds 2 images: t2, t10"):
        registry.read_image(tmp_path)
    registry.write_image(tmp_path / "a.mha", a_volume())
    with pytest.raises(InputError, match="several formats: mha, nifti"):
        format_of(tmp_path)
    assert len(registry.read_images(tmp_path)) == 3
    assert [p.name for p in look_into(tmp_path).files] == ["a.mha", "t2.nii.gz", "t10.nii.gz"]


def test_a_folder_of_tiff_slices_is_one_image(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 9, (3, 4, 5)).astype(np.uint8)
    for index, plane in enumerate(data):
        tifffile.imwrite(tmp_path / f"{index}.tif", plane, photometric="minisblack")
    assert format_of(tmp_path) == "tiff"
    volume = registry.read_image(tmp_path, spacing_mm=(2.0, 1.0, 1.0))
    assert np.array_equal(volume.data, data)
    assert volume.grid.spacing_mm == (2.0, 1.0, 1.0)
    assert np.array_equal(registry.read_mask(tmp_path, reference=volume).labels, data)


def test_4d_files_are_split_on_request(tmp_path: Path) -> None:
    data = np.zeros((2, *SHAPE), np.float32)
    registry.write_image(tmp_path / "a.nii.gz", Volume(data, a_volume().grid, channels=("1", "2")))
    with pytest.raises(InputError, match="holds 2 volumes"):
        registry.read_images(tmp_path / "a.nii.gz")
    assert len(registry.read_images(tmp_path / "a.nii.gz", split_4d=True)) == 2


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha", ".tif"])
def test_a_mask_of_another_size_is_refused_in_one_line_naming_both(tmp_path: Path, suffix: str) -> None:
    path = registry.write_mask(tmp_path / f"m{suffix}", a_mask())
    other = Volume(np.zeros((4, 5, 9)), Grid.from_spacing((4, 5, 9), (3, 1, 1), "SPL"), name="flair")
    with pytest.raises(GeometryError) as caught:
        registry.read_mask(path, reference=other)
    assert f"m{suffix} has 6x5x4 voxels, but flair has 9x5x4" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(GeometryError):
        registry.write_mask(tmp_path / f"n{suffix}", a_mask(), reference=other)
    assert not (tmp_path / f"n{suffix}").exists()


@pytest.mark.parametrize("suffix", [".nii.gz", ".seg.nrrd", ".mha"])
def test_a_mask_somewhere_else_is_refused(tmp_path: Path, suffix: str) -> None:
    affine = a_volume().grid.affine.copy()
    affine[2, 3] += 1.5
    path = registry.write_mask(tmp_path / f"m{suffix}", a_mask())
    with pytest.raises(GeometryError, match=r"both have 6x5x4 voxels, but lie up to 1\.5 mm apart"):
        registry.read_mask(path, reference=Volume(np.zeros(SHAPE), Grid(SHAPE, affine), name="flair"))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_write_protected_mask_is_kept(tmp_path: Path, suffix: str) -> None:
    path = registry.write_mask(tmp_path / f"m{suffix}", a_mask())
    old = path.read_bytes()
    path.chmod(0o444)
    with pytest.raises(OutputError, match="is read-only and was not replaced"):
        registry.write_mask(path, a_mask())
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_dicom_masks_need_their_images(tmp_path: Path) -> None:
    contours = dicom_file(tmp_path / "rs.dcm", RTStructureSetStorage)
    with pytest.raises(InputError, match="need their images"):
        registry.read_mask(contours)
    with pytest.raises(InputError, match="needs the DICOM images"):
        registry.write_mask(tmp_path / "new.dcm", a_mask())
    with pytest.raises(InputError, match="holds a mask, not an image"):
        registry.read_images(contours)
    with pytest.raises(InputError, match="not a segmentation"):
        registry.read_mask(dicom_file(tmp_path / "ct.dcm", CTImageStorage, Rows=1, Columns=1))


def test_referenced_series(tmp_path: Path) -> None:
    from pydicom.dataset import Dataset

    series = Dataset()
    series.SeriesInstanceUID = "1.2.3"
    seg = dicom_file(tmp_path / "seg.dcm", SegmentationStorage, ReferencedSeriesSequence=[series])
    study, frame = Dataset(), Dataset()
    study.RTReferencedSeriesSequence = [series]
    frame.RTReferencedStudySequence = [study]
    contours = dicom_file(tmp_path / "rs.dcm", RTStructureSetStorage, ReferencedFrameOfReferenceSequence=[frame])
    assert registry.referenced_series(seg) == registry.referenced_series(contours) == ("1.2.3",)
    assert registry.referenced_series(registry.write_mask(tmp_path / "a.nii", a_mask())) == ()


def test_missing_paths(tmp_path: Path) -> None:
    for read in (registry.read_images, registry.read_image, registry.read_mask):
        with pytest.raises(InputError, match="does not exist"):
            read(tmp_path / "none.nii")
    with pytest.raises(OutputError, match="does not exist"):
        registry.write_mask(tmp_path / "none" / "a.nii", a_mask())


def test_reading_says_how_far_it_is_and_stops_when_asked(tmp_path: Path) -> None:
    from napari_tumorseg.core.errors import Cancelled

    for name in ("a", "b"):
        registry.write_image(tmp_path / f"{name}.nii", a_volume())
    seen: list[str] = []
    token = CancelToken()
    registry.read_images(tmp_path, progress=Progress(lambda state: seen.append(state.message), token))
    assert seen == ["Reading a.nii", "Reading b.nii"]
    token.cancel()
    with pytest.raises(Cancelled):
        registry.read_images(tmp_path, progress=Progress(cancel=token))


def test_the_table_of_formats_is_whole() -> None:
    assert [form.name for form in FORMATS] == ["nifti", "nrrd", "mha", "tiff", "dicom", "dicom-seg", "rtstruct"]
    assert all(form.reads_images or form.reads_masks for form in FORMATS)


def test_importing_the_registry_loads_no_heavy_library() -> None:
    code = (
        "import sys, napari_tumorseg.io.cases, napari_tumorseg.io.registry;"
        "print([m for m in ('SimpleITK', 'nibabel', 'pydicom', 'highdicom', 'tifffile', 'torch', 'skimage') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
