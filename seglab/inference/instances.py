"""Objects of a whole scene: window by window, each object whole and once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import shapely
import torch
from scipy import ndimage
from shapely import STRtree
from shapely.affinity import scale as scaled
from shapely.geometry import MultiPolygon, box
from shapely.geometry.base import BaseGeometry

from seglab.core.masks import as_multipolygon, clean, largest_piece, rasterize
from seglab.core.windows import Window
from seglab.encoding.encoder import WindowEncoder
from seglab.inference.class_ground import ClassGround
from seglab.inference.lattice import Lattice, Place
from seglab.inference.likeness import Likeness
from seglab.inference.mapper import decoded_classes, probabilities
from seglab.inference.object_graph import ObjectGraph, Part, WholeObject
from seglab.inference.object_prompts import grid, peaks
from seglab.inference.plan import MappedClass
from seglab.inference.window_masks import Candidates, Keeping, decode_clicks, distinct
from seglab.jobs import Reporter
from seglab.models.device import compute

ANYTHING = 0
"""Class value of objects that were looked for without classes."""
ALIKE = 0.5
"""Objects are asked for where the likeness to the examples is above this."""
MOSTLY = 0.5
"""An object belongs to the area of interest if at least this share of it lies there."""


@dataclass(frozen=True)
class InstanceSettings:
    """How objects are looked for."""

    scale: int = 1
    """Scene pixels per model pixel."""
    overlap: float = 0.25
    """Share of a window that its neighbour sees too, at least: objects up to that size are whole in one of them."""
    spacing: int = 16
    """Between two clicks of the grid, model pixels."""
    least_area: int = 20
    """Smaller objects are left out, scene pixels."""
    keeping: Keeping = field(default_factory=Keeping)
    """Which masks count."""
    area: BaseGeometry | None = None
    """Scene pixels; objects elsewhere are not looked for. None: everywhere."""


@dataclass(frozen=True)
class Instance:
    """One object of a scene."""

    outline: BaseGeometry
    """On pixel edges, scene pixels (MultiPolygon); valid."""
    class_value: int
    """See MappedClass.value; ANYTHING where no class was asked for."""
    score: float
    """Predicted IoU, 0 to 1; where likeness to examples was asked for, times that."""
    stability: float
    """How little the mask depends on where its logits are cut, 0 to 1."""


def find_instances(
    reporter: Reporter,
    encoder: WindowEncoder,
    classes: Sequence[MappedClass],
    settings: InstanceSettings | None = None,
    sought: Collection[int] | None = None,
    like: Likeness | None = None,
) -> list[Instance]:
    """Find the objects of a scene.

    Memory grows with a row of windows and with the outlines that were found, not with the scene.

    Args:
        reporter: told megapixels done; may cancel.
        encoder: the scene and the model.
        classes: that compete for the ground; none finds objects of any kind.
        settings: how; InstanceSettings() if None.
        sought: values of the classes whose objects are wanted; all if None.
        like: what the objects of the one class that is sought look like: objects are then asked for where the imagery
            looks like that, too, and more alike ones score higher.

    Returns:
        The objects, the surest first. They hardly overlap: see `Keeping`.

    Raises:
        JobCancelled: nothing is kept.
        DamagedSceneError, SceneChangedError: the scene's pixels cannot be read (any more).
    """
    settings = settings or InstanceSettings()
    scene = encoder.scene
    lattice = Lattice(scene.grid.shape, encoder.model.spec.image_size, settings.scale, settings.overlap)
    watcher = _Windows(encoder, classes, settings, sought, like)
    rows = [[place for place in row if _is_wanted(place, settings.area)] for row in lattice.rows()]
    rows = [row for row in rows if row]
    count = sum(map(len, rows))
    total = (scene.grid.width * scene.grid.height if settings.area is None else settings.area.area) / 1e6
    graph, found, done = ObjectGraph(), [], 0
    reporter.update(0, total, message="looking for objects")
    for row, following in zip(rows, [*rows[1:], []], strict=True):
        for place in row:
            graph.add(place.cells, watcher.parts(place))
            done += 1
            reporter.update(total * done / count, total, message=f"looking for objects: {len(found)} so far")
        found += graph.finished(following[0].cells.row) if following else graph.finished()
    outlines = [_in_scene(one, settings.scale, scene.grid.shape) for one in found]
    made = [Instance(o, w.class_value, w.score, w.stability) for o, w in zip(outlines, found, strict=True)]
    return _distinct([one for one in made if _counts(one, settings)], settings.keeping)


class _Windows:
    """Looks for objects in windows."""

    def __init__(
        self,
        encoder: WindowEncoder,
        classes: Sequence[MappedClass],
        settings: InstanceSettings,
        sought: Collection[int] | None,
        like: Likeness | None,
    ) -> None:
        self._encoder = encoder
        self._like = like
        self._settings = settings
        self._values = np.array([c.value for c in classes], dtype=int)
        self._sought = [i for i, c in enumerate(classes) if sought is None or c.value in sought]
        self._prompts = torch.stack([c.prompt for c in classes]) if classes else None
        self._shape = encoder.scene.grid.shape

    def parts(self, place: Place) -> list[Part]:
        """What one window sees of objects.

        Args:
            place: of the window.
        """
        encoder, window = self._encoder, place.window
        valid = encoder.scene.rgb(window)[1]
        area = self._settings.area
        wanted = valid if area is None else valid & rasterize(area, window)
        if not wanted.any():
            return []
        model, embedding = encoder.model, encoder.embedding(window, keep=False)
        logits = None if self._prompts is None else decoded_classes(encoder, embedding, self._prompts)
        clicks, alike = self._clicks(logits, wanted), None
        if self._like is not None:
            alike = self._like.of_pixels(embedding[0], wanted.shape).cpu()
            ground = np.where(wanted & (alike.numpy() > ALIKE), alike.numpy(), 0)
            clicks = np.concatenate([clicks, peaks(ground), grid(ground > 0, self._settings.spacing)])
            clicks = np.unique(clicks, axis=0)  # the grids have the same places
        if not len(clicks):
            return []
        with torch.inference_mode(), compute(model.device):
            image = model.prepare(embedding)
        candidates = decode_clicks(model, image, clicks, self._settings.keeping)
        if logits is None:
            kept = distinct(candidates.logits > 0, candidates.iou * candidates.stability, self._settings.keeping)
            return self._as_parts(candidates.at(kept), np.full(len(kept), ANYTHING), valid, place)
        if alike is not None:
            found, kinds = self._alike(candidates, logits, alike)
        else:
            found, kinds = self._of_classes(candidates, ClassGround(logits, self._sought, _shrunk(wanted, logits)))
        return self._as_parts(found, self._values[kinds.numpy()], valid, place)

    def _clicks(self, logits: np.ndarray | None, wanted: np.ndarray) -> np.ndarray:
        """(N, 2) (x, y), model pixels."""
        spacing = self._settings.spacing
        if logits is None:
            return grid(wanted, spacing)
        likely = probabilities(logits, wanted.shape)
        best = likely.argmax(0)
        grounds = [(best == i + 1) & wanted for i in self._sought]
        found = [peaks(np.where(ground, likely[i + 1], 0)) for i, ground in zip(self._sought, grounds, strict=True)]
        return np.concatenate([*found, *(grid(ground, spacing) for ground in grounds), np.zeros((0, 2))])

    def _alike(
        self, candidates: Candidates, logits: np.ndarray, alike: torch.Tensor
    ) -> tuple[Candidates, torch.Tensor]:
        """The masks that look like the examples, whatever the class map knows of them yet, and the class of each."""
        masks, keeping = candidates.logits > 0, self._settings.keeping
        share, kind = self._shares(masks, logits)
        sure, is_sought = share >= keeping.least_share, torch.isin(kind, torch.tensor(self._sought))
        likeness = _means(masks, alike)
        good = (sure & is_sought) | ((likeness > ALIKE) & ~(sure & ~is_sought))
        kind = torch.where(is_sought, kind, self._sought[0])[good]
        candidates = replace(candidates, iou=candidates.iou * likeness).at(good)
        kept = distinct(masks[good], candidates.iou * candidates.stability, keeping)
        return candidates.at(kept), kind[kept]

    @staticmethod
    def _shares(masks: torch.Tensor, logits: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Of each mask: the mean probability of the likeliest class in it, and which of the classes that is."""
        likely = torch.from_numpy(probabilities(logits, masks.shape[-2:])[1:])
        flat = masks.flatten(1).float()
        mean = flat @ likely.flatten(1).T / flat.sum(1, keepdim=True).clamp(min=1)
        share, kind = mean.max(1)
        return share, kind

    def _of_classes(self, candidates: Candidates, ground: ClassGround) -> tuple[Candidates, torch.Tensor]:
        """The masks that agree with the ground of a class, the best first, then the ground that none of them holds.

        Predicted IoU alone says little of how good a mask is; the IoU with the class's ground says more.
        """
        keeping, masks = self._settings.keeping, candidates.logits > 0
        agreement, share, kind = ground.agreement(masks)
        rank = candidates.iou * agreement
        cells = masks.flatten(1).sum(1)
        least = self._least * candidates.logits.shape[-1] ** 2 // self._encoder.model.spec.image_size**2
        good = (rank >= keeping.least_agreement) & (share >= keeping.least_share) & (cells >= least)
        candidates, masks, rank, kind = candidates.at(good), masks[good], rank[good], kind[good]
        kept = distinct(masks, rank, keeping)
        regions, of_regions = ground.uncovered(masks[kept], least)
        return candidates.at(kept).and_(regions), torch.cat([kind[kept], of_regions])

    def _as_parts(self, found: Candidates, values: np.ndarray, valid: np.ndarray, place: Place) -> list[Part]:
        if not len(found):
            return []
        fine = torch.nn.functional.interpolate(
            found.logits[None], place.window.model_shape, mode="bilinear", align_corners=False
        )[0].numpy()
        owner, here = fine.argmax(0), fine.max(0) > 0  # ground that two masks hold goes to the surer one
        parts = []
        for i, value in enumerate(values.tolist()):
            mask = clean(largest_piece(here & (owner == i) & valid), fill_holes=self._least)
            if np.count_nonzero(mask) >= self._least:
                parts.append(self._part(mask, value, float(found.iou[i]), float(found.stability[i]), place.cells))
        return parts

    @property
    def _least(self) -> int:
        """Cells."""
        return max(1, self._settings.least_area // self._settings.scale**2)

    def _part(self, mask: np.ndarray, value: int, score: float, stability: float, window: Window) -> Part:
        (rows, cols) = ndimage.find_objects(mask.astype(np.uint8))[0]
        scale = self._settings.scale
        height, width = (-(-extent // scale) for extent in self._shape)
        cut = (
            (rows.start == 0 and window.row > 0)
            or (cols.start == 0 and window.col > 0)
            or (rows.stop == window.height and window.row + window.height < height)
            or (cols.stop == window.width and window.col + window.width < width)
        )
        place = Window(window.col + cols.start, window.row + rows.start, cols.stop - cols.start, rows.stop - rows.start)
        return Part(place, mask[rows, cols], value, score, stability, cut)


def _means(masks: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """(N,) mean over each of (N, m, m) bool masks of (H, W) values."""
    coarse = torch.nn.functional.adaptive_avg_pool2d(values[None, None], masks.shape[-2:]).flatten()
    flat = masks.flatten(1).float()
    return flat @ coarse / flat.sum(1).clamp(min=1)


def _shrunk(wanted: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """(h, w) bool at the resolution of logits, (C, m, m): the middle of each cell counts."""
    rows, cols = (
        (np.arange(m) * 2 + 1) * side // (2 * m) for m, side in zip(logits.shape[-2:], wanted.shape, strict=True)
    )
    return wanted[np.ix_(rows, cols)]


def _is_wanted(place: Place, area: BaseGeometry | None) -> bool:
    return area is None or area.intersects(place.window.polygon)


def _in_scene(found: WholeObject, scale: int, shape: tuple[int, int]) -> MultiPolygon:
    """An outline in scene pixels: cells may stick out of a scene."""
    if scale == 1:
        return found.outline
    outline = scaled(found.outline, scale, scale, origin=(0, 0))
    return as_multipolygon(outline.intersection(box(0, 0, shape[1], shape[0])))


def _counts(one: Instance, settings: InstanceSettings) -> bool:
    area = settings.area
    inside = area is None or one.outline.intersection(area).area >= MOSTLY * one.outline.area
    return inside and one.outline.area >= settings.least_area


def _distinct(found: Sequence[Instance], keeping: Keeping) -> list[Instance]:
    """The surest first, without those that are mostly, or nearly the same as, a surer one."""
    ranked = sorted(found, key=lambda one: -one.score * one.stability)
    outlines = np.array([one.outline for one in ranked], dtype=object)
    if not len(ranked):
        return []
    one, other = STRtree(outlines).query(outlines, predicate="intersects")
    later = one > other
    one, other = one[later], other[later]
    both = shapely.area(shapely.intersection(outlines[one], outlines[other]))
    area = shapely.area(outlines)
    clash = (both >= keeping.inside * area[one]) | (both >= keeping.alike * (area[one] + area[other] - both))
    dropped: set[int] = set()
    for i, j in sorted(zip(one[clash].tolist(), other[clash].tolist(), strict=True)):
        if j not in dropped:
            dropped.add(i)
    return [instance for i, instance in enumerate(ranked) if i not in dropped]
