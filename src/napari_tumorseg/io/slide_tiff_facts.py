"""What a TIFF file says of a slide: which pages are levels, resolution, channels, and the images beside it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from typing import Any

from napari_tumorseg.io.slide_source import number
from napari_tumorseg.io.tiff_pages import ome_pixels, plane_spacing_mm

__all__ = ["associated_series", "channel_names", "level_series", "objective_of", "stated_resolution"]

_ASSOCIATED = ("label", "macro", "thumbnail", "overview")
_UM = {2: 25_400.0, 3: 10_000.0}  # micrometres of TIFF's units inch and centimetre


def level_series(file: Any) -> list[Any]:
    """Return the series of the pyramid's levels, largest first.

    tifffile knows pyramids in sub-images and in Aperio slides; a pyramid of pages one after another is
    told by its pages being marked as reduced images of the first, or tiled and of its proportions.
    """
    first = file.series[0]
    levels = list(first.levels)
    if len(levels) > 1:
        return levels
    height, width = first.keyframe.imagelength, first.keyframe.imagewidth
    for series in file.series[1:]:
        page, last = series.keyframe, levels[-1].keyframe
        same = (page.dtype, page.samplesperpixel, page.photometric) == (last.dtype, last.samplesperpixel, last.photometric)
        smaller = page.imagelength < last.imagelength and page.imagewidth < last.imagewidth
        # Each side is rounded to whole pixels, so that small levels have other proportions.
        in_proportion = abs(page.imagelength * width - page.imagewidth * height) <= 2 * max(height, width)
        if same and smaller and in_proportion and (page.is_reduced or (page.is_tiled and last.is_tiled)):
            levels.append(series)
    return levels


def associated_series(file: Any) -> dict[str, Any]:
    """Return label, macro and thumbnail by name."""
    found: dict[str, Any] = {}
    for series in file.series[1:]:
        name = str(series.name or "").strip().lower()
        if name in _ASSOCIATED:
            found.setdefault(name, series)
    return found


def channel_names(file: Any, count: int) -> tuple[str, ...]:
    """Return the names of the channels that are no colours, "1", "2", ... where the file gives none."""
    names: list[str] = []
    pixels = ome_pixels(file.ome_metadata) if file.is_ome else None
    if pixels is not None:
        names = [node.get("Name") or "" for node in pixels if node.tag.rsplit("}", 1)[-1] == "Channel"]
    return tuple(names[i] if i < len(names) and names[i] else str(i + 1) for i in range(count))


def stated_resolution(file: Any, series: Any) -> tuple[tuple[float | None, float | None], str]:
    """Return micrometres per pixel (y, x) as the file says, unchecked, and which field says it."""
    if file.is_svs:
        found = re.search(r"\|\s*MPP\s*=\s*([^|\s]+)", file.pages[0].description or "")
        mpp = number(found[1]) if found else None
        return (mpp, mpp), "aperio header"
    if file.is_ome or file.imagej_metadata is not None:
        y, x = plane_spacing_mm(file)
        return (y and y * 1000.0, x and x * 1000.0), "OME header" if file.is_ome else "ImageJ header"
    tags = series.keyframe.tags
    unit = tags.get("ResolutionUnit")
    factor = _UM.get(int(unit.value)) if unit is not None else None
    sides: list[float | None] = []
    for name in ("YResolution", "XResolution"):
        tag = tags.get(name)
        per_unit = tag.value[0] / tag.value[1] if tag is not None and tag.value[1] else 0.0
        sides.append(factor / per_unit if factor and per_unit else None)
    return (sides[0], sides[1]), "TIFF resolution"


def objective_of(file: Any) -> float | None:
    """Return the objective's magnification."""
    if file.is_svs:
        found = re.search(r"\|\s*AppMag\s*=\s*([^|\s]+)", file.pages[0].description or "")
        return number(found[1]) if found else None
    if not file.is_ome:
        return None
    try:
        root = ElementTree.fromstring(file.ome_metadata)
    except ElementTree.ParseError:
        return None
    found_one = next((node for node in root.iter() if node.tag.rsplit("}", 1)[-1] == "Objective"), None)
    return number(found_one.get("NominalMagnification")) if found_one is not None else None
