"""Without labels: find what looks alike, name it, put together and take apart."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Protocol

import ipywidgets as widgets

from seglab.app.clusters.cluster_map import MOST, ClusterMap, Term
from seglab.app.clusters.clustering import CLUSTERS
from seglab.ui.keys import keys_of, tip
from seglab.ui.panels import faint, number_field, row, section
from seglab.ui.toolbar import button, set_shown

_TITLES = {"self": "A window with itself", "near": "With one like it", "random": "With any other"}
"""Of the three correspondences, by the name of the term."""
_WIDTH, _HEIGHT = 240, 34
"""Of a histogram, pixels."""


class ClusterHandlers(Protocol):
    """What the panel sets off."""

    def find(self) -> None:
        """Find clusters."""

    def choose(self, number: int | None) -> None:
        """A cluster is in hand; None: none is."""

    def picking(self) -> None:
        """Clicks on the map are to choose clusters, or no more."""

    def accept(self) -> None:
        """Accept the chosen cluster as objects of the class in hand."""

    def merge(self) -> None:
        """Put another cluster to the chosen one."""

    def separate(self) -> None:
        """Make the chosen one those again that it was made of."""

    def split(self) -> None:
        """Take the mask out of the chosen one."""


class ClusterSection(widgets.VBox):
    """The clusters with colour, share and class; the chosen one is what the buttons below are about.

    Args:
        handlers: told of every change.
    """

    def __init__(self, handlers: ClusterHandlers) -> None:
        self._handlers = handlers
        self.chosen: int | None = None
        """Number of the cluster in hand."""
        self.toggles: dict[int, widgets.ToggleButton] = {}
        self._switching = False
        self.count = number_field(CLUSTERS, 2, MOST, "Kinds of ground to tell apart")
        self.find = button("Find", "th-large", "See what the scene is made of, without a label", handlers.find)
        self.find.add_class("seglab-wide")
        self.note = widgets.HTML()
        self._colours = widgets.HTML()
        set_shown(self._colours, False)
        self._list = widgets.VBox()
        self._list.add_class("seglab-classes")
        self.pick = widgets.ToggleButton(
            description="Choose on the map",
            icon="hand-pointer-o",
            tooltip=tip("A click on the map chooses a cluster", "clusters"),
        )
        self.pick.add_class("seglab-wide")
        self.pick.observe(lambda _: handlers.picking(), names=["value"])
        self._make_editing()
        self.plot = widgets.HTML()
        self._found = widgets.VBox([row(self.pick), self._list, self.editing, self.plot])
        self._found.add_class("seglab-clusters")
        kinds = widgets.HTML(faint("kinds"))
        title = "Without labels"
        super().__init__([section(title, row(self.count, kinds, self.find), self.note, self._found), self._colours])
        self.add_class("seglab-check-section")
        self.show(None, {}, {}, False)

    def _make_editing(self) -> None:
        do = self._handlers
        self.accept = button("", "check", "", do.accept, "success")
        self.accept.add_class("seglab-wide")
        self.other = widgets.Dropdown(options=[], tooltip="The cluster that goes into the chosen one")
        self.merge = button("Merge", "", "Put that cluster to the chosen one", do.merge)
        self.split = button("Split off mask", "scissors", "Take what the mask holds out of the cluster", do.split)
        self.separate = button("Take apart", "", "Make it the clusters again that it was merged from", do.separate)
        merge = row(self.other, self.merge)
        self.editing = widgets.VBox([row(self.accept), merge, row(self.split, self.separate)])

    # -- what it shows

    def show(self, found: ClusterMap | None, names: Mapping[int, str], classes: Mapping[str, str], busy: bool) -> None:
        """Show the clusters.

        Args:
            found: as they are; None: not looked for yet.
            names: classes of those that were accepted, by number.
            classes: colour '#rrggbb' by name.
            busy: whether they are being looked for.
        """
        self.find.disabled = self.count.disabled = busy
        self.find.description = "Find" if found is None else "Find anew"
        set_shown(self._found, found is not None)
        self.note.value = faint("What looks alike, in colours: name it and it is labelled." if found is None else "")
        if found is None:
            self.chosen = None
            return
        if list(self.toggles) != [c.number for c in found.clusters]:
            self._rebuild([c.number for c in found.clusters])
        total = sum(c.pixels for c in found.clusters)
        rules = []
        for cluster in found.clusters:
            name = names.get(cluster.number)
            colour = classes.get(name or "", cluster.colour)
            rules.append(f".seglab-cluster-{cluster.number} {{--seglab-colour: {colour}}}")
            words = f"{name} ✓" if name else f"Cluster {cluster.number}"
            toggle = self.toggles[cluster.number]
            toggle.description = f"{words}  ({cluster.pixels / total:.0%})"
            toggle.tooltip = f"Choose cluster {cluster.number}" + (f", labelled as {name!r}" if name else "")
        self._colours.value = f"<style>{' '.join(rules)}</style>"
        self.plot.value = _plot(found)
        parts = {c.number: len(c.values) for c in found.clusters}
        if self.chosen not in parts:
            self.chosen = None
        self._follow(parts)

    def _rebuild(self, numbers: list[int]) -> None:
        gone = self.toggles.values()
        self.toggles = {}
        for number in numbers:
            toggle = widgets.ToggleButton(value=number == self.chosen)
            toggle.add_class("seglab-class")
            toggle.add_class(f"seglab-cluster-{number}")
            toggle.observe(lambda change, number=number: self._toggled(number, change["new"]), names=["value"])
            self.toggles[number] = toggle
        self._list.children = list(self.toggles.values())
        for toggle in gone:
            toggle.close()

    def _toggled(self, number: int, is_chosen: bool) -> None:
        if not self._switching:
            self._handlers.choose(number if is_chosen else None)

    def _follow(self, parts: Mapping[int, int]) -> None:
        """What can be done with the chosen one."""
        self._switching = True
        for number, toggle in self.toggles.items():
            toggle.value = number == self.chosen
        set_shown(self.editing, self.chosen is not None)
        others = [(f"with cluster {n}", n) for n in parts if n != self.chosen]
        if list(self.other.options) != others:
            self.other.options = others
            self.other.value = others[0][1] if others else None
        self.merge.disabled = not others
        set_shown(self.separate, self.chosen is not None and parts[self.chosen] > 1)
        self._switching = False

    def show_hand(self, class_name: str | None, has_mask: bool) -> None:
        """Say what accepting would do, and whether there is a mask to split off.

        Args:
            class_name: in hand.
            has_mask: whether something is being drawn.
        """
        self.accept.disabled = class_name is None
        self.accept.description = "Label it" if class_name is None else f"Label it {class_name!r}"
        self.accept.tooltip = f"All its regions become objects of the class in hand ({keys_of('accept')})"
        self.split.disabled = not has_mask


def _plot(found: ClusterMap) -> str:
    """The three correspondences as histograms, folded up, as HTML."""
    drawn = "".join(_histogram(term) for term in found.terms)
    return (
        f'<details class="seglab-plot"><summary>{faint("How the training went")}</summary>'
        f"{faint(found.advice[:1].upper() + found.advice[1:] + ('' if found.advice.endswith('.') else '.'))}"
        f"{drawn}</details>"
    )


def _histogram(term: Term) -> str:
    """How often features correspond how much; right of the line they are drawn together."""
    step, top = _WIDTH / len(term.shares), max(term.shares)
    bars = "".join(
        f'<rect x="{i * step:.1f}" y="{_HEIGHT * (1 - share / top):.1f}" width="{step - 0.5:.1f}" '
        f'height="{_HEIGHT * share / top:.1f}"/>'
        for i, share in enumerate(term.shares)
    )
    at = _WIDTH * (term.shift - term.low) / (term.high - term.low or 1)
    above = sum(share for i, share in enumerate(term.shares) if (i + 0.5) * step > at)
    title = html.escape(_TITLES[term.name])
    return (
        f"<div>{faint(f'{title}: {above:.0%} drawn together')}</div>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="100%" height="{_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{title}">{bars}<line x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{_HEIGHT}"/></svg>'
    )
