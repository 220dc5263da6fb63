"""What the package requires may be handed on under its own licence."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def licences() -> ModuleType:
    spec = importlib.util.spec_from_file_location("licences", ROOT / "scripts" / "licences.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name.
    sys.modules["licences"] = module
    spec.loader.exec_module(module)
    return module


def test_nothing_required_is_under_the_gpl(licences: ModuleType) -> None:
    packages = licences.installed()
    assert {"torch", "napari"} <= {package.name for package in packages if package.direct}
    assert not {"PyQt6", "PySide6"} & {package.name for package in packages}
    assert [(p.name, p.licence) for p in packages if p.refused] == []


def test_the_page_names_every_direct_requirement(licences: ModuleType) -> None:
    page = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    missing = [p.name for p in licences.installed() if p.direct and f"| {p.name} |" not in page]
    assert missing == [], "run: python scripts/licences.py > docs/licences.md"


@pytest.mark.parametrize(
    ("licence", "refused"),
    [
        ("GPL-3.0-only", True),
        ("GNU General Public License v3 (GPLv3)", True),
        ("AGPL-3.0-or-later", True),
        ("MIT AND GPL-2.0-or-later", True),
        ("not stated", True),
        ("MIT OR GPL-3.0-only", False),
        ("LGPL-3.0-or-later", False),
        ("GNU Lesser General Public License v3 (LGPLv3)", False),
        ("BSD-3-Clause AND GPL-3.0-or-later WITH GCC-exception-3.1", False),
        ("Apache-2.0", False),
    ],
)
def test_which_licences_are_refused(licences: ModuleType, licence: str, refused: bool) -> None:
    assert licences.Package("x", licence, direct=True).refused == refused
