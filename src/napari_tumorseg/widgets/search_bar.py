"""Looking for lesions before editing: prior study, slab and subtraction, closed until they are wanted."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from napari_tumorseg.widgets.forms import RequestForm
from napari_tumorseg.widgets.parts import More, toggle
from napari_tumorseg.widgets.search_layout import SearchLayout
from napari_tumorseg.widgets.search_slab import SlabView
from napari_tumorseg.widgets.search_subtraction import SubtractionView
from napari_tumorseg.widgets.session import Session
from napari_tumorseg.workflows.compare_images import Slab

__all__ = ["SearchBar"]


class SearchBar(QWidget):
    """Switches of the prior study, the slab and the subtraction, and the slab's settings.

    Parameters
    ----------
    session : Session
        Of the viewer.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._slab = SlabView.of(session)
        self._subtraction = SubtractionView.of(session)
        self._prior = SearchLayout.of(session)
        self.prior = toggle("Prior", "Show the visit before this one beside, registered and in step")
        self.prior.clicked.connect(lambda _on: self._prior.toggle())
        self.slab = toggle("Slab", "Show the brightest, darkest or mean value of several slices; painting goes into the middle one")
        self.slab.clicked.connect(self._slab.set_on)
        self.subtraction = toggle("T1c − T1", "Show what takes up contrast: T1c minus T1, matched in the brain")
        self.subtraction.clicked.connect(self._subtraction.set_on)
        self.form: RequestForm[Slab] = RequestForm(self._slab.slab)
        self.form.valueChanged.connect(self._slab.set_slab)
        content = QWidget()
        box = QVBoxLayout(content)
        box.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout()
        row.addWidget(self.prior, 1)
        row.addWidget(self.slab, 1)
        row.addWidget(self.subtraction, 1)
        box.addLayout(row)
        box.addWidget(self.form)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 0, 8, 4)
        layout.addWidget(More(content, "Search"))
        self._slab.changed.connect(self.refresh)
        self._subtraction.changed.connect(self.refresh)
        self._prior.changed.connect(self.refresh)
        session.case_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what is switched on and what is possible."""
        self.setVisible(bool(self._session.volumes))
        self.slab.setChecked(self._slab.on)
        self.subtraction.setChecked(self._subtraction.on)
        self.prior.setChecked(self._prior.on or self._prior.busy)
        self.prior.setEnabled(self._prior.possible)
        self.subtraction.setEnabled(self._subtraction.possible and not self._subtraction.busy)
