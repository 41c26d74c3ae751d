"""The scenes of the project: which one is labelled, the next one, and one more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ipywidgets as widgets

from seglab.errors import SceneNotFoundError
from seglab.ui.keys import tip
from seglab.ui.panels import faint, row, section
from seglab.ui.toolbar import button, set_shown

if TYPE_CHECKING:
    from seglab.app.project.kept_view import KeptView
    from seglab.ui.labeler import Labeler


class SceneChooser(widgets.VBox):
    """The scenes with their counts, and the way to the next one; not to be seen where there is one.

    Args:
        on_choose: called with a name.
        on_step: called with -1 or 1.
    """

    def __init__(self, on_choose: Callable[[str], None], on_step: Callable[[int], None]) -> None:
        self._on_choose = on_choose
        self._following = False
        self.title = widgets.HTML()
        self.names = widgets.Dropdown(tooltip="The scene that is labelled; objects are counted")
        self.names.observe(lambda change: self._chosen(change["new"]), names=["value"])
        self.previous = button("", "chevron-left", tip("Previous scene", "scene:previous"), lambda: on_step(-1))
        self.next = button("", "chevron-right", tip("Next scene", "scene:next"), lambda: on_step(1))
        chooser = section("Scene", row(self.previous, self.names, self.next), self.title)
        super().__init__([chooser])
        self.add_class("seglab-scenes")

    def show(self, scenes: Mapping[str, int], current: str) -> None:
        """Show the scenes.

        Args:
            scenes: how many objects each has, by name.
            current: the one that is labelled.
        """
        set_shown(self, len(scenes) > 1)
        names = list(scenes)
        self._following = True
        options = [(f"{name} ({count})", name) for name, count in scenes.items()]
        if list(self.names.options) != options:
            self.names.options = options
        self.names.value = current
        self._following = False
        labelled = sum(count > 0 for count in scenes.values())
        self.title.value = faint(f"{names.index(current) + 1} of {len(names)}; {labelled} with objects.")

    def _chosen(self, name: str) -> None:
        if not self._following:
            self._on_choose(name)


class SceneAdder:
    """A section that adds a scene to the project.

    Args:
        on_add: called with a path or URL.
    """

    def __init__(self, on_add: Callable[[str], None]) -> None:
        self.path = widgets.Text(
            placeholder="next.tif",
            tooltip="Path or URL of a scene with the same bands; its place, CRS and resolution may be others",
            continuous_update=False,
        )
        add = button("Add", "plus", "Label that scene in this project too", lambda: on_add(self.path.value.strip()))
        self.note = widgets.HTML()
        self.section = section("Scenes", row(self.path, add), self.note)

    def show(self, scenes: Mapping[str, int]) -> None:
        """Say how many scenes there are, and how many objects they have together."""
        count, objects = len(scenes), sum(scenes.values())
        words = f"{count} scenes with {objects} object{'' if objects == 1 else 's'} share classes and rounds."
        self.note.value = faint(words if count > 1 else "Others share the classes and the rounds of this one.")


@dataclass(frozen=True)
class InHand:
    """What a person takes along from one scene to the next."""

    view: KeptView
    """Tool, class, what is hidden and how masks are tidied; not the place."""
    tab: str
    look: str
    """Title of the imagery's look."""
    previews: bool


class Scenes:
    """Handlers of the chooser and of the field for one more.

    Args:
        app: the labeler.
    """

    def __init__(self, app: Labeler) -> None:
        self._app = app
        self.chooser = SceneChooser(self.choose, self.step)
        self.adder = SceneAdder(self.add)

    def refresh(self) -> None:
        """Show the counts."""
        session = self._app.session
        scenes = session.scenes
        self.chooser.show(scenes, session.scene_name)
        self.adder.show(scenes)

    def choose(self, name: str) -> None:
        """Label another scene; jobs of the one before go on."""
        app = self._app
        with app.messages:
            if name != app.session.scene_name:
                try:
                    app.show_scene(app.session.open_scene(name))
                finally:
                    app.scenes.refresh()  # the scene that is shown, if that one cannot be opened
                count = len(app.session.objects)
                app.messages.show(f"{name}: {count} object{'' if count == 1 else 's'} so far.")

    def step(self, step: int) -> None:
        """Go to the next (1) or the previous (-1) scene."""
        names = list(self._app.session.scenes)
        if len(names) == 1:
            self._app.messages.show("This project has one scene; Project adds others.")
            return
        at = names.index(self._app.session.scene_name)
        self.choose(names[(at + step) % len(names)])

    def add(self, path: str) -> None:
        """Add a scene, and go there."""
        app = self._app
        with app.messages:
            if not path:
                raise SceneNotFoundError("name the scene first: a path or a URL")
            name = app.session.add_scene(path)
            self.adder.path.value = ""
            self.choose(name)

    # -- what comes along

    def in_hand(self) -> InHand:
        """What the person has in hand now."""
        app = self._app
        return InHand(app.project.view_now(), app.tabs.chosen, app.layering.look.title, app.toolbar.preview.value)

    def take_along(self, hand: InHand) -> None:
        """Have the same in hand in this scene."""
        app = self._app
        app.project.take(hand.view)
        app.toolbar.preview.value = hand.previews
        app.tabs.choose(hand.tab)
        if hand.look in app.session.looks and hand.look != app.layering.look.title:
            app.layering.choose_look(app.session.looks[hand.look])
