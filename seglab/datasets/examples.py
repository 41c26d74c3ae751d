"""The scenes that come with localtileserver: real imagery without a download."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from seglab.errors import SceneNotFoundError

EXAMPLES = {"landsat": "landsat.tif", "landsat7": "landsat7.tif", "bahamas": "bahamas_rgb.tif"}
"""File by name: seven bands of Landsat 7 at the Great Salt Lake; three bands of Landsat 7; an RGB aerial view."""


def example(name: str = "landsat") -> str:
    """The path of an example scene.

    Args:
        name: "landsat" (seven bands, the Great Salt Lake; band 3, 2, 1 is true colour), "landsat7" or "bahamas".

    Raises:
        SceneNotFoundError: there is no example of that name, or localtileserver is not installed.
    """
    if name not in EXAMPLES:
        raise SceneNotFoundError(f"there is no example scene {name!r}; choose one of {sorted(EXAMPLES)}")
    # The package is found, not imported: its import starts a web framework, which a command line need not wait for.
    spec = importlib.util.find_spec("localtileserver")
    folders = spec.submodule_search_locations if spec is not None else None
    for folder in folders or ():
        path = Path(folder) / "tiler" / "data" / EXAMPLES[name]
        if path.is_file():
            return str(path)
    raise SceneNotFoundError(
        f"the example scene {name!r} comes with localtileserver; install it: pip install localtileserver"
    )
