"""Who reads which case in which arm and order, drawn from a seed.

The readers of a case and the cases of a reader form a bipartite graph, whose edges are coloured: a colour is an order of
the arms (or one arm, where each rater reads a case once). The colouring is *equitable*: at every rater and at every case
each colour occurs equally often, or once more (de Werra, INFOR 1971;9:353-371). It is found by cutting each
vertex into vertices of as many edges as there are colours and colouring those by alternating paths (Kőnig, Math Ann 1916;77:453-465).
Cuts, order of the edges, choices of colours and what a colour means are drawn at random, so that the same procedure gives
the reference distribution of a randomisation test (`redraw`).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from napari_tumorseg.annotation.study.protocol import Protocol
from napari_tumorseg.core.errors import InputError

__all__ = ["Instance", "allocate", "redraw"]

Pair = tuple[str, str]


@dataclass(frozen=True)
class Instance:
    """One reading of a case by a rater.

    Attributes
    ----------
    case, rater, arm : str
        What, who, how.
    period : int
        1 for the rater's first reading of the case, 2 for the next.
    repeat : int
        1 for the rater's first reading of the case in this arm, 2 for the next.
    position : int
        Place among all readings of the rater, from 1.
    """

    case: str
    rater: str
    arm: str
    period: int
    repeat: int
    position: int


def allocate(protocol: Protocol, cases: Sequence[str], raters: Sequence[str], seed: int) -> tuple[Instance, ...]:
    """Draw the allocation of a comparison.

    Parameters
    ----------
    protocol : Protocol
        With arms.
    cases, raters : sequence of str
        Their names; the order does not matter.
    seed : int
        The same seed gives the same allocation.

    Returns
    -------
    tuple of Instance
        By rater and position. Within each rater and within each case every order of the arms occurs equally often, or
        once more. Raters' loads differ by one reading of a case at most.

    Raises
    ------
    InputError
        If there are not as many raters as the protocol needs for a case.

    Examples
    --------
    >>> from napari_tumorseg.annotation.study.protocol_file import load_protocol
    >>> found = allocate(load_protocol("brats-mets-raters"), ["a", "b"], ["R1", "R2"], seed=4)
    >>> len(found), sorted({(i.case, i.period, i.arm) for i in found if i.rater == "R1" and i.case == "a"})[0][1]
    (8, 1)
    """
    rng = random.Random(f"allocation {seed}")
    pairs = _pairs(protocol, sorted(cases), sorted(raters), rng)
    arms = _draw(protocol, pairs, rng)
    by_rater: dict[str, list[tuple[int, float, Pair]]] = {}
    for pair, order in arms.items():
        for period in range(1, len(order) + 1):
            by_rater.setdefault(pair[1], []).append((period, rng.random(), pair))
    found = []
    for rater in sorted(by_rater):
        for position, (period, _, pair) in enumerate(sorted(by_rater[rater]), 1):
            order = arms[pair]
            arm = order[period - 1]
            found.append(Instance(pair[0], rater, arm, period, order[:period].count(arm), position))
    return tuple(found)


def redraw(protocol: Protocol, pairs: Sequence[Pair], seed: int) -> Mapping[tuple[str, str, int], str]:
    """Draw the arms again, by the protocol's own procedure, for readings that stay where they are.

    For inference by randomisation: under the null hypothesis the times would have been the same whatever the arms.

    Parameters
    ----------
    protocol : Protocol
        With arms.
    pairs : sequence of (str, str)
        Case and rater of each pair that read.
    seed : int
        Of this draw.

    Returns
    -------
    mapping of (str, str, int) to str
        Arm by case, rater and period.
    """
    drawn = _draw(protocol, sorted(set(pairs)), random.Random(f"redraw {seed}"))
    return {(case, rater, period): arm for (case, rater), order in drawn.items() for period, arm in enumerate(order, 1)}


def raters_for_a_case(protocol: Protocol, raters: int) -> int:
    """Return how many raters read each case, of `raters` that there are; raise `InputError` where there are too few."""
    instances, arms = protocol.instances, _balanced_arms(protocol)
    size = {"same": 1, "crossed": instances.per_arm, "different": instances.per_arm * len(protocol.arms)}[instances.by]
    sets = instances.sets or raters // size
    sham = len(protocol.arms) != len(arms)
    if sham and instances.by == "different":
        raise InputError(f"{protocol.name} gives its sham arm to raters who read a case once.", 'Use instances.by = "crossed" or "same".')
    needed = max(size * sets, size, 2 if sham else 1)
    if raters < needed:
        raise InputError(f"{protocol.name} needs {needed} raters for each case, and there are {raters}.", "Add raters.")
    return needed


def _balanced_arms(protocol: Protocol) -> tuple[str, ...]:
    """Return the arms whose order is drawn; a sham comes after them."""
    if protocol.instances.by == "different":
        return tuple(arm.name for arm in protocol.arms)
    return tuple(arm.name for arm in protocol.arms if arm.start != "other-rater")


def _pairs(protocol: Protocol, cases: list[str], raters: list[str], rng: random.Random) -> list[Pair]:
    """Give each case its raters: always those who have the fewest, ties by lot."""
    wanted = raters_for_a_case(protocol, len(raters))
    load = dict.fromkeys(raters, 0)
    pairs = []
    for case in rng.sample(cases, len(cases)):
        chosen = sorted(raters, key=lambda rater: (load[rater], rng.random()))[:wanted]
        for rater in chosen:
            load[rater] += 1
            pairs.append((case, rater))
    return sorted(pairs)


def _draw(protocol: Protocol, pairs: list[Pair], rng: random.Random) -> dict[Pair, tuple[str, ...]]:
    """Return the arms of each pair in the order of the periods."""
    instances = protocol.instances
    arms = list(_balanced_arms(protocol))
    sham = [arm.name for arm in protocol.arms if arm.name not in arms]
    rng.shuffle(arms)
    colours = equitable_colours(pairs, len(arms), rng)
    if instances.by == "different":
        return {pair: (arms[colour],) for pair, colour in colours.items()}
    repeats = instances.per_arm if instances.by == "same" else 1
    drawn = {}
    for pair, colour in colours.items():
        order = arms[colour:] + arms[:colour]
        # There and back again (A B B A): what grows with time falls on both arms alike.
        passes = [arm for turn in range(repeats) for arm in (order if turn % 2 == 0 else order[::-1])]
        drawn[pair] = (*passes, *(arm for arm in sham for _ in range(repeats)))
    return drawn


def equitable_colours(edges: Sequence[Pair], colours: int, rng: random.Random) -> dict[Pair, int]:
    """Colour the edges of a bipartite graph so that each colour is equally frequent, or once more, at every vertex.

    Parameters
    ----------
    edges : sequence of (str, str)
        Left and right vertex of each edge, without repetition.
    colours : int
        How many colours.
    rng : random.Random
        Source of all choices.

    Returns
    -------
    dict of (str, str) to int
        Colour of each edge, 0 to `colours` - 1.

    Examples
    --------
    >>> found = equitable_colours([("a", "R1"), ("a", "R2"), ("b", "R1"), ("b", "R2")], 2, random.Random(0))
    >>> found["a", "R1"] == found["b", "R2"] != found["a", "R2"] == found["b", "R1"]
    True
    """
    order = list(edges)
    rng.shuffle(order)
    ends = _cut(order, colours, rng)
    at: dict[tuple[int, str, int], dict[int, int]] = {end: {} for pair in ends for end in pair}
    colour_of: dict[int, int] = {}
    for index, (left, right) in enumerate(ends):
        free_left = [c for c in range(colours) if c not in at[left]]
        free_right = [c for c in range(colours) if c not in at[right]]
        both = [c for c in free_left if c in free_right]
        chosen = rng.choice(both) if both else rng.choice(free_left)
        if not both:
            _swap_path(right, chosen, rng.choice(free_right), at, ends, colour_of)
        colour_of[index] = chosen
        at[left][chosen] = at[right][chosen] = index
    meaning = rng.sample(range(colours), colours)
    return {order[index]: meaning[colour] for index, colour in colour_of.items()}


def _cut(order: list[Pair], size: int, rng: random.Random) -> list[tuple[tuple[int, str, int], tuple[int, str, int]]]:
    """Return the ends of each edge, vertices cut into ones of `size` edges at most."""
    parts: list[dict[int, tuple[int, str, int]]] = []
    for side in (0, 1):
        around: dict[str, list[int]] = {}
        for index, edge in enumerate(order):
            around.setdefault(edge[side], []).append(index)
        found: dict[int, tuple[int, str, int]] = {}
        for vertex, indices in around.items():
            rng.shuffle(indices)
            found.update({index: (side, vertex, place // size) for place, index in enumerate(indices)})
        parts.append(found)
    return [(parts[0][index], parts[1][index]) for index in range(len(order))]


def _swap_path(
    start: tuple[int, str, int],
    taken: int,
    free: int,
    at: dict[tuple[int, str, int], dict[int, int]],
    ends: list[tuple[tuple[int, str, int], tuple[int, str, int]]],
    colour_of: dict[int, int],
) -> None:
    """Exchange two colours along the path from a vertex, which frees `taken` there; in a bipartite graph it does not come back."""
    path, vertex, colour = [], start, taken
    while colour in at[vertex]:
        index = at[vertex][colour]
        path.append(index)
        left, right = ends[index]
        vertex = right if vertex == left else left
        colour = free if colour == taken else taken
    for index in path:
        for end in ends[index]:
            del at[end][colour_of[index]]
        colour_of[index] = free if colour_of[index] == taken else taken
    for index in path:
        for end in ends[index]:
            at[end][colour_of[index]] = index
