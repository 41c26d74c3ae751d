"""Which date of the source a person sees, apart from the one that clicks are answered on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seglab.core.raster import Scene
from seglab.ui.date_bar import DateBar

if TYPE_CHECKING:
    from seglab.ui.labeler import Labeler


class Dating:
    """Handlers of the date bar.

    Args:
        app: the labeler.
    """

    def __init__(self, app: Labeler) -> None:
        self._app = app
        self.date = self._used = app.session.date
        """The date that is seen; "" where the source has none."""
        self.bar = DateBar(app.session.dates, self)
        self._refresh()

    @property
    def scene(self) -> Scene:
        """The imagery that is seen."""
        return self._app.session.imagery_of(self.date)

    def look(self, date: str) -> None:
        """See another date; labels, the model and clicks stay as they are."""
        app = self._app
        with app.messages:
            app.session.scene_at(date)  # what cannot be opened is not seen
            self.date = date
            app.layering.show_date()
            app.project.keep_view()
        self._refresh()

    def step(self, by: int) -> None:
        """See the date after (1) or before (-1) the one that is seen."""
        app, dates = self._app, self._app.session.dates
        if len(dates) < 2:
            app.messages.show("This source has no other dates.")
            return
        at = min(max(dates.index(self.date) + by, 0), len(dates) - 1)
        if dates[at] != self.date:
            self.look(dates[at])

    def use(self) -> None:
        """Answer clicks on the date that is seen."""
        app = self._app
        with app.messages:
            if self.date != app.session.date:
                app.session.use_date(self.date)
                app.messages.show(f"Clicks are answered on {self.date} from now on.", "done")

    def follow(self) -> None:
        """The session answers clicks on another date: where that one was seen before, go with it."""
        together, self._used = self.date == self._used, self._app.session.date
        if together:
            self.look(self._used)
        self._refresh()

    def _refresh(self) -> None:
        if self._app.session.dates:
            self.bar.show(self.date, self._app.session.date)
