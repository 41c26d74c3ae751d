"""What a session is told of the ground at large: labels made elsewhere, and areas that are reviewed or kept out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shapely.geometry.base import BaseGeometry

from seglab.app.areas import area_in_scene
from seglab.app.importing import imported, new_classes
from seglab.app.ledger import Ledger
from seglab.app.proposed import propose_data
from seglab.app.state import State
from seglab.core.grid import Grid
from seglab.datasets.labels_file import read_labels


class GroundKeeping:
    """The part of a LabelSession that imports labels and marks areas."""

    _ledger: Ledger
    grid: Grid
    state: State
    model_size: int

    def review(self, polygon: BaseGeometry, crs: Any = None) -> None:
        """Say that everything inside a polygon is labelled: what is unlabelled there is background.

        Args:
            polygon: in longitude/latitude, or in `crs`.
            crs: see `click`.

        Raises:
            PromptError: the polygon is not finite.
            OutsideSceneError: the polygon does not touch the scene.
        """
        with self._ledger.acting():
            self._ledger.record("review", area_in_scene(polygon, self.grid, crs), "labels")

    def import_labels(
        self,
        path: str | Path,
        class_column: str | None = None,
        class_name: str | None = None,
        image: str | None = None,
        as_proposals: bool = False,
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

        Returns:
            How many objects were imported; those outside the scene are left out.

        Raises:
            LabelsFileError: the file cannot be used as it is.
        """
        labels = read_labels(path, class_column, class_name, image)
        with self._ledger.acting():
            found = imported(labels, self.grid, self.model_size)
            classes, source = new_classes(found, self.state), Path(path).name
            if as_proposals:
                self._ledger.record("propose", propose_data(found, classes, source), "classes")
            else:
                self._ledger.record("import", {"found": found, "classes": classes, "source": source}, "labels")
            return len(found)

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
