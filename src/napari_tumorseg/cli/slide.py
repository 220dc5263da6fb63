"""``tumorseg slide``: whole slides."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_tumorseg.cli.console import emit
from napari_tumorseg.core.errors import InputError

__all__ = ["slide_app"]

slide_app = typer.Typer(help="Whole slides of pathology.", no_args_is_help=False, rich_markup_mode=None)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Mpp = Annotated[str, typer.Option("--mpp", help="Micrometres per pixel, where the file says none or a wrong one: 0.25, or y,x.")]


@slide_app.callback()
def slides() -> None:
    """Whole slides of pathology."""


@slide_app.command("info")
def info(
    slide: Annotated[Path, typer.Argument(help="A slide file, or the folder of a DICOM or OME-Zarr slide.")],
    mpp: Mpp = "",
    as_json: Json = False,
) -> None:
    """Say what a slide holds: levels, resolution, size, scanner, and what is missing."""
    from napari_tumorseg.workflows.slide_info import SlideInfoRequest, as_text, slide_info

    document = slide_info(SlideInfoRequest(slide, parsed_mpp(mpp)))
    emit(document, as_json=as_json, text=as_text(document))


def parsed_mpp(text: str) -> tuple[float, float] | None:
    """Return micrometres per pixel (y, x) from the option, None when it is not given.

    Examples
    --------
    >>> parsed_mpp("0.25"), parsed_mpp("0.25,0.26"), parsed_mpp("")
    ((0.25, 0.25), (0.25, 0.26), None)
    """
    if not text:
        return None
    try:
        values = [float(part) for part in text.split(",")]
        y, x = values * 2 if len(values) == 1 else values
    except ValueError:
        raise InputError(f"--mpp {text} is not one number or two.", "Write e.g. --mpp 0.25 or --mpp 0.25,0.26 (y,x).") from None
    return y, x
