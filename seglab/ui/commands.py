"""What each command of `keys.COMMANDS` does in a labeler."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from seglab.app.annotators.disputes import FIRST, SECOND, UNSURE
from seglab.app.maps.map_check import BACKGROUND_NAME
from seglab.ui.keys import CLASS_KEYS, keys_of
from seglab.ui.toolbar import TOOLS

if TYPE_CHECKING:
    from seglab.ui.labeler import Labeler

Action = Callable[[], None]
SIDES = (FIRST, SECOND)
"""Who is right in a dispute, by the digit that says so."""


STAY = ("undo", "redo", "home", "look", "date:previous", "date:next", "swipe", "escape", "connection", "help", "check")
"""Commands that do while a map is checked what they do at other times."""


def commands(app: Labeler) -> dict[str, Action]:
    """The action of every command, by its name."""
    checking = _while_checking(app)

    def choose(name: str, action: Action) -> Action:
        return lambda: checking.get(name, app.checking.refuses)() if app.checking.is_on else action()

    return {name: action if name in STAY else choose(name, action) for name, action in _usual(app).items()}


def _while_checking(app: Labeler) -> dict[str, Action]:
    """What keys do while a map is checked."""
    return {
        **{f"class:{n}": partial(app.checking.answer_number, n) for n in range(1, CLASS_KEYS + 1)},
        "background": partial(app.checking.answer, BACKGROUND_NAME),
        "unsure": partial(app.checking.answer, None),
        "candidate": partial(app.checking.step, 1),
        "review:back": partial(app.checking.step, -1),
    }


def _usual(app: Labeler) -> dict[str, Action]:
    """What keys do at other times."""
    return {
        **{f"tool:{name}": partial(app.toolbar.choose, name) for name in TOOLS},
        **{f"class:{n}": partial(_class, app, n) for n in range(1, CLASS_KEYS + 1)},
        "smaller": partial(app.toolbar.resize, -1),
        "larger": partial(app.toolbar.resize, 1),
        "accept": _doubt(app, app.second_look.keep, _answer(app, app.review.confirm, _accept(app))),
        "reject": _answer(app, app.review.dismiss, app.labelling.reject),
        "escape": partial(_escape, app),
        "candidate": _settle(
            app,
            partial(app.settling.step, 1),
            _doubt(
                app,
                partial(app.second_look.step, 1),
                _answer(app, partial(app.review.step, 1), app.labelling.next_candidate),
            ),
        ),
        "preview": app.toolbar.toggle_preview,
        "undo": app.labelling.undo,
        "redo": app.labelling.redo,
        "objects": app.tabs.next,
        "review": app.review.toggle,
        "review:back": _settle(
            app,
            partial(app.settling.step, -1),
            _doubt(app, partial(app.second_look.step, -1), partial(app.review.step, -1)),
        ),
        "second_look": app.second_look.toggle,
        "check": app.checking.toggle,
        "clusters": app.clusters.toggle,
        "background": lambda: app.messages.show(f"0 answers 'background' in a check ({keys_of('check')})."),
        "delete": _answer(app, app.review.dismiss, app.object_editing.delete),
        "unsure": _settle(app, partial(app.settling.answer, UNSURE), app.object_editing.mark_unsure),
        "refine": _answer(app, app.review.refine, app.object_editing.refine),
        "split": app.object_editing.split,
        "merge": app.object_editing.merge,
        "alike": app.object_editing.find_alike,
        "scene:next": partial(app.scenes.step, 1),
        "scene:previous": partial(app.scenes.step, -1),
        "home": app.view.fly_home,
        "place": app.project.ask_for_place,
        "code": app.project.copy_code,
        "labels": app.layering.toggle_labels,
        "look": app.layering.next_look,
        "date:previous": partial(app.dating.step, -1),
        "date:next": partial(app.dating.step, 1),
        "date:use": app.dating.use,
        "swipe": app.layering.toggle_swipe,
        "suggest": app.suggesting.suggest_or_step,
        "suggestion:previous": partial(app.suggesting.step, -1),
        "suggestion:next": partial(app.suggesting.step, 1),
        "suggestion:done": app.suggesting.done,
        "suggestion:skip": app.suggesting.skip,
        "suggestion:objects": app.suggesting.objects,
        "retrain": app.work.retrain,
        "predict": app.maps.map,
        "export": app.export.write,
        "connection": app.connection.panel.toggle,
        "help": app.help.toggle,
    }


def _answer(app: Labeler, review: Action, otherwise: Action) -> Action:
    """What a key does while proposed objects are reviewed and no mask is being drawn, and what it does else."""
    return lambda: review() if app.review.answers else otherwise()


def _accept(app: Labeler) -> Action:
    """Label a cluster that is chosen on the map, else keep the mask."""
    return lambda: app.clusters.accept() if app.clusters.answers else app.labelling.accept()


def _settle(app: Labeler, settling: Action, otherwise: Action) -> Action:
    """What a key does while disputes are settled and no mask is being drawn, and what it does else."""
    return lambda: settling() if app.settling.answers else otherwise()


def _doubt(app: Labeler, second_look: Action, otherwise: Action) -> Action:
    """What a key does while labels in doubt are looked at and no mask is being drawn, and what it does else."""
    return lambda: second_look() if app.second_look.answers else otherwise()


def _class(app: Labeler, number: int) -> None:
    """Who is right in a dispute, or another class for the object that is looked at; else a class in hand."""
    if app.settling.answers:
        if number <= len(SIDES):
            app.settling.answer(SIDES[number - 1])
    elif app.review.answers:
        app.review.choose_number(number)
    elif app.second_look.answers:
        app.second_look.choose_number(number)
    else:
        app.classes.choose_number(number)


def _escape(app: Labeler) -> None:
    """Closes what lies over the map first, then drops the mask, then ends the check, the disputes or the review."""
    session = app.session
    sheets = [sheet for sheet in app.sheets if sheet.is_open]
    for sheet in sheets:
        sheet.show(False)
    if sheets:
        return
    going_on = next((one for one in (app.settling, app.review, app.second_look) if one.is_on), None)
    if app.checking.is_on:
        app.checking.end()
    elif app.clusters.picks and session.mask is None and session.prompts.is_empty:
        app.clusters.end()
    elif going_on is not None and session.mask is None and session.prompts.is_empty:
        going_on.end()
    else:
        app.labelling.reject()
