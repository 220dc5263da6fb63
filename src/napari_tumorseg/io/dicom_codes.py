"""Segments of DICOM objects and labels of a schema: names, coded terms, colours, values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.labels import PRESETS, Code, Label, LabelSchema, Region
from napari_tumorseg.io.schemas import PALETTE, TISSUE

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["Segment", "code_of", "describe", "hex_from_lab", "hex_from_rgb", "lab_from_hex", "schema_and_values"]

_STATED = re.compile(r"label (?P<value>\d+) of (?P<schema>[\w.-]+)", re.IGNORECASE)
# Older objects name the same SNOMED term by its former identifiers (schemes SRT and SNM3).
_FORMER = {
    "M-01000": "49755003",
    "M-01100": "52988006",
    "T-D0050": "85756007",
    "T-D000A": "123037004",
    "M-80003": "108369006",
    "M-80001": "108369006",
    "M-36300": "79654002",
    "T-62000": "10200004",
}


@dataclass(frozen=True)
class Segment:
    """What a DICOM object says about one segment or region of interest.

    Attributes
    ----------
    number : int
        Segment or ROI number.
    name : str
        Label of the segment.
    description : str
        Free text.
    colour : str
        "#RRGGBB", "" when none is stated.
    category, kind : Code, optional
        Coded category and type of what was segmented.
    algorithm : str
        "AUTOMATIC", "SEMIAUTOMATIC", "MANUAL" or "".
    author : str
        Name of the algorithm.
    """

    number: int
    name: str
    description: str = ""
    colour: str = ""
    category: Code | None = None
    kind: Code | None = None
    algorithm: str = ""
    author: str = ""


def code_of(sequence: Sequence[Dataset] | None) -> Code | None:
    """Return the first coded term of a code sequence, None when there is none."""
    if not sequence:
        return None
    item = sequence[0]
    value = item.get("CodeValue") or item.get("LongCodeValue") or item.get("URNCodeValue")
    if not value:
        return None
    return Code(str(value), str(item.get("CodingSchemeDesignator", "") or ""), str(item.get("CodeMeaning", "") or ""))


def _same_term(a: Code | None, b: Code | None) -> bool:
    if a is None or b is None:
        return False
    values = [_FORMER.get(code.value, code.value) for code in (a, b)]
    schemes = ["SCT" if code.scheme in ("SRT", "SNM3", "99SDM", "SCT") else code.scheme for code in (a, b)]
    return values[0] == values[1] and schemes[0] == schemes[1]


def hex_from_rgb(value: Any) -> str:
    """Return "#RRGGBB" for three numbers from 0 to 255, "" for anything else."""
    try:
        red, green, blue = (min(255, max(0, int(float(v)))) for v in value)
    except (TypeError, ValueError):
        return ""
    return f"#{red:02X}{green:02X}{blue:02X}"


def hex_from_lab(value: Any) -> str:
    """Return "#RRGGBB" for a DICOM CIELab value (three unsigned 16-bit numbers), "" for anything else."""
    from highdicom.color import CIELabColor

    try:
        light, a, b = (int(v) for v in value)
        return hex_from_rgb(CIELabColor.from_dicom_value((light, a, b)).to_rgb())
    except (TypeError, ValueError):
        return ""


def lab_from_hex(colour: str) -> Any:
    """Return highdicom's colour for "#RRGGBB"."""
    from highdicom.color import CIELabColor

    return CIELabColor.from_rgb(*(int(colour[i : i + 2], 16) for i in (1, 3, 5)))


def describe(label: Label, schema: LabelSchema, review: str) -> str:
    """Return the free text of a segment: title, value and schema (read back by us), review state."""
    return f"{label.title}; label {label.value} of {schema.name}; {review}"


def schema_and_values(
    segments: Sequence[Segment], schema: LabelSchema | None, name: str, lesion_region: str = "All"
) -> tuple[LabelSchema, Mapping[int, int]]:
    """Return a schema for segments, and the label value of each segment number.

    Parameters
    ----------
    segments : sequence of Segment
        At least one.
    schema : LabelSchema, optional
        The user's choice; segments are matched to its labels by name, then by coded type.
        Without it a preset is taken whose labels the segments name, and failing that a schema is
        made of the segments.
    name : str
        File name for messages.
    lesion_region : str
        Name of the union of all segments in a schema that is made.

    Raises
    ------
    InputError
        If a segment has no label in the given schema.
    """
    if schema is not None:
        return schema, _matched(segments, schema, name)
    stated = [_STATED.search(segment.description) for segment in segments]
    for preset in PRESETS.values():
        labels = {label.name: label.value for label in preset.labels}
        if all(
            m is not None and m["schema"] == preset.name and labels.get(s.name) == int(m["value"])
            for m, s in zip(stated, segments, strict=True)
        ):
            return preset, {s.number: labels[s.name] for s in segments}
    values = [int(match["value"]) for match in stated if match is not None and 0 < int(match["value"]) < 65536]
    if len(set(values)) != len(segments):
        values = [segment.number for segment in segments]
    names = {match["schema"] for match in stated if match is not None}
    labels_made = []
    used: set[str] = set()
    for index, (segment, value) in enumerate(zip(segments, values, strict=True)):
        title = segment.name or f"Segment {segment.number}"
        if title in used:
            title = f"{title} ({segment.number})"
        used.add(title)
        colour = segment.colour or PALETTE[index % len(PALETTE)]
        labels_made.append(Label(value, title, title, colour, segment.category or TISSUE, segment.kind or segment.category or TISSUE))
    regions = [Region(lesion_region, "All segments", tuple(values))]
    if len(labels_made) > 1:
        regions += [Region(label.name, label.title, (label.value,)) for label in labels_made if label.name != lesion_region]
    made = LabelSchema(names.pop() if len(names) == 1 else "segments", tuple(labels_made), tuple(regions), lesion_region)
    return made, {segment.number: value for segment, value in zip(segments, values, strict=True)}


def _matched(segments: Sequence[Segment], schema: LabelSchema, name: str) -> Mapping[int, int]:
    found: dict[int, int] = {}
    for segment in segments:
        folded = segment.name.casefold().strip()
        fits = [label for label in schema.labels if folded in (label.name.casefold(), label.title.casefold())]
        if not fits and len(segments) == 1 and len(schema.labels) == 1:
            fits = list(schema.labels)  # one structure for one label leaves no choice
        if not fits:
            fits = [label for label in schema.labels if _same_term(segment.kind, label.kind)]
            if sum(_same_term(segment.kind, other.kind) for other in segments) > 1:
                fits = []
        if len(fits) != 1:
            raise InputError(
                f"{name} has a segment {segment.name!r} that {schema.name} has no label for.",
                f"Its labels are {', '.join(label.name for label in schema.labels)};"
                " choose another schema, or none to keep the file's own names.",
            )
        found[segment.number] = fits[0].value
    return found
