"""What a session writes for other programs: its labels, as polygons and as chips, and its class map as polygons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd

from seglab import jobs
from seglab.app.history.state import State
from seglab.app.labels.labelled import LabelledObject
from seglab.app.maps.mapping import map_colours, mapped_names
from seglab.core.grid import Grid
from seglab.core.raster import Scene
from seglab.errors import NoLabelsError, NoPredictionError
from seglab.export import export_labels
from seglab.export.chips import ChipLabels, ChipObject, Chipping, export_chips
from seglab.export.vectorise import Vectorising, vectorise
from seglab.inference.sweep import Prediction


class Exporting:
    """The part of a LabelSession that writes files for other programs."""

    state: State
    scene: Scene
    date: str
    grid: Grid
    objects: tuple[LabelledObject, ...]
    labels: gpd.GeoDataFrame
    classes: Mapping[str, Any]
    prediction: Prediction | None
    _new_file: Callable[[str | Path], Path]

    def export(self, path: str | Path) -> Path:
        """Write the labels; the suffix says how: .gpkg, .geojson, .parquet, .fgb or .tif.

        Raises:
            NoLabelsError: nothing is accepted yet.
            UnknownFormatError: no exporter for that suffix.
            MissingPackageError: the format needs a package that is not installed.
            WriteError: the file could not be written.
        """
        if not self.objects:
            raise NoLabelsError("nothing is accepted yet, so there is nothing to export")
        return export_labels(self.labels, self._new_file(path), grid=self.grid, classes=dict(self.classes))

    def export_chips(self, folder: str | Path, **options: Any) -> jobs.Job[Path]:
        """Write the labels with their imagery as chips with class masks, instances and COCO JSON, split by area, in the
        background: see `seglab.export.chips`. What is neither labelled nor reviewed is unknown there, not background.

        Args:
            folder: must not be there yet.
            options: fields of `Chipping`: size, overlap, block, least_known, bands, seed.

        Raises:
            NoLabelsError: nothing is accepted or reviewed on the date in use.
            WriteError: the folder is there already, or cannot be written.
        """
        state, date = self.state, self.date
        objects = [ChipObject(o.id, o.class_name, o.geometry, o.unsure) for o in state.objects if o.date in ("", date)]
        reviewed = [area for area, on in zip(state.reviewed, state.reviewed_on, strict=True) if on in ("", date)]
        labels = ChipLabels(tuple(state.classes), tuple(objects), tuple(reviewed), state.never_train)
        scene, target, how = self.scene, Path(folder), Chipping(**options)
        return jobs.start(export_chips, scene, labels, target, how, title="write chips", unit="chip")

    def export_map(self, path: str | Path, **options: Any) -> jobs.Job[Path]:
        """Write the regions of the latest class map as polygons, in the background: see `seglab.export.vectorise`.

        Classes have the names and colours that they have today.

        Args:
            path: .gpkg, .parquet, .fgb or .geojson.
            options: fields of `Vectorising`: least_area, unit, small, simplify, background, right_angles.

        Raises:
            NoPredictionError: the scene has not been mapped yet.
        """
        state, prediction = self.state, self.prediction
        if prediction is None:
            raise NoPredictionError("the scene has not been mapped yet; accept an object, then map the scene")
        names = {0: "background"} | mapped_names(state, (state.prediction or {}).get("classes", ()))
        return jobs.start(
            vectorise,
            prediction.path,
            self._new_file(path),
            Vectorising(**options),
            names,
            map_colours(state),
            prediction.confidence_path,
            title="write the map as polygons",
            unit="Mpx",
        )
