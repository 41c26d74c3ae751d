"""Jobs that look through the whole scene, one at a time: maps, windows encoded for them, and other work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from seglab import jobs
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
from seglab.app.rounds.learner import Learner
from seglab.app.rounds.rounds import CurrentModel
from seglab.app.rounds.students import chosen_student, student_mapper
from seglab.errors import JobRunningError
from seglab.inference.ahead import encode_scene
from seglab.inference.plan import MapSettings
from seglab.inference.sweep import Prediction, Workers, predict_scene

T = TypeVar("T")


class MapJobs:
    """Starts what looks through the whole scene with the model in use.

    Args:
        learner: holds that model.
    """

    def __init__(self, learner: Learner) -> None:
        self._learner = learner

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
        number = None if student is None else chosen_student(self._learner.project.rounds(), student)
        if number is None:
            require_classes(current, state)
        target = new_map_path(self._learner.project.folder_of(self._learner.ledger.scene)) if path is None else path
        settings = MapSettings(scale=scale or map_scale(state), flips=flips, area=state.area_of_interest)
        self._learner.mapping = jobs.start(
            self._predict, current, state, target, settings, workers, number, title="map the scene", unit="Mpx"
        )
        return self._learner.mapping

    def encode(self, state: State) -> jobs.Job[int]:
        """Start to encode the scene: see LabelSession.encode."""
        settings = MapSettings(scale=map_scale(state), area=state.area_of_interest)
        encoder = self._free_to_map().encoder
        self._learner.mapping = jobs.start(encode_scene, encoder, settings, title="encode the scene", unit="Mpx")
        return self._learner.mapping

    def look_through(self, work: Callable[[jobs.Reporter, CurrentModel], T], title: str) -> jobs.Job[T]:
        """Start other work that looks at the whole scene.

        Args:
            work: given a reporter and the model in use.
            title: for a person.

        Raises:
            JobRunningError: there is such work already.
        """
        job = jobs.start(work, self._free_to_map(), title=title, unit="Mpx")
        self._learner.mapping = job
        return job

    def _free_to_map(self) -> CurrentModel:
        """The model in use, which stays with the date in use: another one may be taken meanwhile."""
        if self._learner.mapping is not None and not self._learner.mapping.finished:
            raise JobRunningError("a job looks through the whole scene already; wait for it or cancel it first")
        return self._learner.current.on(self._learner.imagery.date)

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
            scene, device = current.encoder.scene, self._learner.base.device
            encoder, classes = student_mapper(self._learner.project, student, scene, state, device)
        number = current.number if student is None else student
        prediction = predict_scene(reporter, encoder, classes, path, settings, round_number=number, workers=workers)
        describe_map(prediction, self._learner.imagery.scene.grid, current.date or None)
        data = prediction_data(self._learner.project, prediction, state.classes) | dated(current.date or "")
        self._learner.ledger.record("prediction", data, "prediction")
        return prediction
