"""Going through the log event by event leads where going through what is in force at once leads."""

from __future__ import annotations

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from seglab.app.label_events import accept_data
from seglab.app.state import KEPT, History, State, history, reduce
from seglab.core.prompts import Prompts
from seglab.core.windows import Window
from seglab.store.events import Event

CLASSES = ("water", "field")


def accept(number: int, col: float, row: float, name: str = "water", replaces: int | None = None) -> Event:
    outline = shapely.MultiPolygon([shapely.box(col, row, col + 30, row + 20)])
    data = accept_data(name, outline, Prompts(), Window(0, 0, 224, 224), 0.5, 0, replaces)
    return Event(number, "", "", "accept", data)


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    """Accepts, edits and class changes at few places, so that they meet, with undo and redo in between."""
    events = [Event(1, "", "", "class", {"name": name, "colour": "#123456", "initial": True}) for name in CLASSES[:1]]
    for number in range(2, draw(st.integers(3, 25))):
        done, undone = history(events)
        objects = [o.id for o in reduce(events).objects]
        kind = draw(st.sampled_from(["accept", "accept", "undo", "redo", "delete", "edit", "merge", "split", "rename"]))
        some = draw(st.lists(st.sampled_from(objects), min_size=1, max_size=2, unique=True)) if objects else []
        if kind == "undo" and len(done) > 1:
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
            events.append(accept(number, col, row, replaces=some[0] if some and kind == "edit" else None))
    return events


def same(one: State, other: State) -> bool:
    return (one.classes, one.objects, one.renamed, one.round) == (
        other.classes, other.objects, other.renamed, other.round,
    )  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(logs())
def test_every_step_equals_what_is_in_force_gone_through_at_once(events: list[Event]) -> None:
    followed = History()
    for event in events:
        followed.follow(event)
        assert same(followed.state(), reduce(followed.done))
        assert [e.id for e in followed.done] == sorted(e.id for e in followed.done)


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
    looked_at = followed._labels.nearby.of(outline)
    assert touching <= looked_at and len(looked_at) < 60
