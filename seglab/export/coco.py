"""Objects as COCO annotations (https://cocodataset.org/#format-data)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from seglab.core.masks import as_multipolygon, rasterize


class CocoFile:
    """One COCO file in the making.

    Args:
        classes: names in order; the first one is category 1.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self._categories = [{"id": i, "name": name, "supercategory": ""} for i, name in enumerate(classes, start=1)]
        self._images: list[dict[str, Any]] = []
        self._objects: list[dict[str, Any]] = []

    def add_image(self, file_name: str, width: int, height: int, known: float) -> int:
        """Add an image.

        Args:
            file_name: from the folder of the COCO file.
            width, height: pixels.
            known: share of it that somebody has labelled, 0 to 1: a key of ours.

        Returns:
            Its id.
        """
        number = len(self._images) + 1
        entry = {"id": number, "file_name": file_name, "width": width, "height": height, "known": round(known, 4)}
        self._images.append(entry)
        return number

    def add_object(self, image: int, category: int, outline: BaseGeometry) -> None:
        """Add an object, unless nothing of it is left in the image.

        Args:
            image: from `add_image`.
            category: 1 for the first class.
            outline: pixels of the image, inside it. One with holes, for which COCO's polygons have no way, becomes a
                run-length encoded mask.
        """
        shape = as_multipolygon(outline)
        if shape.is_empty or not shape.area:
            return
        entry = self._images[image - 1]
        if any(part.interiors for part in shape.geoms):
            mask = rasterize(shape, (entry["height"], entry["width"]))
            area, segmentation = int(mask.sum()), run_lengths(mask)
        else:
            area = shape.area
            segmentation = [shapely.get_coordinates(part.exterior)[:-1].ravel().tolist() for part in shape.geoms]
        left, top, right, bottom = shape.bounds
        self._objects.append(
            {
                "id": len(self._objects) + 1,
                "image_id": image,
                "category_id": category,
                "segmentation": segmentation,
                "area": area,
                "bbox": [left, top, right - left, bottom - top],
                "iscrowd": 0,
            }
        )

    def write(self, path: Path) -> None:
        """Write the file."""
        content = {
            "info": {"description": "labelled with seglab"},
            "images": self._images,
            "annotations": self._objects,
            "categories": self._categories,
        }
        path.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """A mask as COCO's uncompressed run lengths: down the columns, beginning with a run of zeros.

    Args:
        mask: (rows, cols) bool.
    """
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.concatenate([[0] if not flat[0] else [0, 0], changes, [flat.size]])
    return {"size": list(mask.shape), "counts": np.diff(starts).tolist()}
