"""`seglab doctor`: what works here, on one screen."""

from __future__ import annotations

import argparse
from typing import Any

from seglab.cli.work import show

NAME_WIDTH = 20


def add_command(commands: Any) -> None:
    """Add the command to the parser's subparsers."""
    summary = "say what works here: packages, device, weights, tiles, and the ways to them"
    parser = commands.add_parser("doctor", help=summary, description=summary)
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from seglab.app.doctor import examine

    report = examine()
    show(report.to_json(), options.json, _format)
    return 0 if report.ok else 1


def _format(report: dict[str, Any]) -> str:
    lines = []
    for check in report["checks"]:
        lines.append(f"{'ok  ' if check['ok'] else 'FAIL'}  {check['name']:<{NAME_WIDTH}}  {check['value']}")
        if not check["ok"]:
            lines.append(f"      -> {check['advice']}")
    lines.append("The page tries to reach the tiles by these routes, in this order:")
    for number, route in enumerate(report["routes"], start=1):
        lines.append(f"  {number}. {route['name']:<12}  {_where(route)}{route['reason']}")
    failed = sum(not check["ok"] for check in report["checks"])
    lines.append(f"{failed} of {len(report['checks'])} checks failed" if failed else "all checks passed")
    return "\n".join(lines)


def _where(route: dict[str, str]) -> str:
    """The address of a route without the layer; nothing where it needs none."""
    return f"{route['url'].split('/TOKEN')[0]}  " if route["url"] else ""
