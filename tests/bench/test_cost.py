"""The table of costs: measured in processes of their own, and put together without mistakes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from seglab.bench import cost, cost_worker
from seglab.errors import BenchError, ModelNotFoundError

MEASURED: dict[str, dict[str, float]] = {
    "full": {"seconds": 8.0, "peak_mb": 9000.0},
    "late": {"seconds": 0.5, "peak_mb": 600.0},
    "last": {"seconds": 0.25, "peak_mb": 300.0},
    "neck": {"seconds": 0.125, "peak_mb": 150.0},
    "clicks": {"click": 0.02, "predictor": 0.2, "equal": 0.08, "again": 0.1, "anew": 0.5, "predictor_anew": 3.0},
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What would have been measured."""
    asked: list[dict[str, Any]] = []

    def measure(**what: Any) -> dict[str, float]:
        asked.append(what)
        return MEASURED[what.get("kind", "clicks")]

    monkeypatch.setattr(cost, "_measure", measure)
    return asked


def test_cost_is_per_megapixel_and_memory_is_of_a_step(asked: list[dict[str, Any]]) -> None:
    result = cost.run_cost("vit_b", repeats=1)
    sizes = {what["kind"]: what["chip"] for what in asked if what["measure"] == "step"}
    assert sizes == {"full": 1024, "late": 448, "last": 448, "neck": 448}
    late = result["steps"]["late"]
    assert late["seconds_per_mpx"] == pytest.approx(0.5 / 0.200704)
    assert late["cheaper"] == pytest.approx((8.0 / 1.048576) / (0.5 / 0.200704))
    assert result["steps"]["last"]["less_memory"] == pytest.approx(30.0)
    assert result["clicks"]["click_faster"] == pytest.approx(10.0)
    assert result["clicks"]["click_faster_than_equal"] == pytest.approx(4.0)
    assert result["clicks"]["again_faster"] == pytest.approx(5.0)


def test_measurements_take_turns(asked: list[dict[str, Any]]) -> None:
    cost.run_cost("tiny", repeats=2)
    assert [what.get("kind", "clicks") for what in asked] == ["full", "late", "last", "neck", "clicks"] * 2


def test_the_table_names_every_step_and_its_factors(asked: list[dict[str, Any]]) -> None:
    table = cost.format_table(cost.run_cost("vit_b", repeats=1))
    for words in (
        "| full | 1024 |",
        "| late | 448 |",
        "30.0x",
        "| 20.0 | 200.0 | 10.0x |",
        "| 80.0 | 4.0x |",
        "| 100.0 | 500.0 | 5.0x |",
    ):
        assert words in table


def test_a_model_that_is_none_is_named() -> None:
    with pytest.raises(ModelNotFoundError, match="'vit_x'"):
        cost.run_cost("vit_x")


def test_a_step_is_measured_in_a_process_of_its_own() -> None:
    found = cost._measure(measure="step", name="tiny", kind="last", chip=112, steps=1)
    assert found["seconds"] > 0
    assert 1 < found["peak_mb"] < 2000


def test_a_measurement_that_fails_says_why() -> None:
    with pytest.raises(BenchError, match="KeyError"):
        cost._measure(measure="step", name="tiny", kind="sideways", chip=112, steps=1)


@pytest.mark.parametrize("kind", cost_worker.STEPS)
def test_a_step_trains_what_it_says(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    models = []
    plain = cost_worker.AdaptedSam

    def built(*args: Any) -> object:
        models.append(plain(*args))
        return models[-1]

    monkeypatch.setattr(cost_worker, "AdaptedSam", built)
    step = cost_worker.training_step("tiny", kind, 112)
    before = {name: p.detach().clone() for name, p in models[0].named_parameters()}
    for _ in range(2):  # the adapters start at zero: their inner layers move from the second step on
        step()
    moved = {name for name, p in models[0].named_parameters() if not torch.equal(p, before[name])}
    assert "sam.mask_decoder.mask_tokens.weight" in moved
    assert ("sam.image_encoder.blocks.0.attn.qkv.weight" in moved) == (kind == "full")
    assert ("sam.image_encoder.patch_embed.proj.weight" in moved) == (kind == "full")
    assert any(name.startswith("adapter.") for name in moved) == (kind != "full")


def test_clicks_are_measured_on_both_sides() -> None:
    found = cost_worker.measure_clicks("tiny", 112, 1)
    assert set(found) == {"click", "predictor", "equal", "again", "anew", "predictor_anew"}
    assert all(seconds > 0 for seconds in found.values())
