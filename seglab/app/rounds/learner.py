"""The model of a session: which round is in use, how the next one is made, and the maps it draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from seglab import jobs
from seglab.app.history.ledger import Ledger
from seglab.app.history.redraw import LoadRound
from seglab.app.history.state import State
from seglab.app.labels.labelled import dated
from seglab.app.maps.mapping import (
    describe_map,
    map_scale,
    mapped_classes,
    new_map_path,
    prediction_data,
    require_classes,
)
from seglab.app.project.open_project import OpenProject
from seglab.app.project.scene_cards import grid_card, grid_of
from seglab.app.rounds.distilling import LABELLED_WINDOWS, StudentWishes, make_student, unlabelled_windows
from seglab.app.rounds.held_out import require_training, seen_by, shown_scenes
from seglab.app.rounds.making import card_of, plan_round
from seglab.app.rounds.round_scenes import RoundScene, common_resolution, with_held_out
from seglab.app.rounds.rounds import CurrentModel, Round, identity_of, restore, trained_prompts
from seglab.app.rounds.students import chosen_student, student_mapper
from seglab.core.dated_scenes import DatedScenes
from seglab.core.raster import Scene
from seglab.encoding.encoder import WindowEncoder
from seglab.encoding.encoders import Encoders
from seglab.encoding.prefixes import prefix_budget, refresh
from seglab.errors import JobRunningError, SegLabError
from seglab.inference.ahead import encode_scene
from seglab.inference.plan import MapSettings
from seglab.inference.sweep import Prediction, Workers, predict_scene
from seglab.models.device import in_background
from seglab.models.sam import AdaptedSam
from seglab.models.student.spec import student_spec
from seglab.store.cache import ArrayCache
from seglab.store.schema import scene_cards
from seglab.training.job import RoundConfig, RoundOutcome
from seglab.training.process import run_round
from seglab.training.restore import restore_preview

T = TypeVar("T")

CLOSING = 10.0
"""Seconds that closing waits for a job to end."""
BATCH_ON_GPU = 4
"""Chips per step where there is a GPU."""
REFRESHED = 16
"""Windows seen last that a new round has encoded when it is put in use."""


class Learner:
    """Holds the model in use, as it looks at one scene, and makes the next one.

    Args:
        imagery: of what is being labelled, by date.
        name: the scene's in the project.
        opened: the project, whose scenes all use the same round.
        ledger: where a job's outcome becomes part of the project.
    """

    def __init__(self, imagery: DatedScenes, name: str, opened: OpenProject, ledger: Ledger) -> None:
        self._imagery = imagery
        self._name = name
        self._opened = opened
        self._project = opened.project
        self._base = opened.base
        self._ledger = ledger
        self._extra_bands = tuple(self._project.manifest.get("extra_bands", ()))
        self._identity = identity_of(self._base, opened.adapter, imagery.scene.bands, self._extra_bands)
        self._training: jobs.Job[Round] | None = None
        self._mapping: jobs.Job[Any] | None = None
        self._shown: CurrentModel | None = None
        """The preview of the round that is being trained."""
        with ledger.lock:
            others = opened.learners
            self.current = self._looking_here(others[0].current) if others else self.load(0)
            others.append(self)

    def load(self, number: int) -> CurrentModel:
        """The model of a round, not yet in use; 0 is the model before any.

        Raises:
            UnknownRoundError, ProjectDamagedError: the round is not there, or its files are damaged.
            RoundMismatchError: the round does not fit the model, its bands or its place.
        """
        if number == 0:
            return CurrentModel(0, self._encoders(self._base), {})
        return self._restored(*self._project.load_round(number))

    @property
    def caches(self) -> dict[str, tuple[ArrayCache, ...]]:
        """What is kept of windows, by kind; all of it can be made again."""
        shared = self._opened
        return {"embeddings": (shared.embeddings, shared.ahead), "prefixes": (shared.prefixes,)}

    def take(self, model: CurrentModel) -> None:
        """Use a model from now on, in all scenes that are open."""
        self.current = model
        for other in self._opened.learners:
            if other is not self:
                other.current = other._looking_here(model)

    def retrain(self, steps: int | None) -> jobs.Job[Round]:
        """Start a round on what is accepted in all scenes: see LabelSession.retrain."""
        current, states = self._free_to_train()
        batch = 1 if self._base.device.type == "cpu" else BATCH_ON_GPU
        config = RoundConfig(seed=current.number, batch=batch)
        if steps is not None:
            config = replace(config, steps=steps)
        self._training = jobs.start(self._train, current, states, config, title="retrain", unit="step")
        return self._training

    def distill(self, wishes: StudentWishes) -> jobs.Job[Round]:
        """Start a student of the model in use: see LabelSession.distill."""
        student_spec(wishes.student)  # says at once when there is none
        current, states = self._free_to_train()
        self._training = jobs.start(self._distill, current, states, wishes, title="distill a student", unit="window")
        return self._training

    def _free_to_train(self) -> tuple[CurrentModel, dict[str, State]]:
        """The model in use, and what is labelled in all scenes."""
        if any(other._training in other.running for other in self._opened.learners):
            raise JobRunningError("a round is being trained; wait for it or cancel it first")
        current = self.current
        chronicle = self._opened.chronicle
        self._project.reload_manifest()  # another notebook may have added a scene
        states = {name: chronicle.history.state(scene) for name, scene in self._project.scenes.items()}
        require_training(states.values())  # says at once when there is nothing to train on
        return current, states

    def predict(
        self,
        state: State,
        path: Path | None,
        scale: int | None = None,
        flips: bool = False,
        workers: Workers | None = None,
        student: str | int | None = None,
    ) -> jobs.Job[Prediction]:
        """Start a map: see LabelSession.predict; `student` is the one that makes it."""
        current = self._free_to_map()
        number = None if student is None else chosen_student(self._project.rounds(), student)
        if number is None:
            require_classes(current, state)
        target = new_map_path(self._project.folder_of(self._ledger.scene)) if path is None else path
        settings = MapSettings(scale=scale or map_scale(state), flips=flips, area=state.area_of_interest)
        self._mapping = jobs.start(
            self._predict, current, state, target, settings, workers, number, title="map the scene", unit="Mpx"
        )
        return self._mapping

    def encode(self, state: State) -> jobs.Job[int]:
        """Start to encode the scene: see LabelSession.encode."""
        settings = MapSettings(scale=map_scale(state), area=state.area_of_interest)
        encoder = self._free_to_map().encoder
        self._mapping = jobs.start(encode_scene, encoder, settings, title="encode the scene", unit="Mpx")
        return self._mapping

    def look_through(self, work: Callable[[jobs.Reporter, CurrentModel], T], title: str) -> jobs.Job[T]:
        """Start other work that looks at the whole scene.

        Args:
            work: given a reporter and the model in use.
            title: for a person.

        Raises:
            JobRunningError: there is such work already.
        """
        job = jobs.start(work, self._free_to_map(), title=title, unit="Mpx")
        self._mapping = job
        return job

    def _free_to_map(self) -> CurrentModel:
        """The model in use, which stays with the date in use: another one may be taken meanwhile."""
        if self._mapping is not None and not self._mapping.finished:
            raise JobRunningError("a job looks through the whole scene already; wait for it or cancel it first")
        return self.current.on(self._imagery.date)

    def check(self, tensors: dict[str, np.ndarray], card: dict[str, Any]) -> None:
        """Refuse a round that does not fit.

        Raises:
            RoundMismatchError: see `restore`.
        """
        restore(self._base, tensors, card, self._identity)

    def adopt(self, tensors: dict[str, np.ndarray], card: dict[str, Any], source: str) -> Round:
        """Make a round of another project one of this one, and use it: see LabelSession.import_round."""
        # What it has seen counts here only if it is of the same ground; how it was judged there says nothing here.
        known = {card["name"]: grid_card(grid_of(card)) for card in scene_cards(self._project.manifest)}
        card = card | {
            "parent": 0,
            "labels": [],
            "scenes": [
                {**shown, "name": name}
                for shown in shown_scenes(card)
                for name, grid in known.items()
                if shown.get("grid") == grid
            ],
            "validated": False,
            "validation": None,
            "verdict": f"imported from {source}",
        }
        number = self._project.save_round(tensors, card)
        fresh = self._restored(*self._project.load_round(number))
        self._ledger.record("round", {"number": number}, "round", lambda: self.take(fresh))
        return Round(number, 0, card | {"round": number})

    @property
    def running(self) -> tuple[jobs.Job[Any], ...]:
        """Jobs that read the scene now."""
        return tuple(job for job in (self._training, self._mapping) if job is not None and not job.finished)

    def close(self) -> None:
        """Stop what is running, and wait for it."""
        for job in self.running:
            job.cancel()
            job.wait(CLOSING)
        with self._ledger.lock:
            if self in self._opened.learners:
                self._opened.learners.remove(self)

    # -- how models are made

    def _encoders(self, model: AdaptedSam, imagery: DatedScenes | None = None) -> Encoders:
        to = self._opened

        def make(scene: Scene) -> WindowEncoder:
            return WindowEncoder(scene, model, to.embeddings, to.prefixes, self._extra_bands, to.ahead)

        return Encoders(self._imagery if imagery is None else imagery, make)

    def _looking_here(self, model: CurrentModel) -> CurrentModel:
        """The same model, looking at this scene."""
        return replace(model, encoders=self._encoders(model.encoder.model))

    def _restored(self, tensors: dict[str, np.ndarray], card: dict[str, Any]) -> CurrentModel:
        model = restore(self._base, tensors, card, self._identity)
        return CurrentModel(card["round"], self._encoders(model), trained_prompts(model, card))

    # -- training

    def _train(
        self, reporter: jobs.Reporter, start: CurrentModel, states: Mapping[str, State], config: RoundConfig
    ) -> Round:
        parent = {} if start.number == 0 else self._project.load_round(start.number)[0]
        with ExitStack() as files:
            scenes, notes = self._labelled(start, states, files)
            making = plan_round(
                reporter,
                self._base,
                parent,
                with_held_out(scenes, self._hold_out),
                adapter=self._opened.adapter,
                config=config,
                cache=(self._opened.prefix_folder, prefix_budget(self._project.folder)),
            )
        try:
            outcome = run_round(
                reporter,
                making.job,
                on_preview=lambda tensors: self._preview(start, tensors, making.job.classes),
                isolate=self._opened.isolate,
            )
            card = card_of(making, outcome, self._identity, start.number)
            more = {"notes": [*notes, *card["notes"]], "resolution": common_resolution(scenes)}
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
                self._base,
                {},
                scenes,
                adapter=self._opened.adapter,
                config=RoundConfig(steps=LABELLED_WINDOWS, augment=False, seed=start.number),
                cache=(self._opened.prefix_folder, prefix_budget(self._project.folder)),
            )
            unlabelled = unlabelled_windows(reporter, scenes)
        tensors, card = make_student(reporter, start, making, unlabelled, self._opened.prefixes, wishes)
        bands = {"bands": list(self._imagery.scene.bands), "extra_bands": []}
        card |= bands | {"resolution": common_resolution(scenes), "notes": [*notes, *making.notes]}
        with self._ledger.lock:
            number = self._project.save_round(tensors, card)
            self._ledger.tell_all("round")
        return Round(number, start.number, card | {"round": number})

    def _labelled(
        self, start: CurrentModel, states: Mapping[str, State], files: ExitStack
    ) -> tuple[list[RoundScene], list[str]]:
        """The scenes with objects, and what to say of those that cannot be read."""
        cards, first = self._project.rounds(), self._project.scene_names[0]
        found, notes = [], []
        for name, state in states.items():
            if not state.objects:
                continue
            try:
                current = start if name == self._name else self._elsewhere(start, name, files)
            except SegLabError as error:
                notes.append(f"scene {name!r} was left out, with its {len(state.objects)} objects: {error}")
                continue
            found.append(RoundScene(name, current, state, seen_by(start.number, cards, name, name == first)))
        require_training([one.state for one in found])
        return found, notes

    def _elsewhere(self, model: CurrentModel, name: str, files: ExitStack) -> CurrentModel:
        """The same model, looking at another scene, which is open as long as `files` is."""
        imagery = self._opened.imagery(name)
        files.callback(imagery.close)
        return replace(model, encoders=self._encoders(model.encoder.model, imagery))

    def load_elsewhere(self, name: str, files: ExitStack) -> LoadRound:
        """What loads rounds as `load` does, to look at any scene.

        Args:
            name: the scene's.
            files: keeps it open.
        """
        return self.load if name == self._name else lambda number: self._elsewhere(self.load(number), name, files)

    def _hold_out(self, one: RoundScene, ground: BaseGeometry, side: int) -> None:
        data = {"geometry": shapely.to_wkb(ground, hex=True), "side": side}
        if one.name == self._name:
            self._ledger.record("held_out", data, "areas")
            return
        ledger = self._ledger.of(self._project.scenes[one.name])
        ledger.record("held_out", data, "areas")
        ledger.close()

    def _keep(self, reporter: jobs.Reporter, start: CurrentModel, outcome: RoundOutcome, card: dict[str, Any]) -> Round:
        """Save a round, and use it unless it is worse than the one before, or the person has chosen another model."""
        encoders = self._encoders(restore(self._base, outcome.tensors, card, self._identity))
        worse = Round(0, start.number, card).worse
        if not worse:  # as long as the job can still be cancelled
            seen = [*self.current.encoder.visited(REFRESHED), *start.encoder.visited(REFRESHED)]
            refresh(reporter, encoders.now(), list(dict.fromkeys(seen))[:REFRESHED])
        with self._ledger.lock:
            number = self._project.save_round(outcome.tensors, card)
            if worse or self.current not in (start, self._shown):
                self._ledger.tell_all("round")
            else:
                fresh = CurrentModel(number, encoders, trained_prompts(encoders.now().model, card))
                self._ledger.record("round", {"number": number}, "round", lambda: self.take(fresh))
        return Round(number, start.number, card | {"round": number})

    def _preview(self, start: CurrentModel, tensors: dict[str, np.ndarray], classes: tuple[str, ...]) -> None:
        """Use the first impression of a round, unless the person has gone to another model meanwhile."""
        model = restore_preview(start.encoder.model, tensors)
        prompts = dict(zip(classes, model.class_prompts.detach(), strict=True))
        shown = CurrentModel(start.number, self._encoders(model), prompts, preview=True)
        with self._ledger.lock:
            if self.current is start:
                self._shown = shown
                self.take(shown)
                self._ledger.tell_all("round")

    def _end_preview(self, start: CurrentModel) -> None:
        """Go back from the preview to where it came from, if it is still in use."""
        with self._ledger.lock:
            shown, self._shown = self._shown, None
            if shown is not None and self.current is shown:
                self.take(start)
                self._ledger.tell_all("round")

    # -- maps

    def _predict(
        self,
        reporter: jobs.Reporter,
        current: CurrentModel,
        state: State,
        path: Path,
        settings: MapSettings,
        workers: Workers | None,
        student: int | None,
    ) -> Prediction:
        if student is None:
            encoder, classes = current.encoder, mapped_classes(current, state)
        else:
            encoder, classes = student_mapper(self._project, student, current.encoder.scene, state, self._base.device)
        number = current.number if student is None else student
        prediction = predict_scene(reporter, encoder, classes, path, settings, round_number=number, workers=workers)
        describe_map(prediction, self._imagery.scene.grid, current.date or None)
        data = prediction_data(self._project, prediction, state.classes) | dated(current.date or "")
        self._ledger.record("prediction", data, "prediction")
        return prediction
