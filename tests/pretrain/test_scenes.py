"""Procedural scenes: the same by seed, labelled without gaps, and varied."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from seglab.pretrain.canvas import SMALLEST, Canvas
from seglab.pretrain.layout import fill
from seglab.pretrain.scenes import CLASSES, scene
from seglab.pretrain.textures import Theme

ROOT = Path(__file__).parents[2]


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


def test_every_label_is_visible_and_parents_exist(scenes):
    for s in scenes:
        ids, areas = np.unique(s.instances, return_counts=True)
        assert areas[ids > 0].min() >= SMALLEST
        assert set(s.parents) | set(s.parents.values()) <= set(ids.tolist())
        assert len(ids) > 1


def test_a_shape_has_its_area_and_a_soft_border():
    square = np.array([[10.3, 20.0], [40.3, 20.0], [40.3, 50.5], [10.3, 50.5]])
    stencil = fill(64, square)
    assert stencil.alpha.sum() == pytest.approx(30 * 30.5, rel=0.03)
    assert stencil.alpha.max() == 1 and ((stencil.alpha > 0.1) & (stencil.alpha < 0.9)).any()
    assert fill(64, square + 100) is None


def test_painting_labels_what_is_mostly_covered():
    rng = np.random.default_rng(1)
    canvas = Canvas(rng, 64, Theme.draw(rng, 1.0), "grass")
    outer = canvas.paint(fill(64, np.array([[8, 8], [50, 8], [50, 50], [8, 50]])), "water", np.ones(3, np.float32))
    inner = canvas.paint(fill(64, np.array([[20, 20], [30, 20], [30, 30], [20, 30]])), "bare", nested=True)
    assert canvas.parents == {inner: outer}
    assert (canvas.instances == inner).sum() == 100
    assert (canvas.semantic[canvas.instances == outer] == CLASSES.index("water")).all()
    np.testing.assert_allclose(canvas.rgb[canvas.instances == outer], 1, atol=0.6)
    assert canvas.paint(None, "water") == 0


def test_an_object_that_is_painted_over_is_no_longer_labelled():
    rng = np.random.default_rng(1)
    canvas = Canvas(rng, 64, Theme.draw(rng, 1.0), "grass")
    square = np.array([[8, 8], [50, 8], [50, 50], [8, 50]])
    small = canvas.paint(fill(64, 20 + square / 8), "object")
    large = canvas.paint(fill(64, square), "building")
    canvas.tidy()
    assert set(np.unique(canvas.instances)) == {0, large} and small


def test_scenes_need_only_numpy_and_opencv():
    code = (
        "import sys; from seglab.pretrain.scenes import scene; scene(1, 96); "
        "sys.exit(bool({'torch', 'rasterio', 'scipy', 'PIL', 'fastapi'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
