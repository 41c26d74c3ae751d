"""Labelled ground for training: an image with its land cover and every visible part of every object numbered."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy import ndimage

from seglab.errors import PretrainError
from seglab.pretrain.scenes import SceneSample, scene

MAX_PARTS = 1024
"""Numbers of parts per image, 0 ("none") included; the smallest beyond are left out."""
MIN_PART = 16
"""Smallest part that counts, pixels."""
PROCEDURAL = "procedural"
"""The source of scenes that were made, not photographed."""
QUALITY = 92
"""Of the WebP images of prepared ground: training changes colours and scale by far more than it does."""


@dataclass(frozen=True)
class PartTable:
    """What is known of each part of an image; row 0 stands for "no part"."""

    object_of: np.ndarray
    """(P,) int16, the object that the part is of."""
    parent_of: np.ndarray
    """(P,) int16, the object that this object lies in; 0 for none."""
    class_of: np.ndarray
    """(P,) uint8, an index of scenes.CLASSES, or scenes.UNKNOWN."""
    box: np.ndarray
    """(P, 4) float32 left, top, right, bottom, pixels, right and bottom excluded."""
    area: np.ndarray
    """(P,) int32, pixels."""


@dataclass(frozen=True)
class Ground:
    """One labelled image."""

    source: str
    """Its dataset, or PROCEDURAL."""
    id: str
    rgb: np.ndarray
    """(h, w, 3) uint8."""
    semantic: np.ndarray
    """(h, w) uint8, an index of scenes.CLASSES, or scenes.UNKNOWN."""
    parts: np.ndarray
    """(h, w) int16, connected visible parts of objects; 0 is none."""
    table: PartTable


def label_ground(
    source: str,
    image_id: str,
    rgb: np.ndarray,
    semantic: np.ndarray,
    objects: np.ndarray,
    parents: dict[int, int] | None = None,
) -> Ground:
    """Number the connected parts of every object.

    Args:
        source: dataset of the image.
        image_id: its name there.
        rgb: (h, w, 3) uint8.
        semantic: (h, w) uint8.
        objects: (h, w) integer object ids, 0 is none; an object may have many parts ("all this water").
        parents: of objects that lie inside others.

    Raises:
        PretrainError: an object's number is too large.
    """
    if int(objects.max(initial=0)) > np.iinfo(np.int16).max:
        raise PretrainError(f"image {image_id!r} has object numbers above 32,767; number its objects from 1 on")
    found = sorted(_components(objects), key=lambda part: -part[2])[: MAX_PARTS - 1]
    parts = np.zeros(objects.shape, np.int16)
    count = len(found) + 1
    object_of, parent_of = np.zeros(count, np.int16), np.zeros(count, np.int16)
    class_of, area = np.full(count, 255, np.uint8), np.zeros(count, np.int32)
    box = np.zeros((count, 4), np.float32)
    for number, (owner, inside, size, corner) in enumerate(found, start=1):
        left, top = corner
        rows, cols = inside.shape
        parts[top : top + rows, left : left + cols][inside] = number
        object_of[number], area[number] = owner, size
        parent_of[number] = (parents or {}).get(owner, 0)
        box[number] = left, top, left + cols, top + rows
        class_of[number] = np.bincount(semantic[top : top + rows, left : left + cols][inside]).argmax()
    return Ground(source, image_id, rgb, semantic, parts, PartTable(object_of, parent_of, class_of, box, area))


def procedural_ground(seed: int, size: int) -> Ground:
    """A procedural scene as labelled ground; see `scenes.scene`."""
    made: SceneSample = scene(seed, size)
    return label_ground(PROCEDURAL, str(seed), made.rgb, made.semantic, made.instances, made.parents)


def save_ground(folder: Path, ground: Ground) -> None:
    """Write one image: FOLDER/SOURCE/ID.webp and, beside it, its labels in ID.npz."""
    place = folder / ground.source
    place.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(place / f"{ground.id}.webp"), ground.rgb[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    table = {f"table_{name}": value for name, value in vars(ground.table).items()}
    np.savez_compressed(place / f"{ground.id}.npz", semantic=ground.semantic, parts=ground.parts, **table)


def load_ground(folder: Path, leave_out: tuple[str, ...] = ()) -> Iterator[Ground]:
    """Read what `save_ground` wrote, in a fixed order.

    Args:
        folder: where it lies.
        leave_out: sources not to read.

    Raises:
        PretrainError: there is none, or a file is damaged.
    """
    files = [path for path in sorted(folder.glob("*/*.npz")) if path.parent.name not in leave_out]
    if not files:
        raise PretrainError(f"no prepared ground in {str(folder)!r}; delete that folder, and it is made anew")
    for path in files:
        try:
            with np.load(path) as arrays:
                table = PartTable(**{k.removeprefix("table_"): arrays[k] for k in arrays if k.startswith("table_")})
                semantic, parts = arrays["semantic"], arrays["parts"]
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise PretrainError(f"{str(path)!r} is damaged ({error}); delete its folder and prepare again") from error
        rgb = cv2.imread(str(path.with_suffix(".webp")), cv2.IMREAD_COLOR)
        if rgb is None or rgb.shape[:2] != parts.shape:
            raise PretrainError(f"the image beside {str(path)!r} is damaged; delete its folder and prepare again")
        yield Ground(path.parent.name, path.stem, np.ascontiguousarray(rgb[..., ::-1]), semantic, parts, table)


def _components(objects: np.ndarray) -> Iterator[tuple[int, np.ndarray, int, tuple[int, int]]]:
    """(object, its part's mask in the part's own box, area, (left, top)) of every part of at least MIN_PART pixels."""
    for owner, view in enumerate(ndimage.find_objects(objects.astype(np.int32)), start=1):
        if view is None:
            continue
        mask = (objects[view] == owner).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
        for i in range(1, count):
            left, top, cols, rows, size = (int(x) for x in stats[i])
            if size >= MIN_PART:
                inside = labels[top : top + rows, left : left + cols] == i
                yield owner, inside, size, (left + view[1].start, top + view[0].start)
