"""The plain implementation of the definitions, for the tests of this folder."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def plain_scores() -> ModuleType:
    path = Path(__file__).with_name("plain_scores.py")
    spec = importlib.util.spec_from_file_location("plain_scores", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
