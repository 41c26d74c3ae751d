"""Labels that were made elsewhere: vector files, COCO, another project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pyogrio
from shapely.geometry import MultiPolygon, Polygon
from shapely.validation import make_valid

from seglab.errors import LabelsFileError

CLASS = "class"
"""Column of the classes in what is read."""
CLASS_COLUMNS = (CLASS, "label", "category", "class_name", "name", "type")
"""Columns that are taken for the class, the first that is there."""
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
    found = found[found.geom_type.isin(["Polygon", "MultiPolygon"])]
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
    if found[known].isna().any():
        raise LabelsFileError(f"column {known!r} of {str(file)!r} is empty in some rows; fill it, or use class_name=")
    return [str(value).strip() for value in found[known]]


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
    return found.set_geometry(found.geometry.map(make_valid))


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
    return make_valid(MultiPolygon([polygon for ring in rings for polygon in _polygons(make_valid(ring))]))


def _polygons(geometry: Any) -> list[Polygon]:
    return [part for part in getattr(geometry, "geoms", [geometry]) if part.geom_type == "Polygon"]
