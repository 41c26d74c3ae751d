"""Proposed objects: outlines that a machine or a file suggests, for a person to confirm or to dismiss.

Not to be confused with a `Proposal`, the mask of the one object that is being prompted for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from seglab.app.labels.labelled import dated, entry
from seglab.core.windows import Window

MOSTLY = 0.5
"""An object lies in an area if at least this share of it does."""
MAP_ORIGIN = "class map"
"""How the origin of the class map's regions begins."""
OBJECTS_ORIGIN = "objects found"
"""How the origin of what was found as objects begins."""


@dataclass(frozen=True)
class ProposedObject:
    """An object that nobody has looked at yet."""

    id: int
    """The number of the event that proposed it, and k * PARTS more for the k-th; kept when it is confirmed."""
    class_name: str
    geometry: BaseGeometry
    """Outline in scene pixels, on pixel edges."""
    window: Window
    """A window that holds it."""
    score: float
    """How likely it is right, 0 to 1, by who proposed it."""
    origin: str
    """Who proposed it, in words."""
    round: int
    """The round of the model that drew it; 0 before any, or where no model did."""
    date: str = ""
    """See `LabelledObject.date`."""


def propose_data(
    found: Sequence[Mapping[str, Any]],
    classes: Mapping[str, str],
    origin: str,
    round_number: int = 0,
    instead_of: Sequence[int] = (),
    date: str = "",
) -> dict[str, Any]:
    """The data of a "propose" event.

    Args:
        found: class, geometry (WKB), window and score of each object; without a score it is 1.
        classes: those that the project does not have yet, colour by name.
        origin: who proposes, in words.
        round_number: of the model that drew them.
        instead_of: proposed objects that these make obsolete.
        date: of the imagery that it saw; empty without a time axis.
    """
    data = {"found": list(found), "classes": dict(classes), "origin": origin, "round": round_number}
    return data | ({"instead_of": list(instead_of)} if instead_of else {}) | dated(date)


def scored_entry(class_name: str, outline: BaseGeometry, window: Window, score: float) -> dict[str, Any]:
    """One object of such an event."""
    return entry(class_name, outline, window) | {"score": round(float(score), 4)}


def mostly_within(proposals: Sequence[ProposedObject], area: BaseGeometry) -> list[ProposedObject]:
    """Those of which at least half lies in an area of scene pixels."""
    shapely.prepare(area)
    near = [p for p in proposals if area.intersects(p.geometry)]
    return [p for p in near if p.geometry.intersection(area).area >= MOSTLY * p.geometry.area]


def by_score(proposals: Sequence[ProposedObject]) -> list[ProposedObject]:
    """The likeliest first."""
    return sorted(proposals, key=lambda p: -p.score)


def by_nearness(proposals: Sequence[ProposedObject]) -> list[ProposedObject]:
    """Neighbours after each other: along a Hilbert curve through the scene, so that the map moves little."""
    if not proposals:
        return []
    centres = gpd.GeoSeries(shapely.centroid([p.geometry for p in proposals]))
    return [proposals[i] for i in np.argsort(centres.hilbert_distance().to_numpy(), kind="stable")]
