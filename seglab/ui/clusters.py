"""What a person does with the clusters of a scene, on the map and beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seglab.errors import ClusterError, UnknownClassError
from seglab.ui.cluster_panel import ClusterSection
from seglab.ui.keys import keys_of

if TYPE_CHECKING:
    from seglab.ui.labeler import Labeler


class Clusters:
    """Handlers of the section without labels.

    Args:
        app: the labeler.
    """

    def __init__(self, app: Labeler) -> None:
        self._app = app
        self._taking = False
        self.section = ClusterSection(self)

    # -- how it follows the session

    def refresh(self) -> None:
        """Show the clusters, and on the map those that have no class yet."""
        app, session = self._app, self._app.session
        self.section.show(session.clusters, session.cluster_classes, session.classes, "clusters" in app.work.running)
        self.refresh_hand()
        app.layering.refresh_clusters()

    def refresh_hand(self) -> None:
        """Follow the class in hand and the mask."""
        self.section.show_hand(self._app.classes.chosen, self._app.session.mask is not None)

    # -- what the person does

    @property
    def picks(self) -> bool:
        """Whether clicks on the map choose clusters."""
        return self.section.pick.value

    @property
    def answers(self) -> bool:
        """Whether Accept is about a cluster: one is chosen on the map, and no mask is being drawn."""
        session = self._app.session
        return self.picks and self.section.chosen is not None and session.mask is None and session.prompts.is_empty

    def find(self) -> None:
        """Find clusters, in the background."""
        app = self._app
        with app.messages:
            app.work.follow("clusters", app.session.propose(self.section.count.value), self._was_found)
            self.refresh()
            app.messages.show("Looking for what is alike; you can go on labelling meanwhile.")

    def _was_found(self, _: Any) -> None:
        self.section.pick.value = True
        self._app.messages.show(f"Click a colour, then label it with the class in hand ({keys_of('accept')}).", "done")

    def toggle(self) -> None:
        """Choose clusters by clicks on the map, or no more."""
        with self._app.messages:
            if self._app.session.clusters is None:
                raise ClusterError("there are no clusters yet; Find, under Without labels, looks for them")
            self.section.pick.value = not self.picks

    def picking(self) -> None:
        """Clicks on the map choose clusters from now on, or no more."""
        app = self._app
        if self.picks and not self._taking:
            self._taking = True
            app.toolbar.choose("plus")  # the map is clicked and moved by it
            self.section.pick.value = True
            self._taking = False
            app.hover.clear()
            app.messages.show(f"Click a colour on the map; {keys_of('escape')} ends it.")

    def pick(self, lat: float, lon: float) -> None:
        """Choose the cluster at a place on the map."""
        app = self._app
        with app.messages:
            x, y = app.frame.to_crs(lat, lon)
            found = app.session.cluster_at(x, y, crs=app.frame.crs)
            self.choose(None if found is None else found.number)

    def choose(self, number: int | None) -> None:
        """Take a cluster in hand: the others fade."""
        app = self._app
        with app.messages:
            self.section.chosen = number
            self.refresh()
            if number is None:
                return
            name = app.session.cluster_classes.get(number)
            known = f"It is {name!r}. " if name else ""
            keys = keys_of("accept")
            app.messages.show(f"Cluster {number}. {known}Take a class in hand and label all of it with it ({keys}).")

    def end(self) -> None:
        """Let go of the cluster in hand; where there is none, of the map's clicks."""
        if self.section.chosen is not None:
            self.choose(None)
        else:
            self.section.pick.value = False

    def accept(self) -> None:
        """Label the chosen cluster with the class in hand."""
        app = self._app
        with app.messages:
            name = app.classes.chosen
            if name is None:
                raise UnknownClassError("there is no class yet; add one, then label the cluster")
            made = app.session.name_cluster(self._number(), name)
            self.choose(None)
            count = f"{len(made)} region{'' if len(made) == 1 else 's'}"
            app.messages.show(f"Labelled {count} as {name!r} and saved. Click the next colour.", "done")

    def merge(self) -> None:
        """Put another cluster to the chosen one."""
        app = self._app
        with app.messages:
            app.session.merge_clusters(self._number(), self.section.other.value)
            app.messages.show("Merged; Take apart brings both back.", "done")

    def separate(self) -> None:
        """Make the chosen one those again that it was made of."""
        with self._app.messages:
            self._app.session.separate_cluster(self._number())

    def split(self) -> None:
        """Take what the mask holds out of the chosen one."""
        app = self._app
        with app.messages:
            found = app.session.split_cluster(self._number())
            self.choose(found.clusters[-1].number)
            app.messages.show("What the mask held is a cluster of its own now.", "done")

    def _number(self) -> int:
        if self.section.chosen is None:
            raise ClusterError("no cluster is chosen; click one in the list or on the map")
        return self.section.chosen
