"""The project folder: its manifest, what is damage, and what a killed write leaves behind."""

from __future__ import annotations

import json

import pytest

from seglab.errors import ProjectDamagedError, ProjectError, SegLabError, WriteError
from seglab.store import schema
from seglab.store.project import Project

HOLD_A_TEMPORARY = """
import sys
from pathlib import Path
from seglab.store import atomic
from seglab.store.lock import FolderLock
folder = Path(sys.argv[1])
with FolderLock(folder).held(), atomic.replacing(folder / "project.json") as temp:
    temp.write_bytes(b"half of it")
    print(temp, flush=True)
    sys.stdin.readline()
"""


def everything(folder):
    """All files below a folder and their bytes, the lock's aside."""
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_a_project_reopens_with_its_manifest(project, manifest):
    reopened = Project.open(project.folder)
    assert reopened.manifest == project.manifest
    assert {key: reopened.manifest[key] for key in manifest} == manifest
    assert reopened.manifest["schema"] == schema.SCHEMA_VERSION
    assert reopened.manifest["created"].endswith("+00:00")


def test_the_manifest_is_a_copy(project):
    project.manifest["classes"]["mud"] = {}
    assert "mud" not in project.manifest["classes"]


def test_open_or_create_does_either(tmp_path, manifest):
    folder = tmp_path / "a.seglab"
    made = Project.open_or_create(folder, manifest)
    made.append("accept", {})
    opened = Project.open_or_create(folder, {"model": "another"})
    assert opened.manifest == made.manifest
    assert len(opened.events()) == 1


def test_update_replaces_whole_entries_and_keeps_those_of_others(project):
    other = Project.open(project.folder)
    other.update_manifest(notes="salt")
    project.update_manifest(classes={"mud": {"colour": "#000000"}})
    for seen in (project.manifest, Project.open(project.folder).manifest):
        assert seen["classes"] == {"mud": {"colour": "#000000"}}
        assert (seen["notes"], seen["model"]) == ("salt", "tiny")


@pytest.mark.parametrize("change", [{"schema": 9}, {"created": "x"}, {"bad": float("nan")}, {"bad": object()}])
def test_a_bad_update_changes_nothing(project, change):
    before = everything(project.folder)
    with pytest.raises(ProjectError):
        project.update_manifest(**change)
    assert everything(project.folder) == before
    assert project.manifest == Project.open(project.folder).manifest


def test_create_refuses_an_existing_project_and_a_folder_with_other_files(project, manifest, tmp_path):
    with pytest.raises(ProjectError, match="already holds files"):
        Project.create(project.folder, manifest)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    with pytest.raises(ProjectError, match="already holds files"):
        Project.create(tmp_path / "photos", manifest)
    with pytest.raises(ProjectDamagedError, match=r"project\.json"):
        Project.open_or_create(tmp_path / "photos", manifest)
    assert everything(tmp_path / "photos") == {
        (tmp_path / "photos" / "cat.jpg").relative_to(tmp_path / "photos"): b"cat"
    }


def test_create_goes_where_there_is_room(tmp_path, manifest):
    (tmp_path / "empty.seglab").mkdir()
    (tmp_path / "empty.seglab" / ".DS_Store").write_bytes(b"")
    Project.create(tmp_path / "empty.seglab", manifest)
    with pytest.raises(WriteError, match="nowhere"):
        Project.create(tmp_path / "nowhere" / "a.seglab", manifest)
    assert not (tmp_path / "nowhere").exists()


def test_a_killed_create_can_be_repeated(tmp_path, manifest):
    """Everything but the manifest, which is written last."""
    folder = tmp_path / "a.seglab"
    (folder / "rounds").mkdir(parents=True)
    (folder / "events.jsonl").touch()
    (folder / ".project.json.77-abc.seglab-tmp.json").write_bytes(b'{"sche')
    assert Project.open_or_create(folder, manifest).append("accept", {}).id == 1
    assert Project.open(folder).manifest["model"] == "tiny"


def test_a_log_without_manifest_is_damage_and_not_a_free_folder(project, manifest):
    project.append("accept", {})
    (project.folder / "project.json").unlink()
    before = everything(project.folder)
    with pytest.raises(ProjectDamagedError, match=r"project\.json"):
        Project.open_or_create(project.folder, manifest)
    assert everything(project.folder) == before


def test_nothing_there_and_a_file_there(tmp_path, manifest):
    with pytest.raises(ProjectError, match="no project"):
        Project.open(tmp_path / "none.seglab")
    (tmp_path / "file.seglab").write_bytes(b"I am a file")
    for attempt in (lambda path: Project.open(path), lambda path: Project.open_or_create(path, manifest)):
        with pytest.raises(ProjectDamagedError, match="is a file"):
            attempt(tmp_path / "file.seglab")
    assert (tmp_path / "file.seglab").read_bytes() == b"I am a file"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be read as JSON"),
        (b'{"schema": 1', "cannot be read as JSON"),
        (b"\xff\xff\xff", "cannot be read as JSON"),
        (b"[]", "no schema version"),
        (b'{"model": "tiny"}', "no schema version"),
        (b'{"schema": "1"}', "no schema version"),
        (b'{"schema": 0}', "no schema version"),
        (b'{"schema": 99}', "newer seglab"),
    ],
)
def test_a_damaged_manifest_is_reported_and_nothing_is_changed(project, content, reason):
    (project.folder / "project.json").write_bytes(content)
    before = everything(project.folder)
    with pytest.raises(ProjectDamagedError, match=reason):
        Project.open(project.folder)
    with pytest.raises(ProjectDamagedError, match=reason):
        project.update_manifest(model="vit_b")
    assert everything(project.folder) == before


def test_migrations_run_in_order_and_leave_the_file_alone(tmp_path):
    path = tmp_path / "project.json"
    path.write_text(json.dumps({"schema": 1, "bands": [1], "kept": "yes"}))
    steps = {
        1: lambda old: {"kept": old["kept"], "input": {"bands": old["bands"]}},
        2: lambda old: old | {"input": old["input"] | {"stretch": None}},
    }
    expected = {"schema": 3, "kept": "yes", "input": {"bands": [1], "stretch": None}}
    assert schema.read_manifest(path, steps, 3) == expected
    assert json.loads(path.read_text())["schema"] == 1
    with pytest.raises(ProjectDamagedError, match="from 3 to 4"):
        schema.read_manifest(path, steps, 4)


def test_leftovers_of_a_killed_write_are_cleaned_at_the_next_open(project, spawn):
    child = spawn(HOLD_A_TEMPORARY, project.folder)
    temp = project.folder / child.stdout.readline().strip()
    assert temp.exists()
    Project.open(project.folder)
    assert temp.exists(), "its writer lives and holds the lock"
    child.kill()
    child.wait()
    reopened = Project.open(project.folder)
    assert not temp.exists()
    assert reopened.manifest == project.manifest


def test_leftover_rounds_are_cleaned_too(project):
    left = project.folder / "rounds" / ".001.77-abc.seglab-tmp"
    left.mkdir()
    (left / "adapter.safetensors").write_bytes(b"half")
    reopened = Project.open(project.folder)
    assert not left.exists()
    assert reopened.rounds() == []


def test_every_error_is_a_seglab_error():
    assert issubclass(ProjectDamagedError, ProjectError) and issubclass(ProjectError, SegLabError)
