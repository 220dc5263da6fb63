from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_tumorseg.annotation.entries import EventKind
from napari_tumorseg.annotation.journal import Journal
from napari_tumorseg.annotation.recorder import Recorder
from napari_tumorseg.annotation.rehearsal import HandClock
from napari_tumorseg.annotation.task import Task
from napari_tumorseg.annotation.timing import SUBMIT
from napari_tumorseg.core.case import MaskKind
from napari_tumorseg.core.document import MaskDocument
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.patches import Origin, PatchSource
from napari_tumorseg.workflows.study_record import RecordRequest, scene_frame, study_record

SHAPE = (6, 20, 20)
GRID = Grid.from_spacing(SHAPE, (2.0, 1.0, 1.0))


def correct(path: Path, kind: MaskKind = MaskKind.AI) -> MaskDocument:
    """Four lesions of an AI: one left, one edited, one erased, one painted over and back; one added by hand."""
    labels = np.zeros(SHAPE, np.uint8)
    if kind is MaskKind.AI:
        for y in (1, 6, 11, 16):
            labels[2, y : y + 2, 2:4] = 1
    document = MaskDocument(labels, GRID, preset("lesion"), kind, "net")
    clock = HandClock()
    task = Task.of(document, "case-7", "lesions", person="R1", step="annotate", more={"arm": "ai", "order": 3, "period": 1})
    journal = Journal(path, task, document, clock=clock.clock)
    recorder = Recorder(document, journal)
    journal.event(EventKind.SHOWN, volumes=["T1c"])
    scene = scene_frame(GRID)
    for index in range(3):
        at = [first + index * step for first, step in zip(scene.first_mm, scene.spacing_mm, strict=True)]
        journal.event(EventKind.SLICE, view="main", step=[index, 0, 0], at=at, order=[0, 1, 2], shown=2)
        middle = [scene.first_mm[a] + scene.spacing_mm[a] * (SHAPE[a] - 1) / 2 for a in range(3)]
        journal.event(EventKind.ZOOM, view="main", zoom=10.0, centre=middle, size=[400, 400])
        clock.work(10)

    def write(y: int, x: int, value: int, tool: str, width: int = 2) -> None:
        box = Box((2, y, x), (3, y + 2, x + width))
        document.write(box, np.full(box.shape, value, np.uint8), Origin(PatchSource.HAND, tool, "R1"))

    write(6, 4, 1, "paint", 1)
    write(11, 2, 0, "erase")
    write(16, 2, 0, "erase")
    document.undo("R1")
    write(1, 12, 1, "paint")
    journal.event(EventKind.SAVED, name=SUBMIT)
    recorder.stop()
    assert journal.close()
    return document


def test_what_became_of_the_ai_s_mask_is_counted(tmp_path: Path) -> None:
    document = correct(tmp_path / "a.journal")
    reference = document.labels.copy()
    reference[2, 11:13, 2:4] = 1
    told = study_record(RecordRequest(tmp_path / "a.journal", reference))
    json.dumps(told, allow_nan=False)
    assert told["task"]["arm"] == "ai"
    assert told["task"]["case"] == "case-7"
    assert told["timing"]["primary_s"] == 30
    lesions = told["lesions"]
    assert {k: lesions[k] for k in ("ai", "final", "added", "deleted", "edited", "accepted_unmodified")} == {
        "ai": 4, "final": 4, "added": 1, "deleted": 1, "edited": 1, "accepted_unmodified": 2,
    }  # fmt: skip
    assert lesions["accepted_unmodified_share"] == 0.5
    assert sum(lesions["by_status"].values()) == 4
    assert lesions["by_status"]["added"] == 1
    edits = told["edits"]
    assert {k: edits["voxels"][k] for k in ("ai", "added", "removed", "changed")} == {"ai": 12, "added": 6, "removed": 4, "changed": 0}
    assert edits["voxels"]["added_ml"] == pytest.approx(0.012)
    assert edits["acts_by_tool"] == {"erase": 2, "paint": 2}
    assert (edits["undos"], edits["changed_from_start"]) == (1, 10)
    # AI: 16 voxels, final 18, 12 in common; the reference has 22.
    agreement = told["agreement"]
    region = document.schema.lesion_region
    assert agreement["ai_and_final"][region]["dice"] == pytest.approx(24 / 34)
    assert agreement["ai_and_reference"][region]["dice"] == pytest.approx(32 / 38)
    assert agreement["final_and_reference"][region]["dice"] == pytest.approx(36 / 40)
    assert told["regions_ml"][region] == pytest.approx(0.036)


def test_what_was_displayed_is_told_in_the_image_s_own_slices(tmp_path: Path) -> None:
    correct(tmp_path / "a.journal")
    coverage = study_record(RecordRequest(tmp_path / "a.journal"))["coverage"]
    assert coverage["seconds_by_slice"]["axial"] == [10, 10, 10, 0, 0, 0]
    assert coverage["unseen_share"] == 0.5
    # The scene runs to inferior, the grid to superior: scene slice 3 holds the lesions, and was not displayed.
    assert coverage["unseen_share_of_lesions"] == 1.0


def test_from_scratch_nothing_is_said_against_an_ai(tmp_path: Path) -> None:
    document = MaskDocument(np.zeros(SHAPE, np.uint8), GRID, preset("lesion"), MaskKind.RATER, "R1")
    journal = Journal(tmp_path / "b.journal", Task.of(document, "c", "m"), document, clock=HandClock().clock)
    recorder = Recorder(document, journal)
    box = Box((0, 0, 0), (1, 2, 2))
    document.write(box, np.ones(box.shape, np.uint8), Origin(PatchSource.HAND, "paint", "R1"))
    recorder.stop()
    journal.close()
    told = study_record(RecordRequest(tmp_path / "b.journal"))
    assert told["edits"]["voxels"] is None
    assert told["lesions"]["final"] == 1
    assert told["lesions"]["added"] is None
    assert told["agreement"]["final_and_reference"] is None


def test_a_reference_of_another_shape_is_refused(tmp_path: Path) -> None:
    correct(tmp_path / "a.journal")
    with pytest.raises(InputError, match="grid of the task"):
        study_record(RecordRequest(tmp_path / "a.journal", np.zeros((2, 2, 2), np.uint8)))
