"""The class map of a whole scene, window by window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from shapely.geometry.base import BaseGeometry

from seglab.core.class_map import confidence_path
from seglab.core.masks import rasterize
from seglab.core.raster import Scene
from seglab.core.windows import Window, sweep_windows
from seglab.encoding.encoder import WindowEncoder
from seglab.inference.blend import Blender
from seglab.jobs import Reporter
from seglab.models.device import compute
from seglab.store.rasters import RasterWriter

UNMAPPED = 255
"""Class map value where the scene has no data; 0 is background, 1..C are the classes."""


@dataclass(frozen=True)
class Prediction:
    """A finished map of a scene."""

    path: Path
    """COG, uint8: 0 background, 1..C classes, UNMAPPED no data."""
    confidence_path: Path
    """COG, uint8: probability of the mapped class in percent, UNMAPPED no data."""
    round: int
    """The round that made it; 0 for the model before any."""


@dataclass(frozen=True)
class MappedClass:
    """One class of a map."""

    value: int
    """What its pixels hold, 1 or more."""
    name: str
    colour: str
    """'#rrggbb'."""
    prompt: torch.Tensor
    """(prompt_dim,) its class prompt."""


def class_probabilities(
    encoder: WindowEncoder, window: Window, prompts: torch.Tensor, *, keep: bool = True
) -> np.ndarray:
    """Probabilities of background and classes in a window, at the model's resolution.

    Args:
        encoder: the model to ask.
        window: where.
        prompts: (C, prompt_dim) one class prompt each.
        keep: see WindowEncoder.embedding.

    Returns:
        (C + 1, *window.model_shape) float32, background first.
    """
    model = encoder.model
    with torch.inference_mode(), compute(model.device):
        logits = model.decode_classes(encoder.embedding(window, keep=keep), prompts.to(model.device)).float()
        logits = torch.cat([torch.zeros_like(logits[:, :1]), logits], dim=1)
        logits = torch.nn.functional.interpolate(logits, window.model_shape, mode="bilinear", align_corners=False)
        return logits[0].softmax(0).cpu().numpy()


def predict_scene(
    reporter: Reporter,
    scene: Scene,
    encoder: WindowEncoder,
    classes: Sequence[MappedClass],
    path: Path,
    *,
    scale: int = 1,
    overlap: float = 0.25,
    round_number: int = 0,
    area: BaseGeometry | None = None,
) -> Prediction:
    """Map a scene into two Cloud-Optimized GeoTIFFs: classes, and beside it their confidence.

    Args:
        reporter: told megapixels done.
        scene, encoder: what is mapped, and by which model.
        classes: what is mapped, at least one.
        path: the class map; the confidence goes to the same name with `_confidence` added.
        scale: scene pixels per model pixel.
        overlap: share of a window shared with its neighbour.
        round_number: kept in the map's tags.
        area: scene pixels; what lies outside is UNMAPPED, and windows that do not touch it are not looked at.

    Raises:
        JobCancelled: nothing stands under the final names.
        WriteError: the map could not be written.
    """
    grid = scene.grid
    confidence_at = confidence_path(path)
    tags = {"seglab_round": str(round_number), "seglab_scene": scene.name}
    names = {0: "background"} | {c.value: c.name for c in classes}
    colours = {c.value: c.colour for c in classes}
    values = np.array([0, *(c.value for c in classes)], dtype=np.uint8)
    prompts = torch.stack([c.prompt for c in classes])
    place = (grid.width, grid.height, grid.transform, grid.crs)
    with (
        RasterWriter(path, *place, "uint8", UNMAPPED, colours=colours, names=names, tags=tags) as class_map,
        RasterWriter(confidence_at, *place, "uint8", UNMAPPED, tags=tags) as confidence,
    ):

        def write(row: int, probabilities: np.ndarray) -> None:
            best = values[probabilities.argmax(0)]
            percent = np.round(100 * probabilities.max(0)).astype(np.uint8)
            valid = _valid_strip(scene, row * scale, best.shape[0] * scale, area)
            _write_strip(class_map, best, row * scale, scale, valid)
            _write_strip(confidence, percent, row * scale, scale, valid)

        mapped = grid.width * grid.height if area is None else area.area
        _sweep(reporter, encoder, prompts, _windows(encoder, scale, overlap, area), scale, mapped, write)
    return Prediction(path, confidence_at, round_number)


def _sweep(
    reporter: Reporter,
    encoder: WindowEncoder,
    prompts: torch.Tensor,
    windows: Sequence[tuple[Window, Window]],
    scale: int,
    area_px: float,
    write: Callable[[int, np.ndarray], None],
) -> None:
    """Blend the probabilities of windows, in cells of `scale` scene pixels, and hand out finished strips."""
    blender = Blender(len(prompts) + 1, _cells(encoder, scale))
    total = area_px / 1e6
    for done, (cell, window) in enumerate(windows, start=1):
        for row, strip in blender.add(cell, class_probabilities(encoder, window, prompts, keep=False)):
            write(row, strip)
        reporter.update(total * done / len(windows), total, message="mapping")
    for row, strip in blender.finish():
        write(row, strip)


def _cells(encoder: WindowEncoder, scale: int) -> tuple[int, int]:
    """(rows, cols) of the scene in cells."""
    grid = encoder.scene.grid
    return -(-grid.height // scale), -(-grid.width // scale)


def _windows(
    encoder: WindowEncoder, scale: int, overlap: float, area: BaseGeometry | None
) -> list[tuple[Window, Window]]:
    """What is looked at, row by row: in cells, and the same in scene pixels."""
    found = []
    for cell in sweep_windows(_cells(encoder, scale), encoder.model.spec.image_size, overlap):
        window = Window(cell.col * scale, cell.row * scale, cell.width * scale, cell.height * scale, scale)
        if area is None or area.intersects(window.polygon):
            found.append((cell, window))
    return found


def _valid_strip(scene: Scene, top: int, height: int, area: BaseGeometry | None) -> np.ndarray:
    """(rows, cols) bool: where the scene has data inside the area, in `height` rows from `top` or fewer at the end."""
    strip = Window(0, top, scene.grid.width, min(height, scene.grid.height - top))
    valid = scene.read(strip, bands=scene.bands)[1]
    return valid if area is None else valid & rasterize(area, strip)


def _write_strip(writer: RasterWriter, cells: np.ndarray, top: int, scale: int, valid: np.ndarray) -> None:
    """Write a strip of cells as scene pixels, UNMAPPED where the scene has no data."""
    height, width = valid.shape
    pixels = cells.repeat(scale, 0).repeat(scale, 1)[:height, :width]
    writer.write(np.where(valid, pixels, UNMAPPED).astype(np.uint8), top, 0)
