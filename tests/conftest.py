"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

VARIABLE = "TUMORSEG_TEST_DATA"


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Return a function that gives a path inside the real test data, or skips and says so."""
    root = Path(os.environ.get(VARIABLE) or Path(__file__).parents[2] / "shared" / "data")

    def find(relative: str) -> Path:
        path = root / relative
        if not path.exists():
            pytest.skip(f"real data not found: {relative} is not below {VARIABLE}={root}")
        return path

    return find
