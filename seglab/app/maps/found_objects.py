"""Objects that a model finds in a scene: which classes, and what becomes of them, a file or proposals."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np

from seglab.app.history.state import State
from seglab.app.labels.answered import TAKEN, Answered
from seglab.app.labels.labelled import LabelledObject
from seglab.app.labels.proposed import scored_entry
from seglab.app.prompting.drawing import window_around
from seglab.core.grid import Grid
from seglab.encoding.encoder import WindowEncoder
from seglab.errors import NoLabelsError, UnknownClassError
from seglab.export.vector import writer_for
from seglab.inference.instances import ANYTHING, Instance, InstanceSettings, find_instances
from seglab.inference.plan import MappedClass
from seglab.jobs import Reporter
from seglab.store.geopackage import CLASS_COLUMN, KEY_COLUMN

ANY_OBJECT = "object"
"""The class of what was found without classes."""
LAYER = "objects"

SMALLEST = 20
"""Scene pixels: no object is smaller."""
LEAST_SIZE = 0.2
"""Share of the median accepted object below which nothing is taken for one."""
SQUARE_METRES = 10_000
"""In a hectare."""
_ANY_COLOUR = "#ffd54a"


def find_objects(
    reporter: Reporter,
    encoder: WindowEncoder,
    classes: Sequence[MappedClass],
    wanted: Collection[str] | None,
    settings: InstanceSettings,
) -> list[Instance]:
    """Find the objects of a scene.

    Args:
        reporter: told megapixels done; may cancel.
        encoder: the scene and the model.
        classes: that the model knows.
        wanted: names of those whose objects are wanted; all if None; none: objects of any kind, without classes.
        settings: how.

    Raises:
        UnknownClassError: the model does not know a class that is wanted.
        SegLabError: as `find_instances` raises.
    """
    if wanted is None:
        return find_instances(reporter, encoder, classes, settings)
    known = {c.name: c.value for c in classes}
    for name in wanted:
        if name not in known:
            raise UnknownClassError(
                f"the model does not know class {name!r} yet; it knows {list(known)}: accept an object of it first"
            )
    competing = classes if wanted else ()
    return find_instances(reporter, encoder, competing, settings, {known[name] for name in wanted} if wanted else None)


def accepted_sizes(objects: Iterable[LabelledObject]) -> dict[str, float]:
    """The median size of objects of each class, model pixels at the scale at which each was accepted, by class name."""
    sizes: dict[str, list[float]] = {}
    for one in objects:
        sizes.setdefault(one.class_name, []).append(one.geometry.area / one.window.scale**2)
    return {name: round(float(np.median(found)), 1) for name, found in sorted(sizes.items())}


def least_area(sizes: Mapping[str, float], wanted: Collection[str] | None, scale: int) -> int:
    """The smallest object that is looked for, scene pixels: a share of the accepted ones, for most ground that is
    smaller is an error of the class map.

    Args:
        sizes: median size of accepted objects by class, model pixels; may lack some.
        wanted: names of the classes whose objects are wanted; all if None.
        scale: scene pixels per model pixel.
    """
    known = [size for name, size in sizes.items() if wanted is None or name in wanted]
    return max(SMALLEST, round(LEAST_SIZE * min(known, default=0) * scale**2))


def objects_table(
    found: Sequence[Instance], classes: Sequence[MappedClass], grid: Grid, round_number: int
) -> gpd.GeoDataFrame:
    """Found objects as a table in the scene's CRS (pixel coordinates where it has none).

    Args:
        found: at least one.
        classes: for their names.
        grid: of the scene.
        round_number: of the model.

    Returns:
        id, class, score (predicted IoU), stability, hectares (true; pixels without a CRS) and round.
    """
    names = class_names(classes)
    outlines = np.array([one.outline for one in found], dtype=object)
    columns: dict[str, Any] = {
        KEY_COLUMN: np.arange(1, len(found) + 1),
        CLASS_COLUMN: [names[one.class_value] for one in found],
        "score": [round(one.score, 4) for one in found],
        "stability": [round(one.stability, 4) for one in found],
    }
    if grid.crs is None:
        columns["pixels"] = [one.outline.area for one in found]
    else:
        columns["hectares"] = np.array(grid.areas_m2(list(outlines))) / SQUARE_METRES
        outlines = grid.geometry_from_pixel(outlines, grid.crs)
    return gpd.GeoDataFrame(columns | {"round": round_number}, geometry=outlines, crs=grid.crs)


def write_objects(
    found: Sequence[Instance], classes: Sequence[MappedClass], grid: Grid, round_number: int, path: Path
) -> Path:
    """Write found objects: .gpkg, .parquet, .fgb or .geojson.

    Args:
        found, classes, grid, round_number: see `objects_table`.
        path: replaced only when the new file is complete.

    Raises:
        NoLabelsError: nothing was found.
        UnknownFormatError, MissingPackageError, WriteError: see seglab.export.vector.
    """
    write = writer_for(path)
    if not found:
        raise NoLabelsError("no object was found that the model is sure enough of; a smaller least score finds more")
    there = {one.class_value for one in found}
    colours = {ANY_OBJECT: _ANY_COLOUR} if ANYTHING in there else {}
    colours |= {c.name: c.colour for c in classes if c.value in there}
    return write(objects_table(found, classes, grid, round_number), path, colours=colours, layer=LAYER)


def object_proposals(
    found: Sequence[Instance], classes: Sequence[MappedClass], state: State, size: int, shape: tuple[int, int]
) -> list[dict[str, Any]]:
    """The objects of a "propose" event, the surest first: those about which nobody has said anything yet.

    Args:
        found: see `find_objects`.
        classes: for their names.
        state: what is accepted, reviewed and dismissed.
        size: side of the model's input, model pixels.
        shape: (rows, cols) of the scene.
    """
    answered, names, entries = Answered(state), class_names(classes), []
    for one in found:
        name = names[one.class_value]
        if answered.taken_share(one.outline) > TAKEN:
            continue
        outline = answered.free(one.outline)
        if not outline.is_empty and not answered.was_dismissed(name, outline):
            entries.append(scored_entry(name, outline, window_around(outline, size, 1, shape), one.score))
    return entries


def class_names(classes: Sequence[MappedClass]) -> dict[int, str]:
    """Names by value, that of objects without a class among them."""
    return {ANYTHING: ANY_OBJECT} | {c.value: c.name for c in classes}
