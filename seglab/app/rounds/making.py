"""What goes into a round and what is written down about it: from a project's labels to a training job and a card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from shapely.geometry.base import BaseGeometry

from seglab.app.labels.labelled import LabelledObject
from seglab.app.project.scene_cards import grid_card
from seglab.app.rounds.held_out import KEPT_OUT, footprint, labels_of, outlines_of
from seglab.app.rounds.round_scenes import RoundScene
from seglab.app.rounds.rounds import outcome_card
from seglab.errors import NoLabelsError
from seglab.jobs import Reporter
from seglab.models.sam import AdaptedSam
from seglab.training.job import RoundConfig, RoundOutcome, TrainingChip, TrainingJob
from seglab.training.samples import JUDGES, build_chips, held_out_chips

UNVALIDATED = "not validated: there are too few held-out objects yet"


@dataclass(frozen=True)
class ShownScene:
    """What of a scene goes into a round."""

    scene: RoundScene
    chips: tuple[TrainingChip, ...]
    trained: tuple[LabelledObject, ...]
    """The objects that training is shown."""
    held_out: tuple[LabelledObject, ...]
    """Those it is judged by."""
    left_out: int
    """Objects that no window shows without showing held-out ground too."""

    @property
    def dates(self) -> dict[str, int]:
        """How many objects training is shown on the imagery of each date; {} where the scene has no time axis."""
        return {date: len(objects) for date, objects in _by_date(self.scene, self.trained).items() if date}

    @property
    def card(self) -> dict[str, Any]:
        """What the round's card says of the scene."""
        grid = self.scene.current.encoder.scene.grid
        return {
            "name": self.scene.name,
            "grid": grid_card(grid),
            "pixel_size_m": grid.pixel_size_m,
            "objects": len(self.trained),
            "objects_held_out": len(self.held_out),
            "trained": outlines_of(self.trained),
            "footprint": footprint(self.trained) if self.trained else None,
            **({"dates": self.dates} if self.dates else {}),
        }


@dataclass(frozen=True)
class Making:
    """A round that is about to be trained."""

    job: TrainingJob
    scenes: tuple[ShownScene, ...]

    @property
    def trained(self) -> list[LabelledObject]:
        """The objects that training is shown, of all scenes."""
        return [o for shown in self.scenes for o in shown.trained]

    @property
    def held_out(self) -> list[LabelledObject]:
        """Those it is judged by."""
        return [o for shown in self.scenes for o in shown.held_out]

    @property
    def left_out(self) -> int:
        """Objects that no window shows without showing held-out ground too."""
        return sum(shown.left_out for shown in self.scenes)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the choice of objects."""
        notes = []
        if len(self.scenes) > 1:
            counts = (f"{len(s.trained)} of {s.scene.name}" for s in self.scenes if s.trained)
            notes.append(f"objects of {len(self.scenes)} scenes: {', '.join(counts)}")
            judging = [s.scene.name for s in self.scenes if s.held_out and not s.trained]
            notes += [f"held out as a whole: {', '.join(judging)}"] if judging else []
        for dates in (s.dates for s in self.scenes if len(s.dates) > 1):
            counts = (f"{count} of {date}" for date, count in dates.items())
            notes.append(f"objects are shown on the date they were made on: {', '.join(counts)}")
        if self.left_out:
            notes.append(f"{self.left_out} labelled objects lie too near to ground that is kept out to be trained on")
        return tuple(notes)


def plan_round(
    reporter: Reporter,
    base: AdaptedSam,
    parent: dict[str, np.ndarray],
    scenes: Sequence[RoundScene],
    *,
    adapter: str,
    config: RoundConfig,
    cache: tuple[Path, int],
) -> Making:
    """Read the windows of a round and put all that it needs together, as plain arrays.

    Args:
        reporter: told which window is being read; may cancel.
        base: the model before any round.
        parent: tensors of the round that it starts from; {} for the base.
        scenes: what is labelled, and what of it may be trained on; at least one object may.
        adapter: the family that is trained.
        config: the recipe.
        cache: folder and budget (bytes) of the prefix cache.

    Raises:
        NoLabelsError: no window shows an object without showing held-out ground.
    """
    prompts = _class_prompts(scenes)
    # Classes that nobody has an object of stay out of the softmax.
    classes = tuple(name for name in scenes[0].state.classes if name in prompts)
    total = sum(len(one.split.training) for one in scenes)
    shown = []
    for one in scenes:
        count = config.steps * config.batch * len(one.split.training) / total
        shown.append(_shown(reporter, one, classes, max(1, round(count)), config))
    chips = tuple(chip for found in shown for chip in found.chips)
    if not chips and any(found.left_out for found in shown):
        raise NoLabelsError(KEPT_OUT)
    judges = sum(len(found.held_out) for found in shown)
    job = TrainingJob(
        origin=base.origin,
        weights=base.base_hash(),
        adapt_from=base.adapt_from,
        adapter=adapter,
        extra_bands=len(scenes[0].current.encoder.extra_bands),
        parent=parent,
        classes=classes,
        class_prompts=np.stack([prompts[name].detach().float().cpu().numpy() for name in classes]),
        chips=chips,
        held_out=tuple(chip for found in shown for chip in _judging(reporter, found, classes, judges)),
        config=config,
        cache_folder=cache[0],
        cache_bytes=cache[1],
        device=str(base.device),
    )
    return Making(job, tuple(shown))


def _class_prompts(scenes: Sequence[RoundScene]) -> dict[str, torch.Tensor]:
    """What each class's prompt starts from: as it was trained, else by the objects of the first scene that has some."""
    prompts: dict[str, torch.Tensor] = {}
    for one in scenes:
        new = tuple(o for o in one.split.training if o.class_name not in prompts)
        prompts = one.current.class_prompts(replace(one.state, objects=new)) | prompts
    return prompts


def _shown(reporter: Reporter, one: RoundScene, classes: Sequence[str], count: int, config: RoundConfig) -> ShownScene:
    """The chips of a scene to train on, at most `count`."""
    split = one.split
    chips: list[TrainingChip] = []
    trained: list[LabelledObject] = []
    left_out = 0
    for date, objects in _by_date(one, split.training).items():
        encoder, share = one.current.on(date).encoder, max(1, round(count * len(objects) / len(split.training)))
        labels = labels_of(objects, classes, one.state, split, _reviewed_on(one, date))
        found = build_chips(reporter, labels, encoder.scene, encoder, share, config)
        chips += found.chips
        trained += [objects[i] for i in found.trained]
        left_out += found.left_out
    judges = tuple(o for o in split.held_out if o.class_name in classes)
    return ShownScene(one, _of_ground(one, chips), tuple(trained), judges, left_out)


def _judging(reporter: Reporter, shown: ShownScene, classes: Sequence[str], total: int) -> tuple[TrainingChip, ...]:
    """The chips of a scene that the round is judged by: its share of the objects that are, of all held-out objects."""
    one = shown.scene
    chips: list[TrainingChip] = []
    for date, objects in _by_date(one, shown.held_out).items():
        encoder, most = one.current.on(date).encoder, max(1, round(JUDGES * len(objects) / total))
        labels = labels_of(objects, classes, one.state, one.split, _reviewed_on(one, date))
        chips += held_out_chips(reporter, labels, encoder.scene, encoder, most)
    return _of_ground(one, chips)


def _by_date(one: RoundScene, objects: Sequence[LabelledObject]) -> dict[str, list[LabelledObject]]:
    """Objects by the date that they are shown on: what is true of one date's pixels may be wrong of another's.

    Those without a date, or of one that the source has no more, are shown on the date in use.
    """
    found: dict[str, list[LabelledObject]] = {}
    for labelled in objects:
        found.setdefault(one.current.encoders.known(labelled.date), []).append(labelled)
    return dict(sorted(found.items()))


def _reviewed_on(one: RoundScene, date: str) -> list[BaseGeometry]:
    """The extents of a scene that were reviewed on a date."""
    pairs = zip(one.state.reviewed, one.state.reviewed_on, strict=True)
    return [extent for extent, when in pairs if one.current.encoders.known(when) == date]


def _of_ground(one: RoundScene, chips: Sequence[TrainingChip]) -> tuple[TrainingChip, ...]:
    """Chips whose groups name the scene too: the same pixels of two scenes are different ground."""
    return tuple(replace(chip, group=f"{one.name}:{chip.group}") for chip in chips)


def card_of(making: Making, outcome: RoundOutcome, identity: Mapping[str, Any], parent: int) -> dict[str, Any]:
    """All that is known of a round, for its card."""
    validation = outcome.validation
    return {
        **identity,
        **outcome_card(outcome, making.job.classes),
        "notes": [*making.notes, *outcome.notes],
        "verdict": UNVALIDATED if validation is None else validation.message,
        "parent": parent,
        **shown_card(making),
        "device": making.job.device,
    }


def shown_card(making: Making) -> dict[str, Any]:
    """What a card says of the labels that training was shown."""
    return {
        "labels": [o.id for o in making.trained],
        "objects": len(making.trained),
        "objects_held_out": len(making.held_out),
        "objects_left_out": making.left_out,
        "chips": len(making.job.chips),
        "scenes": [shown.card for shown in making.scenes],
    }
