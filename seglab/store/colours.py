"""Colours of classes, written '#rrggbb'."""

from __future__ import annotations

import re

from seglab.errors import WriteError

_HEX = re.compile(r"#[0-9a-fA-F]{6}")


def parse_colour(text: str) -> tuple[int, int, int]:
    """Red, green and blue (0 to 255) of a colour.

    Args:
        text: '#rrggbb'.

    Raises:
        WriteError: It is not written that way.
    """
    if not isinstance(text, str) or not _HEX.fullmatch(text):
        raise WriteError(f"{text!r} is not a colour that can be written to a file: give it as '#rrggbb'")
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
