"""The case that comes with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

__all__ = ["SAMPLE_TITLE", "sample_folder"]

#: What the user reads.
SAMPLE_TITLE = "Brain metastases (generated)"


def sample_folder() -> Path:
    """Return the folder of the generated case of brain metastases."""
    return Path(str(files("napari_tumorseg"))) / "sample_data" / "brain_mets"
