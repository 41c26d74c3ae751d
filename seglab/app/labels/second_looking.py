"""What a session does about labels that may be wrong: asks its rounds, and keeps a person's answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import shapely
import torch
from shapely.geometry.base import BaseGeometry

from seglab import jobs
from seglab.active.label_noise import AT_LEAST, BACKGROUND, Opinion, contradictions
from seglab.app.history.label_events import FRINGE
from seglab.app.history.ledger import Ledger
from seglab.app.history.state import State
from seglab.app.labels.doubts import Doubt, doubt
from seglab.app.labels.labelled import LabelledObject
from seglab.app.rounds.held_out import seen_by
from seglab.app.rounds.learner import Learner
from seglab.app.rounds.rounds import CurrentModel, Round
from seglab.core.masks import rasterize
from seglab.core.windows import Window
from seglab.errors import SecondLookError
from seglab.inference.mapper import decoded_classes, probabilities

ROUNDS = 3
"""Rounds that are asked, the latest ones."""


@dataclass(frozen=True)
class Witness:
    """A round that is asked."""

    number: int
    load: Callable[[], CurrentModel]
    learned: frozenset[int]
    """Ids of the objects that it, or a round it started from, was trained on."""
    biased: frozenset[int]
    """Ids of those that it cannot judge: it has learned another label for that ground."""


class SecondLooking:
    """The part of a LabelSession that says which labels its rounds contradict."""

    _ledger: Ledger
    _learner: Learner
    _doubts: tuple[Doubt, ...] | None
    scene_name: str
    state: State
    rounds: list[Round]

    def second_look(self, rounds: int = ROUNDS, reporter: jobs.Reporter | None = None) -> list[Doubt]:
        """The accepted objects that rounds consistently contradict, the surest first.

        Each of the latest rounds looks at each object again. See active.label_noise for what counts: a round that has
        learned from an object agrees with it easily, so that this is no evidence for the label. What a person is
        unsure of, and what was kept after a second look, is left out.

        Args:
            rounds: how many are asked, of the round in use and those it came from; at least two.
            reporter: for calls inside a job; told how many windows have been looked at.

        Raises:
            SecondLookError: there are not two rounds yet.
        """
        with self._ledger.acting():  # not while the rounds look, which takes a while
            state = self.state
            witnesses = self._witnesses(state, rounds)
        asked = [o for o in state.objects if not o.unsure and not o.kept]
        opinions: dict[int, list[Opinion]] = {o.id: [] for o in asked}
        windows, reporter = _by_window(asked), reporter or jobs.SilentReporter()
        for place, witness in enumerate(witnesses):
            model = witness.load()
            prompts = model.class_prompts(replace(state, objects=()))  # only what it was trained for
            for done, ((date, window), objects) in enumerate(windows.items(), start=place * len(windows) + 1):
                known = [o for o in objects if o.class_name in prompts and o.id not in witness.biased]
                for o, shares in zip(known, _shares(model, date, window, known, prompts), strict=True):
                    opinions[o.id].append(Opinion(witness.number, shares, o.id in witness.learned))
                reporter.update(done, len(witnesses) * len(windows), message=f"round {witness.number} looks again")
        by_id = {o.id: o for o in asked}
        found = contradictions({o.id: o.class_name for o in asked}, opinions)
        self._doubts = tuple(doubt(by_id[number], one) for number, one in found.items())
        self._ledger.tell("doubts")
        return list(self.doubts)

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """What the last `second_look` has found, without what was kept, changed or deleted since."""
        now = {o.id: o for o in self.state.objects}
        return tuple(one for one in self._doubts or () if _stands(one.object, now.get(one.id)))

    def keep(self, *object_ids: int) -> None:
        """Say that objects are right as they are; `second_look` leaves them out until their class is changed.

        Raises:
            UnknownObjectError: there is no such object.
        """
        with self._ledger.acting():
            self._ledger.record("keep", {"objects": self._known_objects(object_ids)}, "labels")

    # -- parts

    def _witnesses(self, state: State, most: int) -> list[Witness]:
        """The round in use and those that it came from, oldest first; without those that were worse."""
        by_number = {one.number: one for one in self.rounds}
        number, found = state.round, []
        while number in by_number and len(found) < max(most, AT_LEAST):
            if not by_number[number].worse:
                found.append(self._witness(number, state))
            number = by_number[number].parent
        if len(found) < AT_LEAST:
            raise SecondLookError(
                "a second look needs two rounds that follow each other, the later one in use; train rounds until there "
                "are, then ask again"
            )
        return found[::-1]

    def _witness(self, number: int, state: State) -> Witness:
        learner = self._learner
        is_first = self.scene_name == learner.project.scene_names[0]
        seen = seen_by(number, learner.project.rounds(), self.scene_name, is_first)
        done = self._ledger.in_force()
        made = max((e.id for e in done if e.kind == "round" and e.data["number"] == number), default=0)
        changed = {i for e in done if e.kind == "edit" and "class" in e.data and e.id > made for i in e.data["objects"]}
        learned = frozenset(o.id for o in state.objects if o.id in seen.ids)
        shapely.prepare(seen.ground)
        others = {o.id for o in state.objects if o.id not in learned and _overlaps(o, seen.ground)}
        return Witness(number, self._loading(number), learned, frozenset(others | (changed & learned)))

    def _loading(self, number: int) -> Callable[[], CurrentModel]:
        current = self._learner.current
        if number == current.number and not current.preview:
            return lambda: current
        return lambda: self._learner.load(number)


def _overlaps(labelled: LabelledObject, ground: BaseGeometry) -> bool:
    """Whether more than a fringe of an object lies on some ground: it was drawn anew since, or split, or merged."""
    outline = labelled.geometry
    return ground.intersects(outline) and ground.intersection(outline).area > FRINGE * outline.area


def _stands(asked: LabelledObject, now: LabelledObject | None) -> bool:
    """Whether an object is still as it was when it was doubted, and nobody has kept it."""
    if now is None or now.kept or now.unsure:
        return False
    return now.class_name == asked.class_name and now.geometry.equals(asked.geometry)


def _by_window(objects: Sequence[LabelledObject]) -> dict[tuple[str, Window], list[LabelledObject]]:
    """Objects by the date and window that they were accepted in: one look serves all of one window."""
    found: dict[tuple[str, Window], list[LabelledObject]] = {}
    for labelled in objects:
        found.setdefault((labelled.date, labelled.window), []).append(labelled)
    return found


def _shares(
    model: CurrentModel,
    date: str,
    window: Window,
    objects: Sequence[LabelledObject],
    prompts: Mapping[str, torch.Tensor],
) -> list[dict[str, float]]:
    """The mean probability of background and classes inside each outline."""
    if not objects:
        return []
    encoder = model.on(date).encoder
    encoder.store_prefix(window)  # the next round needs no more than that
    logits = decoded_classes(encoder, encoder.embedding(window, keep=False), torch.stack(list(prompts.values())))
    chances = probabilities(logits, window.model_shape)
    found = []
    for labelled in objects:
        inside = rasterize(labelled.geometry, window)
        if not inside.any():  # smaller than a cell of the model's input
            inside = rasterize(labelled.geometry.buffer(window.scale), window)
        means = chances[:, inside].mean(1) if inside.any() else chances.mean((1, 2))
        found.append(dict(zip((BACKGROUND, *prompts), means.tolist(), strict=True)))
    return found
