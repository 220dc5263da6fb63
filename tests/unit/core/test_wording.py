from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_tumorseg.core.wording import ml_text


@pytest.mark.parametrize(
    ("volume_ml", "text"),
    [
        (0.0, "0"),
        (0.00001, "<0.0001"),
        (0.0001, "0.0001"),
        (0.004, "0.004"),
        (0.0999, "0.10"),
        (0.4, "0.40"),
        (9.994, "9.99"),
        (9.996, "10.0"),
        (99.94, "99.9"),
        (99.96, "100"),
        (110.0, "110"),
        (1234.0, "1234"),
    ],
)
def test_volumes_are_read_without_exponents(volume_ml: float, text: str) -> None:
    assert ml_text(volume_ml) == text


@given(st.floats(0.0001, 1e5))
def test_what_is_read_is_the_volume(volume_ml: float) -> None:
    text = ml_text(volume_ml)
    assert re.fullmatch(r"\d+(\.\d+)?", text)
    assert float(text) == pytest.approx(volume_ml, rel=0.0501)
