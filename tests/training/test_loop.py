"""A round learns what was labelled, says nothing about the rest, and survives a device that is too small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
import torch
from torch import Tensor

from seglab.core.masks import rasterize
from seglab.core.metrics import iou
from seglab.core.prompts import Point, Prompts
from seglab.core.raster import Scene
from seglab.core.windows import lattice_window
from seglab.encoding.encoder import WindowEncoder
from seglab.errors import JobCancelled, TrainingError
from seglab.jobs import SilentReporter
from seglab.models.registry import load_model
from seglab.models.restore import restore_model
from seglab.models.sam import AdaptedSam
from seglab.models.spec import ModelOrigin, SamSpec
from seglab.store.cache import ArrayCache
from seglab.training import loop
from seglab.training.job import RoundConfig, TrainingChip, TrainingJob
from seglab.training.loop import train
from seglab.training.plan import Labels, TrainingObject
from seglab.training.restore import restore_preview
from seglab.training.samples import build_chips
from seglab.training.step import batch_loss
from tests.conftest import LAKES, lake_mask

SMALL = SamSpec("small", 64, 8, 32, 3, 2, (2,), attention_window=4, prompt_dim=32, decoder_mlp=32)
SHORT = RoundConfig(steps=3, batch=2, preview_steps=2)
SHAPE = (384, 512)


class Recorder(SilentReporter):
    """Keeps what it is told."""

    def __init__(self, cancel_at: int | None = None) -> None:
        self.seen: list[tuple[float, str, dict[str, float]]] = []
        self._cancel_at = cancel_at

    def update(self, done: float, total: float | None = None, message: str | None = None, **values: float) -> None:
        self.seen.append((done, message or "", values))
        if len(self.seen) == self._cancel_at:
            raise JobCancelled("stop")


@pytest.fixture(scope="module")
def base() -> AdaptedSam:
    torch.manual_seed(0)
    return AdaptedSam(SMALL, adapt_from=2).requires_grad_(False).eval()


@pytest.fixture
def cache() -> ArrayCache:
    return ArrayCache(2**26)


@pytest.fixture(scope="module")
def job() -> TrainingJob:
    """Squares on noise."""
    rng = np.random.default_rng(0)
    chips = []
    for n in range(4):
        rgb = rng.integers(90, 160, (64, 64, 3), dtype=np.uint8)
        mask = np.zeros((32, 32), dtype=bool)
        mask[5 + n : 17 + n, 8:20] = True
        rgb[mask.repeat(2, 0).repeat(2, 1)] //= 3
        points = np.array([[28.0, 2 * n + 22.0]], dtype=np.float32)
        recorded = (points, np.array([1]), None) if n % 2 else None
        target = np.where(mask, 1, np.where(np.arange(32) < 4, -1, 0))
        chips.append(TrainingChip(f"chip {n}", rgb, None, mask[None], (recorded,), target, "all"))
    prompts = rng.normal(size=(1, 32)).astype(np.float32)
    origin = ModelOrigin("small", None)
    return TrainingJob(origin, "", 2, "atl_a", 0, {}, ("square",), prompts, tuple(chips), (), SHORT, None, 2**26, "cpu")


def test_five_lakes_do_not_make_an_all_water_map(lakes_path: Path) -> None:
    base, embeddings, prefixes = load_model("tiny", device="cpu"), ArrayCache(2**28), ArrayCache(2**28)
    config = RoundConfig(steps=30, preview_steps=0)
    windows = [lattice_window(col, row, 224, 1, SHAPE) for col, row, _ in LAKES]
    discs = [shapely.Point(col, row).buffer(radius) for col, row, radius in LAKES]
    objects = tuple(
        TrainingObject(0, disc, Prompts((Point(disc.centroid.x, disc.centroid.y),)), window)
        for disc, window in zip(discs, windows, strict=True)
    )
    with Scene.open(lakes_path) as scene:
        encoder = WindowEncoder(scene, base, embeddings, prefixes)
        chips = build_chips(SilentReporter(), Labels(("water",), objects), scene, encoder, 20, config).chips
        lake = torch.from_numpy(rasterize(discs[0], windows[0]))
        prompts = base.exemplar(encoder.embedding(windows[0])[0], lake).numpy()[None]
        job = TrainingJob(
            base.origin, "", base.adapt_from, "atl_a", 0, {}, ("water",), prompts, chips, (), config, None, 0, "cpu"
        )
        trained = train(SilentReporter(), base.branch_off(), job, prefixes)
        model = restore_model(base, "atl_a", trained.tensors, "round 1")
        after = WindowEncoder(scene, model, embeddings, prefixes)
        mapped = np.zeros(SHAPE, dtype=bool)
        for col, row in ((112, 112), (336, 112), (400, 112), (112, 272), (336, 272), (400, 272)):
            window = lattice_window(col, row, 224, 1, SHAPE)
            with torch.inference_mode():
                logits = model.decode_classes(after.embedding(window))
            mapped[window.slices] = torch.nn.functional.interpolate(logits, scale_factor=2)[0, 0].numpy() > 0
    truth = lake_mask(SHAPE)
    assert mapped[~truth].mean() < 0.1
    assert iou(mapped, truth) > 0.7
    assert np.mean(trained.losses[-5:]) < np.mean(trained.losses[:5])


def test_the_same_seed_gives_the_same_round(base: AdaptedSam, cache: ArrayCache, job: TrainingJob) -> None:
    state = torch.random.get_rng_state()
    one, same = (train(SilentReporter(), base.branch_off(), job, cache) for _ in range(2))
    other = replace(job, config=replace(SHORT, seed=1))
    differs = train(SilentReporter(), base.branch_off(), other, cache)
    assert one.losses == same.losses != differs.losses
    assert all((one.tensors[name] == same.tensors[name]).all() for name in one.tensors)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_training_leaves_the_base_as_it_was(base: AdaptedSam, cache: ArrayCache, job: TrainingJob) -> None:
    before = {name: t.clone() for name, t in base.state_dict().items()}
    train(SilentReporter(), base.branch_off(), job, cache)
    after = base.state_dict()
    assert base.adapter is None and before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_preview_comes_first_and_can_be_put_in_use(base: AdaptedSam, cache: ArrayCache, job: TrainingJob) -> None:
    reporter, told = Recorder(), []
    model = base.branch_off()

    def on_preview(tensors: dict[str, np.ndarray]) -> None:
        told.append((len(reporter.seen), tensors))

    trained = train(reporter, model, job, cache, on_preview)
    assert [done for done, _, _ in reporter.seen] == [0, 0, 1, 2, 3]
    ((when, tensors),) = told
    assert when == 2
    shown = restore_preview(base, tensors)
    image = torch.ones(1, 3, 64, 64)
    with torch.inference_mode():
        assert shown.prefix_hash() == base.prefix_hash()
        assert not torch.equal(shown.encode(image), base.encode(image))
    assert {name for name in trained.tensors if "second" in name} == set()


def test_a_step_in_parts_is_the_same_step(base: AdaptedSam, cache: ArrayCache, job: TrainingJob) -> None:
    """Without gradients in between the parts see the same weights, so their losses add up."""
    config = replace(SHORT, recorded_share=1.0, objects_per_step=1)
    chips = [c for c in job.chips if len(c.masks) == 1][:3]
    model = base.branch_off()
    model.class_prompts = torch.nn.Parameter(torch.from_numpy(job.class_prompts))

    def loss(drawn: Sequence[TrainingChip], rng: np.random.Generator) -> Tensor:
        with torch.no_grad():
            return batch_loss(model, loop.embed_to_train(model, cache, drawn), drawn, config, rng)[0]

    whole = loss(chips, np.random.default_rng(0))
    rng = np.random.default_rng(0)
    parts = [loss([chip], rng) for chip in chips]
    assert len(chips) == 3 and whole.item() == pytest.approx(sum(parts).item(), rel=0.05)


def test_too_little_memory_halves_the_batch_and_says_so(
    base: AdaptedSam, cache: ArrayCache, job: TrainingJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed, sizes = loop.embed_to_train, []

    def cramped(model: AdaptedSam, prefixes: ArrayCache, chips: Sequence[TrainingChip]) -> Tensor:
        sizes.append(len(chips))
        if len(chips) > 2:
            raise torch.cuda.OutOfMemoryError("no room")
        return embed(model, prefixes, chips)

    monkeypatch.setattr(loop, "embed_to_train", cramped)
    config = replace(SHORT, batch=5, preview_steps=0, steps=2)
    trained = train(SilentReporter(), base.branch_off(), replace(job, config=config), cache)
    assert sizes == [5, 3, 2, 2, 1, 2, 2, 1]
    assert trained.notes == ("out of memory on cpu: batch halved to 3", "out of memory on cpu: batch halved to 2")
    assert len(trained.losses) == 2 and np.isfinite(trained.losses).all()


def test_no_memory_at_all_is_said(
    base: AdaptedSam, cache: ArrayCache, job: TrainingJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Tensor:
        raise torch.cuda.OutOfMemoryError("no room")

    monkeypatch.setattr(loop, "embed_to_train", full)
    with pytest.raises(TrainingError, match=r"too little memory .* device='cpu'"):
        train(SilentReporter(), base.branch_off(), replace(job, config=RoundConfig(steps=2)), cache)


def test_cancelling_stops_at_the_next_step(base: AdaptedSam, cache: ArrayCache, job: TrainingJob) -> None:
    reporter = Recorder(cancel_at=3)
    with pytest.raises(JobCancelled):
        train(reporter, base.branch_off(), job, cache)
    assert len(reporter.seen) == 3


@pytest.mark.parametrize("changes", [{"steps": 0}, {"batch": 0}, {"bce": "hinge"}])
def test_a_recipe_that_is_none_is_refused(base: AdaptedSam, job: TrainingJob, changes: dict[str, object]) -> None:
    with pytest.raises(TrainingError):
        train(SilentReporter(), base.branch_off(), replace(job, config=replace(SHORT, **changes)), ArrayCache(2**20))


def test_nothing_to_train_on_is_refused(base: AdaptedSam, job: TrainingJob) -> None:
    with pytest.raises(TrainingError, match="label something"):
        train(SilentReporter(), base.branch_off(), replace(job, chips=()), ArrayCache(2**20))


def test_focal_rounds_and_rounds_from_a_parent_learn_too(base: AdaptedSam, cache: ArrayCache, job: TrainingJob) -> None:
    focal = replace(job, config=replace(SHORT, bce="focal", preview_steps=0))
    first = train(SilentReporter(), base.branch_off(), focal, cache)
    parent = restore_model(base, "atl_a", first.tensors, "round 1")
    second = train(SilentReporter(), parent.branch_off(), replace(job, config=SHORT), cache)
    assert second.tensors.keys() == first.tensors.keys()
    moved = [name for name in first.tensors if not np.array_equal(first.tensors[name], second.tensors[name])]
    assert any(name.startswith("adapter.") for name in moved)
    assert not any(np.isnan(values).any() for values in second.tensors.values())
