"""How far two annotators agree, in words and as a table."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import numpy as np

from seglab.app.annotators.annotators import Merged
from seglab.app.annotators.disputes import FIRST, SECOND, UNSURE, Comparison, Dispute
from seglab.core.agreement import MATCH, STRENGTHS, strength
from seglab.ui.label_layer import line_style
from seglab.ui.panels import faint

LISTED = 200
"""Disputes that the table names, at most."""
ANSWERED = {FIRST: "{first} is right", SECOND: "{second} is right", UNSURE: "unsure"}
"""An answer in words."""


def summary_html(compared: Comparison) -> str:
    """What the two agree on, in a few sentences."""
    found = compared.agreement
    first, second = (html.escape(side.name) for side in (compared.first, compared.second))
    same = f"{len(found.agreed) or 'none'} {'is' if len(found.agreed) == 1 else 'are'} the same"
    words = (
        f"<b>{first}</b> and <b>{second}</b>: <b>{kappa_words(found.kappa)}</b> over the whole scene; "
        f"{kappa_words(found.kappa_of_labelled)} on ground that both have labelled. Of {found.counts[0]} "
        f"and {found.counts[1]} objects, {same} (F1 {figure(found.f1)}); mean IoU by class {figure(found.mean_iou)}."
    )
    return f"<p>{words}</p>"


def kappa_words(value: float) -> str:
    """A kappa with its name: "κ 0.83, almost perfect"."""
    return f"κ {figure(value)}, {strength(value)}" if strength(value) else "κ not defined"


def figure(value: float) -> str:
    """Two decimals; a dash where there is no value."""
    return "–" if np.isnan(value) else f"{value:.2f}"


def table_html(compared: Comparison, classes: Mapping[str, str]) -> str:
    """The classes one by one.

    Args:
        compared: what is shown.
        classes: colour '#rrggbb' by name, of the project.
    """
    first, second = (html.escape(side.name) for side in (compared.first, compared.second))
    hectares = compared.hectares
    unit, digits = ("ha", 2) if hectares is not None else ("px", 0)
    head = (
        "<tr><th rowspan=2>Class</th><th rowspan=2>IoU</th><th rowspan=2>κ</th><th rowspan=2></th>"
        f"<th colspan=3>Objects</th><th colspan=3>Area, {unit}</th></tr>"
        f"<tr>{2 * f'<th>in both</th><th>only {first}</th><th>only {second}</th>'}</tr>"
    )
    rows = []
    for name, one in compared.agreement.by_class.items():
        area = one.pixels if hectares is None else hectares[name]
        areas = (area[2], area[0] - area[2], area[1] - area[2])
        cells = [figure(one.iou), figure(one.kappa), strength(one.kappa), *map(str, one.objects)]
        cells += [f"{max(value, 0.0):,.{digits}f}" for value in areas]
        line = "".join(f"<td>{cell}</td>" for cell in cells)
        rows.append(f"<tr><td>{_swatch(name, classes)}{html.escape(name)}</td>{line}</tr>")
    return f'<table class="seglab-agreement">{head}{"".join(rows)}</table>'


def _swatch(name: str, classes: Mapping[str, str]) -> str:
    if name not in classes:
        return ""
    style = f"--seglab-colour: {classes[name]}; --seglab-line: {line_style(list(classes).index(name))}"
    return f'<span class="seglab-swatch" style="{style}"></span>'


def meaning_html() -> str:
    """What the figures mean."""
    names = ", ".join(f"{name} up to {bound:g}" for bound, name in STRENGTHS)
    return faint(
        f"κ (Cohen's kappa) is agreement beyond chance: {names} (Landis and Koch 1977). Ground that nobody has "
        "labelled counts as agreed upon; a class's κ sets it against all else. Objects are the same if they have the "
        f"same class and an IoU of at least {MATCH:g}."
    )


def disputes_html(compared: Comparison, settled: Mapping[str, str]) -> str:
    """What they dispute, with the answers that there are.

    Args:
        compared: what is shown.
        settled: answers by `Dispute.key`.
    """
    names = {"first": compared.first.name, "second": compared.second.name}
    rows = []
    for one in compared.disputes[:LISTED]:
        answer = settled.get(one.key)
        said = "open" if answer is None else "✓ " + ANSWERED[answer].format(**names)
        rows.append(f"<tr><td>{one.id}</td><td>{html.escape(one.words)}</td><td>{html.escape(said)}</td></tr>")
    more = len(compared.disputes) - LISTED
    rest = faint(f"and {more} more") if more > 0 else ""
    return f'<table class="seglab-agreement seglab-disputes">{"".join(rows)}</table>{rest}' if rows else ""


def disputes_words(disputes: Sequence[Dispute], count: int) -> str:
    """How many disputes there are, and how many of them are open."""
    if not count:
        return "They dispute nothing."
    done = count - len(disputes)
    return f"{count} dispute{'' if count == 1 else 's'}, {'all' if done == count else done or 'none'} settled."


def merge_words(plan: Merged, name: str) -> str:
    """What a merge is going to do."""
    parts = [f"{objects(plan.added)} of {name} {'comes' if plan.added == 1 else 'come'} in"]
    if plan.marked:
        parts.append(f"{plan.marked} of yours {'becomes' if plan.marked == 1 else 'become'} unsure")
    if plan.removed:
        parts.append(f"{plan.removed} of yours {'is' if plan.removed == 1 else 'are'} removed")
    if len(parts) == 1:
        parts.append("yours stay as they are")
    return f"{', '.join(parts)}."


def objects(count: int) -> str:
    """ "1 object", "2 objects"."""
    return f"{count} object{'' if count == 1 else 's'}"
