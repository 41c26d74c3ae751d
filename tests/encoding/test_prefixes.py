"""Prefixes through the cache: shared by processes, mapped and not copied, believed only for their own pixels."""

from __future__ import annotations

import mmap
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch

from seglab.core.raster import Scene
from seglab.core.windows import Window
from seglab.encoding import identity
from seglab.encoding.encoder import WindowEncoder
from seglab.encoding.prefixes import DISK_SHARE, PREFIX_BYTES, prefix_budget, refresh, stored_prefix
from seglab.errors import JobCancelled
from seglab.jobs import Job, SilentReporter
from seglab.models.sam import AdaptedSam
from seglab.models.spec import SamSpec
from seglab.store.cache import ArrayCache
from tests.rasters import pattern

SPEC = SamSpec("small", 64, 8, 32, 4, 2, (1, 3), 4, 32, 64)
RGB = np.ascontiguousarray(np.moveaxis(pattern(3, 64, 64), 0, -1))


@pytest.fixture
def model() -> AdaptedSam:
    torch.manual_seed(0)
    return AdaptedSam(SPEC, adapt_from=2).eval().requires_grad_(False)


def is_same(first, second) -> bool:
    return all(torch.equal(getattr(first, part), getattr(second, part)) for part in ("tokens", "patches", "high_pass"))


def test_a_hit_equals_a_miss_and_is_mapped_not_copied(model: AdaptedSam, tmp_path: Path) -> None:
    cache = ArrayCache(2**24, tmp_path)
    missed = stored_prefix(model, cache, "key", RGB)
    hit = stored_prefix(model, cache, "key", RGB)
    assert is_same(missed, hit) and is_same(hit, stored_prefix(model, None, "key", RGB))
    assert missed.tokens.dtype == hit.tokens.dtype == torch.float16
    base = cache.get("key", own=True)["tokens"]
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base, mmap.mmap)


def test_the_key_is_a_place_to_look_and_proves_nothing(model: AdaptedSam, tmp_path: Path) -> None:
    cache = ArrayCache(2**24, tmp_path)
    stored_prefix(model, cache, "key", RGB)
    other = np.flip(RGB, 1)
    assert is_same(stored_prefix(model, cache, "key", other), stored_prefix(model, None, "", other))
    deeper = AdaptedSam(SPEC, adapt_from=3).eval()
    assert is_same(stored_prefix(deeper, cache, "key", other), stored_prefix(deeper, None, "", other))


@pytest.mark.parametrize("change", ["_machine", "_code", "FORMAT"])
def test_another_machine_other_code_and_another_format_are_misses(
    model: AdaptedSam, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ArrayCache(2**24)
    stored_prefix(model, cache, "key", RGB)
    runs = []
    run = AdaptedSam.encode_prefix
    monkeypatch.setattr(AdaptedSam, "encode_prefix", lambda *args: runs.append(1) or run(*args))
    stored_prefix(model, cache, "key", RGB)
    assert runs == []
    monkeypatch.setattr(identity, change, 2 if change == "FORMAT" else lambda *args: "another")
    stored_prefix(model, cache, "key", RGB)
    assert runs == [1]


def test_a_prefix_can_be_trained_on(model: AdaptedSam) -> None:
    """Inference tensors cannot: a hit and a miss must not differ there either."""
    cache = ArrayCache(2**24)
    model.sam.image_encoder.neck.requires_grad_(True)
    for _ in range(2):
        prefix = stored_prefix(model, cache, "key", RGB)
        assert not prefix.tokens.is_inference()
        model.encode_suffix(prefix.to(model.device, torch.float32)).sum().backward()


def test_the_budget_is_a_share_of_the_free_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    asked = []

    def disk_usage(path: Path) -> usage:
        asked.append(path)
        return usage(0, 0, free)

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    free = 10**9
    assert prefix_budget(tmp_path / "not" / "there") == int(DISK_SHARE * 10**9)
    assert asked == [tmp_path]
    free = 10**13
    assert prefix_budget(tmp_path) == PREFIX_BYTES


def test_refresh_encodes_what_was_visited_and_keeps_the_order(lakes_path: Path, model: AdaptedSam) -> None:
    windows = [Window(col, 0, 64, 64) for col in (0, 32, 64)]
    with Scene.open(lakes_path) as scene:
        old = WindowEncoder(scene, model, ArrayCache(2**24))
        for window in windows:
            old.embedding(window)
        new = WindowEncoder(scene, model, ArrayCache(2**24))
        refresh(SilentReporter(), new, old.visited(2))
        assert new.visited(10) == old.visited(2) == [windows[2], windows[1]]
        assert [new.is_encoded(window) for window in windows] == [False, True, True]
        job = Job("refresh")
        job.cancel()
        with pytest.raises(JobCancelled):
            refresh(job, new, [windows[0]])
        assert not new.is_encoded(windows[0])
