"""Found, missed and false lesions in colours and hatches over the image."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy.typing as npt

from napari_tumorseg.evaluation.segmentation.match_map import FALSE, FOUND, MISSED
from napari_tumorseg.widgets.replay_layer import ReadOnlyLabels
from napari_tumorseg.widgets.session import Session

__all__ = ["MATCH_COLOURS", "MatchOverlay"]

#: Colours of Okabe and Ito that no label has.
MATCH_COLOURS = MappingProxyType({FOUND: "#56B4E9", MISSED: "#F0E442", FALSE: "#FF8C5A"})


class MatchOverlay:
    """The map of the matches as a layer, at most one at a time.

    Parameters
    ----------
    session : Session
        With the scene that it is shown on.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._shown: ReadOnlyLabels | None = None

    @property
    def on(self) -> bool:
        """Whether the map is shown."""
        return self._shown is not None

    def show(self, matches: npt.NDArray[Any]) -> None:
        """Show a map of `match_map` on the reference grid, in place of one that is shown."""
        self.hide()
        self._shown = ReadOnlyLabels(self._session, matches, "Matches", dict(MATCH_COLOURS), opacity=0.6, gone=self._on_gone)

    def hide(self) -> None:
        """Take the map away."""
        shown, self._shown = self._shown, None
        if shown is not None:
            shown.remove()

    def _on_gone(self) -> None:
        self._shown = None
