"""What a log says of time, clicks and what they have brought."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import shapely

from seglab.app.economics.accounts import accounts_of
from seglab.app.economics.curve import curve_svg
from seglab.app.economics.effort import Clock, effort_of
from seglab.app.history.state import History
from seglab.app.rounds.rounds import Round
from seglab.evaluation.learning_curves import expected_gain
from seglab.store.events import Event

START = datetime(2026, 5, 1, 8, 0, tzinfo=UTC)
WINDOW = [0, 0, 64, 64, 1]
OUTLINE = shapely.to_wkb(shapely.box(0, 0, 4, 4), hex=True)
PROMPTS = {
    "clicks": {"points": [[1, 1, 1], [2, 2, 0]], "box": None},
    "box": {"points": [[1, 1, 1]], "box": [0, 0, 4, 4]},
    "drawn": {"points": [], "box": None},
}


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def accept(number: int, seconds: float, way: str = "clicks", author: str = "ada", name: str = "roof") -> Event:
    place = shapely.to_wkb(shapely.box(10 * number, 0, 10 * number + 4, 4), hex=True)
    data = {"class": name, "geometry": place, "prompts": PROMPTS[way], "window": WINDOW, "iou": 0.9, "round": 0}
    return Event(number, at(seconds), author, "accept", data | {"candidate": 0, "drawn": False})


def class_event(number: int, name: str, initial: bool = True) -> Event:
    return Event(number, at(0), "ada", "class", {"name": name, "colour": "#112233", "initial": initial})


def objects_of(events: list[Event]):
    history = History()
    for event in events:
        history.follow(event)
    return history.state().objects


def begun() -> list[Event]:
    return [class_event(0, "roof"), class_event(1, "tree")]


def test_time_is_between_actions_and_breaks_are_left_out():
    events = [*begun(), accept(2, 10), accept(3, 18), accept(4, 500), accept(5, 530)]
    effort = effort_of(events, objects_of(events), Clock(events))
    assert [cost.seconds for cost in effort.costs] == [None, 8, None, 30]
    assert (effort.minutes, effort.breaks) == (38 / 60, 1)


def test_jobs_that_end_are_no_actions_of_a_person():
    ended = Event(3, at(15), "ada", "held_out", {"geometry": OUTLINE, "side": 64})
    events = [*begun(), accept(2, 10), ended, accept(4, 20)]
    assert effort_of(events, objects_of(events), Clock(events)).costs[1].seconds == 10


def test_two_people_work_at_the_same_time():
    events = [*begun(), accept(2, 0), accept(3, 1, author="bob"), accept(4, 20), accept(5, 31, author="bob")]
    effort = effort_of(events, objects_of(events), Clock(events))
    assert [cost.seconds for cost in effort.costs] == [None, None, 20, 30]
    assert effort.minutes == pytest.approx(50 / 60)


def test_ways_clicks_and_means_by_class():
    found = {"class": "tree", "geometry": OUTLINE, "window": WINDOW, "score": 0.8}
    elsewhere = shapely.to_wkb(shapely.box(0, 20, 4, 24), hex=True)
    data = {"classes": {}, "found": [found, found | {"geometry": elsewhere}], "origin": "map", "round": 0}
    events = [
        *begun(), accept(2, 0), accept(3, 6, "box"), accept(4, 16, "drawn"), Event(5, at(18), "ada", "propose", data),
    ]  # fmt: skip
    proposed = [5, 5 + (objects_after_propose(events) - 5)]
    events.append(Event(6, at(22), "ada", "confirm", {"objects": proposed}))
    effort = effort_of(events, objects_of(events), Clock(events))
    assert [(c.way, c.clicks, c.seconds) for c in effort.costs] == [
        ("clicks", 2, None), ("box", 2, 6), ("drawn", 0, 10), ("proposed", 0, 2), ("proposed", 0, 2),
    ]  # fmt: skip
    table = effort.by("class_name")
    assert table.loc["roof", ["objects", "clicks", "seconds"]].tolist() == [3, 4 / 3, 8]
    assert table.loc["tree", "seconds"] == 2
    assert effort.by("way").loc["proposed", "objects"] == 2


def objects_after_propose(events: list[Event]) -> int:
    history = History()
    for event in events:
        history.follow(event)
    return history.state().proposals[1].id


def test_what_was_undone_costs_time_and_makes_no_object():
    events = [*begun(), accept(2, 0), accept(3, 10), Event(4, at(14), "ada", "undo", {"event": 3})]
    effort = effort_of(events, objects_of(events), Clock(events))
    assert ([c.object for c in effort.costs], effort.minutes) == ([2], 14 / 60)


def rounds_and_events(accuracies: list[tuple[float, float]]) -> tuple[list[Round], list[Event]]:
    """Rounds of (mean, half width), each begun after a minute more of labelling, 6 objects each, and trained 30 s."""
    events, rounds = begun(), []
    for number, (mean, half) in enumerate(accuracies, start=1):
        for _ in range(6):
            events.append(accept(len(events), 10 * (len([e for e in events if e.kind == "accept"]))))
        last = datetime.fromisoformat(events[-1].time)
        ended = (last + timedelta(seconds=30)).isoformat()
        events.append(Event(len(events), ended, "ada", "round", {"number": number}))
        figures = {"iou_at_1_click": [mean, mean - half, mean + half]}
        card = {"objects": 6 * number, "seconds": 30, "validation": {"verdict": "better", "round": figures}}
        rounds.append(Round(number, number - 1, card))
    return rounds, events


def test_rounds_lie_at_the_minutes_worked_before_them():
    rounds, events = rounds_and_events([(0.5, 0.05), (0.6, 0.05), (0.64, 0.05)])
    accounts = accounts_of(events, (), rounds)
    assert [p.minutes for p in accounts.rounds] == pytest.approx([50 / 60, 110 / 60, 170 / 60])
    assert [p.accuracy for p in accounts.rounds] == [0.5, 0.6, 0.64]
    assert accounts.measure == "IoU at one click"
    outlook = accounts.outlook
    expected = expected_gain([p.minutes for p in accounts.rounds], [0.5, 0.6, 0.64], [0.1 / 3.92] * 3, 1.0)
    assert outlook.minutes == pytest.approx(1.0)
    assert outlook.gain.mean == pytest.approx(expected.mean, abs=1e-6)
    assert outlook.resolution == pytest.approx(0.05)


def test_it_says_when_to_stop_and_when_to_go_on():
    rounds, events = rounds_and_events([(0.6, 0.04), (0.605, 0.04), (0.607, 0.04)])
    assert "You may stop" in accounts_of(events, (), rounds).advice
    rounds, events = rounds_and_events([(0.2, 0.002), (0.4, 0.002), (0.55, 0.002)])
    assert "go on" in accounts_of(events, (), rounds).advice
    assert "Two rounds" in accounts_of(events, (), rounds[:1]).advice


def test_rounds_that_were_not_taken_or_not_judged_are_no_points():
    rounds, events = rounds_and_events([(0.5, 0.05), (0.6, 0.05)])
    rounds.append(Round(3, 2, {"objects": 20, "seconds": 1, "validation": None}))
    rounds.append(Round(4, 2, rounds[0].card))  # no event: worse, so that it was not put in use
    assert [p.round for p in accounts_of(events, (), rounds).rounds] == [1, 2]


def test_the_curve_can_be_read_and_heard():
    rounds, events = rounds_and_events([(0.5, 0.05), (0.6, 0.05)])
    svg = curve_svg(accounts_of(events, (), rounds))
    assert svg.count("<circle") == 2
    assert "round 2: 0.60 (0.55 to 0.65) after 1.8 min, 12 objects" in svg
    assert curve_svg(accounts_of(begun(), (), [])) == ""
