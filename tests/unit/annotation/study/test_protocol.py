"""Protocol and plan files: what ships, and one line for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_tumorseg.annotation.study.plan import Plan, read_plan
from napari_tumorseg.annotation.study.protocol_file import load_protocol, parse_protocol, shipped_protocols
from napari_tumorseg.core.errors import InputError

from .conftest import raters


def test_the_pipeline_is_that_of_brats_mets() -> None:
    protocol = load_protocol("brats-mets-pipeline")
    assert [(s.name, s.role, s.people, s.may_return) for s in protocol.steps] == [
        ("pre-segment", "model", 1, False),
        ("annotate", "student", 1, False),
        ("check", "neuroradiologist", 2, True),
        ("approve", "approver", 1, True),
    ]
    assert protocol.blinding.origin
    assert not protocol.is_comparison
    assert protocol.step("approve").sees_versions
    assert protocol.roles == ("student", "neuroradiologist", "approver")


def test_the_raters_are_those_of_brats_mets() -> None:
    protocol = load_protocol("brats-mets-raters")
    assert (protocol.washout_days, protocol.recode, protocol.practice_cases, protocol.instances.per_arm) == (28.0, "task", 1, 2)
    assert protocol.planted.share == 0.0
    assert protocol.planted.kinds == ("missed-lesion", "vessel", "shifted-edge")
    assert (protocol.blinding.raters, protocol.blinding.model, protocol.offer_unseen, protocol.show_clock) == (True, True, False, False)
    assert protocol.question("seen-before").when == "after"
    assert protocol.needs_plan
    assert protocol.plan is not None
    assert protocol.plan.quality.margin == 0.05


@pytest.mark.parametrize("name", shipped_protocols())
def test_a_shipped_protocol_reads_as_a_file_too(tmp_path: Path, name: str) -> None:
    file = tmp_path / "own.toml"
    file.write_text(load_protocol(name).text, encoding="utf-8")
    assert load_protocol(file) == load_protocol(name)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('name = "brats-mets-raters"\n', "", 'own.toml: name is missing. Add a text, e.g. name = "...".'),
        ("washout_days = 28 ", "washout_days = -1 ", "own.toml: washout_days is -1. Write 0.0 or more."),
        ("washout_days = 28 ", 'washout_days = "28" ', "own.toml: washout_days is '28'. Write a number."),
        ("washout_days", "wash_out_days", "own.toml: wash_out_days is not known. Check its spelling; there are arms, "),
        ('by = "crossed"', 'by = "crosed"', "own.toml: instances.by is 'crosed'. Write one of same, crossed, different."),
        (
            'start = "arm"',
            'start = "ai"',
            'own.toml: steps do not suit arms. With arms there is one step, with start = "arm" and people = 1.',
        ),
        ('name = "ai"', 'name = "scratch"', "own.toml: arms name one thing twice. Give each a name of its own."),
        ('start = "ai"', 'start = "AI"', "own.toml: arms[2].start is 'AI'. Write one of empty, ai, other-rater."),
        ('schema = "brats-mets-2025"', 'schema = "brats"', "own.toml: schema is 'brats'. Choose one of brats-mets-2025, "),
        ("share = 0.0", "share = 2.0", "own.toml: planted.share is 2.0. Write a number from 0.0 to 1.0."),
        ('"vessel", ', '"vesel", ', "own.toml: planted.kinds is ['missed-lesion', 'vesel', 'shifted-edge']. Write some of missed-lesion, "),
        ("margin = 0.05", "", "own.toml: plan.quality.margin is missing. Add a number."),
        ("margin = 0.05", "margin = 0", "own.toml: plan.quality.margin is 0. Write how much worse is still not inferior."),
        ("per_arm = 2", "per_arm = 0", "own.toml: instances.per_arm is 0. Write 1 or more."),
        ("show_clock = false", 'show_clock = "no"', "own.toml: show_clock is 'no'. Write true or false."),
        ("[instances]", "[instances", "own.toml is not TOML: "),
        ('role = "rater"', 'role = "Rater 1"', "own.toml: steps[1].role is 'Rater 1'. Write small letters, digits and hyphens."),
    ],
)
def test_a_mistake_is_told_in_one_line(old: str, new: str, line: str) -> None:
    text = load_protocol("brats-mets-raters").text
    assert old in text
    with pytest.raises(InputError) as error:
        parse_protocol(text.replace(old, new), "own.toml")
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)


def test_a_return_leads_to_an_earlier_step() -> None:
    text = load_protocol("brats-mets-pipeline").text
    with pytest.raises(InputError, match=r"steps\[3\]\.return_to is 'approve'\. Name an earlier step of a person: annotate"):
        parse_protocol(text.replace('return_to = "annotate"', 'return_to = "approve"', 1), "own.toml")


def test_a_sham_needs_masks_from_scratch() -> None:
    with pytest.raises(InputError, match="have a sham and none from scratch"):
        raters(**{'start = "empty"': 'start = "other-rater"'})


def test_there_is_no_such_protocol(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no protocol 'brats'\. Choose brats-mets-pipeline or brats-mets-raters"):
        load_protocol("brats")
    with pytest.raises(InputError, match="There is no file"):
        load_protocol(tmp_path / "x.toml")
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not written in UTF-8"):
        load_protocol(tmp_path / "x.toml")


def test_a_plan_is_a_file_of_its_own(tmp_path: Path) -> None:
    text = load_protocol("brats-mets-raters").text.split("[plan]")[1].replace("plan.", "")
    file = tmp_path / "plan.toml"
    file.write_text(text.replace("margin = 0.05", "margin = 0.02"), encoding="utf-8")
    plan = read_plan(file)
    assert plan.quality.margin == 0.02
    assert Plan.from_json(plan.to_json()) == plan
    assert plan.sha256 != plan.seeded(3).sha256
    file.write_text(text + "\nnew = 1\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"plan\.toml: .*new is not known"):
        read_plan(file)
