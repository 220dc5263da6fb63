"""A protocol's own allocation as the statistics need it: who reads what in which arm, and the same drawn again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from napari_tumorseg.annotation.study.allocation import allocate, redraw
from napari_tumorseg.annotation.study.protocol import Protocol
from napari_tumorseg.evaluation.study.randomisation import Redraw
from napari_tumorseg.evaluation.study.readings import Readings

__all__ = ["planned_readings", "protocol_redraw"]


def planned_readings(protocol: Protocol, raters: Sequence[str], lesions: Mapping[str, float], seed: int, arms: Sequence[str]) -> Readings:
    """Return the readings that a protocol would hand out, with times of 1 s.

    Parameters
    ----------
    protocol : Protocol
        With arms.
    raters : sequence of str
        Who reads.
    lesions : mapping of str to float
        By case, lesions in its reference.
    seed : int
        Of the allocation.
    arms : sequence of str
        Which two are compared: from scratch, then AI-assisted.
    """
    rows = [
        {
            "rater": i.rater,
            "case": i.case,
            "arm": i.arm,
            "period": i.period,
            "order": i.position,
            "lesions": lesions[i.case],
            "seconds": 1.0,
        }
        for i in allocate(protocol, sorted(lesions), raters, seed)
    ]
    return Readings.of(rows, arms)


def protocol_redraw(protocol: Protocol, readings: Readings, seed: int = 0) -> Redraw:
    """Return the protocol's procedure, which gives other arms to the same readings: the pairs of rater and case, and periods, stay.

    Readings that were excluded, or are not there yet, are drawn with the others of their pair and then left out. A pair of which nothing is
    left is not drawn; so give all readings that were handed out where whole pairs are missing, or the balance is that of what is left.
    """
    pairs = sorted({(readings.cases[c], readings.raters[r]) for r, c in zip(readings.rater, readings.case, strict=True)})
    places = [
        (readings.cases[c], readings.raters[r], int(n)) for r, c, n in zip(readings.rater, readings.case, readings.period, strict=True)
    ]
    second = readings.arms[1]

    def draw(number: int) -> npt.NDArray[np.float64]:
        arms = redraw(protocol, pairs, seed * 1_000_003 + number)
        return np.array([0.5 if arms[place] == second else -0.5 for place in places])

    return draw
