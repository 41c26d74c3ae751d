"""How the next round is made: from what is labelled in all scenes to a round or a student that is in use."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from seglab import jobs
from seglab.app.history.state import State
from seglab.app.project.scene_cards import model_bands
from seglab.app.rounds.distilling import LABELLED_WINDOWS, StudentWishes, make_student, unlabelled_windows
from seglab.app.rounds.held_out import require_training, seen_by
from seglab.app.rounds.learner import Learner
from seglab.app.rounds.making import card_of, plan_round
from seglab.app.rounds.round_scenes import RoundScene, common_resolution, typical_sizes, with_held_out
from seglab.app.rounds.rounds import CurrentModel, Round, restore, trained_prompts
from seglab.core.band_labels import labels_to_json
from seglab.encoding.prefixes import prefix_budget, refresh
from seglab.errors import JobRunningError, SegLabError
from seglab.models.device import in_background
from seglab.models.student.spec import student_spec
from seglab.training.job import RoundConfig, RoundOutcome
from seglab.training.process import run_round
from seglab.training.restore import restore_preview

BATCH_ON_GPU = 4
"""Chips per step where there is a GPU."""
REFRESHED = 16
"""Windows seen last that a new round has encoded when it is put in use."""


class Trainer:
    """Makes rounds and students, one at a time.

    Args:
        learner: holds the model that they start from, and uses them.
    """

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self._shown: CurrentModel | None = None
        """The preview of the round that is being trained."""

    def retrain(self, steps: int | None) -> jobs.Job[Round]:
        """Start a round on what is accepted in all scenes: see LabelSession.retrain."""
        current, states = self._free_to_train()
        batch = 1 if self._learner.base.device.type == "cpu" else BATCH_ON_GPU
        config = RoundConfig(seed=current.number, batch=batch)
        if steps is not None:
            config = replace(config, steps=steps)
        self._learner.training = jobs.start(self._train, current, states, config, title="retrain", unit="step")
        return self._learner.training

    def distill(self, wishes: StudentWishes) -> jobs.Job[Round]:
        """Start a student of the model in use: see LabelSession.distill."""
        student_spec(wishes.student)  # says at once when there is none
        current, states = self._free_to_train()
        self._learner.training = jobs.start(
            self._distill, current, states, wishes, title="distill a student", unit="window"
        )
        return self._learner.training

    def _free_to_train(self) -> tuple[CurrentModel, dict[str, State]]:
        """The model in use, and what is labelled in all scenes."""
        if any(other.training in other.running for other in self._learner.opened.learners):
            raise JobRunningError("a round is being trained; wait for it or cancel it first")
        current = self._learner.current
        chronicle = self._learner.opened.chronicle
        self._learner.project.reload_manifest()  # another notebook may have added a scene
        states = {name: chronicle.history.state(scene) for name, scene in self._learner.project.scenes.items()}
        require_training(states.values())  # says at once when there is nothing to train on
        return current, states

    # -- training

    def _train(
        self, reporter: jobs.Reporter, start: CurrentModel, states: Mapping[str, State], config: RoundConfig
    ) -> Round:
        parent = {} if start.number == 0 else self._learner.project.load_round(start.number)[0]
        with ExitStack() as files:
            scenes, notes = self._labelled(start, states, files)
            making = plan_round(
                reporter,
                self._learner.base,
                parent,
                with_held_out(scenes, self._hold_out),
                adapter=self._learner.opened.adapter,
                config=config,
                cache=(self._learner.opened.prefix_folder, prefix_budget(self._learner.project.folder)),
            )
        try:
            outcome = run_round(
                reporter,
                making.job,
                on_preview=lambda tensors: self._preview(start, tensors, making.job.classes),
                isolate=self._learner.opened.isolate,
            )
            card = card_of(making, outcome, self._learner.identity, start.number)
            more = {"notes": [*notes, *card["notes"]], "resolution": common_resolution(scenes)}
            more |= {"sizes": typical_sizes(scenes)} | self._labels()
            return self._keep(reporter, start, outcome, card | more)
        finally:
            self._end_preview(start)

    def _distill(
        self, reporter: jobs.Reporter, start: CurrentModel, states: Mapping[str, State], wishes: StudentWishes
    ) -> Round:
        in_background()
        with ExitStack() as files:
            scenes, notes = self._labelled(start, states, files)
            scenes = with_held_out(scenes, self._hold_out)
            making = plan_round(
                reporter,
                self._learner.base,
                {},
                scenes,
                adapter=self._learner.opened.adapter,
                config=RoundConfig(steps=LABELLED_WINDOWS, augment=False, seed=start.number),
                cache=(self._learner.opened.prefix_folder, prefix_budget(self._learner.project.folder)),
            )
            unlabelled = unlabelled_windows(reporter, scenes)
        tensors, card = make_student(reporter, start, making, unlabelled, self._learner.opened.prefixes, wishes)
        bands = {"bands": list(self._learner.identity["bands"]), "extra_bands": []}
        card |= self._labels() | bands | {"resolution": common_resolution(scenes), "notes": [*notes, *making.notes]}
        with self._learner.ledger.lock:
            number = self._learner.project.save_round(tensors, card)
            self._learner.ledger.tell_all("round")
        return Round(number, start.number, card | {"round": number})

    def _labels(self) -> dict[str, Any]:
        """What is known of the bands that the model sees: the part of a card by which other scenes' are found."""
        return {"band_labels": labels_to_json(model_bands(self._learner.project.manifest))}

    def _labelled(
        self, start: CurrentModel, states: Mapping[str, State], files: ExitStack
    ) -> tuple[list[RoundScene], list[str]]:
        """The scenes with objects, and what to say of those that cannot be read."""
        cards, first = self._learner.project.rounds(), self._learner.project.scene_names[0]
        found, notes = [], []
        for name, state in states.items():
            if not state.objects:
                continue
            try:
                current = start if name == self._learner.name else self._learner.elsewhere(start, name, files)
            except SegLabError as error:
                notes.append(f"scene {name!r} was left out, with its {len(state.objects)} objects: {error}")
                continue
            found.append(RoundScene(name, current, state, seen_by(start.number, cards, name, name == first)))
        require_training([one.state for one in found])
        return found, notes

    def _hold_out(self, one: RoundScene, ground: BaseGeometry, side: int) -> None:
        data = {"geometry": shapely.to_wkb(ground, hex=True), "side": side}
        if one.name == self._learner.name:
            self._learner.ledger.record("held_out", data, "areas")
            return
        ledger = self._learner.ledger.of(self._learner.project.scenes[one.name])
        ledger.record("held_out", data, "areas")
        ledger.close()

    def _keep(self, reporter: jobs.Reporter, start: CurrentModel, outcome: RoundOutcome, card: dict[str, Any]) -> Round:
        """Save a round, and use it unless it is worse than the one before, or the person has chosen another model."""
        encoders = self._learner.encoders(restore(self._learner.base, outcome.tensors, card, self._learner.identity))
        worse = Round(0, start.number, card).worse
        if not worse:  # as long as the job can still be cancelled
            seen = [*self._learner.current.encoder.visited(REFRESHED), *start.encoder.visited(REFRESHED)]
            refresh(reporter, encoders.now(), list(dict.fromkeys(seen))[:REFRESHED])
        with self._learner.ledger.lock:
            number = self._learner.project.save_round(outcome.tensors, card)
            if worse or self._learner.current not in (start, self._shown):
                self._learner.ledger.tell_all("round")
            else:
                fresh = CurrentModel(number, encoders, trained_prompts(encoders.now().model, card))
                self._learner.ledger.record("round", {"number": number}, "round", lambda: self._learner.take(fresh))
        return Round(number, start.number, card | {"round": number})

    def _preview(self, start: CurrentModel, tensors: dict[str, np.ndarray], classes: tuple[str, ...]) -> None:
        """Use the first impression of a round, unless the person has gone to another model meanwhile."""
        model = restore_preview(start.encoder.model, tensors)
        prompts = dict(zip(classes, model.class_prompts.detach(), strict=True))
        shown = CurrentModel(start.number, self._learner.encoders(model), prompts, preview=True)
        with self._learner.ledger.lock:
            if self._learner.current is start:
                self._shown = shown
                self._learner.take(shown)
                self._learner.ledger.tell_all("round")

    def _end_preview(self, start: CurrentModel) -> None:
        """Go back from the preview to where it came from, if it is still in use."""
        with self._learner.ledger.lock:
            shown, self._shown = self._shown, None
            if shown is not None and self._learner.current is shown:
                self._learner.take(start)
                self._learner.ledger.tell_all("round")
