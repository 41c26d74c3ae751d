"""The labeler: the widget app around one session."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import ipyleaflet
import ipywidgets as widgets
from shapely.geometry import box

from seglab import jobs
from seglab.app.opening import open_session
from seglab.app.session import LabelSession, Suggestion
from seglab.app.view import (
    TiledLayer,
    fit_scale,
    prediction_image,
    prediction_tiles,
    scene_image,
    scene_tiles,
)
from seglab.core.overlay import MapFrame, overlay_png
from seglab.errors import UnknownClassError
from seglab.ui.job_bar import JobBar, MessageBar
from seglab.ui.map_view import MapView
from seglab.ui.page import STATIC, Page
from seglab.ui.panels import ClassPanel, ExportPanel, MapPanel, ModelPanel, SuggestPanel
from seglab.ui.toolbar import Toolbar
from seglab.ui.transport import TileProbe

WELCOME = "Choose a class, then click an object."
SUGGESTIONS = 5
"""Windows that are suggested at a time."""


class Labeler(widgets.VBox):
    """A map to click on, and everything a session can do with the clicks.

    Args:
        session: made by `seglab.open`; what is done in code shows here and the other way round.
    """

    def __init__(self, session: LabelSession) -> None:
        self.session = session
        self.frame = MapFrame.of(session.grid)
        self.messages = MessageBar()
        self.jobs = JobBar(self.messages)
        self.view = MapView(self.frame, self._point, self._drag, self._view_changed)
        self.page = Page()
        self.toolbar = Toolbar(
            on_tool=self._take_tool,
            on_accept=self._accept,
            on_reject=self._guarded(session.reject),
            on_undo=self._undo,
            on_redo=self._redo,
            on_next=self._next_candidate,
            on_home=self.view.fly_home,
        )
        self.figures = widgets.HTML()
        self.figures.add_class("seglab-figures")
        self.classes = ClassPanel(on_choose=self._take_class, on_add=self._add_class)
        self.model = ModelPanel(on_retrain=self._retrain, on_rollback=self._rollback)
        self.maps = MapPanel(on_predict=self._predict, on_look=self._look)
        self.suggest = SuggestPanel(on_suggest=self._suggest, on_step=self._step)
        self.export = ExportPanel(on_export=self._export)
        self.probe: TileProbe | None = None
        self._tiled: dict[str, TiledLayer] = {}
        self._suggestions: list[Suggestion] = []
        self._suggestion: int | None = None
        self._running: set[str] = set()
        super().__init__(self._arrange())
        self.add_class("seglab-labeler")
        self._unsubscribe = session.subscribe(self._changed)
        self._start()

    def _arrange(self) -> list[widgets.Widget]:
        style = widgets.HTML(f"<style>{(STATIC / 'labeler.css').read_text(encoding='utf-8')}</style>")
        style.add_class("seglab-hidden")
        mapbox = widgets.Box([self.view.map])
        mapbox.add_class("seglab-mapbox")
        side = widgets.VBox([self.classes, self.model, self.maps, self.suggest, self.export])
        side.add_class("seglab-side")
        body = widgets.HBox([mapbox, side])
        body.add_class("seglab-body")
        status = widgets.HBox([self.messages, self.figures])
        status.add_class("seglab-status")
        return [style, self.page, self.toolbar, body, self.jobs, status]

    def _start(self) -> None:
        if self.session.problem is None:
            self.messages.show(WELCOME)
        else:
            self.messages.show(self.session.problem, "error")
        with self.messages:
            if self.frame.is_plain:
                self.view.show_image(scene_image(self.session, self.frame))
            else:
                self._show_tiles(scene_tiles(self.session))
        self._refresh_labels()
        self._refresh_model()
        self._refresh_mask()
        with self.messages:
            self._refresh_prediction()

    def close(self) -> None:
        """Take the widget away; the session stays open."""
        self._unsubscribe()
        for layer in self._tiled.values():
            layer.remove()
        super().close()

    def _guarded(self, action: Any) -> Any:
        """An action whose errors show in the message bar."""

        def run(*arguments: Any) -> None:
            with self.messages:
                action(*arguments)

        return run

    # -- imagery

    def _show_tiles(self, layer: TiledLayer) -> None:
        self._tiled["imagery"] = layer
        self.probe = TileProbe(layer.candidates, layer.path, layer.probe_tile)
        self.probe.observe(self._guarded(self._routed), names=["result"])
        self.view.show_tiles(self.probe.url_for(layer.path))

    def _routed(self, _: Any) -> None:
        """The page has found out how it reaches the tiles."""
        assert self.probe is not None
        if not self.probe.works:
            self.messages.show(
                f"No imagery reaches this page; labelling goes on without. Tried {self.probe.explain()}", "error"
            )
            return
        self.view.show_tiles(self.probe.url_for(self._tiled["imagery"].path))
        if "prediction" in self._tiled and isinstance(self.view.prediction, ipyleaflet.TileLayer):
            self.view.prediction.url = self.probe.url_for(self._tiled["prediction"].path)

    def _refresh_prediction(self) -> None:
        self._refresh_prediction_state()
        if self.session.prediction is None:
            return
        before = self._tiled.pop("prediction", None)
        if before is not None:
            before.remove()
        look = {"opacity": self.maps.opacity.value, "visible": self.maps.visible.value}
        if self.probe is None:
            image = prediction_image(self.session, self.frame)
            layer = ipyleaflet.ImageOverlay(url=image.url, bounds=image.bounds, pane="prediction", **look)
        else:
            tiled = self._tiled["prediction"] = prediction_tiles(self.session)
            layer = ipyleaflet.TileLayer(
                url=self.probe.url_for(tiled.path), max_zoom=24, name="class map", attribution="", **look
            )
        self.view.show_prediction(layer)

    def _look(self, visible: bool, opacity: float) -> None:
        layer = self.view.prediction
        if layer is not None:
            layer.visible, layer.opacity = visible, opacity

    # -- what the person does on the map

    def _take_tool(self, tool: str) -> None:
        self.view.tool = self.page.tool = tool

    def _point(self, lat: float, lon: float, positive: bool | None) -> None:
        if positive is None:
            positive = self.toolbar.tool == "plus" and not self.page.minus
        with self.messages:
            x, y = self.frame.to_crs(lat, lon)
            points = self.session.prompts.points
            col, row = self.session.grid.to_pixel(x, y, self.frame.crs)
            if points and (points[-1].col, points[-1].row, points[-1].positive) == (col, row, positive):
                return  # the second half of a double click
            self.session.click(x, y, positive, crs=self.frame.crs)
            self.messages.show(f"Accept it as {self.classes.chosen!r}, or correct it with plus and minus points.")

    def _drag(self, first: tuple[float, float], second: tuple[float, float]) -> None:
        with self.messages:
            (x0, y0), (x1, y1) = self.frame.to_crs(*first), self.frame.to_crs(*second)
            if self.toolbar.tool == "keep_out":
                area = box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
                self.session.never_train(area, crs=self.frame.crs)
                self.messages.show("Rounds will not train on that area; undo takes it back.", "done")
            else:
                self.session.box(x0, y0, x1, y1, crs=self.frame.crs)
                self.messages.show(f"Accept it as {self.classes.chosen!r}, or correct it with plus and minus points.")

    def _view_changed(self) -> None:
        if self.view.view is None:
            return
        with self.messages:
            self.session.scale = fit_scale(self.session, self.frame.view_pixels(self.view.view))

    # -- what the person does in the toolbar and the panels

    def _accept(self) -> None:
        with self.messages:
            if self.classes.chosen is None:
                raise UnknownClassError("there is no class yet; add one, then accept")
            accepted = self.session.accept(self.classes.chosen)
            self.messages.show(f"Accepted as {accepted.class_name!r} and saved. Click the next object.", "done")

    def _undo(self) -> None:
        with self.messages:
            self.messages.show(f"Undone: {self.session.undo()}.", "done")

    def _redo(self) -> None:
        with self.messages:
            self.messages.show(f"Redone: {self.session.redo()}.", "done")

    def _next_candidate(self) -> None:
        with self.messages:
            self.session.choose((self._shown_candidate + 1) % len(self.session.candidates))

    @property
    def _shown_candidate(self) -> int:
        mask = self.session.mask
        return next(i for i, candidate in enumerate(self.session.candidates) if candidate is mask)

    def _take_class(self, name: str) -> None:
        self._refresh_mask()

    def _add_class(self, name: str) -> None:
        with self.messages:
            self.session.add_class(name)
            self.classes.name.value = ""
            self.classes.choose(name.strip())
            self.messages.show(f"Added class {name.strip()!r}; click an object of it.", "done")

    def _follow(self, kind: str, job: jobs.Job[Any], on_done: Any) -> None:
        """Show a job; its button rests until it has ended."""

        def end() -> None:
            self._running.discard(kind)
            self._refresh_model()
            self._refresh_prediction_state()

        self._running.add(kind)
        self._refresh_model()
        self._refresh_prediction_state()
        self.jobs.follow(job, on_done, end)

    def _retrain(self) -> None:
        with self.messages:
            self._follow("retrain", self.session.retrain(), self._trained)
            self.messages.show("Training on what you have accepted; you can go on labelling meanwhile.")

    def _trained(self, round_: Any) -> None:
        seconds = round_.card.get("seconds", 0)
        number, verdict = round_.number, round_.verdict
        notes = "".join(f" {note}." for note in round_.card.get("notes", ()))
        if self.session.round == number:
            self.messages.show(f"Round {number} is in use, trained in {seconds:.0f} s; {verdict}.{notes}", "done")
        else:
            why = verdict if round_.worse else "another model was chosen while it trained"
            use = "Choose it under Model to use it all the same."
            self.messages.show(f"Round {number} is kept but not in use: {why}. {use}{notes}", "warning")

    def _rollback(self, number: int) -> None:
        with self.messages:
            self.session.rollback(number)
            name = f"Round {number}" if number else "The model as delivered"
            self.messages.show(f"{name} is in use. Undo brings the other one back.", "done")

    def _predict(self) -> None:
        with self.messages:
            self._follow("predict", self.session.predict(), self._mapped)
            self.messages.show("Mapping the scene; you can go on labelling meanwhile.")

    def _mapped(self, prediction: Any) -> None:
        self.messages.show(f"The class map is in {_near(prediction.path)!r}, its confidence beside it.", "done")

    def _suggest(self) -> None:
        with self.messages:
            job = jobs.start(
                lambda reporter: self.session.suggest(SUGGESTIONS, reporter), title="suggest", unit="windows"
            )
            self._follow("suggest", job, self._suggested)

    def _suggested(self, found: list[Suggestion]) -> None:
        self._suggestions, self._suggestion = found, 0 if found else None
        if not found:
            self.messages.show("Every window has labels already; there is nothing to suggest.")
        self._show_suggestion()

    def _step(self, step: int) -> None:
        if self._suggestion is not None:
            self._suggestion = (self._suggestion + step) % len(self._suggestions)
            self._show_suggestion()

    def _show_suggestion(self) -> None:
        self.view.show_suggestions([s.geometry for s in self._suggestions], self._suggestion)
        if self._suggestion is None:
            self.suggest.show(None, 0, "")
            return
        current = self._suggestions[self._suggestion]
        self.suggest.show(self._suggestion, len(self._suggestions), current.reason)
        self.view.fly_to(current.geometry)

    def _export(self, name: str) -> None:
        with self.messages:
            path = self.session.export(name)
            count = len(self.session.objects)
            self.messages.show(f"Exported {count} object{'' if count == 1 else 's'} to {_near(path)!r}.", "done")

    # -- what has changed in the session

    def _changed(self, session: LabelSession, what: str) -> None:
        """Follow the session; may run on a job's thread."""
        with self.messages:
            if what == "mask":
                self._refresh_mask()
            elif what in ("labels", "classes"):
                self._refresh_labels()
                self._refresh_model()
                self._refresh_prediction_state()
            elif what == "areas":
                self.view.show_areas(session.kept_out)
                self._refresh_buttons()
            elif what == "round":
                self._refresh_model()
                self._refresh_prediction_state()
            elif what == "prediction":
                self._refresh_prediction()

    def _refresh_mask(self) -> None:
        session = self.session
        proposal = session.mask
        overlay = None
        if proposal is not None:
            colour = session.classes.get(self.classes.chosen or "", "#0072b2")
            overlay = overlay_png(proposal.array, proposal.window, session.grid, colour, plain=self.frame.is_plain)
            self.figures.value = self._figures()
            self.figures.remove_class("seglab-hidden")
        else:
            self.figures.add_class("seglab-hidden")
        self.view.show_mask(overlay)
        self.view.show_prompts(session.prompts)
        self._refresh_buttons()

    def _figures(self) -> str:
        """Which candidate is shown, the model's own opinion of it, and its area."""
        proposal, candidates = self.session.mask, self.session.candidates
        metres = self.session.grid.pixel_size_m
        area = f"{proposal.area_px} px" if metres is None else f"{proposal.area_px * metres**2 / 1e4:,.2f} ha"
        shown = self._shown_candidate + 1
        return f"mask {shown} of {len(candidates)} · <b>predicted IoU {proposal.iou:.2f}</b> · {area}"

    def _refresh_buttons(self) -> None:
        session = self.session
        self.toolbar.show_state(session.mask is not None, len(session.candidates), session.can_undo, session.can_redo)

    def _refresh_labels(self) -> None:
        session = self.session
        self.classes.show(session.classes, Counter(o.class_name for o in session.objects))
        self.view.show_labels(session.objects, session.classes)
        self.view.show_areas(session.kept_out)
        self.export.show(bool(session.objects))
        self._refresh_buttons()

    def _refresh_model(self) -> None:
        session = self.session
        can_train = bool(session.objects) and "retrain" not in self._running
        self.model.show(session.rounds, session.round, can_train, session.previewing)
        self.suggest.suggest.disabled = "suggest" in self._running
        self._refresh_buttons()

    def _refresh_prediction_state(self) -> None:
        prediction = self.session.prediction
        has_classes = bool(self.session.objects) or self.session.round > 0
        can_predict = has_classes and "predict" not in self._running
        self.maps.show(None if prediction is None else prediction.round, self.session.round, can_predict)


def _near(path: Path) -> str:
    """A path as short as it can be from where the notebook is."""
    path = path.absolute()
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def label(source: Any, **options: Any) -> Labeler:
    """Open a scene and label it: `Labeler(seglab.open(source, ...))`.

    Args:
        source: see `seglab.open`.
        options: of `seglab.open`: classes, project, model, bands, device, checkpoint, author.
    """
    return Labeler(open_session(source, **options))
