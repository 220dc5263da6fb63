from __future__ import annotations

import pickle

import pytest

from napari_tumorseg.core import errors
from napari_tumorseg.core.errors import Cancelled, GeometryError, InputError, TumorSegError


def test_an_error_is_one_line_of_message_and_hint() -> None:
    error = InputError("t1.nii.gz is cut short\n  at 3.1 of 8.9 MB.", "Copy it again.")
    assert str(error) == "t1.nii.gz is cut short at 3.1 of 8.9 MB. Copy it again."
    assert (error.message, error.hint) == ("t1.nii.gz is cut short\n  at 3.1 of 8.9 MB.", "Copy it again.")
    assert str(TumorSegError("Alone.")) == "Alone."


def test_errors_travel_between_processes() -> None:
    error = pickle.loads(pickle.dumps(GeometryError("Message.", "Hint.")))
    assert isinstance(error, InputError)
    assert (error.message, error.hint) == ("Message.", "Hint.")


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name != "Cancelled"])
def test_every_failure_is_one_of_ours(name: str) -> None:
    assert issubclass(getattr(errors, name), TumorSegError)


def test_cancelled_is_not_a_failure() -> None:
    assert not issubclass(Cancelled, TumorSegError)
