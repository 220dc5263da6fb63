"""``tumorseg models``: list, show, add and check models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_tumorseg.cli.console import emit

__all__ = ["models_app"]

models_app = typer.Typer(help="List, show, add and check models.", no_args_is_help=False, rich_markup_mode=None)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@models_app.command("list")
def list_models(as_json: Json = False) -> None:
    """List the models of the catalogue and whether each is ready."""
    from napari_tumorseg.workflows.models import describe_all

    rows = describe_all()
    lines = [
        f"{r['name']:<24} {'ready' if r['ready'] else 'not ready':<10} {r['title']}" + (f"\n{'':<24} {r['reason']}" if r["reason"] else "")
        for r in rows
    ]
    emit(rows, as_json=as_json, text="\n".join(lines))


@models_app.command("show")
def show_model(name: Annotated[str, typer.Argument(help="Name in the catalogue.")], as_json: Json = False) -> None:
    """Show a model's card: what it needs, what it was trained on, its limits and its licence."""
    from napari_tumorseg.workflows.models import describe

    document = describe(name)
    emit(document, as_json=as_json, text=document["text"])


@models_app.command("add")
def add_model(path: Annotated[Path, typer.Argument(help="Model folder, or folder of published weights.")], as_json: Json = False) -> None:
    """Add a model to your own folder; nothing of it is executed or unpickled."""
    from napari_tumorseg.workflows.models import open_catalogue

    name = open_catalogue().add(path)
    emit({"name": name}, as_json=as_json, text=f"Added {name}.")


@models_app.command("check")
def check_models(name: Annotated[str | None, typer.Argument(help="One model; all by default.")] = None, as_json: Json = False) -> int:
    """Check cards, weights and licences; exit status 2 when something is wrong."""
    from napari_tumorseg.workflows.models import check

    document = check(name)
    lines = [f"{n}: {'sound' if not problems else ''}".rstrip() + "".join(f"\n  {p}" for p in problems) for n, problems in document.items()]
    emit(document, as_json=as_json, text="\n".join(lines))
    return 2 if any(document.values()) else 0
