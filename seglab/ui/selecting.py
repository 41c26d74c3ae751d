"""Selecting on the map: a click on an object finds it in the list."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seglab.ui.labeler import Labeler


class Selecting:
    """What a click with the Select tool, or with Ctrl, does; it never is a prompt.

    Args:
        app: the labeler.
    """

    def __init__(self, app: Labeler) -> None:
        self._app = app

    def pick(self, lat: float, lon: float, add: bool) -> None:
        """Select the object at a place; in a review, the proposed one.

        Args:
            lat, lon: on the map.
            add: keep what is selected; an object that is selected already is let go.
        """
        app = self._app
        with app.messages:
            x, y = app.frame.to_crs(lat, lon)
            app.tabs.choose("Objects")
            at = app.session.proposal_at if app.review.is_on else app.session.object_at
            found = at(x, y, crs=app.frame.crs)
            if found is not None:
                app.objects.pick_on_map(found.id, add)
                app.messages.show(f"Selected {self._words()}.")
            elif not add:
                app.objects.select(())
                app.messages.show(f"There is no {'proposed' if app.review.is_on else 'accepted'} object.")

    def _words(self) -> str:
        chosen = self._app.objects.selected_objects()
        return f"a {chosen[0].class_name!r}" if len(chosen) == 1 else f"{len(chosen)} objects"
