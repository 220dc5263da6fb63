"""The masks of a study put side by side: lesions of a case across raters, and volumes across raters and repeats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.evaluation.agreement.icc import intraclass
from napari_tumorseg.evaluation.agreement.repeatability import repeatability
from napari_tumorseg.evaluation.study.bias import Reading, leave_one_out
from napari_tumorseg.evaluation.study.lesion_clusters import LesionCluster, Merge, cluster_lesions

__all__ = ["AI", "CaseLesions", "MaskRead", "lesions_of_case", "volume_agreement"]

#: Name of the AI's own mask among the others.
AI = "(AI)"


@dataclass(frozen=True, eq=False)
class MaskRead:
    """The lesions of one reading.

    Attributes
    ----------
    rater, arm : str
        Who and how.
    parts : numpy.ndarray
        Lesions (z, y, x), 0 outside and 1 to n inside.
    repeat : int
        1 for the rater's first reading of the case in this arm.
    """

    rater: str
    arm: str
    parts: npt.NDArray[np.integer[Any]]
    repeat: int = 1

    @property
    def name(self) -> str:
        """Name of the reading within its case."""
        return f"{self.rater} {self.arm} {self.repeat}"


@dataclass(frozen=True, eq=False)
class CaseLesions:
    """What the readings of a case have in common.

    Attributes
    ----------
    clusters, merges : tuple
        Of `cluster_lesions`, over all readings and the AI's mask together.
    found : mapping of str to numpy.ndarray
        By arm, boolean (clusters, raters): who has which lesion, for `specific_agreement`; first readings only.
    readings : tuple of Reading
        For `automation_bias`; only those that others' readings from scratch can judge.
    unjudged : tuple of str
        Names of readings that nobody else's reading from scratch can judge.
    """

    clusters: tuple[LesionCluster, ...]
    merges: tuple[Merge, ...]
    found: Mapping[str, npt.NDArray[np.bool_]]
    readings: tuple[Reading, ...]
    unjudged: tuple[str, ...]


def lesions_of_case(case: str, reads: Sequence[MaskRead], from_scratch: str, ai: npt.NDArray[np.integer[Any]] | None = None) -> CaseLesions:
    """Find out which lesions of a case are the same, who has them, and which are there by the others' readings from scratch.

    Parameters
    ----------
    case : str
        Its name.
    reads : sequence of MaskRead
        All its readings.
    from_scratch : str
        Name of the arm without help.
    ai : numpy.ndarray, optional
        Lesions of the AI's mask (z, y, x), where it was run.

    Examples
    --------
    >>> one, none = np.array([[[1, 0, 2]]]), np.array([[[1, 0, 0]]])
    >>> told = lesions_of_case("c", [MaskRead("A", "scratch", one), MaskRead("B", "scratch", none), MaskRead("B", "ai", one)], "scratch")
    >>> told.found["scratch"].tolist(), [r.reference.tolist() for r in told.readings]
    ([[True, True], [True, False]], [[True, False], [True, True], [True, True]])
    """
    parts = {read.name: read.parts for read in reads} | ({AI: ai} if ai is not None else {})
    clusters, merges = cluster_lesions(parts)

    def has(name: str) -> npt.NDArray[np.bool_]:
        return np.array([name in cluster.members for cluster in clusters], bool)

    first = {(read.rater, read.arm): read.name for read in sorted(reads, key=lambda r: -r.repeat)}
    scratch = {rater: has(name) for (rater, arm), name in first.items() if arm == from_scratch}
    found = {}
    for arm in sorted({read.arm for read in reads}):
        columns = [has(name) for (_, a), name in sorted(first.items()) if a == arm]
        found[arm] = np.stack(columns, axis=1)
    readings, unjudged = [], []
    for read in reads:
        reference = leave_one_out(scratch, read.rater)
        if reference is None:
            unjudged.append(read.name)
        else:
            readings.append(Reading(case, read.rater, read.arm, has(read.name), reference, has(AI) if ai is not None else None))
    return CaseLesions(clusters, merges, found, tuple(readings), tuple(unjudged))


def volume_agreement(rows: Iterable[Mapping[str, Any]], confidence: float = 0.95) -> dict[str, Any]:
    """Return how well volumes agree between raters and between repeats, by arm.

    Parameters
    ----------
    rows : iterable of mapping
        With `case`, `rater`, `arm`, `repeat` and `volume_ml`.
    confidence : float
        Of the intervals.

    Returns
    -------
    dict
        By arm: ``icc``, of log volume, absolute agreement: ICC(2,1) and ICC(2,k) where two raters or more read all the cases, else ICC(1,1)
        and ICC(1,k), since the raters are not the same from case to case (None with fewer than three usable cases); ``raters``, ``cases``;
        ``left_out``, cases with a volume of 0, which has no logarithm; ``repeatability`` of volumes that a rater drew twice, None without.
    """
    by_arm: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_arm.setdefault(str(row["arm"]), []).append(row)
    return {arm: _volumes(found, confidence) for arm, found in sorted(by_arm.items())}


def _volumes(rows: Sequence[Mapping[str, Any]], confidence: float) -> dict[str, Any]:
    empty = {str(row["case"]) for row in rows if row["volume_ml"] <= 0}
    used = [row for row in rows if str(row["case"]) not in empty]
    pairs: dict[tuple[str, str], list[float]] = {}
    for row in sorted(used, key=lambda r: int(r["repeat"])):
        pairs.setdefault((str(row["case"]), str(row["rater"])), []).append(float(row["volume_ml"]))
    cases = sorted({case for case, _ in pairs})
    raters = sorted({rater for _, rater in pairs if all((case, rater) in pairs for case in cases)})
    told: dict[str, Any] = {"cases": len(cases), "raters": len(raters), "left_out": sorted(empty), "icc": None, "repeatability": None}
    names = ("ICC(2,1)", "ICC(2,k)")
    table = [[np.log(pairs[case, rater][0]) for rater in raters] for case in cases]
    if len(raters) < 2:
        own = [[np.log(v[0]) for (c, _), v in sorted(pairs.items()) if c == case] for case in cases]
        size = min((len(row) for row in own), default=0)
        table, names = [row[:size] for row in own], ("ICC(1,1)", "ICC(1,k)")
    if len(table) > 2 and min(len(row) for row in table) > 1 and np.ptp(table) > 0:
        told["icc"] = [row for row in intraclass(table, confidence) if row["name"] in names]
    repeats = [values for values in pairs.values() if len(values) > 1]
    if repeats:
        told["repeatability"] = repeatability(repeats, confidence)
    return told
