"""A cache of decoded tiles that never grows beyond a number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import numpy.typing as npt

__all__ = ["TileCache"]


class TileCache:
    """Keeps the tiles used last; safe to share between threads.

    Parameters
    ----------
    limit_bytes : int
        A tile that is larger by itself is not kept.

    Examples
    --------
    >>> import numpy as np
    >>> cache = TileCache(limit_bytes=8)
    >>> cache.put("a", np.zeros(8, np.uint8)); cache.put("b", np.zeros(4, np.uint8))
    >>> cache.get("a") is None, cache.held_bytes
    (True, 4)
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self._tiles: OrderedDict[Hashable, npt.NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> npt.NDArray[Any] | None:
        """Return a tile and make it the one used last; None when it is not here."""
        with self._lock:
            tile = self._tiles.get(key)
            if tile is not None:
                self._tiles.move_to_end(key)
            return tile

    def put(self, key: Hashable, tile: npt.NDArray[Any]) -> None:
        """Keep a tile and drop what has not been used for longest; the tile must not change afterwards."""
        if tile.nbytes > self.limit_bytes:
            return
        if tile.base is not None:
            # A view would keep the whole array behind it alive, uncounted.
            tile = tile.copy()
        tile.setflags(write=False)
        with self._lock:
            before = self._tiles.pop(key, None)
            self.held_bytes += tile.nbytes - (before.nbytes if before is not None else 0)
            self._tiles[key] = tile
            while self.held_bytes > self.limit_bytes:
                _, dropped = self._tiles.popitem(last=False)
                self.held_bytes -= dropped.nbytes

    def clear(self) -> None:
        """Drop every tile."""
        with self._lock:
            self._tiles.clear()
            self.held_bytes = 0
