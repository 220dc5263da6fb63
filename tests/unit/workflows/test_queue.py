"""The queue of cases: order, states that last, and nothing in its file that names anybody."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import nibabel
import numpy as np
import pytest

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.workflows.environment import load_settings
from napari_tumorseg.workflows.queue import CaseQueue, CaseState, Place, find_cases, may_read_ahead

PLACE = Place((1.5, -2.0, 3.0), (0.0, 4.0, 3.0), "coronal", 4.5, "FLAIR", "mask", 0)


@pytest.fixture
def settings(tmp_path):
    return load_settings({"TUMORSEG_HOME": str(tmp_path / "home")})


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "Miller Anna"
    for name in ("case10", "case2", "case1"):
        (root / name / "2024-01-31").mkdir(parents=True)
        nibabel.save(nibabel.Nifti1Image(np.ones((3, 3, 3), np.uint8), np.eye(4)), root / name / "2024-01-31" / "t1.nii.gz")
    (root / "notes").mkdir()
    (root / "notes" / "read me.txt").write_text("no image")
    (root / ".hidden").mkdir()
    return root


def names(cases):
    return [case.name for case in cases]


def test_folders_with_images_in_natural_order(folder):
    assert [p.name for p in find_cases(folder)] == ["case1", "case2", "case10"]


def test_a_folder_without_cases_says_so(tmp_path):
    with pytest.raises(InputError, match="No folder in"):
        find_cases(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        find_cases(tmp_path / "absent")


def test_states_and_places_last(folder, settings):
    queue = CaseQueue(folder, settings)
    assert (queue.current, queue.text, queue.neighbour(1).name, queue.neighbour(-1)) == (None, "0 of 3 done", "case1", None)
    first = queue.go_to(queue.cases[0])
    assert first.state is CaseState.IN_WORK
    queue.set_place(first, PLACE)
    queue.set_state(first, CaseState.DONE)
    queue.go_to(queue.cases[1])
    again = CaseQueue(folder, settings)
    assert again.text == "1 of 3 done"
    assert [case.state for case in again.cases] == [CaseState.DONE, CaseState.IN_WORK, CaseState.TO_DO]
    assert again.cases[0].place == PLACE
    assert again.current.name == "case2"
    assert (again.neighbour(-1).name, again.neighbour(1).name) == ("case1", "case10")
    again.go_to(again.cases[2])
    assert again.neighbour(1) is None


def test_going_to_a_done_case_leaves_it_done(folder, settings):
    queue = CaseQueue(folder, settings)
    queue.set_state(queue.cases[0], CaseState.DONE)
    assert queue.go_to(queue.cases[0]).state is CaseState.DONE
    assert CaseQueue(folder, settings).current.name == "case1"


def test_what_is_open_next(folder, settings):
    queue = CaseQueue(folder, settings)
    assert queue.first_open().name == "case1"
    queue.go_to(queue.cases[2])
    queue.set_state(queue.cases[2], CaseState.DONE)
    assert queue.first_open().name == "case1"
    for case in queue.cases:
        queue.set_state(case, CaseState.DONE)
    assert queue.first_open() is None


def test_the_file_names_nobody_and_no_place(folder, settings):
    queue = CaseQueue(folder, settings)
    queue.set_place(queue.go_to(queue.cases[0]), PLACE)
    for file in (settings.state_dir / "queues").iterdir():
        told = f"{file.name} {file.read_text()}".lower()
        assert not any(word in told for word in ("miller", "anna", "case1", str(folder.parent).lower()))


def test_keys_do_not_depend_on_what_is_in_the_folder(folder, settings):
    before = CaseQueue(folder, settings).cases[0].key
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 3, 3), np.uint8), np.eye(4)), folder / "case1" / "2024-01-31" / "t1.nii.gz")
    assert CaseQueue(folder, settings).cases[0].key == before


def test_another_user_has_other_keys(folder, settings, tmp_path):
    other = load_settings({"TUMORSEG_HOME": str(tmp_path / "other")})
    assert CaseQueue(folder, settings).cases[0].key != CaseQueue(folder, other).cases[0].key


def test_a_case_that_is_away_for_a_while_is_not_forgotten(folder, settings):
    queue = CaseQueue(folder, settings)
    queue.set_state(queue.cases[1], CaseState.DONE)
    shutil.move(folder / "case2", folder.parent / "case2")
    fewer = CaseQueue(folder, settings)
    fewer.go_to(fewer.cases[0])
    assert names(fewer.cases) == ["case1", "case10"]
    shutil.move(folder.parent / "case2", folder / "case2")
    assert CaseQueue(folder, settings).cases[1].state is CaseState.DONE


@pytest.mark.parametrize(
    "text", ["", "not json", "[]", '{"format": 99}', '{"format": 1, "cases": []}', '{"format": 1, "cases": {"KEY": {"state": "odd"}}}']
)
def test_a_damaged_file_is_a_new_queue(folder, settings, text):
    queue = CaseQueue(folder, settings)
    queue.go_to(queue.cases[0])
    file = next((settings.state_dir / "queues").glob("*.json"))
    file.write_text(text.replace("KEY", queue.cases[0].key))
    again = CaseQueue(folder, settings)
    assert [case.state for case in again.cases] == [CaseState.TO_DO] * 3
    again.go_to(again.cases[1])
    assert CaseQueue(folder, settings).current.name == "case2"


def test_a_damaged_place_costs_the_place_alone(folder, settings):
    queue = CaseQueue(folder, settings)
    queue.set_place(queue.go_to(queue.cases[0]), PLACE)
    queue.set_state(queue.cases[1], CaseState.DONE)
    file = next((settings.state_dir / "queues").glob("*.json"))
    known = json.loads(file.read_text())
    known["cases"][queue.cases[0].key]["place"]["point_mm"] = [1, 2]
    file.write_text(json.dumps(known))
    again = CaseQueue(folder, settings)
    assert again.cases[0].place is None
    assert [case.state for case in again.cases[:2]] == [CaseState.IN_WORK, CaseState.DONE]


def test_without_a_place_to_keep_it_the_queue_works_and_says_so(folder, settings, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    queue = CaseQueue(folder, replace(settings, state_dir=blocked))
    queue.go_to(queue.cases[0])
    assert (queue.current.name, queue.lasting) == ("case1", False)


def test_reading_ahead_is_bounded_by_free_memory(folder):
    case = folder / "case1"
    assert may_read_ahead(case, 1000, 8000 + 10**6)
    assert not may_read_ahead(case, 10**9, 7 * 10**9)
    assert may_read_ahead(case, 10**9, 8 * 10**9)
    assert not may_read_ahead(case, 0, 10)
