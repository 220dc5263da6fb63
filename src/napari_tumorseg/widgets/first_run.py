"""What is said once: research use only."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from napari_tumorseg.core.settings import Settings

__all__ = ["FirstRunNote"]


class FirstRunNote(QWidget):
    """A sentence that is shown until the user has read it, once and for all.

    Parameters
    ----------
    settings : Settings
        Names the folder in which it is remembered.
    text : str
        The sentence.
    """

    def __init__(self, settings: Settings, text: str) -> None:
        super().__init__()
        self._mark: Path = settings.state_dir / "research_use_read"
        label = QLabel(text)
        label.setWordWrap(True)
        self.understood = QPushButton("Understood")
        self.understood.setToolTip("Do not show this again; it is in About, too")
        self.understood.clicked.connect(self._remember)
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 6, 8, 6)
        row.addWidget(label, 1)
        row.addWidget(self.understood)
        self.setVisible(not self._mark.exists())

    def _remember(self) -> None:
        self.hide()
        try:
            self._mark.parent.mkdir(parents=True, exist_ok=True)
            self._mark.touch()
        except OSError:
            # A read-only home: the sentence is shown again next time, which harms nobody.
            return
