"""Image and mask pairs as a network takes them: one size, one batch, read ahead of the network."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from seglab.core.raster import EXTRA_LIMIT, EXTRA_PERCENTILES
from seglab.core.views import TURNS, View
from seglab.datasets.pair import Pair
from seglab.datasets.pairs import ImageMaskDataset, as_target
from seglab.errors import TrainingError
from seglab.training.losses import IGNORE
from seglab.training.supervised.colour_jitter import ColourJitter

CROP = 0.7
"""Share of its sides that a corner of an image has."""
READERS = 2
"""Threads that read and resize."""
AHEAD = 3
"""Batches that are being read while the network works."""
MEASURED, MEASURED_STEP = 200, 4
"""The scaling of extra bands is measured on this many pairs at most, at every fourth pixel of every fourth row."""


@dataclass(frozen=True)
class PairBatch:
    """B pairs of one size, S x S pixels."""

    rgb: np.ndarray
    """(B, S, S, 3) uint8."""
    target: np.ndarray
    """(B, S, S) int64: IGNORE, 0 background, 1..C."""
    extra: np.ndarray | None
    """(B, E, S, S) float32, scaled; None without extra bands."""
    plain: np.ndarray
    """(B, S, S, 3) uint8: `rgb` before its colours were changed, as a teacher sees it."""


@dataclass(frozen=True)
class BandScaling:
    """Extra bands go from low..high to -1..1, as `Scene.extra` has them; values far outside are clipped."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    def apply(self, bands: np.ndarray) -> np.ndarray:
        """(E, rows, cols) in the source's units to the same shape, float32."""
        low, high = (np.array(v, np.float32)[:, None, None] for v in (self.low, self.high))
        span = np.where(high > low, high - low, 1)
        return np.clip(2 * (bands - low) / span - 1, -EXTRA_LIMIT, EXTRA_LIMIT).astype(np.float32)


def split(count: int, share: float, seed: int) -> tuple[list[int], list[int]]:
    """A random split into training and validation, as the paper's.

    Args:
        count: pairs in all.
        share: of them to train on.
        seed: of the shuffle.

    Returns:
        Indexes to train on and indexes to validate on, each sorted; both have at least one.

    Raises:
        TrainingError: there are fewer than two pairs.
    """
    if count < 2:
        raise TrainingError(f"{count} pair cannot be split into training and validation; add labelled images")
    order = np.random.default_rng(seed).permutation(count).tolist()
    cut = min(max(1, round(share * count)), count - 1)
    return sorted(order[:cut]), sorted(order[cut:])


class PairReader:
    """Reads pairs of a dataset at one size.

    The image is stretched to a square, whatever its shape, as in TransLandSeg; the mask follows by nearest neighbour.

    Args:
        dataset: the pairs.
        targets: mask value by class name: see `target_classes`.
        size: S, the side of the network's input, pixels.
        jitter: how colours change in training.
        scaling: of the extra bands; None to leave them out.
        turns: whether training sees pairs turned and mirrored, each of the eight ways as often.
        crops: whether it sees their corners, too, each as often as the whole.
    """

    def __init__(
        self,
        dataset: ImageMaskDataset,
        targets: dict[str, int],
        size: int,
        jitter: ColourJitter,
        scaling: BandScaling | None = None,
        turns: bool = False,
        crops: bool = False,
    ) -> None:
        self._dataset = dataset
        self._targets = targets
        self._size = size
        self._jitter = jitter
        self._scaling = scaling
        self._turns = turns
        self._crops = crops

    def stream(self, groups: Sequence[Sequence[int]], seed: tuple[int, ...] | None = None) -> Iterator[PairBatch]:
        """Batches in order, read ahead on threads.

        Args:
            groups: the indexes of each batch.
            seed: of colour jitter, crops and turns, together with each pair's index; None for none of them.
        """
        with ThreadPoolExecutor(READERS, thread_name_prefix="seglab pairs") as pool:
            waiting: deque[list[Future[PairBatch]]] = deque()
            try:
                for group in groups:
                    waiting.append([pool.submit(self._read, index, seed) for index in group])
                    if len(waiting) > AHEAD:
                        yield _stack(waiting.popleft())
                while waiting:
                    yield _stack(waiting.popleft())
            finally:
                # A consumer that stops early (cancel, an error) does not wait for what it will not use.
                pool.shutdown(wait=False, cancel_futures=True)

    def _read(self, index: int, seed: tuple[int, ...] | None) -> PairBatch:
        whole = self._dataset.read(index)
        rng = None if seed is None else np.random.default_rng([*seed, index])
        pair = whole if rng is None or not self._crops else _cropped(whole, int(rng.integers(5)))
        rgb = pair.rgb if rng is None else self._jitter(pair.rgb, rng)
        turn = View(int(rng.integers(TURNS))) if rng is not None and self._turns else View()
        side = (self._size, self._size)
        mask = cv2.resize(pair.mask, side, interpolation=cv2.INTER_NEAREST_EXACT)
        target = turn.labels(as_target(mask, self._targets, IGNORE))
        shown = turn.image(_stretch(rgb, side))
        plain = shown if rgb is pair.rgb else turn.image(_stretch(pair.rgb, side))
        extra = self._extra(pair.extra, side)
        if extra is not None:
            extra = turn.layers(extra)[None]
        return PairBatch(shown[None], target[None], extra, plain[None])

    def _extra(self, bands: np.ndarray | None, side: tuple[int, int]) -> np.ndarray | None:
        if self._scaling is None or bands is None:
            return None
        return np.stack([_stretch(band, side) for band in self._scaling.apply(bands)])


def measure_bands(dataset: ImageMaskDataset, indexes: Sequence[int]) -> BandScaling:
    """The 2nd and 98th percentile of each extra band over some pairs, as a scene's extra bands are scaled.

    Raises:
        TrainingError: the dataset has no extra bands.
    """
    if not dataset.extra_bands:
        raise TrainingError(f"dataset {dataset.name!r} has no extra bands; leave them out")
    step = MEASURED_STEP
    values = [
        dataset.read(i).extra[:, ::step, ::step].reshape(len(dataset.extra_bands), -1) for i in indexes[:MEASURED]
    ]
    low, high = np.percentile(np.concatenate(values, axis=1), EXTRA_PERCENTILES, axis=1)
    return BandScaling(tuple(low.tolist()), tuple(high.tolist()))


def _cropped(pair: Pair, corner: int) -> Pair:
    """A corner of a pair, 0 to 3; the whole of it for 4."""
    if corner == 4:
        return pair
    rows, cols = (math.ceil(CROP * side) for side in pair.mask.shape)
    top, left = (
        side - part if at else 0
        for side, part, at in zip(pair.mask.shape, (rows, cols), divmod(corner, 2), strict=True)
    )
    part = (slice(top, top + rows), slice(left, left + cols))
    extra = None if pair.extra is None else pair.extra[:, *part]
    return Pair(pair.id, np.ascontiguousarray(pair.rgb[part]), pair.mask[part], extra)


def _stretch(image: np.ndarray, side: tuple[int, int]) -> np.ndarray:
    """Averages where the image gets smaller, so that no detail turns into noise; bilinear where it gets larger."""
    shrinks = image.shape[0] > side[1] and image.shape[1] > side[0]
    return cv2.resize(image, side, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _stack(parts: Sequence[Future[PairBatch]]) -> PairBatch:
    pairs = [part.result() for part in parts]
    extra = None if pairs[0].extra is None else np.concatenate([p.extra for p in pairs])
    rgb, target, plain = (np.concatenate([getattr(p, part) for p in pairs]) for part in ("rgb", "target", "plain"))
    return PairBatch(rgb, target, extra, plain)
