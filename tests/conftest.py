"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

VARIABLE = "TUMORSEG_TEST_DATA"

# Deadlines and "too slow" say how busy the machine is, not whether the code is right.
hypothesis.settings.register_profile("steady", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True)
hypothesis.settings.load_profile("steady")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test that needs a window where there is no display, before Qt ends the whole run."""
    needs_window = "qapp" in getattr(item, "fixturenames", ())
    if needs_window and sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        pytest.fail(
            "This test opens a window and there is no display: DISPLAY is not set and Xvfb is not installed. "
            "Install it (on Debian or Ubuntu: apt-get install xvfb), or leave these tests out with --ignore=tests/gui.",
            pytrace=False,
        )


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
