"""An accepted object, and how its outline stays an outline."""

from __future__ import annotations

from dataclasses import dataclass

from shapely.geometry.base import BaseGeometry

from seglab.core.prompts import Prompts
from seglab.core.windows import Window


@dataclass(frozen=True)
class LabelledObject:
    """An accepted object."""

    id: int
    """The number of the event that made it; where it made several (a split, an import), k * PARTS more for the k-th.
    One that was confirmed keeps the number that it was proposed under."""
    class_name: str
    geometry: BaseGeometry
    """Outline in scene pixels, on pixel edges."""
    prompts: Prompts
    """What was clicked; nothing where it was drawn by hand."""
    window: Window
    """The window in which it was accepted."""
    iou: float
    """The model's own estimate of the mask's IoU when it was accepted, 0 to 1."""
    round: int
    """The round of the model that drew it; 0 before any."""
    author: str
    time: str
    """UTC, ISO 8601."""
    unsure: bool = False
    """A person is not sure of it: rounds neither learn from it nor are judged by it."""
    note: str = ""
    """What a person has to say about it."""
    origin: str = ""
    """Who proposed it, in words; empty where a person made it."""
