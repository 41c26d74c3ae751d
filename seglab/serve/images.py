"""A styled raster as one image, for a map that shows no tiles."""

from __future__ import annotations

import math
import warnings

import numpy as np
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from seglab.serve.styled import StyledRaster


def render(styled: StyledRaster, max_size: int) -> np.ndarray:
    """The whole raster as its tiles would show it, in its own pixel grid.

    Args:
        styled: the raster.
        max_size: pixels along the longer side, at most.

    Returns:
        (h, w, 4) uint8: red, green, blue and alpha, h and w a whole number of times smaller than the raster.
    """
    by_value = isinstance(styled.colormap, dict)  # between two classes is none
    with warnings.catch_warnings(), MemoryFile(styled.xml.encode(), ext=".vrt") as file:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with file.open() as dataset:
            factor = max(1, math.ceil(max(dataset.shape) / max_size))
            shape = (math.ceil(dataset.height / factor), math.ceil(dataset.width / factor))
            resampling = Resampling.nearest if by_value else Resampling.average
            values = dataset.read(out_shape=(dataset.count, *shape), resampling=resampling)
            alpha = np.where(dataset.dataset_mask(out_shape=shape) > 0, np.uint8(255), np.uint8(0))
    if styled.colormap is None:
        colours = np.moveaxis(values if len(values) == 3 else values.repeat(3, axis=0), 0, -1)
        return np.dstack([colours, alpha])
    image = colour_table(styled.colormap)[values[0]]
    image[..., 3] = np.minimum(image[..., 3], alpha)
    return image


def colour_table(colormap: dict[int, tuple[int, ...]] | str) -> np.ndarray:
    """(256, 4) uint8: the colour of each value."""
    if isinstance(colormap, str):
        from rio_tiler.colormap import cmap

        colormap = cmap.get(colormap)
    table = np.zeros((256, 4), dtype=np.uint8)
    for value, colour in colormap.items():
        table[value] = (*colour, 255)[:4]
    return table
