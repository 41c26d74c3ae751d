"""Small pictures of objects with their outline, for a list."""

from __future__ import annotations

import io
import math

import shapely
from PIL import Image, ImageDraw
from shapely.geometry.base import BaseGeometry

from seglab.core.raster import Scene
from seglab.core.windows import Window

SIDE = 72
"""Side of a picture, its own pixels: twice what it takes in the list, for screens of high density."""
AROUND = 1.6
"""Side of the ground that is shown, in sizes of the object."""
LEAST = 16
"""Side of the ground that is shown at least, scene pixels."""


def thumbnail(scene: Scene, outline: BaseGeometry) -> bytes:
    """An object in its surroundings, as a JPEG file of SIDE x SIDE pixels.

    Args:
        scene: read at about the resolution of the picture.
        outline: of the object, scene pixels; drawn as a light line on a dark one.

    Raises:
        SceneNotFoundError, SceneChangedError, DamagedSceneError, SceneClosedError: the pixels cannot be read.
    """
    left, top, right, bottom = outline.bounds
    ground = max(AROUND * max(right - left, bottom - top), LEAST)
    scale = max(1, math.ceil(ground / SIDE))
    side = scale * math.ceil(ground / scale)
    col, row = round((left + right - side) / 2), round((top + bottom - side) / 2)
    rgb, _ = scene.rgb(Window(col, row, side, side, scale))
    picture = Image.fromarray(rgb).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    pen = ImageDraw.Draw(picture)
    rings = shapely.get_rings(shapely.get_parts(outline))
    lines = [shapely.get_coordinates(ring) for ring in rings]
    for colour, width in (("#222222", 5), ("#ffffff", 2)):
        for line in lines:
            points = (line - (col, row)) * (SIDE / side)
            pen.line([tuple(point) for point in points.tolist()], fill=colour, width=width)
    stream = io.BytesIO()
    picture.save(stream, format="JPEG", quality=80)
    return stream.getvalue()
