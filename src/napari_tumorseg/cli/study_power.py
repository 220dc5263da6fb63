"""``tumorseg study power``: how many raters and cases a study needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_tumorseg.cli.console import emit, shown_progress
from napari_tumorseg.core.errors import InputError

__all__ = ["power"]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def power(
    saving: Annotated[float, typer.Option(help="Smallest saving of time to be found, in %.")] = 30.0,
    raters: Annotated[str, typer.Option(help="Numbers of raters to try, with commas.")] = "4,6,8,12",
    cases: Annotated[str, typer.Option(help="Numbers of cases to try, with commas.")] = "10,20,40",
    pilot: Annotated[Path | None, typer.Option(help="CSV of pilot readings: rater,case,arm,period,order,lesions,seconds.")] = None,
    sd: Annotated[list[str] | None, typer.Option(help="NAME=SD of log time, e.g. rater_arm_sd=0.2; may be repeated.")] = None,
    protocol: Annotated[str, typer.Option(help="Protocol whose allocation is used: a name or a TOML file.")] = "",
    arms: Annotated[str, typer.Option(help="The two arms, from scratch first.")] = "scratch,ai",
    studies: Annotated[int, typer.Option(help="Simulated studies for each size.")] = 200,
    draws: Annotated[int, typer.Option(help="Re-drawn allocations for each test.")] = 199,
    alpha: Annotated[float, typer.Option(help="Two-sided level.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Of all draws.")] = 0,
    as_json: Json = False,
) -> None:
    """Simulate studies from pilot data or typed variances and show the power over raters and cases."""
    from napari_tumorseg.workflows.study_power import PowerRequest, power_text, study_power

    names = tuple(part.strip() for part in arms.split(","))
    if len(names) != 2:
        raise InputError(f"--arms {arms!r} does not name two arms.", "Write, e.g., --arms scratch,ai.")
    spreads = dict(_spread(text) for text in sd or ())
    sizes = _numbers("--raters", raters), _numbers("--cases", cases)
    request = PowerRequest(saving, *sizes, pilot, spreads, protocol, (names[0], names[1]), studies, draws, alpha, seed)
    with shown_progress() as progress:
        document = study_power(request, progress)
    emit(document, as_json=as_json, text=power_text(document))


def _numbers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise InputError(f"{option} {text!r} is no list of numbers.", f"Write, e.g., {option} 6,8,12.") from None


def _spread(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name.strip(), float(value)
    except ValueError:
        raise InputError(f"--sd {text!r} is no standard deviation.", "Write NAME=NUMBER, e.g. --sd rater_arm_sd=0.2.") from None
