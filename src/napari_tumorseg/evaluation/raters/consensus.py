"""One mask from the masks of several raters: majority, STAPLE, SIMPLE, and where raters agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box, bounding_box

__all__ = ["Consensus", "agreement_map", "majority", "simple", "staple"]

Labels = npt.NDArray[np.unsignedinteger[Any]]

_ROUNDS = 25


@dataclass(frozen=True, eq=False)
class Consensus:
    """A mask that several raters' masks were fused to.

    Attributes
    ----------
    labels : numpy.ndarray
        Shape (z, y, x), dtype of the masks.
    sensitivity, specificity : tuple of (mapping of int to float)
        Per rater, by label; STAPLE's estimates, empty for other methods.
    weights : tuple of float
        Per rater; SIMPLE's, 0 for a rater that was left out; empty for other methods.
    tied_voxels : int
        Voxels in which no label had most votes; they are background.
    """

    labels: Labels
    sensitivity: tuple[dict[int, float], ...] = ()
    specificity: tuple[dict[int, float], ...] = ()
    weights: tuple[float, ...] = ()
    tied_voxels: int = 0


def agreement_map(masks: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
    """Return the share of raters that drew something at each voxel.

    Parameters
    ----------
    masks : sequence of numpy.ndarray
        Shape (z, y, x) each; what is not 0 is drawn.

    Returns
    -------
    numpy.ndarray
        float32 (z, y, x), 0 to 1.

    Examples
    --------
    >>> agreement_map([np.array([[[0, 1, 2]]]), np.array([[[0, 0, 1]]])]).tolist()
    [[[0.0, 0.5, 1.0]]]
    """
    checked = _checked(masks, fewest=1)
    votes = np.zeros(checked[0].shape, np.float32)
    for mask in checked:
        votes += mask != 0
    votes /= len(checked)
    return votes


def majority(masks: Sequence[Labels]) -> Consensus:
    """Return the label that most raters gave to each voxel; background is a label too, and takes ties.

    Parameters
    ----------
    masks : sequence of numpy.ndarray
        Shape (z, y, x) each, unsigned integer; two or more.

    Examples
    --------
    >>> masks = [np.array([[[1, 1, 2]]], np.uint8), np.array([[[1, 0, 2]]], np.uint8), np.array([[[0, 0, 1]]], np.uint8)]
    >>> majority(masks).labels.tolist()
    [[[1, 0, 2]]]
    """
    checked = _checked(masks)
    out, box = _room(checked)
    labels, tied = _vote([mask[box.slices] for mask in checked], np.ones(len(checked)))
    out[box.slices] = labels
    return Consensus(out, tied_voxels=tied)


def simple(masks: Sequence[Labels], alpha: float = 1.0, fewest: int = 3) -> Consensus:
    """Fuse masks by SIMPLE: vote by performance, leave out the worst, repeat.

    T. R. Langerak et al., IEEE Trans. Med. Imaging 29:2000, 2010 (10.1109/TMI.2010.2057442): a rater's performance is the Dice
    coefficient with the present fusion, and the raters below mean - `alpha` standard deviations are left out until none is.
    With several labels the performance is the mean Dice over the labels.

    Parameters
    ----------
    masks : sequence of numpy.ndarray
        Shape (z, y, x) each, unsigned integer; two or more.
    alpha : float
        How far below the mean a rater may be, in standard deviations.
    fewest : int
        Raters that stay in any case. The method was made for tens of atlases; of three raters one is always below the line.

    Examples
    --------
    >>> good, bad = np.array([[[1, 1, 1, 0]]], np.uint8), np.array([[[0, 0, 0, 1]]], np.uint8)
    >>> simple([good, good, good, bad]).weights
    (1.0, 1.0, 1.0, 0.0)
    """
    checked = _checked(masks)
    out, box = _room(checked)
    cut = [np.ascontiguousarray(mask[box.slices]) for mask in checked]
    values = sorted({int(v) for mask in cut for v in np.unique(mask)} - {0})
    kept, weights = list(range(len(cut))), np.ones(len(cut))
    fused, tied = _vote(cut, weights)
    for _ in range(_ROUNDS):
        scores = np.array([_mean_dice(cut[i], fused, values) for i in kept])
        line = scores.mean() - alpha * scores.std() - 1e-12
        good = scores >= line
        if good.sum() < fewest:
            good = np.isin(np.arange(len(kept)), np.argsort(-scores, kind="stable")[: min(fewest, len(kept))])
        before, settled = fused, bool(good.all())
        weights = np.zeros(len(cut))
        for i, score, stays in zip(kept, scores, good, strict=True):
            weights[i] = score if stays else 0.0
        kept = [i for i, stays in zip(kept, good, strict=True) if stays]
        if not weights.any():  # nobody has anything in common with the vote
            weights[kept] = 1.0
        fused, tied = _vote([cut[i] for i in kept], weights[kept])
        if settled and np.array_equal(before, fused):
            break
    out[box.slices] = fused
    return Consensus(out, weights=tuple(float(w) for w in weights), tied_voxels=tied)


def staple(masks: Sequence[Labels]) -> Consensus:
    """Fuse masks by STAPLE, SimpleITK's implementation over the whole image.

    S. K. Warfield, K. H. Zou and W. M. Wells, IEEE Trans. Med. Imaging 23:903, 2004 (10.1109/TMI.2004.828354). One label: its
    binary form, foreground where the probability is 0.5 or more; several labels: the form of T. Rohlfing, D. B. Russakoff and
    C. R. Maurer, IPMI 2003, undecided voxels being background.

    Parameters
    ----------
    masks : sequence of numpy.ndarray
        Shape (z, y, x) each, unsigned integer; two or more.

    Returns
    -------
    Consensus
        With sensitivity and specificity of each rater. Where nobody drew anything the mask is empty and they are missing.

    Examples
    --------
    >>> cube = np.zeros((6, 6, 6), np.uint8)
    >>> cube[1:4, 1:4, 1:4] = 1
    >>> bool((staple([cube, cube, cube]).labels == cube).all())
    True
    """
    checked = _checked(masks)
    empty, box = _room(checked)
    values = sorted({int(v) for mask in checked for v in np.unique(mask[box.slices])} - {0})
    if not values:
        return Consensus(empty)
    return _staple_binary(checked, values[0]) if len(values) == 1 else _staple_labels(checked, values)


def _staple_binary(masks: list[Labels], value: int) -> Consensus:
    import SimpleITK as sitk

    filtered = sitk.STAPLEImageFilter()
    filtered.SetForegroundValue(1.0)
    probability = filtered.Execute([sitk.GetImageFromArray((mask == value).astype(np.uint8)) for mask in masks])
    labels = np.where(sitk.GetArrayViewFromImage(probability) >= 0.5, value, 0).astype(np.result_type(*masks))
    sensitivity, specificity = ([{value: float(v)} for v in found] for found in (filtered.GetSensitivity(), filtered.GetSpecificity()))
    return Consensus(labels, tuple(sensitivity), tuple(specificity))


def _staple_labels(masks: list[Labels], values: list[int]) -> Consensus:
    import SimpleITK as sitk

    # Numbered without gaps, so that the confusion matrices have no empty rows.
    names = [0, *values]
    number = np.zeros(max(names) + 1, np.uint8 if len(names) < 256 else np.uint16)
    number[names] = np.arange(len(names))
    filtered = sitk.MultiLabelSTAPLEImageFilter()
    filtered.SetLabelForUndecidedPixels(len(names))
    fused = sitk.GetArrayFromImage(filtered.Execute([sitk.GetImageFromArray(number[mask]) for mask in masks]))
    undecided = fused == len(names)
    back = np.array([*names, 0], np.result_type(*masks))
    sensitivity, specificity = [], []
    share = np.bincount(fused[~undecided].ravel(), minlength=len(names))[: len(names)].astype(np.float64)
    for rater in range(len(masks)):
        # Rows: what the rater said; columns: the truth. A last row is ITK's, for undecided input.
        table = np.array(filtered.GetConfusionMatrix(rater)).reshape(-1, len(names))[: len(names)]
        sensitivity.append({name: float(table[i, i]) for i, name in enumerate(names) if i})
        specificity.append({name: _specificity(table, share, i) for i, name in enumerate(names) if i})
    return Consensus(back[fused], tuple(sensitivity), tuple(specificity), tied_voxels=int(undecided.sum()))


def _specificity(table: npt.NDArray[np.float64], share: npt.NDArray[np.float64], label: int) -> float:
    """Return how seldom a rater says `label` where the truth is another, the other labels weighted by their voxels."""
    others = share.copy()
    others[label] = 0
    return float(1.0 - (table[label] @ others) / others.sum()) if others.sum() else 1.0


def _checked(masks: Sequence[npt.NDArray[Any]], fewest: int = 2) -> list[Any]:
    checked = [np.asarray(mask) for mask in masks]
    if len(checked) < fewest:
        raise InputError(f"There is {len(checked)} mask.", "A consensus needs those of two or more raters.")
    shapes = {mask.shape for mask in checked}
    if len(shapes) > 1 or checked[0].ndim != 3:
        raise InputError(f"The masks have the shapes {', '.join(map(str, sorted(shapes)))}.", "Give masks of one image.")
    return checked


def _room(masks: list[Labels]) -> tuple[Labels, Box]:
    """Return an empty mask, and the box that all masks are empty outside of."""
    box: Box | None = None
    for mask in masks:
        own = bounding_box(mask)
        if own is not None:
            box = own if box is None else box.union(own)
    return np.zeros(masks[0].shape, np.result_type(*masks)), box or Box((0, 0, 0), (0, 0, 0))


def _vote(masks: list[Labels], weights: npt.NDArray[np.float64]) -> tuple[Labels, int]:
    """Return the label with the most weight in each voxel, 0 where several have it, and the number of those voxels."""
    shape, dtype = masks[0].shape, np.result_type(*masks)
    best, most = np.zeros(shape, dtype), np.full(shape, -1.0)
    tied = np.zeros(shape, bool)
    for value in sorted({int(v) for mask in masks for v in np.unique(mask)} | {0}):
        votes = np.zeros(shape)
        for mask, weight in zip(masks, weights, strict=True):
            votes += weight * (mask == value)
        near = np.isclose(votes, most, rtol=1e-9, atol=0)
        more = (votes > most) & ~near
        tied = (tied & ~more) | (near & (votes > 0))
        best[more] = value
        most = np.maximum(most, votes)
    best[tied] = 0
    return best, int(tied.sum())


def _mean_dice(mask: Labels, fused: Labels, values: list[int]) -> float:
    scores = []
    for value in values:
        one, other = mask == value, fused == value
        total = int(one.sum()) + int(other.sum())
        if total:
            scores.append(2 * int((one & other).sum()) / total)
    return float(np.mean(scores)) if scores else 1.0
