"""The connected parts of a mask."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["connected_parts"]


def connected_parts(mask: npt.NDArray[np.bool_], connectivity: Literal[6, 18, 26] = 26) -> tuple[npt.NDArray[np.unsignedinteger[Any]], int]:
    """Find the connected parts of a mask and number them.

    Parameters
    ----------
    mask : numpy.ndarray
        Boolean (z, y, x).
    connectivity : int
        6 (faces), 18 (and edges) or 26 (and corners).

    Returns
    -------
    parts : numpy.ndarray
        Unsigned integer (z, y, x): 0 outside, 1 to `count` inside.
    count : int
        Number of parts.

    Examples
    --------
    >>> connected_parts(np.array([[[True, False, True]]]))[1]
    2
    """
    import cc3d

    # Given booleans of one voxel's width, connected-components-3d 4.1 reserves too little room and gives up.
    plain = np.ascontiguousarray(mask, dtype=np.bool_).view(np.uint8)
    parts, count = cc3d.connected_components(plain, connectivity=connectivity, return_N=True)
    return np.asarray(parts), int(count)
