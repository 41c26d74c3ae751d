"""Label satellite and aerial imagery in a notebook: click, accept, retrain, map the rest.

Names are imported on first use, so that the command line and workers never load widgets.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seglab.app.labels.tidy import Tidy
    from seglab.app.opening import open_session
    from seglab.app.rounds.round_model import RoundModel, load_round
    from seglab.app.session import LabelSession
    from seglab.core.dates import by_date
    from seglab.core.raster import Scene
    from seglab.datasets.examples import example
    from seglab.errors import SegLabError
    from seglab.ui.labeler import Labeler, label

    open = open_session

__version__ = "0.1.0"

_LAZY = {
    "open": ("seglab.app.opening", "open_session"),
    "LabelSession": ("seglab.app.session", "LabelSession"),
    "RoundModel": ("seglab.app.rounds.round_model", "RoundModel"),
    "load_round": ("seglab.app.rounds.round_model", "load_round"),
    "Scene": ("seglab.core.raster", "Scene"),
    "by_date": ("seglab.core.dates", "by_date"),
    "Tidy": ("seglab.app.labels.tidy", "Tidy"),
    "SegLabError": ("seglab.errors", "SegLabError"),
    "example": ("seglab.datasets.examples", "example"),
    "Labeler": ("seglab.ui.labeler", "Labeler"),
    "label": ("seglab.ui.labeler", "label"),
}

__all__ = [
    "LabelSession",
    "Labeler",
    "RoundModel",
    "Scene",
    "SegLabError",
    "Tidy",
    "by_date",
    "example",
    "label",
    "load_round",
    "open",
]


def __getattr__(name: str) -> Any:
    try:
        module, attribute = _LAZY[name]
    except KeyError:
        raise AttributeError(f"module 'seglab' has no attribute {name!r}") from None
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
