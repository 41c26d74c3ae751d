"""From a scene without labels to its cluster map: features of windows, STEGO on some of them, all of them mapped."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import shapely
import torch
from scipy import ndimage
from shapely.geometry.base import BaseGeometry
from torch import Tensor

from seglab.app.clusters.cluster_map import NOWHERE, ClusterMap, Term, cluster_writer, numbered
from seglab.app.rounds.rounds import CurrentModel
from seglab.core.masks import rasterize
from seglab.core.raster import Scene
from seglab.core.windows import Window, sweep_windows
from seglab.errors import ClusterError
from seglab.inference.blend import Blender
from seglab.jobs import Reporter
from seglab.models.dense_crf import CrfSettings, dense_crf
from seglab.models.student.teachers import Teacher, unsupervised_backbone
from seglab.store.cache import ArrayCache, cache_key
from seglab.store.rasters import RasterWriter
from seglab.training.stego import Stego, StegoConfig, advice, train_stego

LEARNT_FROM = 48
"""Windows that are trained on, at most, evenly spread over the scene."""
LOOKED_AT = 192
"""Windows of a scene, at most: a larger one is looked at from farther away. About a minute of the embedded model."""
QUICK = MappingProxyType({"seeds": 3, "points": 8, "others": 2})
"""What of StegoConfig is another for a person who waits."""
OVERLAP = 0.25
"""Share of a window that the next one sees too."""
HALVED = CrfSettings(bilateral_sigma=CrfSettings.bilateral_sigma / 2)
"""Of the dense CRF, at half the resolution: it looks as far."""
SHARPENED = 1024
"""Cells of a strip that are looked at together."""
FEW = 8
"""Windows below which their quarters are compared: one window has nothing to be compared with."""


@dataclass(frozen=True)
class ClusterSettings:
    """What is asked for."""

    clusters: int
    scale: int | None
    """Scene pixels per model pixel; None: as fine as LOOKED_AT allows."""
    area: BaseGeometry | None
    """Scene pixels; what lies outside is in no cluster. None: everything is looked at."""
    seed: int = 0
    steps: int = 80
    """Of the head, and of each cluster probe."""
    weights: Path | None = None
    """Of a DINO, whose features are compared in place of those of the model in use."""


def make_clusters(
    reporter: Reporter, current: CurrentModel, cache: ArrayCache, settings: ClusterSettings, path: Path
) -> ClusterMap:
    """Find the clusters of a scene.

    Args:
        reporter: told windows done; may cancel.
        current: the model in use, whose features are compared.
        cache: keeps features: the same scene in more or fewer clusters is then a matter of seconds.
        settings: what is asked for.
        path: of the raster that is written.

    Raises:
        ClusterError: there is no window with data.
        CheckpointError: the weights are of no DINO that is known.
        SegLabError: as reading the scene raises; TrainingError of a model with extra bands.
    """
    scene = current.encoder.scene
    teacher, size = unsupervised_backbone(current.encoder.model, settings.weights)
    scale = settings.scale or fitting_scale(scene.grid.shape, size)
    windows = [w for w in sweep_windows(scene.grid.shape, size, OVERLAP, scale) if _is_asked(w, settings.area)]
    features = WindowFeatures(scene, teacher, cache)
    chosen = [w for w in _spread(windows, LEARNT_FROM) if features.has_data(w)]
    if not chosen:
        raise ClusterError("no part of the scene that is asked for has data; ask for another area")
    total = 2 * len(chosen) + len(windows)
    seen = []
    for done, window in enumerate(chosen):
        reporter.update(done, total, message="looking at windows")
        seen.append(features.of(window))
    learnt = quartered(torch.stack(seen)) if len(seen) < FEW else torch.stack(seen)
    config = StegoConfig(
        clusters=settings.clusters, seed=settings.seed, steps=settings.steps, probe_steps=settings.steps, **QUICK
    )
    stego = train_stego(_Part(reporter, len(chosen), total), learnt, config)
    sizes = _map(_Part(reporter, 2 * len(chosen), total), stego, features, windows, scale, settings, path)
    terms = tuple(Term.of(name, stego.preset.shifts[name], v) for name, v in stego.correspondences.items())
    words = advice(stego.correspondences, stego.preset)
    return ClusterMap(path, numbered(sizes), scale, current.number, current.date or "", uuid.uuid4().hex, words, terms)


class _Part:
    """A part of a job that counts windows: what it says of its own steps becomes some of them.

    Args:
        reporter: of the job.
        before: windows that were done before.
        total: windows of the job.
    """

    def __init__(self, reporter: Reporter, before: int, total: int) -> None:
        self._reporter = reporter
        self._before = before
        self._total = total

    def update(self, done: float, total: float | None = None, message: str | None = None, **values: float) -> None:
        """See Reporter."""
        share = done if total is None else done / total * self._before
        self._reporter.update(self._before + share, self._total, message=message, **values)

    def check(self) -> None:
        """See Reporter."""
        self._reporter.check()


class WindowFeatures:
    """What a frozen network sees in windows of a scene, kept where it was computed before.

    Args:
        scene: the scene.
        teacher: the network.
        cache: that keeps features, fp16.
    """

    def __init__(self, scene: Scene, teacher: Teacher, cache: ArrayCache) -> None:
        self.scene = scene
        self._teacher = teacher
        self._cache = cache
        self._network = teacher.identity()

    def has_data(self, window: Window) -> bool:
        """Whether at least half of a window lies in the scene and has data, or of the scene, if that is smaller."""
        valid, inside = self.scene.rgb(window)[1], window.clip(self.scene.grid.shape)
        return bool(valid.sum() * window.scale**2 >= 0.5 * inside.width * inside.height)

    def of(self, window: Window) -> Tensor:
        """(width, h, w) float32 of the last block."""
        scene = self.scene
        key = cache_key(
            kind="cluster features", scene=scene.fingerprint, bands=scene.bands, stretch=scene.stretch, window=window,
            network=self._network,
        )  # fmt: skip
        kept = self._cache.get(key, own=True)
        if kept is None:
            rgb = torch.from_numpy(filled(*scene.rgb(window)))[None]
            kept = self._teacher.features(rgb)[-1][0].cpu().half().numpy()
            self._cache.put(key, kept)
        return torch.from_numpy(kept).float()


def fitting_scale(shape: tuple[int, int], size: int) -> int:
    """The finest scale, a power of two, at which LOOKED_AT windows cover a scene.

    Args:
        shape: (rows, cols) of the scene.
        size: side of a window, model pixels.
    """
    scale = 1
    while sum(1 for _ in sweep_windows(shape, size, OVERLAP, scale)) > LOOKED_AT:
        scale *= 2
    return scale


def quartered(features: Tensor) -> Tensor:
    """(N, C, h, w) to (4 N, C, h // 2, w // 2): each window as its four quarters."""
    h, w = features.shape[2] // 2, features.shape[3] // 2
    return torch.cat([features[:, :, r : r + h, c : c + w] for r in (0, h) for c in (0, w)])


def filled(rgb: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 with the nearest valid pixel where there is none: beyond the scene's edge, or without data. Black
    there would make a kind of ground of its own along it."""
    if valid.all() or not valid.any():
        return rgb
    nearest = ndimage.distance_transform_edt(~valid, return_distances=False, return_indices=True)
    return rgb[tuple(nearest)]


def sharpened(rgb: Tensor, scores: Tensor) -> Tensor:
    """Scores of clusters with borders along the edges of its imagery, by a dense CRF.

    It works at half the resolution, in a quarter of the time.

    Args:
        rgb: (H, W, 3) uint8.
        scores: (1, K, h, w), that sum to 1 over K.

    Returns:
        (K, H, W) float32, that sum to 1 over K.
    """
    small = torch.nn.functional.avg_pool2d(rgb.permute(2, 0, 1)[None].float(), 2, ceil_mode=True)[0]
    shape = small.shape[1:]
    rough = torch.nn.functional.interpolate(scores, shape, mode="bilinear")[0]
    sharp = dense_crf(small.round().byte().permute(1, 2, 0), rough, HALVED)
    return torch.nn.functional.interpolate(sharp[None], rgb.shape[:2], mode="bilinear")[0]


def _along_edges(scene: Scene, scores: np.ndarray, row: int, scale: int) -> np.ndarray:
    """(K, rows, cols) scores of a strip of cells, put together from all windows, with borders along edges."""
    parts = []
    for col in range(0, scores.shape[2], SHARPENED):
        part = torch.from_numpy(np.ascontiguousarray(scores[:, :, col : col + SHARPENED]))
        if not part.any():  # beside the area that is asked for
            parts.append(part.numpy())
            continue
        height, width = part.shape[1:]
        rgb, _ = scene.rgb(Window(col * scale, row * scale, width * scale, height * scale, scale))
        parts.append((sharpened(torch.from_numpy(rgb), part[None]) * part.any(0)).numpy())
    return np.concatenate(parts, axis=2)


def _is_asked(window: Window, area: BaseGeometry | None) -> bool:
    return area is None or area.intersects(window.polygon)


def _spread(windows: list[Window], count: int) -> list[Window]:
    """At most so many, evenly spread over the list."""
    if len(windows) <= count:
        return windows
    return [windows[i] for i in np.linspace(0, len(windows) - 1, count).round().astype(int)]


def _map(
    reporter: Reporter,
    stego: Stego,
    features: WindowFeatures,
    windows: list[Window],
    scale: int,
    settings: ClusterSettings,
    path: Path,
) -> np.ndarray:
    """Write the raster; returns (256,) pixels by value."""
    scene = features.scene
    cells = tuple(-(-extent // scale) for extent in scene.grid.shape)
    blender = Blender(len(stego.probes[0].prototypes), cells)
    sizes = np.zeros(256, dtype=np.int64)
    with cluster_writer(path, scene.grid) as writer:

        def write(row: int, scores: np.ndarray) -> None:
            scores = _along_edges(scene, scores, row, scale)
            values = np.where(scores.any(0), scores.argmax(0) + 1, NOWHERE).astype(np.uint8)
            sizes[:] += _write_strip(writer, scene, values, row * scale, scale, settings.area)

        for done, window in enumerate(windows):
            reporter.update(done, message="mapping clusters")
            scores = stego.probabilities(features.of(window)[None])
            scores = torch.nn.functional.interpolate(scores, window.model_shape, mode="bilinear")[0].numpy()
            row, col = -(-window.row // scale), -(-window.col // scale)
            here = Window(col, row, window.width // scale, window.height // scale)
            for top, strip in blender.add(here, scores):
                write(top, strip)
        for top, strip in blender.finish():
            write(top, strip)
    return sizes


def _write_strip(
    writer: RasterWriter, scene: Scene, values: np.ndarray, top: int, scale: int, area: BaseGeometry | None
) -> np.ndarray:
    """Write a strip of cells as scene pixels, where there is data and it is asked for; returns pixels by value."""
    height, width = scene.grid.shape
    pixels = values.repeat(scale, 0).repeat(scale, 1)[: height - top, :width]
    strip = Window(0, top, width, pixels.shape[0])
    wanted = scene.read(strip)[1]
    if area is not None:
        wanted = wanted & rasterize(shapely.intersection(area, strip.polygon), strip)
    pixels = np.where(wanted, pixels, np.uint8(NOWHERE))
    writer.write(pixels, top, 0)
    return np.bincount(pixels.ravel(), minlength=256)
