"""Choosing how the scene is looked at: a preset, or bands and stretch by hand."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import ipywidgets as widgets

from seglab.app.maps.map_rasters import ramp_colours
from seglab.app.project.looks import BY_HAND, MODEL_LOOK, PERCENTILES, RAMPS, Look
from seglab.core.stretch import Stretch
from seglab.ui.keys import tip
from seglab.ui.panels import faint, row
from seglab.ui.toolbar import set_shown

KINDS = {"Three bands": 3, "One band": 1, "Index (a − b) / (a + b)": 2}
"""What can be shown of a scene's bands, by how many of them it takes."""

STRETCHES: dict[str, tuple[float, float] | None] = {
    "2 to 98 %": PERCENTILES,
    "1 to 99 %": (1.0, 99.0),
    "0 to 100 %": (0.0, 100.0),
    "By hand": None,
}
"""Percentiles of the values that are shown as dark and bright; None for two numbers by hand."""


class LookEditor(widgets.VBox):
    """A list of looks, the bands of one by hand, and the stretch.

    Args:
        looks: presets by title, the model's first.
        bands: names of the scene's bands by their 1-based index, "" where one has none.
        on_look: called with the look that is wanted.
    """

    def __init__(self, looks: Mapping[str, Look], bands: Mapping[int, str], on_look: Callable[[Look], None]) -> None:
        self._looks = looks
        self._on_look = on_look
        self._filling = False
        words = tip("Bands and colours of the imagery; what the model sees stays as it is", "look")
        self.preset = widgets.Dropdown(options=[*looks, BY_HAND], tooltip=words)
        self.kind = widgets.Dropdown(options=list(KINDS), tooltip="How many bands make the picture")
        options = [(f"{index}: {name}" if name else f"Band {index}", index) for index, name in bands.items()]
        self.bands = [widgets.Dropdown(options=options) for _ in range(3)]
        self.ramp = widgets.Dropdown(options=list(RAMPS), tooltip="Colours from the lowest value to the highest")
        self.stretch = widgets.Dropdown(options=list(STRETCHES), tooltip="Values shown as darkest and brightest")
        self.low = widgets.FloatText(tooltip="Value shown as darkest", continuous_update=False)
        self.high = widgets.FloatText(tooltip="Value shown as brightest", continuous_update=False)
        self.legend = widgets.HTML()
        self._limits = row(self.low, self.high)
        self._stretch = row(widgets.HTML(faint("Stretch")), self.stretch)
        self._roles = [widgets.HTML() for _ in self.bands]
        self._band_rows = [row(role, choice) for role, choice in zip(self._roles, self.bands, strict=True)]
        self._ramp = row(widgets.HTML(faint("Ramp")), self.ramp)
        self._hand = widgets.VBox([row(self.kind), *self._band_rows, self._ramp])
        self._hand.add_class("seglab-nested")
        super().__init__([row(self.preset), self._hand, self._stretch, self._limits, self.legend])
        self.add_class("seglab-look")
        self.show(next(iter(looks.values())))
        for part in (self.kind, *self.bands, self.ramp, self.stretch, self.low, self.high):
            part.observe(lambda _: self._changed(), names=["value"])
        self.preset.observe(lambda _: self._chosen(), names=["value"])

    def show(self, look: Look) -> None:
        """Show which look is in use.

        Args:
            look: fitted, where its limits are to be seen.
        """
        self._look = look
        self._filling = True
        self.preset.value = look.title
        self.kind.value = next(title for title, count in KINDS.items() if count == len(look.bands))
        for choice, band in zip(self.bands, look.bands, strict=False):
            choice.value = band
        self.ramp.value = look.ramp or RAMPS[0]
        if look.stretch is not None:
            self.low.value, self.high.value = min(look.stretch.low), max(look.stretch.high)
        self._filling = False
        self._arrange()
        self.legend.value = self._legend(look)

    def show_stretch(self, look: Look) -> None:
        """Show how the stretch of a look is found.

        Args:
            look: not fitted: with limits only where they were given by hand.
        """
        by_hand = "By hand" if look.stretch is not None else next(iter(STRETCHES))
        titles = {percentiles: title for title, percentiles in STRETCHES.items() if percentiles is not None}
        self._filling = True
        self.stretch.value = by_hand if look.stretch is not None else titles.get(look.percentiles, by_hand)
        self._filling = False

    def _arrange(self) -> None:
        """Show the parts that matter for this look."""
        count = KINDS[self.kind.value]
        roles = {3: ("Red", "Green", "Blue"), 2: ("a", "b"), 1: ("Band",)}[count]
        for place, band_row in enumerate(self._band_rows):
            set_shown(band_row, place < count)
            if place < count:
                self._roles[place].value = faint(roles[place])
                self.bands[place].tooltip = f"Band shown as: {roles[place].lower()}"
        by_hand = self.preset.value == BY_HAND
        set_shown(self._hand, by_hand)
        set_shown(self._ramp, count < 3)
        set_shown(self._stretch, self.preset.value != MODEL_LOOK)
        set_shown(self._limits, self.preset.value != MODEL_LOOK and self.stretch.value == "By hand")

    def _chosen(self) -> None:
        """Another preset: its own bands and ramp; by hand it begins with the bands that are shown."""
        if self._filling:
            return
        title = self.preset.value
        look = replace(self._look, title=BY_HAND, stretch=None) if title == BY_HAND else self._looks[title]
        self._filling = True
        self.stretch.value = next(iter(STRETCHES))
        self._filling = False
        self._on_look(look)

    def _changed(self) -> None:
        """Bands, ramp or stretch by hand."""
        if self._filling:
            return
        self._arrange()
        self._on_look(self._wanted())

    def _wanted(self) -> Look:
        percentiles = STRETCHES[self.stretch.value]
        look = self._look
        if self.preset.value == BY_HAND:
            count = KINDS[self.kind.value]
            bands = tuple(choice.value for choice in self.bands[:count])
            look = Look(BY_HAND, bands, None if count == 3 else self.ramp.value)
        if percentiles is not None:
            return replace(look, percentiles=percentiles, stretch=None)
        return replace(look, stretch=Stretch((self.low.value,) * look.shown, (self.high.value,) * look.shown))

    @staticmethod
    def _legend(look: Look) -> str:
        """The ramp with the values at its ends; nothing for three bands."""
        if look.stretch is None or look.ramp is None:
            return ""
        return ramp_legend(look.ramp, f"{look.stretch.low[0]:.3g}", f"{look.stretch.high[0]:.3g}")


def ramp_legend(ramp: str, low: str, high: str) -> str:
    """A colour ramp and the values at its ends, as HTML."""
    colours = ", ".join(ramp_colours(ramp))
    return (
        f'<div class="seglab-ramp"><span>{html.escape(low)}</span><i style="background: linear-gradient(to right, '
        f'{colours})"></i><span>{html.escape(high)}</span></div>'
    )


def titles_after(titles: Sequence[str], current: str) -> str:
    """The title after the current one, from the start again after the last."""
    return titles[(titles.index(current) + 1) % len(titles)] if current in titles else titles[0]
