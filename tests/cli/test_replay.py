"""`seglab replay`: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seglab.cli import main
from seglab.store.project import Project
from tests.conftest import LAKES


@pytest.fixture
def folder(open_lakes) -> Path:
    session = open_lakes()
    session.click(*LAKES[1][:2], crs="pixel")
    session.accept("water")
    return session.project.folder


def test_equal(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(folder), "--out", str(tmp_path / "again.seglab")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "events 3, objects 1, classes 2, rounds 0"
    assert said[-1] == "equal: labels.gpkg is what the log leads to"
    assert Project.open(tmp_path / "again.seglab").labels_path.exists()


def test_a_difference_is_said_and_fails(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project.open(folder)
    project.write_labels(project.read_labels().assign(round=7), {})
    assert main(["replay", str(folder)]) == 1
    assert "differs: round differs for object 3" in capsys.readouterr().out
    assert main(["replay", str(folder), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["differences"] == ["round differs for object 3"]


def test_masks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(folder), "--masks", "--device", "cpu"]) == 0
    assert "masks drawn again: 1 of 1 pixel for pixel" in capsys.readouterr().out


def test_no_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(tmp_path / "nothing")]) == 1
    assert "there is no project" in capsys.readouterr().err
