"""What a journal is about: the case, the mask, its grid and labels, the program and the person."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_tumorseg.core.case import MaskKind
from napari_tumorseg.core.document import MaskDocument
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import Code, Label, LabelSchema, Region

__all__ = ["Reference", "Task", "schema_from_json", "schema_to_json"]


@dataclass(frozen=True)
class Reference:
    """How the image that a mask was drawn on is known again, without its name.

    Attributes
    ----------
    size : int
        Bytes, of all its files.
    mtime_ns : int
        When it was last written, the newest of its files.
    sha256 : str
        Of its bytes, "" where nobody has computed it.
    """

    size: int = 0
    mtime_ns: int = 0
    sha256: str = ""

    @classmethod
    def of(cls, paths: tuple[Path, ...], *, hashed: bool = False) -> Reference:
        """Return what identifies the files; those that are gone count nothing."""
        found = [(path, path.stat()) for path in sorted(paths) if path.is_file()]
        digest = ""
        if hashed and found:
            made = hashlib.sha256()
            for path, _ in found:
                made.update(hashlib.sha256(path.read_bytes()).digest() if len(found) > 1 else path.read_bytes())
            digest = made.hexdigest()
        return cls(sum(s.st_size for _, s in found), max((s.st_mtime_ns for _, s in found), default=0), digest)


@dataclass(frozen=True)
class Task:
    """The head of a journal.

    Attributes
    ----------
    case : str
        Folder name or pseudonym, never a patient's name.
    mask : str
        Name of the mask.
    grid : Grid
        Of the mask.
    schema : LabelSchema
        Of the mask.
    dtype : str
        NumPy dtype of its labels.
    kind : MaskKind
        Who made the first version.
    author : str
        Person or model that made it.
    version : str
        Id of the document.
    sequence : str
        Name of the image that it lies on.
    reference : Reference
        Identity of that image's files.
    software : str
        Program and version.
    person : str
        Who is working.
    protocol, step : str
        Study protocol and its step; "" outside a study.
    more : mapping
        Whatever a study adds (arm, order, role); JSON values.
    """

    case: str
    mask: str
    grid: Grid
    schema: LabelSchema
    dtype: str = "|u1"
    kind: MaskKind = MaskKind.RATER
    author: str = ""
    version: str = ""
    sequence: str = ""
    reference: Reference = field(default_factory=Reference)
    software: str = ""
    person: str = ""
    protocol: str = ""
    step: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, document: MaskDocument, case: str, mask: str, **more: Any) -> Task:
        """Return the head for a document; `more` are further fields."""
        values: dict[str, Any] = {
            "dtype": document.labels.dtype.str,
            "kind": document.kind,
            "author": document.author,
            "version": document.version,
            "software": _software(),
        }
        return cls(case, mask, document.grid, document.schema, **{**values, **more})

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        plain = ("case", "mask", "dtype", "author", "version", "sequence", "software", "person", "protocol", "step")
        return {
            **{name: getattr(self, name) for name in plain},
            "kind": self.kind.value,
            "shape": list(self.grid.shape),
            "affine": self.grid.affine.tolist(),
            "schema": schema_to_json(self.schema),
            "reference": asdict(self.reference),
            "more": dict(self.more),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Task:
        """Return what `to_json` wrote."""
        rest = {k: v for k, v in values.items() if k not in ("shape", "affine", "schema", "reference", "kind")}
        z, y, x = values["shape"]
        return cls(
            grid=Grid((z, y, x), np.array(values["affine"])),
            schema=schema_from_json(values["schema"]),
            reference=Reference(**values["reference"]),
            kind=MaskKind(values["kind"]),
            **rest,
        )


def schema_to_json(schema: LabelSchema) -> dict[str, Any]:
    """Return a label schema as JSON values."""
    return asdict(schema)


def schema_from_json(values: Mapping[str, Any]) -> LabelSchema:
    """Return the label schema that `schema_to_json` wrote.

    Examples
    --------
    >>> from napari_tumorseg.core.labels import preset
    >>> schema_from_json(schema_to_json(preset("lesion"))) == preset("lesion")
    True
    """
    labels = tuple(
        Label(x["value"], x["name"], x["title"], x["colour"], Code(**x["category"]), Code(**x["kind"])) for x in values["labels"]
    )
    regions = tuple(Region(x["name"], x["title"], tuple(x["values"])) for x in values["regions"])
    return LabelSchema(values["name"], labels, regions, values["lesion_region"])


def _software() -> str:
    from napari_tumorseg import __version__

    return f"napari-tumorseg {__version__}"
