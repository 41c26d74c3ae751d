"""LabelSession: the whole product without a browser."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Self

import geopandas as gpd
from shapely.geometry.base import BaseGeometry

from seglab.app.annotators.comparing import Comparing
from seglab.app.clusters.clustering import Clustering
from seglab.app.economics.accounting import Accounting
from seglab.app.history.as_code import as_code
from seglab.app.history.label_events import accept_data
from seglab.app.history.ledger import Ledger
from seglab.app.history.state import State
from seglab.app.history.undoing import Undoing
from seglab.app.labels.class_editing import ClassEditing
from seglab.app.labels.exporting import Exporting
from seglab.app.labels.ground_keeping import GroundKeeping
from seglab.app.labels.labelled import LabelledObject
from seglab.app.labels.labels_table import labels_table
from seglab.app.labels.measuring import Areas, Measuring
from seglab.app.labels.object_editing import ObjectEditing
from seglab.app.labels.reviewing import Reviewing
from seglab.app.labels.second_looking import SecondLooking
from seglab.app.labels.tidy import Tidy, tidied
from seglab.app.maps.map_checking import MapChecking
from seglab.app.maps.map_jobs import MapJobs
from seglab.app.maps.map_making import MapMaking
from seglab.app.maps.object_finding import ObjectFinding
from seglab.app.maps.propagating import Propagating
from seglab.app.project.dating import Dating
from seglab.app.project.kept_view import ViewFile
from seglab.app.project.looking import Looking
from seglab.app.project.open_project import OpenProject
from seglab.app.project.project_keeping import ProjectKeeping
from seglab.app.project.scene_keeping import SceneKeeping
from seglab.app.prompting.following import follow
from seglab.app.prompting.prefetching import Prefetching
from seglab.app.prompting.proposals import Draft, Proposal
from seglab.app.rounds.held_out import kept_out
from seglab.app.rounds.learner import Learner
from seglab.app.rounds.round_keeping import RoundKeeping
from seglab.app.rounds.trainer import Trainer
from seglab.app.suggestions.queue import SuggestionQueue
from seglab.app.suggestions.suggesting import Suggesting
from seglab.app.suggestions.surveying import Surveyor
from seglab.core.dated_scenes import DatedScenes
from seglab.core.grid import Grid
from seglab.core.masks import polygons_of
from seglab.core.prompts import Box, Point, Prompts
from seglab.errors import (
    NoMaskError,
    OutsideSceneError,
    SegLabError,
    WriteError,
)

Listener = Callable[["LabelSession", str], None]


class LabelSession(
    Dating,
    ClassEditing,
    ObjectEditing,
    Reviewing,
    GroundKeeping,
    Comparing,
    Measuring,
    MapChecking,
    Exporting,
    RoundKeeping,
    ProjectKeeping,
    SceneKeeping,
    MapMaking,
    ObjectFinding,
    Propagating,
    Clustering,
    Suggesting,
    SecondLooking,
    Looking,
    Undoing,
    Prefetching,
    Accounting,
):
    """A scene being labelled: prompts, masks, labels, rounds and maps. Made by `seglab.open`.

    Everything that changes a project is on disk when the call returns. Methods may be called from any thread.

    Args:
        imagery: of the scene, by date.
        opened: the project that it belongs to.
        name: the scene's name there.

    Attributes:
        scene_name: the scene's name in the project.
        follows: whether an object that its window cuts is looked at again from farther away.
        tidy: what is done to masks when they are accepted.
    """

    def __init__(
        self,
        imagery: DatedScenes,
        opened: OpenProject,
        name: str,
    ) -> None:
        self._imagery = imagery
        self.scene_name = name
        self.project = opened.project
        self._opened = opened
        self._ledger = Ledger(opened.chronicle, opened.project.scenes[name], opened.author)
        folder = self.project.folder_of(self._ledger.scene)
        self._view_file = ViewFile(folder, lambda: self._ledger.tell("view"))
        self._areas = Areas(self.grid)
        self._scale = 1
        self._draft = Draft()
        self._refining: int | None = None
        self.follows = True
        self.tidy = Tidy()
        self._learner = Learner(imagery, name, opened, self._ledger)
        self._trainer = Trainer(self._learner)
        self._map_jobs = MapJobs(self._learner)
        self._ahead = self._prefetcher()
        self._surveyor = Surveyor()
        self._queue = SuggestionQueue(self)
        self._doubts = None
        self.problem: str | None = None
        """Why the project's round is not in use, if it could not be loaded when the session was opened."""
        self._take_saved_round()

    def __repr__(self) -> str:
        return (
            f"<LabelSession {self.scene_name!r}: {len(self.objects)} objects, {len(self.classes)} classes, "
            f"round {self.round}, project {str(self.project.folder)!r}>"
        )

    def __enter__(self) -> Self:
        """`with seglab.open(...) as session:` closes it at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    # -- what there is

    @property
    def grid(self) -> Grid:
        """The scene's pixel grid."""
        return self.scene.grid

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols) of the scene."""
        return self.grid.height, self.grid.width

    @property
    def state(self) -> State:
        """Everything the project's log says, at this moment."""
        return self._ledger.state

    @property
    def objects(self) -> tuple[LabelledObject, ...]:
        """Accepted objects, oldest first; where two overlapped, the later one has the ground."""
        return self.state.objects

    @property
    def reviewed(self) -> tuple[BaseGeometry, ...]:
        """Extents in which everything is labelled, scene pixels."""
        return self.state.reviewed

    @property
    def kept_out(self) -> tuple[BaseGeometry, ...]:
        """Ground that rounds never train on and are judged on, scene pixels: held-out blocks and never-train areas."""
        return kept_out(self.state)

    @property
    def labels(self) -> gpd.GeoDataFrame:
        """Accepted objects as a table in the scene's CRS (pixel coordinates where it has none)."""
        return labels_table(self.objects, self.grid)

    @property
    def prompts(self) -> Prompts:
        """What has been clicked for the object that is not accepted yet."""
        return self._draft.prompts

    @property
    def candidates(self) -> tuple[Proposal, ...]:
        """The candidate masks for the current prompts, best first."""
        return self._draft.candidates

    @property
    def mask(self) -> Proposal | None:
        """The chosen candidate, or None before the first click."""
        return self._draft.mask

    @property
    def model_size(self) -> int:
        """Side of the model's square input, model pixels; a window is `scale` times as many scene pixels."""
        return self._learner.current.encoder.model.spec.image_size

    @property
    def scale(self) -> int:
        """Scene pixels per model pixel for new objects: 1 for full detail, more to see larger objects whole."""
        return self._scale

    @scale.setter
    def scale(self, value: int) -> None:
        largest = 1
        while self.model_size * largest < max(self.shape):
            largest *= 2
        value = min(max(1, int(value)), largest)
        if value != self._scale:
            self._scale = value
            self._ledger.tell("scale")

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener(session, what)` after every change; what is "mask", "labels", "proposals", "classes", "areas",
        "check", "suggestions", "doubts", "round", "prediction", "clusters", "scale", "date", "encoded", "scenes",
        "view" (see `view_problem`) or "closed". Some come from other threads.

        Returns:
            A function that ends the subscription.
        """
        return self._ledger.subscribe(lambda what: listener(self, what))

    # -- prompting

    def click(self, x: float, y: float, positive: bool = True, crs: Any = None) -> Proposal:
        """Say that a point is in the object, or not.

        Args:
            x, y: longitude and latitude, or coordinates in `crs`.
            positive: False for a point that is not in the object.
            crs: anything pyproj takes, or "pixel"; the grid's default (longitude/latitude, else pixel) if None.

        Returns:
            The mask of the object so far.

        Raises:
            OutsideSceneError: the point is not in the scene.
        """
        col, row = self._inside(x, y, crs)
        with self._ledger.acting():
            return self._prompt(self.prompts.with_point(Point(col, row, positive)))

    def box(self, west: float, south: float, east: float, north: float, crs: Any = None) -> Proposal:
        """Say that the object fills a box.

        Args:
            west, south, east, north: two corners, longitude/latitude or coordinates in `crs`.
            crs: see `click`.

        Raises:
            OutsideSceneError: no part of the box is in the scene.
            PromptError: the box encloses no area.
        """
        corners = [(west, south), (west, north), (east, south), (east, north)]
        around = Box.around(*(self.grid.to_pixel(x, y, crs) for x, y in corners))
        rows, cols = self.shape
        left, right = max(0.0, around.left), min(float(cols), around.right)
        top, bottom = max(0.0, around.top), min(float(rows), around.bottom)
        if right <= left or bottom <= top:
            raise OutsideSceneError("the box lies outside the scene; draw it over the imagery")
        with self._ledger.acting():
            return self._prompt(self.prompts.with_box(Box.around((left, top), (right, bottom))))

    def choose(self, index: int) -> Proposal:
        """Take another of the candidate masks.

        Raises:
            NoMaskError: there is no such candidate.
        """
        with self._ledger.acting():
            chosen = self._draft.choose(index)
            self._ledger.tell("mask")
            return chosen

    def reject(self) -> None:
        """Drop the current prompts and their mask; accepted objects stay."""
        with self._ledger.acting():
            self._clear_draft()
            self._ledger.tell("mask")

    def accept(self, class_name: str) -> LabelledObject:
        """Keep the current mask as an object of a class; it is on disk when this returns.

        Raises:
            NoMaskError: there is no mask, or it is empty.
            MaskTidyError: tidying leaves nothing of it.
            UnknownClassError: the class is not in `classes`.
            WriteError: the project's folder cannot be written.
        """
        with self._ledger.acting():
            self._known(class_name)
            proposal = self.mask
            if proposal is None:
                raise NoMaskError("there is no mask to accept; click an object first")
            if not proposal.array.any():
                raise NoMaskError("the mask is empty; click the object again, or choose another candidate")
            window = proposal.window
            others = [o for o in self.objects if o.id != self._refining]
            data = accept_data(
                class_name,
                polygons_of(tidied(self.tidy, proposal.array, window, others, self.shape), window.col, window.row),
                self.prompts,
                window,
                proposal.iou,
                proposal.round,
                self._refining,
                self._draft.chosen,
                proposal.edited is not None,
                self.date,
            )
            try:
                event = self._ledger.record("accept", data, "labels", self._clear_draft)
            finally:
                self._ledger.tell("mask")
            return next(o for o in self.objects if o.id == event)

    def as_code(self, check: bool = True) -> str:
        """The Python calls that make this project's labels again.

        Args:
            check: draw each object again, to find the calls that give its very outline.
        """
        with ExitStack() as files:
            elsewhere = partial(self._learner.load_elsewhere, files=files)
            load = elsewhere(self.project.scene_names[0]) if check else None
            return as_code(self.project.events(), self._opened.manifest, load=load, elsewhere=elsewhere)

    def close(self) -> None:
        """Stop what is running and release the scene's files; the project is already on disk."""
        self._ledger.tell("closed")
        self._queue.close()
        self._ahead.worker.close()
        self._learner.close()
        self._ledger.close()
        self._view_file.write()
        self._imagery.close()

    # -- how it hangs together

    def _inside(self, x: float, y: float, crs: Any) -> tuple[float, float]:
        col, row = self.grid.to_pixel(x, y, crs)
        if not self.grid.contains(col, row):
            west, south, east, north = self.grid.bounds(crs)
            raise OutsideSceneError(
                f"({x:.6g}, {y:.6g}) lies outside the scene, which covers {west:.6g} to {east:.6g} and {south:.6g} to "
                f"{north:.6g}; click on the imagery"
            )
        return float(col), float(row)

    def _clear_draft(self) -> None:
        self._draft.clear()
        self._refining = None

    def _prompt(self, prompts: Prompts) -> Proposal:
        current = self._learner.current
        proposal = self._draft.prompt(current, prompts, self._scale)
        if self.follows:
            whole = follow(current, prompts, proposal, self._draft.warm)
            proposal = proposal if whole is None else self._draft.better(whole)
        self._ledger.tell("mask")
        return proposal

    def _new_file(self, path: str | Path) -> Path:
        """A path to write to, which must not be the scene that is being labelled."""
        path = Path(path)
        files = [Path(name) for name in (*self._imagery.files.values(), self.scene.path)]
        if path.exists() and any(file.exists() and path.samefile(file) for file in files):
            raise WriteError(f"{str(path)!r} is the scene itself; write to another file")
        return path

    def _take_saved_round(self) -> None:
        """Use the round that the project was left with; where it cannot be loaded, labels stay reachable."""
        if self.state.round == self.round:
            return
        try:
            self._learner.take(self._learner.load(self.state.round))
        except SegLabError as error:
            self.problem = f"round {self.state.round} is not in use: {error}"
            warnings.warn(self.problem, stacklevel=4)
