"""The model of a session: which round is in use, how the next one is made, and the maps it draws."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from seglab import jobs
from seglab.app.held_out import Split, footprint, labels_of, seen_by, split_objects
from seglab.app.ledger import Ledger
from seglab.app.mapping import (
    map_scale,
    mapped_classes,
    new_map_path,
    prediction_data,
    require_classes,
)
from seglab.app.rounds import CurrentModel, Round, identity_of, outcome_card, restore, trained_prompts
from seglab.app.state import State
from seglab.core.raster import Scene
from seglab.encoding.encoder import WindowEncoder
from seglab.encoding.prefixes import PREFIX_FOLDER, prefix_budget, refresh
from seglab.errors import JobRunningError
from seglab.inference.sweep import Prediction, predict_scene
from seglab.models.sam import AdaptedSam
from seglab.store.cache import ArrayCache
from seglab.store.project import Project
from seglab.training.job import RoundConfig, RoundOutcome, TrainingJob
from seglab.training.plan import plan
from seglab.training.process import run_round
from seglab.training.restore import restore_preview
from seglab.training.samples import build_chips, held_out_chips
from seglab.training.validation import MINIMUM_LABELLED, choose_blocks

EMBEDDING_BYTES = 256 * 2**20
"""Budget of the embeddings in memory: over 1,000 windows of the embedded model."""
UNVALIDATED = "not validated: there are too few held-out objects yet"
REFRESHED = 16
"""Windows seen last that a new round has encoded when it is put in use."""


class Learner:
    """Holds the model in use and makes the next one.

    Args:
        scene: what is being labelled.
        project: where rounds are kept.
        base: the model before any round.
        ledger: where a job's outcome becomes part of the project.
        adapter: the family of adapters that rounds train.
        isolate: train in a process of its own.
    """

    def __init__(
        self,
        scene: Scene,
        project: Project,
        base: AdaptedSam,
        ledger: Ledger,
        adapter: str,
        isolate: bool,
    ) -> None:
        self._scene = scene
        self._project = project
        self._base = base
        self._ledger = ledger
        self._isolate = isolate
        self._extra_bands = tuple(project.manifest.get("extra_bands", ()))
        self._identity = identity_of(base, adapter, scene.bands, self._extra_bands)
        self._prefix_folder = project.cache_folder / PREFIX_FOLDER
        self._embeddings = ArrayCache(EMBEDDING_BYTES)
        self._prefixes = ArrayCache(prefix_budget(project.folder), self._prefix_folder)
        self._training: jobs.Job[Round] | None = None
        self._mapping: jobs.Job[Prediction] | None = None
        self.current = self.load(0)

    def load(self, number: int) -> CurrentModel:
        """The model of a round, not yet in use; 0 is the model before any.

        Raises:
            UnknownRoundError, ProjectDamagedError: the round is not there, or its files are damaged.
            RoundMismatchError: the round does not fit the model, its bands or its place.
        """
        if number == 0:
            return CurrentModel(0, self._encoder(self._base), {})
        return self._restored(*self._project.load_round(number))

    def take(self, model: CurrentModel) -> None:
        """Use a model from now on."""
        self.current = model

    def retrain(self, state: State, steps: int | None) -> jobs.Job[Round]:
        """Start a round: see LabelSession.retrain."""
        if self._training is not None and not self._training.finished:
            raise JobRunningError("a round is being trained; wait for it or cancel it first")
        current = self.current
        split_objects(state, ())  # says at once when there is nothing to train on
        config = RoundConfig(seed=current.number)
        if steps is not None:
            config = replace(config, steps=steps)
        self._training = jobs.start(self._train, current, state, config, title="retrain", unit="step")
        return self._training

    def predict(self, state: State, path: Path | None) -> jobs.Job[Prediction]:
        """Start a map: see LabelSession.predict."""
        if self._mapping is not None and not self._mapping.finished:
            raise JobRunningError("the scene is being mapped; wait for it or cancel it first")
        current = self.current
        require_classes(current, state)
        target = new_map_path(self._project) if path is None else path
        self._mapping = jobs.start(self._predict, current, state, target, title="map the scene", unit="Mpx")
        return self._mapping

    def adopt(self, tensors: dict[str, np.ndarray], card: dict[str, Any], source: str) -> Round:
        """Make a round of another project one of this one, and use it: see LabelSession.import_round."""
        restore(self._base, tensors, card, self._identity)
        card = card | {"parent": 0, "labels": [], "imported_from": source, "used": True}
        number = self._project.save_round(tensors, card)
        fresh = self._restored(*self._project.load_round(number))
        self._ledger.record("round", {"number": number}, "round", lambda: self.take(fresh))
        return Round(number, 0, card | {"round": number})

    # -- how models are made

    def _encoder(self, model: AdaptedSam) -> WindowEncoder:
        return WindowEncoder(self._scene, model, self._embeddings, self._prefixes, self._extra_bands)

    def _restored(self, tensors: dict[str, np.ndarray], card: dict[str, Any]) -> CurrentModel:
        model = restore(self._base, tensors, card, self._identity)
        return CurrentModel(card["round"], self._encoder(model), trained_prompts(model, card))

    # -- training

    def _train(self, reporter: jobs.Reporter, start: CurrentModel, state: State, config: RoundConfig) -> Round:
        seen = seen_by(start.number, self._project.rounds())
        state = self._with_held_out(state, seen)
        split = split_objects(state, seen)
        prompts = start.class_prompts(split.training)
        # Classes that nobody has an object of stay out of the softmax.
        classes = tuple(name for name in state.classes if name in prompts)
        job = self._job(reporter, start, state, split, prompts, classes, config)
        try:
            outcome = run_round(
                reporter,
                job,
                on_preview=lambda tensors: self._preview(start, tensors, classes),
                isolate=self._isolate,
            )
            return self._keep(reporter, start, outcome, self._card(start, state, split, job, outcome))
        finally:
            self._end_preview(start)

    def _with_held_out(self, state: State, seen: set[int]) -> State:
        """The state with ground to judge rounds on, chosen when there are enough objects, once and for all."""
        if state.held_out is not None or len(state.objects) < MINIMUM_LABELLED:
            return state
        side = self._base.spec.image_size * map_scale(state)
        outlines = {o.id: o.geometry for o in state.objects}
        ground = choose_blocks(self._scene.grid.shape, side, outlines, seen)
        if ground is None or ground.is_empty:
            return state
        self._ledger.record("held_out", {"geometry": shapely.to_wkb(ground, hex=True), "side": side}, "labels")
        return replace(state, held_out=ground)

    def _job(
        self,
        reporter: jobs.Reporter,
        start: CurrentModel,
        state: State,
        split: Split,
        prompts: dict[str, Any],
        classes: tuple[str, ...],
        config: RoundConfig,
    ) -> TrainingJob:
        """All that a round needs, as plain arrays."""
        encoder = start.encoder
        labels = labels_of(split.training, classes, state, split)
        judges = [o for o in split.held_out if o.class_name in classes]
        held_out = labels_of(judges, classes, state, split)
        parent = {} if start.number == 0 else self._project.load_round(start.number)[0]
        return TrainingJob(
            origin=self._base.origin,
            adapt_from=self._base.adapt_from,
            adapter=self._identity["adapter"],
            extra_bands=len(self._extra_bands),
            parent=parent,
            classes=classes,
            class_prompts=np.stack([prompts[name].detach().float().cpu().numpy() for name in classes]),
            chips=tuple(build_chips(reporter, labels, self._scene, encoder, config.steps, config)),
            held_out=tuple(held_out_chips(held_out, self._scene, encoder)),
            config=config,
            cache_folder=self._prefix_folder,
            cache_bytes=prefix_budget(self._project.folder),
            device=str(self._base.device),
        )

    def _card(
        self, start: CurrentModel, state: State, split: Split, job: TrainingJob, outcome: RoundOutcome
    ) -> dict[str, Any]:
        """All that is known of a round."""
        scene, grid = self._scene, self._scene.grid
        labels = labels_of(split.training, job.classes, state, split)
        places = plan(labels, self._base.spec.image_size, grid.shape, job.config.steps, job.config.augment)
        return (
            self._identity
            | outcome_card(outcome, job.classes)
            | {
                "parent": start.number,
                "labels": [o.id for o in split.training],
                "objects": len(split.training),
                "objects_held_out": len(split.held_out),
                "objects_left_out": places.left_out,
                "chips": len(job.chips),
                "scene": scene.name,
                "footprint": footprint(split.training),
                "crs": None if grid.crs is None else grid.crs.to_string(),
                "pixel_size_m": grid.pixel_size_m,
                "device": str(self._base.device),
            }
        )

    def _keep(self, reporter: jobs.Reporter, start: CurrentModel, outcome: RoundOutcome, card: dict[str, Any]) -> Round:
        """Save a round, and use it unless it is worse than the one before."""
        validation = outcome.validation
        used = validation is None or validation.verdict != "worse"
        card |= {"used": used, "verdict": UNVALIDATED if validation is None else validation.message}
        encoder = self._encoder(restore(self._base, outcome.tensors, card, self._identity))
        if used:  # as long as the job can still be cancelled
            refresh(reporter, encoder, start.encoder.visited(REFRESHED))
        number = self._project.save_round(outcome.tensors, card)
        if used:
            fresh = CurrentModel(number, encoder, trained_prompts(encoder.model, card))
            self._ledger.record("round", {"number": number}, "round", lambda: self.take(fresh))
        else:
            self._ledger.tell("round")
        return Round(number, start.number, card | {"round": number})

    def _preview(self, start: CurrentModel, tensors: dict[str, np.ndarray], classes: tuple[str, ...]) -> None:
        """Use the first impression of a round, unless the person has gone to another model meanwhile."""
        if self.current is not start:
            return
        model = restore_preview(start.encoder.model, tensors)
        prompts = dict(zip(classes, model.class_prompts.detach(), strict=True))
        self.take(CurrentModel(start.number, self._encoder(model), prompts, preview=True))
        self._ledger.tell("round")

    def _end_preview(self, start: CurrentModel) -> None:
        if self.current.preview:
            self.take(start)
            self._ledger.tell("round")

    # -- maps

    def _predict(self, reporter: jobs.Reporter, current: CurrentModel, state: State, path: Path) -> Prediction:
        prediction = predict_scene(
            reporter,
            self._scene,
            current.encoder,
            mapped_classes(current, state),
            path,
            scale=map_scale(state),
            round_number=current.number,
        )
        self._ledger.record("prediction", prediction_data(self._project, prediction), "prediction")
        return prediction
