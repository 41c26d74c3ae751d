"""Fixtures of the benchmarks: the browser tests', and lines to print."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.browser.conftest import browser, chromium, jupyter, labs, page, playwright

__all__ = ["browser", "chromium", "jupyter", "labs", "page", "playwright"]


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    """Lines that tests add; printed at the end."""
    lines: list[str] = []
    yield lines
    sys.stdout.write("\n" + "\n".join(lines) + "\n")
