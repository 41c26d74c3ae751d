"""Procedural scenes: the same by seed, labelled without gaps, and varied."""

from __future__ import annotations

import numpy as np
import pytest

from seglab.pretrain.samples import (
    MAX_OBJECTS,
    MAX_SHARE,
    MIN_AREA,
    PoolWriter,
    cell_ids,
    load_pool,
    procedural_crops,
)
from seglab.pretrain.scenes import CLASSES, scene


@pytest.fixture(scope="module")
def scenes():
    return [scene(seed, 160) for seed in range(8)]


def test_the_same_seed_gives_the_same_scene(scenes):
    again = scene(3, 160)
    for name in ("rgb", "instances", "semantic"):
        np.testing.assert_array_equal(getattr(again, name), getattr(scenes[3], name))
    assert (scenes[4].rgb != scenes[3].rgb).any()


def test_labels_are_valid(scenes):
    for s in scenes:
        assert s.rgb.shape == (160, 160, 3) and s.rgb.dtype == np.uint8
        assert s.semantic.max() < len(CLASSES)
        for i in np.unique(s.instances[s.instances > 0]):
            # One object, one class.
            assert len(np.unique(s.semantic[s.instances == i])) == 1
        assert all(child != parent for child, parent in s.parents.items())


def test_scenes_differ_in_content(scenes):
    assert len({c for s in scenes for c in np.unique(s.semantic)}) >= 6
    assert min(s.rgb.std() for s in scenes) > 5
    assert len({len(np.unique(s.instances)) for s in scenes}) >= 4


def test_colour_alone_does_not_tell_objects_apart(scenes):
    """Neighbouring objects often share colours: their spread inside is not far below that between them."""
    shares = []
    for s in scenes:
        ids = [i for i in np.unique(s.instances) if i and (s.instances == i).sum() > 60]
        if len(ids) < 3:
            continue
        grey = s.rgb.mean(-1)
        inside = np.mean([grey[s.instances == i].std() for i in ids])
        between = np.std([grey[s.instances == i].mean() for i in ids])
        shares.append(inside / (between + 1e-6))
    assert np.median(shares) > 0.25


def test_crops_hold_usable_objects_and_survive_the_pool(tmp_path):
    crops = procedural_crops(5, 112, 3)
    assert crops
    writer = PoolWriter(112, len(crops))
    for crop in crops:
        assert 1 <= len(crop.masks) <= MAX_OBJECTS
        areas = crop.masks.sum((1, 2))
        assert areas.min() >= MIN_AREA and areas.max() <= MAX_SHARE * 112 * 112
        writer.add(crop, 0)
    assert writer.full
    writer.save(tmp_path / "pool", ["procedural"])
    pool = load_pool(tmp_path / "pool")
    assert len(pool) == len(crops)
    for i, crop in enumerate(crops):
        back = pool.crop(i)
        for name in ("rgb", "semantic", "cells", "masks", "classes"):
            np.testing.assert_array_equal(getattr(back, name), getattr(crop, name))


def test_a_cell_belongs_to_the_object_that_fills_it():
    ids = np.zeros((24, 24), np.int32)
    ids[:8, :8] = 300
    ids[8:16, 8:12] = 4
    cells = cell_ids(ids)
    assert cells[0, 0] not in (0, 255) and cells[2, 2] == 0
    assert cells[1, 1] == 255
