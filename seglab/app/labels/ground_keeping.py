"""What a session is told of the ground at large: labels made elsewhere, and areas that are reviewed or kept out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shapely.geometry.base import BaseGeometry

from seglab import jobs
from seglab.app.history.label_events import OVERLAPS
from seglab.app.history.ledger import Ledger
from seglab.app.history.state import State
from seglab.app.labels.areas import area_in_scene
from seglab.app.labels.importing import imported, new_classes
from seglab.app.labels.labelled import dated
from seglab.app.labels.proposed import propose_data
from seglab.core.grid import Grid
from seglab.core.overlay import MapFrame
from seglab.core.places import find_place
from seglab.datasets.labels_file import read_labels
from seglab.errors import ObjectEditError


class GroundKeeping:
    """The part of a LabelSession that imports labels, marks areas and finds places."""

    _ledger: Ledger
    grid: Grid
    state: State
    date: str
    model_size: int

    def review(self, polygon: BaseGeometry, crs: Any = None) -> None:
        """Say that everything inside a polygon is labelled: what is unlabelled there is background, on the date in use.

        Args:
            polygon: in longitude/latitude, or in `crs`.
            crs: see `click`.

        Raises:
            PromptError: the polygon is not finite.
            OutsideSceneError: the polygon does not touch the scene.
        """
        with self._ledger.acting():
            data = area_in_scene(polygon, self.grid, crs) | dated(self.date)
            self._ledger.record("review", data, "labels")

    def import_labels(
        self,
        path: str | Path,
        class_column: str | None = None,
        class_name: str | None = None,
        image: str | None = None,
        as_proposals: bool = False,
        reporter: jobs.Reporter | None = None,
    ) -> int:
        """Take over labels that were made elsewhere, as accepted objects; one action, which undo takes back.

        Classes that the project does not have are added. Outlines are put on pixel edges; where objects overlap, the
        later one wins.

        Args:
            path: GeoJSON, GeoPackage, Shapefile or another vector file, COCO JSON, or a project's folder.
            class_column: the column that tells the class; a usual name if None.
            class_name: one class for all, for files that tell none.
            image: which image of a COCO file with several.
            as_proposals: propose them instead, for a person to confirm or dismiss one by one.
            reporter: for calls inside a job; where that is cancelled, nothing is imported.

        Returns:
            How many objects were imported; those outside the scene are left out.

        Raises:
            LabelsFileError: the file cannot be used as it is.
        """
        reporter = reporter or jobs.SilentReporter()
        labels = read_labels(path, class_column, class_name, image)
        found = imported(labels, self.grid, self.model_size, reporter)  # takes a while: nobody waits for it
        with self._ledger.acting():
            reporter.check()
            classes, source = new_classes(found, self.state), Path(path).name
            if as_proposals:
                self._ledger.record("propose", propose_data(found, classes, source), "classes")
            else:
                self._ledger.record("import", {"found": found, "classes": classes, "source": source}, "labels")
            return len(found)

    @property
    def area_of_interest(self) -> BaseGeometry | None:
        """Where maps and suggestions stay, in longitude/latitude (scene pixels without a CRS); None: everywhere.

        Setting it is an action, which undo takes back; `set_area_of_interest` takes other CRSs.
        """
        area = self.state.area_of_interest
        return None if area is None else self.grid.geometry_from_pixel(area)

    @area_of_interest.setter
    def area_of_interest(self, polygon: BaseGeometry | None) -> None:
        self.set_area_of_interest(polygon)

    def set_area_of_interest(self, polygon: BaseGeometry | None, crs: Any = None) -> None:
        """Keep maps and suggestions to an area; None takes it away.

        Args:
            polygon: in longitude/latitude, or in `crs`.
            crs: see `click`.

        Raises:
            PromptError, OutsideSceneError: see `review`.
        """
        with self._ledger.acting():
            if polygon is not None:
                self._ledger.record("area_of_interest", area_in_scene(polygon, self.grid, crs), "areas")
            elif self.state.area_of_interest is not None:
                self._ledger.record("area_of_interest", {"geometry": None}, "areas")

    def find_place(self, text: str) -> tuple[float, float]:
        """The scene pixel (col, row) of a place in words: "48.137, 11.576", "11°34'33\" E 48°8'13\" N", "EPSG:25832
        691600 5334760", or "column, row" where the map is plain; see core.places.

        Raises:
            PlaceError: the text is no place.
            OutsideSceneError: the place lies outside the scene.
        """
        return find_place(text, self.grid, MapFrame.of(self.grid).is_plain)

    @property
    def overlaps(self) -> str:
        """What happens where objects overlap: "later wins" takes the ground from the earlier one, "allowed" leaves it
        to both. Setting it is an action; going back to "later wins" settles the overlaps that are there.

        Rounds and maps give a pixel one class, and take the later object's; each object's own mask stays whole.
        """
        return self.state.overlaps

    @overlaps.setter
    def overlaps(self, rule: str) -> None:
        if rule not in OVERLAPS:
            raise ObjectEditError(f"overlaps={rule!r} is not known; give one of {', '.join(map(repr, OVERLAPS))}")
        with self._ledger.acting():
            if rule != self.state.overlaps:
                self._ledger.record("overlaps", {"rule": rule}, "labels")

    def never_train(self, polygon: BaseGeometry, crs: Any = None) -> None:
        """Keep an area out of training: rounds do not learn from it and are judged on the objects in it.

        Args:
            polygon: in longitude/latitude, or in `crs`.
            crs: see `click`.

        Raises:
            PromptError, OutsideSceneError: see `review`.
        """
        with self._ledger.acting():
            self._ledger.record("never_train", area_in_scene(polygon, self.grid, crs), "areas")

    def never_suggest(self, polygon: BaseGeometry, crs: Any = None) -> None:
        """Leave an area out of suggestions: no window that lies mostly in it is suggested any more.

        Args:
            polygon: in longitude/latitude, or in `crs`.
            crs: see `click`.

        Raises:
            PromptError, OutsideSceneError: see `review`.
        """
        with self._ledger.acting():
            self._ledger.record("never_suggest", area_in_scene(polygon, self.grid, crs), "areas")
