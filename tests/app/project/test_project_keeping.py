"""Caches that can be emptied at any time, and the view that comes back."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from seglab.app.project.kept_view import VIEW_NAME, KeptDivider, KeptLayer, KeptView, ViewFile
from seglab.app.project.looks import BY_HAND, Look
from seglab.core.stretch import Stretch
from tests.conftest import LAKES

VIEW = KeptView(
    (45.1, 15.2), 12.0, "box", "field", ("water",), (("snap", 3.0),), "2020-01-01",
    Look(BY_HAND, (2, 1), "ylgn", (1.0, 99.0), Stretch((0.0,), (0.5,))),
    (KeptLayer("imagery", True, 0.5), KeptLayer("labels", False, 1.0)),
    KeptDivider(True, "imagery", "", 0.25), "OpenTopoMap",
)  # fmt: skip


BAD_LOOK = (
    '{"center": null, "zoom": 1, "tool": "a", "class_name": null, "hidden": [], "tidy": [], "look": {"title": 1}}'
)


def written(file: ViewFile) -> threading.Event:
    """Set when the file writes."""
    done, write = threading.Event(), file.write

    def watched() -> None:
        write()
        done.set()

    file.write = watched
    return done


def test_cache_sizes_tell_what_is_there(open_lakes) -> None:
    session = open_lakes()
    assert dict(session.cache_size) == {"embeddings": 0, "prefixes": 0}
    session.click(*LAKES[1][:2], crs="pixel")
    size = session.cache_size
    on_disk = sum(p.stat().st_size for p in session.project.cache_folder.rglob("*") if p.suffix and p.is_file())
    assert size["embeddings"] > 0 and 0 < size["prefixes"] <= on_disk


def test_windows_encoded_ahead_count_and_are_cleared_too(open_lakes) -> None:
    session = open_lakes()
    session.look_at(0, 0, 200, 200, crs="pixel")
    assert session._ahead.worker.wait(60) and session.encoded_windows
    assert session.cache_size["embeddings"] > 0
    session.prefetches = False
    assert session.clear_cache() > 0 and session.encoded_windows == ()
    assert session.cache_size["embeddings"] == 0


def test_a_cleared_cache_changes_no_mask(open_lakes) -> None:
    session = open_lakes()
    first = session.click(*LAKES[1][:2], crs="pixel").array
    freed = session.clear_cache()
    assert freed > 0 and sum(session.cache_size.values()) == 0
    session.reject()
    np.testing.assert_array_equal(session.click(*LAKES[1][:2], crs="pixel").array, first)
    assert session.cache_size["prefixes"] > 0


def test_clearing_while_windows_are_encoded(open_lakes) -> None:
    session = open_lakes()
    wrong: list[BaseException] = []
    expected = {}
    for lake in LAKES:
        expected[lake[:2]] = session.click(*lake[:2], crs="pixel").array
        session.reject()

    def click() -> None:
        try:
            for place, array in expected.items():
                session.reject()
                np.testing.assert_array_equal(session.click(*place, crs="pixel").array, array)
        except BaseException as error:
            wrong.append(error)

    worker = threading.Thread(target=click)
    worker.start()
    while worker.is_alive():
        session.clear_cache()
    worker.join()
    assert wrong == []


def test_a_view_comes_back(open_lakes) -> None:
    session = open_lakes()
    assert session.kept_view is None
    session.keep_view(VIEW)
    session.close()
    events = len(session.project.events())
    again = open_lakes()
    assert again.kept_view == VIEW and again.view_problem is None
    assert len(again.project.events()) == events


def test_of_many_views_the_last_one_is_written_once(tmp_path: Path) -> None:
    file = ViewFile(tmp_path, quiet=0.05)
    done = written(file)
    for zoom in range(20):
        file.keep(KeptView(zoom=float(zoom)))
    assert done.wait(10)
    found = ViewFile(tmp_path).read()
    assert found is not None and found.zoom == 19
    stamp = file.path.stat().st_mtime_ns
    file.write()
    assert file.path.stat().st_mtime_ns == stamp


def test_a_view_without_layers_is_read(tmp_path: Path) -> None:
    (tmp_path / VIEW_NAME).write_text(
        '{"center": [45, 15], "zoom": 3, "tool": "box", "class_name": null, "hidden": [], "tidy": []}'
    )
    assert ViewFile(tmp_path).read() == KeptView((45.0, 15.0), 3.0, "box")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"center": [1]}', '{"center": ["a", 1], "zoom": 1, "tool": 3}', "\x00", "7", BAD_LOOK],
)
def test_a_damaged_file_is_passed_over_with_a_word(tmp_path: Path, text: str) -> None:
    (tmp_path / VIEW_NAME).write_text(text)
    file = ViewFile(tmp_path)
    assert file.read() is None and VIEW_NAME in (file.problem or "")
    file.keep(VIEW)
    file.write()
    assert file.read() == VIEW and file.problem is None


def test_a_folder_that_cannot_be_written_is_said_and_no_error(tmp_path: Path) -> None:
    told = []
    file = ViewFile(tmp_path / "gone", lambda: told.append(file.problem))
    for _ in range(2):
        file.keep(VIEW)
        file.write()
    assert "opened again" in (file.problem or "")
    assert told == [file.problem]  # once, not with every view
    assert not os.path.exists(tmp_path / "gone")


def test_not_a_number_is_no_place(tmp_path: Path) -> None:
    (tmp_path / VIEW_NAME).write_text(
        '{"center": [NaN, 1], "zoom": 1, "tool": "plus", "class_name": null, "hidden": [], "tidy": []}'
    )
    assert ViewFile(tmp_path).read() is None
