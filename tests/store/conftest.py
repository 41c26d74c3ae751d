"""What the store's tests share: a new project, a few labels, and scripts run in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import geopandas as gpd
import pytest
from shapely.geometry import Polygon, box

import seglab
from seglab.store.project import Project

MANIFEST = {
    "scene": {"path": "scene.tif", "fingerprint": "f1", "name": "scene"},
    "model_input": {"bands": [3, 2, 1], "stretch": {"low": [0.0, 1.5, 2.0], "high": [200.0, 180.0, 99.0]}},
    "model": "tiny",
    "classes": {"water": {"colour": "#1f77b4"}, "field": {"colour": "#ff7f0e"}},
}


@pytest.fixture
def manifest():
    return MANIFEST


@pytest.fixture
def project(tmp_path):
    return Project.create(tmp_path / "lake.seglab", MANIFEST)


@pytest.fixture
def labels():
    """Two labels in pixel coordinates, one with a hole."""
    with_hole = Polygon([(0, 0), (9, 0), (9, 8), (0, 8)], [[(3, 3), (5, 3), (5, 5), (3, 5)]])
    return gpd.GeoDataFrame(
        {
            "id": ["a", "b"],
            "class": ["water", "field"],
            "prompts": ['{"points": [[1.5, 2.5, true]]}', "{}"],
            "round": [0, 2],
            "iou": [0.91, float("nan")],
            "author": ["ada", "Грейс"],
            "time": ["2026-01-02T03:04:05.678+00:00"] * 2,
        },
        geometry=[with_hole, box(20, 20, 31, 33)],
    )


@pytest.fixture
def spawn():
    """Start Python on a script with arguments; pipes are text. Whatever still runs at the end is killed."""
    started = []

    def start(script: str, *arguments: object, **options) -> subprocess.Popen:
        environment = os.environ | {"PYTHONPATH": str(Path(seglab.__file__).parents[1])}
        process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            **options,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
