"""What a person looked at last, kept beside a project's log: it is no labelling, so it is no event."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seglab.app.project.looks import Look
from seglab.core.stretch import Stretch
from seglab.errors import WriteError
from seglab.store import atomic

VIEW_NAME = "view.json"
"""In the project's folder."""
QUIET = 1.0
"""Seconds without a change after which a view is written."""


@dataclass(frozen=True)
class KeptLayer:
    """How a layer of the map was shown."""

    pane: str
    visible: bool
    opacity: float
    """0 to 1."""


@dataclass(frozen=True)
class KeptDivider:
    """The divider between two layers."""

    is_on: bool
    left: str
    right: str
    """What was only seen on each side."""
    position: float
    """A share of the map's width."""


@dataclass(frozen=True)
class KeptView:
    """How the labeler was left."""

    center: tuple[float, float] | None = None
    """(latitude, longitude) of the map's centre; (-row, column) on a plain map."""
    zoom: float | None = None
    tool: str = "plus"
    class_name: str | None = None
    """The class in hand."""
    hidden: tuple[str, ...] = ()
    """Classes that are not drawn."""
    tidy: tuple[tuple[str, float], ...] = ()
    """How masks were tidied on accepting: names of `Tidy` and their values."""
    date: str = ""
    """Of the imagery that was seen; empty where the source has no time axis."""
    look: Look | None = None
    """What the imagery showed; without limits of the stretch where its percentiles give them."""
    layers: tuple[KeptLayer, ...] = ()
    divider: KeptDivider | None = None
    basemap: str = ""
    """Name of the map below the scene; empty for none."""

    @classmethod
    def from_json(cls, value: Any) -> KeptView:
        """A view as `to_json` gives it.

        Raises:
            KeyError, TypeError, ValueError: it is not one.
        """
        center = value["center"]
        if center is not None:
            center = (_number(center[0]), _number(center[1]))
        return cls(
            center,
            None if value["zoom"] is None else _number(value["zoom"]),
            _text(value["tool"]),
            None if value["class_name"] is None else _text(value["class_name"]),
            tuple(map(_text, value["hidden"])),
            tuple((_text(name), _number(size)) for name, size in value["tidy"]),
            _text(value.get("date", "")),
            _look(value.get("look")),
            tuple(
                KeptLayer(_text(one["pane"]), bool(one["visible"]), _share(one["opacity"]))
                for one in value.get("layers", ())
            ),
            _divider(value.get("divider")),
            _text(value.get("basemap", "")),
        )

    def to_json(self) -> dict[str, Any]:
        """A value for JSON."""
        return asdict(self)


class ViewFile:
    """Keeps the latest view of a project; of two notebooks, who looks around last wins.

    A view is not worth an error: where it cannot be read or written, `problem` says so and the work goes on.

    Args:
        folder: the project's.
        on_problem: called when there is another problem than before; may be called from another thread.
        quiet: seconds without a change before a view is written.
    """

    def __init__(self, folder: Path, on_problem: Callable[[], None] = lambda: None, quiet: float = QUIET) -> None:
        self.path = folder / VIEW_NAME
        self.problem: str | None = None
        self._on_problem = on_problem
        self._quiet = quiet
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._waiting: KeptView | None = None
        self._timer: threading.Timer | None = None

    def read(self) -> KeptView | None:
        """The view that was kept; None where there is none, or none that can be used."""
        with self._lock:
            if self._waiting is not None:
                return self._waiting
        try:
            return KeptView.from_json(json.loads(self.path.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, KeyError, IndexError, TypeError, ValueError) as error:
            self._fail(
                f"{VIEW_NAME} cannot be read ({error!r}), so that the map shows the whole scene; it is written anew "
                "as you go on"
            )
            return None

    def keep(self, view: KeptView) -> None:
        """Write a view as soon as there has been no other one for a moment."""
        with self._lock:
            self._waiting = view
            if self._timer is not None:
                self._timer.cancel()
            self._timer = threading.Timer(self._quiet, copy_context().run, (self.write,))
            self._timer.daemon = True
            self._timer.start()

    def write(self) -> None:
        """Write what waits to be written, now."""
        with self._writing:
            with self._lock:  # nobody who looks around waits for the disk
                if self._timer is not None:
                    self._timer.cancel()
                view, self._waiting, self._timer = self._waiting, None, None
            if view is None:
                return
            try:
                atomic.write_bytes(self.path, json.dumps(view.to_json()).encode())
                self.problem = None
            except WriteError as error:
                self._fail(f"the view will not be there when the project is opened again: {error}")

    def _fail(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            self._on_problem()


def _look(value: Any) -> Look | None:
    if value is None:
        return None
    limits = value["stretch"]
    stretch = None if limits is None else Stretch(*(tuple(map(_number, limits[end])) for end in ("low", "high")))
    low, high = map(_number, value["percentiles"])
    ramp = None if value["ramp"] is None else _text(value["ramp"])
    return Look(_text(value["title"]), tuple(map(int, value["bands"])), ramp, (low, high), stretch)


def _divider(value: Any) -> KeptDivider | None:
    if value is None:
        return None
    sides = _text(value["left"]), _text(value["right"])
    return KeptDivider(bool(value["is_on"]), *sides, _share(value["position"]))


def _share(value: Any) -> float:
    return min(max(_number(value), 0.0), 1.0)


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not a number of a view")
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a name")
    return value
