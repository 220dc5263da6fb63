"""Where the active mask's voxels come from, shown over the image and counted."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from napari_tumorseg.annotation.provenance import OriginClass
from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.wording import ml_text
from napari_tumorseg.widgets.masks import OpenMask
from napari_tumorseg.widgets.parts import note, toggle
from napari_tumorseg.widgets.replay_layer import ReadOnlyLabels
from napari_tumorseg.widgets.session_part import SessionPart

if TYPE_CHECKING:
    from napari_tumorseg.widgets.session import Session

__all__ = ["ORIGIN_COLOURS", "ProvenanceBar", "ProvenanceOverlay"]

#: Colours of Okabe and Ito that no label has, a lighter vermilion, and black: a removed part must not look like a bright one.
ORIGIN_COLOURS = MappingProxyType(
    {OriginClass.AI: "#56B4E9", OriginClass.CHANGED: "#F0E442", OriginClass.ADDED: "#FF8C5A", OriginClass.REMOVED: "#000000"}
)

# Blue at a half over an orange outline is grey, and small lesions are all outline.
_OPACITY = 0.8


class ProvenanceOverlay(SessionPart):
    """Shows what of the active mask the AI made and what a person changed, added or removed.

    It is switched off when another mask becomes active, when the case is closed and when the user takes
    its layer away.

    Signals
    -------
    changed()
        The overlay was switched, or the volumes are others.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._mask: OpenMask | None = None
        self._shown: ReadOnlyLabels | None = None
        self._stop_listening: Callable[[], None] | None = None
        # An undo may change the mask in many places: they are drawn together.
        self._box: Box | None = None
        self._blinded = False
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._redraw)
        session.masks_changed.connect(self._on_masks)
        self._on_masks()

    # -- state

    @property
    def on(self) -> bool:
        """Whether the overlay is shown."""
        return self._shown is not None

    @property
    def ready(self) -> bool:
        """Whether there is a mask to show it for, and it may be shown."""
        return self._mask is not None and not self._blinded

    @property
    def text(self) -> str:
        """Volumes by origin, e.g. "AI 53.1 mL, changed 0.40, added 1.20, removed 0.10 mL"; "" where it is not `ready`."""
        if self._mask is None or self._blinded:
            return ""
        ml = self._mask.provenance.counts().ml
        ai, changed, added, removed = (ml_text(ml[name]) for name in ("ai", "changed", "added", "removed"))
        return f"AI {ai} mL, changed {changed}, added {added}, removed {removed} mL"

    @property
    def blinded(self) -> bool:
        """Whether the origin is kept from the user."""
        return self._blinded

    def set_blinded(self, blinded: bool) -> None:
        """Keep the origin of the masks from the user, as a study may ask."""
        self._blinded = blinded
        self.set_on(False)

    # -- what the user does

    def toggle(self) -> None:
        """Show the overlay, or take it away."""
        self.set_on(not self.on)

    def set_on(self, on: bool) -> None:
        """Show the overlay or take it away; where it is not `ready` it stays off."""
        if on and self._shown is None and self._mask is not None and not self._blinded:
            self._shown = ReadOnlyLabels(
                self._session,
                self._mask.provenance.classes,
                "Provenance",
                {int(origin): colour for origin, colour in ORIGIN_COLOURS.items()},
                opacity=_OPACITY,
                gone=self._on_gone,
            )
        elif not on and self._shown is not None:
            shown, self._shown = self._shown, None
            shown.remove()
        self.changed.emit()

    # -- inside

    def _on_masks(self) -> None:
        active = self._session.active
        if active is self._mask:
            return
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None
        self._soon.stop()
        self._box = None
        self._mask = active
        if active is not None:
            self._stop_listening = active.provenance.listen(self._on_change)
        self.set_on(False)

    def _on_change(self, box: Box) -> None:
        self._box = box if self._box is None else self._box.union(box)
        self._soon.start()

    def _redraw(self) -> None:
        box, self._box = self._box, None
        if box is not None and self._shown is not None:
            self._shown.redraw(box)
        self.changed.emit()

    def _on_gone(self) -> None:
        self._shown = None
        self.changed.emit()


class ProvenanceBar(QWidget):
    """One line: the switch of the overlay, and the volumes with the colours they are shown in.

    Parameters
    ----------
    overlay : ProvenanceOverlay
        What it switches.
    """

    def __init__(self, overlay: ProvenanceOverlay) -> None:
        super().__init__()
        self._overlay = overlay
        self.switch = toggle("Show origin", "Show what the AI made and what was changed, added and removed by hand")
        # The text wraps beside it; a toggle would shrink to nothing.
        self.switch.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.switch.clicked.connect(overlay.set_on)
        self.text = note(name="Origin of the mask")
        self.text.setTextFormat(Qt.TextFormat.RichText)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.switch)
        layout.addWidget(self.text, 1)
        overlay.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the state."""
        overlay = self._overlay
        parts = [part.replace("<", "&lt;").replace(" ", "&nbsp;") for part in overlay.text.split(", ") if part]
        if overlay.on:
            parts = [f"{_sign(origin)}&nbsp;{part}" for origin, part in zip(ORIGIN_COLOURS, parts, strict=True)]
        # A line breaks between two of them, never inside one.
        text = ", ".join(parts)
        self.text.setText(text)
        self.text.setVisible(bool(text))
        self.switch.setEnabled(overlay.ready)
        self.switch.setVisible(overlay.ready or not overlay.blinded)
        self.switch.setChecked(overlay.on)


def _sign(origin: OriginClass) -> str:
    # Black would not be seen on napari's dark theme; a hollow square stands for what is no longer there.
    return "□" if origin is OriginClass.REMOVED else f'<span style="color:{ORIGIN_COLOURS[origin]}">■</span>'
