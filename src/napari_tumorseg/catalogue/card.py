"""Model folders: a `model.toml` read into a `SegmenterSpec`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_tumorseg.core.errors import InputError, ModelError
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.segmenter import Need, SegmenterSpec, WeightFile

__all__ = ["CARD_FILE", "read_spec"]

CARD_FILE = "model.toml"

_REQUIRED = {"name": str, "title": str, "backend": str, "schema": str, "inputs": list}
_OPTIONAL: Mapping[str, type | tuple[type, ...]] = {
    "remap": dict,
    "regions": list,
    "spacing_mm": list,
    "orientation": str,
    "skull_stripped": bool,
    "window": list,
    "options": dict,
    "weights": list,
    "licence": str,
    "licence_file": str,
    "commercial_use": bool,
    "citation": str,
    "trained_on": str,
    "warnings": list,
    "prompts": list,
    "sees_mm": (int, float),
    "takes_text": bool,
    "needs_trust": bool,
    "version": str,
}


def read_spec(folder: Path) -> SegmenterSpec:
    """Read the description of a model; nothing of the model is executed or unpickled.

    Parameters
    ----------
    folder : Path
        A folder that holds `model.toml`.

    Raises
    ------
    InputError
        If the file is missing, is not TOML, lacks a key, or holds one that is not known.
    """
    path = folder / CARD_FILE
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder.name} holds no {CARD_FILE}.", "A model is a folder with that file and its weights.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{folder.name}/{CARD_FILE} cannot be read: {error}.", "Correct the file.") from None
    except OSError as error:
        raise InputError(f"{folder.name}/{CARD_FILE} cannot be opened: {error.strerror}.", "Check the permissions.") from None
    where = f"{folder.name}/{CARD_FILE}"
    _check_keys(table, where)
    try:
        return _spec(table)
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(f"{where} has a wrong value: {error}.", "Compare it with a shipped model's file.") from None


def _check_keys(table: Mapping[str, Any], where: str) -> None:
    missing = [key for key in _REQUIRED if key not in table]
    if missing:
        raise InputError(f"{where} lacks {', '.join(missing)}.", "Add what is missing.")
    unknown = sorted(set(table) - set(_REQUIRED) - set(_OPTIONAL))
    if unknown:
        raise InputError(f"{where} has the unknown key {unknown[0]!r}.", "Check its spelling.")
    for key, kind in {**_REQUIRED, **_OPTIONAL}.items():
        if key in table and not isinstance(table[key], kind):
            wanted = "number" if isinstance(kind, tuple) else kind.__name__
            raise InputError(f"{where}: {key} is a {type(table[key]).__name__}.", f"Write a {wanted}.")


def _spec(table: Mapping[str, Any]) -> SegmenterSpec:
    schema = preset(table["schema"])
    regions = tuple(str(r) for r in table.get("regions", ()))
    for region in regions:
        schema.region(region)
    return SegmenterSpec(
        name=table["name"],
        title=table["title"],
        backend=table["backend"],
        inputs=tuple(Need(str(i["modality"]), bool(i.get("required", True))) for i in table["inputs"]),
        schema=schema,
        remap={int(k): int(v) for k, v in table.get("remap", {}).items()},
        regions=regions,
        spacing_mm=_three(table["spacing_mm"], float) if "spacing_mm" in table else None,
        orientation=table.get("orientation", ""),
        skull_stripped=table.get("skull_stripped", False),
        window=_three(table.get("window", (96, 96, 96)), int),
        options=table.get("options", {}),
        weights=tuple(
            WeightFile(_plain_name(w["name"]), str(w["sha256"]).lower(), str(w.get("url", "")), str(w.get("how", "")))
            for w in table.get("weights", ())
        ),
        licence=table.get("licence", ""),
        licence_file=table.get("licence_file", ""),
        commercial_use=table.get("commercial_use", False),
        citation=table.get("citation", ""),
        trained_on=table.get("trained_on", ""),
        warnings=tuple(table.get("warnings", ())),
        prompts=tuple(table.get("prompts", ())),
        sees_mm=_positive(table["sees_mm"]) if "sees_mm" in table else None,
        takes_text=table.get("takes_text", False),
        needs_trust=table.get("needs_trust", False),
        version=table.get("version", "1"),
    )


def _three(values: Any, kind: type) -> Any:
    z, y, x = (kind(v) for v in values)
    if min(z, y, x) <= 0:
        raise ValueError(f"{values} must be three positive numbers")
    return z, y, x


def _positive(value: Any) -> float:
    if isinstance(value, bool) or not 0 < value < float("inf"):
        raise ValueError(f"{value} must be a positive number")
    return float(value)


def _plain_name(name: str) -> str:
    # A card may not reach outside its own folder.
    if not name or name != Path(name).name or name in {".", ".."} or "\\" in name:
        raise ModelError(f"The weight file name {name!r} is a path.", "Weights lie beside the card; name the file alone.")
    return name
