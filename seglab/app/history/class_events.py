"""What events about classes do: the objects and answers of a class go with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from seglab.store.events import Event

if TYPE_CHECKING:
    from seglab.app.history.label_events import Labels


def _add_class(labels: Labels, event: Event) -> None:
    labels.classes[event.data["name"]] = event.data["colour"]


def _rename_class(labels: Labels, event: Event) -> None:
    old, new = event.data["old"], event.data["new"]
    labels.classes = {new if name == old else name: colour for name, colour in labels.classes.items()}
    _move_objects(labels, old, new)
    labels.renamed = _called(labels.renamed, old, new) | {old: new}
    labels.renamed.pop(new, None)
    labels.merged = _called(labels.merged, old, new)


def _merge_classes(labels: Labels, event: Event) -> None:
    source, target = event.data["source"], event.data["target"]
    labels.classes.pop(source, None)
    _move_objects(labels, source, target)
    former = {name: target for name, now in labels.renamed.items() if now == source}
    labels.renamed = {name: now for name, now in labels.renamed.items() if now != source}
    labels.merged = _called(labels.merged, source, target) | former | {source: target}


def _recolour_class(labels: Labels, event: Event) -> None:
    if event.data["name"] in labels.classes:
        labels.classes[event.data["name"]] = event.data["colour"]


def _move_objects(labels: Labels, old: str, new: str) -> None:
    labels.check = None if labels.check is None else labels.check.renamed(old, new)
    for objects in (labels.objects, labels.proposals, labels.dismissed):
        for number, one in objects.items():
            if one.class_name == old:
                objects[number] = replace(one, class_name=new)


def _called(names: dict[str, str], old: str, new: str) -> dict[str, str]:
    return {name: new if now == old else now for name, now in names.items()}


CLASS_HANDLERS: dict[str, Callable[[Labels, Event], None]] = {
    "class": _add_class,
    "rename_class": _rename_class,
    "recolour_class": _recolour_class,
    "merge_classes": _merge_classes,
}
"""What each kind of event about classes does to the labels of every scene."""
