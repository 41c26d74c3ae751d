"""Which labelled images may be trained on, and which are validation ground: one committed file for everything."""

from __future__ import annotations

import json
from importlib import resources
from typing import Literal

from seglab.errors import DatasetError

Part = Literal["train", "val"]


def load_splits() -> dict[str, dict[str, list[str]]]:
    """Dataset name to {"train": ids, "val": ids}; the reasons stand beside them in splits.json under "why"."""
    text = resources.files("seglab.datasets").joinpath("splits.json").read_text(encoding="utf-8")
    return {
        name: {part: list(entry[part]) for part in ("train", "val")}
        for name, entry in json.loads(text)["datasets"].items()
    }


def split_ids(dataset: str, part: Part) -> list[str]:
    """Image ids of one part of one dataset.

    Raises:
        DatasetError: the dataset is not in the split file (so none of it may be trained on).
    """
    splits = load_splits()
    if dataset not in splits:
        raise DatasetError(f"dataset {dataset!r} is not in seglab/datasets/splits.json; add it there first")
    return splits[dataset][part]
