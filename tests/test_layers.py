"""The layers of the design hold, and the check that holds them is awake."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LINT = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True, no_logo=True))"

BROKEN = [
    ("layers", "core/grid.py", "import seglab.jobs"),
    ("layers", "core/grid.py", "import seglab.store.project"),
    ("layers", "core/grid.py", "import seglab"),
    ("layers", "training/loop.py", "import seglab.inference.sweep"),
    ("layers", "models/sam.py", "import seglab.store.project"),
    ("layers", "app/session.py", "import seglab.ui.labeler"),
    ("layers", "newcomer.py", ""),
    ("ui", "ui/labeler.py", "import seglab.store.project"),
    ("encoding", "encoding/encoder.py", "import seglab.serve"),
    ("pretrain", "pretrain/__init__.py", "import seglab.inference.sweep"),
    ("widgets", "app/session.py", "def later():\n    import ipywidgets"),
    ("widgets", "cli/bench.py", "from IPython.display import display"),
    ("torch", "core/grid.py", "def later():\n    from torch.nn import functional"),
    ("torch", "store/project.py", "import torchvision"),
]
"""(contract, file, what is added to the file to break that contract)."""


def settings() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "utf8", "-c", LINT],
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def test_the_layers_hold():
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(("contract", "file", "line"), BROKEN)
def test_a_broken_layer_is_noticed(tmp_path, contract, file, line):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    only_code = shutil.ignore_patterns("__pycache__", "weights", "static")
    shutil.copytree(ROOT / "seglab", tmp_path / "seglab", ignore=only_code)
    with open(tmp_path / "seglab" / file, "a", encoding="utf-8") as source:
        source.write(f"\n{line}\n")
    result = lint(tmp_path)
    names = {entry["id"]: entry["name"] for entry in settings()["contracts"]}
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"{names[contract]} BROKEN" in result.stdout


def test_every_package_but_ui_is_kept_from_widgets():
    contracts = {entry["id"]: entry for entry in settings()["contracts"]}
    modules = {
        f"seglab.{path.stem}"
        for path in (ROOT / "seglab").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    free = {"seglab.__init__", "seglab.__main__", "seglab.ui"}
    assert modules - free == set(contracts["widgets"]["source_modules"])
