"""Class colours that colour-blind people can tell apart."""

from __future__ import annotations

from collections.abc import Mapping

PALETTE = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#f0e442", "#8c564b")
"""Okabe and Ito's colours, and brown."""


def next_colour(classes: Mapping[str, str]) -> str:
    """A palette colour that no class has yet, or the palette again from its start.

    Args:
        classes: colour by name.
    """
    unused = [colour for colour in PALETTE if colour not in classes.values()]
    return unused[0] if unused else PALETTE[len(classes) % len(PALETTE)]
