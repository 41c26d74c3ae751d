"""The table of keys: each key once, each command does something, and its words are where they are needed."""

from __future__ import annotations

from collections import Counter

import pytest

from seglab.ui import keys
from seglab.ui.commands import commands
from seglab.ui.help_panel import help_html
from seglab.ui.toolbar import TOOLS


def test_each_key_and_each_name_is_there_once():
    pressed = Counter(key for command in keys.COMMANDS for key in command.keys)
    assert [key for key, count in pressed.items() if count > 1] == []
    names = [command.name for command in keys.COMMANDS]
    assert len(set(names)) == len(names)
    assert len(keys.keyboard_map()) == sum(pressed.values())


def test_every_command_is_reachable_and_every_tool_has_one(labeler):
    assert set(commands(labeler)) == {command.name for command in keys.COMMANDS}
    assert {f"tool:{tool}" for tool in TOOLS} <= set(commands(labeler))
    assert labeler.keyboard.bindings == keys.keyboard_map()


def test_the_keys_that_were_promised():
    found = keys.keyboard_map()
    wanted = {"p": "tool:plus", "m": "tool:minus", "b": "tool:box", "a": "accept", "Enter": "accept", "r": "reject"}
    wanted |= {"Escape": "escape", "n": "candidate", "z": "undo", "y": "redo", "Ctrl+z": "undo", "Ctrl+Shift+z": "redo"}
    wanted |= {"s": "suggest", "[": "suggestion:previous", "]": "suggestion:next", "h": "home", "Delete": "delete"}
    wanted |= {"?": "help", **{str(n): f"class:{n}" for n in range(1, 10)}}
    assert wanted.items() <= found.items()


@pytest.mark.parametrize(
    ("key", "said"),
    [("a", "A"), ("Escape", "Esc"), ("Ctrl+Shift+z", "Ctrl+Shift+Z"), ("+", "+"), ("?", "?"), ("[", "[")],
)
def test_keys_as_they_stand_on_the_keyboard(key, said):
    assert keys.label(key) == said


def test_help_has_every_command(labeler):
    text = help_html()
    for command in keys.COMMANDS:
        if not command.name.startswith("class:"):
            assert command.words.replace("'", "&#x27;") in text
        assert command.group in text
    assert "Right click" in text


def test_tooltips_say_the_key(labeler):
    bar = labeler.toolbar
    assert bar.accept.tooltip.endswith("(A)") and bar.undo.tooltip.endswith("(Z)")
    assert all(toggle.tooltip.endswith(f"({keys.keys_of(f'tool:{name}')})") for name, toggle in bar.tools.items())
    assert labeler.model.retrain.tooltip.endswith("(Shift+R)")


def test_help_opens_and_escape_closes_it_before_anything_else(labeler, hand):
    hand.click(60, 70)
    labeler.command("help")
    assert labeler.help.is_open and "seglab-hidden" not in labeler.help._dom_classes
    labeler.command("escape")
    assert not labeler.help.is_open and labeler.session.mask is not None
    labeler.command("escape")
    assert labeler.session.mask is None
    labeler.toolbar.help.click()
    labeler.help.close_button.click()
    assert not labeler.help.is_open


def test_commands_do_what_the_buttons_do(labeler, hand):
    for tool in TOOLS:
        labeler.command(f"tool:{tool}")
        assert labeler.toolbar.tool == labeler.strokes.tool == labeler.page.tool == tool
    labeler.command("tool:plus")
    hand.click(60, 70)
    labeler.command("candidate")
    labeler.command("class:2")
    labeler.command("class:9")  # there is none: nothing changes
    labeler.command("accept")
    assert [o.class_name for o in labeler.session.objects] == ["field"]
    labeler.command("undo")
    assert not labeler.session.objects
    labeler.command("redo")
    assert len(labeler.session.objects) == 1
    labeler.command("objects")
    assert labeler.tabs.chosen == "Objects"


def test_errors_of_a_command_show(labeler):
    labeler.command("accept")
    assert labeler.messages.kind == "error" and "no mask" in labeler.messages.text
    labeler.command("candidate")  # without a mask there is nothing to go on to
    labeler.command("suggestion:next")


def test_the_page_sends_commands(labeler):
    labeler.keyboard._handle_custom_msg({"command": "tool:box"}, [])
    assert labeler.toolbar.tool == "box"


def test_sizes(labeler):
    labeler.command("tool:brush")
    assert "seglab-hidden" not in labeler.toolbar.size._dom_classes
    before = labeler.strokes.size
    labeler.command("larger")
    assert labeler.strokes.size > before
    for _ in range(20):
        labeler.command("smaller")
    assert labeler.strokes.size == labeler.toolbar.size.options[0]
    labeler.command("tool:plus")
    assert "seglab-hidden" in labeler.toolbar.size._dom_classes
