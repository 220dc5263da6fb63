"""What the brush may paint on: everything, an intensity window, or what resembles the voxel under the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.editing.gates import ThresholdParams, suggest_window
from napari_tumorseg.editing.scope import Target
from napari_tumorseg.editing.tools import GateRun, Tool, tool
from napari_tumorseg.widgets.mask_layer import MaskLayer
from napari_tumorseg.widgets.napari_adapter import Stamp
from napari_tumorseg.widgets.session_part import SessionPart
from napari_tumorseg.workflows.correct import scope_of

if TYPE_CHECKING:
    from napari_tumorseg.widgets.session import Session

__all__ = ["ADAPTIVE", "THRESHOLD", "PaintGate"]

THRESHOLD, ADAPTIVE = "threshold_paint", "adaptive_brush"
# So many voxels of a label say what its intensities are; fewer may be a slip.
_ENOUGH = 30


class PaintGate(SessionPart):
    """Sets the gate of the active mask's layer.

    Signals
    -------
    changed()
        Another gate, or other settings.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._view: MaskLayer | None = None
        self.tool: Tool | None = None
        self._params: dict[str, Any] = {}
        session.masks_changed.connect(self._bind)

    @property
    def name(self) -> str:
        """Name of the gate that is on, "" for none."""
        return self.tool.name if self.tool is not None else ""

    def params(self) -> Any:
        """Return the settings of the gate that is on, None for none."""
        return None if self.tool is None else self._params.get(self.tool.name) or self.tool.params()

    def set_params(self, params: Any) -> None:
        """Keep other settings for the gate that is on."""
        if self.tool is not None:
            self._params[self.tool.name] = params

    def choose(self, name: str) -> None:
        """Turn a gate on, "" for none."""
        self.tool = tool(name) if name else None
        if name == THRESHOLD and self._session.image_on_mask() is not None:
            self._params[name] = self.suggested()
        self._bind()
        self.changed.emit()

    def toggle(self, name: str) -> None:
        """Turn a gate on, or off where it is on."""
        self.choose("" if self.name == name else name)

    def suggested(self) -> ThresholdParams:
        """Return the window of what is drawn with the chosen label, else of what is in the middle of the view."""
        session = self._session
        active, image = session.active, session.image_on_mask()
        if active is None or active.view is None or image is None:
            return ThresholdParams()
        label = active.view.layer.selected_label
        for row in session.lesions.rows[:1]:
            box = tuple(slice(a, b) for a, b in zip(row.box_start, row.box_stop, strict=True))
            values = image[box][active.document.labels[box] == label]
            if values.size >= _ENOUGH:
                low, high = np.percentile(values, (2, 98))
                return ThresholdParams(float(np.floor(low)), float(np.ceil(high)))
        try:
            found = suggest_window(scope_of(active.document, label, image=image), session.hand.target())
        except InputError:
            return ThresholdParams(float(image.min()), float(image.max()))
        return ThresholdParams(float(np.floor(found.low)), float(np.ceil(found.high)))

    def _bind(self) -> None:
        active = self._session.active
        view = active.view if active is not None else None
        if self._view is not None and self._view is not view:
            self._view.gate = None
        self._view = view
        if view is not None:
            view.gate = self._pass if self.tool is not None else None

    def _pass(self, stamp: Stamp) -> npt.NDArray[np.bool_]:
        """Return which voxels of a stamp may be painted, in scene axes."""
        session, active = self._session, self._session.active
        image = session.image_on_mask()
        if self.tool is None or active is None or active.view is None or image is None:
            return stamp.mask
        if self.name == ADAPTIVE and stamp.centre is None:
            return stamp.mask
        scene = active.view.scene
        box = scene.box_from_scene(stamp.box)
        voxel = None
        if stamp.centre is not None:
            z, y, x = (int(v) for v in np.rint(scene.reference.to_index(scene.grid.to_mm(stamp.centre))))
            voxel = (z, y, x)
        flat = [axis for axis in range(3) if box.shape[axis] == 1]
        target = Target(voxel=voxel, axis=flat[0] if flat else 0)
        scope = scope_of(active.document, active.view.layer.selected_label, image=image)
        under = np.ascontiguousarray(scene.from_scene(stamp.mask))
        run = cast(GateRun, self.tool.run)
        return np.asarray(scene.to_scene(run(scope, target, box, under, self.params(), None)))
