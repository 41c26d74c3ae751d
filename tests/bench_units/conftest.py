"""A small dataset under a name of the committed split: two blobs on textured ground in every image."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from seglab.datasets.splits import load_splits

NAME = "landslide_sichuan"
SIZE = 160
BLOBS = ((48, 52, 26), (112, 104, 30))
"""(col, row, radius), pixels."""
UNKNOWN = 8
"""Columns at the right edge whose class nobody knows."""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of datasets with one in it."""
    root = tmp_path_factory.mktemp("data")
    path = root / NAME
    for part in ("images", "masks"):
        (path / part).mkdir(parents=True)
    card = {"classes": {"0": "background", "1": "landslide"}, "licence": "none", "attribution": "made up"}
    (path / "dataset.json").write_text(json.dumps(card), encoding="utf-8")
    ids = [i for part in load_splits()[NAME].values() for i in part]
    for number, image_id in enumerate(ids):
        mask = np.zeros((SIZE, SIZE), np.uint8)
        for col, row, radius in BLOBS:
            cv2.circle(mask, (col, row), radius, 1, -1)
        rng = np.random.default_rng(number)
        bgr = np.where(mask[..., None] == 1, (40, 60, 120), (70, 130, 90)) + rng.normal(0, 8, (SIZE, SIZE, 3))
        mask[:, -UNKNOWN:] = 255
        cv2.imwrite(str(path / "images" / f"{image_id}.png"), np.clip(bgr, 0, 255).astype(np.uint8))
        cv2.imwrite(str(path / "masks" / f"{image_id}.png"), mask)
    return root


@pytest.fixture
def dataset_path(folder: Path) -> Path:
    """The dataset itself."""
    return folder / NAME
