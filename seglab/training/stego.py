"""Training STEGO's head and its cluster probes on cached features of a frozen network.

Features of the same pixels are always the same, so they are made once; then only 1x1 convolutions are trained, which
takes minutes on a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from seglab.errors import TrainingError
from seglab.jobs import Reporter
from seglab.models.stego import (
    PRESETS,
    ClusterProbe,
    StegoHead,
    StegoPreset,
    correspondence_loss,
    sample_points,
)


@dataclass(frozen=True)
class StegoConfig:
    """How a head is trained; the defaults are the authors', but for the steps, which fit one scene."""

    preset: StegoPreset = PRESETS["potsdam"]
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
    head_rate: float = 5e-4
    probe_rate: float = 5e-3
    seed: int = 0


@dataclass(frozen=True)
class Stego:
    """A trained head with its cluster probes, the best one first."""

    head: StegoHead
    probes: tuple[ClusterProbe, ...]
    """By their loss, the lowest first."""
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
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        head = StegoHead(features.shape[1]).to(features.device)
        seen = _fit_head(reporter, features, head.train(), config)
    with torch.no_grad():
        codes = head.eval()(features)
    probes = []
    for i in range(config.seeds):
        probes.append(_fit_probe(codes, config, config.seed + i))
        reporter.update(config.steps + (i + 1) * config.probe_steps, _all_steps(config), message="gathering clusters")
    probes.sort(key=lambda probe: float(probe.loss(codes).detach()))
    return Stego(head, tuple(probes), {name: values.flatten().cpu().numpy() for name, values in seen.items()})


def _all_steps(config: StegoConfig) -> int:
    return config.steps + config.seeds * config.probe_steps


def _fit_head(reporter: Reporter, features: Tensor, head: StegoHead, config: StegoConfig) -> dict[str, Tensor]:
    """Train the head; returns the feature correspondences of the last step."""
    generator = torch.Generator().manual_seed(config.seed)
    near = nearest(features, config.neighbours)
    optimiser = torch.optim.Adam(head.parameters(), config.head_rate)
    seen: dict[str, Tensor] = {}
    for step in range(config.steps):
        picked = torch.randint(len(features), (min(config.batch, len(features)),), generator=generator)
        rank = torch.randint(near.shape[1], picked.shape, generator=generator)
        loss, seen = _loss(head, features[picked], features[near[picked, rank]], config, generator)
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


def _loss(
    head: StegoHead, images: Tensor, partners: Tensor, config: StegoConfig, generator: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a batch, and its feature correspondences by term."""
    preset, size = config.preset, (len(images), config.points, config.points, 2)
    codes, partner_codes = head(images), head(partners)
    first, second = (2 * torch.rand(size, generator=generator).to(images.device) - 1 for _ in range(2))

    def pair(other: Tensor, other_codes: Tensor, where: Tensor, shift: float) -> tuple[Tensor, Tensor]:
        features = (sample_points(images, first), sample_points(other, where))
        return correspondence_loss(features, (sample_points(codes, first), sample_points(other_codes, where)), shift)

    own, own_seen = pair(images, codes, first, preset.self_shift)
    near, near_seen = pair(partners, partner_codes, second, preset.near_shift)
    random, random_seen = [], own_seen
    for _ in range(config.others):
        order = derangement(len(images), generator)
        loss, random_seen = pair(images[order], codes[order], second, preset.random_shift)
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


def kmeans_clusters(features: Tensor, clusters: int, dims: int = 64, seed: int = 0, rounds: int = 50) -> Tensor:
    """The baseline: PCA of the features' pixels, then k-means (k-means++ start) by Lloyd's steps.

    Args:
        features: (N, width, h, w).
        clusters: how many.
        dims: principal components, at most.
        seed: of the start.
        rounds: Lloyd's steps, at most.

    Returns:
        (N, h, w) int64 cluster numbers.
    """
    count, width, rows, cols = features.shape
    pixels = features.permute(0, 2, 3, 1).reshape(-1, width).float()
    pixels = pixels - pixels.mean(0)
    _, vectors = torch.linalg.eigh(pixels.T @ pixels)
    pixels = pixels @ vectors[:, -min(dims, width) :]
    generator = torch.Generator().manual_seed(seed)
    centres = _spread(pixels, clusters, generator)
    owner = torch.zeros(len(pixels), dtype=torch.long)
    for _ in range(rounds):
        now = torch.cdist(pixels, centres).argmin(1)
        if torch.equal(now, owner):
            break
        owner = now
        sums = torch.zeros_like(centres).index_add_(0, owner, pixels)
        sizes = torch.bincount(owner, minlength=clusters)[:, None]
        centres = torch.where(sizes > 0, sums / sizes.clamp(min=1), centres)
    return owner.reshape(count, rows, cols)


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
    shifts: Sequence[tuple[str, float]] = (
        ("self", preset.self_shift),
        ("near", preset.near_shift),
        ("random", preset.random_shift),
    )
    above = {name: float((correspondences[name] > shift).mean()) for name, shift in shifts}
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
