"""STEGO: its loss by hand, and clusters that come back where there are some."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seglab.errors import JobCancelled, TrainingError
from seglab.evaluation.clusters import count_matrix, match_clusters
from seglab.jobs import SilentReporter
from seglab.models.stego import PRESETS, ClusterProbe, StegoHead, correspondence_loss, sample_points
from seglab.training.stego import (
    DRAWN_TOGETHER,
    StegoConfig,
    advice,
    calibrated,
    derangement,
    kmeans_clusters,
    nearest,
    principal_axes,
    train_stego,
)

CLASSES, WIDTH, SIDE = 3, 16, 6


def windows(count: int = 24, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (count, WIDTH, SIDE, SIDE) of windows of two halves, each of one of CLASSES kinds, and the kinds."""
    generator = torch.Generator().manual_seed(seed)
    centres = 2 * torch.nn.functional.normalize(torch.randn(CLASSES, WIDTH, generator=generator), dim=1)
    kinds = torch.randint(CLASSES, (count, 2), generator=generator)
    truth = kinds[:, None, :, None].expand(count, SIDE, 2, SIDE // 2).reshape(count, SIDE, SIDE)
    noise = 0.3 * torch.randn(count, SIDE, SIDE, WIDTH, generator=generator)
    return (centres[truth] + noise).permute(0, 3, 1, 2).contiguous(), truth


def test_the_loss_of_two_points() -> None:
    """Features (1, 0), (0, 1) against the same; codes all alike: S = 1, F and F' = identity."""
    features = torch.eye(2)[None, :, None, :]  # (1, 2 channels, 1, 2 points)
    codes = torch.ones(1, 4, 1, 2)
    loss, centred = correspondence_loss((features, features), (codes, codes), 0.3)
    assert torch.allclose(centred.flatten(), torch.tensor([1.0, 0.0, 0.0, 1.0]))
    assert float(loss) == pytest.approx(-(0.5 - 0.3))
    apart = codes.clone()
    apart[..., 1] = -1  # S = 1 for a point with itself, and -1, which does not count, for the others
    loss, _ = correspondence_loss((features, features), (apart, apart), 0.3)
    assert float(loss) == pytest.approx(-(2 * 0.7) / 4)


def test_points_are_sampled_where_they_are() -> None:
    maps = torch.arange(9.0).reshape(1, 1, 3, 3)
    corners = torch.tensor([[[[-1.0, -1.0], [1.0, -1.0]], [[0.0, 0.0], [0.5, 1.0]]]])
    assert sample_points(maps, corners).flatten().tolist() == [0, 2, 4, 7.5]


def test_what_is_alike_is_near_and_nothing_stays_in_its_place() -> None:
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1], [0.1, 0.9]])[..., None, None]
    assert nearest(features, 1).flatten().tolist() == [2, 3, 0, 1]
    for seed in range(20):
        order = derangement(5, torch.Generator().manual_seed(seed))
        assert sorted(order.tolist()) == list(range(5)) and (order != torch.arange(5)).all()


def test_clusters_come_back_and_the_same_seed_gives_the_same() -> None:
    features, truth = windows()
    config = StegoConfig(clusters=CLASSES, seeds=3, steps=80, probe_steps=40, batch=8, points=4, others=2)
    found = train_stego(SilentReporter(), features, config)
    clusters = found.probabilities(features).argmax(1).numpy()
    score = match_clusters(count_matrix(clusters, truth.numpy(), (CLASSES, CLASSES)))
    assert score.accuracy > 0.95
    again = train_stego(SilentReporter(), features, config)
    assert torch.equal(found.probabilities(features), again.probabilities(features))
    assert set(found.correspondences) == {"self", "near", "random"}


def test_the_baseline_finds_them_too() -> None:
    features, truth = windows()
    clusters = kmeans_clusters(features, CLASSES, dims=8).numpy()
    assert match_clusters(count_matrix(clusters, truth.numpy(), (CLASSES, CLASSES))).accuracy > 0.95


def test_a_calibrated_preset_draws_the_same_share_together_whatever_features_have_in_common() -> None:
    features, _ = windows()
    config = StegoConfig(batch=8, points=4)
    alone = calibrated(features, config)
    shifted = calibrated(features + 5, config)  # the cosine of any two is then near 1
    assert alone.shifts == pytest.approx(shifted.shifts, abs=1e-3) and alone.centred
    seen = train_stego(SilentReporter(), features + 5, StegoConfig(clusters=2, seeds=1, steps=3, batch=8, points=4))
    above = {name: float((v > seen.preset.shifts[name]).mean()) for name, v in seen.correspondences.items()}
    assert above == pytest.approx(dict(DRAWN_TOGETHER), abs=0.2)  # of one batch


def test_codes_begin_as_principal_components() -> None:
    features, _ = windows()
    pixels = features.permute(0, 2, 3, 1).reshape(-1, WIDTH)
    centre = pixels.mean(0)
    axes = principal_axes(pixels - centre, 4)
    assert torch.allclose(axes.T @ axes, torch.eye(4), atol=1e-5)
    head = StegoHead(WIDTH, 6, centre)
    head.begin_with(axes)
    codes = head.eval()(features).permute(0, 2, 3, 1).reshape(-1, 6)
    assert torch.allclose(codes[:, :4], (pixels - centre) @ axes, atol=1e-4) and not codes[:, 4:].any()


def test_no_gradient_of_a_probe_reaches_the_head() -> None:
    head, probe = StegoHead(WIDTH), ClusterProbe(4)
    probe.loss(head(windows(2)[0])).backward()
    assert probe.prototypes.grad is not None and all(p.grad is None for p in head.parameters())


def test_too_little_to_compare_and_a_stop() -> None:
    features, _ = windows(2)
    with pytest.raises(TrainingError, match="two of them"):
        train_stego(SilentReporter(), features[:1], StegoConfig())

    class Stops(SilentReporter):
        def update(self, done: float, *args: object, **values: object) -> None:
            if done == 2:
                raise JobCancelled("enough")

    with pytest.raises(JobCancelled):
        train_stego(Stops(), features, StegoConfig(clusters=2, steps=50, points=3))


def test_advice_when_everything_merges_or_splits() -> None:
    low, high = np.full(10, -0.5, dtype=np.float32), np.full(10, 0.9, dtype=np.float32)
    preset = PRESETS["potsdam"]
    assert "merges" in advice({"self": high, "near": high, "random": high}, preset)
    assert "splits" in advice({"self": high, "near": low, "random": low}, preset)
    assert "as they should" in advice({"self": high, "near": high, "random": low}, preset)
