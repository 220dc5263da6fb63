"""Tumour segmentation in napari: pre-segment, correct, measure, and keep the record of every change.

Research use only. Not a medical device; not for diagnosis, treatment or planning.
"""

__all__ = ["__version__"]

__version__: str


def __getattr__(name: str) -> str:
    """Look the version up when it is first asked for: the library that knows it is slow to import."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = version("napari-tumorseg")
    except PackageNotFoundError:  # a source tree on the path, not installed
        found = "0+unknown"
    globals()["__version__"] = found
    return found
