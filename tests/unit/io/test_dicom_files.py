"""What pydicom says and raises, in our words."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pydicom
import pytest

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.io.dicom_files import listening, parsing, read_dataset, safe_text


def test_harmless_warnings_are_dropped_and_others_become_one_sentence() -> None:
    notes: list[str] = []
    with listening(notes):
        warnings.warn("Invalid value for VR UI: 'x'", stacklevel=1)
    assert notes == []
    with listening(notes):
        warnings.warn("Secret^Person has something odd", stacklevel=1)
        warnings.warn("and again", stacklevel=1)
    assert len(notes) == 1
    assert "Secret" not in notes[0]


def test_warnings_of_other_kinds_pass() -> None:
    with pytest.raises(DeprecationWarning), listening():
        warnings.warn("old", DeprecationWarning, stacklevel=1)


def test_a_listener_left_behind_by_another_thread_is_deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(warnings, "showwarning", lambda message, *rest, **named: shown.append(str(message)))
    outer, inner = listening(), listening()
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    inner.__exit__(None, None, None)  # leaves in the wrong order, which puts the outer one's function back
    warnings.showwarning("heard", UserWarning, "file.py", 1)
    assert shown == ["heard"]


def test_only_failures_inside_pydicom_blame_the_file() -> None:
    dataset = pydicom.Dataset()
    with pytest.raises(InputError, match=r"a\.dcm is damaged"), parsing("a.dcm"):
        dataset.PixelSpacing = ["x", "y"]
    with pytest.raises(ValueError, match="ours"), parsing("a.dcm"):
        raise ValueError("ours")


def test_attribute_that_cannot_be_read(dicom: Any) -> None:
    (path,) = dicom.series(slices=1)
    raw = path.read_bytes()
    at = raw.index(b"0.8\\0.7")
    path.write_bytes(raw[:at] + b"0,8\\0,7" + raw[at + 7 :])
    from napari_tumorseg.io.dicom import read_series

    with pytest.raises(InputError, match=r"damaged|PixelSpacing"):
        read_series(path)


def test_read_only_reports_rights(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read"):
        read_dataset(tmp_path)  # a folder


@pytest.mark.parametrize("text", ["MR of Secret", "for PERSON", "ID-4711 scan", "born 19500101"])
def test_texts_that_name_the_patient_are_dropped(dicom: Any, text: str) -> None:
    dataset = dicom.base("1.2.840.10008.5.1.4.1.1.2", "CT")
    assert safe_text(text, dataset) == ""
    assert safe_text("T1  post\n contrast", dataset) == "T1 post contrast"
