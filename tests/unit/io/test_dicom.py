"""Series from messy folders: sorting, stacks, units, and what is said when something is wrong."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

from napari_tumorseg.core.errors import Cancelled, InputError
from napari_tumorseg.core.jobs import CancelToken, Progress
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.io.dicom import read_series
from napari_tumorseg.io.dicom_files import kind_of_file


def only(source: Any, **options: Any) -> Volume:
    volumes = read_series(source, **options)
    assert len(volumes) == 1
    return volumes[0]


def stack(maker: Any, slices: int, shape: tuple[int, int] = (6, 7)) -> np.ndarray:
    return np.stack([maker.values(z, shape) for z in range(slices)])


def refused(source: Any, *words: str, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        read_series(source, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.hint
    for word in words:
        assert word in text
    for secret in ("Secret", "Person", "4711", "1950"):
        assert secret not in text
    return text


# --- geometry and order -------------------------------------------------------------------------


def test_slices_are_sorted_by_position_whatever_their_names_and_numbers(dicom: Any) -> None:
    dicom.series()
    volume = only(dicom.root)
    np.testing.assert_array_equal(volume.data, stack(dicom, 5))
    assert volume.modality == "CT"
    assert volume.unit == "HU"
    assert volume.grid.orientation == "SPL"
    np.testing.assert_allclose(volume.grid.spacing_mm, (2.0, 0.8, 0.7))
    np.testing.assert_allclose(volume.grid.to_mm((0, 0, 0)), (10, 20, 30))
    assert volume.warnings == ()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    angles=st.tuples(*[st.floats(-3.1, 3.1)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 6.0)] * 3),
    origin=st.tuples(*[st.floats(-300, 300)] * 3),
)
def test_every_voxel_lies_where_the_standard_puts_it(tmp_path: Path, dicom: Any, angles: Any, spacing: Any, origin: Any) -> None:
    from scipy.spatial.transform import Rotation

    shutil.rmtree(tmp_path / "series", ignore_errors=True)
    row, column, _ = Rotation.from_euler("xyz", angles).as_matrix().T
    orientation = [*np.round(row, 9), *np.round(column, 9)]
    paths = dicom.series(slices=4, spacing=spacing, origin=origin, orientation=orientation)
    volume = only(tmp_path / "series")
    for path in paths:
        ds = pydicom.dcmread(path)
        z = int(ds.pixel_array[0, 0]) // 100
        assert volume.source is not None
        assert volume.source.paths[z] == path
        for j, i in ((0, 0), (3, 5)):  # PS3.3 equation C.7.6.2.1-1, i along the row, j down the column
            lps = (
                np.array(ds.ImagePositionPatient, float)
                + np.array(ds.ImageOrientationPatient[:3], float) * float(ds.PixelSpacing[1]) * i
                + np.array(ds.ImageOrientationPatient[3:], float) * float(ds.PixelSpacing[0]) * j
            )
            np.testing.assert_allclose(volume.grid.to_mm((z, j, i)), lps * (-1, -1, 1), atol=2e-5)
            assert volume.data[z, j, i] == ds.pixel_array[j, i]


def test_header_knows_the_source_of_every_slice(dicom: Any) -> None:
    paths = dicom.series()
    volume = only(dicom.root)
    assert volume.source is not None
    assert volume.source.format == "dicom"
    assert set(volume.source.paths) == set(paths)
    header = volume.source.header
    for z, path in enumerate(volume.source.paths):
        ds = pydicom.dcmread(path)
        assert header["sop_instance_uids"][z] == ds.SOPInstanceUID
        np.testing.assert_allclose(header["positions_lps"][z], ds.ImagePositionPatient)
    assert header["frame_of_reference_uid"] == "1.2.3.4.99"
    assert header["study_date"] == "20260102"
    assert header["frame_numbers"] == (None,) * 5


def test_gantry_tilt_is_kept_as_a_shear(dicom: Any) -> None:
    tilt = np.radians(15.0)
    paths = dicom.series(step=(0.0, 2.0 * np.tan(tilt), 2.0))
    volume = only(dicom.root)
    assert any("15.0 degrees" in text for text in volume.warnings)
    np.testing.assert_array_equal(volume.data, stack(dicom, 5))
    z_axis, y_axis = volume.grid.directions[:, 0], volume.grid.directions[:, 1]
    assert np.degrees(np.arccos(abs(z_axis @ y_axis))) == pytest.approx(75.0, abs=1e-6)
    for path in paths:
        ds = pydicom.dcmread(path)
        z = int(ds.pixel_array[0, 0]) // 100
        np.testing.assert_allclose(volume.grid.to_mm((z, 0, 0)) * (-1, -1, 1), ds.ImagePositionPatient, atol=1e-9)


def test_a_stated_tilt_without_shifted_slices_is_reported(dicom: Any) -> None:
    dicom.series(edit=lambda ds, z: setattr(ds, "GantryDetectorTilt", 12.0))
    assert any("does not show" in t or "do not show" in t for t in only(dicom.root).warnings)


def test_a_single_slice_takes_its_thickness(dicom: Any) -> None:
    dicom.series(slices=1)
    volume = only(dicom.root)
    assert volume.grid.shape == (1, 6, 7)
    assert volume.grid.spacing_mm[0] == 2.0


def test_a_single_slice_without_thickness_says_so(dicom: Any) -> None:
    dicom.series(slices=1, edit=lambda ds, z: delattr(ds, "SliceThickness"))
    assert any("1 mm" in text for text in only(dicom.root).warnings)


# --- messy folders ------------------------------------------------------------------------------


def test_messy_folder_gives_every_series(dicom: Any) -> None:
    dicom.series("a/deep")
    dicom.series("a", modality="MR", edit=lambda ds, z: setattr(ds, "SeriesNumber", 2))
    dicom.series(
        "b", slices=3, orientation=(1, 0, 0, 0, 0, -1), edit=lambda ds, z: setattr(ds, "ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"])
    )
    (dicom.root / "notes.txt").write_text("x" * 300)
    (dicom.root / "a" / ".hidden.dcm").write_bytes(b"junk")
    (dicom.root / "empty").write_bytes(b"")
    (dicom.root / "a" / "scan.pdf").write_bytes(b"%PDF" + b"1" * 500)
    volumes = read_series(dicom.root)
    assert [v.source.header["dicom_modality"] for v in volumes if v.source] == ["MR", "CT"]
    assert all(v.shape == (5, 6, 7) for v in volumes)


def test_series_of_two_patients_are_pointed_out_without_naming_them(dicom: Any) -> None:
    dicom.series("a")
    dicom.series("b", edit=lambda ds, z: setattr(ds, "PatientID", "OTHER-1"))
    volumes = read_series(dicom.root)
    said = " ".join(" ".join(v.warnings) for v in volumes)
    assert "2 patients" in said
    assert "4711" not in said


def test_a_broken_series_does_not_hide_the_others(dicom: Any) -> None:
    dicom.series("good")
    dicom.series("bad", leave_out=[2])
    volumes = read_series(dicom.root)
    assert len(volumes) == 1
    assert any("lacks 1 slice" in text for text in volumes[0].warnings)


def test_dicomdir_leads_to_its_files(dicom: Any) -> None:
    paths = dicom.series("disc/IMAGES")
    dicom.series("disc/OTHER", slices=3)
    ds = dicom.base("1.2.840.10008.1.3.10", "")
    ds.DirectoryRecordSequence = []
    for path in paths:
        record = pydicom.Dataset()
        record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", ["IMAGES", path.name]
        ds.DirectoryRecordSequence.append(record)
    ds.save_as(dicom.root / "disc" / "DICOMDIR", enforce_file_format=True)
    assert only(dicom.root / "disc" / "DICOMDIR").shape == (5, 6, 7)
    assert len(read_series(dicom.root / "disc")) == 2
    shutil.rmtree(dicom.root / "disc" / "IMAGES")
    assert only(dicom.root / "disc" / "DICOMDIR").shape == (3, 6, 7)


def test_files_without_preamble_are_read(dicom: Any) -> None:
    for path in dicom.series():
        path.write_bytes(path.read_bytes()[132:])  # group 2 first
    np.testing.assert_array_equal(only(dicom.root).data, stack(dicom, 5))


def test_a_list_of_files_is_enough(dicom: Any) -> None:
    paths = dicom.series()
    assert only(paths).shape == (5, 6, 7)


def test_volume_name_never_names_the_patient(dicom: Any) -> None:
    dicom.series(edit=lambda ds, z: setattr(ds, "SeriesDescription", "CT of SECRET p."))
    assert only(dicom.root).name == "CT series 7"


def test_reading_can_be_cancelled(dicom: Any) -> None:
    dicom.series()
    token = CancelToken()
    seen: list[float] = []

    def report(state: Any) -> None:
        seen.append(state.fraction)
        if state.fraction > 0.5:
            token.cancel()

    with pytest.raises(Cancelled):
        read_series(dicom.root, Progress(report, token))
    assert seen == sorted(seen)


@pytest.mark.parametrize(("kind", "name"), [("rtstruct", "rtstruct.dcm"), ("image", "CT_small.dcm"), ("other", "reportsi.dcm")])
def test_kind_of_file(kind: str, name: str) -> None:
    assert kind_of_file(Path(get_testdata_file(name))) == kind


def test_kind_of_other_files(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_text("not dicom at all " * 20)
    assert kind_of_file(tmp_path / "a.dcm") == ""


# --- several stacks, doubles, gaps --------------------------------------------------------------


@pytest.mark.parametrize(
    ("keyword", "values", "word"),
    [
        ("AcquisitionNumber", (1, 2), "acquisition 2"),
        ("TemporalPositionIdentifier", (1, 2), "time point 2"),
        ("EchoTime", (11.0, 90.0), "echo 90"),
        ("DiffusionBValue", (0.0, 1000.0), "b-value 1000"),
        ("ImageType", (["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"]), "image type P"),
        ("FrameReferenceTime", (0.0, 60000.0), "frame at 60000"),
    ],
)
def test_several_stacks_of_one_series_are_kept_apart(dicom: Any, keyword: str, values: Any, word: str) -> None:
    uid = "1.2.3.4.5"
    for part, value in enumerate(values):

        def edit(ds: Any, z: int, part: int = part, value: Any = value) -> None:
            setattr(ds, keyword, value)
            dicom.pixels(ds, (dicom.values(z, (6, 7)) + 1000 * part).astype(np.int16))

        dicom.series(f"part{part}", modality="MR", uid=uid, edit=edit)
    volumes = read_series(dicom.root)
    assert len(volumes) == 2
    for part, volume in enumerate(volumes):
        np.testing.assert_array_equal(volume.data, stack(dicom, 5) + 1000 * part)
    assert word in volumes[1].name


def test_different_orientations_of_one_series_are_kept_apart(dicom: Any) -> None:
    dicom.series("a", uid="1.2.3")
    dicom.series("b", uid="1.2.3", orientation=(0, 1, 0, 0, 0, -1), slices=3)
    assert sorted(v.shape[0] for v in read_series(dicom.root)) == [3, 5]


def test_a_scout_stored_with_its_series_is_left_out(dicom: Any) -> None:
    dicom.series("a", uid="1.2.3")
    dicom.series("b", uid="1.2.3", orientation=(0, 1, 0, 0, 0, -1), slices=1)
    volume = only(dicom.root)
    assert volume.shape == (5, 6, 7)
    assert any("left out" in text for text in volume.warnings)


def test_identical_copies_of_slices_are_dropped_with_a_word(dicom: Any) -> None:
    paths = dicom.series()
    shutil.copy(paths[1], paths[1].with_name("copy"))

    def renumber(ds: Any) -> None:
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3.999"
        ds.InstanceNumber = 999

    dicom.change(Path(shutil.copy(paths[2], paths[2].with_name("copy2"))), renumber)
    volume = only(dicom.root)
    np.testing.assert_array_equal(volume.data, stack(dicom, 5))
    assert any("2 slice(s)" in text and "twice" in text for text in volume.warnings)


def test_a_whole_series_stored_twice_is_one_volume(dicom: Any) -> None:
    dicom.series("a", uid="1.2.3")
    dicom.series("b", uid="1.2.3")
    volume = only(dicom.root)
    np.testing.assert_array_equal(volume.data, stack(dicom, 5))


def test_different_slices_at_one_place_are_refused(dicom: Any) -> None:
    dicom.series("a", uid="1.2.3")
    dicom.series("b", uid="1.2.3", slices=1, start=2, edit=lambda ds, z: dicom.pixels(ds, np.full((6, 7), 3, np.int16)))
    refused(dicom.root, "2 different slices at the same place")


def test_a_missing_slice_is_named_and_refused(dicom: Any) -> None:
    dicom.series(slices=8, leave_out=[3])
    refused(dicom.root, "lacks 1 slice of 8", "between slice 3 and 4", "34.0 and 38.0 mm")


def test_missing_slices_are_filled_when_allowed(dicom: Any) -> None:
    dicom.series(slices=8, leave_out=[3, 4])
    volume = only(dicom.root, allow_gaps=True)
    np.testing.assert_allclose(volume.data, stack(dicom, 8))  # the values run straight, so interpolation is exact
    assert volume.source is not None
    assert volume.source.header["files"][3] is None
    assert volume.source.header["files"][4] is None
    assert len(volume.source.paths) == 6
    assert any("2 of 8 slices" in text and "after slice 3" in text for text in volume.warnings)


def test_slightly_uneven_slices_are_kept_and_reported(dicom: Any) -> None:
    def edit(ds: Any, z: int) -> None:
        if z == 2:
            ds.ImagePositionPatient[2] = float(ds.ImagePositionPatient[2]) + 0.2

    dicom.series(edit=edit)
    volume = only(dicom.root)
    np.testing.assert_array_equal(volume.data, stack(dicom, 5))
    assert any("unevenly spaced" in text for text in volume.warnings)
    assert volume.source is not None
    assert volume.source.header["positions_lps"][2][2] == pytest.approx(34.2)


def test_uneven_slices_are_refused_or_resampled(dicom: Any) -> None:
    heights = [0.0, 2.0, 4.7, 6.0, 8.7, 10.0]

    def edit(ds: Any, z: int) -> None:
        ds.ImagePositionPatient[2] = 30.0 + heights[z]
        dicom.pixels(ds, np.full((6, 7), round(10 * heights[z]), np.int16))

    dicom.series(slices=6, edit=edit)
    refused(dicom.root, "unevenly spaced")
    volume = only(dicom.root, allow_gaps=True)
    z = volume.grid.to_mm(np.array([[i, 0, 0] for i in range(volume.shape[0])]))[:, 2]
    np.testing.assert_allclose(volume.data[:, 0, 0], 10 * (z - 30.0), atol=0.3)


def test_shifted_slices_are_refused(dicom: Any) -> None:
    def edit(ds: Any, z: int) -> None:
        if z == 3:
            ds.ImagePositionPatient[0] = float(ds.ImagePositionPatient[0]) + 4.0

    dicom.series(edit=edit)
    refused(dicom.root, "shifted", "slice 4")


def test_interleaved_acquisitions_become_two_stacks(dicom: Any) -> None:
    dicom.series("a", uid="1.2.3")
    dicom.series("b", uid="1.2.3", origin=(-10, -20, 30.7), edit=lambda ds, z: setattr(ds, "AcquisitionNumber", 2))
    assert [v.shape[0] for v in read_series(dicom.root)] == [5, 5]


# --- values -------------------------------------------------------------------------------------


def test_rescale_differs_from_slice_to_slice(dicom: Any) -> None:
    def edit(ds: Any, z: int) -> None:
        ds.RescaleSlope, ds.RescaleIntercept = 0.5 + z, -1024 + z

    dicom.series(edit=edit)
    volume = only(dicom.root)
    z = np.arange(5)[:, None, None]
    np.testing.assert_allclose(volume.data, stack(dicom, 5) * (0.5 + z) - 1024 + z)
    assert volume.data.dtype == np.float32


def test_whole_hounsfield_units_stay_integers(dicom: Any) -> None:
    dicom.series(edit=lambda ds, z: setattr(ds, "RescaleIntercept", -1024))
    volume = only(dicom.root)
    assert volume.data.dtype == np.int16
    np.testing.assert_array_equal(volume.data, stack(dicom, 5) - 1024)


def test_monochrome1_is_turned_round(dicom: Any) -> None:
    dicom.series(modality="MR", edit=lambda ds, z: setattr(ds, "PhotometricInterpretation", "MONOCHROME1"))
    volume = only(dicom.root)
    np.testing.assert_array_equal(volume.data, -1 - stack(dicom, 5))  # signed 16 bit: the order of values is reversed
    assert any("MONOCHROME1" in text for text in volume.warnings)


def test_monochrome1_leaves_hounsfield_units_alone(dicom: Any) -> None:
    dicom.series(edit=lambda ds, z: setattr(ds, "PhotometricInterpretation", "MONOCHROME1"))
    np.testing.assert_array_equal(only(dicom.root).data, stack(dicom, 5))


def test_rgb_has_three_channels(dicom: Any) -> None:
    def edit(ds: Any, z: int) -> None:
        rgb = np.stack([dicom.values(0, (6, 7)) + 30 * c + z for c in range(3)], axis=-1).astype(np.uint8)
        dicom.pixels(ds, rgb[..., 0])
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
        ds.PixelData = rgb.tobytes()

    dicom.series(modality="MR", edit=edit)
    volume = only(dicom.root)
    assert volume.channels == ("R", "G", "B")
    assert volume.data.shape == (3, 5, 6, 7)
    assert volume.data[2, 4, 1, 2] == 12 + 60 + 4


def test_enhanced_multiframe_with_groups_per_frame(dicom: Any) -> None:
    path = dicom.enhanced(order=((2, 0), (0, 0), (1, 0)), slopes=(3, 1, 2))
    volume = only(path)
    np.testing.assert_array_equal(volume.data, stack(dicom, 3, (4, 5)) * np.array([1, 2, 3])[:, None, None])
    np.testing.assert_allclose(volume.grid.spacing_mm, (3, 0.5, 0.5))
    assert volume.source is not None
    assert volume.source.paths == (path,)
    assert volume.source.header["frame_numbers"] == (2, 3, 1)


def test_enhanced_multiframe_of_two_echoes(dicom: Any) -> None:
    path = dicom.enhanced(order=((0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)), shared_plane=True)
    first, second = read_series(path)
    np.testing.assert_array_equal(first.data, stack(dicom, 3, (4, 5)))
    np.testing.assert_array_equal(second.data, stack(dicom, 3, (4, 5)) + 1000)
    assert "echo 80" in second.name
    assert second.source is not None
    assert second.source.header["frame_numbers"] == (2, 4, 6)


@pytest.mark.parametrize(
    "name",
    ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm"],
)
def test_lossless_transfer_syntaxes_give_the_same_voxels(name: str) -> None:
    plain = only(Path(get_testdata_file("MR_small.dcm")))
    np.testing.assert_array_equal(only(Path(get_testdata_file(name))).data, plain.data)


def test_jpeg_lossless(dicom: Any) -> None:
    gdcm = pytest.importorskip("gdcm", reason="python-gdcm (extra compressed-dicom) is not installed")
    (path,) = dicom.series(slices=1)
    target = path.with_name("jpeg.dcm")
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    assert pydicom.dcmread(target).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.70"
    np.testing.assert_array_equal(only(target).data, only(path).data)


# --- bad input ----------------------------------------------------------------------------------


def test_missing_decoder_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom.pixels.decoders import JPEG2000LosslessDecoder

    monkeypatch.setattr(JPEG2000LosslessDecoder, "_available", {})
    refused(Path(get_testdata_file("MR_small_jp2klossless.dcm")), "JPEG 2000", "compressed-dicom")


def test_no_pixel_data(dicom: Any) -> None:
    dicom.series(edit=lambda ds, z: delattr(ds, "PixelData"))
    refused(dicom.root, "no pixel data")


def test_pixels_cut_short(dicom: Any) -> None:
    paths = dicom.series()
    paths[2].write_bytes(paths[2].read_bytes()[:-20])
    refused(dicom.root, "cut short", paths[2].name)


def test_header_cut_short(dicom: Any) -> None:
    paths = dicom.series()
    for path in paths:
        path.write_bytes(path.read_bytes()[:500])
    refused(dicom.root)


def test_files_cut_anywhere_are_refused(dicom: Any) -> None:
    (path,) = dicom.series(slices=1)
    whole = path.read_bytes()
    for size in range(140, len(whole), 13):
        path.write_bytes(whole[:size])
        refused(path)


def test_one_header_cut_short_is_named_with_the_gap_it_leaves(dicom: Any) -> None:
    paths = dicom.series(slices=8)
    paths[3].write_bytes(paths[3].read_bytes()[:140])
    refused(dicom.root, "lacks 1 slice", paths[3].name)


def test_text_named_dcm(dicom: Any) -> None:
    path = dicom.root / "text.dcm"
    path.write_text("hello " * 100)
    refused(path, "no DICOM file")


def test_empty_folder(dicom: Any) -> None:
    refused(dicom.root, "no DICOM file")


def test_missing_path(dicom: Any) -> None:
    refused(dicom.root / "nowhere", "nowhere is not there")


def test_only_a_structure_set(dicom: Any) -> None:
    dicom.rtstruct([("GTV", [])])
    refused(dicom.root, "structure sets")


def test_only_localizers(dicom: Any) -> None:
    dicom.series(edit=lambda ds, z: setattr(ds, "ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    refused(dicom.root, "localizer")


@pytest.mark.parametrize(
    ("keyword", "value", "word"),
    [
        ("RescaleSlope", "NaN", "RescaleSlope"),
        ("RescaleSlope", 0, "RescaleSlope"),
        ("RescaleIntercept", "inf", "RescaleSlope or RescaleIntercept"),
        ("ImagePositionPatient", None, "ImagePositionPatient"),
        ("ImageOrientationPatient", None, "ImageOrientationPatient"),
        ("PixelSpacing", None, "PixelSpacing"),
        ("PixelSpacing", [0, 1], "pixel spacing"),
        ("ImageOrientationPatient", [1, 0, 0, 1, 0, 0], "right angles"),
        ("ImageOrientationPatient", [0, 0, 0, 0, 0, 0], "right angles"),
    ],
)
def test_unusable_attributes(dicom: Any, keyword: str, value: Any, word: str) -> None:
    def edit(ds: Any, z: int) -> None:
        if value is None:
            delattr(ds, keyword)
        elif isinstance(value, str):
            ds[keyword] = pydicom.DataElement(pydicom.datadict.tag_for_keyword(keyword), "DS", value, validation_mode=0)
        else:
            setattr(ds, keyword, value)

    dicom.series(edit=edit)
    refused(dicom.root, word)


def test_multiframe_without_positions(dicom: Any) -> None:
    (path,) = dicom.series(slices=1)

    def edit(ds: Any) -> None:
        ds.NumberOfFrames = 2
        ds.PixelData = ds.PixelData * 2

    refused(dicom.change(path, edit), "2 frames without a position")


def test_single_images_in_different_directions(dicom: Any) -> None:
    for index, orientation in enumerate([(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1)]):
        dicom.series(f"p{index}", uid="1.2.3", slices=1, orientation=orientation)
    refused(dicom.root, "different directions")
