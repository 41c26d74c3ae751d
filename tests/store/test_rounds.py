"""Rounds of training: numbered, whole or not at all, checked when loaded."""

from __future__ import annotations

import json
import shutil
import threading

import numpy as np
import pytest
import safetensors.numpy

from seglab.errors import ProjectDamagedError, ProjectError, UnknownRoundError
from seglab.store.project import Project


def tensors(seed=0):
    random = np.random.default_rng(seed)
    return {
        "blocks.3.down.weight": random.normal(size=(4, 6)).astype(np.float32),
        "scale": np.array(0.5, dtype=np.float32),
        "half": random.normal(size=(2, 3, 4)).astype(np.float16),
        "empty": np.zeros((0, 7), dtype=np.float32),
        "transposed": random.normal(size=(3, 5)).astype(np.float32).T,
    }


def assert_same(first, second):
    assert set(first) == set(second)
    for name, array in first.items():
        assert array.dtype == second[name].dtype and array.shape == second[name].shape
        np.testing.assert_array_equal(array, second[name])


def test_rounds_are_numbered_and_come_back(project):
    saved = [tensors(0), tensors(1)]
    assert [project.save_round(item, {"parent": None, "iou": 0.5 + n}) for n, item in enumerate(saved)] == [
        1,
        2,
    ]
    reopened = Project.open(project.folder)
    assert [(card["round"], card["iou"]) for card in reopened.rounds()] == [(1, 0.5), (2, 1.5)]
    for number, expected in enumerate(saved, start=1):
        loaded, card = reopened.load_round(number)
        assert_same(expected, loaded)
        assert card == reopened.rounds()[number - 1]


def test_others_can_read_a_round(project):
    project.save_round(tensors(), {"parent": None})
    folder = project.folder / "rounds" / "001"
    assert sorted(path.name for path in folder.iterdir()) == ["adapter.safetensors", "card.json"]
    assert_same(tensors(), safetensors.numpy.load_file(folder / "adapter.safetensors"))
    assert json.loads((folder / "card.json").read_text(encoding="utf-8"))["round"] == 1


def test_numbers_are_not_used_twice_and_go_past_999(project):
    project.save_round(tensors(), {})
    project.save_round(tensors(), {})
    shutil.rmtree(project.folder / "rounds" / "001")
    assert project.save_round(tensors(), {}) == 3
    shutil.copytree(project.folder / "rounds" / "003", project.folder / "rounds" / "999")
    card = project.folder / "rounds" / "999" / "card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"round": 999}))
    assert project.save_round(tensors(), {}) == 1000
    assert [card["round"] for card in project.rounds()] == [2, 3, 999, 1000]


def test_two_openers_do_not_overwrite_each_other(project):
    other = Project.open(project.folder)
    assert [opener.save_round(tensors(), {}) for opener in (project, other, project)] == [1, 2, 3]


def test_rounds_saved_at_the_same_time_get_different_numbers(project):
    openers = [Project.open(project.folder) for _ in range(4)]
    numbers: list[int] = []

    def save(opener):
        for _ in range(4):
            numbers.append(opener.save_round(tensors(), {}))

    threads = [threading.Thread(target=save, args=(opener,)) for opener in openers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 17))


def test_a_project_without_its_empty_folder_of_rounds_still_works(project):
    (project.folder / "rounds").rmdir()  # git does not keep empty folders
    assert Project.open(project.folder).rounds() == []
    assert project.save_round(tensors(), {}) == 1


@pytest.mark.parametrize("number", [0, 2, -1, None, "1"])
def test_an_unknown_round_is_named(project, number):
    project.save_round(tensors(), {})
    with pytest.raises(UnknownRoundError, match=r"choose one of \[1\]"):
        project.load_round(number)


def test_a_card_that_is_not_json_adds_no_round(project):
    with pytest.raises(ProjectError, match="card of round 1"):
        project.save_round(tensors(), {"iou": float("nan")})
    assert project.rounds() == []
    assert list((project.folder / "rounds").iterdir()) == []


@pytest.mark.parametrize("cut", [0, 5, 40, -1])
def test_damaged_tensors_are_noticed(project, cut):
    project.save_round(tensors(), {})
    path = project.folder / "rounds" / "001" / "adapter.safetensors"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ProjectDamagedError, match=r"adapter\.safetensors"):
        project.load_round(1)
    assert len(project.rounds()) == 1


def test_a_flipped_bit_is_noticed(project):
    project.save_round(tensors(), {})
    path = project.folder / "rounds" / "001" / "adapter.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ProjectDamagedError, match="SHA-256"):
        project.load_round(1)


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"round": 7}'])
def test_a_damaged_card_is_noticed(project, content):
    project.save_round(tensors(), {})
    path = project.folder / "rounds" / "001" / "card.json"
    path.unlink() if content is None else path.write_bytes(content)
    for attempt in (project.rounds, lambda: project.load_round(1)):
        with pytest.raises(ProjectDamagedError, match=r"card\.json"):
            attempt()


def test_rounds_are_taken_over_with_their_numbers(tmp_path, project, manifest):
    for _ in range(2):
        project.save_round({"a": np.ones(2, np.float32)}, {"parent": 0})
    shutil.rmtree(project.folder / "rounds" / "001")
    target = Project.create(tmp_path / "other.seglab", manifest)
    target.copy_history(project)
    assert target.rounds() == project.rounds()
    assert [card["round"] for card in target.rounds()] == [2]
    np.testing.assert_array_equal(target.load_round(2)[0]["a"], [1, 1])
    with pytest.raises(ProjectError, match="there is a round 2"):
        target.copy_history(project)


def test_a_damaged_round_is_not_taken_over(tmp_path, project, manifest):
    project.save_round({"a": np.ones(2, np.float32)}, {"parent": 0})
    (project.folder / "rounds" / "001" / "adapter.safetensors").write_bytes(b"x")
    target = Project.create(tmp_path / "other.seglab", manifest)
    with pytest.raises(ProjectDamagedError):
        target.copy_history(project)
    assert target.rounds() == [] and target.events() == []
