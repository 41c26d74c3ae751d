"""Labels that were made elsewhere: vector files, COCO, another project."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pyogrio
import shapely
from shapely.geometry import MultiPolygon, Polygon

from seglab.core.masks import as_multipolygon
from seglab.errors import LabelsFileError

CLASS = "class"
"""Column of the classes in what is read."""
CLASS_COLUMNS = (CLASS, "label", "category", "class_name", "name", "type")
"""Columns that are taken for the class, the first that is there."""
MOST_CLASSES = 255
"""As many as a class map can hold."""
PROJECT_LABELS = "labels.gpkg"
"""The labels of a project, in its folder."""


def read_labels(
    path: str | Path, class_column: str | None = None, class_name: str | None = None, image: str | None = None
) -> gpd.GeoDataFrame:
    """Read polygons with their classes.

    Args:
        path: a file that GDAL knows (GeoJSON, GeoPackage, Shapefile, ...), COCO JSON, or a project's folder.
        class_column: which column tells the class; one of CLASS_COLUMNS if None.
        class_name: the class of everything, for files that tell none.
        image: which image of a COCO file, by its file name; needed where it has several.

    Returns:
        Columns class (str) and geometry; pixel coordinates where there is no CRS.

    Raises:
        LabelsFileError: the file is missing, damaged, holds no polygon, or does not tell classes or image.
    """
    file = Path(path).expanduser()
    if (file / PROJECT_LABELS).is_file():
        file = file / PROJECT_LABELS
    if not file.exists():
        raise LabelsFileError(f"there is no file {str(file)!r}; check the path")
    coco = _coco(file)
    found = _of_coco(coco, file, image) if coco is not None else _of_vector(file)
    found = found[~found.geometry.is_empty]
    if found.empty:
        raise LabelsFileError(f"{str(file)!r} holds no polygons; points and lines cannot be labels")
    classes = _classes(found, class_column, file) if class_name is None else [class_name] * len(found)
    return gpd.GeoDataFrame({CLASS: classes}, geometry=list(found.geometry), crs=found.crs)


def _classes(found: gpd.GeoDataFrame, column: str | None, file: Path) -> list[str]:
    names = [column] if column is not None else CLASS_COLUMNS
    known = next((name for name in names if name in found.columns), None)
    if known is None:
        columns = [name for name in found.columns if name != found.geometry.name]
        raise LabelsFileError(
            f"no column of {str(file)!r} tells the class; its columns are {columns}: name one with class_column=, or "
            "give all of it one class with class_name="
        )
    classes = ["" if pd.isna(value) else str(value).strip() for value in found[known]]
    if "" in classes:
        raise LabelsFileError(f"column {known!r} of {str(file)!r} is empty in some rows; fill it, or use class_name=")
    if len(set(classes)) > MOST_CLASSES:
        raise LabelsFileError(
            f"column {known!r} of {str(file)!r} has {len(set(classes))} different values, which are no classes; name "
            "another column with class_column=, or use class_name="
        )
    return classes


def _of_vector(file: Path) -> gpd.GeoDataFrame:
    try:
        found = pyogrio.read_dataframe(file)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError) as error:
        raise LabelsFileError(
            f"{str(file)!r} cannot be read as labels ({error}); give a vector or COCO file"
        ) from error
    if not isinstance(found, gpd.GeoDataFrame):
        raise LabelsFileError(f"{str(file)!r} holds a table without geometry; give a file of polygons")
    found = found[found.geometry.notna()]
    # GDAL takes any GeoJSON for longitude and latitude; seglab's own says when it is not.
    crs = None if _in_pixels(file) else found.crs
    return gpd.GeoDataFrame(found.drop(columns=found.geometry.name), geometry=_areas(found.geometry), crs=crs)


def _coco(file: Path) -> dict[str, Any] | None:
    """A file's content if it is COCO."""
    if file.suffix.lower() != ".json":
        return None
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LabelsFileError(f"{str(file)!r} is not readable JSON ({error}); export it again") from error
    return value if isinstance(value, dict) and "annotations" in value else None


def _of_coco(value: dict[str, Any], file: Path, image: str | None) -> gpd.GeoDataFrame:
    try:
        images = {entry["id"]: entry["file_name"] for entry in value["images"]}
        names = {entry["id"]: entry["name"] for entry in value["categories"]}
        wanted = [i for i, name in images.items() if image is None or Path(name).name == image or name == image]
        if len(wanted) != 1:
            raise LabelsFileError(f"{str(file)!r} has the images {sorted(images.values())}; name one with image=")
        own = [entry for entry in value["annotations"] if entry["image_id"] == wanted[0]]
        rows = [(names[entry["category_id"]], _outline(entry["segmentation"], file)) for entry in own]
    except (KeyError, TypeError, ValueError) as error:
        raise LabelsFileError(f"{str(file)!r} is not valid COCO ({error!r}); export it again") from error
    table = pd.DataFrame(rows, columns=[CLASS, "outline"])
    return gpd.GeoDataFrame(table[[CLASS]], geometry=list(table["outline"]))


def _outline(segmentation: Any, file: Path) -> Any:
    if not isinstance(segmentation, list):
        raise LabelsFileError(f"{str(file)!r} holds run-length masks; export its annotations as polygons")
    rings = [Polygon(list(zip(ring[::2], ring[1::2], strict=True))) for ring in segmentation]
    return shapely.union_all(_areas(rings))


def _areas(geometries: Iterable[Any]) -> list[MultiPolygon]:
    """The areas of geometries, valid; empty for points and lines."""
    return [as_multipolygon(shapely.make_valid(geometry)) for geometry in geometries]


def _in_pixels(file: Path) -> bool:
    """Whether a GeoJSON file says that its positions are pixels; see export.vector."""
    if file.suffix.lower() not in (".geojson", ".json"):
        return False
    value = json.loads(file.read_text(encoding="utf-8"))
    return isinstance(value, dict) and (value.get("seglab") or {}).get("coordinates") == "pixel"
