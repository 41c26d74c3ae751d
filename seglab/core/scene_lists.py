"""Many scenes at once: a folder, a list, or a STAC catalogue, as sources that `Scene.open` takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from seglab.core.cubes import NETCDF, ZARR, CubeLayer, is_cube
from seglab.core.dates import cube_layers
from seglab.core.handles import is_remote
from seglab.core.sources import is_stac, pick_asset
from seglab.errors import MissingPackageError, SceneNotFoundError, SegLabError, UnsupportedSceneError

RASTERS = (".tif", ".tiff", ".vrt", ".jp2", ".img", ".png", ".jpg", ".jpeg", *NETCDF)
"""Suffixes of what counts as a scene in a folder, beside Zarr stores."""


def find_scenes(sources: Sequence[Any]) -> list[Any]:
    """What `Scene.open` takes, one each, in order.

    Args:
        sources: any of: what `Scene.open` takes; a folder, whose rasters count (not those in folders inside it); a text
            file (.txt) with a path or URL per line, paths from its own folder; a STAC item, collection, catalogue or
            item collection (.json, a path or a URL, or pystac's objects).

    Raises:
        SceneNotFoundError: a path is not there, or a folder, list or catalogue holds no scene.
        UnsupportedSceneError: a .json file is no STAC.
        MissingPackageError: a STAC file was given, and pystac is not installed.
    """
    found: list[Any] = []
    for source in sources:
        inside = _inside(source)
        if not inside:
            raise SceneNotFoundError(f"there is no scene in {str(source)!r}; scenes end in {', '.join(RASTERS)}")
        found += inside
    return found


def scene_name(source: Any) -> str:
    """What a scene is called, before it is opened: the name of its file, or the id of its STAC item."""
    if is_stac(source):
        return pick_asset(source)[1]
    if isinstance(source, CubeLayer):
        return source.name
    text = str(source)
    return Path(urlsplit(text).path if is_remote(text) else text).stem


def _inside(source: Any) -> list[Any]:
    if not isinstance(source, (str, Path)):
        return _items(source) if type(source).__module__.partition(".")[0] == "pystac" else [source]
    if is_cube(source):
        return _layers(source)
    text = str(source)
    suffix = Path(urlsplit(text).path if is_remote(text) else text).suffix.lower()
    if suffix == ".json":
        return _items(_stac(text))
    if is_remote(text):
        return [text]
    path = Path(text).expanduser()
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.suffix.lower() in RASTERS and file.is_file())
        found += sorted(path.glob(f"*{ZARR}"))
        return [scene for file in found for scene in (_layers(file) if is_cube(file) else [str(file)])]
    if suffix == ".txt" and path.exists():
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        return [line if is_remote(line) else str(path.parent / line) for line in lines if line and line[0] != "#"]
    return [text]


def _layers(path: str | Path) -> list[Any]:
    """The dates of a NetCDF file or a Zarr store; itself, where it has none, or opening it will say what is wrong."""
    try:
        return list(cube_layers(path).values()) or [str(path)]
    except SegLabError:
        return [str(path)]


def _stac(address: str) -> Any:
    """A STAC object, by pystac."""
    try:
        import pystac
    except ImportError as error:
        raise MissingPackageError("STAC files need pystac: pip install 'seglab[stac]'") from error
    if not is_remote(address) and not Path(address).exists():
        raise SceneNotFoundError(f"there is no file {address!r}; check the path")
    try:
        return pystac.read_file(address)
    except (pystac.STACTypeError, KeyError, ValueError, TypeError):
        pass  # an item collection is no STAC object of pystac's
    try:
        return pystac.ItemCollection.from_file(address)
    except Exception as error:  # pystac lets through whatever its reader and its parsers raise
        raise UnsupportedSceneError(
            f"{address!r} is no STAC item, collection, catalogue or item collection ({error}); give one of those, a "
            "folder, or a text file with a path per line"
        ) from error


def _items(found: Any) -> list[Any]:
    """The items of a STAC object: of a catalogue, those of its children too."""
    if is_stac(found) and not hasattr(found, "get_items"):  # a catalogue may have assets of its own
        return [found]
    return list(found.get_items(recursive=True)) if hasattr(found, "get_items") else list(found.items)
