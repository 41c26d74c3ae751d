"""What a session has to look at: the scene's looks and its maps."""

from __future__ import annotations

from collections.abc import Mapping

from seglab.app.history.state import State
from seglab.app.maps.mapping import prediction_of
from seglab.app.project.looks import Look, presets
from seglab.core.raster import Scene
from seglab.inference.sweep import Prediction
from seglab.store.project import Project


class Looking:
    """The part of a LabelSession that says what can be shown. Looking changes nothing: no cache, no round, no event."""

    project: Project
    scene: Scene
    state: State

    @property
    def looks(self) -> Mapping[str, Look]:
        """Looks that the scene's bands allow, by title; the first is the model's input."""
        return presets(self.scene)

    @property
    def prediction(self) -> Prediction | None:
        """The latest map of the scene, if its files are still there."""
        return prediction_of(self.project, self.state.prediction)

    @property
    def former_prediction(self) -> Prediction | None:
        """The latest map before that one, if its files are still there and no other map was written over them."""
        return prediction_of(self.project, self.state.former_prediction)
