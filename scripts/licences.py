"""Print the licences of everything that the package installs, as docs/licences.md has them.

Run in an environment with the package in it::

    python scripts/licences.py > docs/licences.md

Ends with status 1 when something else than the Qt binding is under the GPL or states no licence.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = "napari-tumorseg"
#: What a user gets with `all`, apart from the Qt binding.
EXTRAS = ("gui", "compressed-dicom", "postgres", "slides")
#: The user's choice; each is an extra of its own and nothing of it is shipped.
QT_BINDINGS = ("PyQt6", "PySide6")
NOT_STATED = "not stated"


@dataclass(frozen=True)
class Package:
    """A distribution and what it says about its licence."""

    name: str
    licence: str
    direct: bool

    @property
    def refused(self) -> bool:
        """Whether it is under the GPL or AGPL with no other choice, or does not say.

        The LGPL is not meant, nor a runtime that the GPL's own exception lets anyone link.
        """
        choices = re.split(r"\s+OR\s+", self.licence)
        return self.licence == NOT_STATED or all(_is_gpl(choice) for choice in choices)


def _is_gpl(licence: str) -> bool:
    without_runtimes = re.sub(r"GPL\S* WITH \S*exception\S*", "", licence, flags=re.IGNORECASE)
    return re.search(r"\bA?GPL|(?<!lesser )\bgeneral public", without_runtimes, re.IGNORECASE) is not None


def licence_of(found: Distribution) -> str:
    """Return the licence of a distribution as its metadata state it, on one line."""
    metadata = found.metadata
    classifiers = [c.rpartition(" :: ")[2] for c in metadata.get_all("Classifier", []) if c.startswith("License :: ") and c.count("::") > 1]
    stated = metadata.get("License-Expression") or "; ".join(classifiers) or (metadata.get("License") or "").strip().partition("\n")[0]
    return stated or NOT_STATED


def requirements(found: Distribution, extras: Iterable[str]) -> list[Requirement]:
    """Return what a distribution with some extras needs on this machine."""
    names = ["", *extras]
    parsed = [Requirement(line) for line in found.requires or ()]
    return [r for r in parsed if r.marker is None or any(r.marker.evaluate({"extra": name}) for name in names)]


def installed(extras: Iterable[str] = EXTRAS) -> list[Package]:
    """Return everything that the package needs with `extras`, directly or not, sorted by name."""
    seen: dict[str, Package] = {}
    waiting = [(need, True) for need in requirements(distribution(PROJECT), extras)]
    visited: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        need, direct = waiting.pop(0)
        name = canonicalize_name(need.name)
        if (name, frozenset(need.extras)) in visited or name == PROJECT:
            continue
        visited.add((name, frozenset(need.extras)))
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # an extra that is not installed here
        if name not in seen:
            seen[name] = Package(found.metadata["Name"], licence_of(found), direct)
        waiting += [(further, False) for further in requirements(found, need.extras)]
    return [seen[name] for name in sorted(seen)]


def as_markdown(packages: Iterable[Package]) -> str:
    """Return the page."""
    packages = list(packages)

    def table(rows: Iterable[Package]) -> list[str]:
        return ["| Package | Licence |", "|---|---|", *(f"| {p.name} | {p.licence} |" for p in rows)]

    bindings = [Package(name, licence_of(distribution(name)), True) for name in QT_BINDINGS if _is_installed(name)]
    return "\n".join(
        [
            "# Licences of what is installed",
            "",
            "The package itself is under the Apache License 2.0. Models have licences of their own, which their cards name and",
            "their folders hold. This page is written by `python scripts/licences.py`; a test fails when a package under the GPL,",
            "or without a licence, comes in.",
            "",
            "## Required directly",
            "",
            *table(p for p in packages if p.direct),
            "",
            "## Required by those",
            "",
            "As resolved on Linux with a CPU build of torch; a CUDA build adds NVIDIA's own packages, under NVIDIA's licences.",
            "",
            *table(p for p in packages if not p.direct),
            "",
            "## The Qt binding",
            "",
            "The code is written against qtpy and runs with PyQt6 or PySide6, whichever is installed. PyQt6 is under the GPL (or",
            "Riverbank's commercial licence), PySide6 under the LGPL. Neither is a requirement of the package: each is an extra",
            "(`pyqt6`, `pyside6`), and `all` takes PyQt6 because it is a third of the size. Whoever hands on the program together",
            "with its Qt binding chooses PySide6: `pip install 'napari-tumorseg[gui,pyside6]'`.",
            "",
            *table(bindings),
            "",
        ]
    )


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def main() -> int:
    """Print the page; return 1 when a package cannot be required."""
    packages = installed()
    print(as_markdown(packages), end="")
    offending = [p for p in packages if p.refused]
    for package in offending:
        print(f"{package.name} cannot be required: its licence is {package.licence}.", file=sys.stderr)
    return 1 if offending else 0


if __name__ == "__main__":
    sys.exit(main())
