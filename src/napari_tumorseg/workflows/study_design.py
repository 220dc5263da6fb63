"""A protocol's own allocation as the statistics need it: who reads what in which arm, and the same drawn again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from napari_tumorseg.annotation.study.allocation import allocate, redraw
from napari_tumorseg.annotation.study.protocol import Protocol
from napari_tumorseg.evaluation.study.randomisation import Redraw
from napari_tumorseg.evaluation.study.readings import Readings

__all__ = ["Redraws", "planned_readings", "protocol_redraw"]


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


@dataclass(frozen=True, eq=False)
class Redraws:
    """A protocol's procedure for the pairs that it gave out, each allocation drawn once whatever readings it is asked for.

    Parameters
    ----------
    protocol : Protocol
        With arms.
    pairs : sequence of (str, str)
        Case and rater of each pair, those without a finished reading too: they are part of the balance.
    seed : int
        Of the draws.
    """

    protocol: Protocol
    pairs: Sequence[tuple[str, str]]
    seed: int = 0
    _drawn: dict[int, Mapping[tuple[str, str, int], str]] = field(default_factory=dict, repr=False)

    def of(self, readings: Readings) -> Redraw:
        """Return the procedure for some of the readings of these pairs: pairs and periods stay, arms are drawn."""
        places = [
            (readings.cases[c], readings.raters[r], int(n)) for r, c, n in zip(readings.rater, readings.case, readings.period, strict=True)
        ]
        second = readings.arms[1]

        def draw(number: int) -> npt.NDArray[np.float64]:
            arms = self._arms(number)
            return np.array([0.5 if arms[place] == second else -0.5 for place in places])

        return draw

    def _arms(self, number: int) -> Mapping[tuple[str, str, int], str]:
        if number not in self._drawn:
            self._drawn[number] = redraw(self.protocol, self.pairs, self.seed * 1_000_003 + number)
        return self._drawn[number]


def protocol_redraw(protocol: Protocol, readings: Readings, seed: int = 0) -> Redraw:
    """Return the protocol's procedure, which gives other arms to the same readings: the pairs of rater and case, and periods, stay.

    Readings that were excluded, or are not there yet, are drawn with the others of their pair and then left out. A pair of which nothing is
    left is not drawn; where whole pairs are missing use `Redraws`, or the balance is that of what is left.
    """
    pairs = sorted({(readings.cases[c], readings.raters[r]) for r, c in zip(readings.rater, readings.case, strict=True)})
    return Redraws(protocol, pairs, seed).of(readings)
