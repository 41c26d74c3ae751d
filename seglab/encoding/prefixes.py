"""The frozen prefix's activations through the cache: for a session's clicks and for the training process alike.

A cached prefix is believed for the pixels it was made of, not for the name it was found under: what the file says of
its pixels and its network must be what is asked for now. A scene that was edited or replaced behind the cache's back,
another checkpoint in another process, a damaged or forgotten file can therefore cost time and never a wrong mask.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from seglab.core.windows import Window
from seglab.encoding.identity import pixel_digest, prefix_identity
from seglab.jobs import Reporter
from seglab.models.device import compute
from seglab.models.sam import AdaptedSam, Prefix
from seglab.store.cache import ArrayCache

if TYPE_CHECKING:
    from seglab.encoding.encoder import WindowEncoder

PREFIX_FOLDER = "prefixes"
"""Name of the folder in a project's cache."""

PREFIX_BYTES = 2 * 2**30
"""Budget of a project's prefixes: some 2,000 windows of tiny, 100 of vit_b."""

DISK_SHARE = 0.1
"""Of the free disk: a cache must not be what fills it."""

_PARTS = ("tokens", "patches", "high_pass")
_STAMP = "stamp"


def prefix_budget(folder: Path) -> int:
    """How many bytes a prefix cache may take in a folder, which need not exist yet: see PREFIX_BYTES, DISK_SHARE."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    return min(PREFIX_BYTES, int(DISK_SHARE * shutil.disk_usage(there).free))


def stored_prefix(
    model: AdaptedSam,
    cache: ArrayCache | None,
    key: str,
    rgb: np.ndarray,
    extra: np.ndarray | None = None,
    *,
    keep: bool = True,
) -> Prefix:
    """The prefix of an image: from the cache if it was made of these very pixels by this very network, else computed.

    Args:
        model: whose blocks before `adapt_from` are the prefix.
        cache: None computes always.
        key: where to look in the cache, see WindowEncoder.prefix_key. Whatever stands there is checked.
        rgb: (H, W, 3) uint8.
        extra: (E, H, W) float32, or None. It is handed on: the cached part depends on `rgb` alone.
        keep: whether a computed prefix goes into the cache.

    Returns:
        The prefix of a batch of one, fp16, on the CPU. Cached ones are mapped from their file, page by page as
        they are used; writing to them changes nothing in the cache.
    """
    stamp = _stamp(model, rgb)
    found = None if cache is None else cache.get(key, own=True)
    if not (isinstance(found, dict) and set(found) == {*_PARTS, _STAMP} and np.array_equal(found[_STAMP], stamp)):
        found = _computed(model, rgb)
        # weights that changed while they were in use have made a prefix of no network
        if cache is not None and keep and np.array_equal(_stamp(model, rgb), stamp):
            cache.put(key, found | {_STAMP: stamp})
    prefix = Prefix(*(torch.from_numpy(found[part]) for part in _PARTS))
    if extra is None:
        return prefix
    return replace(prefix, extra=torch.from_numpy(np.ascontiguousarray(extra, dtype=np.float16))[None])


def refresh(reporter: Reporter, encoder: WindowEncoder, windows: Sequence[Window]) -> None:
    """Encode windows ahead of the clicks that will ask for them: before a new round is put in use.

    Args:
        reporter: may cancel in between.
        encoder: of the new round.
        windows: the latest first, as WindowEncoder.visited gives them; so they are in the new encoder afterwards.
    """
    for window in reversed(windows):
        reporter.check()
        encoder.embedding(window)


def _stamp(model: AdaptedSam, rgb: np.ndarray) -> np.ndarray:
    """(16,) uint8: what a prefix was made of."""
    text = f"{pixel_digest(rgb)} {prefix_identity(model)}"
    return np.frombuffer(hashlib.blake2b(text.encode(), digest_size=16).digest(), dtype=np.uint8)


def _computed(model: AdaptedSam, rgb: np.ndarray) -> dict[str, np.ndarray]:
    with torch.no_grad(), compute(model.device):
        image = model.preprocess(torch.from_numpy(np.ascontiguousarray(rgb))[None])
        prefix = model.encode_prefix(image).to(torch.device("cpu"), torch.float16)
    return {part: getattr(prefix, part).contiguous().numpy() for part in _PARTS}
