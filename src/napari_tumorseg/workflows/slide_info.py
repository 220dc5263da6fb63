"""What a slide file holds, and what is missing for measuring in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_tumorseg.core.jobs import Progress

__all__ = ["SlideInfoRequest", "as_text", "slide_info"]


@dataclass(frozen=True)
class SlideInfoRequest:
    """Which slide, and micrometres per pixel (y, x) where the user states them."""

    slide: Path
    mpp_um: tuple[float, float] | None = None


def slide_info(request: SlideInfoRequest, progress: Progress | None = None) -> dict[str, Any]:
    """Return levels, resolution, scanner and what is missing; pixels are not read, label and macro images only named.

    Returns
    -------
    dict
        ``slide, format, vendor, objective, mpp_um, mpp_from, size_px, size_mm, channels, dtype, is_rgb, levels, associated,
        missing, notes``; each level ``shape, tile, downsample, mpp_um, made``. Pairs are (y, x).

    Raises
    ------
    InputError
        As `io.slides.open_slide`.
    """
    from napari_tumorseg.io.slides import open_slide

    (progress or Progress()).update(0.0, f"Opening {request.slide.name}")
    with open_slide(request.slide, mpp_um=request.mpp_um) as reader:
        slide, layouts = reader.slide, reader.layouts
    mpp = slide.mpp_um
    native = len(slide.levels) - slide.made_levels
    levels = [
        {
            "shape": list(layout.shape),
            "tile": list(layout.tile),
            "downsample": list(layout.downsample),
            "mpp_um": [mpp[i] * layout.downsample[i] for i in range(2)] if mpp else None,
            "made": index >= native,
        }
        for index, layout in enumerate(layouts)
    ]
    missing = [name for name, there in (("mpp_um", mpp), ("objective", slide.objective), ("vendor", slide.vendor)) if not there]
    return {
        "slide": slide.path.name,
        "format": slide.format,
        "vendor": slide.vendor or None,
        "objective": slide.objective,
        "mpp_um": list(mpp) if mpp else None,
        "mpp_from": slide.mpp_from or None,
        "size_px": list(slide.levels[0].shape),
        "size_mm": [mpp[i] * slide.levels[0].shape[i] / 1000.0 for i in range(2)] if mpp else None,
        "channels": list(slide.channels),
        "dtype": slide.dtype,
        "is_rgb": slide.is_rgb,
        "levels": levels,
        "associated": list(slide.associated),
        "missing": missing,
        "notes": list(slide.notes),
    }


def as_text(document: dict[str, Any]) -> str:
    """Return the result for people."""
    height, width = document["size_px"]
    size = f"{width:,} x {height:,} pixels"
    if document["size_mm"]:
        size += f", {document['size_mm'][1]:.2f} x {document['size_mm'][0]:.2f} mm"
    mpp = document["mpp_um"]
    resolution = f"{mpp[1]:g} x {mpp[0]:g} um per pixel ({document['mpp_from']})" if mpp else "not known; state it with --mpp"
    objective = f"{document['objective']:g}x" if document["objective"] else "not stated"
    lines = [
        f"{document['slide']}: {document['format']}" + (f", {document['vendor']}" if document["vendor"] else ""),
        f"Size: {size}",
        f"Resolution: {resolution}",
        f"Objective: {objective}",
        f"Pixels: {', '.join(document['channels'])} ({document['dtype']})",
    ]
    for index, level in enumerate(document["levels"]):
        factor = " x ".join(dict.fromkeys(f"{value:.6g}" for value in reversed(level["downsample"])))
        made = ", averaged when looked at" if level["made"] else f", tiles {level['tile'][1]} x {level['tile'][0]}"
        lines.append(f"Level {index}: {level['shape'][1]:,} x {level['shape'][0]:,}, factor {factor}{made}")
    if document["associated"]:
        lines.append(f"Beside the slide, not shown: {', '.join(document['associated'])} (label and macro may show the patient's name)")
    return "\n".join([*lines, *(f"Note: {note}" for note in document["notes"])])
