"""Versions of masks as rows of the store."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import uuid
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from napari_tumorseg.annotation.study.plan import canonical_json
from napari_tumorseg.annotation.study.tables import VersionRow
from napari_tumorseg.annotation.task import schema_from_json, schema_to_json
from napari_tumorseg.core.case import MaskKind, MaskVersion, Review
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Grid

__all__ = ["grid_of", "mask_of", "version_row"]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def version_row(
    mask: MaskVersion, *, case_id: int, step: str, author: str, kind: str, at_us: int, facts: Mapping[str, Any] | None = None, **more: Any
) -> VersionRow:
    """Return the row of a mask; its labels are packed, all but a few per cent of a volume being background."""
    labels = np.ascontiguousarray(mask.labels)
    raw = labels.tobytes()
    return VersionRow(
        uid=uuid.uuid4().hex,
        case_id=case_id,
        step=step,
        author=author,
        kind=kind,
        made_us=at_us,
        dtype=labels.dtype.str,
        shape=canonical_json(list(labels.shape)),
        affine=canonical_json(mask.grid.affine.tolist()),
        schema=canonical_json(schema_to_json(mask.schema)),
        labels=zlib.compress(raw, 6),
        sha256=hashlib.sha256(raw).hexdigest(),
        facts=facts_json(facts or {}),
        **more,
    )


def facts_json(facts: Mapping[str, Any]) -> str:
    """Return facts as canonical JSON; raise `InputError` where they are none."""
    try:
        return canonical_json(dict(facts))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"What was computed of the task cannot be kept: {error}.", "Give JSON values, and None for what is not a number."
        ) from None


def grid_of(row: VersionRow) -> Grid:
    """Return the grid of a version."""
    z, y, x = json.loads(row.shape)
    return Grid((z, y, x), np.array(json.loads(row.affine)))


def mask_of(row: VersionRow) -> MaskVersion:
    """Return the mask of a version; raise `InputError` where its voxels were altered."""
    try:
        raw = zlib.decompress(row.labels)
    except zlib.error:
        raw = b""
    if hashlib.sha256(raw).hexdigest() != row.sha256:
        raise InputError(f"Version {row.id} of a mask was altered in the database.", "Run tumorseg study verify.")
    grid = grid_of(row)
    labels = np.frombuffer(raw, np.dtype(row.dtype)).reshape(grid.shape)
    kind = MaskKind.RATER if row.kind == "rater" else MaskKind.AI
    review = Review.IN_CORRECTION if kind is MaskKind.RATER else Review.NOT_REVIEWED
    made = _EPOCH + dt.timedelta(microseconds=row.made_us)
    return MaskVersion(labels, grid, schema_from_json(json.loads(row.schema)), kind, row.author, review, made, row.uid)
