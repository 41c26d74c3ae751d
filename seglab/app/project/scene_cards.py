"""What a project knows of its scenes: the cards in its manifest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from affine import Affine

from seglab.core.band_labels import BandLabel, labels_from_json
from seglab.core.cubes import is_cube
from seglab.core.dated_scenes import DatedScenes
from seglab.core.grid import Grid, parse_crs
from seglab.core.handles import is_remote
from seglab.core.raster import Scene
from seglab.errors import ProjectDamagedError, ProjectError
from seglab.store.project import Project
from seglab.store.schema import scene_cards

GRID_KEYS = ("width", "height", "transform", "crs")
BAND_KEYS = ("bands", "extra_bands")
"""Of the manifest: the bands of the first scene that the model sees; and of the card of a scene that has others."""


def scene_card(imagery: DatedScenes, source: Any, folder: Path) -> dict[str, Any]:
    """What identifies a scene: its pixels' place, not the path it happens to have today; without a CRS its name, and
    for an array its content. It may get more dates, so that with dates its name counts.

    Args:
        imagery: of its dates.
        source: what it was opened from.
        folder: the project's.
    """
    scene = imagery.scene
    path = str(Path(source).expanduser().absolute()) if is_cube(source) else str(scene.path)
    card = {
        "name": imagery.name,
        **grid_card(scene.grid),
        "path": path,
        "identity": imagery.name if imagery.dates or isinstance(source, (str, Path)) else scene.fingerprint,
    }
    if imagery.dates:
        return card | dates_of(imagery)
    beside = None if is_remote(path) else _beside(Path(path), folder)
    return card if beside is None else card | {"beside": beside}


def grid_card(grid: Grid) -> dict[str, Any]:
    """What says whether two projects show the same ground."""
    return {
        "width": grid.width,
        "height": grid.height,
        "transform": list(grid.transform)[:6],
        "crs": None if grid.crs is None else grid.crs.to_string(),
    }


def grid_of(card: Mapping[str, Any]) -> Grid:
    """The grid of a scene, by its card.

    Raises:
        ProjectDamagedError: the card does not describe it.
    """
    try:
        crs = None if card["crs"] is None else parse_crs(card["crs"])
        return Grid(card["width"], card["height"], Affine(*card["transform"]), crs)
    except (KeyError, TypeError) as error:
        raise ProjectDamagedError(
            f"project.json does not say where its scene lies ({error!r}); restore it from a backup"
        ) from error


def model_bands(manifest: Mapping[str, Any]) -> tuple[BandLabel, ...]:
    """The bands that a project's model sees: red, green and blue, then those beside them."""
    return labels_from_json(manifest.get("band_labels"), [*manifest["bands"], *manifest["extra_bands"]])


def bands_of(card: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, list[int]]:
    """The 1-based bands of a scene that the model sees: "bands" for red, green and blue, and "extra_bands".

    Args:
        card: the scene's.
        manifest: the project's.
    """
    return {key: list(card.get(key, manifest[key])) for key in BAND_KEYS}


def found_bands(scene: Scene, manifest: Mapping[str, Any]) -> dict[str, list[int]]:
    """The bands of a scene that are those that the model sees: see `bands_of`.

    Raises:
        BandError: one is missing.
    """
    found = list(scene.find_bands(model_bands(manifest)))
    count = len(manifest["bands"])
    return {"bands": found[:count], "extra_bands": found[count:]}


def dates_of(imagery: DatedScenes) -> dict[str, Any]:
    """What a card says of a scene with dates: where the raster of each is (None: in memory), and which is in use."""
    return {"dates": {date: imagery.files.get(date) for date in imagery.dates}, "date": imagery.date}


def source_of(card: Mapping[str, Any], folder: Path) -> Any:
    """What a scene is opened from now: its path, or those of its dates.

    Args:
        card: the scene's.
        folder: the project's.

    Raises:
        ProjectError: its dates were in memory.
    """
    dates = card.get("dates")
    if dates is None:
        return path_of(card, folder)
    if None in dates.values():
        raise ProjectError(
            f"the dates of scene {card['name']!r} were in memory; pass them to seglab.open again, with project="
        )
    return dict(dates)


def path_of(card: Mapping[str, Any], folder: Path) -> str:
    """Where a scene is now: beside the project, if it was moved along with it, else where it was.

    Args:
        card: the scene's.
        folder: the project's.
    """
    beside = folder / card["beside"] if "beside" in card else None
    return str(beside.resolve()) if beside is not None and beside.exists() else str(card["path"])


def first_difference(card: Mapping[str, Any], kept: Mapping[str, Any]) -> str | None:
    """The key by which a scene differs from one that a project has; None if it is the same ground.

    Without a CRS, its name or its content counts too.
    """
    keys = (*GRID_KEYS, *(("identity",) if card["crs"] is None else ()))
    return next((key for key in keys if kept[key] != card[key]), None)


def find_card(card: Mapping[str, Any], project: Project) -> str | None:
    """The name of the scene of a project that a card describes: of the same ground, and of several the one of the same
    name. None if it is none of them.

    Raises:
        ProjectDamagedError: the project's cards lack something.
    """
    try:
        same = [known for known in scene_cards(project.manifest) if first_difference(card, known) is None]
        named = [known for known in same if known["identity"] == card["identity"]]
    except (KeyError, TypeError) as error:
        raise damaged_manifest(project, error) from error
    return next((known["name"] for known in (*named, *same)), None)


def damaged_manifest(project: Project, lacking: Exception) -> ProjectDamagedError:
    """What to raise where a project's manifest lacks something."""
    return ProjectDamagedError(
        f"project.json in {str(project.folder)!r} lacks {lacking}; restore it from a backup. Nothing was changed."
    )


def _beside(path: Path, folder: Path) -> str | None:
    """A file's path from a project that lies beside it or above it; None if it lies elsewhere."""
    path, folder = path.absolute(), folder.absolute()
    return os.path.relpath(path, folder) if path.is_relative_to(folder.parent) else None
