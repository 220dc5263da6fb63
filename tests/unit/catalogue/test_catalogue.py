from __future__ import annotations

import hashlib
import os
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from napari_tumorseg.catalogue.card import read_spec
from napari_tumorseg.catalogue.registry import Catalogue
from napari_tumorseg.core.errors import Cancelled, InputError, ModelError
from napari_tumorseg.core.jobs import CancelToken, Progress
from napari_tumorseg.core.settings import Settings

WEIGHTS = b"not really weights"
CARD = f"""
name = "my-model"
title = "A model"
backend = "network"
schema = "lesion"
regions = ["Lesion"]
inputs = [{{ modality = "CT" }}, {{ modality = "PET", required = false }}]
remap = {{ "4" = 1 }}
licence_file = "LICENSE.txt"
[[weights]]
name = "w.safetensors"
sha256 = "{hashlib.sha256(WEIGHTS).hexdigest()}"
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings((tmp_path / "models",), tmp_path / "cache", tmp_path / "log", tmp_path / "state")


def model_folder(root: Path, card: str = CARD, name: str = "my-model") -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "model.toml").write_text(card)
    (folder / "w.safetensors").write_bytes(WEIGHTS)
    (folder / "LICENSE.txt").write_text("free")
    return folder


def test_a_card_becomes_a_spec(tmp_path: Path) -> None:
    spec = read_spec(model_folder(tmp_path))
    assert spec.modalities == ("CT", "PET")
    assert [need.required for need in spec.inputs] == [True, False]
    assert spec.remap == {4: 1}
    assert not spec.commercial_use


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ("name = 3", "lacks title, backend, schema, inputs"),
        ("name = ", "cannot be read"),
        (CARD.replace('backend = "network"', "backend = 3"), "backend is a int"),
        (CARD.replace("remap", "ramp"), "unknown key 'ramp'"),
        (CARD.replace('"lesion"', '"nothing"'), "no label schema 'nothing'"),
        (CARD.replace('"Lesion"', '"WT"'), "no region 'WT'"),
        (CARD.replace('{ "4" = 1 }', '{ "a" = 1 }'), "wrong value"),
    ],
)
def test_a_wrong_card_is_named_in_one_line(tmp_path: Path, card: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_spec(model_folder(tmp_path, card))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["../w.safetensors", "/etc/passwd", "a/b", "..", ""])
def test_a_card_cannot_reach_outside_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match="is a path"):
        read_spec(model_folder(tmp_path, CARD.replace("w.safetensors", name)))


def test_a_folder_without_a_card_is_no_model(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(InputError, match=r"neither a model.toml nor weights that are known"):
        Catalogue(settings).add(tmp_path / "x")


def test_added_models_are_found_and_sound(tmp_path: Path, settings: Settings) -> None:
    catalogue = Catalogue(settings)
    assert catalogue.add(model_folder(tmp_path / "download")) == "my-model"
    assert "my-model" in catalogue.names()
    assert catalogue.state("my-model").ready
    assert catalogue.check("my-model") == []
    assert sorted(p.name for p in (settings.model_dirs[0] / "my-model").iterdir()) == ["LICENSE.txt", "model.toml", "w.safetensors"]


def test_adding_copies_only_what_the_card_names(tmp_path: Path, settings: Settings) -> None:
    folder = model_folder(tmp_path / "download")
    (folder / "model.pt").write_bytes(b"a pickle")
    (folder / "setup.py").write_text("raise SystemExit")
    (folder / "card.md").symlink_to("/etc/hostname")
    Catalogue(settings).add(folder)
    assert sorted(p.name for p in (settings.model_dirs[0] / "my-model").iterdir()) == ["LICENSE.txt", "model.toml", "w.safetensors"]


def test_adding_twice_is_refused_and_keeps_the_first(tmp_path: Path, settings: Settings) -> None:
    catalogue = Catalogue(settings)
    folder = model_folder(tmp_path / "download")
    catalogue.add(folder)
    with pytest.raises(InputError, match="already in"):
        catalogue.add(folder)
    assert catalogue.check("my-model") == []


@pytest.mark.parametrize("name", ["..", "a/b", "", ".hidden"])
def test_a_model_cannot_be_named_like_a_path(tmp_path: Path, settings: Settings, name: str) -> None:
    folder = model_folder(tmp_path / "download", CARD.replace('name = "my-model"', f'name = "{name}"'))
    with pytest.raises(InputError, match="cannot be the name"):
        Catalogue(settings).add(folder)
    assert not settings.model_dirs[0].exists()


def test_weights_of_another_content_are_refused(tmp_path: Path, settings: Settings) -> None:
    folder = model_folder(tmp_path / "download")
    (folder / "w.safetensors").write_bytes(b"something else")
    with pytest.raises(InputError, match=r"not the file that model.toml names"):
        Catalogue(settings).add(folder)


def test_changed_weights_are_found_by_check_and_by_load(tmp_path: Path, settings: Settings) -> None:
    catalogue = Catalogue(settings)
    catalogue.add(model_folder(tmp_path / "download"))
    (settings.model_dirs[0] / "my-model" / "w.safetensors").write_bytes(b"tampered")
    assert "is not the file that the card names" in catalogue.check("my-model")[0]
    with pytest.raises(ModelError, match="is not the file that the card of my-model names"):
        catalogue.load("my-model")


def test_missing_weights_say_where_and_how(tmp_path: Path, settings: Settings) -> None:
    folder = model_folder(settings.model_dirs[0], CARD + 'how = "Ask the author."\n')
    (folder / "w.safetensors").unlink()
    catalogue = Catalogue(settings)
    assert catalogue.state("my-model").reason == "Its weights are not installed. Ask the author."
    with pytest.raises(ModelError, match=r"w.safetensors of my-model are not in .*my-model. Ask the author."):
        catalogue.load("my-model")


def test_a_model_with_code_of_its_own_is_not_run(tmp_path: Path, settings: Settings) -> None:
    Catalogue(settings).add(model_folder(tmp_path / "download", "needs_trust = true\n" + CARD))
    with pytest.raises(ModelError, match="runs no code from a model"):
        Catalogue(settings).load("my-model")


def test_an_unknown_model_lists_the_known(settings: Settings) -> None:
    with pytest.raises(InputError, match=r"There is no model 'x'. Choose one of: .*brain-tumour-small"):
        Catalogue(settings).spec("x")


@pytest.fixture
def server(tmp_path: Path):
    root = tmp_path / "www"
    root.mkdir()
    (root / "w.safetensors").write_bytes(WEIGHTS)
    (root / "bad").write_bytes(b"bad")
    handler = partial(_Quiet, directory=os.fspath(root))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}"
        http.shutdown()
        thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def downloadable(settings: Settings, url: str) -> Catalogue:
    (model_folder(settings.model_dirs[0], CARD + f'url = "{url}"\n') / "w.safetensors").unlink()
    return Catalogue(settings)


def test_weights_are_downloaded_once_with_progress(settings: Settings, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import napari_tumorseg.catalogue.registry as registry

    monkeypatch.setattr(registry, "BACKENDS", {"network": lambda spec, weights, _: (spec.name, weights)})
    catalogue = downloadable(settings, f"{server}/w.safetensors")
    assert catalogue.state("my-model").reason == "Its weights will be downloaded on first use."
    seen = []
    _, weights = catalogue.load("my-model", Progress(seen.append))
    assert weights["w.safetensors"].read_bytes() == WEIGHTS
    assert any("Downloading w.safetensors" in state.message for state in seen)
    seen.clear()
    catalogue.load("my-model", Progress(seen.append))
    assert seen == []


def test_a_download_of_another_content_is_refused_and_removed(settings: Settings, server: str) -> None:
    catalogue = downloadable(settings, f"{server}/bad")
    with pytest.raises(ModelError, match="sent something else"):
        catalogue.load("my-model")
    assert [p.name for p in (settings.model_dirs[0] / "my-model").iterdir() if p.name.startswith("w")] == []


def test_offline_says_what_to_do(settings: Settings) -> None:
    catalogue = downloadable(settings, "http://127.0.0.1:9/w.safetensors")
    with pytest.raises(ModelError, match=r"cannot be reached. Go online once, or put the file into .*my-model"):
        catalogue.load("my-model")


def test_a_cancelled_download_leaves_nothing(settings: Settings, server: str) -> None:
    catalogue = downloadable(settings, f"{server}/w.safetensors")
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        catalogue.load("my-model", Progress(cancel=token))
    assert not (settings.model_dirs[0] / "my-model" / "w.safetensors").exists()
