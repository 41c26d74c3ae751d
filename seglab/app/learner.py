"""The model of a session: which round is in use, how the next one is made, and the maps it draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from seglab import jobs
from seglab.app.mapping import map_scale, mapped_classes, new_map_path, prediction_data, require_classes
from seglab.app.rounds import CurrentModel, Round, labels_of, restore, train, trained_prompts
from seglab.app.state import State
from seglab.core.raster import Scene
from seglab.encoding.encoder import WindowEncoder
from seglab.errors import JobRunningError
from seglab.inference.sweep import Prediction, predict_scene
from seglab.models.sam import AdaptedSam
from seglab.store.cache import ArrayCache
from seglab.store.project import Project
from seglab.training.loop import RoundConfig
from seglab.training.samples import Labels

CACHE_BYTES = 256 * 2**20
"""Budget of the in-memory embedding cache: about 200 windows of the embedded model."""


class Record(Protocol):
    """How a job's outcome becomes part of the project, all at once."""

    def __call__(self, kind: str, data: dict[str, Any], what: str, apply: Callable[[], None] | None = None) -> int:
        """Put an event on disk, then call `apply`, then tell listeners that `what` changed."""


class Learner:
    """Holds the model in use and makes the next one.

    Args:
        scene: what is being labelled.
        project: where rounds are kept.
        base: the model before any round.
        record: see Record.
    """

    def __init__(self, scene: Scene, project: Project, base: AdaptedSam, record: Record) -> None:
        self._scene = scene
        self._project = project
        self._base = base
        self._record = record
        self._cache = ArrayCache(CACHE_BYTES)
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
            return CurrentModel(0, WindowEncoder(self._scene, self._base, self._cache), {})
        tensors, card = self._project.load_round(number)
        return self._wrapped(number, restore(self._base, tensors, card, self._scene.bands), card)

    def take(self, model: CurrentModel) -> None:
        """Use a model from now on."""
        self.current = model

    def retrain(self, state: State, steps: int | None) -> jobs.Job[Round]:
        """Start a round: see LabelSession.retrain."""
        if self._training is not None and not self._training.finished:
            raise JobRunningError("a round is being trained; wait for it or cancel it first")
        labels, current = labels_of(state), self.current
        config = RoundConfig(seed=current.number)
        if steps is not None:
            config = replace(config, steps=steps)
        self._training = jobs.start(self._train, current, state, labels, config, title="retrain", unit="step")
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

    def _wrapped(self, number: int, model: AdaptedSam, card: dict[str, Any]) -> CurrentModel:
        encoder = WindowEncoder(self._scene, model, self._cache)
        return CurrentModel(number, encoder, trained_prompts(model, card))

    def _train(
        self, reporter: jobs.Reporter, start: CurrentModel, state: State, labels: Labels, config: RoundConfig
    ) -> Round:
        prompts = start.class_prompts(state.objects)
        model, tensors, card = train(reporter, start.encoder, labels, prompts, config)
        card |= {"parent": start.number, "labels": [o.id for o in state.objects]}
        number = self._project.save_round(tensors, card)
        fresh = self._wrapped(number, model, card)
        self._record("round", {"number": number}, "round", lambda: self.take(fresh))
        return Round(number, start.number, card | {"round": number})

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
        self._record("prediction", prediction_data(self._project, prediction), "prediction")
        return prediction
