"""The column beside the map: classes, model, class map, suggestions, export."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence

import ipywidgets as widgets

from seglab.app.rounds import Round
from seglab.ui.map_view import line_style
from seglab.ui.toolbar import button


def _row(*children: widgets.Widget) -> widgets.HBox:
    made = widgets.HBox(children)
    made.add_class("seglab-row")
    return made


def _section(title: str, *children: widgets.Widget) -> widgets.VBox:
    made = widgets.VBox([widgets.HTML(f'<span class="seglab-title">{html.escape(title)}</span>'), *children])
    made.add_class("seglab-section")
    return made


def _faint(text: str) -> str:
    return f'<span class="seglab-faint">{html.escape(text)}</span>' if text else ""


class ClassPanel(widgets.VBox):
    """The classes with colour, outline and count; the chosen one is what Accept uses.

    Args:
        on_choose: called with a class's name.
        on_add: called with a new class's name.
    """

    def __init__(self, on_choose: Callable[[str], None], on_add: Callable[[str], None]) -> None:
        self._on_choose, self._on_add = on_choose, on_add
        self.chosen: str | None = None
        """The class in hand."""
        self.toggles: dict[str, widgets.ToggleButton] = {}
        self._switching = False
        self._colours = widgets.HTML()
        self._list = widgets.VBox()
        self._list.add_class("seglab-classes")
        self.name = widgets.Text(placeholder="New class", tooltip="Name of a new class; Enter adds it")
        self.name.on_msg(self._pressed)
        self.add = button("", "plus", "Add a class of that name", self._add)
        self._colours.add_class("seglab-hidden")
        super().__init__([_section("Class", self._list, _row(self.name, self.add)), self._colours])

    def show(self, classes: Mapping[str, str], counts: Mapping[str, int]) -> None:
        """Show the classes.

        Args:
            classes: colour '#rrggbb' by name, in order.
            counts: accepted objects by name.
        """
        if list(self.toggles) != list(classes):
            self._rebuild(classes)
        for name, toggle in self.toggles.items():
            count = counts.get(name, 0)
            toggle.description = f"{name}  ({count})"
            toggle.tooltip = f"Label objects as {name!r}; {count} accepted so far"
        if self.chosen not in classes:
            self.choose(next(iter(classes), None))

    def _rebuild(self, classes: Mapping[str, str]) -> None:
        rules = []
        for toggle in self.toggles.values():
            toggle.close()
        self.toggles = {}
        for index, (name, colour) in enumerate(classes.items()):
            toggle = widgets.ToggleButton(value=name == self.chosen)
            toggle.add_class("seglab-class")
            toggle.add_class(f"seglab-class-{index}")
            toggle.observe(lambda _, name=name: self.choose(name), names=["value"])
            self.toggles[name] = toggle
            rules.append(f".seglab-class-{index} {{--seglab-colour: {colour}; --seglab-line: {line_style(index)}}}")
        self._colours.value = f"<style>{' '.join(rules)}</style>"
        self._list.children = tuple(self.toggles.values())

    def choose(self, name: str | None) -> None:
        """Take a class in hand: exactly one is at any time."""
        if self._switching:
            return
        self._switching = True
        self.chosen = name
        for other, toggle in self.toggles.items():
            toggle.value = other == name
        self._switching = False
        if name is not None:
            self._on_choose(name)

    def _pressed(self, _: widgets.Widget, content: Mapping[str, object], buffers: object) -> None:
        if content.get("event") == "submit":  # Enter
            self._add()

    def _add(self) -> None:
        self._on_add(self.name.value)


class ModelPanel(widgets.VBox):
    """Retrain, and the rounds to go back to.

    Args:
        on_retrain: start a round.
        on_rollback: called with a round's number.
    """

    def __init__(self, on_retrain: Callable[[], None], on_rollback: Callable[[int], None]) -> None:
        self.retrain = button(
            "Retrain", "cogs", "Teach the model what you have accepted; you can go on labelling", on_retrain, "primary"
        )
        self.retrain.add_class("seglab-wide")
        self.rounds = widgets.Dropdown(options=[("before any round", 0)], tooltip="Rounds of this project; ✓ is in use")
        self.back = button("Use", "history", "Use the model of that round", lambda: on_rollback(self.rounds.value))
        self.note = widgets.HTML()
        self.rounds.observe(lambda _: self._describe_chosen(), names=["value"])
        self._current = 0
        self._rounds: dict[int, Round] = {}
        self._previewing = False
        super().__init__([_section("Model", _row(self.retrain), _row(self.rounds, self.back), self.note)])

    def show(self, rounds: Sequence[Round], current: int, can_train: bool, previewing: bool) -> None:
        """Show the rounds and which is in use.

        Args:
            rounds: of the project.
            current: the round in use.
            can_train: whether a round can be started.
            previewing: whether a first impression of the next round is in use.
        """
        self._rounds = {r.number: r for r in rounds}
        self._previewing = previewing
        options = [("As delivered", 0), *((self._describe(r), r.number) for r in rounds)]
        marked = [(f"✓ {text}" if number == current else text, number) for text, number in options]
        self._current = current
        if list(self.rounds.options) != marked:
            self.rounds.options = marked
        self.rounds.value = current
        self.retrain.disabled = not can_train
        self._describe_chosen()

    def _describe_chosen(self) -> None:
        """What is known of the round that is selected, and whether it can be put in use."""
        chosen = self.rounds.value
        self.back.disabled = chosen == self._current
        if self._previewing:
            self.note.value = _faint("A quick preview of the next round is in use while it trains.")
        elif chosen in self._rounds:
            self.note.value = _faint(self._rounds[chosen].verdict)
        else:
            self.note.value = ""

    @staticmethod
    def _describe(round_: Round) -> str:
        objects = round_.card.get("objects")
        worse = ", worse" if round_.worse else ""
        return f"Round {round_.number}: {objects} object{'' if objects == 1 else 's'}{worse}"


class MapPanel(widgets.VBox):
    """Map the scene, and how its class map is shown.

    Args:
        on_predict: start mapping.
        on_look: called with (visible, opacity 0 to 1).
    """

    def __init__(self, on_predict: Callable[[], None], on_look: Callable[[bool, float], None]) -> None:
        self.predict = button(
            "Map the scene", "map", "Let the model map the whole scene into a file", on_predict, "primary"
        )
        self.predict.add_class("seglab-wide")
        self.visible = widgets.ToggleButton(value=True, icon="eye", tooltip="Show or hide the class map")
        self.opacity = widgets.FloatSlider(
            value=0.6, min=0, max=1, step=0.05, readout=False, tooltip="Opacity of the class map"
        )
        self.opacity.layout.width = "auto"
        self.opacity.layout.flex = "1 1 0"
        self.note = widgets.HTML()
        look = lambda _: on_look(self.visible.value, self.opacity.value)  # noqa: E731
        self.visible.observe(look, names=["value"])
        self.opacity.observe(look, names=["value"])
        self._look = _row(self.visible, self.opacity)
        super().__init__([_section("Class map", _row(self.predict), self._look, self.note)])

    def show(self, round_number: int | None, current: int, can_predict: bool) -> None:
        """Show which map there is.

        Args:
            round_number: of the model that made it; None: there is none.
            current: round in use.
            can_predict: whether mapping is possible.
        """
        self.predict.disabled = not can_predict
        self.visible.disabled = self.opacity.disabled = round_number is None
        if round_number is None:
            self.note.value = _faint("Not mapped yet.")
        elif round_number == current:
            self.note.value = _faint("Up to date with the model in use.")
        else:
            self.note.value = _faint(f"Made by round {round_number}; the model in use is round {current}.")


class SuggestPanel(widgets.VBox):
    """Where to label next.

    Args:
        on_suggest: ask.
        on_step: called with -1 or 1.
    """

    def __init__(self, on_suggest: Callable[[], None], on_step: Callable[[int], None]) -> None:
        self.suggest = button("Suggest", "lightbulb-o", "Find windows where a label helps most", on_suggest)
        self.suggest.add_class("seglab-wide")
        self.previous = button("", "chevron-left", "Go to the previous suggestion", lambda: on_step(-1))
        self.next = button("", "chevron-right", "Go to the next suggestion", lambda: on_step(1))
        self.reason = widgets.HTML()
        super().__init__([_section("Where next", _row(self.suggest, self.previous, self.next), self.reason)])
        self.show(None, 0, "")

    def show(self, current: int | None, count: int, reason: str) -> None:
        """Show one of the suggestions in words; None for none."""
        self.previous.disabled = self.next.disabled = count < 2
        text = "" if current is None else f"{current + 1} of {count}: {reason}"
        self.reason.value = _faint(text)


class ExportPanel(widgets.VBox):
    """Write the labels to a file.

    Args:
        on_export: called with a file name.
    """

    def __init__(self, on_export: Callable[[str], None]) -> None:
        self.file = widgets.Text(value="labels.gpkg", tooltip="The suffix decides: .gpkg, .geojson, .tif")
        self.export = button("Export", "download", "Write the labels to that file", lambda: on_export(self.file.value))
        super().__init__([_section("Export", _row(self.file, self.export))])

    def show(self, can_export: bool) -> None:
        """Enable the button when there is something to export."""
        self.export.disabled = not can_export
