"""A project's log as Python: the calls that lead to the same labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from seglab.app.history.code_opening import opening_lines
from seglab.app.history.code_words import geometry_call, mentioned, model_words, prompt_call, variable
from seglab.app.history.label_events import PARTS, Labels
from seglab.app.history.redraw import LoadRound, Prompt, Redrawn, assumed, redraw_all
from seglab.app.history.state import SHARED, History, history, reduce, scene_of
from seglab.app.labels.labelled import LabelledObject
from seglab.core.prompts import Prompts
from seglab.store.events import Event
from seglab.store.schema import scene_cards

HEAD = """\
# {name}, as Python calls: the same labels in a new project.
# Coordinates are scene pixels (column, row); what was undone is left out.
"""
UNKNOWN = """\
# The log does not tell which of the three masks was chosen, nor when a box was drawn: the best mask is taken and the
# box comes first, so that outlines may differ.
"""


def as_code(
    events: Iterable[Event],
    manifest: Mapping[str, Any],
    project: str | None = None,
    load: LoadRound | None = None,
    elsewhere: Callable[[str], LoadRound] | None = None,
) -> str:
    """The calls that make a project again, from its log.

    Rounds are named in comments, not trained again: a round that is trained again is another round.

    Args:
        events: the project's.
        manifest: the project's.
        project: folder of the new project; "NAME_again.seglab" if None.
        load: gives the model of a round. With it each object is drawn again to find the calls that give its outline;
            where there are none, the outline is painted. None: the likely calls are written, unchecked.
        elsewhere: gives such for another scene than the first, by its name; needed with `load` where there are several.

    Returns:
        A Python program.

    Raises:
        ProjectDamagedError: an event does not hold what its kind needs.
    """
    done, _ = history(events)
    reduce(done)  # says which event is damaged, before any is written
    accepted = accepted_objects(done)
    calls = {o.id: assumed(o.prompts, o.window, e.data.get("candidate", 0)) for e, o in accepted}
    unchecked = load is None and any("candidate" not in e.data and o.prompts.points for e, o in accepted)
    for scene in dict.fromkeys(scene_of(e) for e, _ in accepted) if load is not None else ():
        there = load if scene is None or elsewhere is None else elsewhere(scene)
        calls |= redraw_all([o for e, o in accepted if scene_of(e) == scene and not o.prompts.is_empty], there)
    name = manifest["scene"]["name"]
    body = _Writer(done, calls, load is not None, manifest).lines()
    imports = ["import shapely", ""] if any("shapely." in line for line in body) else []
    head = HEAD.format(name=name) + (UNKNOWN if unchecked else "")
    opening = opening_lines(done, manifest, project or f"{name}_again.seglab")
    return head + "\n".join([*imports, "import seglab", "", *opening, *body, ""])


def accepted_objects(done: Iterable[Event]) -> list[tuple[Event, LabelledObject]]:
    """The objects as they were accepted, before later ones took ground from them, each with its event.

    Args:
        done: events in force.
    """
    accepts = [event for event in done if event.kind == "accept"]
    return [(event, made) for event in accepts for made in reduce([event], scene_of(event)).objects]


class _Writer:
    """Writes events as calls, one after the other; knows what there is when each of them happens."""

    def __init__(
        self, done: list[Event], calls: Mapping[int, Redrawn], checked: bool, manifest: Mapping[str, Any]
    ) -> None:
        self._done = done
        self._calls = calls
        self._checked = checked
        first, *others = scene_cards(manifest)
        self._scenes = {None: first, **{card["name"]: card for card in others}}
        self._scene: str | None = None
        self._named = {i for event in done for i in mentioned(event)}
        self._proposing = {event.id for event in done if event.kind in ("propose", "accept_regions")}
        self._history = History()
        self._scales: dict[str | None, int] = {}
        # a new project begins with the latest date
        self._dates = {scene: max(card.get("dates", ""), default="") for scene, card in self._scenes.items()}

    def lines(self) -> list[str]:
        """All calls; an empty line before each event."""
        found: list[str] = []
        for event in self._done:
            if not event.data.get("initial"):
                there = [] if event.kind in SHARED else self._go_to(scene_of(event), event.data.get("date", ""))
                found += ["", *there, *_WRITERS.get(event.kind, _Writer._no_call)(self, event)]
            self._history.follow(event)
        for scene, card in self._scenes.items():
            if card.get("date", "") != self._dates[scene]:
                found += ["", *self._go_to(scene, card["date"])]
        return found

    @property
    def _labels(self) -> Labels:
        """What there is in the scene, before the event that is written."""
        return self._history.labels(self._scene)

    def _go_to(self, scene: str | None, date: str) -> list[str]:
        """Go to a scene, and take the date into use that something was done on, if that is known."""
        found = []
        if scene != self._scene:
            self._scene = scene
            found.append(f"session = sessions[{list(self._scenes).index(scene)}]  # {self._scenes[scene]['name']}")
        if date not in ("", self._dates[scene]):
            self._dates[scene] = date
            found.append(f"session.use_date({date!r})")
        return found

    # -- objects

    def _accept(self, event: Event) -> list[str]:
        data, calls = event.data, self._calls[event.id]
        lines = [f"# object {event.id}, drawn by {model_words(data['round'])}"]
        outline = shapely.from_wkb(data["geometry"])
        accept = self._assign([event.id], f"session.accept({data['class']!r})")
        before = self._prompts_of(data.get("replaces"))
        if before is not None:
            refine = self._refine(data["replaces"], before, Prompts.from_json(data["prompts"]))
            return [*lines, *refine, *self._exactly(outline), accept]
        if not calls.prompts:
            return [*lines, f'session.paint({geometry_call(outline)}, crs="pixel")', accept]
        if calls.scale != self._scales.get(self._scene, 1):
            self._scales[self._scene] = calls.scale
            lines.append(f"session.scale = {calls.scale}")
        for prompt, choice in zip(calls.prompts, calls.choices, strict=True):
            lines += [prompt_call(prompt), *([f"session.choose({choice})"] if choice else [])]
        why = self._why_painted(data["round"], calls, data.get("drawn", False))
        return [*lines, *([f"# {why}", *self._exactly(outline)] if why else []), accept]

    def _why_painted(self, number: int, calls: Redrawn, drawn: bool) -> str:
        """Why an object's clicks do not give its outline in the new project; "" if they do, as far as is known."""
        if number:
            return f"round {number} is not in the new project, so that the outline it drew is painted"
        if not self._checked and drawn:
            return "its mask was drawn over, or put together from several windows, so that it is painted"
        if not self._checked or calls.exact:
            return ""
        known = calls.problem or ("other settings" if calls.iou is None else f"IoU {calls.iou:.3f}")
        return f"its clicks alone do not give its outline ({known}), so that it is painted"

    def _prompts_of(self, number: int | None) -> Prompts | None:
        """What was clicked for an accepted or proposed object; None where there is none of that number."""
        if number in self._labels.proposals:
            return Prompts()
        found = self._labels.objects.get(number)
        return None if found is None else found.prompts

    def _refine(self, number: int, old: Prompts, prompts: Prompts) -> list[str]:
        """An object taken up again, and what was said of it since."""
        fresh: list[Prompt] = [p for p in prompts.points if p not in old.points]
        if prompts.box is not None and prompts.box != old.box:
            fresh.insert(0, prompts.box)
        return [f"session.refine({self._name(number)})", *map(prompt_call, fresh)]

    def _exactly(self, outline: BaseGeometry) -> list[str]:
        """The current mask made to be an outline."""
        card = self._scenes[self._scene]
        whole = f"shapely.box(0, 0, {card['width']}, {card['height']})"
        return [
            f"outline = {geometry_call(outline)}",
            'session.paint(outline, crs="pixel")',
            f'session.paint({whole} - outline, positive=False, crs="pixel")',
        ]

    def _import(self, event: Event) -> list[str]:
        lines = [f"# imported from {event.data['source']!r}, as it was then", *self._new_classes(event)]
        for number, found in enumerate(event.data["found"]):
            lines.append(f'session.paint({geometry_call(shapely.from_wkb(found["geometry"]))}, crs="pixel")')
            lines.append(self._assign([event.id + number * PARTS], f"session.accept({found['class']!r})"))
        return lines

    def _merge_from(self, event: Event) -> list[str]:
        source = event.data["source"]
        merged, settled = f"labels of {source} merged into these, as they were then", f"a disagreement with {source}"
        lines = [f"# {merged if event.kind == 'merge_from' else settled}", *self._new_classes(event)]
        if event.data["gone"]:
            lines += self._on_objects("delete", event.data["gone"], {})
        for marked in event.data["marked"]:
            said_of_it = {"unsure": marked.get("unsure", True), "note": marked["note"]}
            lines += self._on_objects("edit", [marked["object"]], said_of_it)
        for number, found in enumerate(event.data["found"]):
            made = event.id + number * PARTS
            lines.append(f'session.paint({geometry_call(shapely.from_wkb(found["geometry"]))}, crs="pixel")')
            lines.append(self._assign([made], f"session.accept({found['class']!r})"))
            if found["unsure"] or found["note"]:
                lines.append(f"session.edit({variable(made)}, unsure={found['unsure']!r}, note={found['note']!r})")
        return lines

    def _propose(self, event: Event) -> list[str]:
        data = event.data
        outlines = ", ".join(
            geometry_call(outline) for outline in shapely.from_wkb([one["geometry"] for one in data["found"]])
        )
        call = [
            "session.propose_objects(",
            f"    [{outlines}],",
            f"    {[one['class'] for one in data['found']]},",
            f"    {[one.get('score', 1.0) for one in data['found']]},",
            f"    origin={data['origin']!r},",
            *([f"    instead_of=[{self._names(data['instead_of'])}],"] if "instead_of" in data else []),
            '    crs="pixel",',
            ")",
        ]
        if self._named.intersection(event.id + place * PARTS for place in range(len(data["found"]))):
            call[0] = f"p{event.id} = [p.id for p in {call[0]}"
            call[-1] += "]"
        return [*self._new_classes(event), *call]

    def _accept_regions(self, event: Event) -> list[str]:
        data = event.data
        outlines = [geometry_call(shapely.from_wkb(one["geometry"])) for one in data["found"]]
        call = [
            "session.accept_regions(",
            f"    [{', '.join(outlines)}],",
            f"    {data['class']!r},",
            f"    origin={data['origin']!r},",
            '    crs="pixel",',
            ")",
        ]
        if self._named.intersection(event.id + place * PARTS for place in range(len(outlines))):
            call[0] = f"p{event.id} = [o.id for o in {call[0]}"
            call[-1] += "]"
        return [*self._new_classes(event), *call]

    def _clusters(self, event: Event) -> list[str]:
        return [f"# {event.data['what']}: clusters are looked for anew, by session.propose(); their regions are below"]

    def _confirm(self, event: Event) -> list[str]:
        option = f", class_name={event.data['class']!r}" if "class" in event.data else ""
        return self._answer("confirm", event, option)

    def _dismiss(self, event: Event) -> list[str]:
        return self._answer("dismiss", event, "")

    def _answer(self, method: str, event: Event, option: str) -> list[str]:
        names = self._names(i for i in event.data["objects"] if i in self._labels.proposals)
        return [f"session.{method}({names}{option})" if names else f"# session.{method}: they were answered already"]

    def _new_classes(self, event: Event) -> list[str]:
        there = self._labels.classes
        return [f"session.add_class({n!r}, {c!r})" for n, c in event.data["classes"].items() if n not in there]

    def _edit(self, event: Event) -> list[str]:
        names = {"class": "class_name"}
        changes = {names.get(key, key): value for key, value in event.data.items() if key not in ("objects", "scene")}
        return self._on_objects("edit", event.data["objects"], changes)

    def _by_name(self, event: Event) -> list[str]:
        return self._on_objects(event.kind, event.data["objects"], {})

    def _merge(self, event: Event) -> list[str]:
        (call,) = self._on_objects("merge", event.data["objects"], {"class_name": event.data["class"]})
        return [call if call.startswith("#") else self._assign([event.id], call)]

    def _split(self, event: Event) -> list[str]:
        whole = self._found([event.data["object"]])
        if not whole:
            return self._no_call(event)
        ids = [event.id + number * PARTS for number in range(len(event.data["parts"]))]
        line = event.data.get("line")
        along = "" if line is None else f', {geometry_call(shapely.from_wkb(line))}, crs="pixel"'
        return [self._assign(ids, f"session.split({self._name(whole[0].id)}{along})")]

    def _on_objects(self, method: str, ids: Iterable[int], options: Mapping[str, Any]) -> list[str]:
        found = [self._name(o.id) for o in self._found(ids)]
        if not found:
            return [f"# session.{method}: the objects were gone"]
        return [f"session.{method}({', '.join([*found, *(f'{k}={v!r}' for k, v in options.items())])})"]

    def _found(self, ids: Iterable[int]) -> list[LabelledObject]:
        """Those of the objects that are there."""
        there = {o.id: o for o in self._labels.objects.values()}
        return [there[i] for i in ids if i in there]

    def _name(self, number: int) -> str:
        """What the code calls an object's number: o7, or p9[2] for the third that event 9 proposed."""
        place, event = divmod(number, PARTS)
        return f"p{event}[{place}]" if event in self._proposing else variable(number)

    def _names(self, numbers: Iterable[int]) -> str:
        return ", ".join(self._name(number) for number in numbers)

    def _assign(self, ids: list[int], call: str) -> str:
        """A call that makes objects; those that are named later get variables."""
        if not self._named.intersection(ids):
            return call
        if len(ids) == 1:
            return f"{variable(ids[0])} = {call}.id"
        return f"{', '.join(map(variable, ids))} = (part.id for part in {call})"

    # -- classes, areas, rounds

    def _class(self, event: Event) -> list[str]:
        return [f"session.add_class({event.data['name']!r}, {event.data['colour']!r})"]

    def _rename_class(self, event: Event) -> list[str]:
        return [f"session.rename_class({event.data['old']!r}, {event.data['new']!r})"]

    def _recolour_class(self, event: Event) -> list[str]:
        return [f"session.recolour_class({event.data['name']!r}, {event.data['colour']!r})"]

    def _merge_classes(self, event: Event) -> list[str]:
        return [f"session.merge_classes({event.data['source']!r}, {event.data['target']!r})"]

    def _area(self, event: Event) -> list[str]:
        return [f'session.{event.kind}({geometry_call(shapely.from_wkb(event.data["geometry"]))}, crs="pixel")']

    def _area_of_interest(self, event: Event) -> list[str]:
        outline = event.data["geometry"]
        what = "None" if outline is None else f'{geometry_call(shapely.from_wkb(outline))}, crs="pixel"'
        return [f"session.set_area_of_interest({what})"]

    def _overlaps(self, event: Event) -> list[str]:
        return [f"session.overlaps = {event.data['rule']!r}"]

    def _check(self, event: Event) -> list[str]:
        data = {key: value for key, value in event.data.items() if key != "scene"}
        return ["# a map is checked by a sample that was drawn then", f"session.import_check({data!r})"]

    def _check_answer(self, event: Event) -> list[str]:
        check = self._labels.check
        if check is None or check.id != event.data["check"]:
            return ["# session.answer_check: another check was started before"]
        return [f"session.answer_check({event.data['class']!r}, {event.data['unit']})"]

    def _round(self, event: Event) -> list[str]:
        number = event.data["number"]
        return [
            f"# round {number} was put in use here; training it again makes another round",
            "# session.retrain().result()",
        ]

    def _rollback(self, event: Event) -> list[str]:
        number = event.data["number"]
        return [f"# back to {model_words(number)}", f"# session.rollback({number})"]

    def _no_call(self, event: Event) -> list[str]:
        return [f"# event {event.id}: {event.kind}, which has no call here"]


_WRITERS: Mapping[str, Callable[[_Writer, Event], list[str]]] = {
    "accept": _Writer._accept,
    "import": _Writer._import,
    "merge_from": _Writer._merge_from,
    "settle": _Writer._merge_from,
    "propose": _Writer._propose,
    "accept_regions": _Writer._accept_regions,
    "clusters": _Writer._clusters,
    "confirm": _Writer._confirm,
    "dismiss": _Writer._dismiss,
    "edit": _Writer._edit,
    "keep": _Writer._by_name,
    "delete": _Writer._by_name,
    "merge": _Writer._merge,
    "split": _Writer._split,
    "class": _Writer._class,
    "rename_class": _Writer._rename_class,
    "recolour_class": _Writer._recolour_class,
    "merge_classes": _Writer._merge_classes,
    "review": _Writer._area,
    "never_train": _Writer._area,
    "never_suggest": _Writer._area,
    "area_of_interest": _Writer._area_of_interest,
    "overlaps": _Writer._overlaps,
    "check": _Writer._check,
    "check_answer": _Writer._check_answer,
    "round": _Writer._round,
    "rollback": _Writer._rollback,
}
"""Lines of code for an event, by its kind."""
