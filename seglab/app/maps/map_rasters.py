"""The rasters that a map shows: the scene in a look, the class map, its confidence, and what changed between two maps.

Each is described once and shown as tiles or, on a plain map, as one image.
"""

from __future__ import annotations

from seglab.app.maps.mapping import map_colours, map_meanings
from seglab.app.project.looks import Look, fitted
from seglab.app.project.view import TiledLayer, tiled_layer
from seglab.app.session import LabelSession
from seglab.core.overlay import MapFrame, Overlay, image_png
from seglab.core.raster import Scene
from seglab.errors import ClusterError, NoPredictionError
from seglab.inference.mapper import UNMAPPED
from seglab.inference.sweep import Prediction
from seglab.serve.changes import ClassMap, style_changes
from seglab.serve.images import colour_table, render
from seglab.serve.styled import StyledRaster, TileStyle, style_raster
from seglab.serve.tiles import tile_server
from seglab.store.colours import parse_colour

PLAIN_SIZE = 2048
"""Pixels along the longer side of the image that a plain map shows, at most."""

CONFIDENCE_RAMP = "cividis"
"""For the confidence of a class map: dark is uncertain; made for colour-blind eyes too."""

FADED = 60
"""Opacity of clusters beside the chosen one, 0 to 255."""

CHANGED = "#d01c8b"
"""Colour of the pixels whose class has changed, '#rrggbb'."""


def scene_raster(scene: Scene, look: Look) -> StyledRaster:
    """The scene in a look.

    Raises:
        SegLabError: as looks.fitted raises, or the scene's file cannot be read any more.
    """
    look = fitted(scene, look)
    assert look.stretch is not None
    low, high = look.stretch.low, look.stretch.high
    return style_raster(scene.path, TileStyle(look.bands, low, high, scene.nodata, look.ramp))


def class_raster(session: LabelSession) -> StyledRaster:
    """The latest class map in the colours of the classes; background and no data are transparent.

    Raises:
        NoPredictionError: there is no map yet.
    """
    colours = {value: parse_colour(colour) for value, colour in map_colours(session.state).items()}
    return style_raster(str(_latest(session).path), TileStyle((1,), colormap=colours))


def cluster_colours(session: LabelSession, chosen: int | None = None) -> tuple[str, dict[int, tuple[int, ...]]] | None:
    """How the clusters of a scene are drawn; None where there are none. Those that are labelled are drawn as labels.

    Args:
        session: of the scene.
        chosen: number of a cluster beside which the others fade.

    Returns:
        The raster, and red, green, blue and opacity by value.
    """
    found, named = session.clusters, session.cluster_classes
    if found is None:
        return None
    colours: dict[int, tuple[int, ...]] = {}
    for cluster in found.clusters:
        if cluster.number == chosen or cluster.number not in named:
            alpha = FADED if chosen not in (None, cluster.number) else 255
            colours |= dict.fromkeys(cluster.values, (*parse_colour(cluster.colour), alpha))
    return str(found.path), colours


def cluster_raster(session: LabelSession, chosen: int | None = None) -> StyledRaster:
    """The clusters of a scene.

    Args:
        session, chosen: see `cluster_colours`.

    Raises:
        ClusterError: there are none yet.
    """
    drawn = cluster_colours(session, chosen)
    if drawn is None:
        raise ClusterError("there are no clusters of the scene yet; session.propose() finds them")
    return style_raster(drawn[0], TileStyle((1,), colormap=drawn[1]))


def confidence_raster(session: LabelSession) -> StyledRaster:
    """The confidence of the latest class map, 0 to 100 percent.

    Raises:
        NoPredictionError: there is no map yet.
    """
    style = TileStyle((1,), (0.0,), (100.0,), UNMAPPED, CONFIDENCE_RAMP)
    return style_raster(str(_latest(session).confidence_path), style)


def change_raster(session: LabelSession) -> StyledRaster:
    """The pixels whose class differs between the two latest maps, by what the classes are today.

    Raises:
        NoPredictionError: there are no two maps.
    """
    former, latest = session.former_prediction, session.prediction
    state = session.state
    if former is None or latest is None or state.prediction is None or state.former_prediction is None:
        raise NoPredictionError("there are no two maps of the scene to compare; map it again after another round")
    before = ClassMap(str(former.path), map_meanings(state, state.former_prediction), UNMAPPED)
    after = ClassMap(str(latest.path), map_meanings(state, state.prediction), UNMAPPED)
    return style_changes(before, after, parse_colour(CHANGED))


def ramp_colours(ramp: str, count: int = 8) -> tuple[str, ...]:
    """Colours '#rrggbb' along one of looks.RAMPS, from the lowest value to the highest."""
    table = colour_table(ramp)
    return tuple("#{:02x}{:02x}{:02x}".format(*table[round(i * 255 / (count - 1))][:3]) for i in range(count))


def tiles_of(raster: StyledRaster) -> TiledLayer:
    """The raster as tiles, until the layer is removed.

    Raises:
        MissingCRSError: it has no place on a map.
    """
    server = tile_server()
    return tiled_layer(server, server.serve(raster))


def image_of(raster: StyledRaster, frame: MapFrame) -> Overlay:
    """The raster as one image, for a plain map."""
    return Overlay(image_png(render(raster, PLAIN_SIZE)), frame.bounds)


def _latest(session: LabelSession) -> Prediction:
    prediction = session.prediction
    if prediction is None:
        raise NoPredictionError("the scene has not been mapped yet; accept an object, then map the scene")
    return prediction
