"""What a session does with accepted objects: change, delete, merge, split, and take one up again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import shapely
from shapely.geometry import LineString
from shapely.geometry.base import BaseGeometry
from shapely.ops import split as cut

from seglab.app.history.label_events import PARTS
from seglab.app.history.ledger import Ledger
from seglab.app.history.state import State
from seglab.app.labels.areas import part_in_scene
from seglab.app.labels.labelled import LabelledObject, known_ids
from seglab.app.prompting.drawing import drawn, points_along, window_around
from seglab.app.prompting.proposals import Draft, Proposal
from seglab.app.rounds.learner import Learner
from seglab.core.grid import Grid
from seglab.core.masks import as_multipolygon, on_pixel_edges
from seglab.core.prompts import Prompts
from seglab.core.windows import Window
from seglab.errors import ObjectEditError, PromptError, UnknownObjectError

HAND_DRAWN = 1.0
"""What is recorded as a mask's IoU where no model had a say."""


class ObjectEditing:
    """The part of a LabelSession that draws by hand and edits accepted objects; every edit can be undone."""

    _ledger: Ledger
    _learner: Learner
    _draft: Draft
    _refining: int | None
    grid: Grid
    shape: tuple[int, int]
    state: State
    scale: int

    # -- drawing the mask of the object at hand

    def scribble(self, points: Sequence[tuple[float, float]], positive: bool = True, crs: Any = None) -> Proposal:
        """Say that everything along a stroke is in the object, or not: it counts as several points.

        Args:
            points: (x, y) along the stroke, longitude/latitude or in `crs`; one is enough.
            positive: False for a stroke beside the object.
            crs: see `click`.

        Raises:
            PromptError: there is no point, or one is not finite.
            OutsideSceneError: a point is not in the scene.
        """
        places = [self._inside(x, y, crs) for x, y in points]
        if not places:
            raise PromptError("the stroke has no points; draw along the object")
        stroke = LineString(places if len(places) > 1 else places * 2)
        with self._ledger.acting():
            prompts = self._draft.prompts
            for point in points_along(stroke, positive):
                prompts = prompts.with_point(point)
            return self._prompt(prompts)

    def paint(self, polygon: BaseGeometry, positive: bool = True, crs: Any = None) -> Proposal:
        """Add a polygon to the mask of the object at hand, or take it away; with no mask yet it is the mask.

        Args:
            polygon: the ground under a brush stroke, or an outline; longitude/latitude or in `crs`.
            positive: False erases.
            crs: see `click`.

        Raises:
            PromptError: the polygon is not finite, or there is nothing to erase from.
            OutsideSceneError: no area of it lies in the scene.
        """
        stroke = part_in_scene(polygon, self.grid, crs)
        with self._ledger.acting():
            mask = self._draft.mask
            if mask is None and not positive:
                raise PromptError("there is no mask to erase from; click the object first, or paint it")
            shape = stroke if mask is None else mask.polygon.union(stroke) if positive else mask.polygon - stroke
            window = None if mask is None else mask.window
            if window is None or (positive and not window.polygon.covers(stroke)):
                scale = self.scale if window is None else window.scale
                window = window_around(shape, self._spec.image_size, scale, self.shape)
            iou = HAND_DRAWN if mask is None else mask.iou
            return self._put(drawn(shape, window, self.shape, self._spec.mask_size, self._learner.current.number, iou))

    # -- accepted objects

    @property
    def refining(self) -> int | None:
        """The accepted or proposed object that the mask at hand will replace, or None."""
        return self._refining

    def edit(
        self,
        *object_ids: int,
        class_name: str | None = None,
        unsure: bool | None = None,
        note: str | None = None,
    ) -> None:
        """Change what is said of accepted objects.

        Args:
            object_ids: see `LabelledObject.id`.
            class_name: another class.
            unsure: whether a person is unsure of them; rounds then leave them aside.
            note: free text.

        Raises:
            UnknownObjectError: there is no such object.
            UnknownClassError: the class is not in `classes`.
        """
        given = {"class": class_name, "unsure": unsure, "note": None if note is None else note.strip()}
        data = {key: value for key, value in given.items() if value is not None}
        with self._ledger.acting():
            ids = self._known_objects(object_ids)
            if class_name is not None:
                self._known(class_name)
            if data:
                self._ledger.record("edit", {"objects": ids, **data}, "labels")

    def delete(self, *object_ids: int) -> None:
        """Take accepted objects out of the labels.

        Raises:
            UnknownObjectError: there is no such object.
        """
        with self._ledger.acting():
            self._ledger.record("delete", {"objects": self._known_objects(object_ids)}, "labels")

    def merge(self, *object_ids: int, class_name: str | None = None) -> LabelledObject:
        """Make one object of several, which may lie apart.

        Args:
            object_ids: at least two.
            class_name: of the result; that of the largest if None.

        Raises:
            UnknownObjectError: there is no such object, or only one.
            UnknownClassError: the class is not in `classes`.
        """
        with self._ledger.acting():
            ids = self._known_objects(object_ids)
            if len(ids) < 2:
                raise UnknownObjectError("merging needs at least two objects; select another one too")
            if class_name is None:
                class_name = max((self._object(i) for i in ids), key=lambda o: o.geometry.area).class_name
            self._known(class_name)
            return self._object(self._ledger.record("merge", {"objects": ids, "class": class_name}, "labels"))

    def split(self, object_id: int, line: BaseGeometry | None = None, crs: Any = None) -> list[LabelledObject]:
        """Make several objects of one.

        Args:
            object_id: see `LabelledObject.id`.
            line: a LineString to cut along, from outside to outside, in longitude/latitude or `crs`; without one, the
                object falls into its separate parts.
            crs: see `click`.

        Returns:
            The parts, the largest first.

        Raises:
            UnknownObjectError: there is no such object.
            ObjectEditError: it has one part only, or the line does not cut it.
        """
        with self._ledger.acting():
            whole = self._object(*self._known_objects([object_id]))
            cutting = None if line is None else self.grid.geometry_to_pixel(line, crs)
            parts = _parts(whole.geometry, cutting)
            if len(parts) < 2:
                why = "is in one piece; draw a line to cut along" if line is None else "is not cut by that line"
                raise ObjectEditError(f"object {object_id} {why}. Begin and end the line outside the object")
            data = {"object": object_id, "parts": [shapely.to_wkb(part, hex=True) for part in parts]}
            if cutting is not None:
                data["line"] = shapely.to_wkb(cutting, hex=True)
            event = self._ledger.record("split", data, "labels")
            made = {event + number * PARTS for number in range(len(parts))}
            return [o for o in self.objects if o.id in made]

    def refine(self, object_id: int) -> Proposal:
        """Take an accepted object up again, with its prompts and mask: accepting replaces it, rejecting leaves it.

        A proposed object can be taken up too: accepting makes an object of it.

        Raises:
            UnknownObjectError: there is no such object.
        """
        with self._ledger.acting():
            proposed = next((p for p in self.state.proposals if p.id == object_id), None)
            if proposed is not None:
                return self._take_up(object_id, proposed.geometry, proposed.window, Prompts(), proposed.score)
            found = self._object(*self._known_objects([object_id]))
            return self._take_up(object_id, found.geometry, found.window, found.prompts, found.iou)

    # -- parts

    @property
    def _spec(self) -> Any:
        return self._learner.current.encoder.model.spec

    def _take_up(
        self, object_id: int, geometry: BaseGeometry, window: Window, prompts: Prompts, iou: float
    ) -> Proposal:
        fits = window.width == window.height == self._spec.image_size * window.scale
        if not fits or not window.polygon.covers(geometry):
            window = window_around(geometry, self._spec.image_size, window.scale, self.shape)
        number, size = self._learner.current.number, self._spec.mask_size
        self._draft.clear()
        self._refining = object_id
        mask = drawn(geometry, window, self.shape, size, number, iou)
        self._draft.put(prompts, mask)
        self._ledger.tell("mask")
        return mask

    def _put(self, proposal: Proposal) -> Proposal:
        self._draft.put(self._draft.prompts, proposal)
        self._ledger.tell("mask")
        return proposal

    def _object(self, object_id: int) -> LabelledObject:
        return next(o for o in self.objects if o.id == object_id)

    def _known_objects(self, object_ids: Sequence[int]) -> list[int]:
        """Ids without repetition, each of an object that is there."""

        def refusal(missing: int | None) -> UnknownObjectError:
            what = "no object is named" if missing is None else f"there is no object {missing}"
            return UnknownObjectError(f"{what}; session.objects lists those that are there, with their ids")

        return known_ids(object_ids, (o.id for o in self.objects), refusal)


def _parts(whole: BaseGeometry, line: BaseGeometry | None) -> list[BaseGeometry]:
    """What an outline falls into, the largest first, each a MultiPolygon on pixel edges."""
    pieces = list(as_multipolygon(whole).geoms)
    if line is not None:
        if line.geom_type not in ("LineString", "MultiLineString"):
            raise ObjectEditError(f"a {line.geom_type} does not cut; give a line")
        halves = [list(cut(piece, line).geoms) for piece in pieces]
        if all(len(parts) == 1 for parts in halves):
            return [whole]
        # A cut goes through pixels: each belongs to the side that its centre is on.
        pieces = [on_pixel_edges(part) for parts in halves for part in parts]
    parts = [as_multipolygon(part) for part in pieces]
    return sorted((part for part in parts if not part.is_empty), key=lambda part: -part.area)
