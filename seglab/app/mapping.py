"""From the current model to maps and suggestions: which classes, which windows, which file."""

from __future__ import annotations

import datetime
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from shapely import STRtree
from shapely.geometry.base import BaseGeometry

from seglab.active.suggest import Suggestion, by_difference, by_uncertainty
from seglab.app.held_out import kept_out
from seglab.app.rounds import CurrentModel
from seglab.app.state import State
from seglab.core.grid import Grid
from seglab.core.raster import Scene
from seglab.core.windows import Window, common_scale, sweep_windows
from seglab.errors import NoLabelsError
from seglab.export.stac import write_stac_item
from seglab.inference.mapper import class_probabilities
from seglab.inference.plan import MappedClass
from seglab.inference.sweep import Prediction
from seglab.jobs import Reporter
from seglab.store.project import Project

SUGGESTION_WINDOWS = 24
"""Windows that a suggestion looks at, at most: about 4 s on two cores where none is encoded."""

MOSTLY = 0.5
"""A window is suggested only if at least this share of it has data."""


def require_classes(current: CurrentModel, state: State) -> None:
    """Check that there is something to map.

    Raises:
        NoLabelsError: no class has an object, now or in the round.
    """
    if not state.objects and not current.trained:
        raise NoLabelsError(
            "no class has an accepted object here yet; accept one, then map the scene, or train a round: it knows the "
            "objects of all scenes"
        )


def mapped_classes(current: CurrentModel, state: State) -> list[MappedClass]:
    """The classes that the current model can map; a class's value is its place in the project's list, from 1."""
    prompts = current.class_prompts(state)
    return [
        MappedClass(place + 1, name, colour, prompts[name])
        for place, (name, colour) in enumerate(state.classes.items())
        if name in prompts
    ]


def map_scale(state: State) -> int:
    """The scale at which most objects were accepted, scene pixels per model pixel."""
    return common_scale(o.window for o in state.objects)


def new_map_path(folder: Path) -> Path:
    """A file name in the folder of a scene that no map has yet."""
    folder = folder / "maps"
    folder.mkdir(parents=True, exist_ok=True)
    number = 1
    while (path := folder / f"map_{number:03d}.tif").exists():
        number += 1
    return path


def prediction_data(project: Project, prediction: Prediction, classes: Iterable[str]) -> dict[str, Any]:
    """The data of a "prediction" event; files inside the project are named from its folder, so that it may move.

    Args:
        project: whose folder that is.
        prediction: the map.
        classes: names of its values, from 1.
    """
    data: dict[str, Any] = {"round": prediction.round, "classes": list(classes)}
    for name, path in (("path", prediction.path), ("confidence", prediction.confidence_path)):
        data[name] = path_in_project(project, path)
    return data


def describe_map(prediction: Prediction, grid: Grid, date: str | None) -> None:
    """Write a STAC item beside a map, if it has a place.

    Args:
        prediction: the map.
        grid: its own.
        date: of the imagery, ISO 8601; None where nobody knows.

    Raises:
        WriteError: it could not be written; the map is there all the same.
    """
    if grid.is_georeferenced:
        when = None if not date else datetime.datetime.fromisoformat(date).replace(tzinfo=datetime.UTC)
        write_stac_item(prediction.path, when, confidence=prediction.confidence_path)


def path_in_project(project: Project, path: Path) -> str:
    """How the log names a file: from the project's folder where it lies in it, else as an absolute path."""
    path, folder = path.absolute(), project.folder.absolute()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def prediction_of(project: Project, data: Mapping[str, Any] | None) -> Prediction | None:
    """The map of a "prediction" event, if its file is still there; None for None."""
    if data is None:
        return None
    found = Prediction(project.folder / data["path"], project.folder / data["confidence"], data["round"])
    return found if found.path.exists() else None


def map_meanings(state: State, data: Mapping[str, Any]) -> dict[int, int]:
    """What the values of a map mean today: 0 for background, a number of the same class for the same class, whatever it
    was called and where it stood in the list when the map was made.

    Args:
        state: of the project.
        data: of the map's "prediction" event.
    """
    places = {name: place for place, name in enumerate(state.classes, start=1)}
    gone = len(places)  # of a class that is no more, only a map that had it too can say the same
    meanings = {0: 0}
    for value, name in enumerate(data["classes"], start=1):
        now = state.today(name)
        meanings[value] = places[now] if now is not None else gone + 1 + zlib.crc32(name.encode()) % 2**20
    return meanings


def map_colours(state: State) -> dict[int, str]:
    """Colour '#rrggbb' of each value of the latest map: classes may have been renamed, recoloured or merged since."""
    names = mapped_names(state, (state.prediction or {}).get("classes", list(state.classes)))
    return {value: state.classes[name] for value, name in names.items() if name in state.classes}


def mapped_names(state: State, then: Iterable[str]) -> dict[int, str]:
    """What the classes of a map's values are called today; those that nobody knows any more are left out.

    Args:
        state: of the project.
        then: what they were called when it was made, from value 1 on.
    """
    now = {value: state.today(name) for value, name in enumerate(then, start=1)}
    return {value: name for value, name in now.items() if name is not None}


def suggest_windows(reporter: Reporter, current: CurrentModel, state: State, count: int) -> list[Suggestion]:
    """Where to label next: see LabelSession.suggest.

    Args:
        reporter: told how many windows have been looked at.
        current: the model in use.
        state: what is labelled.
        count: how many suggestions.
    """
    encoder = current.encoder
    windows = _unlabelled_windows(encoder.scene, encoder.model.spec.image_size, map_scale(state), state)
    classes = mapped_classes(current, state) if state.objects or current.trained else []
    prompts = torch.stack([c.prompt for c in classes]) if classes else None
    found: list[np.ndarray] = []
    for done, window in enumerate(windows):
        if prompts is None:
            found.append(encoder.embedding(window)[0].mean((1, 2)).cpu().numpy())
        else:
            found.append(class_probabilities(encoder, window, prompts))
        reporter.update(done + 1, len(windows), message="looking around")
    if not found:
        return []
    if prompts is None:
        return by_difference(windows, np.stack(found), count)
    return by_uncertainty(windows, found, ["background", *(c.name for c in classes)], count)


def _unlabelled_windows(scene: Scene, size: int, scale: int, state: State) -> list[Window]:
    """Windows with data spread evenly over the area of interest: those without any label, from which rounds may learn,
    where there are some, else all."""
    _, valid, factor = scene.preview()
    windows = [w for w in sweep_windows(scene.grid.shape, size, 0.0, scale) if _share(w, valid, factor) >= MOSTLY]
    windows = _in_area(windows, state.area_of_interest)
    labelled = STRtree([*(o.geometry for o in state.objects), *state.reviewed, *kept_out(state)])
    free = [w for w in windows if len(labelled.query(w.polygon, predicate="intersects")) == 0] or windows
    if len(free) <= SUGGESTION_WINDOWS:
        return free
    picks = np.linspace(0, len(free) - 1, SUGGESTION_WINDOWS).round().astype(int)
    return [free[i] for i in picks]


def _in_area(windows: list[Window], area: BaseGeometry | None) -> list[Window]:
    """Windows that lie mostly in an area; where it is too small for that, those that touch it."""
    if area is None:
        return windows
    mostly = [w for w in windows if area.intersection(w.polygon).area >= MOSTLY * w.polygon.area]
    return mostly or [w for w in windows if area.intersects(w.polygon)]


def _share(window: Window, valid: np.ndarray, factor: int) -> float:
    """The share of a window that has data, by the scene's preview."""
    rows = slice(window.row // factor, -(-(window.row + window.height) // factor))
    cols = slice(window.col // factor, -(-(window.col + window.width) // factor))
    part = valid[rows, cols]
    return float(part.mean()) if part.size else 0.0
