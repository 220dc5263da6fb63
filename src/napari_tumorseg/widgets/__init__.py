"""The only floor that knows Qt and napari."""
