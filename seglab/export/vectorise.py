"""A class map as polygons: strip by strip, whole regions, written in the format that the suffix names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import geopandas as gpd
import numpy as np
import shapely

from seglab.core.class_map import BACKGROUND, PERCENT, ClassMap
from seglab.core.ground_area import PixelAreas
from seglab.core.outlines import OutlineTracer
from seglab.core.regions import RegionLabels, Regions
from seglab.core.right_angles import with_right_angles
from seglab.core.shared_borders import simplified
from seglab.core.small_regions import Borders, merge_small
from seglab.errors import MissingCRSError, NoLabelsError, UnknownClassError
from seglab.export import vector
from seglab.jobs import Reporter
from seglab.store.geopackage import CLASS_COLUMN, KEY_COLUMN

SQUARE_METRES = 10_000
"""In a hectare."""
LAYER = "map"


@dataclass(frozen=True)
class Vectorising:
    """How regions become polygons."""

    least_area: float = 0
    """Smaller regions are not kept; in `unit`."""
    unit: Literal["px", "m2"] = "px"
    """Pixels, or true square metres."""
    small: Literal["merge", "drop"] = "merge"
    """What becomes of them: they go to the neighbour with the longest shared border, since the ground of a speck
    belongs to something; or they are left out."""
    simplify: float = 0
    """Pixels: see core.shared_borders.simplified; 0 keeps pixel edges."""
    background: bool = False
    """Whether value 0 is a class, too."""
    right_angles: tuple[str, ...] = ()
    """Classes, of buildings, whose outlines get right angles where they have about such ones: see core.right_angles.
    Borders that they share with others are no longer shared."""


def vectorise(
    reporter: Reporter,
    source: str | Path,
    path: str | Path,
    options: Vectorising | None = None,
    names: Mapping[int, str] | None = None,
    colours: Mapping[int, str] | None = None,
    confidence: Path | None = None,
) -> Path:
    """Write the regions of a class map as polygons.

    Columns: id, class, value, hectares (true; pixels where the map has no CRS) and, where the map tells, confidence
    (mean, 0 to 1) and round.

    Args:
        reporter: told megapixels read.
        source: the class map: see ClassMap.
        path: .gpkg (with QGIS styles), .parquet (GeoParquet), .fgb or .geojson; replaced only when it is complete.
        options: see Vectorising; its defaults if None.
        names: class by value, the file's own if None; a value that nobody names is its own name.
        colours: '#rrggbb' by value, the file's own if None.
        confidence: see ClassMap.

    Raises:
        UnknownFormatError: the suffix is none of these.
        NoLabelsError: the map has no region that is large enough.
        UnknownClassError: right angles for a class that the map does not have.
        MissingPackageError: the format needs a package that is not installed.
        WriteError: the file could not be written; what stood there still does.
        JobCancelled: the same.
        SegLabError: as ClassMap raises.
    """
    path, options = Path(path), options or Vectorising()
    write = vector.writer_for(path)
    with ClassMap(source, confidence) as class_map:
        known = class_map.names if names is None else names
        unknown = set(options.right_angles) - set(known.values())
        if unknown:
            raise UnknownClassError(
                f"the map has no class {min(unknown)!r}; it has {', '.join(known.values()) or 'no names'}"
            )
        regions, outlines = _Regions(reporter, class_map, options).find()
        if len(outlines) == 0:
            raise NoLabelsError(f"{str(source)!r} has no region to write; a smaller least area keeps more")
        values = [int(value) for value in np.unique(regions.values)]
        legend = {
            known.get(value, str(value)): (colours or {}).get(value) or class_map.colour(value) for value in values
        }
        table = _table(class_map, regions, outlines, options, known)
    reporter.check()
    write(table, path, colours=legend, layer=LAYER)
    return path


def _table(
    class_map: ClassMap, regions: Regions, outlines: np.ndarray, options: Vectorising, names: Mapping[int, str]
) -> gpd.GeoDataFrame:
    grid = class_map.grid
    classes = [names.get(value, str(value)) for value in regions.values.tolist()]
    polygons = np.array(simplified(outlines, options.simplify))
    square = np.isin(classes, options.right_angles)
    polygons[square] = with_right_angles(outlines[square])
    pixels = shapely.area(polygons)
    columns: dict[str, object] = {
        KEY_COLUMN: np.arange(1, len(polygons) + 1),
        CLASS_COLUMN: classes,
        "value": regions.values.astype(np.int64),
    }
    means = list(regions.means)
    if grid.crs is None:
        columns["pixels"] = pixels
    else:  # the mean pixel of the region, for a border that was made simpler
        columns["hectares"] = pixels * means.pop() / SQUARE_METRES
    if class_map.has_confidence:
        columns["confidence"] = means[0] / PERCENT
    if class_map.round is not None:
        columns["round"] = np.full(len(polygons), class_map.round)
    if grid.crs is not None:
        polygons = grid.geometry_from_pixel(polygons, grid.crs)
    return gpd.GeoDataFrame(columns, geometry=polygons, crs=grid.crs)


class _Regions:
    """Finds the regions of a map and their outlines."""

    def __init__(self, reporter: Reporter, class_map: ClassMap, options: Vectorising) -> None:
        self._reporter = reporter
        self._map = class_map
        self._options = options
        self._merges = options.small == "merge" and options.least_area > (1 if options.unit == "px" else 0)
        self._ignored = class_map.nodata
        if not options.background and not self._merges:  # where specks are merged, background is a neighbour
            self._ignored = BACKGROUND
        self._pixels = None if class_map.grid.crs is None else PixelAreas(class_map.grid)

    def find(self) -> tuple[Regions, np.ndarray]:
        """The regions that are kept, and the polygon of each in pixels; means are confidence, if there is one, then the
        area of a pixel in square metres, if there is a CRS."""
        if self._merges:
            return self._merged()
        labels, tracer = RegionLabels(self._ignored), OutlineTracer()
        for numbers in self._numbered(labels, 0, 1):
            tracer.add(numbers)
        regions = labels.finish()
        regions = regions.where(self._areas(regions) >= self._options.least_area)
        return regions, tracer.polygons(regions.number_of)

    def _merged(self) -> tuple[Regions, np.ndarray]:
        """Goes through the map twice: what becomes of a region is known when all of it has been seen."""
        labels, borders = RegionLabels(self._ignored), Borders()
        for numbers in self._numbered(labels, 0, 2):
            borders.add(numbers)
        regions = labels.finish()
        areas = self._areas(regions)
        found = merge_small(regions.values, areas, *borders.of(regions.number_of), self._options.least_area)
        kept = ~found.small
        if not self._options.background:
            kept &= found.values != BACKGROUND
        final = np.concatenate([[0], np.where(kept, np.cumsum(kept), 0)[found.group_of]]).astype(np.int32)
        number_of, tracer = final[regions.number_of], OutlineTracer()
        for numbers in self._numbered(RegionLabels(self._ignored), 1, 2):
            tracer.add(number_of[numbers])
        count = len(found.values)
        size = np.bincount(found.group_of, regions.areas, count)
        sums = [np.bincount(found.group_of, mean * regions.areas, count) for mean in regions.means]
        means = np.stack(sums) / size if sums else np.zeros((0, count))
        whole = Regions(number_of, found.values[kept], size[kept].astype(np.int64), means[:, kept])
        return whole, tracer.polygons(np.arange(len(whole.values) + 1, dtype=np.int32))

    def _numbered(self, labels: RegionLabels, passed: int, passes: int) -> Iterator[np.ndarray]:
        """The region numbers of each strip."""
        total = self._map.grid.width * self._map.grid.height / 1e6
        for strip, values, confidence in self._map.strips():
            nodata = self._map.nodata
            if nodata is not None and nodata != self._ignored:
                values[values == nodata] = BACKGROUND
            weights = [] if confidence is None else [confidence]
            if self._pixels is not None:
                weights.append(self._pixels.of(strip))
            yield labels.add(values, weights)
            done = (strip.row + strip.height) * strip.width / 1e6
            self._reporter.update(passed * total + done, passes * total, message="finding regions")

    def _areas(self, regions: Regions) -> np.ndarray:
        """Of each region, in the unit of the least area."""
        if self._options.unit == "px":
            return regions.areas
        if self._pixels is None:
            raise MissingCRSError("the map has no CRS, so square metres mean nothing in it; give pixels")
        return regions.areas * regions.means[-1]
