"""What the commands do: each takes the viewer, for a key, a menu of the dock or a menu of napari.

The manifest names these functions; `command_table` gives them titles, keys and groups.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from napari.components.viewer_model import ViewerModel


def _session(viewer: Any) -> Any:
    from napari_tumorseg.widgets.session import Session

    return Session.of(viewer)


def next_sequence(viewer: ViewerModel) -> None:
    """Show the next sequence."""
    _session(viewer).view.step_sequence(1)


def previous_sequence(viewer: ViewerModel) -> None:
    """Show the previous sequence."""
    _session(viewer).view.step_sequence(-1)


def next_lesion(viewer: ViewerModel) -> None:
    """Go to the next lesion."""
    _session(viewer).focus.step(1)


def previous_lesion(viewer: ViewerModel) -> None:
    """Go to the previous lesion."""
    _session(viewer).focus.step(-1)


def accept_lesion(viewer: ViewerModel) -> None:
    """Close the outline that is being drawn, else accept the lesion in focus and go to the next."""
    _session(viewer).enter()


def reject_lesion(viewer: ViewerModel) -> None:
    """Take the lesion in focus out of the mask and go to the next."""
    _session(viewer).focus.review.reject()


def uncertain_lesion(viewer: ViewerModel) -> None:
    """Ask for a second read of the lesion in focus and go to the next."""
    _session(viewer).focus.review.call_uncertain()


def hide_mask(viewer: ViewerModel) -> Generator[None, None, None]:
    """Hide the mask while the key is held."""
    active = _session(viewer).active
    layer = active.view.layer if active is not None and active.view is not None else None
    if layer is not None:
        layer.visible = False
    yield
    if layer is not None:
        layer.visible = True


def toggle_mask(viewer: ViewerModel) -> None:
    """Hide the mask or show it again; what the menu does, where no key is held."""
    active = _session(viewer).active
    if active is not None and active.view is not None:
        active.view.layer.visible = not active.view.layer.visible


def toggle_outline(viewer: ViewerModel) -> None:
    """Show the mask as outline or filled."""
    active = _session(viewer).active
    if active is not None and active.view is not None:
        active.view.outlined = not active.view.outlined


def grow(viewer: ViewerModel) -> None:
    """Take up the tool that grows from a click."""
    _session(viewer).hand.take("grow")


def interpolate(viewer: ViewerModel) -> None:
    """Fill between the slices that are drawn on."""
    _session(viewer).hand.use("interpolate")


def lasso(viewer: ViewerModel) -> None:
    """Take up the lasso."""
    _session(viewer).hand.take("lasso")


def reshape(viewer: ViewerModel) -> None:
    """Take up the tool that redraws a border."""
    _session(viewer).hand.take("reshape")


def carry(viewer: ViewerModel) -> None:
    """Carry corrections to the slices between."""
    _session(viewer).hand.use("carry")


def livewire(viewer: ViewerModel) -> None:
    """Take up the live-wire."""
    _session(viewer).hand.take("livewire")


def threshold_paint(viewer: ViewerModel) -> None:
    """Paint only intensities in a window, or everything again."""
    _session(viewer).gate.toggle("threshold_paint")


def adaptive_brush(viewer: ViewerModel) -> None:
    """Paint only what resembles the voxel under the cursor, or everything again."""
    _session(viewer).gate.toggle("adaptive_brush")


def check_slice(viewer: ViewerModel) -> None:
    """Mark the slice in view as checked, or take that back."""
    _session(viewer).checked.toggle()


def learn(viewer: ViewerModel) -> None:
    """Correct the other slices as the checked ones were corrected."""
    _session(viewer).hand.use("learn")


def put_down(viewer: ViewerModel) -> None:
    """Drop the outline that is being drawn, else put the tool down."""
    _session(viewer).hand.escape()


def cheat_sheet(viewer: ViewerModel) -> None:
    """Show all keys on one sheet, or close it."""
    from napari_tumorseg.widgets.cheat_sheet import CheatSheet
    from napari_tumorseg.widgets.command_table import COMMANDS

    groups: dict[str, list[tuple[str, str]]] = {}
    for command in COMMANDS:
        if command.key:
            groups.setdefault(command.group, []).append((command.keys_text, command.title))
    CheatSheet.toggle(viewer, list(groups.items()))


def accept_mask(viewer: ViewerModel) -> None:
    """Accept the mask."""
    _session(viewer).accept()


def save_mask(viewer: ViewerModel) -> None:
    """Save the mask as the step Save says."""
    from napari_tumorseg.widgets.launch import open_dock
    from napari_tumorseg.widgets.napari_adapter import main_window
    from napari_tumorseg.widgets.step_save import SaveStep

    step = main_window(viewer).findChild(SaveStep)
    (step if step is not None else open_dock(viewer).save).run()


def show_axial(viewer: ViewerModel) -> None:
    """Show the axial plane."""
    _session(viewer).view.show_plane("axial")


def show_coronal(viewer: ViewerModel) -> None:
    """Show the coronal plane."""
    _session(viewer).view.show_plane("coronal")


def show_sagittal(viewer: ViewerModel) -> None:
    """Show the sagittal plane."""
    _session(viewer).view.show_plane("sagittal")


def show_3d(viewer: ViewerModel) -> None:
    """Show the 3-D view from the front."""
    _session(viewer).view.show_plane("3-D")


def _views(viewer: Any) -> Any:
    from napari_tumorseg.widgets.dock import bind_views

    return bind_views(_session(viewer))


def four_views(viewer: ViewerModel) -> None:
    """Show axial, coronal, sagittal and 3-D side by side, or one view again."""
    _views(viewer).toggle()


def one_view(viewer: ViewerModel) -> None:
    """Give the active one of the four views the whole place, or show all four again."""
    _views(viewer).toggle_alone()


def fit_views(viewer: ViewerModel) -> None:
    """Show all of the image in each of the four views."""
    _views(viewer).fit()


def crosshair(viewer: ViewerModel) -> None:
    """Draw the crosshair in the four views, or leave it out."""
    views = _views(viewer)
    views.show_crosshair(not views.crosshair_shown)


def mask_in_3d(viewer: ViewerModel) -> None:
    """Draw the mask in the 3-D view, or leave that view empty."""
    views = _views(viewer)
    views.show_three_d(not views.three_d)


def image_in_3d(viewer: ViewerModel) -> None:
    """Show the image in the 3-D view, too; slow without a graphics card."""
    views = _views(viewer)
    views.show_image_in_three_d(not views.image_in_three_d)


def prior_study(viewer: ViewerModel) -> None:
    """Show the visit before this one beside, or take it away."""
    from napari_tumorseg.widgets.search_layout import SearchLayout

    SearchLayout.of(_session(viewer)).toggle()


def slab(viewer: ViewerModel) -> None:
    """Show several slices as one, or a single slice again."""
    from napari_tumorseg.widgets.search_slab import SlabView

    SlabView.of(_session(viewer)).toggle()


def subtraction(viewer: ViewerModel) -> None:
    """Show T1c minus T1, or the sequence again."""
    from napari_tumorseg.widgets.search_subtraction import SubtractionView

    SubtractionView.of(_session(viewer)).toggle()


def next_doubtful(viewer: ViewerModel) -> None:
    """Go to the most doubtful place that was neither visited nor edited."""
    from napari_tumorseg.widgets.doubt import Doubts

    Doubts.of(_session(viewer)).next_doubtful()


def previous_doubtful(viewer: ViewerModel) -> None:
    """Go back to the doubtful place before this one."""
    from napari_tumorseg.widgets.doubt import Doubts

    Doubts.of(_session(viewer)).previous_doubtful()


def show_doubt(viewer: ViewerModel) -> None:
    """Show how unsure the model was, or hide it."""
    from napari_tumorseg.widgets.doubt import Doubts

    Doubts.of(_session(viewer)).toggle_overlay()


def next_case(viewer: ViewerModel) -> None:
    """Show the next case of the queue."""
    from napari_tumorseg.widgets.case_queue import CaseQueueWork

    CaseQueueWork.of(_session(viewer)).step(1)


def previous_case(viewer: ViewerModel) -> None:
    """Show the case of the queue before this one."""
    from napari_tumorseg.widgets.case_queue import CaseQueueWork

    CaseQueueWork.of(_session(viewer)).step(-1)


def show_origin(viewer: ViewerModel) -> None:
    """Show which voxels are the AI's and which are by hand, or hide it."""
    from napari_tumorseg.widgets.provenance_overlay import ProvenanceOverlay

    ProvenanceOverlay.of(_session(viewer)).toggle()


def replay(viewer: ViewerModel) -> None:
    """Go through the steps of the correction, play them, or export them as a film."""
    from napari_tumorseg.widgets.replay import show_replay

    show_replay(viewer)


def study(viewer: ViewerModel) -> None:
    """Work on the tasks of a study."""
    from napari_tumorseg.widgets.study_dock import show_study

    show_study(viewer)


def evaluate(viewer: ViewerModel) -> None:
    """Evaluate masks, PET and tables."""
    from napari_tumorseg.widgets.measure_dock import show_measures

    show_measures(viewer)


def split_lesion(viewer: ViewerModel) -> None:
    """Make two lesions of the one in focus, at its narrowest neck; no voxel changes."""
    _session(viewer).focus.review.split()


def join_lesions(viewer: ViewerModel) -> None:
    """Make one lesion of those chosen in the table, else of the one in focus and its nearest; no voxel changes."""
    _session(viewer).focus.review.join_chosen()


def undo_step(viewer: ViewerModel) -> None:
    """Take back the last step: a stroke, a tool, a model, or a decision about a lesion."""
    active = _session(viewer).active
    if active is not None and active.view is not None:
        active.view.undo()


def redo_step(viewer: ViewerModel) -> None:
    """Bring back the last step that was taken back."""
    active = _session(viewer).active
    if active is not None and active.view is not None:
        active.view.redo()


def todo_lesion(viewer: ViewerModel) -> None:
    """Set the lesion in focus back to do."""
    _session(viewer).focus.review.put_back()


def about(viewer: ViewerModel) -> None:
    """Show what this program is, its version and its licence."""
    from napari_tumorseg.widgets.about import show_about

    show_about(viewer)


def _label(number: int) -> Callable[[ViewerModel], None]:
    def choose(viewer: ViewerModel) -> None:
        active = _session(viewer).active
        if active is not None and active.view is not None and number <= len(active.document.schema.labels):
            active.view.layer.selected_label = active.document.schema.labels[number - 1].value

    # napari tells keys apart by the names of their functions.
    choose.__name__ = f"label_{number}"
    choose.__doc__ = f"Draw with label {number} of the list."
    return choose


label_1, label_2, label_3, label_4 = (_label(n) for n in (1, 2, 3, 4))
