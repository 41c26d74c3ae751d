"""`seglab bench speed`, on small networks."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from seglab.bench import speed
from seglab.bench.speed import format_table, run_speed
from seglab.cli import main
from seglab.errors import BenchError, ModelNotFoundError
from seglab.models.student.spec import STUDENTS


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    students = {"quick": replace(STUDENTS["smallest"], image_size=64)}
    monkeypatch.setattr(speed, "STUDENTS", students | {"slow": replace(STUDENTS["small"], image_size=96)})


def test_speeds_are_megapixels_per_second_against_one_of_them(capsys):
    assert main(["bench", "speed", "quick", "--against", "slow", "--windows", "2", "--device", "cpu", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    rows = {row["name"]: row for row in result["rows"]}
    assert (list(rows), rows["quick"]["side"], rows["slow"]["side"]) == (["quick", "slow"], 64, 96)
    assert rows["slow"]["faster"] == 1
    for row in rows.values():
        assert row["mpx_per_second"] == pytest.approx(row["side"] ** 2 / 1e6 / row["seconds"], rel=0.01)
    assert rows["quick"]["parameters"] < rows["slow"]["parameters"]
    assert "| slow | 96 |" in format_table(result)


def test_what_cannot_be_timed_is_said():
    with pytest.raises(ModelNotFoundError, match="no network is called 'huge'"):
        run_speed(["huge"])
    with pytest.raises(BenchError, match="at least 1"):
        run_speed(["quick"], against="slow", windows=0)
