"""A simulated annotator who labels windows as a strategy says, retrains, and is judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from seglab.active.registry import Strategy, choose, strategy_for
from seglab.active.survey import BASE, BEFORE, Survey
from seglab.app.rounds.rounds import EXEMPLARS
from seglab.app.suggestions.surveying import coarse_probabilities
from seglab.bench.rounds_summary import class_miou
from seglab.bench.simulated_run import BATCH, SimulatedRun
from seglab.bench.terrain import Learned, Terrain
from seglab.bench.window_pool import PoolWindow
from seglab.core.metrics import confusion, iou_per_class
from seglab.core.windows import Window
from seglab.errors import SuggestionError
from seglab.inference.mapper import probabilities
from seglab.jobs import SilentReporter
from seglab.training.job import TrainingJob
from seglab.training.loop import train

CONTROLS = ("random", "uniform")
"""Strategies that look at nothing."""
PASSES = frozenset({BEFORE, BASE})
"""Passes beyond the class map that a simulation makes."""


def playable(name: str) -> Strategy:
    """A strategy that a simulation can play."""
    strategy = strategy_for(name, has_classes=True)
    if not strategy.needs <= PASSES or name == "entropy_near":
        raise SuggestionError(
            f"strategy {name!r} needs more than windows and their class maps (a way between them, mirrored views, "
            "predicted IoU or a reference), which a simulation does not have; choose another"
        )
    return strategy


class Person:
    """Labels, retrains and is judged.

    Args:
        run: what to do.
        terrain: the folder.
    """

    def __init__(self, run: SimulatedRun, terrain: Terrain) -> None:
        self.labelled: list[PoolWindow] = []
        """In order."""
        self.spent = 0
        """Clicks so far."""
        self._run = run
        self._terrain = terrain
        self._strategy = playable(run.strategy)
        self._base = self._before = self._now = Learned(terrain.base)

    def points(self) -> Iterator[dict[str, Any]]:
        """The learning curve: before any round, and after each."""
        rng = np.random.default_rng(self._run.seed)
        for i in rng.permutation(len(self._terrain.pool)):
            self._label(self._terrain.pool[int(i)])
            if self.labelled[-1].classes:
                break
        yield self._judged(0)
        budget = self._run.share * self._terrain.clicks_in_all
        for number in range(1, self._run.rounds + 1):
            self._label_until(budget * number / self._run.rounds)
            self._train(number)
            yield self._judged(number)

    # -- labelling

    def _label(self, one: PoolWindow) -> None:
        self.labelled.append(one)
        self.spent += self._terrain.clicks(one)
        fresh = sorted(set(one.classes) - set(self._now.prompts))
        self._now.prompts |= {index: self._exemplar(index) for index in fresh}

    def _exemplar(self, index: int) -> torch.Tensor:
        """What a class starts from: the mean embedding of its first objects, as in a session."""
        found = []
        for one in self.labelled:
            masks = [mask for mask, label in zip(one.masks, one.classes, strict=True) if label == index]
            if masks:
                embedding = self._terrain.embedding(self._now, one)[0]
                found += [self._now.model.exemplar(embedding, torch.from_numpy(mask)) for mask in masks]
        return torch.stack(found[:EXEMPLARS]).mean(0)

    def _label_until(self, clicks: float) -> None:
        while self.spent < clicks:
            done = {one.name for one in self.labelled}
            left = [one for one in self._terrain.pool if one.name not in done]
            if not left:
                return
            places = _side_by_side(left)
            by_place = dict(zip(places, left, strict=True))
            seed = 1000 * self._run.seed + len(self.labelled)
            for suggestion in choose(self._strategy, self._survey(left, places), BATCH, seed):
                self._label(by_place[suggestion.window])
                if self.spent >= clicks:
                    break

    def _survey(self, left: Sequence[PoolWindow], places: Sequence[Window]) -> Survey:
        """What the strategy may know of the windows that are left."""
        if self._strategy.name in CONTROLS:
            return Survey(places)
        embeddings = [self._terrain.embedding(self._now, one) for one in left]
        looks = np.stack([_look(one) for one in embeddings])
        others = {BEFORE: self._as_now(self._before), BASE: self._as_now(self._base)}
        more = {
            name: [
                coarse_probabilities(_logits(others[name], self._terrain.embedding(others[name], one))) for one in left
            ]
            for name in sorted(self._strategy.needs)
        }
        return Survey(
            places,
            ("background", *(self._terrain.classes[index] for index in sorted(self._now.prompts))),
            [coarse_probabilities(_logits(self._now, embedding)) for embedding in embeddings],
            looks,
            np.stack([_look(self._terrain.embedding(self._now, one)) for one in self.labelled]),
            more=more,
        )

    def _as_now(self, other: Learned) -> Learned:
        """An earlier model, asked for the classes of now: with its own prompts as far as it has some."""
        return Learned(other.model, self._now.prompts | other.prompts, other.embeddings)

    # -- training and judging

    def _train(self, number: int) -> None:
        known = sorted(self._now.prompts)
        terrain, config = self._terrain, self._run.config(number)
        job = TrainingJob(
            origin=terrain.base.origin,
            weights=terrain.base.base_hash(),
            adapt_from=terrain.base.adapt_from,
            adapter=self._run.adapter,
            extra_bands=0,
            parent={},
            classes=tuple(terrain.classes[index] for index in known),
            class_prompts=torch.stack([self._now.prompts[index] for index in known]).float().cpu().numpy(),
            chips=tuple(chip for one in self.labelled for chip in terrain.chips(one, known)),
            held_out=(),
            config=config,
            cache_folder=None,
            cache_bytes=0,
            device=self._run.device,
        )
        model = self._now.model.branch_off()
        train(SilentReporter(), model, job, terrain.cache)
        model.eval()
        self._before = self._now
        self._now = Learned(model, dict(zip(known, model.class_prompts.detach(), strict=True)))

    def _judged(self, number: int) -> dict[str, Any]:
        count = len(self._terrain.classes) + 1
        mapped = np.array([0, *(index + 1 for index in sorted(self._now.prompts))])
        table = np.zeros((count, count + 1), np.int64)
        for one in self._terrain.judges:
            logits = _logits(self._now, self._terrain.embedding(self._now, one))
            best = mapped[probabilities(logits, one.window.model_shape).argmax(0)]
            table += confusion(best, one.truth, count)
        there = table.sum(1) > 0
        return {
            "round": number,
            "clicks": self.spent,
            "windows": len(self.labelled),
            "objects": sum(len(one.classes) for one in self.labelled),
            "miou": round(class_miou(table), 4),
            "iou": [
                round(float(v), 4) if known else None for v, known in zip(iou_per_class(table), there, strict=True)
            ],
        }


def _logits(learned: Learned, embedding: torch.Tensor) -> np.ndarray:
    """(C, m, m) float32 scores of the classes that have a prompt, in order."""
    prompts = torch.stack([learned.prompts[index] for index in sorted(learned.prompts)])
    with torch.inference_mode():
        return learned.model.decode_classes(embedding, prompts)[0].float().cpu().numpy()


def _look(embedding: torch.Tensor) -> np.ndarray:
    return embedding[0].mean((1, 2)).float().cpu().numpy()


def _side_by_side(windows: Sequence[PoolWindow]) -> list[Window]:
    """Places of windows of many images in one plane, so that only what is the same ground overlaps."""
    reach = max(one.window.col + one.window.width for one in windows)
    return [replace(one.window, col=one.window.col + one.image * reach) for one in windows]
