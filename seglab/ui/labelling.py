"""From the mouse, the strokes and the buttons to the mask, and from the mask to an accepted object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from seglab.errors import PromptError, UnknownClassError
from seglab.ui.keys import keys_of
from seglab.ui.objects_panel import area_text
from seglab.ui.page import Stroke

if TYPE_CHECKING:
    from seglab.ui.labeler import Labeler

POINTS = ("plus", "minus")
"""Tools that click points."""


class Labelling:
    """What a person does about the object that is being drawn.

    Args:
        app: the labeler.
    """

    def __init__(self, app: Labeler) -> None:
        self._app = app

    # -- on the map

    def take_tool(self, tool: str) -> None:
        """A tool is in hand."""
        app = self._app
        app.clusters.section.pick.value = False
        # the page's parts first: a map that has ceased to pan is the sign that the tool can be used
        app.page.tool = app.strokes.tool = app.view.tool = tool
        app.project.keep_view()

    def point(self, lat: float, lon: float, positive: bool | None) -> None:
        """A click on the map; None: the tool and the keys held tell its sign, and whether it selects."""
        app = self._app
        if app.checking.refuses():
            return
        if app.toolbar.tool == "select" or app.page.picking:
            app.selecting.pick(lat, lon, app.page.picking)
            return
        if positive is None and app.clusters.picks:
            app.clusters.pick(lat, lon)
            return
        if positive is None:
            if app.toolbar.tool not in POINTS:
                return
            positive = app.toolbar.tool == "plus" and not app.page.minus
        with app.messages:
            x, y = app.frame.to_crs(lat, lon)
            points = app.session.prompts.points
            col, row = app.session.grid.to_pixel(x, y, app.frame.crs)
            if points and (points[-1].col, points[-1].row, points[-1].positive) == (col, row, positive):
                return  # the second half of a double click
            app.session.click(x, y, positive, crs=app.frame.crs)
            self._say_next()

    def drag(self, first: tuple[float, float], second: tuple[float, float]) -> None:
        """A rectangle was dragged on the map."""
        app = self._app
        if app.page.picking or app.checking.refuses():
            return
        with app.messages:
            rectangle = app.frame.rectangle(first, second)
            if app.toolbar.tool == "keep_out":
                app.session.never_train(box(*rectangle), crs=app.frame.crs)
                app.messages.show("Rounds will not train on that area; undo takes it back.", "done")
            else:
                app.session.box(*rectangle, crs=app.frame.crs)
                self._say_next()

    def stroke(self, stroke: Stroke) -> None:
        """A stroke was drawn on the map."""
        app = self._app
        if app.checking.refuses():
            return
        if stroke.tool == "cut":
            app.object_editing.cut(stroke)
            return
        with app.messages:
            if stroke.tool == "area":
                app.project.take_area(self._enclosed(stroke, "the ground"))
                return
            if stroke.tool == "scribble":
                app.session.scribble(stroke.points(app.frame), stroke.positive, crs=app.frame.crs)
            else:
                app.session.paint(self._enclosed(stroke, "the object"), stroke.positive, crs=app.frame.crs)
            self._say_next()

    def _enclosed(self, stroke: Stroke, what: str) -> BaseGeometry:
        area = stroke.area(self._app.frame)
        if area.is_empty:
            raise PromptError(f"the line encloses nothing; draw it around {what}, with at least three corners")
        return area

    def _say_next(self) -> None:
        app = self._app
        if app.session.mask is None:
            return
        accept = f"Accept it as {app.classes.chosen!r} ({keys_of('accept')})"
        if len(app.session.candidates) > 1:  # in one line, beside the mask's figures
            app.messages.show(f"{accept}, add points, or see the next mask ({keys_of('candidate')}).")
        else:
            app.messages.show(f"{accept}, or correct it with plus and minus points.")

    # -- with the mask

    def accept(self) -> None:
        """Keep the mask as an object of the class in hand."""
        app = self._app
        with app.messages:
            if app.classes.chosen is None:
                raise UnknownClassError("there is no class yet; add one, then accept")
            accepted = app.session.accept(app.classes.chosen)
            app.messages.show(f"Accepted as {accepted.class_name!r} and saved. Click the next object.", "done")

    def reject(self) -> None:
        """Drop the mask; where there is none, let go of the selected objects."""
        app = self._app
        with app.messages:
            if app.session.mask is None and app.session.prompts.is_empty and app.objects.selected:
                app.objects.select(())
                return
            app.session.reject()

    def undo(self) -> None:
        """Take back the last step."""
        app = self._app
        with app.messages:
            app.messages.show(f"Undone: {app.session.undo()}.", "done")

    def redo(self) -> None:
        """Bring it back."""
        app = self._app
        with app.messages:
            app.messages.show(f"Redone: {app.session.redo()}.", "done")

    def next_candidate(self) -> None:
        """Show another of the candidate masks."""
        session = self._app.session
        with self._app.messages:
            if len(session.candidates) > 1:
                session.choose((self._shown_candidate + 1) % len(session.candidates))

    @property
    def _shown_candidate(self) -> int:
        mask = self._app.session.mask
        return next(i for i, candidate in enumerate(self._app.session.candidates) if candidate is mask)

    def figures(self) -> str:
        """Which candidate is shown, the model's own opinion of it, and its area, as HTML."""
        session = self._app.session
        mask = session.mask
        assert mask is not None
        area = area_text(mask.area_px, session.grid.pixel_size_m)
        if mask.edited is not None:
            return f"drawn by hand · {area}"
        figures = f"<b>predicted IoU {mask.iou:.2f}</b> · {area}"
        count = len(session.candidates)
        return figures if count == 1 else f"mask {self._shown_candidate + 1} of {count} · {figures}"
