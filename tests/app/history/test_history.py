"""Going through the log event by event leads where going through what is in force at once leads."""

from __future__ import annotations

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from seglab.app.history.label_events import PARTS, accept_data
from seglab.app.history.state import KEPT, History, State, history, reduce
from seglab.app.labels.proposed import propose_data, scored_entry
from seglab.core.prompts import Prompts
from seglab.core.windows import Window
from seglab.store.events import Event

CLASSES = ("water", "field")
KINDS = [
    *("accept", "accept", "undo", "redo", "delete", "edit", "merge", "split", "rename"),
    *("propose", "propose", "confirm", "dismiss", "refine"),
]
MAY_CHANGE_NOTHING = ("edit", "merge", "split", "rename_class", "confirm", "dismiss", "delete", "class")
"""Events on objects that another notebook may have taken away."""


def accept(number: int, col: float, row: float, name: str = "water", replaces: int | None = None) -> Event:
    outline = shapely.MultiPolygon([shapely.box(col, row, col + 30, row + 20)])
    data = accept_data(name, outline, Prompts(), Window(0, 0, 224, 224), 0.5, 0, replaces)
    return Event(number, "", "", "accept", data)


def propose(number: int, places: list[tuple[int, int]], instead_of: list[int]) -> Event:
    """Squares in the same raster of places as accepted objects, so that they cover each other."""
    window = Window(0, 0, 224, 224)
    outlines = [shapely.MultiPolygon([shapely.box(500 * c, 8 * r, 500 * c + 20, 8 * r + 20)]) for c, r in places]
    found = [scored_entry("water", outline, window, 0.5) for outline in outlines]
    return Event(number, "", "", "propose", propose_data(found, {}, f"origin {number}", 0, instead_of))


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    """Accepts, edits and class changes at few places, so that they meet, with undo and redo in between."""
    events = [Event(1, "", "", "class", {"name": name, "colour": "#123456", "initial": True}) for name in CLASSES[:1]]
    for number in range(2, draw(st.integers(3, 25))):
        done, undone = history(events)
        objects = [o.id for o in reduce(events).objects]
        waiting = [p.id for p in reduce(events).proposals]
        kind = draw(st.sampled_from(KINDS))
        some = draw(st.lists(st.sampled_from(objects), min_size=1, max_size=2, unique=True)) if objects else []
        asked = draw(st.lists(st.sampled_from(waiting), min_size=1, max_size=3)) if waiting else []
        if kind == "propose":
            places = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=4))
            events.append(propose(number, places, asked[:1]))
        elif kind in ("confirm", "dismiss") and asked:
            data = {"objects": asked} | ({"class": "lake"} if len(asked) > 2 else {})
            events.append(Event(number, "", "", kind, data))
        elif kind == "undo" and len(done) > 1:
            # Mostly the last action, at times one that another notebook did.
            target = done[draw(st.sampled_from([-1, -1, 1]))].id
            events.append(Event(number, "", "", "undo", {"event": target}))
        elif kind == "redo" and undone:
            events.append(Event(number, "", "", "redo", {"event": draw(st.sampled_from(undone)).id}))
        elif kind in ("delete", "edit", "merge") and some:
            data = {"objects": some, "class": "water", "note": f"n{number}"}
            events.append(Event(number, "", "", kind, data))
        elif kind == "split" and some:
            parts = [shapely.to_wkb(shapely.box(k, 0, k + 1, 5), hex=True) for k in range(2)]
            events.append(Event(number, "", "", "split", {"object": some[0], "parts": parts}))
        elif kind == "rename":
            events.append(Event(number, "", "", "rename_class", {"old": "water", "new": f"class {number}"}))
        else:
            col, row = draw(st.integers(0, 3)) * 500, draw(st.integers(0, 4)) * 8
            replaced = {"edit": some, "refine": asked}.get(kind, [])
            events.append(accept(number, col, row, replaces=replaced[0] if replaced else None))
    return events


def same(one: State, other: State) -> bool:
    return (one.classes, one.objects, one.proposals, one.dismissed, one.renamed, one.round) == (
        other.classes, other.objects, other.proposals, other.dismissed, other.renamed, other.round,
    )  # fmt: skip


@settings(deadline=None, max_examples=50)
@given(logs())
def test_an_undo_and_its_redo_leave_what_was_there(events: list[Event]) -> None:
    followed = History()
    for event in events:
        followed.follow(event)
    before, number = followed.state(), events[-1].id + 1
    if before.undoable is None:
        return
    followed.follow(Event(number, "", "", "undo", {"event": before.undoable.id}))
    assert not same(followed.state(), before) or before.undoable.kind in MAY_CHANGE_NOTHING
    followed.follow(Event(number + 1, "", "", "redo", {"event": before.undoable.id}))
    assert same(followed.state(), before)


@settings(deadline=None, max_examples=50)
@given(logs())
def test_a_proposed_object_is_one_thing_at_a_time(events: list[Event]) -> None:
    """It waits, is an object, or is dismissed; every class that anything has is there."""
    state = reduce(history(events)[0])
    waiting, objects, dismissed = ({o.id for o in some} for some in (state.proposals, state.objects, state.dismissed))
    assert not waiting & objects and not waiting & dismissed and not objects & dismissed
    proposed = {
        o.id for o in state.objects if o.origin and o.id % PARTS in {e.id for e in events if e.kind == "propose"}
    }
    assert all(o.prompts.is_empty for o in state.objects if o.id in proposed)
    assert {o.class_name for o in (*state.objects, *state.proposals)} <= set(state.classes)


@settings(deadline=None, max_examples=60)
@given(logs())
def test_every_step_equals_what_is_in_force_gone_through_at_once(events: list[Event]) -> None:
    followed = History()
    for event in events:
        followed.follow(event)
        assert same(followed.state(), reduce(followed.done))
        assert [e.id for e in followed.done] == sorted(e.id for e in followed.done)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from("aaadcrmiuuUR"), st.sampled_from([None, "b"])), max_size=25))
def test_scenes_are_followed_as_if_each_were_alone_but_for_the_classes(steps: list[tuple[str, str | None]]) -> None:
    """Letters: accept, delete, new class, rename, merge classes, import with a class; undo, of any action; redo."""
    followed, count = History(), 0
    for number, (step, scene) in enumerate(steps, start=1):
        state = followed.state(scene)
        objects, names = [o.id for o in state.objects], list(state.classes)
        own = {} if scene is None else {"scene": scene}
        place = shapely.box(5 * number, 0, 5 * number + 8, 10)
        if step == "a":
            kind, data = "accept", accept_data("water", place, Prompts(), Window(0, 0, 224, 224), 0.5, 0) | own
        elif step == "d" and objects:
            kind, data = "delete", {"objects": objects[:1]} | own
        elif step == "c":
            kind, data = "class", {"name": f"class {number}", "colour": "#123456"}
        elif step == "r" and names:
            kind, data = "rename_class", {"old": names[0], "new": f"name {number}"}
        elif step == "m" and len(names) > 1:
            kind, data = "merge_classes", {"source": names[0], "target": names[1]}
        elif step == "i":
            found = scored_entry(f"class {number}", place, Window(0, 0, 224, 224), 0.5)
            kind, data = "import", {"found": [found], "classes": {f"class {number}": "#654321"}, "source": ""} | own
        elif step == "u" and state.undoable:
            kind, data = "undo", {"event": state.undoable.id}
        elif step == "U" and followed.done:
            kind, data = "undo", {"event": followed.done[number % len(followed.done)].id}
        elif step == "R" and state.redoable:
            kind, data = "redo", {"event": state.redoable.id}
        else:
            continue
        followed.follow(Event(number, "", "", kind, data))
        for name in (None, "b"):
            assert same(followed.state(name), reduce(followed.done, name))
        assert followed.state(None).classes == followed.state("b").classes
        count += 1
    assert len(followed.done) <= count


def test_more_undos_than_are_kept_go_through_the_log_again() -> None:
    count = KEPT + 20
    events = [accept(i, 40 * i, 0) for i in range(1, count + 1)]
    undos = [Event(count + i, "", "", "undo", {"event": count + 1 - i}) for i in range(1, count + 1)]
    followed = History()
    for event in [*events, *undos[: KEPT + 10]]:
        followed.follow(event)
    assert [o.id for o in followed.state().objects] == list(range(1, 11))
    assert followed.state().redoable.id == 11


def test_an_object_takes_ground_from_those_it_reaches_over_many_cells() -> None:
    small = [accept(i, 600 * i, 10) for i in range(1, 6)]
    wide = Event(
        9, "", "", "accept",
        accept_data("field", shapely.box(0, 0, 4000, 25), Prompts(), Window(0, 0, 224, 224), 0.5, 0),
    )  # fmt: skip
    state = reduce([*small, wide])
    assert [o.geometry.area for o in state.objects] == [30 * 5] * 5 + [4000 * 25]


def test_a_new_object_is_compared_with_few_of_many() -> None:
    rng = np.random.default_rng(0)
    followed = History()
    for i, (col, row) in enumerate(rng.integers(0, 9900, (2000, 2)), start=1):
        followed.follow(accept(i, float(col), float(row)))
    outline = followed.state().objects[0].geometry
    touching = {o.id for o in followed.state().objects if o.geometry.intersects(outline)}
    looked_at = followed._labels[None].nearby.of(outline)
    assert touching <= looked_at and len(looked_at) < 60
