from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from napari_tumorseg.cli import main
from napari_tumorseg.cli.console import run
from napari_tumorseg.core.errors import Cancelled, OutputError


def one_command(error: BaseException | None) -> typer.Typer:
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def work() -> None:
        if error is not None:
            raise error

    return app


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (None, 0, ""),
        (
            OutputError("mask.nii.gz was not saved: the disk is full.", "Free some space."),
            2,
            "mask.nii.gz was not saved: the disk is full. Free some space.\n",
        ),
        (Cancelled("x"), 130, "Stopped.\n"),
        (KeyboardInterrupt(), 130, "Stopped.\n"),
    ],
)
def test_outcomes_become_exit_statuses(capsys: pytest.CaptureFixture[str], error: BaseException | None, status: int, line: str) -> None:
    assert run(one_command(error), []) == status
    assert capsys.readouterr().err == line


def test_our_fault_is_one_line_and_a_log_file(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUMORSEG_HOME", str(tmp_path))
    assert run(one_command(ZeroDivisionError("secret")), []) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    (log,) = (tmp_path / "log").iterdir()
    assert str(log) in said
    assert "ZeroDivisionError" in log.read_text()


def test_a_log_that_cannot_be_written_goes_to_the_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("TUMORSEG_HOME", str(blocked))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run(one_command(ZeroDivisionError()), []) == 1
    assert len(list(tmp_path.glob("tumorseg-*.log"))) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["segment"], "Missing argument"),
        (["segment", "nowhere", "--model", "nothing"], "There is no model 'nothing'"),
        (["segment", "nowhere"], "nowhere"),
        (["segment", "x", "--modality", "T1c"], "--modality T1c is not of the form NAME=FILE"),
        (["segment", "x", "--format", ".jpg"], ".jpg is not a mask format"),
        (["models", "show", "nothing"], "There is no model 'nothing'"),
        (["models", "add", "nowhere"], "nowhere is not a folder"),
        (["convert", "nowhere.nii", "x.nrrd"], "nowhere.nii does not exist"),
        (["convert", "nowhere.nii", "x.nrrd", "--as", "y"], "--as y is not known"),
        (["nonsense"], "No such command"),
    ],
)
def test_a_user_s_mistake_is_one_line_and_status_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    out = capsys.readouterr()
    assert said in out.err
    assert out.err.count("\n") == 1
    assert out.out == ""
    assert list(tmp_path.iterdir()) == []


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"brain-tumour-small", "brats17-cascade"} <= {row["name"] for row in rows}


def test_show_says_limits_and_licence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", "brain-tumour-small"]) == 0
    text = capsys.readouterr().out
    assert "not on metastases" in text
    assert "commercial use not allowed" in text


def test_the_shipped_model_is_sound(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "check", "brain-tumour-small"]) == 0
    assert "sound" in capsys.readouterr().out


def test_doctor_reports_without_changing_anything(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TUMORSEG_HOME", str(tmp_path))
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert main(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"versions", "gpu", "display", "opengl", "problems"} <= set(document)
    assert "torch" in document["versions"]
    assert list(tmp_path.iterdir()) == []


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "segment" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip()


@pytest.mark.skipif(os.name != "posix", reason="signals differ on Windows")
def test_ctrl_c_ends_with_130_and_one_line() -> None:
    code = (
        "import os, signal, sys\n"
        "import typer\n"
        "from napari_tumorseg.cli.console import run\n"
        "app = typer.Typer(pretty_exceptions_enable=False)\n"
        "@app.command()\n"
        "def work():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    signal.pause()\n"
        "sys.exit(run(app, []))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (130, "Stopped.\n")
