"""What all simulations on one folder share: its windows, what they cost, and what the frozen network makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
import torch

from seglab.bench.labelled_scene import scene_windows
from seglab.bench.simulated_run import CLICKS, DRAWN, GOOD, REVIEWED, VIEWS, SimulatedRun
from seglab.bench.window_pool import PoolWindow, Windows, clickable, folder_windows
from seglab.datasets.folder import open_dataset
from seglab.encoding.prefixes import stored_prefix
from seglab.errors import DatasetError
from seglab.evaluation.clicks import ModelAnswers, follow_clicks
from seglab.models.sam import AdaptedSam
from seglab.store.cache import ArrayCache, cache_key
from seglab.training.job import TrainingChip
from seglab.training.losses import IGNORE
from seglab.training.plan import view


@dataclass
class Learned:
    """A model and its class prompts."""

    model: AdaptedSam
    prompts: dict[int, torch.Tensor] = field(default_factory=dict)
    """(prompt_dim,) by 0-based class index."""
    embeddings: dict[str, torch.Tensor] = field(default_factory=dict)
    """(1, D, h, w) of windows that were looked at, by name."""


class Terrain:
    """What all runs on one folder share: its windows, what they cost, and the frozen part of the network on them.

    Args:
        run: says where the windows are from, and how many.
        base: the model before any round.
        cache: of frozen prefixes and of clicks.

    Raises:
        DatasetError, LabelsFileError: see folder_windows and scene_windows; or there is no object in the pool.
    """

    def __init__(self, run: SimulatedRun, base: AdaptedSam, cache: ArrayCache) -> None:
        self.base = base
        self.cache = cache
        self._source = run.folder
        found = _windows(run, base.spec.image_size)
        self.classes, self.pool, self.judges, self.sources = found.classes, found.pool, found.judges, found.sources
        if not any(one.classes for one in self.pool):
            raise DatasetError(f"no window of {run.folder!r} that can be labelled holds an object; check its masks")
        self._clicks = {one.name: self._measured(one) for one in self.pool}

    def clicks(self, one: PoolWindow) -> int:
        """What labelling a window costs."""
        return REVIEWED + int(self._clicks[one.name].sum())

    @property
    def clicks_in_all(self) -> int:
        """What labelling every window would cost."""
        return sum(self.clicks(one) for one in self.pool)

    def embedding(self, learned: Learned, one: PoolWindow) -> torch.Tensor:
        """(1, D, h, w) of a window by the model of a round."""
        if one.name not in learned.embeddings:
            model = learned.model
            prefix = stored_prefix(model, self.cache, self._key(one, 0), one.rgb)
            with torch.inference_mode():
                learned.embeddings[one.name] = model.encode_suffix(prefix.to(model.device, torch.float32))
        return learned.embeddings[one.name]

    def chips(self, one: PoolWindow, known: Sequence[int]) -> Iterator[TrainingChip]:
        """A labelled window as training sees it, in VIEWS views; `known` are the classes of the round, in order."""
        table = np.full(len(self.classes) + 2, IGNORE)  # the last place is that of -1
        table[0] = 0
        table[[index + 1 for index in known]] = np.arange(1, len(known) + 1)
        target = table[clickable(one, self.base.spec.mask_size)]
        none = np.zeros((0, *target.shape), dtype=bool)
        for number in range(VIEWS):
            seen = view(one.window, number)
            labels = seen.labels(target, IGNORE)
            yield TrainingChip(self._key(one, number), seen.image(one.rgb), None, none, (), labels, one.name)

    def _key(self, one: PoolWindow, number: int) -> str:
        network = f"{self.base.spec.name} {self.base.adapt_from}"
        return cache_key(source=self._source, window=one.name, scale=one.window.scale, view=number, network=network)

    def _measured(self, one: PoolWindow) -> np.ndarray:
        """(N,) clicks that each object takes."""
        objects = blake2b(np.packbits(one.masks).tobytes(), digest_size=16).hexdigest()
        key = cache_key(
            clicks=self._key(one, 0), objects=objects, weights=self.base.base_hash(), costs=(GOOD, CLICKS, DRAWN)
        )
        held = self.cache.get(key)
        if held is None:
            held = self._clicked(one)
            self.cache.put(key, held)
        return np.asarray(held)

    def _clicked(self, one: PoolWindow) -> np.ndarray:
        if not one.classes:
            return np.zeros(0, dtype=np.int64)
        answers = ModelAnswers(self.base, self.embedding(Learned(self.base), one), one.rgb.shape[0])
        with torch.inference_mode():
            reached = np.array(list(follow_clicks(answers, one.masks, CLICKS))) >= GOOD
        return np.where(reached.any(0), reached.argmax(0) + 1, CLICKS + DRAWN)


def _windows(run: SimulatedRun, size: int) -> Windows:
    if run.labels is not None:
        return scene_windows(run.folder, run.labels, run.class_name, size, run.pool, run.held_out)
    return folder_windows(open_dataset(run.folder), run.model, run.checkpoint, size, run.pool, run.held_out)
