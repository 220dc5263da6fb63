"""Tumour segmentation in napari: pre-segment, correct, measure, and keep the record of every change.

Research use only. Not a medical device; not for diagnosis, treatment or planning.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("napari-tumorseg")
except PackageNotFoundError:  # a source tree on the path, not installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
