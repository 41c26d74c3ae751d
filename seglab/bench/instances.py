"""Objects one by one beside the regions of the class map: `seglab bench instances`.

A round learns from objects of the training images, as in `seglab bench rounds`. On the held-out images its objects are
found by `find_instances`, and beside them stand the connected regions of its class map, with the same smallest size.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import rasterio
import shapely
from shapely.geometry.base import BaseGeometry

from seglab.app.maps.found_objects import LEAST_SIZE, SMALLEST
from seglab.bench.ground import GroundImage, open_ground
from seglab.bench.held_out import EMBEDDING_BYTES, Caches
from seglab.bench.labelling import Annotator
from seglab.bench.runs import chosen_datasets, weights_of
from seglab.bench.simulation import PREFIX_BYTES, Learning, Run, Say
from seglab.core.outlines import find_regions
from seglab.core.windows import common_scale
from seglab.datasets.folder import FolderDataset
from seglab.encoding.encoder import WindowEncoder
from seglab.errors import TrainingError
from seglab.inference.instances import InstanceSettings, find_instances
from seglab.inference.mapper import UNMAPPED
from seglab.inference.plan import MappedClass, MapSettings
from seglab.inference.sweep import predict_scene
from seglab.jobs import SilentReporter
from seglab.models.registry import load_model
from seglab.models.sam import AdaptedSam
from seglab.store.cache import ArrayCache

SAME = 0.5
"""IoU from which a found object is a true one."""

Found = Sequence[tuple[BaseGeometry, int]]
"""Outlines, scene pixels, each with the value of its class."""


@dataclass(frozen=True)
class Matches:
    """How found objects meet the true ones; adds up over images."""

    found: int = 0
    true: int = 0
    right: int = 0
    """Pairs of one class with an IoU of at least SAME, each object in one at most."""
    iou: float = 0.0
    """Sum over those pairs."""
    seconds: float = 0.0

    def __add__(self, other: Matches) -> Matches:
        return Matches(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def to_json(self) -> dict[str, Any]:
        """Precision, recall, F1 and the mean IoU of matched objects, as plain values; None where there is none."""
        shares = {"precision": (self.right, self.found), "recall": (self.right, self.true)}
        shares["iou"] = self.iou, self.right
        figures = {name: round(part / whole, 4) if whole else None for name, (part, whole) in shares.items()}
        f1 = round(2 * self.right / max(1, self.found + self.true), 4)
        return {"f1": f1, **figures, "found": self.found, "true": self.true, "seconds": round(self.seconds, 1)}


def run_instances(
    folder: str | os.PathLike[str] | None,
    datasets: Sequence[str],
    *,
    model: str = "tiny_unseen",
    checkpoint: str | os.PathLike[str] | None = None,
    objects: int = 15,
    images: int | None = None,
    seed: int = 0,
    steps: int | None = None,
    device: str | None = None,
    isolate: bool = True,
    say: Say | None = None,
) -> dict[str, Any]:
    """Train a round on each dataset, and find the objects of its held-out images.

    Args:
        folder, datasets, model, checkpoint, steps, device, isolate, say: see rounds.run_rounds.
        objects: labelled before the round.
        images: held-out ones, at most; all if None.
        seed: of the order of images and objects, and of training.

    Returns:
        "model", "objects" and "datasets": for each its name, the "scale" at which it is looked at, the "least" object,
        and the figures of "regions" and "objects": see `Matches.to_json`. JSON values only.

    Raises:
        DatasetError: a dataset is missing or not in the split.
        TrainingError: there is no object to label.
    """
    weights, rows = weights_of(model, checkpoint), []
    for dataset in chosen_datasets(folder, datasets):
        run = Run(
            folder=str(dataset.path),
            model=model,
            weights=weights,
            adapter="atl_a",
            place="late",
            seed=seed,
            objects=objects,
            rounds=1,
            held_out=0,
            steps=steps,
            assisted=True,
            checkpoint=None if checkpoint is None else str(checkpoint),
            device=device,
            isolate=isolate,
        )
        rows.append(_dataset(run, dataset, images))
        if say is not None:
            say(_line(rows[-1]))
    return {"model": model, "objects": objects, "datasets": rows}


def format_table(result: Mapping[str, Any]) -> str:
    """A result for the terminal."""
    head = f"objects of held-out images, IoU of at least {SAME}, by a round of {result['objects']} objects"
    return "\n".join([f"{head}, {result['model']}", "", *map(_line, result["datasets"])])


def compare(
    dataset: FolderDataset,
    network: AdaptedSam,
    classes: Sequence[MappedClass],
    settings: InstanceSettings,
    images: int | None = None,
) -> dict[str, Matches]:
    """Regions and objects of a dataset's held-out images beside the true ones.

    Args:
        dataset: in the folder layout.
        network: of the round.
        classes: values are 1 + the index of the class in `Ground.classes`.
        settings: how objects are looked for; regions as small as that are left out too.
        images: at most; all if None.
    """
    ground, total = open_ground(dataset, "val"), {"regions": Matches(), "objects": Matches()}
    ways: dict[str, Callable[[WindowEncoder], Found]] = {
        "regions": lambda encoder: list(_regions(encoder, classes, settings)),
        "objects": lambda encoder: [
            (one.outline, one.class_value) for one in find_instances(SilentReporter(), encoder, classes, settings)
        ],
    }
    for image_id in ground.ids[:images]:
        with ground.open(image_id) as image:
            for name, way in ways.items():
                started = time.process_time()
                found = way(WindowEncoder(image.scene, network, ArrayCache(EMBEDDING_BYTES)))
                total[name] += matched(found, image) + Matches(seconds=time.process_time() - started)
    return total


def matched(found: Found, image: GroundImage) -> Matches:
    """Found objects beside the true ones of an image: pairs of the best IoU first."""
    true = [(thing.outline, thing.class_index + 1) for thing in image.things]
    pairs = sorted(_pairs(found, true), reverse=True)
    ours: set[int] = set()
    theirs: set[int] = set()
    right = 0.0
    for iou, i, j in pairs:
        if i not in ours and j not in theirs:
            ours.add(i)
            theirs.add(j)
            right += iou
    return Matches(len(found), len(true), len(ours), right)


def _pairs(found: Found, true: Found) -> Iterator[tuple[float, int, int]]:
    if not found or not true:
        return
    outlines = np.array([outline for outline, _ in found], dtype=object)
    others = np.array([outline for outline, _ in true], dtype=object)
    ours, theirs = shapely.STRtree(others).query(outlines, predicate="intersects")
    both = shapely.area(shapely.intersection(outlines[ours], others[theirs]))
    ious = both / (shapely.area(outlines[ours]) + shapely.area(others[theirs]) - both)
    for iou, i, j in zip(ious.tolist(), ours.tolist(), theirs.tolist(), strict=True):
        if iou >= SAME and found[i][1] == true[j][1]:
            yield iou, i, j


def _dataset(run: Run, dataset: FolderDataset, images: int | None) -> dict[str, Any]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="seglab-instances-")))
        caches = Caches(ArrayCache(EMBEDDING_BYTES), ArrayCache(PREFIX_BYTES, folder))
        base = load_model(run.model, checkpoint=run.checkpoint, device=run.device, adapt_from=run.place)
        annotator = Annotator(open_ground(dataset, "train"), run.seed, stack)
        learning = Learning(run, base, caches, folder)
        labelled = annotator.label(learning.accept, run.objects)
        if not labelled:
            raise TrainingError(f"the training images of {run.dataset!r} hold no object; check its masks")
        learning.train(annotator)
        prompts = learning.class_prompts(labelled)
        names = annotator.ground.classes
        classes = [MappedClass(i + 1, names[i], "#000000", prompt) for i, prompt in prompts.items()]
        scale = common_scale(item.window for item in labelled)
        size = float(np.median([item.outline.area / item.window.scale**2 for item in labelled]))
        least = max(SMALLEST, round(LEAST_SIZE * size * scale**2))
        total = compare(dataset, learning.model, classes, InstanceSettings(scale=scale, least_area=least), images)
    figures = {name: matches.to_json() for name, matches in total.items()}
    return {"dataset": run.dataset, "scale": scale, "least": least, **figures}


def _regions(
    encoder: WindowEncoder, classes: Sequence[MappedClass], settings: InstanceSettings
) -> Iterator[tuple[BaseGeometry, int]]:
    """The connected regions of the class map."""
    with TemporaryDirectory(prefix="seglab-map-") as folder:
        path = Path(folder) / "map.tif"
        predict_scene(SilentReporter(), encoder, classes, path, MapSettings(scale=settings.scale))
        with rasterio.open(path) as file:
            values = file.read(1)
    values[values == UNMAPPED] = 0
    for region in find_regions([(values, ())], 0, settings.least_area):
        yield region.outline, region.value


def _line(row: Mapping[str, Any]) -> str:
    """A dataset's figures in one line."""
    parts = []
    for name in ("regions", "objects"):
        one = row[name]
        keys = ("f1", "precision", "recall", "iou")
        cells = [f"{key} {'–' if one[key] is None else format(one[key], '.2f')}" for key in keys]
        parts.append(f"{name}: {', '.join(cells)} ({one['found']} found, {one['true']} true, {one['seconds']:.0f} s)")
    return f"{row['dataset']}: " + "; ".join(parts)
