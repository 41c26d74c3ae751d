"""Training STEGO's head and its cluster probes on cached features of a frozen network.

Features of the same pixels are always the same, so they are made once; then only 1x1 convolutions are trained, which
takes minutes on a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from seglab.errors import TrainingError
from seglab.jobs import Reporter
from seglab.models.stego import (
    CODE,
    PRESETS,
    ClusterProbe,
    StegoHead,
    StegoPreset,
    correspondence_loss,
    feature_correspondence,
    sample_points,
)

HEAD_RATE, GENTLE_RATE = 5e-4, 5e-5
"""The authors', and that of a head that has something to lose: at the authors' it does in 60 steps (measured)."""
CALIBRATED_ON = 4
"""Batches that a preset is calibrated on."""
DRAWN_TOGETHER = MappingProxyType({"self": 0.5, "near": 0.5, "random": 0.2})
"""Share of the pairs of points of each term that a calibrated preset draws together."""


@dataclass(frozen=True)
class StegoConfig:
    """How a head is trained; the defaults are the authors', but for the preset and the steps, which fit one scene."""

    preset: StegoPreset | None = None
    """None: `calibrated` on the features."""
    code: int = CODE
    """Channels of a code."""
    clusters: int = 6
    seeds: int = 5
    """Cluster probes, each begun elsewhere: which clusters come out varies from seed to seed."""
    steps: int = 1500
    probe_steps: int = 300
    """Of each probe, after the head: no gradient goes from one to the other, so that this is the published objective on
    codes that no longer change."""
    batch: int = 16
    points: int = 11
    """Along each side of the grid of sampled points."""
    neighbours: int = 7
    """A partner is drawn from so many images that are most alike."""
    others: int = 5
    """Random partners of each image."""
    head_rate: float | None = None
    """None: HEAD_RATE, or GENTLE_RATE of a head that begins with principal components."""
    probe_rate: float = 5e-3
    seed: int = 0


@dataclass(frozen=True)
class Stego:
    """A trained head with its cluster probes, the best one first."""

    head: StegoHead
    probes: tuple[ClusterProbe, ...]
    """By their loss, the lowest first."""
    preset: StegoPreset
    """That it was trained by."""
    correspondences: dict[str, np.ndarray] = field(default_factory=dict)
    """Sampled feature correspondences after the last step by term ("self", "near", "random"), float32: beside the
    preset's shifts they tell whether everything is drawn together or pushed apart."""

    @torch.no_grad()
    def codes(self, features: Tensor) -> Tensor:
        """(B, width, h, w) to (B, code, h, w); the image and its mirror image are averaged where both are given."""
        return self.head.eval()(features)

    @torch.no_grad()
    def probabilities(self, features: Tensor, probe: int = 0) -> Tensor:
        """(B, width, h, w) to (B, clusters, h, w), softmax of twice the cosine."""
        return (2 * self.probes[probe].similarity(self.codes(features))).softmax(1)


def train_stego(reporter: Reporter, features: Tensor, config: StegoConfig) -> Stego:
    """Train a head on the windows of a scene.

    Args:
        reporter: told the steps done and the loss; may cancel.
        features: (N, width, h, w) of a frozen network, N at least 2.
        config: how.

    Raises:
        TrainingError: fewer than two windows, or fewer than two clusters.
    """
    if len(features) < 2 or config.clusters < 2:
        raise TrainingError("STEGO compares windows: it needs two of them at least, and two clusters")
    preset = calibrated(features, config) if config.preset is None else config.preset
    centre = features.mean((0, 2, 3)) if preset.centred else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        head = StegoHead(features.shape[1], config.code, centre).to(features.device)
        if centre is not None:
            head.begin_with(principal_axes(_pixels(features) - centre, min(config.code, len(centre))))
        seen = _fit_head(reporter, features, head.train(), replace(config, preset=preset))
    with torch.no_grad():
        codes = head.eval()(features)
    probes = []
    for i in range(config.seeds):
        probes.append(_fit_probe(codes, config, config.seed + i))
        reporter.update(config.steps + (i + 1) * config.probe_steps, _all_steps(config), message="gathering clusters")
    probes.sort(key=lambda probe: float(probe.loss(codes).detach()))
    return Stego(head, tuple(probes), preset, {name: values.flatten().cpu().numpy() for name, values in seen.items()})


def _all_steps(config: StegoConfig) -> int:
    return config.steps + config.seeds * config.probe_steps


def _fit_head(reporter: Reporter, features: Tensor, head: StegoHead, config: StegoConfig) -> dict[str, Tensor]:
    """Train the head; returns the feature correspondences of the last step."""
    generator = torch.Generator().manual_seed(config.seed)
    near = nearest(features - head.centre[:, None, None], config.neighbours)
    assert config.preset is not None
    rate = config.head_rate or (GENTLE_RATE if config.preset.centred else HEAD_RATE)
    optimiser = torch.optim.Adam(head.parameters(), rate)
    seen: dict[str, Tensor] = {}
    for step in range(config.steps):
        loss, seen = _loss(head, *_batch(features, near, config, generator), config, generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found = float(loss.detach())
        reporter.update(step + 1, _all_steps(config), message="finding what looks alike", loss=found)
    return seen


def _fit_probe(codes: Tensor, config: StegoConfig, seed: int) -> ClusterProbe:
    """A cluster probe that begins at codes far from each other: a prototype that no code is nearest to learns nothing.

    Args:
        codes: (N, code, h, w).
        config: how.
        seed: of where it begins, and of the batches.
    """
    generator = torch.Generator().manual_seed(seed)
    probe = ClusterProbe(config.clusters, codes.shape[1]).to(codes.device)
    pixels = F.normalize(codes.permute(0, 2, 3, 1).reshape(-1, codes.shape[1]), dim=1)
    with torch.no_grad():
        probe.prototypes.copy_(_spread(pixels, config.clusters, generator))
    optimiser = torch.optim.Adam(probe.parameters(), config.probe_rate)
    for _ in range(config.probe_steps):
        picked = torch.randint(len(codes), (min(config.batch, len(codes)),), generator=generator)
        loss = probe.loss(codes[picked])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return probe


def calibrated(features: Tensor, config: StegoConfig) -> StegoPreset:
    """A preset whose shifts lie where the correspondences of these features do.

    The published shifts belong to DINO's features; on others everything is drawn together or pushed apart. So features
    are centred, and of the pairs of each term a share is drawn together that is the same whatever the features are.

    Args:
        features: (N, width, h, w).
        config: whose batches and points are drawn.
    """
    centred = features - features.mean((0, 2, 3))[:, None, None]
    generator = torch.Generator().manual_seed(config.seed)
    near = nearest(centred, config.neighbours)
    found: dict[str, list[Tensor]] = {name: [] for name in DRAWN_TOGETHER}
    for _ in range(CALIBRATED_ON):
        here, there, alike = _points(*_batch(centred, near, config, generator), config, generator)
        order = derangement(len(here), generator)
        for name, other in (("self", here), ("near", alike), ("random", there[order])):
            found[name].append(feature_correspondence(here, other).flatten())
    own, alike_shift, random = (
        float(np.quantile(torch.cat(found[name]).numpy(), 1 - share)) for name, share in DRAWN_TOGETHER.items()
    )
    return replace(PRESETS["potsdam"], self_shift=own, near_shift=alike_shift, random_shift=random, centred=True)


def _batch(features: Tensor, near: Tensor, config: StegoConfig, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Some images, and of each one that is like it."""
    picked = torch.randint(len(features), (min(config.batch, len(features)),), generator=generator)
    rank = torch.randint(near.shape[1], picked.shape, generator=generator)
    return features[picked], features[near[picked, rank]]


def _points(
    images: Tensor, partners: Tensor, config: StegoConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Features at points drawn by chance, (B, width, p, p): of the images, of them elsewhere, and of their partners."""
    size = (len(images), config.points, config.points, 2)
    first, second = (2 * torch.rand(size, generator=generator).to(images.device) - 1 for _ in range(2))
    return sample_points(images, first), sample_points(images, second), sample_points(partners, second)


def _loss(
    head: StegoHead, images: Tensor, partners: Tensor, config: StegoConfig, generator: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a batch, and its feature correspondences by term.

    The head sees the points alone: its convolutions are 1x1, and most of a map is not compared.
    """
    preset = config.preset
    assert preset is not None
    sampled = _points(images, partners, config, generator)
    here, there, alike = (points - head.centre[:, None, None] for points in sampled)
    code, code_there, code_alike = (head(points) for points in sampled)
    own, own_seen = correspondence_loss((here, here), (code, code), preset.self_shift)
    near, near_seen = correspondence_loss((here, alike), (code, code_alike), preset.near_shift)
    random, random_seen = [], own_seen
    for _ in range(config.others):
        order = derangement(len(images), generator)
        loss, random_seen = correspondence_loss((here, there[order]), (code, code_there[order]), preset.random_shift)
        random.append(loss)
    total = preset.self_weight * own + preset.near_weight * near + preset.random_weight * torch.stack(random).mean()
    return total, {"self": own_seen, "near": near_seen, "random": random_seen}


def derangement(count: int, generator: torch.Generator) -> Tensor:
    """(count,) a random order in which nothing stays where it was; of one thing, itself."""
    order = torch.randperm(count, generator=generator)
    found = torch.empty_like(order)
    found[order] = order.roll(1)
    return found


def nearest(features: Tensor, count: int) -> Tensor:
    """(N, count or N - 1) the images most like each one by the cosine of their mean features, the nearest first.

    Args:
        features: (N, width, h, w).
        count: how many, at most.
    """
    means = F.normalize(features.mean((2, 3)), dim=1)
    alike = means @ means.T
    alike.fill_diagonal_(-2)
    return alike.topk(min(count, len(means) - 1), dim=1).indices.cpu()


def kmeans_clusters(
    features: Tensor, clusters: int, dims: int = 64, seed: int = 0, rounds: int = 50, starts: int = 1
) -> Tensor:
    """The baseline: PCA of the features' pixels, then k-means (k-means++ start) by Lloyd's steps.

    Args:
        features: (N, width, h, w).
        clusters: how many.
        dims: principal components, at most.
        seed: of the start.
        rounds: Lloyd's steps, at most.
        starts: of which the one counts that ends nearest to its centres.

    Returns:
        (N, h, w) int64 cluster numbers.
    """
    count, width, rows, cols = features.shape
    pixels = _pixels(features)
    pixels = pixels - pixels.mean(0)
    pixels = pixels @ principal_axes(pixels, min(dims, width))
    generator = torch.Generator().manual_seed(seed)
    found = [_lloyd(pixels, _spread(pixels, clusters, generator), rounds) for _ in range(starts)]
    return min(found, key=lambda one: one[1])[0].reshape(count, rows, cols)


def _pixels(features: Tensor) -> Tensor:
    """(N, width, h, w) to (N h w, width)."""
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1]).float()


def principal_axes(pixels: Tensor, count: int) -> Tensor:
    """(width, count) orthonormal axes along which pixels (N, width), less their mean, vary most; the first one last."""
    _, vectors = torch.linalg.eigh(pixels.T @ pixels)
    return vectors[:, -count:]


def _lloyd(pixels: Tensor, centres: Tensor, rounds: int) -> tuple[Tensor, float]:
    """Lloyd's k-means: the centre (N,) that owns each pixel, and the mean squared distance to it."""
    owner, clusters = torch.full((len(pixels),), -1), len(centres)
    distance = torch.zeros(1)
    for _ in range(rounds):
        distance, now = torch.cdist(pixels, centres).min(1)
        if torch.equal(now, owner):
            break
        owner = now
        sums = torch.zeros_like(centres).index_add_(0, owner, pixels)
        sizes = torch.bincount(owner, minlength=clusters)[:, None]
        centres = torch.where(sizes > 0, sums / sizes.clamp(min=1), centres)
    return owner, float(distance.square().mean())


def _spread(pixels: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """(count, d) pixels far from each other: k-means++ (Arthur and Vassilvitskii 2007)."""
    chosen = [pixels[torch.randint(len(pixels), (1,), generator=generator)]]
    nearest_yet = torch.full((len(pixels),), float("inf"))
    for _ in range(count - 1):
        nearest_yet = torch.minimum(nearest_yet, torch.cdist(pixels, chosen[-1])[:, 0] ** 2)
        weights = nearest_yet if nearest_yet.sum() > 0 else torch.ones_like(nearest_yet)
        chosen.append(pixels[torch.multinomial(weights, 1, generator=generator)])
    return torch.cat(chosen)


def advice(correspondences: dict[str, np.ndarray], preset: StegoPreset) -> str:
    """What the three correspondences say of a preset, for a person.

    Args:
        correspondences: see `Stego.correspondences`.
        preset: whose shifts they are beside.
    """
    above = {name: float((correspondences[name] > shift).mean()) for name, shift in preset.shifts.items()}
    if above["random"] > 0.5:
        return (
            f"{above['random']:.0%} of the pairs from unlike windows are drawn together: everything merges. "
            "Raise the random shift, or ask for more clusters."
        )
    if above["near"] < 0.1:
        return (
            f"only {above['near']:.0%} of the pairs from like windows are drawn together: everything splits. "
            "Lower the near and self shifts, or ask for fewer clusters."
        )
    return "like windows are drawn together and unlike ones pushed apart, as they should be"
