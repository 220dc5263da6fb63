from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.pathology.nuclei_scores import Detection, aggregated_jaccard, detection_scores

MAPS = arrays(np.int32, (4, 5), elements=st.sampled_from([0, 1, 2, 6]))


def parts(instances: np.ndarray) -> list[set[tuple[int, int]]]:
    return [{tuple(p) for p in np.argwhere(instances == i)} for i in np.unique(instances) if i]


@given(MAPS, MAPS, st.sampled_from([0.1, 0.3, 0.5, 1.0]))
@settings(max_examples=150, deadline=None)
def test_the_matching_is_the_largest_of_all_one_to_one_ones(drawn, found, iou) -> None:
    a, b = parts(drawn), parts(found)
    fits = [[len(p & q) >= iou * len(p | q) for q in b] for p in a]
    best = 0
    for chosen in itertools.product(range(-1, len(b)), repeat=len(a)):
        taken = [j for j in chosen if j >= 0]
        if len(set(taken)) == len(taken) and all(j < 0 or fits[i][j] for i, j in enumerate(chosen)):
            best = max(best, len(taken))
    assert detection_scores(drawn, found, iou) == Detection(best, len(b) - best, len(a) - best)


@given(MAPS, MAPS)
@settings(max_examples=150, deadline=None)
def test_the_aggregated_jaccard_index_is_that_of_the_published_algorithm(drawn, found) -> None:
    a, b = parts(drawn), parts(found)
    shared = union = 0
    used = set()
    for p in a:
        overlaps = [len(p & q) / len(p | q) for q in b]
        if overlaps and max(overlaps) > 0:
            j = overlaps.index(max(overlaps))
            shared, union = shared + len(p & b[j]), union + len(p | b[j])
            used.add(j)
        else:
            union += len(p)
    union += sum(len(q) for j, q in enumerate(b) if j not in used)
    assert aggregated_jaccard(drawn, found) == (pytest.approx(shared / union) if union else None)


@given(MAPS)
def test_a_map_agrees_with_itself(drawn) -> None:
    wanted = 1.0 if drawn.any() else None
    assert detection_scores(drawn, drawn * 3).f1 == wanted
    assert aggregated_jaccard(drawn, drawn * 3) == wanted


def test_maps_of_two_images_are_not_compared() -> None:
    with pytest.raises(InputError, match="of one image"):
        aggregated_jaccard(np.zeros((2, 2), int), np.zeros((3, 2), int))
    with pytest.raises(InputError, match="cannot be asked for"):
        detection_scores(np.zeros((2, 2), int), np.zeros((2, 2), int), iou=0)
