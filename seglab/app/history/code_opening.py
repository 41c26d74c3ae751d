"""How a project's code begins: the call that opens its scenes again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from seglab.store.events import Event
from seglab.store.schema import scene_cards

IN_MEMORY = "..."
"""Stands for a source that has no path."""
SETTINGS = ("model", "bands", "adapt_from", "adapter", "extra_bands")
"""Of the manifest: what `seglab.open` takes under the same name."""


def opening_lines(done: Iterable[Event], manifest: Mapping[str, Any], project: str) -> list[str]:
    """The lines that open a new project on the same scenes.

    Args:
        done: events in force.
        manifest: of the project.
        project: folder of the new one.
    """
    classes = {e.data["name"]: e.data["colour"] for e in done if e.kind == "class" and e.data.get("initial")}
    settings = {"classes": classes, "project": project} | {key: manifest[key] for key in SETTINGS if key in manifest}
    sources = [_source(card) for card in scene_cards(manifest)]
    opening = [
        *(["# the imagery was in memory: put it here again, with all its dates"] if IN_MEMORY in sources else []),
        "session = seglab.open(",
        f"    [{', '.join(sources)}]," if len(sources) > 1 else f"    {sources[0]},",
        *(f"    {key}={value!r}," for key, value in settings.items()),
        ")",
    ]
    if len(sources) > 1:
        opening += [
            "sessions = [session, *map(session.open_scene, list(session.scenes)[1:])]",
            "for session in sessions:",
            "    session.follows = False  # each call below looks in one window, as it was checked",
            "session = sessions[0]",
        ]
        return opening
    return [*opening, "session.follows = False  # each call below looks in one window, as it was checked"]


def _source(card: Mapping[str, Any]) -> str:
    """What a scene is opened from."""
    dates = card.get("dates")
    if dates is not None and None in dates.values():
        return IN_MEMORY
    return repr(card["path"] if dates is None else dates)
