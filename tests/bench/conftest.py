"""The browser tests' fixtures, for what is measured in a page."""

from tests.browser.conftest import browser, chromium, jupyter, labs, page, playwright

__all__ = ["browser", "chromium", "jupyter", "labs", "page", "playwright"]
