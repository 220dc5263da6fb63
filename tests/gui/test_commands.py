"""The manifest, and keys beside napari's own."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import napari.layers
import pytest
from app_model.types import KeyBinding
from napari._app_model import get_app_model
from napari.components import ViewerModel
from napari.utils.action_manager import action_manager
from npe2 import PluginManifest

import napari_tumorseg
from napari_tumorseg.widgets.command_table import COMMANDS


@pytest.fixture(scope="module")
def manifest():
    return PluginManifest.from_file(Path(napari_tumorseg.__file__).parent / "napari.yaml")


def naparis_keys() -> dict[str, str]:
    """Every key that napari binds where images and masks are worked on, by what has it.

    The keys of a shapes or points layer come before ours while such a layer is the active one.
    """
    ours = {f.__name__ for f in (c.run for c in COMMANDS)}
    keys = {}
    for kind in (ViewerModel, napari.layers.Image, napari.layers.Labels):
        keys |= {str(key): kind.__name__ for key, function in kind.class_keymap.items() if getattr(function, "__name__", "") not in ours}
    return keys


def test_no_key_is_naparis(make_napari_viewer):
    make_napari_viewer()
    taken = naparis_keys()
    for rule in get_app_model().keybindings:
        taken[str(rule.keybinding)] = rule.command_id
    assert "Ctrl+E" in taken
    assert {"P", "X", "Enter"} <= set(taken)
    assert "Ctrl+O" in taken
    # On a mask, Enter ends napari's polygon first and accepts the lesion otherwise (see LabelsHook).
    del taken["Enter"]
    for command in COMMANDS:
        if command.key:
            assert str(KeyBinding.from_str(command.key)) not in taken, command


def test_commands_work_from_naparis_menus(open_window, load):
    from napari.utils._proxies import PublicOnlyProxy

    dock = open_window(show=False)
    load(dock)
    # What napari hands to a command; private names of it warn, and warnings are errors here.
    viewer = PublicOnlyProxy(dock.viewer)
    for command in COMMANDS:
        if command.name in ("show_coronal", "next_sequence", "next_lesion", "toggle_outline", "accept_mask", "save_mask"):
            command.run(viewer)
    assert dock.session.view.plane == "coronal"
    assert dock.session.view.sequence == "FLAIR"


def test_no_key_is_used_twice():
    keys = [command.key for command in COMMANDS if command.key]
    assert len(keys) == len(set(keys))


def test_the_manifest_has_the_same_commands_and_keys(manifest):
    keys = {rule.command.split(".")[1]: rule.key for rule in manifest.contributions.keybindings}
    assert keys == {command.name: command.key for command in COMMANDS if command.key}
    in_menu = {item.command.split(".")[1] for item in manifest.contributions.menus["napari-tumorseg/commands"]}
    assert in_menu == {command.name for command in COMMANDS}


def test_everything_in_the_manifest_can_be_imported(manifest):
    for command in manifest.contributions.commands:
        module, name = command.python_name.split(":")
        assert callable(getattr(import_module(module), name)), command.id


def test_titles_are_the_same_in_menu_and_manifest(manifest):
    titles = {c.id.split(".")[1]: c.title for c in manifest.contributions.commands}
    for command in COMMANDS:
        assert titles[command.name] == command.title


def test_the_keys_can_be_changed_in_naparis_settings(open_window):
    open_window(show=False)
    names = action_manager._get_provider_actions(ViewerModel)
    assert {f"napari-tumorseg:{c.name}" for c in COMMANDS if c.key} <= set(names)


def test_every_widget_of_the_manifest_opens(make_napari_viewer, manifest, qtbot):
    viewer = make_napari_viewer(strict_qt="raise")
    for widget in manifest.contributions.widgets:
        command = next(c for c in manifest.contributions.commands if c.id == widget.command)
        module, name = command.python_name.split(":")
        made = getattr(import_module(module), name)(viewer)
        viewer.window.add_dock_widget(made, name=widget.display_name)
        assert made.minimumSizeHint().width() <= 320
    assert {"All steps", "Case", "Segment", "Correct", "Save", "Lesions"} == {w.display_name for w in manifest.contributions.widgets}


def test_about_names_what_it_is_for(make_napari_viewer, qtbot):
    from napari_tumorseg.core.settings import RESEARCH_USE_ONLY
    from napari_tumorseg.widgets.about import show_about

    viewer = make_napari_viewer()
    box = show_about(viewer)
    assert RESEARCH_USE_ONLY in box.text()
    box.close()
    box.deleteLater()
