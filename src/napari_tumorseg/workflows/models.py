"""Describe and check the models of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from napari_tumorseg.catalogue.registry import Catalogue
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.segmenter import SegmenterSpec
from napari_tumorseg.workflows.environment import load_settings

__all__ = ["check", "describe", "describe_all", "open_catalogue"]


def open_catalogue(env: Mapping[str, str] | None = None) -> Catalogue:
    """Return the catalogue of this user."""
    return Catalogue(load_settings(env))


def describe_all(catalogue: Catalogue | None = None) -> list[dict[str, Any]]:
    """Return a row per model: name, title, ready, reason, inputs, licence, commercial_use."""
    catalogue = catalogue or open_catalogue()
    rows = []
    for name in catalogue.names():
        state = catalogue.state(name)
        row: dict[str, Any] = {"name": name, "title": "", "ready": state.ready, "reason": state.reason}
        # A model whose card cannot be read is listed with the reason alone.
        with suppress(InputError):
            spec = catalogue.spec(name)
            row |= {"title": spec.title, "inputs": list(spec.modalities), "licence": spec.licence, "commercial_use": spec.commercial_use}
        rows.append(row)
    return rows


def describe(name: str, catalogue: Catalogue | None = None) -> dict[str, Any]:
    """Return all that is known about a model; "text" is for people."""
    catalogue = catalogue or open_catalogue()
    spec, state = catalogue.spec(name), catalogue.state(name)
    table = asdict(spec)
    table["schema"] = spec.schema.name
    return {
        **table,
        "ready": state.ready,
        "reason": state.reason,
        "card": catalogue.card(name),
        "text": _text(spec, state.ready, state.reason, catalogue.card(name)),
    }


def _text(spec: SegmenterSpec, ready: bool, reason: str, card: str) -> str:
    needs = ", ".join(n.modality + ("" if n.required else " (optional)") for n in spec.inputs)
    lines = [
        f"{spec.name} {spec.version}: {spec.title}",
        f"Ready: {'yes' if ready else 'no'}{'. ' + reason if reason else ''}",
        f"Needs: {needs}{'; the brain alone, without skull' if spec.skull_stripped else ''}",
        f"Gives: {', '.join(f'{label.value} {label.name}' for label in spec.schema.labels)} ({spec.schema.name})",
        f"Trained on: {spec.trained_on}",
        f"Licence of the weights: {spec.licence}; commercial use {'allowed' if spec.commercial_use else 'not allowed'}",
        f"Cite: {spec.citation}",
        *(f"Limit: {w}" for w in spec.warnings),
    ]
    return "\n".join(lines) + (f"\n\n{card}" if card else "")


def check(name: str | None = None, catalogue: Catalogue | None = None) -> dict[str, list[str]]:
    """Return what is wrong with one model or with all, by name; empty lists are sound."""
    catalogue = catalogue or open_catalogue()
    names = (name,) if name else catalogue.names()
    return {n: catalogue.check(n) for n in names}
