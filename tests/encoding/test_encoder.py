"""A cached embedding equals a fresh one, always."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from seglab.core.raster import Scene
from seglab.core.windows import Window
from seglab.encoding.encoder import WindowEncoder
from seglab.models.adapters.atl import AtlAdapter
from seglab.models.sam import AdaptedSam
from seglab.models.spec import SamSpec
from seglab.store.cache import ArrayCache

SPEC = SamSpec("small", 64, 8, 32, 4, 2, (1, 3), 4, 32, 64)
WINDOWS = [Window(0, 0, 64, 64), Window(32, 64, 64, 64), Window(0, 0, 128, 128, 2), Window(460, 340, 64, 64)]


@pytest.fixture
def scene(lakes_path: Path):
    with Scene.open(lakes_path) as scene:
        yield scene


def adapted(model: AdaptedSam, seed: int) -> AdaptedSam:
    torch.manual_seed(seed)
    branch = model.branch_off()
    branch.attach(AtlAdapter(SPEC.width, SPEC.depth, SPEC.patch, adapt_from=2, bottleneck=4))
    return branch.eval()


def test_any_order_of_rounds_windows_and_evictions(scene: Scene) -> None:
    """A property over random sequences: what the shared cache gives is what an empty one gives."""
    torch.manual_seed(0)
    base = AdaptedSam(SPEC, adapt_from=2).eval().requires_grad_(False)
    models = [base, adapted(base, 1), adapted(base, 2)]
    fresh = {
        (i, w): WindowEncoder(scene, model, ArrayCache(2**30)).embedding(w)
        for i, model in enumerate(models)
        for w in WINDOWS
    }
    assert not torch.equal(fresh[0, WINDOWS[0]], fresh[1, WINDOWS[0]])
    rng = np.random.default_rng(0)
    for budget in (2**30, 40_000):  # all fits; hardly anything fits
        cache = ArrayCache(budget)
        for _ in range(60):
            i, window = int(rng.integers(3)), WINDOWS[rng.integers(4)]
            found = WindowEncoder(scene, models[i], cache).embedding(window)
            assert torch.equal(found, fresh[i, window])


def test_the_prefix_is_shared_between_rounds(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    base = AdaptedSam(SPEC, adapt_from=2).eval().requires_grad_(False)
    cache = ArrayCache(2**30)
    WindowEncoder(scene, base, cache).embedding(WINDOWS[0])

    def no_reading(window: Window) -> None:
        raise AssertionError("the scene was read again")

    monkeypatch.setattr(scene, "rgb", no_reading)
    encoder = WindowEncoder(scene, adapted(base, 1), cache)
    assert not encoder.is_encoded(WINDOWS[0])
    encoder.embedding(WINDOWS[0])
    assert encoder.is_encoded(WINDOWS[0])


def test_other_bands_are_another_key(lakes_path: Path) -> None:
    base = AdaptedSam(SPEC, adapt_from=2).eval().requires_grad_(False)
    cache = ArrayCache(2**30)
    with Scene.open(lakes_path) as rgb, Scene.open(lakes_path, bands=(3, 2, 1)) as bgr:
        one = WindowEncoder(rgb, base, cache).embedding(WINDOWS[0])
        other = WindowEncoder(bgr, base, cache).embedding(WINDOWS[0])
    assert not torch.equal(one, other)
