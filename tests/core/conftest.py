"""Fixtures of the core tests: real scenes, where they are installed or lent."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def packaged() -> Path:
    """The folder of the scenes that localtileserver ships."""
    spec = importlib.util.find_spec("localtileserver")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "tiler" / "data"


@pytest.fixture(scope="session")
def georef() -> Path:
    """The georeferenced scenes of the labelled data."""
    root = Path(os.environ.get("SEGLAB_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (root / "georef").is_dir():
        pytest.skip("the labelled data is not here; set SEGLAB_DATA to its folder")
    return root / "georef"
