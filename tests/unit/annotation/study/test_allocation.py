"""Balance within rater and within case, over seeds; redrawing; codes."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_tumorseg.annotation.study.allocation import Instance, allocate, equitable_colours, redraw
from napari_tumorseg.annotation.study.recode import draw_codes
from napari_tumorseg.core.errors import InputError

from .conftest import raters

CASES = [f"c{i}" for i in range(9)]


def people(count: int) -> list[str]:
    return [f"R{i + 1}" for i in range(count)]


def orders(found: tuple[Instance, ...]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return the arms of each case and rater in the order of the periods."""
    by_pair: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for instance in found:
        by_pair[instance.case, instance.rater].append((instance.period, instance.arm))
    return {pair: tuple(arm for _, arm in sorted(order)) for pair, order in by_pair.items()}


def spread(values: list[str], kinds: list[str]) -> int:
    counts = [values.count(kind) for kind in kinds]
    return max(counts) - min(counts)


@given(edges=st.sets(st.tuples(st.integers(0, 7), st.integers(0, 5)), min_size=1), colours=st.integers(2, 4), seed=st.integers(0, 99))
@settings(max_examples=80)
def test_colours_are_equally_frequent_at_every_vertex(edges: set[tuple[int, int]], colours: int, seed: int) -> None:
    named = [(f"c{a}", f"r{b}") for a, b in sorted(edges)]
    found = equitable_colours(named, colours, random.Random(seed))
    assert set(found) == set(named)
    for side in (0, 1):
        for vertex in {edge[side] for edge in named}:
            counts = Counter(found[edge] for edge in named if edge[side] == vertex)
            assert max(counts.values()) - min(counts.get(c, 0) for c in range(colours)) <= 1


@pytest.mark.parametrize(("by", "count", "sets"), [("crossed", 2, 1), ("crossed", 5, 1), ("crossed", 4, 0), ("same", 3, 1), ("same", 3, 0)])
@pytest.mark.parametrize("seed", range(6))
def test_arm_order_is_balanced_within_rater_and_within_case(by: str, count: int, sets: int, seed: int) -> None:
    found = allocate(raters(by, sets), CASES, people(count), seed)
    first = {pair: order[0] for pair, order in orders(found).items()}
    for side in (0, 1):
        for name in {pair[side] for pair in first}:
            assert spread([arm for pair, arm in first.items() if pair[side] == name], ["ai", "scratch"]) <= 1
    per_case = Counter((i.case, i.arm) for i in found)
    size = 1 if by == "same" else 2
    assert set(per_case.values()) == {2 * (sets or count // size)}
    load = Counter(i.rater for i in found)
    assert max(load.values()) - min(load.values()) <= (4 if by == "same" else 2)


@pytest.mark.parametrize("seed", range(6))
def test_different_raters_read_a_case_once_and_both_arms_over_cases(seed: int) -> None:
    found = allocate(raters("different"), CASES, people(6), seed)
    assert set(Counter((i.case, i.arm) for i in found).values()) == {2}
    assert set(Counter((i.case, i.rater) for i in found).values()) == {1}
    for rater in people(6):
        assert spread([i.arm for i in found if i.rater == rater], ["ai", "scratch"]) <= 1


def test_one_rater_who_repeats_goes_there_and_back() -> None:
    found = allocate(raters("same"), CASES, ["R1"], 3)
    assert set(orders(found).values()) == {("ai", "scratch", "scratch", "ai"), ("scratch", "ai", "ai", "scratch")}
    for instance in found:
        earlier = [i for i in found if i.case == instance.case and i.arm == instance.arm and i.period < instance.period]
        assert instance.repeat == len(earlier) + 1
    positions = sorted(i.position for i in found)
    assert positions == list(range(1, 37))
    # Periods one after the other, cases in another order in each.
    by_period = [[i.case for i in sorted(found, key=lambda i: i.position) if i.period == p] for p in (1, 2, 3, 4)]
    assert [i.period for i in sorted(found, key=lambda i: i.position)] == [p for p in (1, 2, 3, 4) for _ in CASES]
    assert len({tuple(order) for order in by_period}) == 4


def test_the_seed_decides_and_names_come_in_any_order() -> None:
    protocol = raters()
    one = allocate(protocol, CASES, people(4), 5)
    assert one == allocate(protocol, CASES[::-1], people(4)[::-1], 5)
    assert one != allocate(protocol, CASES, people(4), 6)


def test_either_order_is_equally_likely_and_redrawing_keeps_the_balance() -> None:
    protocol = raters()
    pairs = sorted({(i.case, i.rater) for i in allocate(protocol, CASES, people(3), 1)})
    firsts: Counter[tuple[str, str]] = Counter()
    draws = 400
    for seed in range(draws):
        drawn = redraw(protocol, pairs, seed)
        assert {(case, rater) for case, rater, _ in drawn} == set(pairs)
        for case, rater in pairs:
            assert {drawn[case, rater, 1], drawn[case, rater, 2]} == {"ai", "scratch"}
            firsts[case, rater] += drawn[case, rater, 1] == "ai"
        for rater in people(3):
            assert spread([drawn[case, r, 1] for case, r in pairs if r == rater], ["ai", "scratch"]) <= 1
    # Four and a half standard deviations of a fair coin, for each of 18 pairs.
    assert all(abs(count - draws / 2) < 4.5 * (draws * 0.25) ** 0.5 for count in firsts.values())
    assert redraw(protocol, pairs, 3) == redraw(protocol, pairs[::-1], 3)


@pytest.mark.parametrize(
    ("by", "sets", "count", "needed"), [("crossed", 1, 1, 2), ("different", 1, 3, 4), ("crossed", 2, 3, 4), ("same", 1, 0, 1)]
)
def test_too_few_raters_are_told(by: str, sets: int, count: int, needed: int) -> None:
    with pytest.raises(InputError, match=f"needs {needed} raters for each case, and there are {count}"):
        allocate(raters(by, sets), CASES, people(count), 1)


@given(count=st.integers(0, 300), seed=st.integers(0, 10**6))
@settings(max_examples=20)
def test_codes_are_each_ones_own_and_of_no_doubtful_sign(count: int, seed: int) -> None:
    taken = set(draw_codes(50, seed + 1))
    codes = draw_codes(count, seed, taken)
    assert len(set(codes)) == count
    assert not set(codes) & taken
    assert not set("".join(codes)) & set("01ILO")
