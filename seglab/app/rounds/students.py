"""The students of a project: which one maps, and what its classes are today."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from seglab.app.history.state import State
from seglab.core.raster import Scene
from seglab.errors import RoundMismatchError, UnknownRoundError
from seglab.inference.networks import MapEncoder, map_encoder
from seglab.inference.plan import MappedClass
from seglab.models.student.network import Student
from seglab.models.student.restore import KIND, restore_student
from seglab.store.project import Project

LATEST = "student"
"""Names the project's latest student."""


def chosen_student(cards: Sequence[Mapping[str, Any]], wanted: str | int) -> int:
    """The round that a person means.

    Args:
        cards: of all rounds of the project.
        wanted: LATEST, or a student's number.

    Raises:
        UnknownRoundError: there is no such student.
    """
    students = [int(card["round"]) for card in cards if card.get("kind") == KIND]
    if wanted == LATEST and students:
        return students[-1]
    if wanted in students:
        return int(wanted)
    raise UnknownRoundError(
        f"there is no student {wanted!r}; this project has {students or 'none'}. session.distill() makes one"
    )


def student_mapper(
    project: Project, number: int, scene: Scene, state: State, device: torch.device
) -> tuple[MapEncoder, list[MappedClass]]:
    """A student, looking at a scene, and what it maps there.

    Args:
        project: has the student.
        number: of its round.
        scene: that is mapped.
        state: what the classes are called today.
        device: where it shall be.

    Raises:
        ProjectDamagedError: the round's files are damaged.
        RoundMismatchError: they are no student's, or the project has none of its classes any more.
    """
    tensors, card = project.load_round(number)
    student = restore_student(tensors, card, device)
    return map_encoder(scene, student), student_classes(student, card, state)


def student_classes(student: Student, card: Mapping[str, Any], state: State) -> list[MappedClass]:
    """What a student maps; a class's value is its place in the project's list, from 1.

    Args:
        student: the network.
        card: of its round.
        state: what the classes are called today.

    Raises:
        RoundMismatchError: the project has none of its classes any more.
    """
    places = {name: (place, colour) for place, (name, colour) in enumerate(state.classes.items(), start=1)}
    found: dict[str, MappedClass] = {}
    rows = dict(zip(card["classes"], student.class_rows, strict=True))
    for name in sorted(rows, key=lambda name: state.today(name) != name):  # a class's own row comes before merged ones
        now = state.today(name)
        if now is not None and now not in found:
            found[now] = MappedClass(places[now][0], now, places[now][1], rows[name])
    if not found:
        raise RoundMismatchError(f"the student maps {card['classes']} and the project has none of them; distill anew")
    return sorted(found.values(), key=lambda one: one.value)
