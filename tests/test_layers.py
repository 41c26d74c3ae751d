"""The layers of the design hold, and the check that holds them is awake."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LINT = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True, no_logo=True))"

BROKEN = [
    ("layers", "core/grid.py", "import seglab.jobs", "seglab.core.grid -> seglab.jobs"),
    ("layers", "core/grid.py", "import seglab.store.project", "seglab.core.grid -> seglab.store.project"),
    ("layers", "core/grid.py", "import seglab", "seglab.core.grid -> seglab"),
    ("layers", "training/loop.py", "import seglab.inference.sweep", "seglab.training.loop -> seglab.inference.sweep"),
    ("layers", "models/sam.py", "import seglab.store.project", "seglab.models.sam -> seglab.store.project"),
    ("layers", "app/session.py", "import seglab.ui.labeler", "seglab.app.session -> seglab.ui.labeler"),
    ("layers", "newcomer.py", "", "seglab.newcomer"),
    ("ui", "ui/labeler.py", "import seglab.store.project", "seglab.ui.labeler -> seglab.store.project"),
    ("encoding", "encoding/encoder.py", "import seglab.serve", "seglab.encoding.encoder -> seglab.serve"),
    ("pretrain", "pretrain/__init__.py", "import seglab.inference.sweep", "seglab.pretrain -> seglab.inference.sweep"),
    ("widgets", "app/session.py", "def later():\n    import ipywidgets", "seglab.app.session -> ipywidgets"),
    ("widgets", "cli/bench.py", "from IPython.display import display", "seglab.cli.bench -> IPython"),
    ("torch", "core/grid.py", "def later():\n    from torch.nn import functional", "seglab.core.grid -> torch"),
    ("torch", "store/project.py", "import torchvision", "seglab.store.project -> torchvision"),
]
"""(contract, file, what is added to the file to break that contract, how the report shows it)."""


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


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the check says, by heading, of a copy in which the contracts are broken in all these ways."""
    folder = tmp_path_factory.mktemp("broken")
    shutil.copy(ROOT / "pyproject.toml", folder)
    only_code = shutil.ignore_patterns("__pycache__", "weights", "static")
    shutil.copytree(ROOT / "seglab", folder / "seglab", ignore=only_code)
    for _, file, line, _ in BROKEN:
        with open(folder / "seglab" / file, "a", encoding="utf-8") as source:
            source.write(f"\n{line}\n")
    result = lint(folder)
    assert result.returncode == 1, result.stdout + result.stderr
    _, *parts = re.split(r"^(.+)\n-{3,}$", result.stdout, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_the_layers_hold():
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(("contract", "file", "line", "shown"), BROKEN)
def test_a_broken_layer_is_noticed(report, contract, file, line, shown):
    name = next(entry["name"] for entry in settings()["contracts"] if entry["id"] == contract)
    # by itself, not on the way of an import that breaks something else
    assert re.search(rf"^- +{re.escape(shown)}( \(l\.\d+\))?$", report[name], re.MULTILINE), report[name]


def test_every_package_but_ui_is_kept_from_widgets():
    contracts = {entry["id"]: entry for entry in settings()["contracts"]}
    modules = {
        f"seglab.{path.stem}"
        for path in (ROOT / "seglab").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    free = {"seglab.__init__", "seglab.__main__", "seglab.ui"}
    assert modules - free == set(contracts["widgets"]["source_modules"])
