"""Folders, lists and STAC as scenes."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pystac
import pytest

from seglab.core.raster import Scene
from seglab.core.scene_lists import find_scenes, scene_name
from seglab.errors import SceneNotFoundError, UnsupportedSceneError
from tests.rasters import make_raster


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.tif", "a.TIF"):
        make_raster(tmp_path / name, 40, 30)
    (tmp_path / "notes.md").write_text("no scene")
    (tmp_path / "more.tif").mkdir()
    return tmp_path


def item(folder: Path, name: str) -> pystac.Item:
    when = datetime.datetime(2020, 6, 1, tzinfo=datetime.UTC)
    made = pystac.Item(name, None, None, when, {})
    made.add_asset("visual", pystac.Asset(str(folder / "b.tif"), media_type="image/tiff", roles=["visual"]))
    return made


def test_the_rasters_of_a_folder_in_order(folder: Path) -> None:
    assert [Path(found).name for found in find_scenes([folder])] == ["a.TIF", "b.tif"]


def test_a_list_names_files_from_its_own_folder(folder: Path) -> None:
    (folder / "scenes.txt").write_text("# two of them\nb.tif\n\nhttps://host/c.tif\n")
    assert find_scenes([folder / "scenes.txt"]) == [str(folder / "b.tif"), "https://host/c.tif"]


def test_items_of_a_collection_and_of_an_item_collection(folder: Path) -> None:
    extent = pystac.Extent(pystac.SpatialExtent([[0, 0, 1, 1]]), pystac.TemporalExtent([[None, None]]))
    collection = pystac.Collection("c", "two dates", extent)
    collection.add_items([item(folder, "one"), item(folder, "two")])
    collection.normalize_and_save(str(folder / "stac"), pystac.CatalogType.SELF_CONTAINED)
    found = find_scenes([folder / "stac" / "collection.json"])
    assert [scene_name(one) for one in found] == ["one", "two"]
    with Scene.open(found[1]) as scene:
        assert scene.grid.shape == (30, 40)
    pystac.ItemCollection([item(folder, "three")]).save_object(str(folder / "items.json"))
    assert [scene_name(one) for one in find_scenes([folder / "items.json", folder / "b.tif"])] == ["three", "b"]


def test_nothing_to_map_is_said(folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(SceneNotFoundError, match="no scene in"):
        find_scenes([folder / "empty"])
    with pytest.raises(SceneNotFoundError, match="no file"):
        find_scenes([folder / "gone.json"])
    (folder / "other.json").write_text(json.dumps({"type": "nothing"}))
    with pytest.raises(UnsupportedSceneError, match="no STAC"):
        find_scenes([folder / "other.json"])
