"""3D Slicer's segmentations in NRRD files: names, colours, coded terms, and segments that overlap.

The keys are those that Slicer 4.11 and later write ("Segment0_Name", "Segment0_LabelValue" and so
on); files of earlier versions hold one layer per segment and no label values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from napari_tumorseg.core.case import MaskVersion, Review
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.labels import PRESETS, Code, Label, LabelSchema
from napari_tumorseg.io.arrays import Labels, present_values, to_labels
from napari_tumorseg.io.overlap import Overlap, Painter
from napari_tumorseg.io.schemas import PALETTE, TISSUE, choose_schema, named_schema, plain_label

__all__ = ["Segment", "labels_of_segments", "segment_metadata", "segments_of"]

_KEY = re.compile(r"Segment(\d+)_(\w+)")
_TERMS = "TerminologyEntry"
_STATUS = "Segmentation.Status"


@dataclass(frozen=True)
class Segment:
    """One segment of a file.

    Attributes
    ----------
    id, name : str
        As the file has them.
    value : int
        Voxel value in its layer; 0 for any value above 0, in files that state none.
    layer : int
        Which component of the voxels holds it.
    colour : str
        "#RRGGBB", "" when not stated.
    category, kind : Code
        Coded terms; tissue when not stated.
    """

    id: str
    name: str
    value: int
    layer: int
    colour: str
    category: Code
    kind: Code


def segments_of(metadata: Mapping[str, str]) -> tuple[Segment, ...]:
    """Return the segments that the key/value pairs of an NRRD file describe, in the file's order."""
    fields: dict[int, dict[str, str]] = {}
    for key, value in metadata.items():
        found = _KEY.fullmatch(key)
        if found:
            fields.setdefault(int(found[1]), {})[found[2]] = value
    return tuple(_segment(index, fields[index]) for index in sorted(fields) if "ID" in fields[index] or "Name" in fields[index])


def _segment(index: int, fields: Mapping[str, str]) -> Segment:
    identifier = fields.get("ID", f"Segment_{index + 1}")
    tags = dict(part.split(":", 1) for part in fields.get("Tags", "").split("|") if ":" in part)
    terms = tags.get(_TERMS, "").split("~")
    return Segment(
        identifier,
        fields.get("Name", "").strip() or identifier,
        _whole(fields.get("LabelValue", ""), 0),
        _whole(fields.get("Layer", ""), index),
        _colour(fields.get("Color") or fields.get("DefaultColor", "")),
        _code(terms[1] if len(terms) > 2 else ""),
        _code(terms[2] if len(terms) > 2 else ""),
    )


def _whole(text: str, default: int) -> int:
    try:
        return int(text)
    except ValueError:
        return default


def _colour(text: str) -> str:
    try:
        r, g, b = (round(255 * min(1.0, max(0.0, float(part)))) for part in text.split())
    except ValueError:
        return ""
    return f"#{r:02X}{g:02X}{b:02X}"


def _code(text: str) -> Code:
    parts = text.split("^")
    if len(parts) != 3 or not parts[0] or not parts[1]:
        return TISSUE
    return Code(parts[1], parts[0], parts[2])


def labels_of_segments(
    layers: Sequence[Labels],
    segments: Sequence[Segment],
    name: str,
    schema: LabelSchema | None = None,
    on_overlap: Overlap = "error",
    declared: str = "",
) -> tuple[Labels, LabelSchema]:
    """Return one label per voxel and the schema of the labels.

    Parameters
    ----------
    layers : sequence of numpy.ndarray
        Shape (z, y, x) each, unsigned.
    segments : sequence of Segment
        As `segments_of` gives them. Values that none of them has are kept as labels of their own.
    name : str
        What the file is called in errors.
    schema : LabelSchema, optional
        Wanted meaning. Segments are matched to its labels by their names, or, when these do not
        match, by their values.
    on_overlap : str
        Which segment wins where several lie: the "first" or the "last" of the file, or "error".
    declared : str
        Name of the schema that the file states.

    Returns
    -------
    numpy.ndarray
        Shape (z, y, x), uint8 or uint16.
    LabelSchema
        `schema`; or a preset with the same names and values; or one made of the segments.

    Raises
    ------
    InputError
        If segments overlap and `on_overlap` is "error", or do not fit the schema.
    """
    known = [s for s in segments if 0 <= s.layer < len(layers)]
    known += _unnamed(layers, known)
    if not known:
        return to_labels(layers[0], name), schema or choose_schema((), "", declared)
    present = [s for s in known if _where(layers, s).any()]
    if schema is not None:
        targets = _by_name(present, schema) or _by_value(present, schema, name)
        chosen = schema
    else:
        preset = _preset(known, declared)
        chosen = preset or _made(known, len(layers))
        targets = {s: label.value for s, label in zip(known, chosen.labels, strict=True)} if preset is None else _by_name(known, preset)
    return _merged(layers, present, targets, name, on_overlap), chosen


def _where(layers: Sequence[Labels], segment: Segment) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    layer = layers[segment.layer]
    return np.asarray(layer == segment.value if segment.value else layer != 0)


def _unnamed(layers: Sequence[Labels], segments: Sequence[Segment]) -> list[Segment]:
    """Return a segment for every value that no segment of its layer has."""
    extra = []
    for index, layer in enumerate(layers):
        values = {s.value for s in segments if s.layer == index}
        if 0 in values:
            continue
        for value in present_values(layer):
            if value not in values:
                extra.append(Segment(f"Label_{value}", f"Label {value}", value, index, "", TISSUE, TISSUE))
    return extra


def _by_name(segments: Sequence[Segment], schema: LabelSchema) -> dict[Segment, int]:
    """Return the schema's value of each segment, empty when the names do not match one to one."""
    names = {text.casefold(): label.value for label in schema.labels for text in (label.name, label.title)}
    found = {s: names[s.name.casefold()] for s in segments if s.name.casefold() in names}
    return found if len(found) == len(segments) == len(set(found.values())) else {}


def _by_value(segments: Sequence[Segment], schema: LabelSchema, name: str) -> dict[Segment, int]:
    targets = {s: s.value or s.layer + 1 for s in segments}
    if len(set(targets.values())) != len(targets) or not set(targets.values()) <= set(schema.values):
        found = ", ".join(f"{s.name} ({value})" for s, value in targets.items())
        wanted = ", ".join(f"{label.name} ({label.value})" for label in schema.labels)
        raise InputError(
            f"The segments of {name}, {found}, do not fit {schema.name}, which has {wanted}.",
            "Rename the segments, or choose another schema.",
        )
    return targets


def _preset(segments: Sequence[Segment], declared: str) -> LabelSchema | None:
    """Return the preset whose names and values the segments have, the one that the file states first."""
    order = [declared, *PRESETS] if declared in PRESETS else list(PRESETS)
    for candidate in (PRESETS[key] for key in order):
        matched = _by_name(segments, candidate)
        if matched and all(s.value == value for s, value in matched.items()):
            return candidate
    return None


def _made(segments: Sequence[Segment], layers: int) -> LabelSchema:
    """Return a schema with one label per segment, in their order; values stay where they are unique."""
    values = [s.value for s in segments]
    if len(set(values)) != len(values) or 0 in values or (layers > 1 and max(values) > 65535):
        values = list(range(1, len(segments) + 1))
    labels: list[Label] = []
    for index, (segment, value) in enumerate(zip(segments, values, strict=True)):
        title = segment.name
        while any(title == label.name for label in labels):
            title += f" ({segment.id})" if segment.id not in title else "'"
        colour = segment.colour or PALETTE[index % len(PALETTE)]
        labels.append(Label(value, title, title, colour, segment.category, segment.kind))
    return named_schema("segments", tuple(labels))


def _merged(
    layers: Sequence[Labels], segments: Sequence[Segment], targets: Mapping[Segment, int], name: str, on_overlap: Overlap
) -> Labels:
    if len(layers) == 1 and all(targets[s] == s.value for s in segments):
        return to_labels(layers[0], name)
    numbered = dict(enumerate(segments))
    painter = Painter(
        (layers[0].shape[0], *layers[0].shape[1:]),
        max((targets[s] for s in segments), default=0),
        {number: s.name for number, s in numbered.items()},
        {number: targets[s] for number, s in numbered.items()},
    )
    for number, segment in numbered.items():
        for z, plane in enumerate(_where(layers, segment)):
            painter.paint(z, plane, number)
    return painter.finish(on_overlap, name)


def segment_metadata(mask: MaskVersion) -> dict[str, str]:
    """Return the key/value pairs by which 3D Slicer shows the names and colours of a mask.

    All labels of the schema become segments, empty ones too, so that they can be painted in
    Slicer; values that the schema does not have become segments as well.
    """
    z, y, x = mask.grid.shape
    known = {label.value: label for label in mask.schema.labels}
    extra = [value for value in present_values(mask.labels) if value not in known]
    labels = [*mask.schema.labels, *(plain_label(value, i) for i, value in enumerate(extra))]
    status = "completed" if mask.review is Review.ACCEPTED else "inprogress"
    metadata = {
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_SourceRepresentation": "Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
    }
    for index, label in enumerate(labels):
        colour = [int(label.colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        terms = "~".join(f"{code.scheme}^{code.value}^{code.meaning}" for code in (label.category, label.kind))
        fields = {
            "ID": label.name,
            "Name": label.title,
            "NameAutoGenerated": "0",
            "Color": " ".join(f"{part:.6f}" for part in colour),
            "ColorAutoGenerated": "0",
            "LabelValue": str(label.value),
            "Layer": "0",
            # Slicer cuts a whole layer to the extent of its first segment, so each gets that of the image.
            "Extent": f"0 {x - 1} 0 {y - 1} 0 {z - 1}",
            "Tags": f"{_STATUS}:{status}|{_TERMS}:Segmentation category and type - DICOM master list~{terms}~^^~"
            "Anatomic codes - DICOM master list~^^~^^|",
        }
        metadata |= {f"Segment{index}_{key}": value for key, value in fields.items()}
    return metadata
