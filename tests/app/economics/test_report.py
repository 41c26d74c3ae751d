"""A project as one page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

import seglab
from seglab.cli import main
from seglab.errors import WriteError


class Words(HTMLParser):
    """What stands on a page, and which elements are open in the end."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        assert all(not str(value).startswith(("http", "//")) for name, value in attrs if name in ("src", "href"))
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
def session(lakes_path, tmp_path):
    with seglab.open(lakes_path, classes=["<b>lake</b>"], project=tmp_path / "lakes.seglab", device="cpu") as session:
        for place in ((60, 70), (200, 90)):
            session.click(*place, crs="pixel")
            session.accept("<b>lake</b>")
        yield session


def test_it_says_what_was_labelled_and_needs_no_other_file(session, tmp_path):
    page = session.report(tmp_path / "report.html").read_text(encoding="utf-8")
    found = Words()
    found.feed(page)
    text = " ".join(found.words)
    assert found.open == []
    assert "<b>lake</b>" in text  # as words, not as bold ones
    hectares = session.areas.loc["<b>lake</b>", "hectares"]
    assert f"{hectares:.2f}" in text
    assert re.search(r"2 objects in 0\.\d min: 1\.0 clicks", text)
    assert "No round was trained yet." in text and "No map was checked" in text
    assert "tiny" in text and seglab.__version__ in text


def test_the_command_writes_the_same_page(session, tmp_path, capsys):
    page = session.report(tmp_path / "a.html").read_text(encoding="utf-8")
    assert main(["report", str(tmp_path / "lakes.seglab"), "--out", str(tmp_path / "b.html")]) == 0
    other = (tmp_path / "b.html").read_text(encoding="utf-8")
    strip = lambda text: re.sub(r"made on .* UTC", "", text)  # noqa: E731
    assert strip(other) == strip(page)
    assert "b.html" in capsys.readouterr().out


def test_it_is_never_the_scene(session):
    with pytest.raises(WriteError, match="the scene itself"):
        session.report(session.scene.path)


def test_a_folder_that_is_no_project_is_refused(tmp_path, capsys):
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "r.html")]) == 1
    assert not (tmp_path / "r.html").exists()
    assert "project" in capsys.readouterr().err
