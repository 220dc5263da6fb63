"""The set-up script, run in a folder of its own with stand-ins for Python, apt-get, dpkg-query and id."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the set-up script is for POSIX shells")

SCRIPT = Path(__file__).parents[2] / "scripts" / "bootstrap.sh"
TOOLS = ("sh", "cat", "cksum", "cp", "dirname", "mkdir", "rm", "sed", "tr")
PYTHON = """#!/bin/sh
echo "python $*" >>{log}
case "$*" in
    *ensurepip*) exit {no_ensurepip} ;;
    *print*) echo 3.11 ;;
    *version_info*) exit {too_old} ;;
    "-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    --version) echo Python 3.11.9 ;;
esac
"""


@dataclass
class Machine:
    """A folder with the script in it and a PATH that holds nothing else than what a test puts there."""

    root: Path
    env: dict[str, str] = field(default_factory=lambda: {"DISPLAY": ":0"})

    def __post_init__(self) -> None:
        self.bin = self.root / "bin"
        self.bin.mkdir()
        self.project = self.root / "project"
        (self.project / "scripts").mkdir(parents=True)
        shutil.copy(SCRIPT, self.project / "scripts")
        (self.project / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
        self.log = self.root / "log"
        self.clusters = self.root / "etc" / "postgresql-common" / "createcluster.conf"
        # The script may run as root here, and the machine's own file is not to be touched.
        self.env = {**self.env, "POSTGRESQL_CREATECLUSTER": str(self.clusters)}
        for tool in TOOLS:
            (self.bin / tool).symlink_to(str(shutil.which(tool)))

    def command(self, name: str, script: str) -> None:
        path = self.bin / name
        path.write_text(script, encoding="utf-8")
        path.chmod(0o755)

    def python(self, *, too_old: bool = False, no_ensurepip: bool = False) -> None:
        self.command("python3", PYTHON.format(log=self.log, too_old=int(too_old), no_ensurepip=int(no_ensurepip)))

    def debian(self, *, installed: str = "", root: bool = False) -> None:
        lines = "".join(f"ii  {name}\\n" for name in installed.split())
        self.command("dpkg-query", f"#!/bin/sh\nprintf 'rc  xvfb\\n{lines}'\n")
        self.command("apt-get", f'#!/bin/sh\necho "apt-get $*" >>{self.log}\n')
        self.command("id", f"#!/bin/sh\necho {0 if root else 1000}\n")

    def run(self, extras: str = "all") -> subprocess.CompletedProcess[str]:
        script = str(self.project / "scripts" / "bootstrap.sh")
        return subprocess.run([script, extras], env={"PATH": str(self.bin), **self.env}, capture_output=True, text=True, check=False)

    def calls(self, start: str) -> list[str]:
        return [line for line in self.log.read_text(encoding="utf-8").splitlines() if line.startswith(start)] if self.log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def everything() -> str:
    text = SCRIPT.read_text(encoding="utf-8")
    lists = (text.split(f'\n{name}="')[1].split('"')[0] for name in ("libraries", "virtual_display", "validator", "database"))
    return " ".join(" ".join(lists).split())


def test_installs_once_and_is_then_done(machine: Machine) -> None:
    machine.python()
    first = machine.run()
    assert first.returncode == 0
    assert machine.calls("python -m venv") == ["python -m venv --clear .venv"]
    assert machine.calls("python -m pip") == ["python -m pip install --editable .[all]"]
    second = machine.run()
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert len(machine.calls("python -m")) == 2


def test_tests_extras_serve_for_use_but_not_the_other_way_round(machine: Machine) -> None:
    machine.python()
    machine.run("all")
    machine.run("all,dev")
    machine.run("all")
    assert [call.rpartition(" ")[2] for call in machine.calls("python -m pip")] == [".[all]", ".[all,dev]"]


def test_a_changed_pyproject_installs_again(machine: Machine) -> None:
    machine.python()
    machine.run()
    (machine.project / "pyproject.toml").write_text("[project]\nname = 'x'\n", encoding="utf-8")
    machine.run()
    assert len(machine.calls("python -m pip")) == 2
    assert len(machine.calls("python -m venv")) == 1


def test_a_moved_checkout_gets_a_new_environment(machine: Machine) -> None:
    machine.python()
    machine.run()
    machine.project = machine.project.rename(machine.root / "elsewhere")
    assert machine.run().returncode == 0
    assert len(machine.calls("python -m venv")) == 2


def test_a_failed_install_is_tried_again(machine: Machine) -> None:
    machine.python()
    script = machine.bin / "python3"
    good = script.read_text(encoding="utf-8")
    machine.command("python3", good.replace("case", 'case "$*" in "-m pip"*) exit 1 ;; esac\ncase'))
    failed = machine.run()
    assert failed.returncode == 1
    assert "pip could not install" in failed.stderr
    shutil.copy(script, machine.project / ".venv" / "bin" / "python")
    (machine.project / ".venv" / "bin" / "python").write_text(good, encoding="utf-8")
    assert machine.run().returncode == 0
    assert len(machine.calls("python -m pip")) == 2


@pytest.mark.parametrize("present", [True, False])
def test_without_a_python_that_suits_it_says_which(machine: Machine, present: bool) -> None:
    if present:
        machine.python(too_old=True)
    result = machine.run()
    assert result.returncode == 1
    assert "Python 3.11, 3.12 or 3.13 is needed" in result.stderr
    assert not machine.calls("python -m")


def test_a_later_python_is_found_by_its_own_name(machine: Machine) -> None:
    machine.python()
    (machine.bin / "python3").rename(machine.bin / "python3.12")
    machine.python(too_old=True)
    result = machine.run()
    assert result.returncode == 0
    assert machine.calls("python -m venv")


def test_without_ensurepip_elsewhere_it_says_so(machine: Machine) -> None:
    machine.python(no_ensurepip=True)
    result = machine.run()
    assert result.returncode == 1
    assert "venv and ensurepip" in result.stderr


def test_on_debian_without_root_the_exact_line_is_printed(machine: Machine) -> None:
    machine.python()
    machine.debian(installed=everything().replace("libegl1 ", "").replace("libxcb-cursor0 ", ""))
    result = machine.run()
    assert result.returncode == 1
    line = "  sudo apt-get update && sudo apt-get install -y --no-install-recommends libegl1 libxcb-cursor0"
    assert line in result.stderr.splitlines()
    assert not machine.calls("apt-get")
    assert not machine.calls("python -m")


def test_on_debian_without_ensurepip_the_line_names_its_package(machine: Machine) -> None:
    machine.python(no_ensurepip=True)
    machine.debian(installed=everything())
    result = machine.run()
    assert result.returncode == 1
    assert "--no-install-recommends python3-venv python3.11-venv" in result.stderr


def test_on_debian_as_root_what_is_missing_is_installed(machine: Machine) -> None:
    machine.python()
    machine.debian(installed=everything().replace("libgl1 ", ""), root=True)
    result = machine.run()
    assert result.returncode == 0
    assert machine.calls("apt-get") == ["apt-get update -q", "apt-get install -y --no-install-recommends libgl1"]
    assert machine.calls("python -m pip")


def test_on_debian_with_everything_nothing_is_installed(machine: Machine) -> None:
    machine.python()
    # The names of Debian 13 and Ubuntu 24.04.
    machine.debian(installed=everything().replace("libglib2.0-0", "libglib2.0-0t64"))
    assert machine.run("all,dev").returncode == 0
    assert not machine.calls("apt-get")


@pytest.mark.parametrize(
    ("display", "extras", "wanted"),
    [(":0", "all", ""), ("", "all", " xvfb xauth"), (":0", "all,dev", " xvfb xauth dicom3tools postgresql")],
)
def test_the_virtual_display_is_wanted_only_where_it_is_used(machine: Machine, display: str, extras: str, wanted: str) -> None:
    machine.python()
    machine.env["DISPLAY"] = display
    machine.debian(installed=everything().partition(" xvfb")[0].replace("libgl1 ", ""), root=True)
    assert machine.run(extras).returncode == 0
    assert machine.calls("apt-get install") == [f"apt-get install -y --no-install-recommends libgl1{wanted}"]


@pytest.mark.parametrize(
    ("there", "extras", "said"), [("", "all,dev", "create_main_cluster = false\n"), ("", "all", ""), ("x\n", "all,dev", "x\n")]
)
def test_no_database_server_is_made_on_the_machine_for_the_tests(machine: Machine, there: str, extras: str, said: str) -> None:
    machine.python()
    machine.debian(installed=everything().replace(" postgresql", ""), root=True)
    if there:
        machine.clusters.parent.mkdir(parents=True)
        machine.clusters.write_text(there, encoding="utf-8")
    assert machine.run(extras).returncode == 0
    assert (machine.clusters.read_text(encoding="utf-8") if machine.clusters.exists() else "") == said
