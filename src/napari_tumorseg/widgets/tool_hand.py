"""The editing tool that the user has in hand: taken up, pointed, run, written as one step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from qtpy.compat import isalive
from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtGui import QCursor

from napari_tumorseg.catalogue.registry import Catalogue
from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.segmenter import SegmenterSpec
from napari_tumorseg.editing.scope import Draft, Target
from napari_tumorseg.editing.tools import TOOLS, Tool, tool
from napari_tumorseg.widgets.jobs import Job
from napari_tumorseg.widgets.mask_layer import MaskLayer
from napari_tumorseg.widgets.napari_adapter import main_window
from napari_tumorseg.widgets.tool_pointer import Pointer
from napari_tumorseg.widgets.wire import Wire
from napari_tumorseg.workflows.correct import CorrectRequest, before_corrections, draft_of, scope_of, write_draft
from napari_tumorseg.workflows.learn import learn_tool
from napari_tumorseg.workflows.prompt import prompt_tools

if TYPE_CHECKING:
    from napari_tumorseg.widgets.session import Session

__all__ = ["ToolHand"]

# napari's own brush paints; what is left of the table is listed.
_LISTED = tuple(entry for entry in TOOLS.values() if entry.kind != "gate" and entry.name != "brush")
_WIRE = "livewire"


class ToolHand(QObject):
    """Runs editing tools on the active mask.

    Signals
    -------
    changed()
        Another tool is in hand, or none, or its settings are others.
    listed()
        There are other tools, because a model was added or taken away.
    started(str), ended(str, str)
        Title of the tool that runs; its name and "done", "nothing", "failed" or "cancelled".
    drawing(object)
        World coordinates (n, 3) of the outline that is being drawn, empty for none.

    Parameters
    ----------
    session : Session
        Owner.
    """

    changed = Signal()
    listed = Signal()
    started = Signal(str)
    ended = Signal(str, str)
    drawing = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self.tool: Tool | None = None
        self.running: Tool | None = None
        self._params: dict[str, Any] = {}
        self._pointers: list[Pointer] = []
        self._job: Job | None = None
        #: Returns the layers of the active mask in all views.
        self.views: Callable[[], list[MaskLayer]] = self._own_view
        session.masks_changed.connect(self.put_down)
        session.case_changed.connect(self.put_down)
        self._catalogue = Catalogue(session.settings)
        self._prompted: dict[str, tuple[SegmenterSpec, tuple[Tool, ...]]] = {}
        self._learn = learn_tool(session.checked.known)
        self._look()
        # Models are added by the command line while the window is open.
        session.case_changed.connect(self.look_for_models)

    @property
    def busy(self) -> bool:
        """Whether a tool is running."""
        return self._job is not None

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The tools that are listed: segmenters that take prompts, then the table; gates belong to the brush."""
        return (*(entry for _, group in self._prompted.values() for entry in group), self._learn, *_LISTED)

    def look_for_models(self) -> None:
        """List the models that the catalogue has now."""
        if self._look():
            self.listed.emit()
            if self.tool is not None and self.tool not in self.tools:
                self.put_down()

    def named(self, name: str) -> Tool:
        """Return a tool by name; raise `InputError` when there is none."""
        return next((entry for entry in self.tools if entry.name == name), None) or tool(name)

    def params(self, tool: Tool) -> Any:
        """Return the settings of a tool, as the user left them."""
        return self._params.get(tool.name) or tool.params()

    def set_params(self, tool: Tool, params: Any) -> None:
        """Keep other settings for a tool."""
        self._params[tool.name] = params

    def take(self, name: str) -> None:
        """Take up a tool; one that is pointed with waits for the mouse. One by a model is refused where models are."""
        self.put_down()
        chosen = self.named(name)
        if self._refused(chosen):
            self.changed.emit()
            return
        self.tool = chosen
        self._point(self.tool)
        self.changed.emit()

    def put_down(self) -> None:
        """Give the mouse back to napari."""
        for pointer in self._pointers:
            pointer.release()
            pointer.deleteLater()
        self._pointers = []
        if self.tool is not None:
            self.tool = None
            self.changed.emit()

    def escape(self) -> None:
        """Drop the outline that is being drawn, else stop the tool that runs, else put the tool down."""
        if any(pointer.give_up() for pointer in self._pointers):
            return
        if self._job is not None:
            self._job.cancel()
        else:
            self.put_down()

    def finish(self) -> bool:
        """Close the outline that is being drawn; return whether there was one."""
        return any(pointer.finish() for pointer in self._pointers)

    def use(self, name: str | None = None) -> None:
        """Run a tool that needs no pointing, the one in hand by default, on the lesion in focus or on the whole mask."""
        chosen = self.named(name) if name else self.tool
        if chosen is not None:
            self.run(chosen, self.target())

    def run(self, chosen: Tool, target: Target) -> None:
        """Run a tool off the GUI thread and write what it answers as one step."""
        session, active = self._session, self._session.active
        if self._refused(chosen):
            return
        if active is None or active.view is None:
            session.said.emit("There is no mask to work on. Run a model, or start an empty mask.", True)
            return
        if self._job is not None:
            session.said.emit("Wait until the tool is done, or press Escape.", True)
            return
        session.sync()
        document = active.document
        label = active.view.layer.selected_label or document.schema.values[0]
        with session.reporting():
            scope = scope_of(
                document,
                label,
                image=session.image_on_mask(),
                ai=active.provenance.ai,
                other=session.other_mask(),
                images=session.images_on_mask(),
                before=before_corrections(document) if "before" in chosen.needs else None,
                checked=session.checked.slices,
            )
            request = CorrectRequest(chosen, self._with_part(target), self.params(chosen))
            revision, outcome = document.revision, ["cancelled"]

            def work(progress: Progress) -> Draft | None:
                return draft_of(request, scope, progress)

            def done(draft: Draft | None) -> None:
                outcome[0] = "failed"
                with session.reporting():
                    wrote = write_draft(document, draft, chosen.name, revision, session.settings.person)
                    outcome[0] = "done" if wrote else "nothing"
                    if not wrote:
                        session.said.emit(f"{chosen.title}: there was nothing to change here.", False)

            def failed(error: BaseException) -> None:
                outcome[0] = "failed"
                session.report(error)

            def finished() -> None:
                self._job = self.running = None
                if isalive(window):
                    window.unsetCursor()
                self.ended.emit(chosen.name, outcome[0])

            # Not the application's cursor: it would stay as it is where the window is closed meanwhile.
            window = main_window(session.viewer)
            window.setCursor(QCursor(Qt.CursorShape.BusyCursor))
            self.running = chosen
            self.started.emit(chosen.title)
            self._job = session.runner.start("tool", work, done=done, failed=failed, finished=finished)

    def target(self) -> Target:
        """Return what is looked at: the middle of the view, in the plane of the main view."""
        session = self._session
        scene, order = session.view.scene, session.viewer.dims.order
        if scene is None:
            return Target()
        hidden = int(order[-3]) - max(0, session.viewer.dims.ndim - 3)
        world = np.asarray(session.viewer.dims.point[-3:], float)
        index = np.rint(scene.reference.to_index(scene.to_patient(world))).astype(int)
        z, y, x = (int(np.clip(v, 0, n - 1)) for v, n in zip(index, scene.reference.shape, strict=True))
        return Target(voxel=(z, y, x), axis=scene.move.order[hidden])

    # -- inside

    def _refused(self, chosen: Tool) -> bool:
        """Say why a tool by a model may not be used now; return whether it is one and may not."""
        why = self._session.no_models
        by_model = chosen == self._learn or any(chosen in group for _, group in self._prompted.values())
        if why and by_model:
            self._session.said.emit(why, True)
        return bool(why) and by_model

    def _look(self) -> bool:
        """Read the catalogue; return whether other models take prompts now. A model that is as it was stays loaded."""
        specs = (self._catalogue.spec(name) for name in self._catalogue.names() if self._catalogue.state(name).ready)
        before, self._prompted = self._prompted, {}
        for spec in specs:
            if spec.prompts:
                known = before.get(spec.name)
                self._prompted[spec.name] = known if known is not None and known[0] == spec else (spec, self._tools_of(spec))
        return self._prompted != before

    def _tools_of(self, spec: SegmenterSpec) -> tuple[Tool, ...]:
        return prompt_tools(spec, lambda: self._catalogue.load(spec.name))

    def _own_view(self) -> list[MaskLayer]:
        active = self._session.active
        return [active.view] if active is not None and active.view is not None else []

    def _point(self, chosen: Tool) -> None:
        if chosen.kind not in ("click", "outline"):
            return
        for view in self.views():
            wire = Wire(view.document.grid, self._image, lambda: self.params(chosen).smoothing_mm) if chosen.name == _WIRE else None
            pointer = Pointer(view, chosen.kind, wire, self)
            pointer.pointed.connect(self._on_pointed)
            pointer.drawing.connect(self.drawing)
            pointer.left.connect(self.put_down)
            self._pointers.append(pointer)

    def _image(self) -> npt.NDArray[Any] | None:
        return self._session.image_on_mask()

    def _on_pointed(self, target: Target) -> None:
        if self.tool is not None:
            self.run(self.tool, target)

    def _with_part(self, target: Target) -> Target:
        """Add the lesion in focus."""
        lesion, found = self._session.focus.lesion, self._session.lesions.map
        if lesion is None or found is None or target.part is not None:
            return target
        row = next((r for r in self._session.lesions.rows if r.id == lesion.id), None)
        if row is None:
            return target
        part: tuple[Box, npt.NDArray[np.bool_]] = (Box(row.box_start, row.box_stop), found.part(row))
        return Target(target.voxel, target.path, target.axis, part)
