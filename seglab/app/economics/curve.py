"""Accuracy by minutes as a picture: SVG that takes its colours from the page that it is shown on."""

from __future__ import annotations

import html
import math

from seglab.app.economics.accounts import Accounts, RoundPoint

WIDTH, HEIGHT = 320, 180
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 12, 34
"""Margins, for the axes' words."""


def curve_svg(accounts: Accounts) -> str:
    """Accuracy on held-out ground by minutes of labelling, each round with its 95 % interval.

    Args:
        accounts: with one round at least.

    Returns:
        An <svg> element with a title and a description for those who cannot see it; "" without rounds.
    """
    points = accounts.rounds
    if not points:
        return ""
    last = max(p.minutes for p in points)
    step = _step(max(last, 1e-9))
    right = max(step, math.ceil(last / step - 1e-9) * step)

    def x(minutes: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * minutes / right

    def y(accuracy: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - accuracy)

    title = f"{accounts.measure} by minutes of labelling"
    described = "; ".join(_said(p) for p in points)
    path = " ".join(f"{x(p.minutes):.1f},{y(p.accuracy):.1f}" for p in points)
    parts = [
        f'<svg class="seglab-learning-curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" xmlns="http://www.w3.org/2000/svg">',
        f"<title>{html.escape(title)}</title><desc>{html.escape(described)}</desc>",
        '<g fill="currentColor" stroke="none" font-size="10" font-family="sans-serif">',
        *(_level(y(v), v) for v in (0.0, 0.25, 0.5, 0.75, 1.0)),
        *(_minute(x(step * i), step * i) for i in range(round(right / step) + 1)),
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 4}" text-anchor="middle">minutes of labelling</text></g>',
        '<g stroke="currentColor" fill="none" stroke-width="1.5">',
        *(_bar(x(p.minutes), y(p.low), y(p.high)) for p in points if p.low is not None and p.high is not None),
        f'<polyline points="{path}" stroke-width="2"/></g>',
        '<g fill="currentColor" stroke="none">',
        *(f'<circle cx="{x(p.minutes):.1f}" cy="{y(p.accuracy):.1f}" r="3.5"/>' for p in points),
        "</g></svg>",
    ]
    return "".join(parts)


def _said(point: RoundPoint) -> str:
    between = "" if point.low is None else f" ({point.low:.2f} to {point.high:.2f})"
    return f"round {point.round}: {point.accuracy:.2f}{between} after {point.minutes:.1f} min, {point.objects} objects"


def _step(last: float) -> float:
    """Minutes between two ticks: 1, 2 or 5 times a power of ten, at most six of them."""
    power = 10.0 ** math.floor(math.log10(last / 6)) if last > 0 else 1.0
    return next(power * f for f in (1, 2, 5, 10, 20) if power * f * 6 >= last)


def _level(y: float, value: float) -> str:
    line = f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="currentColor" opacity="0.2"/>'
    return f'{line}<text x="{LEFT - 5}" y="{y + 3.5:.1f}" text-anchor="end">{value:.2f}</text>'


def _minute(x: float, minutes: float) -> str:
    return f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 13}" text-anchor="middle">{minutes:g}</text>'


def _bar(x: float, low: float, high: float) -> str:
    ends = "".join(f'<line x1="{x - 3:.1f}" x2="{x + 3:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>' for y in (low, high))
    return f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>{ends}'
