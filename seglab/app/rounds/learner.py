"""The model of a session: which round is in use, and how it looks at a scene."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from seglab import jobs
from seglab.app.history.ledger import Ledger
from seglab.app.history.redraw import LoadRound
from seglab.app.project.open_project import OpenProject
from seglab.app.project.scene_cards import grid_card, grid_of
from seglab.app.rounds.held_out import shown_scenes
from seglab.app.rounds.rounds import CurrentModel, Round, identity_of, restore, trained_prompts
from seglab.core.dated_scenes import DatedScenes
from seglab.core.raster import Scene
from seglab.encoding.encoder import WindowEncoder
from seglab.encoding.encoders import Encoders
from seglab.models.sam import AdaptedSam
from seglab.store.cache import ArrayCache
from seglab.store.schema import scene_cards

CLOSING = 10.0
"""Seconds that closing waits for a job to end."""


class Learner:
    """Holds the model in use, as it looks at one scene, and the jobs that work with it.

    Args:
        imagery: of what is being labelled, by date.
        name: the scene's in the project.
        opened: the project, whose scenes all use the same round.
        ledger: where a job's outcome becomes part of the project.

    Attributes:
        current: the model in use.
        identity: what a round has to be made for to fit here: see `identity_of`.
        training: the job that makes a round or a student, the latest one: see Trainer.
        mapping: the job that looks through the whole scene, the latest one: see MapJobs.
    """

    def __init__(self, imagery: DatedScenes, name: str, opened: OpenProject, ledger: Ledger) -> None:
        self.imagery = imagery
        self.name = name
        self.opened = opened
        self.project = opened.project
        self.base = opened.base
        self.ledger = ledger
        manifest = self.project.manifest
        self.identity = identity_of(self.base, opened.adapter, manifest["bands"], manifest["extra_bands"])
        self.training: jobs.Job[Round] | None = None
        self.mapping: jobs.Job[Any] | None = None
        with ledger.lock:
            others = opened.learners
            self.current = self.looking_here(others[0].current) if others else self.load(0)
            others.append(self)

    def load(self, number: int) -> CurrentModel:
        """The model of a round, not yet in use; 0 is the model before any.

        Raises:
            UnknownRoundError, ProjectDamagedError: the round is not there, or its files are damaged.
            RoundMismatchError: the round does not fit the model, its bands or its place.
        """
        if number == 0:
            return CurrentModel(0, self.encoders(self.base), {})
        return self._restored(*self.project.load_round(number))

    @property
    def caches(self) -> dict[str, tuple[ArrayCache, ...]]:
        """What is kept of windows, by kind; all of it can be made again."""
        shared = self.opened
        return {"embeddings": (shared.embeddings, shared.ahead), "prefixes": (shared.prefixes,)}

    def take(self, model: CurrentModel) -> None:
        """Use a model from now on, in all scenes that are open."""
        self.current = model
        for other in self.opened.learners:
            if other is not self:
                other.current = other.looking_here(model)

    def check(self, tensors: dict[str, np.ndarray], card: dict[str, Any]) -> None:
        """Refuse a round that does not fit.

        Raises:
            RoundMismatchError: see `restore`.
        """
        restore(self.base, tensors, card, self.identity)

    def adopt(self, tensors: dict[str, np.ndarray], card: dict[str, Any], source: str) -> Round:
        """Make a round of another project one of this one, and use it: see LabelSession.import_round."""
        # What it has seen counts here only if it is of the same ground; how it was judged there says nothing here.
        known = {card["name"]: grid_card(grid_of(card)) for card in scene_cards(self.project.manifest)}
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
        number = self.project.save_round(tensors, card)
        fresh = self._restored(*self.project.load_round(number))
        self.ledger.record("round", {"number": number}, "round", lambda: self.take(fresh))
        return Round(number, 0, card | {"round": number})

    @property
    def running(self) -> tuple[jobs.Job[Any], ...]:
        """Jobs that read the scene now."""
        return tuple(job for job in (self.training, self.mapping) if job is not None and not job.finished)

    def close(self) -> None:
        """Stop what is running, and wait for it."""
        for job in self.running:
            job.cancel()
            job.wait(CLOSING)
        with self.ledger.lock:
            if self in self.opened.learners:
                self.opened.learners.remove(self)
            if not self.opened.learners:
                self.opened.forget_windows()

    # -- how models are made

    def encoders(self, model: AdaptedSam, imagery: DatedScenes | None = None, name: str | None = None) -> Encoders:
        """Encoders of this scene, or of another one by its imagery and name."""
        to = self.opened
        extra_bands = to.bands(self.name if name is None else name)["extra_bands"]

        def make(scene: Scene) -> WindowEncoder:
            return WindowEncoder(scene, model, to.embeddings, to.prefixes, extra_bands, to.ahead)

        return Encoders(self.imagery if imagery is None else imagery, make)

    def looking_here(self, model: CurrentModel) -> CurrentModel:
        """The same model, looking at this scene."""
        return replace(model, encoders=self.encoders(model.encoder.model))

    def _restored(self, tensors: dict[str, np.ndarray], card: dict[str, Any]) -> CurrentModel:
        model = restore(self.base, tensors, card, self.identity)
        return CurrentModel(card["round"], self.encoders(model), trained_prompts(model, card))

    def elsewhere(self, model: CurrentModel, name: str, files: ExitStack) -> CurrentModel:
        """The same model, looking at another scene, which is open as long as `files` is."""
        imagery = self.opened.imagery(name)
        files.callback(imagery.close)
        return replace(model, encoders=self.encoders(model.encoder.model, imagery, name))

    def load_elsewhere(self, name: str, files: ExitStack) -> LoadRound:
        """What loads rounds as `load` does, to look at any scene.

        Args:
            name: the scene's.
            files: keeps it open.
        """
        return self.load if name == self.name else lambda number: self.elsewhere(self.load(number), name, files)
