"""Volumes and masks as napari layer data, and back, with their geometry.

World coordinates of a layer are millimetres to inferior, posterior and left (see
`workflows.scene`), so that images that are opened one by one lie where the patient has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.case import MaskKind, MaskVersion, Review
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import LabelSchema
from napari_tumorseg.core.volume import Source, Volume
from napari_tumorseg.workflows.display import colormap_for, display_window
from napari_tumorseg.workflows.scene import Scene

if TYPE_CHECKING:
    from napari_tumorseg.io.slides import SlideReader

__all__ = [
    "LAYER_KEY",
    "SLIDE_KEY",
    "LayerGeometry",
    "layer_to_mask",
    "layer_to_volume",
    "mask_to_layer",
    "slide_to_layers",
    "volume_to_layers",
]

#: Key of a `LayerGeometry` in a layer's metadata.
LAYER_KEY = "tumorseg"
#: Key of the open `io.slides.SlideReader` in a slide layer's metadata.
SLIDE_KEY = "tumorseg_slide"

LayerData = tuple[Any, dict[str, Any], str]

_FLUORESCENCE = ("bop blue", "green", "red", "magenta", "cyan", "yellow", "gray")

# World (inferior, posterior, left) to RAS millimetres.
_WORLD_TO_RAS = np.array([[0, 0, -1, 0], [0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, 0, 1]], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class LayerGeometry:
    """What a layer remembers of the file it came from.

    Attributes
    ----------
    grid : Grid
        Grid of the image in the file's own axes.
    schema : LabelSchema, optional
        Of a mask.
    source : Source, optional
        File, format and header of the image.
    modality, unit : str
        Of an image.
    kind : MaskKind
        Who made a mask.
    review : Review
        What a person has said about it when the layer was made.
    """

    grid: Grid
    schema: LabelSchema | None = None
    source: Source | None = None
    modality: str = ""
    unit: str = ""
    kind: MaskKind = MaskKind.RATER
    review: Review = Review.IN_CORRECTION


def volume_to_layers(volume: Volume, scene: Scene | None = None) -> list[LayerData]:
    """Return napari layer data of a volume, one per named channel.

    Parameters
    ----------
    volume : Volume
        The image.
    scene : Scene, optional
        Where it is shown; its own grid's by default.
    """
    scene = scene or Scene(volume.grid)
    own = volume.grid.matches(scene.reference)
    # A resampled picture has the reference's voxels, so its file's header no longer describes it.
    geometry = LayerGeometry(scene.reference, None, volume.source if own else None, volume.modality, volume.unit)
    window = display_window(volume)
    layers: list[LayerData] = []
    for channel, picture, colour in scene.pictures(volume):
        meta: dict[str, Any] = {
            "name": " ".join(part for part in (volume.modality or volume.name or "Image", channel) if part),
            "scale": scene.scale_mm,
            "translate": scene.translate_mm,
            "units": ("mm", "mm", "mm"),
            "metadata": {LAYER_KEY: geometry},
        }
        if colour:
            meta["rgb"] = True
        else:
            meta |= {"colormap": colormap_for(volume), "contrast_limits": (window.low, window.high)}
        layers.append((picture, meta, "image"))
    return layers


def slide_to_layers(reader: SlideReader) -> list[LayerData]:
    """Return napari layer data of an open slide: one multiscale layer, or one for each channel of fluorescence.

    World coordinates are micrometres, or pixels where the slide's resolution is not known. Damaged tiles are shown as marked blanks.
    The slide stays open as long as the layers live.
    """
    slide = reader.slide
    colours = slide.is_rgb
    common = {
        "multiscale": True,
        "scale": slide.mpp_um or (1.0, 1.0),
        "units": ("um", "um") if slide.mpp_um else ("pixel", "pixel"),
        "metadata": {SLIDE_KEY: reader},
    }
    levels = range(len(slide.levels))
    if colours:
        data = [reader.level_array(level, mark_damage=True) for level in levels]
        return [(data, {**common, "name": slide.path.name, "rgb": True}, "image")]
    overview, _ = reader.thumbnail()
    layers: list[LayerData] = []
    for channel, name in enumerate(slide.channels):
        data = [reader.level_array(level, mark_damage=True, channel=channel) for level in levels]
        low, high = (float(value) for value in np.percentile(overview[..., channel], (0.5, 99.8)))
        meta = {**common, "name": f"{slide.path.name} {name}", "contrast_limits": (low, max(high, low + 1e-6)), "blending": "additive"}
        if len(slide.channels) > 1:
            meta["colormap"] = _FLUORESCENCE[channel % len(_FLUORESCENCE)]
        layers.append((data, meta, "image"))
    return layers


def mask_to_layer(mask: MaskVersion, name: str, source: Source | None = None) -> LayerData:
    """Return napari layer data of a mask in its schema's colours."""
    scene = Scene(mask.grid)
    colours: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
    colours |= {label.value: label.colour for label in mask.schema.labels}
    meta = {
        "name": name,
        "scale": scene.scale_mm,
        "translate": scene.translate_mm,
        "units": ("mm", "mm", "mm"),
        "colormap": colours,
        "opacity": 0.6,
        "metadata": {LAYER_KEY: LayerGeometry(mask.grid, mask.schema, source, kind=mask.kind, review=mask.review)},
    }
    return np.ascontiguousarray(scene.to_scene(mask.labels)), meta, "labels"


def _grid_of(data: npt.NDArray[Any], meta: Mapping[str, Any]) -> Grid:
    """Return the grid of a layer that remembers none, from its place in the world."""
    affine = np.eye(4)
    affine[:3, :3] = np.diag(np.asarray(meta.get("scale", (1, 1, 1)), float)[-3:])
    affine[:3, 3] = np.asarray(meta.get("translate", (0, 0, 0)), float)[-3:]
    own = np.asarray(meta.get("affine", np.eye(4)), float)
    if own.shape == (4, 4):
        affine = own @ affine
    z, y, x = data.shape
    return Grid((z, y, x), _WORLD_TO_RAS @ affine)


def _remembered(data: npt.NDArray[Any], meta: Mapping[str, Any]) -> LayerGeometry | None:
    geometry = (meta.get("metadata") or {}).get(LAYER_KEY)
    if not isinstance(geometry, LayerGeometry):
        return None
    if data.shape[:3] != Scene(geometry.grid).grid.shape:
        # The layer was cut or resampled since; its place in the world is what counts then.
        return None
    return geometry


def _three_axes(data: Any, meta: Mapping[str, Any]) -> npt.NDArray[Any]:
    array = np.asarray(data)
    if array.ndim != 3:
        raise InputError(f"The layer {meta.get('name', '')!r} has {array.ndim} axes, not three.", "Save a 3-D layer.")
    return array


def layer_to_mask(data: Any, meta: Mapping[str, Any]) -> tuple[MaskVersion, Volume | None]:
    """Return the mask of a Labels layer and, where the layer remembers it, the image it lies on.

    Parameters
    ----------
    data : array_like
        Shape (z, y, x) in scene axes, integer.
    meta : mapping
        As napari hands it to a writer: "name", "metadata", "scale", "translate", "affine".

    Raises
    ------
    InputError
        If the layer is not 3-D or holds numbers that are no labels.
    """
    from napari_tumorseg.io.schemas import schema_for

    array = _three_axes(data, meta)
    if array.size and (array.min() < 0 or array.max() > 65535):
        raise InputError(f"The layer {meta.get('name', '')!r} holds numbers outside 0 to 65535.", "Labels are numbers in that range.")
    geometry = _remembered(array, meta)
    grid = geometry.grid if geometry else _grid_of(array, meta)
    labels = np.ascontiguousarray(Scene(grid).from_scene(array) if geometry else array)
    labels = labels.astype(np.uint8 if labels.max(initial=0) < 256 else np.uint16)
    schema = geometry.schema if geometry else None
    if schema is None:
        schema = schema_for(labels, None, str(meta.get("name", "")))
    kind, review = (geometry.kind, geometry.review) if geometry else (MaskKind.RATER, Review.IN_CORRECTION)
    mask = MaskVersion(labels, grid, schema, kind, review=review)
    if geometry is None or geometry.source is None:
        return mask, None
    # The writers need grid and header of the image, never its voxels.
    blank = np.broadcast_to(np.zeros((), np.uint8), grid.shape)
    return mask, Volume(blank, grid, geometry.modality, name=geometry.source.paths[0].name, source=geometry.source)


def layer_to_volume(data: Any, meta: Mapping[str, Any]) -> Volume:
    """Return the volume of an Image layer, on the grid it remembers where it still has its shape."""
    array = _three_axes(data, meta)
    geometry = _remembered(array, meta)
    name = str(meta.get("name", ""))
    if geometry is None:
        return Volume(array, _grid_of(array, meta), name=name)
    own = np.ascontiguousarray(Scene(geometry.grid).from_scene(array))
    return Volume(own, geometry.grid, geometry.modality, geometry.unit, name=name, source=geometry.source)
