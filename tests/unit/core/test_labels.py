from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.labels import PRESETS, Code, Label, LabelSchema, Region, guess, preset, remap_values

METS = preset("brats-mets-2025")
CODE = Code("1", "99TEST", "Test")


def schema(*values: int) -> LabelSchema:
    labels = tuple(Label(v, f"L{v}", f"Label {v}", "#000000", CODE, CODE) for v in values)
    return LabelSchema("test", labels, (Region("All", "All", values),), "All")


def test_the_presets_are_those_of_the_challenges() -> None:
    # BraTS-METS 2025: 1 NETC, 2 SNFH, 3 ET, 4 RC. BraTS 2018 stores the enhancing tumour as 4.
    assert {label.name: label.value for label in METS.labels} == {"NETC": 1, "SNFH": 2, "ET": 3, "RC": 4}
    assert {r.name: r.values for r in METS.regions} == {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,), "RC": (4,)}
    assert {label.name: label.value for label in preset("brats-gli-2024").labels} == {"NETC": 1, "SNFH": 2, "ET": 3, "RC": 4}
    assert {r.name: r.values for r in preset("brats-2018").regions} == {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)}
    assert preset("lesion").values == (1,)
    assert {label.name: label.colour for label in METS.labels} == {"NETC": "#0072B2", "SNFH": "#009E73", "ET": "#D55E00", "RC": "#CC79A7"}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_coded_and_coloured_throughout(name: str) -> None:
    for label in preset(name).labels:
        assert len(label.colour) == 7
        int(label.colour.removeprefix("#"), 16)
        assert label.title
        assert all((code.value, code.scheme, code.meaning) for code in (label.category, label.kind))
        assert all(len(code.value) <= 16 and len(code.scheme) <= 16 and len(code.meaning) <= 64 for code in (label.category, label.kind))
    colours = [label.colour for label in preset(name).labels]
    assert len(set(colours)) == len(colours)


@given(hnp.arrays(st.sampled_from([np.uint8, np.uint16, np.int64]), (4, 5), elements=st.integers(0, 200)))
def test_a_region_is_the_union_of_its_labels(labels: np.ndarray) -> None:
    for region in METS.regions:
        np.testing.assert_array_equal(METS.region_mask(labels, region.name), np.isin(labels, region.values))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_regions_of_large_labels_are_found_whatever_the_dtype(dtype: Any) -> None:
    wide = schema(1, 300, 65535)
    labels = np.array([0, 1, 2, 255, *([300, 301, 65535] if dtype is not np.uint8 else [])], dtype)
    np.testing.assert_array_equal(wide.region_mask(labels, "All"), np.isin(labels, (1, 300, 65535)))


@given(hnp.arrays(np.uint8, (4, 5), elements=st.integers(0, 3)))
def test_labels_come_back_from_their_regions(labels: np.ndarray) -> None:
    regions = {name: METS.region_mask(labels, name) for name in ("WT", "TC", "ET")}
    np.testing.assert_array_equal(METS.from_regions(regions, {"WT": "SNFH", "TC": "NETC", "ET": "ET"}), labels)


def test_the_later_region_wins_where_they_overlap() -> None:
    whole, core = np.array([True, True, False]), np.array([False, True, True])
    assert METS.from_regions({"WT": whole, "TC": core}, {"WT": "SNFH", "TC": "NETC"}).tolist() == [2, 1, 1]
    assert METS.from_regions({"WT": whole, "TC": core}, {"TC": "NETC", "WT": "SNFH"}).tolist() == [2, 2, 1]


@given(
    hnp.arrays(st.sampled_from([np.uint8, np.int16]), (4, 5), elements=st.integers(0, 60)),
    st.dictionaries(st.integers(0, 90), st.integers(0, 255)),
)
def test_remapping_agrees_with_looking_up_each_value(labels: np.ndarray, mapping: dict[int, int]) -> None:
    remapped = remap_values(labels, mapping)
    assert remapped.dtype == np.uint8
    np.testing.assert_array_equal(remapped, np.vectorize(lambda v: mapping.get(v, v))(labels))


def test_brats_2018_labels_become_those_of_today() -> None:
    assert remap_values(np.array([0, 1, 2, 4], np.uint8), {4: 3}).tolist() == [0, 1, 2, 3]


def test_large_values_may_be_mapped_to_small_ones() -> None:
    assert remap_values(np.array([0, 300, 14000], np.uint16), {300: 1, 14000: 2, 2000: 3}).tolist() == [0, 1, 2]
    assert remap_values(np.zeros((0,), np.uint8), {4: 3}).size == 0


@pytest.mark.parametrize(
    ("labels", "mapping", "value"),
    [([300], {}, 300), ([0, 1], {1: 256}, 256), ([-1], {}, -1), ([0], {4: -3}, -3), ([0], {-4: 3}, -4), ([2_000_000], {}, 2_000_000)],
)
def test_values_that_a_mask_cannot_hold_are_refused(labels: list[int], mapping: dict[int, int], value: int) -> None:
    with pytest.raises(InputError, match=f"the value {value}\\."):
        remap_values(np.array(labels), mapping)


def test_lookups_say_what_there_is() -> None:
    assert METS.label("ET") is METS.label(3)
    with pytest.raises(InputError, match=r"no label 9\. It has 1 NETC, 2 SNFH, 3 ET, 4 RC"):
        METS.label(9)
    with pytest.raises(InputError, match=r"no region 'XX'\. It has WT, TC, ET, RC"):
        METS.region("XX")
    with pytest.raises(InputError, match=r"no label schema 'mets'\. Choose one of .*brats-mets-2025"):
        preset("mets")


def test_values_that_the_schema_does_not_know_are_named() -> None:
    METS.check(np.array([0, 1, 4]))
    with pytest.raises(InputError, match=r"seg\.nii holds the value 5, which brats-mets-2025 does not have"):
        METS.check(np.array([0, 5]), "seg.nii")
    with pytest.raises(InputError, match="holds the values 5, 7, which"):
        METS.check(np.array([7, 5, 1]))


def test_the_first_schema_that_covers_the_values_is_guessed() -> None:
    order = [preset("lesion"), preset("brats-2018"), METS]
    assert guess(np.array([0, 1]), order) is order[0]
    assert guess(np.array([0, 1, 4]), order) is order[1]
    assert guess(np.array([0, 3]), order) is METS
    assert guess(np.array([0, 9]), order) is None
    assert guess(np.array([0]), order) is order[0]


@pytest.mark.parametrize("values", [(1, 1), (0,), (65536,), (-1,)])
def test_a_schema_has_unique_values_from_1_to_65535(values: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="unique numbers"):
        schema(*values)


def test_a_schema_s_regions_are_made_of_its_labels() -> None:
    labels = schema(1, 2).labels
    for values in ((3,), ()):
        with pytest.raises(InputError, match="names a label that is not there"):
            LabelSchema("test", labels, (Region("All", "All", values),), "All")
    with pytest.raises(InputError, match="no region 'Other'"):
        LabelSchema("test", labels, (Region("All", "All", (1,)),), "Other")
