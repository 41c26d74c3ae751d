"""Every key of the labeler and its words: help, tooltips and the page all take them from this table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

NAMED = {
    "PageDown": "PgDn",
    "PageUp": "PgUp",
    "Escape": "Esc",
    "Delete": "Del",
    "Backspace": "⌫",
    "Enter": "Enter",
    "-": "−",
}
"""What the keyboard says where it is not the name that the page gives to a key."""

CLASS_KEYS = 9
"""Classes that a digit takes in hand."""


@dataclass(frozen=True)
class Command:
    """Something a key does."""

    name: str
    """What the page sends."""
    keys: tuple[str, ...]
    """As the page names them: `KeyboardEvent.key`, letters in lower case, after "Ctrl+" and "Shift+"."""
    words: str
    """What it does, for the help."""
    group: str
    """The heading that it stands under in the help."""
    repeats: bool = False
    """Whether holding the key down does it again and again."""


COMMANDS: tuple[Command, ...] = (
    Command("tool:plus", ("p",), "Plus: click what belongs to it", "Tools"),
    Command("tool:minus", ("m",), "Minus: what does not belong", "Tools"),
    Command("tool:box", ("b",), "Box: drag it around", "Tools"),
    Command("tool:scribble", ("c",), "Scribble: many points", "Tools"),
    Command("tool:brush", ("t",), "Brush: paint onto the mask", "Tools"),
    Command("tool:eraser", ("e",), "Eraser: paint away from it", "Tools"),
    Command("tool:polygon", ("g",), "Polygon: click its corners", "Tools"),
    Command("tool:lasso", ("l",), "Lasso: draw around it freehand", "Tools"),
    Command("tool:select", ("x",), "Select: click an accepted object", "Tools"),
    Command("tool:cut", ("v",), "Cut what is selected in two", "Tools"),
    Command("tool:keep_out", ("k",), "Keep out: never train there", "Tools"),
    Command("tool:area", ("Shift+a",), "Area of interest: its corners", "Tools"),
    Command("smaller", ("-",), "Brush and eraser: smaller", "Tools", repeats=True),
    Command("larger", ("+", "="), "Brush and eraser: larger", "Tools", repeats=True),
    Command("accept", ("a", "Enter"), "Accept the mask, or confirm", "The mask"),
    Command("reject", ("r",), "Reject it, or dismiss", "The mask"),
    Command("escape", ("Escape",), "Close, reject or deselect", "The mask"),
    Command("candidate", ("n",), "Next mask, or skip", "The mask"),
    Command("preview", ("d",), "Preview: on, off", "The mask"),
    Command("undo", ("z", "Ctrl+z"), "Undo", "The mask", repeats=True),
    Command("redo", ("y", "Ctrl+Shift+z", "Ctrl+y"), "Redo", "The mask", repeats=True),
    *(
        Command(f"class:{n}", (str(n),), f"Take class {n} in hand", "Classes and objects")
        for n in range(1, CLASS_KEYS + 1)
    ),
    Command("objects", ("i",), "Next of the tabs", "Classes and objects"),
    Command("delete", ("Delete", "Backspace"), "Delete what is selected", "Classes and objects"),
    Command("unsure", ("u",), "Unsure or sure; cannot tell", "Classes and objects"),
    Command("refine", ("f",), "Refine what is selected", "Classes and objects"),
    Command("split", ("o",), "Split into parts, or cut", "Classes and objects"),
    Command("merge", ("j",), "Merge what is selected", "Classes and objects"),
    Command("alike", ("Shift+g",), "Find more like this", "Classes and objects"),
    Command("review", ("q",), "Review proposals, or end it", "Classes and objects"),
    Command("review:back", ("Shift+n",), "Back to the one before", "Classes and objects", repeats=True),
    Command("second_look", ("Shift+u",), "Labels in doubt, or end it", "Classes and objects"),
    Command("check", ("Shift+q",), "Check the map, or end it", "Classes and objects"),
    Command("background", ("0",), "Answer: background", "Classes and objects"),
    Command("clusters", ("Shift+k",), "Choose clusters on the map", "Classes and objects"),
    Command("scene:next", ("PageDown",), "Next scene of the project", "The map and the model"),
    Command("scene:previous", ("PageUp",), "Previous scene", "The map and the model"),
    Command("home", ("h",), "Show the whole scene", "The map and the model"),
    Command("place", ("/",), "Go to a place", "The map and the model"),
    Command("labels", ("Shift+l",), "Show or hide the labels", "The map and the model"),
    Command("look", ("w",), "Next look of the imagery", "The map and the model"),
    Command("date:previous", (",",), "Earlier date", "The map and the model", repeats=True),
    Command("date:next", (".",), "Later date", "The map and the model", repeats=True),
    Command("date:use", ("Shift+d",), "Answer clicks on this date", "The map and the model"),
    Command("swipe", ("Shift+w",), "Divider between two layers", "The map and the model"),
    Command("suggest", ("s",), "Suggest, or the next one", "The map and the model"),
    Command("suggestion:previous", ("[",), "Previous suggestion", "The map and the model", repeats=True),
    Command("suggestion:next", ("]",), "Next suggestion", "The map and the model", repeats=True),
    Command("suggestion:done", ("Shift+f",), "Suggested window: done", "The map and the model"),
    Command("suggestion:skip", ("Shift+x",), "Suggested window: skip", "The map and the model"),
    Command("suggestion:objects", ("Shift+o",), "Review the objects in it", "The map and the model"),
    Command("retrain", ("Shift+r",), "Retrain", "The map and the model"),
    Command("predict", ("Shift+m",), "Map the scene", "The map and the model"),
    Command("export", ("Shift+e",), "Export labels, map or chips", "The map and the model"),
    Command("code", ("Shift+p",), "Copy as Python code", "The map and the model"),
    Command("connection", ("Shift+c",), "How tiles reach the page", "The map and the model"),
    Command("help", ("?",), "This help", "The map and the model"),
)

MOUSE: tuple[tuple[str, str], ...] = (
    ("Left click", "a point, a corner; with the box, the brush and the like, drag"),
    ("Right click", "a minus point, with any tool but Select"),
    ("Alt or Shift + click", "minus; with scribble, polygon and lasso: take away"),
    ("Double click, Enter", "end polygon or area; Esc drops it, ⌫ takes back a corner"),
    ("Drag", "move the map (plus and minus tool)"),
    ("Middle button, arrow keys", "move the map while drawing"),
    ("Wheel", "zoom"),
    ("Ctrl + click", "select an object, or one more, with any tool"),
    ("Click in the list", "go to an object; with Ctrl or Shift, select several"),
)
"""What the mouse does: the gesture, and words for it."""

_BY_NAME = {command.name: command for command in COMMANDS}


def keyboard_map() -> dict[str, str]:
    """The name of the command by key, for the page."""
    return {key: command.name for command in COMMANDS for key in command.keys}


def label(key: str) -> str:
    """A key as it stands on the keyboard: "Ctrl+Shift+z" is "Ctrl+Shift+Z"."""
    *modifiers, last = key.split("+") if len(key) > 1 else [key]
    return "+".join([*modifiers, NAMED.get(last, last.upper() if len(last) == 1 else last)])


def keys_of(name: str) -> str:
    """The first key of a command, as it stands on the keyboard."""
    return label(_BY_NAME[name].keys[0])


def tip(words: str, name: str) -> str:
    """A tooltip with the key that does the same: "Redo (Y)"."""
    return f"{words} ({keys_of(name)})"


def groups() -> dict[str, list[tuple[tuple[str, ...], str]]]:
    """Headings of the help, and below each the keys and words of its commands; the digits are one line."""
    found: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for command in _without_digits(COMMANDS):
        found.setdefault(command.group, []).append((tuple(label(key) for key in command.keys), command.words))
    return found


def _without_digits(commands: Iterable[Command]) -> Iterable[Command]:
    for command in commands:
        if command.name == "class:1":
            yield Command("class", (f"1 – {CLASS_KEYS}",), "Take that class in hand", command.group)
        elif not command.name.startswith("class:"):
            yield command
