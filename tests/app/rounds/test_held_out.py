"""Which objects a round learns from, and which it is judged on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import shapely

from seglab.app.history.state import State, reduce
from seglab.app.labels.labelled import LabelledObject
from seglab.app.rounds.held_out import Seen, outlines_of, require_training, seen_by, split_objects
from seglab.core.prompts import Prompts
from seglab.core.windows import Window
from seglab.errors import NoLabelsError


def state_of(*places: tuple[int, int], held_out: object = None, never_train: tuple = ()) -> State:
    """Objects of 10 x 10 pixels at places; their ids count from 1."""
    objects = tuple(
        LabelledObject(
            i, "water", shapely.box(col, row, col + 10, row + 10), Prompts(), Window(0, 0, 224, 224), 1, 0, "", ""
        )
        for i, (col, row) in enumerate(places, 1)
    )
    return replace(reduce([]), objects=objects, never_train=never_train, held_out=held_out)


def test_what_touches_held_out_ground_is_not_trained_on() -> None:
    state = state_of((0, 0), (95, 0), (200, 0), held_out=shapely.box(100, 0, 150, 50))
    split = split_objects(state, Seen())
    assert [o.id for o in split.training] == [1, 3]
    assert [o.id for o in split.held_out] == [2]
    assert split.ground == (state.held_out,)


def test_never_train_areas_are_held_out_too() -> None:
    split = split_objects(state_of((0, 0), (200, 0), never_train=(shapely.box(190, 0, 300, 50),)), Seen())
    assert ([o.id for o in split.training], [o.id for o in split.held_out]) == ([1], [2])


def test_an_object_that_an_ancestor_trained_on_judges_nothing() -> None:
    cards = [
        {"round": 1, "parent": 0, "labels": [1, 2]},
        {"round": 2, "parent": 1, "labels": [1]},
        {"round": 3, "parent": 0, "labels": [7]},
    ]
    assert seen_by(2, cards, "a", True).ids == {1, 2}
    assert seen_by(3, cards, "a", True).ids == {7}
    assert seen_by(0, cards, "a", True).ids == frozenset()
    state = state_of((0, 0), (100, 0), (120, 0), held_out=shapely.box(100, 0, 150, 50))
    split = split_objects(state, Seen(frozenset({2})))
    assert ([o.id for o in split.training], [o.id for o in split.held_out]) == ([1], [3])


def test_a_corrected_object_is_known_by_its_ground() -> None:
    before = state_of((0, 0), (100, 0), (130, 0))
    shown = {"name": "a", "trained": outlines_of(before.objects[:2])}
    card = {"round": 1, "parent": 0, "labels": [1, 2], "scenes": [shown]}
    after = state_of((0, 0), (300, 0), (130, 0), (102, 3), held_out=shapely.box(90, 0, 150, 50))  # 4 corrects 2
    split = split_objects(after, seen_by(1, [card], "a", True))
    assert ([o.id for o in split.training], [o.id for o in split.held_out]) == ([1, 2], [3])
    elsewhere = seen_by(1, [card], "b", False)  # the same pixels of another scene
    assert elsewhere.ground.is_empty and not elsewhere.of(after.objects[3:])
    before_scenes = {"round": 1, "parent": 0, "labels": [], "scene": "a", "trained": shown["trained"]}
    assert seen_by(1, [before_scenes], "renamed", True).of(after.objects) == {1, 4}
    assert not seen_by(1, [before_scenes], "b", False).of(after.objects)


def test_nothing_left_to_train_on_says_why() -> None:
    with pytest.raises(NoLabelsError, match="accept its mask"):
        require_training([state_of(), state_of()])
    with pytest.raises(NoLabelsError, match="kept out of training"):
        require_training([state_of((0, 0), held_out=shapely.box(0, 0, 50, 50)), state_of()])
    require_training([state_of(), state_of((0, 0))])
