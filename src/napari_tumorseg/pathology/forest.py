"""Random trees: trained by scikit-learn, kept as plain arrays, evaluated here.

A forest on disk is numbers only, never a pickle, which could run code. Votes are whole trees, as in QuPath (OpenCV's RTrees):
each tree gives its leaf's class one vote. They equal those of scikit-learn's trees exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError, ModelError

if TYPE_CHECKING:
    import torch

__all__ = ["Forest", "ForestSettings"]

Votes = npt.NDArray[np.uint8]

#: Below this share of the pixels a node goes on with their indices instead of a mask of all.
_SPARSE = 1 / 8
_MAX_TREES = 255


@dataclass(frozen=True)
class ForestSettings:
    """How the trees grow: the published classifier's settings (Tafavvoghi et al. 2025, QuPath) by default.

    Attributes
    ----------
    trees : int
        1 to 255.
    depth : int
        Largest depth.
    min_split : int
        A node with fewer samples is not split (OpenCV's minimum sample count).
    active_features : int
        Features looked at for each split; fewer where there are fewer.
    """

    trees: int = 100
    depth: int = 30
    min_split: int = 5
    active_features: int = 10

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 1 <= self.trees <= _MAX_TREES or min(self.depth, self.active_features) < 1 or self.min_split < 2:
            raise InputError("The settings of the random trees are out of range.", "Use 1 to 255 trees, and positive numbers.")


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees as arrays; the nodes of all trees follow each other.

    Attributes
    ----------
    feature : numpy.ndarray
        int32: the feature that a node asks for, -1 at a leaf.
    threshold : numpy.ndarray
        float32: values up to it go left.
    left, right : numpy.ndarray
        int32: the node's children; both behind it. A leaf's are itself.
    winner : numpy.ndarray
        uint8: the class that a leaf votes for.
    roots : numpy.ndarray
        int32: the first node of each tree.
    n_features, n_classes : int
        Of the training set.
    """

    feature: npt.NDArray[np.int32]
    threshold: npt.NDArray[np.float32]
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    winner: npt.NDArray[np.uint8]
    roots: npt.NDArray[np.int32]
    n_features: int
    n_classes: int

    def __post_init__(self) -> None:
        """Check that every walk ends at a leaf with a class: a file may hold anything."""
        size = len(self.feature)
        here = np.arange(size)
        leaf = self.feature < 0
        sound = (
            size > 0
            and all(len(a) == size for a in (self.threshold, self.left, self.right, self.winner))
            and bool((self.feature < self.n_features).all() and (self.winner < self.n_classes).all())
            and bool(np.where(leaf, self.left == here, (self.left > here) & (self.left < size)).all())
            and bool(np.where(leaf, self.right == here, (self.right > here) & (self.right < size)).all())
            and 1 <= len(self.roots) <= _MAX_TREES
            and bool(((self.roots >= 0) & (self.roots < size)).all())
            and bool(np.isfinite(self.threshold).all())
        )
        if not sound:
            raise ModelError("The random trees are damaged.", "Train the classifier again, or copy its file again.")

    @classmethod
    def fit(cls, samples: npt.NDArray[Any], classes: npt.NDArray[Any], settings: ForestSettings, seed: int) -> Forest:
        """Grow trees with balanced classes.

        The first trees do not depend on how many follow, so a forest of 25 trees is the start of the one of 100.

        Parameters
        ----------
        samples : numpy.ndarray
            float32 (sample, feature), finite.
        classes : numpy.ndarray
            Integer (sample,), from 0 without gaps.
        settings : ForestSettings
            Size and shape of the trees.
        seed : int
            The same seed gives the same trees.
        """
        from sklearn.ensemble import RandomForestClassifier

        grown = RandomForestClassifier(
            n_estimators=settings.trees,
            max_depth=settings.depth,
            min_samples_split=settings.min_split,
            max_features=min(settings.active_features, samples.shape[1]),
            class_weight="balanced",
            random_state=seed,
            n_jobs=-1,
        ).fit(samples, classes)
        return cls.from_sklearn(grown)

    @classmethod
    def from_sklearn(cls, grown: Any) -> Forest:
        """Return the arrays of a fitted `RandomForestClassifier` whose classes are 0, 1, 2, ..."""
        parts = [_plain(member.tree_) for member in grown.estimators_]
        starts = np.cumsum([0, *(len(part["feature"]) for part in parts)])[:-1].astype(np.int32)
        for part, start in zip(parts, starts, strict=True):
            part["left"] += start
            part["right"] += start
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return cls(**joined, roots=starts, n_features=int(grown.n_features_in_), n_classes=len(grown.classes_))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return what a file keeps; `from_arrays` reads it."""
        names = ("feature", "threshold", "left", "right", "winner", "roots")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], n_features: int, n_classes: int) -> Forest:
        """Return the forest of `arrays`; raise `ModelError` if something is missing or does not fit."""
        kinds = {"feature": np.int32, "threshold": np.float32, "left": np.int32, "right": np.int32, "winner": np.uint8, "roots": np.int32}
        if any(name not in arrays or arrays[name].dtype != kind or arrays[name].ndim != 1 for name, kind in kinds.items()):
            raise ModelError("The random trees are incomplete.", "Train the classifier again, or copy its file again.")
        return cls(**{name: arrays[name] for name in kinds}, n_features=n_features, n_classes=n_classes)

    def votes(self, columns: npt.NDArray[np.float32]) -> Votes:
        """Count the trees that vote for each class.

        Parameters
        ----------
        columns : numpy.ndarray
            float32 (feature, pixel).

        Returns
        -------
        numpy.ndarray
            uint8 (class, pixel); the sum over classes is the number of trees.
        """
        counts = np.zeros((self.n_classes, columns.shape[1]), np.uint8)
        self._walked(columns, counts, self.roots)
        return counts

    def winners(self, columns: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
        """Return the class with most votes, the first of equals: `votes` then `argmax`, but quicker.

        Pixels whose winner the remaining trees cannot change are not asked further.
        """
        out = np.empty(columns.shape[1], np.intp)
        undecided = np.arange(columns.shape[1])
        counts = np.zeros((self.n_classes, columns.shape[1]), np.uint8)
        total, done = len(self.roots), 0
        while done < total and len(undecided):
            stop = min(total, total // 2 + 1 if done == 0 else done + max(1, total // 10))
            self._walked(columns, counts, self.roots[done:stop])
            done = stop
            best = counts.argmax(axis=0)
            ranked = np.partition(counts, -2, axis=0)
            certain = ranked[-1] - ranked[-2] > total - done if done < total else np.ones(len(undecided), bool)
            out[undecided[certain]] = best[certain]
            open_still = ~certain
            undecided, counts = undecided[open_still], counts[:, open_still]
            if done < total:
                columns = columns[:, open_still]
        return out

    def _walked(self, columns: npt.NDArray[np.float32], counts: Votes, roots: npt.NDArray[np.int32]) -> None:
        if columns.shape[0] != self.n_features:
            raise InputError(
                f"The trees need {self.n_features} features, not {columns.shape[0]}.", "Use the features they were trained on."
            )
        walk = _Walk(columns, counts, self.nodes, self.threshold)
        for root in roots.tolist():
            walk.tree(root)

    @cached_property
    def nodes(self) -> list[tuple[int, int, int, int]]:
        """Feature, left, right and winner of each node as Python's own numbers, which a walk reads fastest."""
        return list(zip(*(a.tolist() for a in (self.feature, self.left, self.right, self.winner)), strict=True))

    def votes_on(self, columns: torch.Tensor) -> torch.Tensor:
        """Return `votes` computed by PyTorch where `columns` lie (meant for a GPU): uint8 (class, pixel)."""
        import torch

        tables = {name: torch.from_numpy(a).to(columns.device) for name, a in self.arrays().items()}
        feature, threshold = tables["feature"].long(), tables["threshold"]
        left, right = tables["left"].long(), tables["right"].long()
        counts = torch.zeros((self.n_classes, columns.shape[1]), dtype=torch.uint8, device=columns.device)
        for root in self.roots.tolist():
            node = torch.full((columns.shape[1],), root, device=columns.device)
            while bool((feature[node] >= 0).any()):
                value = columns.gather(0, feature[node].clamp(min=0)[None])[0]
                node = torch.where(value <= threshold[node], left[node], right[node])
            winner = tables["winner"][node].long()
            counts.scatter_add_(0, winner[None], torch.ones_like(winner, dtype=torch.uint8)[None])
        return counts


class _Walk:
    """All pixels down one tree after the other: those of a node as a mask while they are many, then as indices."""

    def __init__(
        self, columns: npt.NDArray[np.float32], counts: Votes, nodes: list[tuple[int, int, int, int]], threshold: npt.NDArray[np.float32]
    ) -> None:
        self._columns = columns
        self._counts = counts
        self._nodes = nodes
        self._threshold = threshold
        self._few = columns.shape[1] * _SPARSE
        self._all = np.ones(columns.shape[1], bool)

    def tree(self, root: int) -> None:
        """Add the votes of one tree."""
        waiting: list[tuple[int, npt.NDArray[Any]]] = [(root, self._all)]
        while waiting:
            node, pixels = waiting.pop()
            feature, left, right, winner = self._nodes[node]
            if feature < 0:
                if pixels.dtype == np.bool_:
                    self._counts[winner] += pixels.view(np.uint8)
                else:
                    self._counts[winner][pixels] += 1
            elif pixels.dtype == np.bool_:
                low = self._columns[feature] <= self._threshold[node]
                low &= pixels
                waiting += [
                    (child, part) for child, mask in ((left, low), (right, pixels ^ low)) if (part := self._thinned(mask)) is not None
                ]
            else:
                below = self._columns[feature].take(pixels) <= self._threshold[node]
                waiting += [(child, part) for child, part in ((left, pixels[below]), (right, pixels[~below])) if len(part)]

    def _thinned(self, mask: npt.NDArray[np.bool_]) -> npt.NDArray[Any] | None:
        count = np.count_nonzero(mask)
        if count == 0:
            return None
        return mask if count >= self._few else np.flatnonzero(mask)


def _plain(tree: Any) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a scikit-learn tree without the branches whose leaves all vote alike."""
    winner = tree.value[:, 0].argmax(axis=1).astype(np.uint8)
    left, right = tree.children_left, tree.children_right
    ends = left < 0
    for node in range(len(left) - 1, -1, -1):  # children lie behind their parents
        if not ends[node] and ends[left[node]] and ends[right[node]] and winner[left[node]] == winner[right[node]]:
            ends[node], winner[node] = True, winner[left[node]]
    kept = np.zeros(len(left), bool)
    kept[0] = True
    for node in range(len(left)):
        if kept[node] and not ends[node]:
            kept[[left[node], right[node]]] = True
    number = np.cumsum(kept, dtype=np.int32) - np.int32(1)
    here = np.arange(len(left))
    # float32 features compare with a float64 threshold as they do with the next float32 at or below it.
    threshold = tree.threshold.astype(np.float32)
    threshold = np.where(threshold > tree.threshold, np.nextafter(threshold, np.float32(-np.inf)), threshold)
    return {
        "feature": np.where(ends, -1, tree.feature).astype(np.int32)[kept],
        "threshold": np.where(ends, np.float32(0), threshold).astype(np.float32)[kept],
        "left": number[np.where(ends, here, left)][kept],
        "right": number[np.where(ends, here, right)][kept],
        "winner": winner[kept],
    }
