"""From the current model to maps and suggestions: which classes, which windows, which file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from shapely import STRtree

from seglab.active.suggest import Suggestion, by_difference, by_uncertainty
from seglab.app.rounds import CurrentModel
from seglab.app.state import State
from seglab.core.windows import Window, sweep_windows
from seglab.errors import NoLabelsError
from seglab.inference.sweep import MappedClass, class_probabilities
from seglab.jobs import Reporter
from seglab.store.project import Project

SUGGESTION_WINDOWS = 24
"""Windows that a suggestion looks at, at most: about 4 s on two cores where none is encoded."""


def mapped_classes(current: CurrentModel, state: State) -> list[MappedClass]:
    """The classes that the current model can map; a class's value is its place in the project's list, from 1.

    Raises:
        NoLabelsError: no class has a prompt yet.
    """
    prompts = current.class_prompts(state.objects)
    found = [
        MappedClass(place + 1, name, colour, prompts[name])
        for place, (name, colour) in enumerate(state.classes.items())
        if name in prompts
    ]
    if not found:
        raise NoLabelsError("no class has an accepted object yet; accept one, then map the scene")
    return found


def map_scale(state: State) -> int:
    """The scale at which most objects were accepted, scene pixels per model pixel."""
    scales = [o.window.scale for o in state.objects] or [1]
    return max(set(scales), key=scales.count)


def new_map_path(project: Project) -> Path:
    """A file name in the project's folder that no map has yet."""
    folder = project.folder / "maps"
    folder.mkdir(exist_ok=True)
    number = 1
    while (path := folder / f"map_{number:03d}.tif").exists():
        number += 1
    return path


def suggest_windows(
    reporter: Reporter, current: CurrentModel, state: State, scale: int, count: int
) -> list[Suggestion]:
    """Where to label next: see LabelSession.suggest.

    Args:
        reporter: told how many windows have been looked at.
        current: the model in use.
        state: what is labelled.
        scale: scene pixels per model pixel.
        count: how many suggestions.
    """
    encoder = current.encoder
    windows = _unlabelled_windows(encoder.scene.grid.shape, encoder.model.spec.image_size, scale, state)
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


def _unlabelled_windows(shape: tuple[int, int], size: int, scale: int, state: State) -> list[Window]:
    """Windows spread evenly over the scene: those without any label where there are some, else all."""
    windows = list(sweep_windows(shape, size, 0.0, scale))
    labelled = STRtree([o.geometry for o in state.objects] + list(state.reviewed))
    free = [w for w in windows if len(labelled.query(w.polygon, predicate="intersects")) == 0] or windows
    if len(free) <= SUGGESTION_WINDOWS:
        return free
    picks = np.linspace(0, len(free) - 1, SUGGESTION_WINDOWS).round().astype(int)
    return [free[i] for i in picks]
