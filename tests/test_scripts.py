"""The scripts behind make: they find or make what is needed, and say clearly what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="make and its scripts need a POSIX shell")


@pytest.fixture
def machine(tmp_path):
    """A PATH of our own: a user who is not root, and a Python without playwright."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "cat", "rm", "mkdir", "cp", "chmod"):
        (tools / name).symlink_to(shutil.which(name))
    executable(tools / "id", "echo 1000")
    executable(tools / "python", "exit 1")
    return tools


def executable(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def look(machine: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(machine / "sh"), str(ROOT / ".ci" / "chromium.sh"), "python"],
        env={"PATH": str(machine)} | variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_browser_on_the_path_is_found(machine):
    browser = executable(machine / "google-chrome", "echo Google Chrome 140")
    result = look(machine)
    assert (result.returncode, result.stdout) == (0, f"{browser}\n")


def test_a_stub_that_does_not_start_is_passed_over(machine):
    executable(machine / "chromium-browser", "echo 'snap install chromium' >&2; exit 1")
    browser = executable(machine / "google-chrome-stable", "echo Google Chrome 140")
    assert look(machine).stdout == f"{browser}\n"


def test_the_named_browser_comes_first(machine, tmp_path):
    executable(machine / "chromium", "echo Chromium 140")
    named = executable(tmp_path / "mine", "echo Chromium 141")
    assert look(machine, SEGLAB_CHROMIUM=str(named)).stdout == f"{named}\n"


def test_a_named_browser_that_does_not_start_is_an_error(machine):
    executable(machine / "chromium", "echo Chromium 140")
    result = look(machine, SEGLAB_CHROMIUM="no/such/browser")
    assert result.returncode == 1
    assert "no/such/browser" in result.stderr


def test_playwrights_browser_is_found(machine, tmp_path):
    browser = executable(tmp_path / "chrome", "echo Chromium 140")
    executable(machine / "python", f"echo '{browser}'")
    assert look(machine).stdout == f"{browser}\n"


def test_root_installs_the_systems_browser(machine):
    executable(machine / "id", "echo 0")
    browser = machine / "chromium"
    write = f"printf '#!/bin/sh\\necho Chromium\\n' >{browser}; {shutil.which('chmod')} 755 {browser}"
    executable(machine / "apt-get", f"echo reading package lists; {write}")
    result = look(machine)
    assert (result.returncode, result.stdout) == (0, f"{browser}\n"), result.stderr


def test_without_a_browser_the_tests_may_skip(machine):
    result = look(machine)
    assert (result.returncode, result.stdout) == (0, "")
    assert "will be skipped" in result.stderr


def test_without_a_browser_continuous_integration_fails(machine):
    result = look(machine, CI="true")
    assert (result.returncode, result.stdout) == (1, "")
    assert "SEGLAB_CHROMIUM" in result.stderr


VERSION = "Python 3.12.1"

PYTHON = f"""
case "$1 $2" in
--version*) echo {VERSION} ;;
"-c import sys; sys.exit"*) exit "${{OLD:-0}}" ;;
"-c import sys; print"*) echo 3.12 ;;
"-m venv")
    [ -z "${{NO_VENV:-}}" ] || {{ mkdir -p "$3"; exit 1; }}
    mkdir -p "$3/bin" && : >"$3/pyvenv.cfg" && cp "$0" "$3/bin/python" ;;
"-m pip") echo "$@" >>"$LOG" ;;
*) exit 9 ;;
esac
"""
"""A Python that makes virtual environments of itself and only notes down what pip is asked to do."""


def make_venv(machine: Path, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    executable(machine / "python3", PYTHON)
    folder.mkdir(exist_ok=True)
    script = [
        str(machine / "sh"),
        str(ROOT / ".ci" / "venv.sh"),
        variables.pop("python", "python3"),
        ".venv",
        ".",
    ]
    environment = {"PATH": str(machine), "LOG": str(folder / "log")} | variables
    return subprocess.run(script, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def test_an_environment_is_made_and_filled(machine, tmp_path):
    result = make_venv(machine, tmp_path / "tree", PIPFLAGS="--no-cache-dir")
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    installed = (tmp_path / "tree" / "log").read_text().splitlines()[-1].split()
    assert installed[-5:] == ["--no-cache-dir", "-c", "constraints.txt", "-e", "."]


def test_a_good_environment_is_kept(machine, tmp_path):
    tree = tmp_path / "tree"
    make_venv(machine, tree)
    (tree / ".venv" / "mine").touch()
    assert make_venv(machine, tree).returncode == 0
    assert (tree / ".venv" / "mine").exists()


def test_an_environment_of_another_folder_is_made_anew(machine, tmp_path):
    tree, copy = tmp_path / "tree", tmp_path / "copy"
    make_venv(machine, tree)
    (tree / ".venv" / "mine").touch()
    shutil.copytree(tree, copy)
    assert make_venv(machine, copy).returncode == 0
    assert not (copy / ".venv" / "mine").exists()


def test_a_half_made_environment_is_made_anew(machine, tmp_path):
    (tmp_path / "tree" / ".venv").mkdir(parents=True)
    (tmp_path / "tree" / ".venv" / "pyvenv.cfg").touch()
    assert make_venv(machine, tmp_path / "tree").returncode == 0


def test_a_folder_that_is_no_environment_is_left_alone(machine, tmp_path):
    precious = tmp_path / "tree" / ".venv" / "precious"
    precious.mkdir(parents=True)
    result = make_venv(machine, tmp_path / "tree")
    assert result.returncode == 1
    assert "not a virtual environment" in result.stderr
    assert precious.exists()


def test_another_version_of_python_is_refused_by_name(machine, tmp_path):
    result = make_venv(machine, tmp_path / "tree", OLD="1")
    assert result.returncode == 1
    assert f"needs Python 3.11, 3.12 or 3.13, and 'python3' is {VERSION}" in result.stderr
    assert "make PYTHON=" in result.stderr


def test_a_missing_python_is_named(machine, tmp_path):
    result = make_venv(machine, tmp_path / "tree", python="python9")
    assert result.returncode == 1
    assert "no 'python9' here" in result.stderr


def test_a_python_without_venv_says_what_to_install(machine, tmp_path):
    result = make_venv(machine, tmp_path / "tree", NO_VENV="1")
    assert result.returncode == 1
    assert "apt-get install python3.12-venv" in result.stderr
    assert not (tmp_path / "tree" / ".venv").exists()


def test_the_scripts_are_executable():
    scripts = [path for path in (ROOT / ".ci").iterdir() if path.is_file()]
    assert len(scripts) >= 3
    assert [path.name for path in scripts if not os.access(path, os.X_OK)] == []
