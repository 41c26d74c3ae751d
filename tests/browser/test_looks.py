"""How the labeler looks: text that can be read in both themes, and nothing that runs out of its place."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.browser.lab import Lab, screenshot, wait_for, wait_for_tiles
from tests.browser.seen import middle, open_labeler, theme

NOTEBOOK = "looks.ipynb"
LONG = "sparsely vegetated gravel banks along the river"
CELL = f"""
import seglab
from shapely.geometry import box
from seglab.datasets.examples import example

classes = ["water", {LONG!r}, "Ein_sehr_langer_Klassenname_ohne_Leerzeichen", *map("class {{}}".format, range(27))]
labeler = seglab.label(example("landsat"), classes=classes, project="looks.seglab", device="cpu")
session = labeler.session
for i in range(3):
    session.paint(box(100 + 90 * i, 100, 160 + 90 * i, 150), crs="pixel")
    session.accept(classes[i])
session.edit(session.objects[1].id, note="a note that says a good deal", unsure=True)
labeler
"""
LEAST = 4.5
"""Contrast of text with what is behind it: WCAG 2.1, level AA."""
TABS = ("Model", "Objects", "Layers", "Project")

FAINT = """least => {
    const dot = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const rgba = (text) => {
        dot.clearRect(0, 0, 1, 1);
        dot.fillStyle = text;
        dot.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = dot.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
    const linear = value => value <= 0.04045 * 255 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4;
    const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    const behind = (element) => {
        const found = [];
        for (let at = element; at; at = at.parentElement) found.unshift(rgba(getComputedStyle(at).backgroundColor));
        return found.reduce((below, top) => over(top, below), [255, 255, 255]);
    };
    const faint = [];
    const look = (element, text) => {
        if (!text.trim() || element.closest("style, option, :disabled, .leaflet-container")) return;
        if (!element.checkVisibility({visibilityProperty: true})) return;
        const below = behind(element);
        const letters = over(rgba(getComputedStyle(element).color), below);
        const [low, high] = [below, letters].map(luminance).sort((a, b) => a - b);
        const contrast = (high + 0.05) / (low + 0.05);
        if (contrast < least) faint.push(`${text.trim()}: ${contrast.toFixed(2)}`);
    };
    const root = document.querySelector(".seglab-labeler");
    const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    let seen = 0;
    while (texts.nextNode()) { look(texts.currentNode.parentElement, texts.currentNode.data); seen += 1; }
    for (const field of root.querySelectorAll("input, select, textarea")) look(field, field.value);
    if (seen < 40) faint.push(`only ${seen} texts were looked at`);
    return faint;
}"""
"""Texts of less contrast than asked with what is behind them; what is disabled may be faint."""

CUT = """() => {
    const parts = [".seglab-toolbar button", ".seglab-tab", ".seglab-class", ".seglab-object-actions button"];
    const labels = document.querySelectorAll([...parts, ".seglab-tidy .widget-label"].join());
    const right = element => element.getBoundingClientRect().right;
    const cut = label => label.checkVisibility() && (label.scrollWidth > label.clientWidth + 1
        || right(label) > right(label.closest(".seglab-side, .seglab-toolbar")));
    return [...labels].filter(cut).map(label => label.textContent);
}"""
"""Labels that are cut off, or stand outside what holds them."""


FOCUSED = """() => {
    const at = document.activeElement, style = getComputedStyle(at);
    const label = at.labels?.[0]?.textContent;
    const name = at.getAttribute("aria-label") || at.title || at.textContent.trim() || label || "";
    return {inside: Boolean(at.closest(".seglab-labeler")), name, tag: `${at.tagName} ${at.className}`,
        ring: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth)};
}"""
"""What has the focus: whether it is in the labeler, its name, and the width of the ring around it, CSS pixels."""


@pytest.fixture
def app(page: Page, jupyter: Lab) -> Lab:
    """The labeler with long names, many classes, and an object with all there is to tell."""
    open_labeler(page, jupyter, NOTEBOOK, CELL)
    wait_for_tiles(page, least=4)
    page.add_style_tag(content="* {transition: none !important}")  # no colours on their way
    return jupyter


def assert_tab_goes_round(page: Page) -> None:
    """From the first tool, Tab goes through everything in the labeler and out of it; all has a name and a ring."""
    page.locator(".seglab-toolbar button").first.focus()
    stops = 0
    while True:
        page.keyboard.press("Tab")
        at = page.evaluate(FOCUSED)
        if not at["inside"]:
            break
        assert at["name"] and at["ring"] >= 1, at
        stops += 1
    assert stops > 30


def test_everything_can_be_read_and_reached_and_nothing_is_cut(page: Page, app: Lab) -> None:
    page.mouse.click(*middle(page))
    page.locator(".seglab-toolbar button[title^='Keep']:enabled").wait_for()
    app.run(
        "labeler.objects.select((session.objects[1].id,)); labeler.messages.show('no such file', 'error')", NOTEBOOK
    )
    for name in ("Dark", "Light"):
        theme(page, name)
        for tab in TABS:
            page.locator(".seglab-tab", has_text=tab).click()
            page.locator(".seglab-tab.mod-active", has_text=tab).wait_for()
            assert page.evaluate(FAINT, LEAST) == []
            assert page.evaluate(CUT) == []
            screenshot(page, f"looks_{name}_{tab}".lower())
            if name == "Light":
                assert_tab_goes_round(page)
    app.run("labeler.tabs.tabs['Objects'].description = 'Objects (10000)'", NOTEBOOK)
    page.locator(".seglab-tab", has_text="10000").wait_for()
    assert page.evaluate(CUT) == []
    for kind in ("info", "done", "warning", "error"):
        app.run(f"labeler.messages.show('something', {kind!r})", NOTEBOOK)
        page.locator(f".seglab-message .seglab-{kind}", has_text="something").wait_for()
        assert page.evaluate(FAINT, LEAST) == []
    page.set_viewport_size({"width": 1024, "height": 768})
    wait_for(lambda: page.evaluate(CUT) == [], "nothing cut off in a narrow window", page, timeout=10)
    screenshot(page, "looks_narrow")
    page.set_viewport_size({"width": 1600, "height": 1200})
    frame = page.locator(".seglab-mapbox .leaflet-container")
    wait_for(lambda: frame.bounding_box()["height"] > 800, "a higher map in a higher window", page, timeout=10)
    size = "print(labeler.view.size[1] > 800)"
    wait_for(lambda: app.run(size, NOTEBOOK) == "True\n", "the kernel to know", page, timeout=10)
    assert page.console == []
