"""The column beside the map: model, class map, export."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence

import ipywidgets as widgets

from seglab.app.rounds.rounds import Round
from seglab.ui.keys import tip
from seglab.ui.toolbar import button, set_shown


def row(*children: widgets.Widget) -> widgets.HBox:
    """Widgets side by side."""
    made = widgets.HBox(children)
    made.add_class("seglab-row")
    return made


def section(title: str, *children: widgets.Widget) -> widgets.VBox:
    """Widgets below each other, under a heading."""
    made = widgets.VBox([widgets.HTML(f'<span class="seglab-title">{html.escape(title)}</span>'), *children])
    made.add_class("seglab-section")
    return made


def faint(text: str) -> str:
    """Plain text as small print in HTML."""
    return f'<span class="seglab-faint">{html.escape(text)}</span>' if text else ""


def number_field(value: int, least: int, most: int, name: str) -> widgets.BoundedIntText:
    """A field for a whole number. Its name is the tooltip, and is read out; what is seen beside it says less."""
    made = widgets.BoundedIntText(value=value, min=least, max=most, description=name, tooltip=name)
    made.add_class("seglab-number")
    return made


def on_enter(field: widgets.Text, action: Callable[[], None]) -> None:
    """Call `action()` whenever Enter is pressed in a text field."""

    def pressed(_: widgets.Widget, content: Mapping[str, object], buffers: object) -> None:
        if content.get("event") == "submit":
            action()

    field.on_msg(pressed)


class ModelPanel(widgets.VBox):
    """Retrain, the rounds to go back to, and fast students.

    Args:
        on_retrain: start a round.
        on_rollback: called with a round's number.
        on_distill: start a student.
    """

    def __init__(
        self, on_retrain: Callable[[], None], on_rollback: Callable[[int], None], on_distill: Callable[[], None]
    ) -> None:
        self.retrain = button(
            "Retrain",
            "cogs",
            tip("Teach the model what you have accepted; label on meanwhile", "retrain"),
            on_retrain,
            "primary",
        )
        self.retrain.add_class("seglab-wide")
        self.rounds = widgets.Dropdown(options=[("before any round", 0)], tooltip="Rounds of this project; ✓ is in use")
        self.back = button("Use", "history", "Use the model of that round", lambda: on_rollback(self.rounds.value))
        self.distill = button(
            "Teach a fast student",
            "graduation-cap",
            "A small network learns from the model in use what to map, in about twelve minutes. "
            "It maps large scenes many times faster, and answers no clicks",
            on_distill,
        )
        self.distill.add_class("seglab-wide")
        self.note = widgets.HTML()
        self.rounds.observe(lambda _: self._describe_chosen(), names=["value"])
        self._current = 0
        self._has_labels = True
        self._rounds: dict[int, Round] = {}
        self._previewing = False
        super().__init__(
            [section("Model", row(self.retrain), row(self.rounds, self.back), self.note, row(self.distill))]
        )

    def show(
        self, rounds: Sequence[Round], current: int, has_labels: bool, is_training: bool, previewing: bool
    ) -> None:
        """Show the rounds and which is in use.

        Args:
            rounds: of the project.
            current: the round in use.
            has_labels: whether there is anything to learn from.
            is_training: whether a round or a student is being trained.
            previewing: whether a first impression of the next round is in use.
        """
        self._has_labels = has_labels
        self._rounds = {r.number: r for r in rounds}
        self._previewing = previewing
        options = [("As delivered", 0), *((self._describe(r), r.number) for r in rounds)]
        marked = [(f"✓ {text}" if number == current else text, number) for text, number in options]
        self._current = current
        if list(self.rounds.options) != marked:
            self.rounds.options = marked
        self.rounds.value = current
        self.retrain.disabled = self.distill.disabled = not has_labels or is_training
        self._describe_chosen()

    def _describe_chosen(self) -> None:
        """What is known of the round that is selected, and whether it can be put in use."""
        chosen = self.rounds.value
        self.back.disabled = chosen == self._current or (chosen in self._rounds and self._rounds[chosen].is_student)
        if self._previewing:
            self.note.value = faint("A quick preview of the next round is in use while it trains.")
        elif chosen in self._rounds:
            self.note.value = faint(self._rounds[chosen].verdict)
        elif not self._has_labels:
            self.note.value = faint("Accept some objects first: a round learns from them.")
        else:
            self.note.value = ""

    @staticmethod
    def _describe(round_: Round) -> str:
        objects = round_.card.get("objects")
        worse = ", worse" if round_.worse else ""
        kind = "Student" if round_.is_student else "Round"
        return f"{kind} {round_.number}: {objects} object{'' if objects == 1 else 's'}{worse}"


MODEL_IN_USE = ("by the model in use", None)
"""What maps where no student does: what it is called, and its number."""


class MapPanel(widgets.VBox):
    """Map the scene. How its class map is shown is a matter of the layers.

    Args:
        on_predict: start mapping; called with the number of the student that shall do it, None for the model in use.
    """

    def __init__(self, on_predict: Callable[[int | None], None]) -> None:
        self.predict = button(
            "Map the scene",
            "map",
            tip("Let the model map the whole scene into a file", "predict"),
            self.map,
            "primary",
        )
        self.predict.add_class("seglab-wide")
        self._on_predict = on_predict
        self._students: list[int] | None = None
        self.mapper = widgets.Dropdown(options=[MODEL_IN_USE], tooltip="What maps: the model in use, or a fast student")
        self.choice = row(self.mapper)
        self.note = widgets.HTML()
        super().__init__([section("Class map", row(self.predict), self.choice, self.note)])
        set_shown(self.choice, False)

    def map(self) -> None:
        """Map the scene with what is chosen."""
        self._on_predict(self.mapper.value)

    def show_students(self, numbers: Sequence[int]) -> None:
        """Offer the project's students as mappers; a new one is chosen.

        Args:
            numbers: of their rounds, oldest first.
        """
        if list(numbers) != self._students:
            new = [] if self._students is None else [n for n in numbers if n not in self._students]
            chosen = new[-1] if new else self.mapper.value
            self.mapper.options = [MODEL_IN_USE, *((f"by student {number}, fast", number) for number in numbers)]
            self.mapper.value = chosen if chosen in numbers else None
            self._students = list(numbers)
        set_shown(self.choice, bool(numbers))

    def show(self, round_number: int | None, current: int, knows_classes: bool, is_mapping: bool) -> None:
        """Show which map there is.

        Args:
            round_number: of the model that made it, a round or a student; None: there is none.
            current: round in use.
            knows_classes: whether the model has been shown what to map.
            is_mapping: whether a map is being made.
        """
        self.predict.disabled = not knows_classes or is_mapping
        if not knows_classes:
            self.note.value = faint("Accept an object first: the map looks for what is like it.")
        elif round_number is None:
            self.note.value = faint("Not mapped yet.")
        elif round_number in (self._students or ()):
            self.note.value = faint(f"Made by student {round_number}.")
        elif round_number == current:
            self.note.value = faint("Up to date with the model in use.")
        else:
            self.note.value = faint(f"Made by round {round_number}; the model in use is round {current}.")


EXPORTS = {
    "labels": ("Labels", ".gpkg", "The suffix decides: .gpkg, .parquet, .fgb, .geojson, .tif"),
    "map": ("Class map", ".gpkg", "The regions of the map as polygons: .gpkg, .parquet, .fgb, .geojson"),
    "chips": ("Training chips", "", "A new folder: imagery, masks and COCO JSON in chips, split by area"),
}
"""What can be exported: its title, the suffix it is offered with, and what the name may be."""


class ExportPanel(widgets.VBox):
    """Write labels, the class map or chips to files.

    Args:
        scene: added to the names that are offered; "" where there is one scene.
        on_export: called with a key of EXPORTS and a file name.
    """

    def __init__(self, scene: str, on_export: Callable[[str, str], None]) -> None:
        self._scene = scene
        self._on_export = on_export
        self._can: dict[str, bool] = {}
        titles = [(title, kind) for kind, (title, _, _) in EXPORTS.items()]
        self.kind = widgets.Dropdown(options=titles, tooltip="What is written")
        self.file = widgets.Text(continuous_update=False)
        self.export = button("Export", "download", tip("Write it to that file", "export"), self.write)
        super().__init__([section("Export", row(self.kind), row(self.file, self.export))])
        self.kind.observe(self._offer, names=["value"])
        self._offer()

    def write(self) -> None:
        """Export what is chosen."""
        self._on_export(self.kind.value, self.file.value)

    def show(self, can: Mapping[str, bool]) -> None:
        """Enable the button when there is something to export.

        Args:
            can: whether there is, by key of EXPORTS.
        """
        self._can = dict(can)
        self.export.disabled = not self._can.get(self.kind.value, False)

    def _offer(self, _: object = None) -> None:
        """Offer a name for what is chosen."""
        _, suffix, names = EXPORTS[self.kind.value]
        self.file.value = "_".join(filter(None, (self.kind.value, self._scene))) + suffix
        self.file.tooltip = names
        self.show(self._can)


class SideTabs(widgets.VBox):
    """Shows one of several columns at a time, below a row of tabs.

    Args:
        columns: what each tab shows, by its title.
        on_choose: called after another one is shown.
    """

    def __init__(self, columns: dict[str, widgets.Widget], on_choose: Callable[[], None]) -> None:
        self._columns = columns
        self._on_choose = on_choose
        self._switching = False
        self.tabs = {
            title: widgets.ToggleButton(description=title, tooltip=f"Show: {title.lower()}") for title in columns
        }
        for title, tab in self.tabs.items():
            tab.add_class("seglab-tab")
            tab.observe(lambda _, title=title: self.choose(title), names=["value"])
        head = widgets.HBox(list(self.tabs.values()))
        head.add_class("seglab-tabs")
        super().__init__([head, *columns.values()])
        self.add_class("seglab-tabbed")
        self._show(next(iter(columns)))

    def choose(self, title: str) -> None:
        """Show a column."""
        if not self._switching:
            self._show(title)
            self._on_choose()

    def _show(self, title: str) -> None:
        self._switching = True
        self.chosen = title
        for other, column in self._columns.items():
            self.tabs[other].value = other == title
            set_shown(column, other == title)
        self._switching = False

    def next(self) -> None:
        """Show the column after the one that is shown."""
        titles = list(self._columns)
        self.choose(titles[(titles.index(self.chosen) + 1) % len(titles)])
