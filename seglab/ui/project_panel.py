"""The column of the project: places, the area of interest, hectares, tidying, import, cache, code."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import ipywidgets as widgets
import pandas as pd

from seglab.app.history.label_events import OVERLAPS
from seglab.app.labels.tidy import Tidy
from seglab.ui.keys import tip
from seglab.ui.panels import faint, on_enter, row, section
from seglab.ui.toolbar import button

TIDY = {
    "min_area": ("Min. area", "Separate pieces of fewer scene pixels are dropped"),
    "fill_holes": ("Fill holes", "Holes of up to so many scene pixels are filled"),
    "smooth": ("Smooth", "Corners and bays narrower than about so many pixels are evened out"),
    "snap": ("Snap", "Edges move onto a neighbour's where the gap is no wider, in scene pixels"),
}
"""Label and tooltip of each setting of `Tidy`."""

MOST = 1_000_000
"""Pixels, of any setting."""


class ProjectHandlers(Protocol):
    """What the panel sets off."""

    def go_to(self, text: str) -> None:
        """Show a place."""

    def draw_area(self) -> None:
        """Draw on the map where maps and suggestions are to stay."""

    def take_view_as_area(self) -> None:
        """Keep maps and suggestions to what is seen."""

    def clear_area(self) -> None:
        """Everywhere again."""

    def set_tidy(self, tidy: Tidy) -> None:
        """How masks are tidied on accepting."""

    def set_overlaps(self, rule: str) -> None:
        """What happens where objects overlap."""

    def import_labels(self, name: str, as_proposals: bool) -> None:
        """Take over labels from a file."""

    def clear_cache(self) -> None:
        """Empty the caches."""

    def copy_code(self) -> None:
        """Give the project as Python calls."""


class ProjectPanel(widgets.VBox):
    """What concerns the project as a whole.

    Args:
        handlers: what the fields and buttons call.
        folder: of the project.
        example: how a place may be written.
        accounts: time and accuracy.
        annotators: compares labels with those of others.
        adder: adds a scene.
    """

    def __init__(
        self,
        handlers: ProjectHandlers,
        folder: Path,
        example: str,
        accounts: widgets.Widget,
        annotators: widgets.Widget,
        adder: widgets.Widget,
    ) -> None:
        self._do = handlers
        self._following = False
        self.areas = widgets.HTML()
        self.cache = widgets.HTML()
        self.clear = button("Clear", "trash", "Empty the caches; windows are encoded anew", handlers.clear_cache)
        code = tip("Copy the Python calls that make these labels again", "code")
        self.code = button("Copy as code", "code", code, handlers.copy_code)
        self.code.add_class("seglab-wide")
        where = widgets.HTML(faint(str(folder)))
        super().__init__(
            [
                self._make_place(example),
                self._make_interest(),
                section("Areas", self.areas),
                accounts,
                self._make_accepting(),
                self._make_import(),
                annotators,
                adder,
                section("Project", where, row(self.cache, self.clear), row(self.code)),
            ]
        )

    def _make_place(self, example: str) -> widgets.VBox:
        self.place = widgets.Text(
            placeholder=example, tooltip=tip(f"A place, such as {example}", "place"), continuous_update=False
        )
        on_enter(self.place, lambda: self._do.go_to(self.place.value))
        self.go = button("", "arrow-right", "Show that place", lambda: self._do.go_to(self.place.value))
        return section("Place", row(self.place, self.go))

    def _make_interest(self) -> widgets.VBox:
        drawn = tip("Keep maps and suggestions to an area that you draw on the map", "tool:area")
        self.draw = button("Draw", "crop", drawn, self._do.draw_area)
        seen = "Keep maps and suggestions to what is seen now"
        self.take_view = button("This view", "", seen, self._do.take_view_as_area)
        whole = "Maps and suggestions of the whole scene again"
        self.everywhere = button("All", "", whole, self._do.clear_area)
        for part in (self.draw, self.take_view):
            part.add_class("seglab-wide")
        self.extent = widgets.HTML()
        return section("Area of interest", row(self.draw, self.take_view, self.everywhere), self.extent)

    def _make_accepting(self) -> widgets.VBox:
        self.tidy = {
            name: widgets.BoundedIntText(description=label, tooltip=tooltip, min=0, max=MOST)
            for name, (label, tooltip) in TIDY.items()
        }
        for field in self.tidy.values():
            field.observe(self._tidied, names=["value"])
        self.overlaps = widgets.Dropdown(
            options=[("Later object wins", OVERLAPS[0]), ("Overlaps allowed", OVERLAPS[1])],
            tooltip="What happens where an accepted object lies over another",
        )
        self.overlaps.observe(self._ruled, names=["value"])
        fields = widgets.VBox(list(self.tidy.values()))
        fields.add_class("seglab-tidy")
        return section("On accepting, in pixels", fields, row(self.overlaps))

    def _make_import(self) -> widgets.VBox:
        self.file = widgets.Text(
            placeholder="labels.geojson",
            tooltip="GeoJSON, GeoPackage, Shapefile, COCO JSON, or another project's folder",
            continuous_update=False,
        )
        self.as_proposals = widgets.Checkbox(value=False, description="To be reviewed first", indent=False)
        taken = button("Import", "upload", "Take over the labels of that file", self._import)
        return section("Import labels", row(self.file, taken), self.as_proposals)

    # -- what it shows

    def show(self, areas: str, tidy: Tidy, overlaps: str, cache: Mapping[str, int], area_ha: str) -> None:
        """Show how things stand.

        Args:
            areas: as `areas_html` gives them.
            tidy, overlaps: settings.
            cache: bytes by kind.
            area_ha: size of the area of interest in words; "" where there is none.
        """
        self._following = True
        for name, field in self.tidy.items():
            field.value = int(min(getattr(tidy, name), MOST))
        self.overlaps.value = overlaps
        self._following = False
        self.areas.value = areas
        megabytes = sum(cache.values()) / 1e6
        self.cache.value = faint(f"Cache: {megabytes:,.0f} MB")
        self.everywhere.disabled = not area_ha
        self.extent.value = faint(
            f"Maps and suggestions: {area_ha}." if area_ha else "Maps and suggestions: everywhere."
        )

    # -- what the person does

    def _tidied(self, _: object) -> None:
        if not self._following:
            self._do.set_tidy(Tidy(**{name: field.value for name, field in self.tidy.items()}))

    def _ruled(self, change: Mapping[str, Any]) -> None:
        if not self._following:
            self._do.set_overlaps(change["new"])

    def _import(self) -> None:
        self._do.import_labels(self.file.value.strip(), self.as_proposals.value)


def areas_html(areas: pd.DataFrame, scene: str = "") -> str:
    """Objects and hectares by class as a small table; pixels where there is no CRS.

    Args:
        areas: as `LabelSession.areas`.
        scene: its name, where there are others.
    """
    by, unit, digits = ("hectares", "ha", 2) if areas["hectares"].notna().all() else ("pixels", "px", 0)
    lines = "".join(
        f"<tr><td>{html.escape(str(name))}</td><td>{line['objects']:.0f}</td><td>{line[by]:,.{digits}f}</td></tr>"
        for name, line in areas.iterrows()
    )
    of = f"<caption>{html.escape(scene)}</caption>" if scene else ""
    return f'<table class="seglab-areas">{of}<tr><th>Class</th><th>Objects</th><th>{unit}</th></tr>{lines}</table>'
