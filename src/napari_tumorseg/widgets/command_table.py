"""The commands by name, title, key and group: for the dock's menu, for napari's shortcut settings and for the sheet of keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app_model.types import KeyBinding
from napari.components.viewer_model import ViewerModel
from napari.settings import get_settings
from napari.utils.action_manager import action_manager
from napari.utils.interactions import Shortcut

from napari_tumorseg.widgets import commands
from napari_tumorseg.widgets.napari_adapter import is_registered

__all__ = ["COMMANDS", "Command", "register"]

_PREFIX = "napari-tumorseg"


@dataclass(frozen=True)
class Command:
    """Something the user can do by a key.

    Attributes
    ----------
    name : str
        Last part of its id in the manifest.
    title : str
        What the user reads.
    key : str
        As in the manifest, e.g. "Shift+N"; "" for none.
    run : callable
        Takes the viewer. A generator function runs to its `yield` while the key is held.
    group : str
        Heading under which it is listed.
    """

    name: str
    title: str
    key: str
    run: Callable[[Any], Any]
    group: str

    @property
    def keys_text(self) -> str:
        """The key as this system writes it."""
        return str(Shortcut(KeyBinding.from_str(self.key))) if self.key else ""


COMMANDS: tuple[Command, ...] = (
    Command("next_sequence", "Next sequence", "W", commands.next_sequence, "See"),
    Command("previous_sequence", "Previous sequence", "Q", commands.previous_sequence, "See"),
    Command("hide_mask", "Hide the mask while held", "H", commands.hide_mask, "See"),
    Command("toggle_outline", "Outline or fill", "Shift+O", commands.toggle_outline, "See"),
    Command("show_axial", "Axial plane", "Ctrl+1", commands.show_axial, "See"),
    Command("show_coronal", "Coronal plane", "Ctrl+2", commands.show_coronal, "See"),
    Command("show_sagittal", "Sagittal plane", "Ctrl+3", commands.show_sagittal, "See"),
    Command("show_3d", "3-D view from the front", "Ctrl+4", commands.show_3d, "See"),
    Command("four_views", "Four linked views", "Ctrl+5", commands.four_views, "See"),
    Command("one_view", "One of the four views alone", "Ctrl+6", commands.one_view, "See"),
    Command("fit_views", "Fit the four views", "", commands.fit_views, "See"),
    Command("crosshair", "Crosshair in the four views", "Shift+H", commands.crosshair, "See"),
    Command("mask_in_3d", "Mask in the 3-D view on or off", "", commands.mask_in_3d, "See"),
    Command("image_in_3d", "Image in the 3-D view on or off", "", commands.image_in_3d, "See"),
    Command("prior_study", "Prior study beside", "Shift+R", commands.prior_study, "See"),
    Command("slab", "Slab of several slices", "Shift+S", commands.slab, "See"),
    Command("subtraction", "Subtraction T1c minus T1", "Shift+T", commands.subtraction, "See"),
    Command("show_origin", "Show what is the AI's and what is by hand", "Shift+P", commands.show_origin, "See"),
    Command("next_lesion", "Next lesion", "N", commands.next_lesion, "Lesions"),
    Command("previous_lesion", "Previous lesion", "Shift+N", commands.previous_lesion, "Lesions"),
    Command("next_doubtful", "Next doubtful place", "U", commands.next_doubtful, "Lesions"),
    Command("previous_doubtful", "Previous doubtful place", "Shift+U", commands.previous_doubtful, "Lesions"),
    Command("show_doubt", "Show the model's doubt", "", commands.show_doubt, "Lesions"),
    Command("accept_lesion", "Accept the lesion", "Enter", commands.accept_lesion, "Lesions"),
    Command("reject_lesion", "Reject the lesion", "Delete", commands.reject_lesion, "Lesions"),
    Command("uncertain_lesion", "Uncertain, for a second read", "Shift+Enter", commands.uncertain_lesion, "Lesions"),
    Command("todo_lesion", "Lesion back to do", "", commands.todo_lesion, "Lesions"),
    Command("split_lesion", "Split the lesion at its neck", "", commands.split_lesion, "Lesions"),
    Command("join_lesions", "Join the chosen lesions, or with the nearest", "", commands.join_lesions, "Lesions"),
    Command("label_1", "Draw with the first label", "Alt+1", commands.label_1, "Draw"),
    Command("label_2", "Draw with the second label", "Alt+2", commands.label_2, "Draw"),
    Command("label_3", "Draw with the third label", "Alt+3", commands.label_3, "Draw"),
    Command("label_4", "Draw with the fourth label", "Alt+4", commands.label_4, "Draw"),
    Command("threshold_paint", "Paint on an intensity window only", "T", commands.threshold_paint, "Draw"),
    Command("adaptive_brush", "Paint on what is similar only", "J", commands.adaptive_brush, "Draw"),
    Command("grow", "Grow from a click", "G", commands.grow, "Draw"),
    Command("lasso", "Lasso", "A", commands.lasso, "Draw"),
    Command("reshape", "Redraw border", "Shift+D", commands.reshape, "Draw"),
    Command("livewire", "Live-wire", "D", commands.livewire, "Draw"),
    Command("interpolate", "Fill between slices", "I", commands.interpolate, "Draw"),
    Command("carry", "Carry corrections between slices", "Shift+I", commands.carry, "Draw"),
    Command("check_slice", "Slice checked, or not", "K", commands.check_slice, "Draw"),
    Command("learn", "Learn the rest from checked slices", "Shift+K", commands.learn, "Draw"),
    Command("undo_step", "Undo the last step", "", commands.undo_step, "Draw"),
    Command("redo_step", "Redo the step that was undone", "", commands.redo_step, "Draw"),
    Command("put_down", "Drop the outline or put the tool down", "", commands.put_down, "Draw"),
    Command("study", "Tasks of a study", "", commands.study, "Finish"),
    Command("evaluate", "Evaluate masks, PET and tables", "", commands.evaluate, "Finish"),
    Command("replay", "Replay the correction", "", commands.replay, "Finish"),
    Command("next_case", "Next case of the queue", "Ctrl+Alt+N", commands.next_case, "Finish"),
    Command("previous_case", "Previous case of the queue", "Ctrl+Alt+B", commands.previous_case, "Finish"),
    Command("accept_mask", "Accept the mask", "Ctrl+Alt+A", commands.accept_mask, "Finish"),
    Command("save_mask", "Save the mask", "Ctrl+Alt+M", commands.save_mask, "Finish"),
    Command("cheat_sheet", "All keys on one sheet", "Shift+/", commands.cheat_sheet, "Help"),
    Command("about", "About Tumour segmentation", "", commands.about, "Help"),
)


def register() -> None:
    """Make the commands known to napari's shortcut settings, with the user's keys where there are any."""
    chosen = get_settings().shortcuts.shortcuts
    for command in COMMANDS:
        name = f"{_PREFIX}:{command.name}"
        if not command.key or is_registered(name):
            continue
        action_manager.register_action(name, command.run, command.title, ViewerModel)
        for key in chosen.get(name, [KeyBinding.from_str(command.key)]):
            action_manager.bind_shortcut(name, key)
