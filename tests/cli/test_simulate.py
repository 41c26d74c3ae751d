"""`seglab simulate` from the command line: as typed, into its folder, as a table or as JSON."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest

from seglab.active.registry import STRATEGIES
from seglab.bench import curves, simulate
from seglab.bench.simulated_person import playable
from seglab.cli import main
from seglab.cli import simulate as command
from tests.bench_units.test_curves import grid

SIGNATURE = inspect.signature(simulate.run_simulate)


@pytest.fixture
def asked(monkeypatch):
    """What run_simulate is asked for; it answers with a small grid."""
    found = {}

    def record(*args, **kwargs):
        bound = SIGNATURE.bind(*args, **kwargs)
        bound.apply_defaults()
        found.update(bound.arguments)
        bound.arguments["out"].parent.mkdir()
        return curves.summarise(grid())

    monkeypatch.setattr(simulate, "run_simulate", record)
    return found


def test_it_is_asked_for_as_typed(tmp_path, asked, capsys):
    out = tmp_path / "out"
    typed = f"simulate {tmp_path} --datasets a b --strategy margin --strategy badge --seeds 2 --share 0.1 --out {out}"
    assert main([*typed.split(), "--json"]) == 0
    expected = {"folder": tmp_path, "datasets": ["a", "b"], "strategies": ["margin", "badge"], "seeds": 2, "share": 0.1}
    assert {key: asked[key] for key in expected} == expected
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((out / "curves.json").read_text())
    assert (out / "curves.png").read_bytes()[:4] == b"\x89PNG"


def test_what_is_left_out_is_the_benchmark_s_own(tmp_path, asked, capsys):
    assert main(["simulate", str(tmp_path), "--datasets", "a", "--out", str(tmp_path / "out")]) == 0
    for name in ("seeds", "rounds", "share", "pool", "held_out", "steps", "adapter", "place", "model"):
        assert asked[name] == SIGNATURE.parameters[name].default
    assert asked["strategies"] == command.STRATEGIES and all(playable(name) for name in command.STRATEGIES)
    assert set(command.STRATEGIES) < set(STRATEGIES)
    assert "| good | 3 |" in capsys.readouterr().out


def test_a_scene_has_its_labels_and_no_datasets(tmp_path, asked, capsys):
    typed = f"simulate scene.tif --labels roofs.geojson --class-name roof --out {tmp_path / 'out'}"
    assert main(typed.split()) == 0
    assert (asked["folder"], asked["datasets"]) == (Path("scene.tif"), [])
    assert (asked["labels"], asked["class_name"]) == (Path("roofs.geojson"), "roof")
    assert asked["strategies"] == command.STRATEGIES


@pytest.mark.parametrize("share", ["0", "1.2", "much"])
def test_a_share_is_a_share(tmp_path, capsys, share):
    with pytest.raises(SystemExit) as end:
        main(["simulate", str(tmp_path), "--share", share])
    assert end.value.code == 2
    assert share in capsys.readouterr().err
