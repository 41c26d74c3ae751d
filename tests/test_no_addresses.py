"""What is committed works on any machine: it names no package index and no path of its own machine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

SKIPPED = {".git", ".venv", "node_modules", "__pycache__", "artefacts", "build", "dist", ".ipynb_checkpoints"}
INSTALL_FILES = ["constraints.txt", "environment.yml", "pyproject.toml", "Makefile", "binder", ".ci"]

ADDRESS = re.compile(r"https?://|git\+|file:|--(extra-)?index-url|--find-links|--trusted-host|\s@\s")
HOME = re.compile(r"(?<![\w.~])/(home|Users|root|work|farm)/\w|(?<![\w.~])/tmp/\w|\b[A-Z]:\\Users\\")


def committed_files() -> list[Path]:
    """The files git knows or would add; every file where the tree is not a repository."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        paths = list(ROOT.rglob("*"))
    return [path for path in paths if path.is_file() and not SKIPPED & set(path.relative_to(ROOT).parts)]


def text_of(path: Path) -> str:
    content = path.read_bytes()
    return "" if b"\0" in content[:8192] else content.decode("utf-8", errors="replace")


def install_files() -> list[Path]:
    roots = [ROOT / name for name in INSTALL_FILES]
    return [path for path in committed_files() if any(path == root or root in path.parents for root in roots)]


def test_the_files_that_install_are_all_looked_at():
    found = {path.relative_to(ROOT).parts[0] for path in install_files()}
    assert found == set(INSTALL_FILES)


def test_no_file_that_installs_names_an_index():
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in install_files()
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if ADDRESS.search(line)
    ]
    assert found == []


def test_constraints_are_names_and_versions_only():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins == sorted(pins, key=lambda pin: pin.split("==")[0])
    assert [line for line in pins if not re.fullmatch(r"[a-z0-9-]+==\d[\w.]*", line)] == []


def test_no_committed_file_names_a_path_of_one_machine():
    this = Path(__file__).resolve()
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in committed_files()
        if path.resolve() != this
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if HOME.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("line", ["torch @ https://host/torch.whl", "--index-url https://host/simple", "file:///x"])
def test_the_search_for_addresses_sees_them(line):
    assert ADDRESS.search(line)


@pytest.mark.parametrize("line", ["open('/home/ann/scene.tif')", "cd /tmp/here", r"C:\Users\ann", "/root/x"])
def test_the_search_for_paths_sees_them(line):
    assert HOME.search(line)


@pytest.mark.parametrize("line", ["~/home/x", "binder/root/x", "https://host/home/x", "the /tmp folder"])
def test_the_search_for_paths_lets_others_be(line):
    assert not HOME.search(line)
