"""QGIS styles: one fill per class, as QML, and the table of a GeoPackage in which QGIS looks for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from xml.etree import ElementTree

from seglab.store.colours import parse_colour

FILL_OPACITY = 0.4
"""The image stays visible below the labels."""
OUTLINE_MM = 0.4

_TABLE = """
CREATE TABLE layer_styles (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256), f_geometry_column TEXT(256),
    styleName TEXT(30), styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN, description TEXT, owner TEXT(30),
    ui TEXT(30), update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
)"""
_REGISTER = """
INSERT INTO gpkg_contents (table_name, data_type, identifier, description)
VALUES ('layer_styles', 'attributes', 'layer_styles', 'Styles for QGIS')"""
# catalog and schema are empty strings, not NULL: QGIS compares them with ''
_INSERT = """
INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName,
                          styleQML, styleSLD, useAsDefault, description, owner, ui)
VALUES ('', '', ?, ?, ?, ?, '', 1, ?, '', NULL)"""


def add_style(database: sqlite3.Connection, layer: str, qml: str) -> None:
    """Store a style as the default of a layer, in a GeoPackage that has no styles yet.

    Args:
        database: The open GeoPackage.
        layer: The layer (table) that it is for.
        qml: The style (see `categorised_qml`).
    """
    query = "SELECT column_name FROM gpkg_geometry_columns WHERE table_name = ?"
    (geometry_column,) = database.execute(query, (layer,)).fetchone()
    database.execute(_TABLE)
    database.execute(_REGISTER)
    database.execute(_INSERT, (layer, geometry_column, layer, qml, "Classes and their colours, by seglab"))


def categorised_qml(column: str, styles: Mapping[str, str]) -> str:
    """A QGIS style that fills each class of polygons with its colour.

    Args:
        column: The column that holds the class.
        styles: '#rrggbb' per class, in the order of the legend.

    Returns:
        The QML document.

    Raises:
        WriteError: A colour is not written '#rrggbb'.
    """
    root = ElementTree.Element("qgis", version="3.28.0", styleCategories="Symbology")
    renderer = ElementTree.SubElement(
        root, "renderer-v2", type="categorizedSymbol", attr=column, symbollevels="0", enableorderby="0"
    )
    categories = ElementTree.SubElement(renderer, "categories")
    symbols = ElementTree.SubElement(renderer, "symbols")
    for index, (name, colour) in enumerate(styles.items()):
        ElementTree.SubElement(
            categories, "category", value=name, label=name, symbol=str(index), render="true", type="string"
        )
        _fill(symbols, str(index), parse_colour(colour))
    head = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
    return head + ElementTree.tostring(root, encoding="unicode")


def _fill(symbols: ElementTree.Element, name: str, rgb: tuple[int, int, int]) -> None:
    symbol = ElementTree.SubElement(
        symbols, "symbol", type="fill", name=name, alpha="1", clip_to_extent="1", force_rhr="0"
    )
    layer = ElementTree.SubElement(symbol, "layer", {"class": "SimpleFill"}, enabled="1", locked="0")
    red, green, blue = rgb
    properties = {
        "color": f"{red},{green},{blue},{round(255 * FILL_OPACITY)}",
        "style": "solid",
        "outline_color": f"{red},{green},{blue},255",
        "outline_style": "solid",
        "outline_width": str(OUTLINE_MM),
        "outline_width_unit": "MM",
        "joinstyle": "miter",
    }
    options = ElementTree.SubElement(layer, "Option", type="Map")
    for key, value in properties.items():
        ElementTree.SubElement(options, "Option", type="QString", name=key, value=value)
        ElementTree.SubElement(layer, "prop", k=key, v=value)  # QGIS before 3.22 reads these
