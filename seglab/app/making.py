"""What goes into a round and what is written down about it: from a project's labels to a training job and a card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from seglab.app.held_out import KEPT_OUT, Split, footprint, labels_of, outlines_of
from seglab.app.labelled import LabelledObject
from seglab.app.rounds import CurrentModel, outcome_card
from seglab.app.scene_cards import grid_card
from seglab.app.state import State
from seglab.core.grid import Grid
from seglab.errors import NoLabelsError
from seglab.jobs import Reporter
from seglab.models.sam import AdaptedSam
from seglab.training.job import RoundConfig, RoundOutcome, TrainingJob
from seglab.training.samples import build_chips, held_out_chips

UNVALIDATED = "not validated: there are too few held-out objects yet"


@dataclass(frozen=True)
class Making:
    """A round that is about to be trained."""

    job: TrainingJob
    trained: tuple[LabelledObject, ...]
    """The objects that training is shown."""
    held_out: tuple[LabelledObject, ...]
    """Those it is judged by."""
    left_out: int
    """Objects that no window shows without showing held-out ground too."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the choice of objects."""
        if not self.left_out:
            return ()
        return (f"{self.left_out} labelled objects lie too near to ground that is kept out to be trained on",)


def plan_round(
    reporter: Reporter,
    start: CurrentModel,
    base: AdaptedSam,
    parent: dict[str, np.ndarray],
    state: State,
    split: Split,
    *,
    adapter: str,
    config: RoundConfig,
    cache: tuple[Path, int],
) -> Making:
    """Read the windows of a round and put all that it needs together, as plain arrays.

    Args:
        reporter: told which window is being read; may cancel.
        start, parent: the model that the round starts from, and its tensors ({} for the base).
        base: the model before any round.
        state, split: what is labelled, and what of it may be trained on.
        adapter: the family that is trained.
        config: the recipe.
        cache: folder and budget (bytes) of the prefix cache.

    Raises:
        NoLabelsError: no window shows an object without showing held-out ground.
    """
    prompts = start.class_prompts(replace(state, objects=split.training))
    # Classes that nobody has an object of stay out of the softmax.
    classes = tuple(name for name in state.classes if name in prompts)
    judges = tuple(o for o in split.held_out if o.class_name in classes)
    scene, encoder = start.encoder.scene, start.encoder
    labels = labels_of(split.training, classes, state, split)
    chips = build_chips(reporter, labels, scene, encoder, config.steps * config.batch, config)
    if not chips.chips and chips.left_out:
        raise NoLabelsError(KEPT_OUT)
    job = TrainingJob(
        origin=base.origin,
        weights=base.base_hash(),
        adapt_from=base.adapt_from,
        adapter=adapter,
        extra_bands=len(encoder.extra_bands),
        parent=parent,
        classes=classes,
        class_prompts=np.stack([prompts[name].detach().float().cpu().numpy() for name in classes]),
        chips=chips.chips,
        held_out=tuple(held_out_chips(reporter, labels_of(judges, classes, state, split), scene, encoder)),
        config=config,
        cache_folder=cache[0],
        cache_bytes=cache[1],
        device=str(base.device),
    )
    return Making(job, tuple(split.training[i] for i in chips.trained), judges, chips.left_out)


def card_of(
    making: Making, outcome: RoundOutcome, identity: Mapping[str, Any], parent: int, scene: str, grid: Grid
) -> dict[str, Any]:
    """All that is known of a round, for its card."""
    validation = outcome.validation
    return {
        **identity,
        **outcome_card(outcome, making.job.classes),
        "notes": [*making.notes, *outcome.notes],
        "verdict": UNVALIDATED if validation is None else validation.message,
        "parent": parent,
        "labels": [o.id for o in making.trained],
        "trained": outlines_of(making.trained),
        "objects": len(making.trained),
        "objects_held_out": len(making.held_out),
        "objects_left_out": making.left_out,
        "chips": len(making.job.chips),
        "scene": scene,
        "grid": grid_card(grid),
        "footprint": footprint(making.trained),
        "pixel_size_m": grid.pixel_size_m,
        "device": making.job.device,
    }
