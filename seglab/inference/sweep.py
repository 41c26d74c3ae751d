"""The class map of a whole scene: block by block into a store, and from there into files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import rasterio
from rasterio.enums import ColorInterp

from seglab.core.class_map import confidence_path
from seglab.core.raster import Scene
from seglab.errors import DamagedSceneError, SceneChangedError
from seglab.inference.lattice import Block
from seglab.inference.mapper import CLASSES, CONFIDENCE, UNMAPPED, BlockMapper, block_part
from seglab.inference.networks import MapEncoder
from seglab.inference.plan import WEIGHTS, MappedClass, MapPlan, MapSettings, keep_scene_path, plan_of
from seglab.inference.scene_watch import SceneWatch
from seglab.jobs import Reporter
from seglab.store.colours import parse_colour
from seglab.store.parts import PartStore
from seglab.store.rasters import RasterWriter

PLAN_TAG = "seglab_plan"
"""A map's tag: which plan it was made by, see MapPlan.identity."""
PARTS_SUFFIX = ".parts"
"""Added to a map's name: the folder of what is finished of it."""


@dataclass(frozen=True)
class Prediction:
    """A finished map of a scene."""

    path: Path
    """COG, uint8: 0 background, 1..C classes, UNMAPPED no data."""
    confidence_path: Path
    """COG, uint8: probability of the mapped class in percent, UNMAPPED no data."""
    round: int
    """The round that made it; 0 for the model before any."""


class Workers(Protocol):
    """Whoever maps blocks: this thread, or a cluster."""

    def map_blocks(
        self, plan: MapPlan, store: PartStore, blocks: Sequence[Block], done: Callable[[float], None]
    ) -> None:
        """Put all blocks into the store.

        Args:
            plan, store: what is mapped, and where finished blocks go.
            blocks: that are missing there.
            done: told how many blocks are done, parts of them included; raises JobCancelled when the work should stop.
        """


class ThisThread:
    """Maps one block after the other."""

    def map_blocks(
        self, plan: MapPlan, store: PartStore, blocks: Sequence[Block], done: Callable[[float], None]
    ) -> None:
        """See Workers."""
        mapper = BlockMapper(plan, store)
        for count, block in enumerate(blocks):
            mapper.map(block, lambda share, before=count: done(before + share))
            done(count + 1)


def finished_map(
    encoder: MapEncoder,
    classes: Sequence[MappedClass],
    path: Path,
    settings: MapSettings,
    round_number: int,
) -> Prediction | None:
    """The map in a place, if it is the one that `predict_scene` would make there, down to names and colours."""
    beside = confidence_path(path)
    if not (path.exists() and beside.exists()):
        return None
    with rasterio.open(path) as file:
        tags, named = file.tags(), file.tags(1)
        colours = file.colormap(1) if file.colorinterp[0] == ColorInterp.palette else {}
    same = tags.get(PLAN_TAG) == plan_of(encoder, classes, settings).identity
    for c in classes:
        same &= named.get(f"class_{c.value}") == c.name and colours.get(c.value, ())[:3] == parse_colour(c.colour)
    return Prediction(path, beside, round_number) if same else None


def predict_scene(
    reporter: Reporter,
    encoder: MapEncoder,
    classes: Sequence[MappedClass],
    path: Path,
    settings: MapSettings | None = None,
    *,
    round_number: int = 0,
    workers: Workers | None = None,
) -> Prediction:
    """Map a scene into two Cloud-Optimized GeoTIFFs: classes, and beside it their confidence.

    Finished blocks are kept in a folder beside the map, `NAME.tif.parts`, until the map is complete: a run that was
    killed, cancelled or stopped by an error goes on there when the same map is asked for again.

    Args:
        reporter: told megapixels done; may cancel.
        encoder: the scene that is mapped, and the model.
        classes: what is mapped, at least one.
        path: the class map; the confidence goes to the same name with `_confidence` added.
        settings: how; MapSettings() if None.
        round_number: kept in the map's tags.
        workers: who does the work; this thread if None.

    Raises:
        JobCancelled: finished blocks are kept, and nothing stands under the final names.
        DamagedSceneError: pixels of a block, which the message names, cannot be read; finished blocks are kept.
        SceneChangedError: the raster was changed meanwhile; what was made of it is dropped.
        ProjectBusyError: another run makes the same map.
        WriteError: the map could not be written.
    """
    plan = plan_of(encoder, classes, settings or MapSettings())
    with PartStore.making(path.with_name(path.name + PARTS_SUFFIX), plan.to_json()) as store:
        if store.get(WEIGHTS) is None:
            store.put(WEIGHTS, **plan.weights())
        keep_scene_path(store, encoder.scene)
        _map_missing(reporter, plan, store, workers or ThisThread())
        tags = {"seglab_round": str(round_number), "seglab_scene": encoder.scene.name, PLAN_TAG: plan.identity}
        paths = _assemble(reporter, plan, store, path, classes, tags)
        store.finish()
    return Prediction(*paths, round_number)


@contextmanager
def _watched(scene: Scene, store: PartStore) -> Iterator[SceneWatch]:
    """Notice that the scene's file is written to while it is mapped, and drop what was made of it."""
    watch = SceneWatch(scene)
    try:
        try:
            yield watch
        except DamagedSceneError:
            watch.check(now=True)  # half of another file, maybe
            raise
        watch.check(now=True)
    except SceneChangedError:
        store.finish()
        raise


def _map_missing(reporter: Reporter, plan: MapPlan, store: PartStore, workers: Workers) -> None:
    """Have all blocks mapped that the store does not have."""
    blocks, there = plan.lattice.blocks(), store.names("block")
    area = plan.settings.area
    missing = [b for b in blocks if block_part(b) not in there]
    if area is not None:
        missing = [b for b in missing if area.intersects(b.pixels.polygon)]
    total = sum(b.pixels.width * b.pixels.height for b in missing) / 1e6
    kept = f", {len(there)} of {len(blocks)} blocks were there" if there else ""

    def done(count: float) -> None:
        watch.check()
        reporter.update(total * count / max(1, len(missing)), total, message=f"mapping{kept}")

    with _watched(plan.encoder.scene, store) as watch:
        done(0)
        workers.map_blocks(plan, store, missing, done)


def _assemble(
    reporter: Reporter,
    plan: MapPlan,
    store: PartStore,
    path: Path,
    classes: Sequence[MappedClass],
    tags: dict[str, str],
) -> tuple[Path, Path]:
    """The files made of a store's blocks; one that is damaged is mapped again."""
    grid = plan.encoder.scene.grid
    place = (grid.width, grid.height, grid.transform, grid.crs, "uint8", UNMAPPED)
    names = {0: "background"} | {c.value: c.name for c in classes}
    colours = {c.value: c.colour for c in classes}
    reporter.check()
    with (
        RasterWriter(path, *place, colours=colours, names=names, tags=tags) as class_map,
        RasterWriter(confidence_path(path), *place, tags=tags) as confidence,
    ):
        there = store.names("block")
        for block in plan.lattice.blocks():
            reporter.check()
            if block_part(block) not in there:  # outside the area
                continue
            arrays = store.get(block_part(block)) or BlockMapper(plan, store).map(block)
            for writer, name in ((class_map, CLASSES), (confidence, CONFIDENCE)):
                if (arrays[name] != UNMAPPED).any():
                    writer.write(arrays[name], block.pixels.row, block.pixels.col)
        class_map.complete()  # before its confidence gets its name
    return path, confidence_path(path)
