"""Suggested windows as a person meets them: asked for, gone through by keys, done, skipped, their objects reviewed."""

from __future__ import annotations

import re
import threading

import pytest
from shapely.geometry import box

from seglab import jobs
from seglab.active.survey import Suggestion
from seglab.core.windows import Window
from seglab.errors import SuggestionError
from tests.ui.conftest import LAKE

PLACES = ((0, 0), (160, 0), (0, 160), (160, 160))
SIDE = 150


def made(places=PLACES) -> list[Suggestion]:
    windows = [Window(col, row, SIDE, SIDE) for col, row in places]
    return [Suggestion(w, w.polygon, 1 - i / 9, f"reason {i + 1}", {}, "entropy") for i, w in enumerate(windows)]


@pytest.fixture
def offered(labeler, monkeypatch):
    """What the next search finds: a list of suggestions, or an error; the strategies and counts that were asked for."""
    found = {"next": made(), "asked": []}

    def suggested(reporter, count, name, *rest):
        found["asked"].append((count, name))
        if isinstance(found["next"], Exception):
            raise found["next"]
        return found["next"][:count]

    monkeypatch.setattr(labeler.session, "_suggested", suggested)
    return found


@pytest.fixture
def queued(labeler, hand, offered):
    """The labeler with four windows suggested."""
    labeler.command("suggest")
    hand.rest()
    return labeler


def progress(labeler) -> str:
    return re.sub("</?b>", "", labeler.suggesting.bar.progress.value)


def words(labeler) -> str:
    return labeler.suggesting.bar.words.value


def is_shown(widget) -> bool:
    return "seglab-hidden" not in widget._dom_classes


def weights(labeler) -> list[int]:
    """Widths of the light lines: the window that is looked at has the widest."""
    features = labeler.view.suggestions.data["features"]
    return [f["properties"]["style"]["weight"] for f in features if f["properties"]["style"]["color"] == "#ffffff"]


def center(labeler) -> tuple[float, float]:
    x, y = labeler.frame.to_crs(*labeler.view.map.center)
    return labeler.session.grid.to_pixel(x, y, labeler.frame.crs)


def test_one_after_the_other_by_keys(queued) -> None:
    assert is_shown(queued.suggesting.bar) and progress(queued) == "1 of 4" and "Reason 1." in words(queued)
    assert center(queued) == pytest.approx((75, 75), abs=1) and weights(queued) == [2, 2, 2, 3]
    queued.command("suggestion:next")
    assert progress(queued) == "2 of 4" and center(queued) == pytest.approx((235, 75), abs=1)
    queued.command("suggestion:previous")
    queued.command("suggestion:previous")
    assert progress(queued) == "4 of 4"
    queued.suggesting.bar.forward.click()
    queued.command("suggest")  # the next one, too
    assert progress(queued) == "2 of 4"
    queued.session.queue.next()  # what is done in code shows
    assert progress(queued) == "3 of 4"


def test_done_skip_and_undo(queued) -> None:
    queued.command("suggestion:done")
    assert queued.session.reviewed[0].equals(box(0, 0, SIDE, SIDE)) and progress(queued) == "2 of 4"
    assert "3 left" in queued.messages.text and queued.messages.kind == "done"
    queued.suggesting.bar.skip.click()
    assert len(queued.session.state.never_suggest) == 1 and progress(queued) == "3 of 4"
    assert len(weights(queued)) == 2 and "2 of 4 done or skipped" in queued.suggesting.section.note.value
    queued.command("undo")
    assert progress(queued) == "2 of 4" and center(queued) == pytest.approx((235, 75), abs=1)
    for _ in range(3):
        queued.command("suggestion:skip")
    assert "That was the last one" in queued.messages.text and progress(queued) == ""
    assert "All 4 windows are done or skipped; S looks for more." in words(queued) and weights(queued) == []
    assert all(part.disabled for part in queued.suggesting.bar.answers)
    queued.command("suggestion:done")
    assert "No window is suggested now" in queued.messages.text
    queued.suggesting.bar.close_button.click()
    assert not is_shown(queued.suggesting.bar) and queued.suggesting.section.note.value == ""


def test_after_the_last_one_more_are_looked_for(queued, hand, offered) -> None:
    queued.command("suggestion:previous")
    assert progress(queued) == "4 of 4"
    offered["next"] = made(PLACES[:3])
    queued.command("suggest")
    hand.rest()
    assert progress(queued) == "1 of 3"


def test_strategy_and_count_are_chosen_under_more(labeler, hand, offered) -> None:
    section = labeler.suggesting.section
    assert not is_shown(section._more)
    section.more.value = True
    assert is_shown(section._more) and "before any class" in section.meaning.value
    names = [name for _, name in section.strategy.options]
    assert {None, "entropy", "random"} <= set(names) and "reference" not in names
    section.strategy.value, section.count.value = "margin", 3
    assert labeler.session.strategies["margin"][1:] in section.meaning.value
    section.suggest.click()
    hand.rest()
    assert labeler.session.queue.total == 3
    assert offered["asked"] == [(3, "margin")]


def test_empty_states_and_errors_in_words(labeler, hand, offered) -> None:
    offered["next"] = []
    labeler.command("suggest")
    hand.rest()
    assert "nothing to suggest" in labeler.messages.text and not is_shown(labeler.suggesting.bar)
    offered["next"] = SuggestionError("train a round first")
    labeler.command("suggest")
    hand.rest()
    assert labeler.messages.kind == "error" and labeler.messages.text == "train a round first"
    assert not labeler.suggesting.section.suggest.disabled


def test_a_mask_in_hand_is_answered_first(queued, hand) -> None:
    hand.click(*LAKE)
    queued.command("suggestion:done")
    assert "mask in hand" in queued.messages.text and progress(queued) == "1 of 4" and not queued.session.reviewed


def test_a_round_ranks_anew_and_the_place_stays(queued, hand, offered, monkeypatch) -> None:
    queued.command("suggestion:done")
    before = queued.view.map.center
    offered["next"] = made(((160, 160), (160, 0), (300, 200)))
    monkeypatch.setattr(queued.session.queue, "_ranked_by", 7)  # by a round that is in use no more
    queued.session._ledger.tell("round")
    hand.rest()
    assert len(offered["asked"]) == 2
    assert progress(queued) == "2 of 4" and "Reason 2." in words(queued) and queued.view.map.center == before
    windows = [one.window for one in queued.session.queue.suggestions]
    assert windows == [one.window for one in made(((0, 0), (160, 0), (160, 160), (300, 200)))]


def test_a_round_during_a_search_is_followed_after_it(queued, hand, offered, monkeypatch) -> None:
    session, go_on = queued.session, threading.Event()
    suggested = session._suggested

    def held_up(*args):
        assert go_on.wait(30)
        return suggested(*args)

    def by_an_earlier_round(suggestions, current, ranked_by):
        monkeypatch.setattr(session.queue, "_put", put)
        put(suggestions, current, ranked_by + 7)

    put = session.queue._put
    monkeypatch.setattr(session.queue, "_put", by_an_earlier_round)
    monkeypatch.setattr(session, "_suggested", held_up)
    queued.suggesting.section.suggest.click()
    session._ledger.tell("round")  # while it looks around
    assert len(offered["asked"]) == 1
    go_on.set()
    hand.rest()  # the ranking by that round, begun as soon as the search had ended, too
    assert len(offered["asked"]) == 3 and not session.queue.outdated


def test_what_is_being_looked_for_is_said(queued, hand, monkeypatch) -> None:
    session, go_on = queued.session, threading.Event()

    def wait(*args, **options):
        return jobs.start(lambda reporter: go_on.wait(30) and (), title="a job")

    monkeypatch.setattr(session, "find_objects", wait)
    queued.command("suggestion:objects")
    queued.command("suggestion:objects")
    assert "being looked for already" in queued.messages.text and queued.messages.kind == "warning"
    monkeypatch.setattr(session.queue, "fill", wait)
    queued.command("suggestion:previous")  # the last one, after which more are looked for
    queued.command("suggest")
    queued.command("suggest")
    assert "being looked for already" in queued.messages.text
    go_on.set()
    hand.rest()


def test_objects_found_wait_for_the_mask_in_hand(queued, hand, monkeypatch) -> None:
    session, go_on = queued.session, threading.Event()

    def find(within, crs):
        def work(reporter):
            assert go_on.wait(30)
            return session.propose_objects([box(20, 20, 40, 40)], ["water"], origin="a test", crs="pixel")

        return jobs.start(work, title="find objects")

    monkeypatch.setattr(session, "find_objects", find)
    queued.command("suggestion:objects")
    hand.click(*LAKE)
    hand.until(lambda: session.mask is not None, "the mask")
    go_on.set()
    hand.rest()
    assert not queued.review.is_on and "Found 1 object in the window; Shift+O reviews" in queued.messages.text
    queued.command("accept")
    assert len(session.objects) == 1 and len(session.proposals) == 1
    queued.command("suggestion:objects")
    assert queued.review.is_on


def test_objects_in_the_window_are_reviewed_by_keys(queued) -> None:
    outlines = [box(20, 20, 40, 40), box(60, 60, 90, 90), box(300, 20, 320, 40)]
    queued.session.propose_objects(outlines, ["water"] * 3, [0.9, 0.8, 0.7], origin="a test", crs="pixel")
    queued.command("suggestion:objects")
    assert queued.review.is_on and len(queued.review.queue.waiting) == 2 and "In this window" in queued.messages.text
    queued.command("accept")
    queued.command("reject")
    assert [o.class_name for o in queued.session.objects] == ["water"] and len(queued.session.state.dismissed) == 1
    assert "Shift+F marks the window as done" in queued.messages.text
    queued.command("suggestion:done")
    assert not queued.review.is_on and progress(queued) == "2 of 4" and len(queued.session.proposals) == 1
    queued.command("review")  # all of them, as ever
    assert len(queued.review.queue.waiting) == 1


def test_the_model_looks_for_objects_where_none_is_proposed(queued, hand, monkeypatch) -> None:
    asked = {}

    def find(within, crs):
        asked.update(within=within, crs=crs)
        outline = box(20, 20, 40, 40)
        work = lambda r: queued.session.propose_objects([outline], ["water"], origin="a test", crs="pixel")  # noqa: E731
        return jobs.start(work, title="find objects")

    monkeypatch.setattr(queued.session, "find_objects", find)
    queued.suggesting.bar.objects.click()
    hand.rest()
    assert queued.review.is_on and asked["within"].equals(box(0, 0, SIDE, SIDE)) and asked["crs"] == "pixel"


def test_one_bar_at_a_time(queued) -> None:
    queued.checking._turn(True)
    assert not is_shown(queued.suggesting.bar)
    queued.checking._turn(False)
    assert is_shown(queued.suggesting.bar)
