"""What a session finds in the whole scene: objects one by one, to be reviewed or written to a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from shapely.geometry.base import BaseGeometry

from seglab import jobs
from seglab.app.history.ledger import Ledger
from seglab.app.history.state import State
from seglab.app.labels.areas import part_in_scene
from seglab.app.labels.proposed import MAP_ORIGIN, OBJECTS_ORIGIN, ProposedObject, mostly_within
from seglab.app.maps.found_objects import (
    ANY_OBJECT,
    accepted_sizes,
    find_objects,
    least_area,
    object_proposals,
    write_objects,
)
from seglab.app.maps.map_jobs import MapJobs
from seglab.app.maps.mapping import map_scale, mapped_classes, require_classes
from seglab.app.rounds.learner import Learner
from seglab.app.rounds.rounds import CurrentModel
from seglab.core.grid import Grid
from seglab.core.masks import as_multipolygon
from seglab.errors import OutsideSceneError
from seglab.export.vector import writer_for
from seglab.inference.instances import InstanceSettings
from seglab.inference.window_masks import Keeping


class ObjectFinding:
    """The part of a LabelSession that finds objects in the whole scene."""

    _ledger: Ledger
    _learner: Learner
    _map_jobs: MapJobs
    state: State
    grid: Grid
    shape: tuple[int, int]
    model_size: int
    proposals: tuple[ProposedObject, ...]
    _known: Callable[[str], None]
    _new_file: Callable[[str | Path], Path]
    _propose: Callable[..., tuple[ProposedObject, ...]]
    _scale_at: Callable[[float], int]

    def find_objects(
        self,
        classes: Sequence[str] | None = None,
        path: str | Path | None = None,
        *,
        within: BaseGeometry | None = None,
        crs: Any = None,
        min_area_px: int | None = None,
        least_score: float = Keeping.least_iou,
        resolution: float | None = None,
    ) -> jobs.Job[Any]:
        """Find the objects of the whole scene, or of its area of interest, in the background: roofs, fields, crowns,
        each by itself where a class map would have them in one region, and whole however large it is.

        The model is asked for a mask on each peak of the class's ground and on a grid of points. Masks that agree with
        that ground are objects, and what they leave of it is one as it is.

        Args:
            classes: whose objects are wanted; all that have an object, or a prompt in the round, if None. Empty:
                objects of any kind, as class "object".
            path: a file to write, .gpkg, .parquet, .fgb or .geojson, with class, score (predicted IoU), stability,
                hectares and round. None: they are proposed to be reviewed, where nothing is accepted, reviewed or
                dismissed yet, in place of what the model proposed of these classes before.
            within: a polygon, longitude/latitude or in `crs`, that most of each object lies in; with an area of
                interest, in both. None: anywhere.
            crs: see `click`.
            min_area_px: smaller ones are left out, scene pixels; a fifth of the median accepted object if None.
            least_score: predicted IoU, 0 to 1; less certain ones are left out.
            resolution: ground metres per model pixel; the scale of most objects if None.

        Returns:
            A job. Its result is the path, or what is proposed, the surest first.

        Raises:
            NoLabelsError: no class has an object yet.
            UnknownClassError: a class is not in `classes`; from the job: the model does not know it.
            UnknownFormatError: the path's suffix.
            JobRunningError: another job looks through the scene.
            PromptError, MissingCRSError: see `predict`.
            OutsideSceneError: no part of `within` is in the scene and its area of interest. From the job:
            ProposalError, NoLabelsError: nothing is left to propose, or to write.
        """
        for name in classes or ():
            self._known(name)
        scale = None if resolution is None else self._scale_at(resolution)
        target = None if path is None else self._new_file(path)
        if target is not None:
            writer_for(target)
        with self._ledger.acting():
            state = self.state
            area = state.area_of_interest if within is None else self._part_of_interest(within, crs)
            if classes is None or classes:
                require_classes(self._learner.current, state)
            scale = scale or map_scale(state)
            settings = InstanceSettings(
                scale=scale,
                least_area=min_area_px or least_area(accepted_sizes(state.objects), classes, scale),
                keeping=Keeping(least_iou=least_score),
                area=area,
            )

            def work(reporter: jobs.Reporter, current: CurrentModel) -> Any:
                known = [] if classes is not None and not classes else mapped_classes(current, state)
                found = find_objects(reporter, current.encoder, known, classes, settings)
                if target is not None:
                    return write_objects(found, known, self.grid, current.number, target)
                with self._ledger.acting():
                    entries = object_proposals(found, known, self.state, self.model_size, self.shape)
                    origin = f"{OBJECTS_ORIGIN} by round {current.number}"
                    outdated = self._outdated(classes, None if within is None else area)
                    return self._propose(entries, origin, current.number, current.date or "", outdated)

            return self._map_jobs.look_through(work, "find objects")

    def _part_of_interest(self, within: BaseGeometry, crs: Any) -> BaseGeometry:
        """The part of a polygon that lies in the scene and in its area of interest, scene pixels."""
        area, inside = self.state.area_of_interest, part_in_scene(within, self.grid, crs)
        found = inside if area is None else as_multipolygon(inside.intersection(area))
        if found.is_empty:
            raise OutsideSceneError("the polygon lies outside the area of interest; widen that, or look elsewhere")
        return found

    def _outdated(self, classes: Sequence[str] | None, within: BaseGeometry | None) -> list[int]:
        """What the model proposed before, there, and nobody has answered."""
        named = None if classes is None else {*classes, *(() if classes else (ANY_OBJECT,))}
        return [
            p.id
            for p in (self.proposals if within is None else mostly_within(self.proposals, within))
            if p.origin.startswith((MAP_ORIGIN, OBJECTS_ORIGIN)) and (named is None or p.class_name in named)
        ]
