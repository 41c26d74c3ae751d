"""Supervised training, on a network of one convolution."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from seglab.core import metrics
from seglab.errors import JobCancelled, TrainingError
from seglab.jobs import SilentReporter
from seglab.training.supervised.fit import fit, summary
from seglab.training.supervised.recipe import PRESETS, SupervisedConfig, rate_at
from tests.training.supervised.pair_sets import Discs, TinySegmenter

QUICK = SupervisedConfig(epochs=5, learning_rate=0.05)


class Counter(SilentReporter):
    """Keeps what is reported, and cancels at a given report."""

    def __init__(self, cancel_at: int | None = None) -> None:
        self.reports: list[tuple[float, float | None, str | None, dict[str, float]]] = []
        self._cancel_at = cancel_at

    def update(self, done, total=None, message=None, **values) -> None:
        self.reports.append((done, total, message, values))
        if len(self.reports) == self._cancel_at:
            raise JobCancelled("cancelled by the test")


def train(folder, config=QUICK, segmenter=None, dataset=None, reporter=None, **settings):
    segmenter, dataset = segmenter or TinySegmenter(), dataset or Discs()
    targets = {name: value for value, name in dataset.classes.items() if value}
    result = fit(reporter or SilentReporter(), segmenter, dataset, targets, config, folder, **settings)
    return segmenter, result


def test_the_published_preset_is_the_papers():
    published = PRESETS["published"]
    assert (published.epochs, published.batch, published.learning_rate, published.final_rate) == (50, 2, 2e-4, 1e-7)
    jitter = published.jitter
    assert (jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue) == (0.4, 0.4, 0.4, 0.1)
    assert (published.train_share, published.seed, published.prompted_weight) == (0.7, 42, 0)


def test_the_rate_is_torchs_cosine_annealing():
    config = SupervisedConfig()
    optimiser = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.epochs, config.final_rate)
    for epoch in range(config.epochs):
        assert rate_at(epoch, config) == pytest.approx(schedule.get_last_lr()[0], rel=1e-6)
        optimiser.step()
        schedule.step()
    assert rate_at(config.epochs, config) == pytest.approx(config.final_rate)


def test_it_learns_and_keeps_the_epoch_with_the_lowest_validation_loss(tmp_path):
    segmenter, result = train(tmp_path, replace(QUICK, epochs=8))
    assert [entry["epoch"] for entry in result.history] == list(range(1, 9))
    assert result.best["loss"] == min(entry["loss"] for entry in result.history)
    assert result.best["loss"] < result.history[0]["loss"] / 2
    assert result.best["metrics"]["mIoU"] > result.history[0]["metrics"]["mIoU"] + 0.3
    assert result.best["metrics"]["classes"]["disc"]["IoU"] > 0.8
    assert not segmenter.module.training


class Worsening(TinySegmenter):
    """Learns, but is off by more at each validation."""

    def __init__(self) -> None:
        super().__init__()
        self.off = 0.0

    def logits(self, features):
        if self.module.training:
            return super().logits(features)
        self.off += 5.0
        return super().logits(features) + self.off


def test_the_segmenter_ends_with_the_best_weights_not_the_last(tmp_path):
    segmenter, result = train(tmp_path, replace(QUICK, epochs=3), Worsening())
    first, _ = train(tmp_path / "one", replace(QUICK, epochs=1))
    assert result.best["epoch"] == 1
    for name, value in first.state().items():
        assert torch.equal(value, segmenter.state()[name])


def test_a_cancelled_run_resumes_to_the_same_weights(tmp_path):
    whole, expected = train(tmp_path / "whole")
    per_epoch = 3  # two training batches and one of validation
    with pytest.raises(JobCancelled):
        train(tmp_path / "cut", reporter=Counter(cancel_at=2 * per_epoch + 2))
    assert sorted(p.name for p in (tmp_path / "cut").iterdir()) == ["best.pt", "last.pt"]
    resumed, result = train(tmp_path / "cut", segmenter=TinySegmenter(), resume=True)
    assert resumed.begun == 0
    for entry, other in zip(result.history, expected.history, strict=True):
        assert entry | {"seconds": 0} == other | {"seconds": 0}
    for name, value in whole.state().items():
        assert torch.equal(value, resumed.state()[name])


def test_without_resume_a_run_starts_anew(tmp_path):
    _, first = train(tmp_path, replace(QUICK, epochs=2))
    reporter = Counter()
    _, again = train(tmp_path, replace(QUICK, epochs=2), reporter=reporter)
    assert len(reporter.reports) == 6
    assert [e["loss"] for e in again.history] == [e["loss"] for e in first.history]


def test_resume_refuses_another_runs_checkpoint(tmp_path):
    train(tmp_path, replace(QUICK, epochs=1))
    with pytest.raises(TrainingError, match="config"):
        train(tmp_path, replace(QUICK, epochs=2), resume=True)
    with pytest.raises(TrainingError, match="pairs: 6 instead of 8"):
        train(tmp_path, replace(QUICK, epochs=1), dataset=Discs(8), resume=True)
    (tmp_path / "last.pt").write_bytes(b"cut off")
    with pytest.raises(TrainingError, match="start anew"):
        train(tmp_path, replace(QUICK, epochs=1), resume=True)


def test_progress_counts_pairs_and_names_the_epoch(tmp_path):
    reporter = Counter()
    train(tmp_path, replace(QUICK, epochs=2), reporter=reporter)
    assert [done for done, *_ in reporter.reports] == [2, 4, 6, 8, 10, 12]
    assert {total for _, total, *_ in reporter.reports} == {12}
    assert reporter.reports[3][2] == "epoch 2 of 2: training"
    assert all(math.isfinite(values["loss"]) for *_, values in reporter.reports)


def test_several_classes_and_extra_bands(tmp_path):
    segmenter = TinySegmenter(classes=2, bands=4)
    _, result = train(tmp_path, replace(QUICK, epochs=16), segmenter, Discs(8, several=True), extra_bands=True)
    assert set(result.best["metrics"]["classes"]) == {"background", "disc", "square"}
    assert result.best["metrics"]["mIoU"] > 0.6
    assert result.scaling is not None


def test_the_callers_chance_is_left_alone(tmp_path):
    segmenter = TinySegmenter()
    before = torch.random.get_rng_state()
    train(tmp_path, replace(QUICK, epochs=1), segmenter)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"epochs": 0}, "no training"), ({"train_share": 1.0}, "no training"), ({"learning_rate": 0.0}, "above 0")],
)
def test_settings_that_make_no_training_are_refused(tmp_path, changes, message):
    with pytest.raises(TrainingError, match=message):
        train(tmp_path, replace(QUICK, **changes))


def test_a_network_that_needs_two_images_never_gets_one(tmp_path):
    class Demanding(TinySegmenter):
        smallest_batch = 2

        def features(self, batch):
            assert len(batch.rgb) > 1 or not self.module.training
            return super().features(batch)

    train(tmp_path, replace(QUICK, epochs=1), Demanding(), Discs(7))  # five to train on
    with pytest.raises(TrainingError, match="at least 2"):
        train(tmp_path, replace(QUICK, batch=1), Demanding())
    with pytest.raises(TrainingError, match="too few"):
        train(tmp_path, QUICK, Demanding(), Discs(2))


def test_short_memory_is_said_with_a_remedy(tmp_path):
    class Greedy(TinySegmenter):
        def features(self, batch):
            raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(TrainingError, match="lower the batch"):
        train(tmp_path, segmenter=Greedy())


def test_the_summary_is_taken_from_one_confusion_table():
    target = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1])
    found = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 0])
    measured = summary(metrics.confusion(found, target, 2), ["slide"])
    assert measured["OA"] == 0.8
    assert measured["classes"]["slide"] == {"precision": 0.75, "recall": 0.75, "F1": 0.75, "IoU": 0.6}
    assert measured["mIoU"] == pytest.approx((5 / 7 + 3 / 5) / 2, abs=1e-6)
    assert measured["FWIoU"] == pytest.approx(0.6 * 5 / 7 + 0.4 * 3 / 5, abs=1e-6)


def test_a_measure_with_nothing_to_count_is_none():
    measured = summary(metrics.confusion(np.zeros(4, int), np.zeros(4, int), 2), ["slide"])
    assert measured["classes"]["slide"]["recall"] is None
    assert measured["mIoU"] == 1.0
