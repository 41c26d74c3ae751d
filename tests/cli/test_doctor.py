"""`seglab doctor`: one screen, or JSON."""

from __future__ import annotations

import json

import pytest

from seglab.app import doctor
from seglab.app.doctor_tiles import Check
from seglab.cli import main


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow checks are tested by themselves."""
    for name in ("check_tiles", "check_weights"):
        monkeypatch.setattr(doctor, name, lambda name=name: [Check(name, "fine")])


def test_one_screen(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "check_caches", lambda: [Check("downloads", "fine")])
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 40
    assert lines[-1] == "all checks passed"
    assert any(line.startswith("ok    torch ") for line in lines)
    assert sum(line.startswith("  1. server") for line in lines) == 1


def test_a_failure_says_what_to_do_and_is_the_status(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "check_caches", lambda: [Check("downloads", "full", False, "make room")])
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("FAIL"))
    assert "downloads" in lines[place] and lines[place + 1] == "      -> make room"
    assert lines[-1].startswith("1 of ")
    assert main(["doctor", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert {"name": "downloads", "value": "full", "ok": False, "advice": "make room"} in report["checks"]
    assert [route["name"] for route in report["routes"]] == [
        "server",
        "page",
        "server-proxy",
        "direct",
        "comm",
        "bytes",
    ]
