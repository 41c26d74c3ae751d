"""What of a map can be computed before a round is there: the frozen prefixes of its windows."""

from __future__ import annotations

from seglab.core.windows import Window
from seglab.encoding.encoder import WindowEncoder
from seglab.inference.plan import MapSettings, lattice_of
from seglab.jobs import Reporter


def encode_scene(reporter: Reporter, encoder: WindowEncoder, settings: MapSettings) -> int:
    """Put the prefixes of a scene's windows into the encoder's cache; those that are there already stay.

    Args:
        reporter: told megapixels done; may cancel.
        encoder: the scene, the model and the cache. Only as many windows are encoded as its budget holds.
        settings: of the maps that will be made.

    Returns:
        How many windows are encoded now.

    Raises:
        DamagedSceneError, SceneChangedError: pixels cannot be read (any more).
    """
    windows = _windows(encoder, settings)
    room = encoder.prefix_room(windows[0]) if windows else 0
    kept, whole = windows[:room], len(windows) <= room
    total = len(kept) / max(1, len(windows)) * _megapixels(encoder, settings)
    message = "encoding" if whole else f"encoding {len(kept)} of {len(windows)} windows: the cache holds no more"
    for done, window in enumerate(kept, start=1):
        encoder.store_prefix(window)
        reporter.update(total * done / len(kept), total, message=message)
    return len(kept)


def _windows(encoder: WindowEncoder, settings: MapSettings) -> list[Window]:
    """Those that a map looks at, in its order."""
    lattice = lattice_of(encoder, settings)
    places = dict.fromkeys(place for block in lattice.blocks() for place in lattice.places(block))
    area = settings.area
    return [place.window for place in places if area is None or area.intersects(place.window.polygon)]


def _megapixels(encoder: WindowEncoder, settings: MapSettings) -> float:
    grid = encoder.scene.grid
    return (grid.width * grid.height if settings.area is None else settings.area.area) / 1e6
