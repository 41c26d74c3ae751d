"""Worker processes: scenes come without end, none twice, and the workers go when they are no longer wanted."""

from __future__ import annotations

import pytest

from seglab.errors import PretrainError
from seglab.pretrain import feed as module
from seglab.pretrain.feed import SceneFeed
from seglab.pretrain.ground import procedural_ground

FEW, MANY = 10, 500
"""Scenes that are looked at, at least and at most: every worker's must be among them."""


def test_two_workers_make_different_scenes_and_stop():
    seeds: list[int] = []
    with SceneFeed(2, 48, 1000) as feed:
        workers = list(feed._workers)
        first = feed.wait()
        expected = procedural_ground(int(first.id), 48)
        assert (first.rgb == expected.rgb).all() and (first.parts == expected.parts).all()
        seeds.append(int(first.id))
        while len(seeds) < FEW or (len({seed % 2 for seed in seeds}) < 2 and len(seeds) < MANY):
            seeds.append(int(feed.wait().id))
        taken = [int(ground.id) for ground in feed.ready(2)]
        assert len(taken) <= 2
        seeds += taken
    assert len(set(seeds)) == len(seeds) and min(seeds) >= 1000
    for own in (0, 1):
        # Each counts on in steps of its own, whatever the other does.
        found = [seed for seed in seeds if seed % 2 == own]
        assert found == list(range(1000 + own, 1000 + own + 2 * len(found), 2)) and found
    assert len(workers) == 2 and not any(worker.is_alive() for worker in workers)


def test_workers_stop_when_the_run_fails():
    class Failed(Exception):
        pass

    with pytest.raises(Failed), SceneFeed(1, 64, 0) as feed:
        workers = list(feed._workers)
        raise Failed
    assert not workers[0].is_alive()


def test_workers_that_deliver_nothing_are_told(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    feed = SceneFeed(1, 64, 0)
    assert list(feed.ready(5)) == []
    with pytest.raises(PretrainError, match="no scenes"):
        feed.wait()
