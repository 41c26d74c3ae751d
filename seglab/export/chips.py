"""A labelled scene as chips: pieces of equal size with class masks, instances and COCO annotations, split by area.

The folder has the layout that seglab's own datasets have (images, masks, instances, dataset.json), and a COCO file per
part. The parts are whole blocks of chips, so that no ground, and hardly a neighbour, is in two of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from PIL import Image
from shapely.geometry.base import BaseGeometry

from seglab.core.grid import LONLAT
from seglab.core.masks import rasterize
from seglab.core.raster import Scene
from seglab.core.windows import Window
from seglab.errors import NoLabelsError, WriteError
from seglab.export.coco import CocoFile
from seglab.jobs import Reporter
from seglab.store import atomic

UNKNOWN = 255
"""Value of a mask where nobody has said what is there."""
BACKGROUND = 0
"""Value of a mask where a person has said that no class is there: reviewed ground without an object."""
PARTS = MappingProxyType({"train": 0.7, "val": 0.15, "test": 0.15})
"""Share of the chips in each part, about."""
MOST_OVERLAP = 0.9
"""Each pixel is then on a hundred chips."""


@dataclass(frozen=True)
class ChipObject:
    """An object on the chips."""

    id: int
    class_name: str
    geometry: BaseGeometry
    """Scene pixels."""
    unsure: bool = False
    """Its ground is UNKNOWN, and it is in no list."""


@dataclass(frozen=True)
class ChipLabels:
    """What is known of a scene."""

    classes: tuple[str, ...]
    """In order; the first one is 1 in the masks."""
    objects: tuple[ChipObject, ...]
    """Where two overlap, the later one is in the masks; COCO has both whole."""
    reviewed: tuple[BaseGeometry, ...] = ()
    """Extents in which everything is labelled, scene pixels: what is no object there is background."""
    never_train: tuple[BaseGeometry, ...] = ()
    """Areas, scene pixels, that no model may learn from: blocks that touch them are for the test."""


@dataclass(frozen=True)
class Chipping:
    """How a scene is cut."""

    size: int = 512
    """Side of a chip, scene pixels."""
    block: int = 4
    """Chips along the side of a block, which is in one part as a whole."""
    least_known: float = 0
    """Chips of which a smaller share is known, 0 to 1, are left out; always those of which nothing is."""
    bands: bool = False
    """Whether images are GeoTIFFs of all bands; else PNGs of what the model sees."""
    seed: int = 0
    """Of the choice of blocks."""
    overlap: float = 0
    """Share of a chip that the next one shows too, 0 to 0.9; chips of two blocks never show the same ground."""


@dataclass(frozen=True)
class _Chip:
    window: Window
    name: str
    part: str


def export_chips(
    reporter: Reporter, scene: Scene, labels: ChipLabels, folder: Path, how: Chipping | None = None
) -> Path:
    """Write chips of all ground that something is known of.

    Args:
        reporter: told how many chips are done; may cancel.
        scene: whose pixels they are.
        labels: what is known of it.
        folder: must not be there yet; it appears whole or not at all.
        how: the scene is cut; Chipping() if None.

    Returns:
        The folder: images/ID.png (or .tif), masks/ID.png (uint8 class, 0 background, 255 unknown), instances/ID.png
        (uint16, 0 none), coco/PART.json, chips.geojson (where each lies), dataset.json, README.md.

    Raises:
        NoLabelsError: there is nothing to write.
        WriteError: the folder is there already, or cannot be written, or the overlap is not 0 to 0.9.
        SceneNotFoundError, SceneChangedError, DamagedSceneError: pixels cannot be read.
    """
    how = how or Chipping()
    if folder.exists():
        raise WriteError(f"{str(folder)!r} is there already; choose a new folder for the chips")
    if not 0 <= how.overlap <= MOST_OVERLAP:
        raise WriteError(f"chips cannot overlap by {how.overlap!r} of their side; give 0 to {MOST_OVERLAP}")
    chips = _planned(scene, labels, how)
    if not chips:
        raise NoLabelsError("no object and no reviewed extent lies in the scene; label something first")
    with atomic.replacing(folder) as temp:
        for name in ("images", "masks", "instances", "coco"):
            (temp / name).mkdir(parents=True)
        files = {part: CocoFile(labels.classes) for part in PARTS}
        written = []
        for done, chip in enumerate(chips, start=1):
            known = _write(temp, scene, labels, chip, how, files[chip.part])
            written += [(chip, known)] if known else []
            reporter.update(done, len(chips), message="writing chips")
        if not written:
            raise NoLabelsError(f"no chip has pixels of which a share of {how.least_known} is known; ask for less")
        for part, file in files.items():
            file.write(temp / "coco" / f"{part}.json")
        _describe(temp, scene, labels, how, written)
    return folder


# -- which chips


def _planned(scene: Scene, labels: ChipLabels, how: Chipping) -> list[_Chip]:
    """Chips that touch an object or a reviewed extent, each with its part."""
    tree = shapely.STRtree([*(one.geometry for one in labels.objects), *labels.reviewed])
    blocks: dict[tuple[int, int], list[Window]] = {}
    rows, cols = scene.grid.shape
    side = how.size * how.block
    for row in _origins(rows, how):
        for col in _origins(cols, how):
            window = Window(col, row, how.size, how.size)
            if len(tree.query(window.polygon, predicate="intersects")):
                blocks.setdefault((row // side, col // side), []).append(window)
    kept = shapely.union_all(list(labels.never_train))
    test = {place for place, windows in blocks.items() if any(kept.intersects(one.polygon) for one in windows)}
    parts = dict.fromkeys(test, "test")
    parts |= _parts({place: len(windows) for place, windows in blocks.items() if place not in test}, how.seed)
    return [
        _Chip(window, f"{scene.name}_{window.row:06d}_{window.col:06d}", parts[place])
        for place, windows in blocks.items()
        for window in windows
    ]


def _origins(extent: int, how: Chipping) -> Iterator[int]:
    """Where chips begin along an axis of the scene, scene pixels: each inside its block, and together all of it."""
    side, step = how.size * how.block, max(1, round(how.size * (1 - how.overlap)))
    for start in range(0, extent, side):
        for origin in (*range(start, start + side - how.size, step), start + side - how.size):
            yield origin
            if origin + how.size >= extent:
                return


def _parts(sizes: Mapping[tuple[int, int], int], seed: int) -> dict[tuple[int, int], str]:
    """A part for each block: in random order, always the one that lacks most. With few blocks, train comes first."""
    order = np.random.default_rng(seed).permutation(len(sizes))
    places, total = list(sizes), sum(sizes.values())
    got = dict.fromkeys(PARTS, 0.0)
    found = {}
    for i in order:
        part = max(PARTS, key=lambda name: PARTS[name] - got[name] / total)
        found[places[i]] = part
        got[part] += sizes[places[i]]
    return found


# -- one chip


def _write(temp: Path, scene: Scene, labels: ChipLabels, chip: _Chip, how: Chipping, coco: CocoFile) -> float:
    """Write a chip, unless too little is known of its pixels; returns the share that is known, 0 if not written."""
    rgb, valid = scene.rgb(chip.window)
    mask, instances, shown = _burnt(labels, chip.window)
    mask[~valid], instances[~valid] = UNKNOWN, 0
    known = float((mask != UNKNOWN).mean())
    if not known or known < how.least_known:
        return 0.0
    Image.fromarray(mask).save(temp / "masks" / f"{chip.name}.png")
    Image.fromarray(instances).save(temp / "instances" / f"{chip.name}.png")
    name = f"{chip.name}.{'tif' if how.bands else 'png'}"
    if how.bands:
        _write_bands(temp / "images" / name, scene, chip.window)
    else:
        Image.fromarray(np.where(valid[..., None], rgb, 0).astype(np.uint8)).save(temp / "images" / name)
    image = coco.add_image(f"../images/{name}", how.size, how.size, known)
    inside = shapely.box(0, 0, *scene.grid.shape[::-1]).intersection(chip.window.polygon)
    for value, one in shown:
        outline = shapely.transform(
            one.geometry.intersection(inside), lambda xy: xy - (chip.window.col, chip.window.row)
        )
        coco.add_object(image, value, outline)
    return known


def _burnt(labels: ChipLabels, window: Window) -> tuple[np.ndarray, np.ndarray, list[tuple[int, ChipObject]]]:
    """Classes (uint8) and instances (uint16) of a window, (rows, cols), and the objects in it with their class."""
    mask = np.full(window.shape, UNKNOWN, dtype=np.uint8)
    instances = np.zeros(window.shape, dtype=np.uint16)
    values = {name: value for value, name in enumerate(labels.classes, start=1)}
    for extent in labels.reviewed:
        mask[rasterize(extent, window)] = BACKGROUND
    shown = []
    for one in labels.objects:
        if not one.geometry.intersects(window.polygon):
            continue
        here = rasterize(one.geometry, window)
        mask[here] = UNKNOWN if one.unsure else values[one.class_name]
        instances[here] = 0 if one.unsure else len(shown) + 1
        shown += [(values[one.class_name], one)] if here.any() and not one.unsure else []
    return mask, instances, shown


def _write_bands(path: Path, scene: Scene, window: Window) -> None:
    """All bands of a window as a GeoTIFF; what lies beyond the scene, or holds no data, is nodata (0 without one)."""
    values, valid = scene.read(window, bands=scene.data_bands)
    empty = 0 if scene.nodata is None else scene.nodata
    values = np.where(valid, values, empty).astype(scene.dtype)
    grid, profile = scene.grid, {"driver": "GTiff", "compress": "deflate", "count": len(values), "dtype": scene.dtype}
    if grid.is_georeferenced:
        corner = rasterio.Affine.translation(window.col, window.row)
        profile |= {"crs": grid.crs.to_wkt(), "transform": grid.transform @ corner}
    with rasterio.open(path, "w", height=window.height, width=window.width, nodata=empty, **profile) as file:
        file.write(values)
        file.descriptions = scene.band_names


# -- what they are


def _describe(
    temp: Path, scene: Scene, labels: ChipLabels, how: Chipping, written: Sequence[tuple[_Chip, float]]
) -> None:
    grid = scene.grid
    classes = {BACKGROUND: "background"} | dict(enumerate(labels.classes, start=1))
    parts = {part: [chip.name for chip, _ in written if chip.part == part] for part in PARTS}
    card = {
        "classes": classes,
        "ignore": UNKNOWN,
        "resolution_m": grid.pixel_size_m,
        "crs": None if grid.crs is None else grid.crs.to_string(),
        "licence": "",
        "attribution": "",
        "scene": scene.name,
        "split": parts,
    }
    (temp / "dataset.json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (temp / "README.md").write_text("\n".join(_readme(scene, labels, how, parts)) + "\n", encoding="utf-8")
    _write_places(temp / "chips.geojson", scene, written)


def _write_places(path: Path, scene: Scene, written: Sequence[tuple[_Chip, float]]) -> None:
    """Where each chip lies: its outline, and the CRS and transform of its pixels, named as STAC's projection extension
    names them; without a CRS, the transform leads to the pixels of the scene."""
    grid = scene.grid
    origin = grid.transform if grid.is_georeferenced else rasterio.Affine.identity()
    rows = [
        {
            "id": chip.name,
            "part": chip.part,
            "known": known,
            "proj:code": None if grid.crs is None else grid.crs.to_string(),
            "proj:shape": list(chip.window.shape),
            "proj:transform": list(origin @ rasterio.Affine.translation(chip.window.col, chip.window.row))[:6],
        }
        for chip, known in written
    ]
    outlines = [chip.window.polygon for chip, _ in written]
    table = gpd.GeoDataFrame(rows, geometry=outlines)
    if grid.is_georeferenced:
        table = table.set_geometry([grid.geometry_from_pixel(one, LONLAT) for one in outlines], crs=LONLAT)
    path.write_text(table.to_json(drop_id=True) + "\n", encoding="utf-8")


def _readme(scene: Scene, labels: ChipLabels, how: Chipping, parts: Mapping[str, Sequence[str]]) -> Iterator[str]:
    count = sum(map(len, parts.values()))
    yield f"# {scene.name}: {count} labelled chips of {how.size} x {how.size} pixels"
    yield ""
    yield "- images: " + ("all bands of the scene, GeoTIFF" if how.bands else "what the model saw, 8-bit RGB")
    yield f"- masks: {BACKGROUND} background (reviewed, no object), {UNKNOWN} unknown: ignore it, it is not background"
    for value, name in enumerate(labels.classes, start=1):
        yield f"  - {value}: {name}"
    yield "- instances: the number of an object on its chip, 0 none"
    yield "- coco: the objects of each part as COCO JSON. COCO has no word for unknown ground: `known` of an image is"
    yield "  the share of it that a person has labelled or reviewed; below 1 it may show objects that are not listed"
    if how.overlap:
        yield f"- chips overlap by {how.overlap:.0%} of their side inside a block, and never beyond it"
    yield f"- parts, by area (blocks of {how.block} x {how.block} chips): " + ", ".join(
        f"{name} {len(ids)}" for name, ids in parts.items()
    )
    if labels.never_train:
        yield "  (blocks with areas that are kept out of training are for the test)"
    yield "- chips.geojson: where each chip lies, with the CRS and the transform of its pixels"
    yield ""
    yield "Say here whose imagery this is and under which licence (also in dataset.json)."
