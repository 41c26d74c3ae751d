"""The model of a session: which round is in use, how the next one is made, and the maps it draws."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from seglab import jobs
from seglab.app.mapping import map_scale, mapped_classes, new_map_path
from seglab.app.rounds import CurrentModel, Round, labels_of, restore, train, trained_prompts
from seglab.app.state import State
from seglab.core.raster import Scene
from seglab.encoding.encoder import WindowEncoder
from seglab.errors import JobRunningError
from seglab.inference.sweep import MappedClass, Prediction, predict_scene
from seglab.models.sam import AdaptedSam
from seglab.store.cache import ArrayCache
from seglab.store.project import Project
from seglab.training.loop import RoundConfig
from seglab.training.samples import Labels

CACHE_BYTES = 256 * 2**20
"""Budget of the in-memory embedding cache: about 200 windows of the embedded model."""

Record = Callable[[str, dict[str, Any], str], int]
"""Puts an event of a kind, with its data, on disk, and tells listeners what changed."""


class Learner:
    """Holds the model in use and swaps in new rounds.

    Args:
        scene: what is being labelled.
        project: where rounds are kept.
        base: the model before any round.
        record: how an event becomes part of the project.
    """

    def __init__(self, scene: Scene, project: Project, base: AdaptedSam, record: Record) -> None:
        self._scene = scene
        self._project = project
        self._base = base
        self._record = record
        self._cache = ArrayCache(CACHE_BYTES)
        self._training: jobs.Job[Round] | None = None
        self.current = CurrentModel(0, WindowEncoder(scene, base, self._cache), {})

    def take(self, number: int) -> None:
        """Use a round from now on; 0 is the model before any.

        Raises:
            RoundMismatchError: the round does not fit the model, its bands or its place.
        """
        if number == 0:
            self.current = CurrentModel(0, WindowEncoder(self._scene, self._base, self._cache), {})
            return
        tensors, card = self._project.load_round(number)
        self.current = self._wrapped(number, restore(self._base, tensors, card, self._scene.bands), card)

    def retrain(self, state: State, steps: int | None) -> jobs.Job[Round]:
        """Start a round: see LabelSession.retrain."""
        if self._training is not None and not self._training.finished:
            raise JobRunningError("a round is being trained; wait for it or cancel it first")
        labels = labels_of(state)
        config = RoundConfig() if steps is None else RoundConfig(steps=steps)
        self._training = jobs.start(self._train, state, labels, config, title="retrain", unit="step")
        return self._training

    def predict(self, state: State, path: Path | None) -> jobs.Job[Prediction]:
        """Start a map: see LabelSession.predict."""
        mapped = mapped_classes(self.current, state)
        target = new_map_path(self._project) if path is None else path
        return jobs.start(
            self._predict, self.current, mapped, target, map_scale(state), title="map the scene", unit="Mpx"
        )

    def _wrapped(self, number: int, model: AdaptedSam, card: dict[str, Any]) -> CurrentModel:
        encoder = WindowEncoder(self._scene, model, self._cache)
        return CurrentModel(number, encoder, trained_prompts(model, card))

    def _train(self, reporter: jobs.Reporter, state: State, labels: Labels, config: RoundConfig) -> Round:
        start = self.current
        prompts = start.class_prompts(state.objects)
        model, tensors, card = train(reporter, start.encoder, labels, prompts, config)
        card |= {"parent": start.number, "labels": [o.id for o in state.objects]}
        number = self._project.save_round(tensors, card)
        self.current = self._wrapped(number, model, card)
        self._record("round", {"number": number}, "round")
        return Round(number, start.number, card | {"round": number})

    def _predict(
        self, reporter: jobs.Reporter, current: CurrentModel, mapped: list[MappedClass], path: Path, scale: int
    ) -> Prediction:
        prediction = predict_scene(
            reporter, self._scene, current.encoder, mapped, path, scale=scale, round_number=current.number
        )
        paths = {"path": prediction.path, "confidence": prediction.confidence_path}
        data = {name: str(p.absolute()) for name, p in paths.items()}
        self._record("prediction", data | {"round": current.number}, "prediction")
        return prediction
