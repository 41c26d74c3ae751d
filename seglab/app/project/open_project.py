"""A project that is open in this process: what the sessions on its scenes share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seglab.app.history.chronicle import Chronicle
from seglab.app.project.scene_cards import (
    bands_of,
    first_difference,
    found_bands,
    grid_card,
    model_bands,
    path_of,
    scene_card,
    source_of,
)
from seglab.core.dated_scenes import DatedScenes
from seglab.encoding.prefixes import PREFIX_FOLDER, prefix_budget
from seglab.errors import ProjectError
from seglab.models.sam import AdaptedSam
from seglab.store.cache import ArrayCache
from seglab.store.project import Project
from seglab.store.schema import scene_cards

if TYPE_CHECKING:
    from seglab.app.rounds.learner import Learner

EMBEDDING_BYTES = 192 * 2**20
"""Budget of the embeddings in memory that were asked for: 1,000 windows of the embedded model, 100 of vit_b."""
AHEAD_BYTES = 64 * 2**20
"""Budget of those that nobody has asked for yet: 330 windows of the embedded model, 33 of vit_b."""
LAST_SCENE = "last_scene"
"""Key of the manifest: the name of the scene that was opened last."""


class OpenProject:
    """The log, the base model and the caches of a project, for all its scenes.

    Args:
        project: the folder.
        base: the model before any round.
        author: who labels; the account's name if None.
        adapter: the family of adapters that rounds train.
        isolate: train in a process of its own.

    Attributes:
        chronicle: the log.
        learners: of the sessions that are open; they use the same round.
        sources: what scenes were opened from in this process, by name: an array is nowhere else.
    """

    def __init__(self, project: Project, base: AdaptedSam, author: str | None, adapter: str, isolate: bool) -> None:
        self.project = project
        self.base = base
        self.author = author
        self.adapter = adapter
        self.isolate = isolate
        self.chronicle = Chronicle(project)
        self.learners: list[Learner] = []
        self.sources: dict[str, Any] = {}
        self.prefix_folder = (project.cache_folder / PREFIX_FOLDER).absolute()
        self.embeddings = ArrayCache(EMBEDDING_BYTES)
        self.ahead = ArrayCache(AHEAD_BYTES)
        self.prefixes = ArrayCache(prefix_budget(project.folder), self.prefix_folder)

    @property
    def manifest(self) -> dict[str, Any]:
        """The project's, with the paths where the scenes are now."""
        self.project.reload_manifest()
        manifest = self.project.manifest
        for card in scene_cards(manifest):
            card["path"] = path_of(card, self.project.folder)
        return manifest

    def imagery(self, name: str) -> DatedScenes:
        """Open a scene of the project, in the bands of its model, on the date that was in use last.

        Raises:
            ProjectError: it has no scene of that name, or what stands in its place is another one.
            SceneNotFoundError, NotARasterError, EmptySceneError, UnsupportedSceneError, BandError: see Scene.open.
        """
        card = self._card(name)
        source = self.sources[name] if name in self.sources else source_of(card, self.project.folder)
        imagery = DatedScenes.open(source, self.bands(name)["bands"])
        if card.get("date") in imagery.dates:
            imagery.use(card["date"])
        scene = imagery.scene
        key = first_difference({**grid_card(scene.grid), "identity": card["identity"]}, card)
        if key is not None:
            imagery.close()
            raise ProjectError(
                f"{scene.path!r} is not scene {name!r} of project {str(self.project.folder)!r}: its {key} is another; "
                "put the scene back, or say where it is now (to seglab.open, or as --scene)"
            )
        return imagery

    def add(self, source: Any) -> str:
        """Add a scene, whose bands may stand in another order; one that is there already stays as it is.

        Args:
            source: see `seglab.open`.

        Returns:
            Its name in the project.

        Raises:
            SceneNotFoundError, NotARasterError, EmptySceneError, UnsupportedSceneError: see Scene.open.
            BandError: it lacks bands that the model sees.
        """
        project = self.project
        manifest = project.manifest
        imagery = DatedScenes.open(source, model_bands(manifest)[: len(manifest["bands"])])
        try:
            found = found_bands(imagery.scene, manifest)
            own = {key: bands for key, bands in found.items() if bands != manifest[key]}
            card = scene_card(imagery, source, project.folder) | own
        finally:
            imagery.close()
        with self.chronicle.lock:
            project.reload_manifest()
            name = self._same(card) or project.add_scene(card)
        self.sources[name] = source
        return name

    def bands(self, name: str) -> dict[str, list[int]]:
        """The bands of a scene of the project that the model sees: see `bands_of`.

        Raises:
            ProjectError: it has no scene of that name.
        """
        return bands_of(self._card(name), self.project.manifest)

    @property
    def last(self) -> str:
        """The scene that was opened last."""
        return self.project.manifest.get(LAST_SCENE, self.project.scene_names[0])

    def remember(self, name: str) -> None:
        """Open this scene the next time that nobody asks for another one."""
        if self.last != name:
            self.project.update_manifest(**{LAST_SCENE: name})

    def forget_windows(self) -> None:
        """Give back the memory of what is kept of windows: nobody looks at the project any more."""
        self.embeddings.clear()
        self.ahead.clear()

    def _same(self, card: dict[str, Any]) -> str | None:
        """The name of the scene that a card describes. Of the same ground, one of another name is another scene."""
        for known in scene_cards(self.project.manifest):
            if first_difference(card, known) is None and card["identity"] == known["identity"]:
                return known["name"]
        return None

    def _card(self, name: str) -> dict[str, Any]:
        cards = {card["name"]: card for card in scene_cards(self.project.manifest)}
        if name not in cards:
            raise ProjectError(f"the project has no scene {name!r}; it has {list(cards)}, and add_scene adds one")
        return cards[name]
