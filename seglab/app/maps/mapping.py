"""From the current model to maps: which classes, at which scale, into which file."""

from __future__ import annotations

import datetime
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from seglab.app.history.state import State
from seglab.app.rounds.rounds import CurrentModel
from seglab.core.grid import Grid
from seglab.core.windows import common_scale
from seglab.errors import NoLabelsError
from seglab.export.stac import write_stac_item
from seglab.inference.plan import MappedClass
from seglab.inference.sweep import Prediction
from seglab.store.project import Project


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
