"""What a session does with the other scenes of its project."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seglab.app.history.ledger import Ledger
from seglab.app.project.open_project import OpenProject
from seglab.app.rounds.learner import Learner

if TYPE_CHECKING:
    from seglab.app.session import LabelSession


class SceneKeeping:
    """The part of a LabelSession that knows that its scene is one of several.

    Classes and rounds are those of the project; labels, maps and areas belong to a scene.
    """

    scene_name: str
    _ledger: Ledger
    _learner: Learner
    _opened: OpenProject

    @property
    def scenes(self) -> Mapping[str, int]:
        """How many accepted objects each scene of the project has, by its name; in order, the first one first."""
        chronicle = self._opened.chronicle
        with self._ledger.lock:
            self.project.reload_manifest()
            return {name: chronicle.history.count(scene) for name, scene in self.project.scenes.items()}

    def add_scene(self, source: Any) -> str:
        """Add a scene to the project, after the others; one that is there already stays as it is.

        Args:
            source: see `seglab.open`. It may lie elsewhere, in another CRS and resolution, but has the bands that the
                model sees.

        Returns:
            Its name, for `open_scene`.

        Raises:
            SceneNotFoundError, NotARasterError, EmptySceneError, UnsupportedSceneError, DamagedSceneError: see
                Scene.open.
            BandError: it lacks a band.
        """
        name = self._opened.add(source)
        self._ledger.tell_all("scenes")
        return name

    def open_scene(self, name: str) -> LabelSession:
        """A session on another scene of the project, beside this one, which stays open; `leave` this one if need be.

        The model is loaded already, both use the same round, and each knows at once what is done in the other.

        Args:
            name: one of `scenes`.

        Raises:
            ProjectError: there is no such scene, or another one stands in its place.
            SceneNotFoundError, NotARasterError, DamagedSceneError: it cannot be read any more.
        """
        self.project.reload_manifest()
        session = type(self)(self._opened.imagery(name), self._opened, name)
        self._opened.remember(name)
        return session

    def leave(self) -> None:
        """Close the session as soon as its jobs are done; until then they go on."""
        running = self._learner.running
        if not running:
            self.close()
        for job in running:
            job.subscribe(lambda ended: self.leave() if ended.finished else None)
