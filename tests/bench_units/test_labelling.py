"""The simulated person."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from seglab.app.rounds.rounds import CurrentModel
from seglab.bench.ground import Ground, open_ground
from seglab.bench.labelling import CLICKS, GOOD, Annotator, correction, label_outright, label_with
from seglab.core.annotator import next_click
from seglab.core.masks import rasterize
from seglab.core.metrics import iou
from seglab.datasets.folder import open_dataset
from seglab.encoding.encoder import WindowEncoder
from seglab.encoding.encoders import Encoders
from seglab.models.registry import load_model
from seglab.store.cache import ArrayCache
from tests.bench_units.conftest import SIZE


@pytest.fixture
def ground(dataset_path: Path) -> Ground:
    return open_ground(open_dataset(dataset_path), "train")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def outright(image, thing):
    return label_outright(image, thing, 224)


@pytest.mark.parametrize("seed", range(20))
def test_a_correction_is_the_next_click(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, guess = (np.zeros((40, 60), bool) for _ in range(2))
    for mask in (truth, guess):
        row, col, height, width = rng.integers(0, (30, 50, 12, 12))
        mask[row : row + height, col : col + width] = True
    assert correction(truth, guess) == next_click(truth, guess)


def test_nothing_wrong_needs_no_correction() -> None:
    empty = np.zeros((5, 5), bool)
    assert correction(empty, empty) is None
    assert correction(~empty, ~empty) is None


def test_objects_are_labelled_image_by_image_each_once(ground: Ground, stack: ExitStack) -> None:
    annotator = Annotator(ground, 0, stack)
    first = annotator.label(outright, 3)
    rest = annotator.label(outright, 10_000)
    order = [item.image.id for item in first + rest]
    assert order[0] == order[1] != order[2]
    assert sorted(set(order)) == sorted(ground.ids)
    everything = [(item.image.id, item.thing.number) for item in annotator.labelled]
    assert len(first) == 3 and len(everything) == len(set(everything)) == 2 * len(ground.ids)
    assert annotator.label(outright, 1) == []


def test_the_seed_decides_the_order(ground: Ground, stack: ExitStack) -> None:
    def order(seed: int) -> list[tuple[str, int]]:
        found = Annotator(ground, seed, stack).label(outright, 6)
        return [(item.image.id, item.thing.number) for item in found]

    assert order(0) == order(0)
    assert order(0) != order(1)


def test_an_image_is_reviewed_once_all_its_objects_are_labelled(ground: Ground, stack: ExitStack) -> None:
    annotator = Annotator(ground, 0, stack)
    annotator.label(outright, 3)
    (_, complete), (_, begun) = annotator.labels(["landslide"])
    assert [area.bounds for area in complete.reviewed] == [(0, 0, SIZE, SIZE)]
    assert begun.reviewed == ()
    assert [len(labels.objects) for labels in (complete, begun)] == [2, 1]
    assert complete.objects[0].class_index == 0


def test_a_good_mask_is_taken_and_another_is_painted_right(ground: Ground, stack: ExitStack) -> None:
    annotator = Annotator(ground, 0, stack)
    model = load_model("tiny", device="cpu")
    cache = ArrayCache(2**24)

    def assisted(image, thing):
        return label_with(CurrentModel(0, Encoders.single(WindowEncoder(image.scene, model, cache)), {}), image, thing)

    for item in annotator.label(assisted, 4):
        quality = iou(rasterize(item.outline, (SIZE, SIZE)), rasterize(item.thing.outline, (SIZE, SIZE)))
        assert 1 <= item.clicks == len(item.prompts.points) <= CLICKS
        assert quality == 1 if item.brushed else quality >= GOOD
        assert item.prompts.points[0] == item.thing.click
        assert item.brushed is False or item.clicks == CLICKS
