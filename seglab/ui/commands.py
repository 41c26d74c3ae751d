"""What each command of `keys.COMMANDS` does in a labeler."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from seglab.ui.keys import CLASS_KEYS
from seglab.ui.toolbar import TOOLS

if TYPE_CHECKING:
    from seglab.ui.labeler import Labeler


def commands(app: Labeler) -> dict[str, Callable[[], None]]:
    """The action of every command, by its name."""
    return {
        **{f"tool:{name}": partial(app.toolbar.choose, name) for name in TOOLS},
        **{f"class:{n}": partial(app.classes.choose_number, n) for n in range(1, CLASS_KEYS + 1)},
        "smaller": partial(app.toolbar.resize, -1),
        "larger": partial(app.toolbar.resize, 1),
        "accept": app.labelling.accept,
        "reject": partial(_escape, app),
        "candidate": app.labelling.next_candidate,
        "undo": app.labelling.undo,
        "redo": app.labelling.redo,
        "objects": app.tabs.next,
        "delete": app.object_editing.delete,
        "unsure": app.object_editing.mark_unsure,
        "refine": app.object_editing.refine,
        "split": app.object_editing.split,
        "merge": app.object_editing.merge,
        "home": app.view.fly_home,
        "suggest": app.work.suggest_or_step,
        "suggestion:previous": partial(app.work.step, -1),
        "suggestion:next": partial(app.work.step, 1),
        "retrain": app.work.retrain,
        "predict": app.work.predict,
        "export": lambda: app.work.export(app.export.file.value),
        "connection": app.connection.panel.toggle,
        "help": app.help.toggle,
    }


def _escape(app: Labeler) -> None:
    """Closes what lies over the map first."""
    sheets = [sheet for sheet in (app.help, app.connection.panel) if sheet.is_open]
    for sheet in sheets:
        sheet.show(False)
    if not sheets:
        app.labelling.reject()
