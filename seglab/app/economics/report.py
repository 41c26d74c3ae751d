"""A project as one page of HTML that needs no other file: what was labelled, what it cost, and how good models are."""

from __future__ import annotations

import html
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from types import MappingProxyType
from typing import Any

from seglab.app.economics.accounts import Accounts, accounts_of
from seglab.app.economics.curve import curve_svg
from seglab.app.economics.effort import BREAK_S, WAYS
from seglab.app.history.chronicle import Chronicle
from seglab.app.history.label_events import ALLOWED
from seglab.app.history.state import State
from seglab.app.labels.measuring import Areas
from seglab.app.maps.map_checking import remarks_on
from seglab.app.project.scene_cards import grid_of
from seglab.app.rounds.rounds import Round
from seglab.errors import MapCheckError
from seglab.store.project import Project
from seglab.store.schema import scene_cards

Cells = Sequence[Any]

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; margin: .5rem 0 1.2rem; }
th, td { padding: .25rem .8rem .25rem 0; text-align: right; }
th:first-child, td:first-child { text-align: left; } td.text { text-align: left; }
thead th { border-bottom: 1px solid currentColor; font-weight: 600; }
tbody th { font-weight: normal; } .chip { display: inline-block; width: .8em; height: .8em; margin-right: .5em; }
.seglab-learning-curve { width: 100%; max-width: 36rem; height: auto; } .note { opacity: .75; }
"""
SETTINGS = ("model", "adapter", "adapt_from", "bands", "extra_bands", "stretch")
"""What a report repeats of a project's manifest."""
PACKAGES = ("seglab", "torch", "segment-anything", "rasterio")


def project_accounts(project: Project, chronicle: Chronicle) -> Accounts:
    """The accounts of a project, of all its scenes.

    Args:
        project: the folder.
        chronicle: its log, followed.
    """
    objects = [o for labels in chronicle.history.by_scene.values() for o in labels.objects.values()]
    return accounts_of(project.events(), objects, _rounds(project))


def report_of(project: Project, chronicle: Chronicle, in_doubt: Mapping[str, int] = MappingProxyType({})) -> str:
    """The page.

    Args:
        project: the folder; only read.
        chronicle: its log, followed.
        in_doubt: how many labels a second look has found that nobody has answered yet, by scene.

    Raises:
        ProjectDamagedError: the manifest lacks something.
    """
    accounts = project_accounts(project, chronicle)
    states = {name: chronicle.history.state(scene) for name, scene in project.scenes.items()}
    name = project.folder.stem
    parts = [
        f"<h1>{_text(name)}</h1><p class='note'>{_text(_made())}</p>",
        _section("Labels", *(_labels(c, states[c["name"]], in_doubt) for c in scene_cards(project.manifest))),
        _section("What they cost", *_effort(accounts)),
        _section("Rounds", *_learning(accounts, _rounds(project))),
        _section("Checks of maps", *_checks(project, states)),
        _section("Settings", _settings(project)),
    ]
    head = f"<meta charset='utf-8'><title>{_text(name)}</title><style>{STYLE}</style>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def _rounds(project: Project) -> list[Round]:
    return [Round(card["round"], card["parent"], card) for card in project.rounds()]


def _made() -> str:
    return f"made on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by seglab {version('seglab')}"


def _labels(card: dict[str, Any], state: State, in_doubt: Mapping[str, int]) -> str:
    areas = Areas(grid_of(card)).table(state.objects, state.classes, state.overlaps == ALLOWED)
    rows = []
    for name, row in areas.iterrows():
        chip = f"<span class='chip' style='background:{_text(state.classes[name])}'></span>"
        rows.append((_Raw(chip + _text(name)), int(row["objects"]), _number(row["hectares"], 2), int(row["pixels"])))
    unsure, waiting = sum(o.unsure for o in state.objects), len(state.proposals)
    notes = [f"extents reviewed: {len(state.reviewed)}"]
    notes += [f"objects marked unsure: {unsure}"] if unsure else []
    kept, doubts = sum(o.kept for o in state.objects), in_doubt.get(card["name"])
    notes += [f"labels that rounds contradict: {doubts}"] if doubts is not None else []
    notes += [f"labels kept after a second look: {kept}"] if kept else []
    notes += [f"proposals that wait for an answer: {waiting}"] if waiting else []
    return (
        f"<h3>{_text(card['name'])}</h3>"
        + _table(("class", "objects", "hectares", "pixels"), rows)
        + f"<p class='note'>{_text('; '.join(notes))}.</p>"
    )


def _effort(accounts: Accounts) -> Iterable[str]:
    yield f"<p>{_text(accounts.spent)}</p>"
    head = ("objects", "clicks", "seconds", "95 % interval")
    for part, title in (("class_name", "class"), ("way", "made how")):
        rows = [
            (
                WAYS.get(str(name), name),
                int(row["objects"]),
                _number(row["clicks"], 1),
                _number(row["seconds"], 1),
                _between(row["seconds_low"], row["seconds_high"], 1),
            )
            for name, row in accounts.effort.by(part).iterrows()
        ]
        if rows:
            yield _table((title, *head), rows)
    breaks = accounts.effort.breaks
    yield (
        f"<p class='note'>Means for one object that was made here and is still there. Time is that between a person's "
        f"actions; gaps of {BREAK_S:.0f} s and more count as breaks ({breaks} were left out).</p>"
    )


def _learning(accounts: Accounts, rounds: Sequence[Round]) -> Iterable[str]:
    if not rounds:
        yield "<p>No round was trained yet.</p>"
        return
    yield curve_svg(accounts)
    points = {p.round: p for p in accounts.rounds}
    rows = []
    for one in rounds:
        point = points.get(one.number)
        figures = ("–", "–") if point is None else (_number(point.minutes, 1), _number(point.accuracy, 3))
        between = "–" if point is None else _between(point.low, point.high, 3)
        rows.append((one.number, one.card.get("objects", "–"), *figures, between, _Said(one.verdict)))
    yield _table(("round", "objects", "minutes", accounts.measure, "95 % interval", "verdict"), rows)
    yield f"<p>{_text(accounts.advice)}</p>"


def _checks(project: Project, states: dict[str, State]) -> Iterable[str]:
    for name, state in states.items():
        if state.check is None:
            continue
        yield f"<h3>{_text(name)}</h3>"
        try:
            yield state.check.estimate(remarks_on(state, project))._repr_html_()
        except MapCheckError as error:
            yield f"<p>{_text(error)}</p>"
    if all(state.check is None for state in states.values()):
        yield "<p>No map was checked by a sample.</p>"


def _settings(project: Project) -> str:
    manifest = project.manifest
    rows = [(key.replace("_", " "), _Said(manifest[key])) for key in SETTINGS if key in manifest]
    rows += [(name, _Said(version(name))) for name in PACKAGES]
    rows.append(("python", _Said(platform.python_version())))
    return _table(("", ""), rows)


class _Raw(str):
    """HTML already."""


class _Said(str):
    """A cell of words, which stand on the left."""

    def __new__(cls, value: Any) -> _Said:
        return super().__new__(cls, str(value))


def _section(title: str, *parts: str) -> str:
    return f"<h2>{_text(title)}</h2>{''.join(parts)}"


def _table(head: Cells, rows: Iterable[Cells]) -> str:
    titles = "".join(f"<th scope='col'>{_text(name)}</th>" for name in head)
    top = f"<thead><tr>{titles}</tr></thead>" if any(head) else ""
    lines = "".join(
        f"<tr><th scope='row'>{_cell(row[0])}</th>"
        + "".join(f"<td{' class=text' if isinstance(value, _Said) else ''}>{_cell(value)}</td>" for value in row[1:])
        + "</tr>"
        for row in rows
    )
    return f"<table>{top}<tbody>{lines}</tbody></table>"


def _cell(value: Any) -> str:
    return str(value) if isinstance(value, _Raw) else _text(value)


def _text(value: Any) -> str:
    return html.escape(str(value))


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None or value != value else f"{value:.{digits}f}"


def _between(low: float | None, high: float | None, digits: int) -> str:
    return "–" if low is None or low != low else f"{_number(low, digits)} to {_number(high, digits)}"
