"""What napari calls for files: readers, writers and sample data."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari_tumorseg._layers import LayerData

__all__ = ["get_reader", "is_mask_file", "read_slides", "sample_case", "write_image", "write_labels"]

PathOrPaths = str | Sequence[str]
Reader = Callable[[PathOrPaths], list[LayerData]]


def get_reader(path: PathOrPaths) -> Reader | None:
    """Return a function that reads `path` into layers, or None when nothing here reads it.

    Folders are looked at but not read: one that holds no image of a known kind is left to others. Whole slides, which are told
    from stacks by what is in the file, are read by `read_slides`.
    """
    from napari_tumorseg.core.errors import TumorSegError
    from napari_tumorseg.io.registry import format_of
    from napari_tumorseg.io.slide_kinds import is_slide

    paths = [path] if isinstance(path, str) else list(path)
    if paths and all(is_slide(Path(item)) for item in paths):
        return read_slides
    try:
        for item in paths:
            format_of(Path(item))
    except (TumorSegError, OSError):
        return None
    return read_layers if paths else None


def read_layers(path: PathOrPaths) -> list[LayerData]:
    """Read images and masks; masks are shown on the grid of their file.

    A file counts as a mask when its format holds nothing else, or its name says so ("seg", "mask").
    """
    from napari_tumorseg._layers import mask_to_layer, volume_to_layers
    from napari_tumorseg.io import registry

    paths = [Path(p) for p in ([path] if isinstance(path, str) else path)]
    if len(paths) == 1 and paths[0].is_dir():
        return _case_layers(paths[0])
    masks = [p for p in paths if is_mask_file(p)]
    volumes = [volume for p in paths if p not in masks for volume in registry.read_images(p)]
    layers = [layer for volume in volumes for layer in volume_to_layers(volume)]
    for file in masks:
        reference = volumes[0] if len(volumes) == 1 else None
        mask = registry.read_mask(file, reference=reference)
        layers.append(mask_to_layer(mask, file.name.split(".")[0], reference.source if reference else None))
    return layers


def read_slides(path: PathOrPaths) -> list[LayerData]:
    """Open slides as multiscale layers in micrometres; what is missing or odd is a warning, which napari shows.

    No pixels of a brightfield slide are read here.
    """
    from napari_tumorseg._layers import slide_to_layers
    from napari_tumorseg.io.slides import open_slide

    layers: list[LayerData] = []
    for item in [path] if isinstance(path, str) else path:
        reader = open_slide(Path(item))
        if reader.slide.notes:
            warnings.warn(f"{reader.slide.path.name}: {' '.join(reader.slide.notes)}", UserWarning, stacklevel=2)
        layers += slide_to_layers(reader)
    return layers


def is_mask_file(path: Path) -> bool:
    """Whether a path is a mask: by its format where that holds nothing else, otherwise by its name."""
    from napari_tumorseg.core.errors import InputError
    from napari_tumorseg.io.modality import is_mask_name
    from napari_tumorseg.io.registry import format_of

    if not path.is_file():
        return False
    try:
        return format_of(path) in ("dicom-seg", "rtstruct") or is_mask_name(path)
    except InputError:
        return False


def write_labels(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a Labels layer as a mask with the geometry of its image."""
    from napari_tumorseg._layers import layer_to_mask
    from napari_tumorseg.workflows.save import save_mask

    mask, reference = layer_to_mask(data, meta)
    return [str(save_mask(mask, reference, Path(path)))]


def write_image(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write an Image layer on the grid it remembers."""
    from napari_tumorseg._layers import layer_to_volume
    from napari_tumorseg.io import registry

    return [str(registry.write_image(Path(path), layer_to_volume(data, meta)))]


def sample_case() -> list[LayerData]:
    """Return the layers of the generated case of brain metastases."""
    from napari_tumorseg.workflows.sample import sample_folder

    return _case_layers(sample_folder())


def _case_layers(folder: Path) -> list[LayerData]:
    """Return the newest visit of a case: the sequence that is read first is visible, masks are there and hidden."""
    from napari_tumorseg._layers import mask_to_layer, volume_to_layers
    from napari_tumorseg.io.cases import read_case
    from napari_tumorseg.workflows.display import in_reading_order
    from napari_tumorseg.workflows.scene import Scene

    point = read_case(folder).latest
    names = in_reading_order(point.volumes)
    scene = Scene(point.volumes[names[0]].grid)
    layers = [layer for name in reversed(names) for layer in volume_to_layers(point.volumes[name], scene)]
    for _, meta, _ in layers[:-1]:
        meta["visible"] = False
    for name, versions in point.masks.items():
        source = next((v.source for v in point.volumes.values() if v.grid.matches(versions[-1].grid)), None)
        data, meta, kind = mask_to_layer(versions[-1], name, source)
        layers.append((data, {**meta, "visible": False}, kind))
    return layers
