"""What a session writes for other programs: its labels, and its class map as polygons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd

from seglab import jobs
from seglab.app.labelled import LabelledObject
from seglab.app.mapping import map_colours, mapped_names
from seglab.app.state import State
from seglab.core.grid import Grid
from seglab.errors import NoLabelsError, NoPredictionError
from seglab.export import export_labels
from seglab.export.vectorise import Vectorising, vectorise
from seglab.inference.sweep import Prediction


class Exporting:
    """The part of a LabelSession that writes files for other programs."""

    state: State
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

    def export_map(self, path: str | Path, **options: Any) -> jobs.Job[Path]:
        """Write the regions of the latest class map as polygons, in the background: see `seglab.export.vectorise`.

        Classes have the names and colours that they have today.

        Args:
            path: .gpkg, .parquet, .fgb or .geojson.
            options: fields of `Vectorising`: least_area, unit, small, simplify, background.

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
