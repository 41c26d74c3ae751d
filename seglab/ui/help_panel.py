"""The help: every key, and what the mouse does."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

import ipywidgets as widgets

from seglab.ui.keys import MOUSE, groups
from seglab.ui.sheet import Sheet


def help_html() -> str:
    """The keys in groups, a list each, and the mouse."""
    parts = [_section(title, rows, f"seglab-help-{title.split()[0].lower()}") for title, rows in groups().items()]
    parts.append(_section("The mouse", [((gesture,), words) for gesture, words in MOUSE], "seglab-help-mouse"))
    return f'<div class="seglab-help-columns">{"".join(parts)}</div>'


def _section(title: str, rows: Iterable[tuple[Sequence[str], str]], kind: str = "") -> str:
    lines = []
    for keys, words in rows:
        caps = " ".join(f"<kbd>{html.escape(key)}</kbd>" for key in keys)
        lines.append(f"<li><span>{caps}</span><span>{html.escape(words)}</span></li>")
    return f'<section class="{kind}"><h4>{html.escape(title)}</h4><ul>{"".join(lines)}</ul></section>'


class HelpPanel(Sheet):
    """The keys and the mouse."""

    def __init__(self) -> None:
        super().__init__("Keys and mouse", [widgets.HTML(help_html())])
        self.add_class("seglab-help")
