"""Finding objects one by one in the whole scene."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import ipywidgets as widgets

from seglab.ui.panels import faint, row, section
from seglab.ui.toolbar import button

EVERY_CLASS = ("all classes", "")
"""What the chooser offers beside the classes, and what it stands for."""


class FindPanel(widgets.VBox):
    """Find objects: roofs, fields, crowns, each by itself.

    Args:
        on_find: called with a class, None for every class.
    """

    def __init__(self, on_find: Callable[[str | None], None]) -> None:
        self.of_class = widgets.Dropdown(options=[EVERY_CLASS], tooltip="Whose objects are looked for")
        self.find = button(
            "Find objects",
            "search",
            "Look through the whole scene, or its area of interest, for objects one by one: roofs, fields, crowns. "
            "They are proposed for review; nothing is accepted yet",
            lambda: on_find(self.of_class.value or None),
        )
        self.note = widgets.HTML()
        super().__init__([section("Objects", row(self.of_class, self.find), self.note)])

    def show(self, classes: Sequence[str], knows_classes: bool, is_busy: bool) -> None:
        """Offer the classes, and the button where it can do something.

        Args:
            classes: of the project.
            knows_classes: whether the model has been shown what to look for.
            is_busy: whether a job looks through the scene.
        """
        options = [EVERY_CLASS, *((f"of {name}", name) for name in classes)]
        if list(self.of_class.options) != options:
            chosen = self.of_class.value
            self.of_class.options = options
            self.of_class.value = chosen if chosen in classes else EVERY_CLASS[1]
        self.find.disabled = not knows_classes or is_busy
        self.note.value = "" if knows_classes else faint("Accept an object first: others like it are looked for.")
