"""How a model is judged on images that nobody labels."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch

from seglab.bench.ground import open_ground
from seglab.bench.held_out import Caches, HeldOut
from seglab.core.metrics import IGNORE
from seglab.datasets.folder import open_dataset
from seglab.errors import DatasetError
from seglab.models.registry import load_model
from seglab.store.cache import ArrayCache


def test_every_object_and_every_known_pixel_counts_once(dataset_path: Path) -> None:
    model = load_model("tiny", device="cpu")
    caches = Caches(ArrayCache(2**24), ArrayCache(2**26))
    with ExitStack() as stack:
        held_out = HeldOut(open_ground(open_dataset(dataset_path), "val"), 224, 5, stack)
        prompt = {0: torch.ones(model.spec.prompt_dim)}
        first = held_out.measure(model, prompt, caches)
        stored = len(caches.prefixes)
        again = held_out.measure(model, prompt, caches)
    assert len(held_out.objects) == len(set(held_out.objects)) == 5
    assert set(first.iou) == {"1", "3", "box"} and all(len(values) == 5 for values in first.iou.values())
    assert all(0 <= v <= 1 for values in first.iou.values() for v in values)
    known = sum(np.count_nonzero(place.truth != IGNORE) for place in held_out.places)
    assert first.confusion.shape == (2, 3) and first.confusion.sum() == known
    assert first.confusion[1].sum() == sum(np.count_nonzero(place.truth == 1) for place in held_out.places)
    assert again.iou == first.iou and np.array_equal(again.confusion, first.confusion)
    assert len(caches.prefixes) == stored == len(held_out.places)


def test_ground_without_objects_is_refused(dataset_path: Path) -> None:
    ground = open_ground(open_dataset(dataset_path), "val")
    with ExitStack() as stack, pytest.raises(DatasetError, match="no object"):
        HeldOut(ground, 224, 0, stack)
