"""File names: suffixes of two parts, stems, order as people count."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["DOUBLE_SUFFIXES", "natural_key", "stem_of", "suffix_of"]

#: Suffixes that count as one.
DOUBLE_SUFFIXES = (".nii.gz", ".seg.nrrd", ".seg.nhdr", ".ome.tif", ".ome.tiff")


def suffix_of(path: Path) -> str:
    """Return the suffix in lower case, double ones whole: ".nii.gz"."""
    name = path.name.lower()
    return next((suffix for suffix in DOUBLE_SUFFIXES if name.endswith(suffix)), path.suffix.lower())


def stem_of(path: Path) -> str:
    """Return the name without its suffix, double ones whole: "t1c" for "t1c.nii.gz"."""
    suffix = suffix_of(path)
    return path.name[: -len(suffix)] if suffix else path.name


def natural_key(path: Path) -> list[tuple[int, int | str]]:
    """Return a sort key by which "slice2" comes before "slice10"."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts if part]
