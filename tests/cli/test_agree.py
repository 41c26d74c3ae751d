"""`seglab agree`: what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from shapely.geometry import box

from seglab.cli import main


@pytest.fixture
def folders(open_lakes, tmp_path: Path) -> list[str]:
    """Two projects with a lake each, and a field in the second."""
    found = []
    for name in ("alice", "bob"):
        session = open_lakes(project=tmp_path / f"{name}.seglab", author=name)
        session.paint(box(10, 10, 60, 60), crs="pixel")
        session.accept("water")
        found.append(session)
    found[1].paint(box(100, 100, 150, 150), crs="pixel")
    found[1].accept("field")
    return [str(session.project.folder) for session in found]


def test_summary(folders: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agree", *folders]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "objects: 1 and 2, 1 in both (F1 0.667)"
    assert "water: IoU 1.000, kappa 1.000 (almost perfect), objects 1 in both, 0 and 0 in one only" in said
    assert "field: IoU 0.000, kappa 0.000 (slight), objects 0 in both, 0 and 1 in one only" in said
    assert said[-2:] == ["they differ about 1:", "  second's 4: the other one has not labelled there"]


def test_json_with_a_file(folders: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agree", folders[0], str(Path(folders[1]) / "labels.gpkg"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["objects"] == [1, 2] and said["classes"]["water"]["iou"] == 1 and 0 < said["kappa"] < 1


def test_authors_of_one_project(open_lakes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "shared.seglab"
    for author, rows in (("alice", 50), ("bob", 40)):
        session = open_lakes(project=folder, author=author)
        session.paint(box(10, 10, 60, 10 + rows), crs="pixel")
        session.accept("water")
        if author == "alice":
            assert main(["agree", str(folder)]) == 1
            assert "one author only, alice" in capsys.readouterr().err
    assert main(["agree", str(folder)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["alice and bob", "objects: 1 and 1, 1 in both (F1 1.000)"]
    assert main(["agree", str(folder), "--json"]) == 0
    (pair,) = json.loads(capsys.readouterr().out)["pairs"]
    assert (pair["first"], pair["second"], pair["classes"]["water"]["iou"]) == ("alice", "bob", 0.8)


def test_no_project(folders: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agree", folders[0] + "x", folders[1]]) == 1
    assert "there is no project" in capsys.readouterr().err
