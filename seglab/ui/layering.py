"""What a person does with the layers of the map, and how they follow the session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ipyleaflet
import shapely
from xyzservices import TileProvider

from seglab.app.maps.map_rasters import (
    CONFIDENCE_RAMP,
    StyledRaster,
    change_raster,
    class_raster,
    cluster_colours,
    cluster_raster,
    confidence_raster,
    scene_raster,
)
from seglab.app.maps.mapping import map_colours, map_meanings
from seglab.app.project.kept_view import KeptDivider, KeptLayer, KeptView
from seglab.app.project.looks import BY_HAND, MODEL_LOOK, Look, fitted, presets
from seglab.core.raster import Scene
from seglab.ui.layers_panel import BASEMAPS, LAYERS, NO_BASEMAP, NOTHING
from seglab.ui.look_editor import ramp_legend, titles_after
from seglab.ui.panels import faint

if TYPE_CHECKING:
    from seglab.ui.labeler import Labeler

MAPS = ("prediction", "confidence", "changed")
"""Panes of what a map of the scene brings."""

DEAR = ("confidence", "changed")
"""Of these, the panes that are emptied when they are hidden: seldom looked at, and each tile costs the kernel work."""

WITH = {"labels": ("labels", "proposed"), "imagery": ("imagery", "second")}
"""Panes that are shown and hidden together."""

_LOOK = "look: "
"""Before the title of a look, among what can be put beside the divider."""

_DATE = "date: "
"""Before a date, likewise."""


class Layering:
    """Handlers of the layers panel.

    Args:
        app: the labeler.
    """

    def __init__(self, app: Labeler) -> None:
        self._app = app
        self.look: Look = next(iter(app.session.looks.values()))
        """What the imagery shows."""
        self._asked = self.look  # without the stretch that was found for the date that is seen
        self._drawn: tuple[Any, ...] = ()
        self._veiled: frozenset[str] = frozenset()
        self._clusters: Any = {}  # what the clusters on the map look like
        self._makers: dict[str, Callable[[], StyledRaster]] = {
            "prediction": lambda: class_raster(app.session),
            "confidence": lambda: confidence_raster(app.session),
            "changed": lambda: change_raster(app.session),
            "clusters": lambda: cluster_raster(app.session, app.clusters.section.chosen),
        }

    def start(self) -> None:
        """Show the scene and its maps."""
        app = self._app
        with app.messages:
            self._show_scene("imagery", self.look, app.dating.scene)
        for layer in LAYERS:
            self.show_layer(layer.pane)
        self.refresh_maps()
        app.panes.observe(lambda _: app.project.keep_view(), names=["position"])

    # -- what comes back

    def kept(self) -> tuple[Look, tuple[KeptLayer, ...], KeptDivider, str]:
        """How layers are shown: the last fields of a KeptView."""
        app = self._app
        layers = tuple(KeptLayer(pane, one.eye.value, one.opacity.value) for pane, one in app.layers.rows.items())
        (left, _), (right, _) = app.layers.sides()
        divider = KeptDivider(app.layers.divide.value, left or "", right or "", app.panes.position)
        basemap = app.layers.basemap.value
        return self._asked, layers, divider, "" if basemap == NO_BASEMAP else basemap

    def restore(self, kept: KeptView) -> None:
        """Show layers as they were shown."""
        app = self._app
        for layer in kept.layers:
            if layer.pane in app.layers.rows:
                shown = app.layers.rows[layer.pane]
                shown.eye.value, shown.opacity.value = layer.visible, layer.opacity
        look = self._still(kept.look)
        if look is not None:
            app.layers.look.show_stretch(look)
            self.choose_look(look)
        if not app.frame.is_plain and kept.basemap in BASEMAPS:
            app.layers.basemap.value = kept.basemap
        if kept.divider is not None:
            app.panes.position = kept.divider.position
            app.layers.choose_sides(kept.divider.left, kept.divider.right)
            app.layers.divide.value = kept.divider.is_on

    def _still(self, look: Look | None) -> Look | None:
        """A look that was kept, if the scene still has it; the bands of a preset are today's."""
        if look is None or look.title == BY_HAND:
            return look
        presets = self._app.session.looks
        if look.title == MODEL_LOOK or look.title not in presets:
            return None
        return replace(presets[look.title], percentiles=look.percentiles, stretch=look.stretch)

    # -- what the person does

    def show_layer(self, pane: str) -> None:
        """Show, hide or fade a layer as its row says."""
        app = self._app
        with app.messages:
            layer_row = app.layers.rows[pane]
            seen, opacity = layer_row.eye.value and pane not in self._veiled, layer_row.opacity.value
            if seen:
                self._fill(pane)
            for shown in WITH.get(pane, (pane,)):
                app.panes.show(shown, seen, opacity)
            if not seen and pane in DEAR:
                app.imagery.drop(pane)
        app.project.keep_view()

    def veil(self, panes: frozenset[str]) -> None:
        """Hide layers whatever their rows say, and show those again that were hidden so before."""
        changed, self._veiled = panes ^ self._veiled, panes
        for pane in sorted(changed):
            self.show_layer(pane)

    def choose_look(self, look: Look) -> None:
        """Look at other bands, or by another stretch."""
        app, scene = self._app, self._app.dating.scene
        with app.messages:
            self._show_scene("imagery", look, scene)
            self.look, self._asked = fitted(scene, _look_on(scene, look)), look
        app.layers.look.show(self.look)
        self._offer()
        self.swipe()  # the titles, and what is on the right must be another look

    def show_date(self) -> None:
        """Show the date that is to be seen, by the same look: a stretch that was not set by hand is found anew."""
        self.choose_look(self._asked)

    def next_look(self) -> None:
        """Go to the next of the presets."""
        looks = self._app.session.looks
        self.choose_look(looks[titles_after(list(looks), self.look.title)])
        self._app.messages.show(f"Imagery: {self.look.title}.")

    def toggle_labels(self) -> None:
        """Show or hide the accepted objects."""
        eye = self._app.layers.rows["labels"].eye
        eye.value = not eye.value

    def choose_basemap(self, provider: TileProvider | None) -> None:
        """Put a map of the network below the scene."""
        with self._app.messages:
            self._app.view.show_basemap(None if provider is None else _basemap(provider))
            self.refresh_state()
        self._app.project.keep_view()

    def toggle_swipe(self) -> None:
        """Switch the divider on or off."""
        divide = self._app.layers.divide
        divide.value = not divide.value

    def swipe(self) -> None:
        """Divide the two layers that are chosen."""
        app = self._app
        app.project.keep_view()
        if not app.layers.divide.value:
            app.panes.swipe = {}
            app.imagery.drop("second")
            return
        with app.messages:
            sides = dict(zip(("left", "right"), map(self._side, app.layers.sides()), strict=True))
            if "second" not in (side["pane"] for side in sides.values()):
                app.imagery.drop("second")
            app.panes.swipe = sides

    def _side(self, chosen: tuple[str, str]) -> dict[str, str]:
        """A side of the divider; what it shows is made visible."""
        value, title = chosen
        app = self._app
        if value.startswith(_LOOK):
            title = value.removeprefix(_LOOK)
            self._show_scene("second", app.session.looks[title], app.dating.scene)
            return {"pane": "second", "title": title}
        if value.startswith(_DATE):
            title = value.removeprefix(_DATE)
            self._show_scene("second", self._asked, app.session.scene_at(title))
            return {"pane": "second", "title": title}
        if value:
            app.layers.rows[value].eye.value = True
        return {"pane": value, "title": self._imagery_title() if value == "imagery" else title}

    def _imagery_title(self) -> str:
        """What the imagery is called beside the divider: beside another date, its own."""
        beside = self._app.layers.sides()[1][0]
        return self._app.dating.date if beside.startswith(_DATE) else self.look.title

    # -- how layers follow the session

    def refresh_maps(self) -> None:
        """Show what the latest maps of the scene bring, where it is to be seen."""
        app = self._app
        with app.messages:
            self._drawn = self._meaning()
            for pane in MAPS:
                app.imagery.drop(pane)
                if app.layers.rows[pane].eye.value:
                    self._fill(pane)
            self.refresh_state()

    def refresh_clusters(self) -> None:
        """Show the clusters as they are now, where they are to be seen."""
        app = self._app
        with app.messages:
            drawn = cluster_colours(app.session, app.clusters.section.chosen)
            if drawn != self._clusters:
                self._clusters = drawn
                if not drawn:
                    app.imagery.drop("clusters")
                elif app.layers.rows["clusters"].eye.value:
                    app.imagery.show("clusters", self._makers["clusters"]())
            self.refresh_state()

    def refresh_classes(self) -> None:
        """Show the maps again if their classes have other colours now, or went into others."""
        if self._meaning() != self._drawn:
            self.refresh_maps()

    def _meaning(self) -> tuple[Any, ...]:
        """What the colours of the maps depend on."""
        state = self._app.session.state
        maps = [data for data in (state.prediction, state.former_prediction) if data is not None]
        return map_colours(state), *(map_meanings(state, data) for data in maps)

    def refresh_encoded(self) -> None:
        """Outline the windows that are encoded at the scale of the view, if they are to be seen."""
        app, session = self._app, self._app.session
        if app.layers.rows["encoded"].eye.value:
            windows = [w.polygon for w in session.encoded_windows if w.scale == session.scale]
            app.view.show_encoded(shapely.union_all(windows))
            count = f"{len(windows)} window{'' if len(windows) == 1 else 's'}"
            app.layers.note("encoded", faint(f"{count} at this zoom."))

    def refresh_state(self) -> None:
        """Say what each layer shows."""
        app, there = self._app, self._there()
        notes = {"confidence": ramp_legend(CONFIDENCE_RAMP, "0 %", "100 %")} if "confidence" in there else {}
        if "changed" in there:
            former, latest = app.session.state.former_prediction, app.session.state.prediction
            assert former is not None and latest is not None
            notes["changed"] = faint(f"Map by {_model(latest)} against the one before, by {_model(former)}.")
        elif "prediction" in there:
            notes["changed"] = faint("Needs a second map of the scene.")
        else:
            notes["prediction"] = faint("Not mapped yet.")
        if "clusters" not in there:
            notes["clusters"] = faint("Find them under Model.")
        if "prediction" in there and app.session.dates:
            notes["prediction"] = faint(f"Made by {_model(app.session.state.prediction or {})}.")
        for layer in LAYERS:
            if layer.pane != "encoded":
                app.layers.note(layer.pane, notes.get(layer.pane, ""))
            app.layers.rows[layer.pane].enable(layer.pane in there)
        self._offer()

    def _there(self) -> list[str]:
        """Panes that have something to show."""
        session = self._app.session
        there = ["labels", "encoded", "imagery"]
        if "basemap" in self._app.view.rasters:
            there.append("basemap")
        if session.clusters is not None:
            there.append("clusters")
        if session.prediction is not None:
            there.append("prediction")
            if session.prediction.confidence_path.exists():
                there.append("confidence")
            if session.former_prediction is not None:
                there.append("changed")
        return there

    def _offer(self) -> None:
        """What can be put beside the divider."""
        app, there = self._app, self._there()
        panes = {layer.title: layer.pane for layer in reversed(LAYERS) if layer.pane in there}
        others = [look for look in app.session.looks.values() if look.title != self.look.title]
        others.sort(key=lambda look: look.bands == self.look.bands)  # what looks different first
        looks = {f"Imagery: {date}": _DATE + date for date in app.session.dates if date != app.dating.date}
        looks |= {f"Imagery: {look.title}": _LOOK + look.title for look in others}
        left = {"Imagery": "imagery", NOTHING: "", **panes}
        maps = {title: pane for title, pane in panes.items() if pane in MAPS}
        app.layers.offer(left, {**looks, **maps, **panes, NOTHING: ""})

    def _fill(self, pane: str) -> None:
        """Put what a pane shows on the map, if it is not there yet and there is anything."""
        if pane in self._makers and pane not in self._app.view.rasters and pane in self._there():
            self._app.imagery.show(pane, self._makers[pane]())
        elif pane == "encoded":
            self.refresh_encoded()

    def _show_scene(self, pane: str, look: Look, scene: Scene) -> None:
        self._app.imagery.show(pane, scene_raster(scene, _look_on(scene, look)))


def _look_on(scene: Scene, look: Look) -> Look:
    """A look of one date on another: as the model sees it, each has a stretch of its own."""
    return presets(scene)[MODEL_LOOK] if look.title == MODEL_LOOK else look


def _basemap(provider: TileProvider) -> ipyleaflet.TileLayer:
    """Tiles of a service, enlarged where it has no finer ones."""
    deepest = int(provider.get("max_zoom", 18))
    return ipyleaflet.TileLayer(
        url=provider.build_url(),
        attribution=provider.get("html_attribution") or provider.get("attribution", ""),
        max_native_zoom=deepest,
        max_zoom=24,
        pane="basemap",
        name="basemap",
    )


def _model(made: Mapping[str, Any]) -> str:
    """Who made a map, and of which date, by its event's data."""
    number, date = made.get("round"), made.get("date", "")
    return (f"round {number}" if number else "the model as delivered") + (f" on {date}" if date else "")
