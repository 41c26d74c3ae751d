"""The training loop: it learns, resumes exactly, and exports what loads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from seglab.errors import PretrainError
from seglab.evaluation.baselines import floodfill
from seglab.models import spec
from seglab.models.checkpoint import load_weights
from seglab.models.registry import EMBEDDED, embedded_weights
from seglab.models.sam import AdaptedSam, build_sam
from seglab.models.spec import SPECS, SamSpec
from seglab.pretrain.batches import Sampler
from seglab.pretrain.calibrate import calibrate
from seglab.pretrain.config import load_config, parse_config
from seglab.pretrain.evaluate import evaluate, pool_cases
from seglab.pretrain.export import export_weights
from seglab.pretrain.network import CropSam, DenseHead, start
from seglab.pretrain.samples import build_pool
from seglab.pretrain.step import StepPlan, train_step
from seglab.pretrain.train import Trainer

SMALL = SamSpec("small", 112, 8, 48, 2, 2, (1,), 7, 32, 64, absolute_position=False)
CONFIG = {
    "model": "small", "minutes": 1, "warmup": 2, "learning_rate": 0.002, "half": False,
    "pools": {"small": {"size": 112, "scenes": 4, "per_scene": 2, "real_per_dataset": 0, "seed": 3}},
    "phases": [{"until": 1.0, "pool": "small", "images": 2, "objects": 3, "rounds": 2, "real_share": 0.0}],
}  # fmt: skip


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setitem(spec.SPECS, "small", SMALL)


@pytest.fixture(scope="module")
def pools(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pools")
    build_pool(folder / "small-train", 112, 4, 2, 0, 3)
    return folder


def test_steps_on_one_batch_lower_the_loss(small, pools):
    torch.manual_seed(0)
    pool = build_pool(pools / "small-train", 112, 4, 2, 0, 3)
    batch = Sampler(pool, 2, 2, 0.0).draw(np.random.default_rng(0))
    model, head = CropSam(SMALL), DenseHead(32)
    start(model, model.preprocess(batch.rgb))
    model.train()
    parameters = [*model.sam.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=4e-3)
    plan = StepPlan(rounds=2, boxes=0.0, exemplars=1, dense_weight=0.3)
    losses = []
    for _ in range(20):
        # The same clicks every time: what changes is the network.
        loss, values = train_step(model, head, batch, plan, np.random.default_rng(1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(values["loss"])
    assert np.mean(losses[-3:]) < 0.85 * losses[0]


def test_a_resumed_run_equals_an_uninterrupted_one(small, pools, tmp_path):
    config = parse_config(CONFIG)
    straight = Trainer(config, tmp_path / "a", "cpu", pools=pools)
    for share in (0.0, 0.1, 0.2, 0.3):
        straight.advance(share)
    first = Trainer(config, tmp_path / "b", "cpu", pools=pools)
    for share in (0.0, 0.1):
        first.advance(share)
    first.save(tmp_path / "b" / "checkpoint.pt")
    torch.manual_seed(99)
    second = Trainer(config, tmp_path / "b", "cpu", pools=pools)
    second.load(tmp_path / "b" / "checkpoint.pt")
    for share in (0.2, 0.3):
        second.advance(share)
    assert second.step == straight.step == 4
    for name, value in straight.model.sam.state_dict().items():
        torch.testing.assert_close(second.model.sam.state_dict()[name], value, rtol=0, atol=0)
    for name, value in straight.average.items():
        torch.testing.assert_close(second.average[name], value, rtol=0, atol=0)


def test_a_short_run_leaves_checkpoint_log_weights_and_card(small, pools, tmp_path, monkeypatch):
    config = parse_config(CONFIG)
    trainer = Trainer(config, tmp_path, "cpu", pools=pools)
    monkeypatch.setattr("seglab.pretrain.train.VALIDATION", {
        "scenes": 2, "per_scene": 1, "real_per_dataset": 0, "seed": 50,
    })  # fmt: skip
    told = []

    class Enough(Exception):
        pass

    def stop_after_two(progress):
        told.append(progress)
        if len(told) == 2:
            raise Enough

    with pytest.raises(Enough):
        trainer.run(told=stop_after_two)
    assert [p.step for p in told] == [1, 2] and told[0].budget == 60
    trainer.milestone(last=True)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {"1", "3", "5", "box"} <= set(lines[-1]["overall"])
    card = json.loads((tmp_path / "small.json").read_text())
    assert card["step"] == 2 and card["config"]["model"] == "small"
    load_weights(build_sam(SMALL), tmp_path / "small.safetensors", "small")


def test_a_damaged_checkpoint_is_refused(small, pools, tmp_path):
    trainer = Trainer(parse_config(CONFIG), tmp_path, "cpu", pools=pools)
    (tmp_path / "checkpoint.pt").write_bytes(b"nothing")
    with pytest.raises(PretrainError, match="resume"):
        trainer.load(tmp_path / "checkpoint.pt")


def test_exported_weights_load_strictly_and_are_small(tmp_path):
    model = AdaptedSam(SPECS["tiny"])
    export_weights(model.sam.state_dict(), tmp_path / "tiny.safetensors", {"model": "tiny"})
    assert (tmp_path / "tiny.safetensors").stat().st_size <= 16e6
    other = AdaptedSam(SPECS["tiny"])
    load_weights(other.sam, tmp_path / "tiny.safetensors", "tiny")
    for name, value in model.sam.state_dict().items():
        torch.testing.assert_close(other.sam.state_dict()[name], value.half().float())


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_packaged_weights_load_strictly_and_are_small(name):
    path = embedded_weights(name)
    assert path.stat().st_size <= 16e6
    load_weights(build_sam(SPECS[name]), path, name)


def test_the_committed_configuration_is_valid():
    folder = Path(__file__).parents[2] / "seglab" / "pretrain" / "configs"
    found = [load_config(path) for path in sorted(folder.glob("*.json"))]
    assert found and all(config.model in SPECS for config in found)


@pytest.mark.parametrize("raw", [{"learning_rat": 1}, {"phases": [{"until": 1.0, "pool": "absent"}]}])
def test_a_wrong_configuration_is_refused(raw):
    with pytest.raises(PretrainError):
        parse_config(raw)


def test_flood_fill_solves_flat_colours(tmp_path):
    pool = build_pool(tmp_path / "pool", 112, 3, 1, 0, 11)
    flat = {k: np.array(v) for k, v in pool.arrays.items()}
    for i in range(len(pool)):
        crop = pool.crop(i)
        painted = np.zeros_like(crop.rgb)
        painted[crop.masks[0]] = (200, 40, 40)
        flat["rgb"][i], flat["count"][i] = painted, 1
    cases = list(pool_cases(type(pool)(pool.size, pool.sources, flat)))
    figures = evaluate(floodfill(10), cases)
    assert figures.by_source["procedural"]["5"] > 0.9


def test_calibration_removes_each_candidates_mean_error(small, pools):
    torch.manual_seed(0)
    model = CropSam(SMALL).eval()
    pool = build_pool(pools / "small-train", 112, 4, 2, 0, 3)
    cases = list(pool_cases(pool, 4, 2))
    first = calibrate(model, cases, clicks=1)
    assert max(abs(value) for value in first) > 1e-3
    again = calibrate(model, cases, clicks=1)
    assert max(abs(value) for value in again) < 1e-5
