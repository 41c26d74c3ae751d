"""One round, many scenes: each is mapped by itself, and one that fails does not stop the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import geopandas as gpd
from shapely.geometry.base import BaseGeometry

from seglab.app.labels.areas import part_in_scene
from seglab.app.maps.mapping import describe_map
from seglab.app.rounds.round_model import RoundModel
from seglab.core.dates import told_date
from seglab.core.grid import Grid
from seglab.core.scene_lists import scene_name
from seglab.core.sources import megapixels
from seglab.errors import JobCancelled, MissingCRSError, OutsideSceneError, SegLabError, WriteError
from seglab.inference.plan import MapSettings
from seglab.inference.sweep import Prediction, Workers
from seglab.jobs import Reporter


@dataclass(frozen=True)
class SceneMap:
    """What became of one scene."""

    source: str
    """Of the scene: its path, URL or STAC id."""
    prediction: Prediction | None = None
    """None if it failed."""
    error: str | None = None
    """Why it failed."""

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        path = None if self.prediction is None else str(self.prediction.path)
        return {"scene": self.source, "map": path, "error": self.error}


@dataclass(frozen=True)
class ManySettings:
    """How the scenes are mapped."""

    settings: MapSettings = field(default_factory=MapSettings)
    """For all of them; their scale and area come from the fields below."""
    resolution: float | None = None
    """Ground metres per model pixel; that of the round's objects if None."""
    area: gpd.GeoDataFrame | None = None
    """Polygons with a CRS; scenes that they do not touch fail."""
    workers: Workers | None = None
    """Who does the work; this thread if None."""


def map_scenes(
    reporter: Reporter, model: RoundModel, sources: Sequence[Any], targets: Sequence[Path], how: ManySettings
) -> list[SceneMap]:
    """Map scenes one after the other. A map that is there already, of the same scene by the same round in the same way,
    stays as it is; one that was begun goes on.

    Args:
        reporter: told megapixels done, of all scenes together; may cancel.
        model: the round.
        sources: see `Scene.open`.
        targets: the class map of each, in folders that are made when needed; its confidence and, where the scene has a
            CRS, a STAC item go beside it.
        how: how they are mapped.

    Returns:
        What became of each, in order.

    Raises:
        JobCancelled: finished maps are there, and the one in work goes on the next time.
    """
    sizes = [_megapixels(source) for source in sources]
    found, done = [], 0.0
    for place, (source, target, size) in enumerate(zip(sources, targets, sizes, strict=True), start=1):
        name = scene_name(source)
        part = _Part(reporter, done, size, sum(sizes), f"{place} of {len(sources)}: {name}")
        shown = str(source) if isinstance(source, (str, Path)) else name
        try:
            found.append(SceneMap(shown, _mapped(part, model, source, target, how)))
        except JobCancelled:
            raise
        except SegLabError as error:
            found.append(SceneMap(shown, error=str(error)))
        done += size
    return found


def target_paths(sources: Iterable[Any], folder: Path) -> list[Path]:
    """A map's name for each scene in a folder: the scene's own; the second of a name gets _2, and so on."""
    paths: dict[Path, None] = {}
    for source in sources:
        name, number = scene_name(source), 1
        while (path := folder / f"{name}{'' if number == 1 else f'_{number}'}.tif") in paths:
            number += 1
        paths[path] = None
    return list(paths)


def _mapped(reporter: Reporter, model: RoundModel, source: Any, target: Path, how: ManySettings) -> Prediction:
    with model.open(source) as scene:
        _make_folder(target.parent)
        area = None if how.area is None else area_in(scene.grid, how.area)
        settings = replace(how.settings, scale=model.scale(scene, how.resolution), area=area)
        made = model.predict(scene, target, settings, reporter=reporter, workers=how.workers)
        describe_map(made, scene.grid, told_date(source))
    return made


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"cannot make the folder {str(folder)!r}: {error}; choose another path") from error


def area_in(grid: Grid, polygons: gpd.GeoDataFrame) -> BaseGeometry:
    """The part of polygons that lies in a scene, scene pixels.

    Raises:
        MissingCRSError: the scene or the polygons have no CRS.
        OutsideSceneError: they do not touch the scene.
    """
    if polygons.crs is None or not grid.is_georeferenced:
        raise MissingCRSError("an area of interest needs a CRS, and so does the scene; leave the area out")
    try:
        return part_in_scene(polygons.geometry.union_all(), grid, polygons.crs)
    except OutsideSceneError as error:
        raise OutsideSceneError("the area of interest does not touch the scene") from error


def _megapixels(source: Any) -> float:
    """The size of a scene, from its header; 0 where it cannot be told: opening it will say why."""
    try:
        return megapixels(source)
    except SegLabError:
        return 0.0


class _Part:
    """Reports the progress of one scene as that of all of them."""

    def __init__(self, reporter: Reporter, before: float, size: float, total: float, name: str) -> None:
        self._reporter = reporter
        self._before, self._size, self._total, self._name = before, size, total, name

    def update(self, done: float, total: float | None = None, message: str | None = None, **values: float) -> None:
        """See Reporter: `total` is of what is missing of this scene's map."""
        share = done / total if total else 1.0
        self._reporter.update(self._before + share * self._size, self._total, f"{self._name}: {message}", **values)

    def check(self) -> None:
        """See Reporter."""
        self._reporter.check()
