"""The package as an installed thing: light to import, complete, and honest about what it needs."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import seglab

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "seglab"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

HEAVY = {"torch", "torchvision", "timm", "segment_anything", "ipywidgets", "ipyleaflet", "anywidget", "traitlets"}
"""What `import seglab` must leave alone: the command line and Dask workers start without them."""

MODULES = {
    "pytest-xdist": "xdist",
    "ipykernel": None,
    "jupyterlab": None,
    "odc-geo": "odc",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "import-linter": "importlinter",
    "torchvision": None,
}
"""What a requirement is imported as, where that is not its name; None: seglab does not import it itself."""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(entries: list[str]) -> set[str]:
    return {canonical(re.match(r"[\w.-]+", entry)[0]) for entry in entries}


def imported_packages(folder: Path, at_import: bool = False) -> dict[str, str]:
    """Top-level names that a folder's code imports from elsewhere, each with one file that does.

    Args:
        folder: looked through, with its subfolders.
        at_import: only what importing a file imports, not what its functions import when they run.
    """
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body if at_import else ast.walk(tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            else:
                continue
            for name in names:
                found.setdefault(name.split(".")[0], path.relative_to(ROOT).as_posix())
    ours = sys.stdlib_module_names | {"seglab", "tests"}
    return {name: path for name, path in found.items() if name not in ours}


def modules_of(entries: list[str]) -> set[str | None]:
    """What requirements are imported as."""
    return {MODULES.get(name, name.replace("-", "_")) for name in requirements(entries)}


def test_importing_seglab_loads_no_network_and_no_widget():
    code = "import sys, seglab; print(*{name.split('.')[0] for name in sys.modules})"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    assert "seglab" in loaded
    assert not HEAVY & loaded


def test_the_version_is_the_projects():
    assert seglab.__version__ == PROJECT["version"]


def test_the_changelog_knows_the_version():
    assert f"## [{PROJECT['version']}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_type_checkers_are_told_that_seglab_is_typed():
    assert (PACKAGE / "py.typed").is_file()


def test_every_folder_with_code_is_a_package():
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert {folder for folder in folders if not (folder / "__init__.py").is_file()} == set()


def test_every_public_name_resolves():
    assert {"open", "label", "Labeler", "LabelSession"} <= set(dir(seglab))
    assert [name for name in dir(seglab) if getattr(seglab, name) is None] == []


def test_every_import_is_a_declared_requirement():
    extras = PROJECT["optional-dependencies"]
    optional = [requirement for name, extra in extras.items() if name != "test" for requirement in extra]
    modules = modules_of(PROJECT["dependencies"] + optional)
    assert {name: path for name, path in imported_packages(PACKAGE).items() if name not in modules} == {}


def test_no_file_needs_an_extra_to_be_imported():
    modules = modules_of(PROJECT["dependencies"])
    found = imported_packages(PACKAGE, at_import=True)
    assert {name: path for name, path in found.items() if name not in modules} == {}


def test_every_import_of_the_tests_is_a_declared_requirement():
    extras = PROJECT["optional-dependencies"]
    modules = modules_of(PROJECT["dependencies"] + extras["test"] + extras["bench"])
    found = imported_packages(ROOT / "tests")
    assert {name: path for name, path in found.items() if name not in modules} == {}


def test_every_requirement_is_used():
    assert modules_of(PROJECT["dependencies"]) - {None} - set(imported_packages(PACKAGE)) == set()


def test_every_requirement_is_pinned_in_the_constraints():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {canonical(line.split("==")[0]) for line in lines if "==" in line}
    wanted = requirements(PROJECT["dependencies"])
    for extra in PROJECT["optional-dependencies"].values():
        wanted |= requirements(extra)
    assert wanted - pinned == set()


def test_the_command_is_installed_under_its_name():
    try:
        distribution = importlib.metadata.distribution("seglab")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("seglab runs from its source tree here and is not installed")
    scripts = {entry.name: entry.value for entry in distribution.entry_points.select(group="console_scripts")}
    assert scripts == {"seglab": "seglab.cli:main"}
