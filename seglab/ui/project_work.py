"""What a person does with the project as a whole, and how the labeler comes back as it was left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapely.geometry import Point, box
from shapely.geometry.base import BaseGeometry

from seglab import jobs
from seglab.app.labels.measuring import SQUARE_METRES
from seglab.app.labels.tidy import Tidy
from seglab.app.project.kept_view import KeptView
from seglab.core.places import EXAMPLES, PLAIN_EXAMPLES
from seglab.errors import LabelsFileError
from seglab.ui.accounts_panel import AccountsPanel
from seglab.ui.clipboard import CodeSheet
from seglab.ui.project_panel import ProjectPanel, areas_html
from seglab.ui.toolbar import TOOLS

if TYPE_CHECKING:
    from seglab.ui.labeler import Labeler

TITLE = "Project"
"""Of the tab."""
NEARBY = 64
"""Scene pixels around a place that are shown with it, at least."""


class ProjectWork:
    """Handlers of the project's panel.

    Args:
        app: the labeler.
    """

    def __init__(self, app: Labeler) -> None:
        self._app = app
        example = (PLAIN_EXAMPLES if app.frame.is_plain else EXAMPLES).split(" or ")[0]
        folder = app.session.project.folder
        self.accounts = AccountsPanel(self.write_report)
        self.panel = ProjectPanel(self, folder, example, self.accounts, app.comparing.section, app.scenes.adder.section)
        self.code = CodeSheet()
        self._keeps = False
        """Whether what is shown is the person's doing: not before the view that was kept is back."""

    # -- what it shows

    def refresh(self) -> None:
        """Show how things stand; where the tab is not open, only the frame of the area of interest."""
        app, session = self._app, self._app.session
        app.view.show_interest(session.state.area_of_interest)
        if app.tabs.chosen == TITLE:
            several = session.scene_name if len(session.scenes) > 1 else ""
            areas = areas_html(session.areas, several)
            self.panel.show(areas, session.tidy, session.overlaps, session.cache_size, self._area_words())
            app.comparing.refresh()

    def open(self) -> None:
        """Show how things stand when the tab is opened."""
        self.refresh()
        self.refresh_accounts()

    def refresh_accounts(self) -> None:
        """Show what labelling has cost and brought. It reads the whole log: not with every label."""
        if self._app.tabs.chosen == TITLE:
            self.accounts.show(self._app.session.accounts)

    def _area_words(self) -> str:
        area = self._app.session.state.area_of_interest
        if area is None:
            return ""
        metres = self._app.session.grid.area_m2(area)
        return f"{area.area:,.0f} px" if metres is None else f"{metres / SQUARE_METRES:,.1f} ha"

    # -- what the person does

    def ask_for_place(self) -> None:
        """Put the cursor where a place is written."""
        self._app.tabs.choose(TITLE)
        self.panel.place.focus()

    def go_to(self, text: str) -> None:
        """Show a place."""
        app = self._app
        with app.messages:
            col, row = app.session.find_place(text)
            app.view.fly_to(Point(col, row).buffer(NEARBY))
            app.messages.show(f"{text.strip()} is in the middle of the map.", "done")

    def take_view_as_area(self) -> None:
        """Keep maps and suggestions to what is seen."""
        app = self._app
        with app.messages:
            if app.view.view is None:
                return
            self.take_area(box(*app.frame.rectangle(*app.view.view)))

    def draw_area(self) -> None:
        """Take the tool that draws the area of interest."""
        app = self._app
        app.toolbar.choose("area")
        app.messages.show("Click the corners of the area on the map; Enter or a double click ends it.")

    def take_area(self, area: BaseGeometry) -> None:
        """Keep maps and suggestions to an area, in the frame's CRS."""
        app = self._app
        app.session.set_area_of_interest(area, crs=app.frame.crs)
        app.messages.show("Maps and suggestions stay within this area; undo takes it back.", "done")

    def clear_area(self) -> None:
        """Everywhere again."""
        with self._app.messages:
            self._app.session.set_area_of_interest(None)
            self._app.messages.show("Maps and suggestions are of the whole scene again.", "done")

    def set_tidy(self, tidy: Tidy) -> None:
        """How masks are tidied on accepting."""
        self._app.session.tidy = tidy
        self.keep_view()

    def set_overlaps(self, rule: str) -> None:
        """What happens where objects overlap."""
        with self._app.messages:
            self._app.session.overlaps = rule

    def import_labels(self, name: str, as_proposals: bool) -> None:
        """Take over labels from a file."""
        app = self._app
        with app.messages:
            if not name:
                raise LabelsFileError("name the file first: GeoJSON, GeoPackage, Shapefile, COCO JSON, or a project")
            how = "proposed; Q reviews them" if as_proposals else "imported; undo takes them back"
            session = app.session
            work = lambda reporter: session.import_labels(name, as_proposals=as_proposals, reporter=reporter)  # noqa: E731

            def imported(count: int) -> None:
                app.messages.show(f"{count} object{'' if count == 1 else 's'} {how}.", "done")

            app.work.follow("import", jobs.start(work, title="import labels", unit="outline"), imported)

    def write_report(self, name: str) -> None:
        """Write all that is known of the project to a file."""
        app = self._app
        with app.messages:
            path = app.session.report(name or "report.html")
            self.refresh_accounts()
            app.messages.show(f"The report is in {path.name!r}; open it in a browser.", "done")

    def clear_cache(self) -> None:
        """Empty the caches."""
        with self._app.messages:
            freed = self._app.session.clear_cache()
            self.refresh()
            self._app.messages.show(f"{freed / 1e6:,.0f} MB are free again.", "done")

    def copy_code(self) -> None:
        """Give the project as Python calls: to the clipboard, and to look at."""
        app = self._app
        with app.messages:
            job = jobs.start(lambda reporter: app.session.as_code(), title="write as code")
            app.jobs.follow(job, self.code.give, lambda: None)

    # -- the view that comes back

    def restore_view(self) -> None:
        """Show what was shown when the project was left."""
        kept = self._app.session.kept_view
        try:
            if kept is not None:
                self.take(kept)
                self._show(kept)
        finally:
            self._keeps = True

    def _show(self, kept: KeptView) -> None:
        """Show the date, the layers and the place of a view."""
        app = self._app
        if kept.date in app.session.dates and kept.date != app.dating.date:
            app.dating.look(kept.date)
        app.layering.restore(kept)
        if kept.center is not None and kept.zoom is not None:
            app.view.map.center, app.view.map.zoom = kept.center, kept.zoom

    def take(self, kept: KeptView) -> None:
        """Take up the tool, the class and the settings of a view; the map stays where it is."""
        app = self._app
        for name, eye in app.classes.eyes.items():
            eye.value = name not in kept.hidden
        app.classes.choose(kept.class_name)
        if kept.tool in TOOLS:
            app.toolbar.choose(kept.tool)
        known = vars(Tidy())
        app.session.tidy = Tidy(**{name: value for name, value in kept.tidy if name in known and value >= 0})

    def keep_view(self) -> None:
        """Keep what is shown for the next time."""
        if self._keeps:
            self._app.session.keep_view(self.view_now())

    def view_now(self) -> KeptView:
        """What is shown."""
        app = self._app
        shown = app.view.map
        tidy = tuple((name, float(value)) for name, value in vars(app.session.tidy).items())
        return KeptView(
            tuple(shown.center), float(shown.zoom), app.toolbar.tool, app.classes.chosen,
            tuple(sorted(app.classes.hidden)), tidy, app.dating.date, *app.layering.kept(),
        )  # fmt: skip
