"""Maps of a scene behind a URL: little is read, and what breaks or changes is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from shapely.geometry import box

from seglab.core import handles
from seglab.core.raster import Scene
from seglab.core.stretch import Stretch
from seglab.encoding.encoder import WindowEncoder
from seglab.errors import DamagedSceneError, SceneChangedError
from seglab.inference import scene_watch
from seglab.inference.mapper import UNMAPPED
from seglab.inference.plan import MappedClass, MapSettings
from seglab.inference.sweep import Prediction, predict_scene
from seglab.jobs import SilentReporter
from seglab.models.sam import AdaptedSam
from seglab.store.cache import ArrayCache
from seglab.store.parts import PartStore
from tests.inference.conftest import read
from tests.rasters import make_raster
from tests.web import Web, serving

SMALL = MapSettings(block_size=64, overlap=0.25)
TILED = {"tiled": True, "blockxsize": 64, "blockysize": 64}


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setitem(handles._REMOTE_OPTIONS, "GDAL_HTTP_RETRY_DELAY", "0.01")
    folder = tmp_path / "web"
    folder.mkdir()
    with serving(folder) as found:
        yield found


def mapped(
    scene: Scene, model: AdaptedSam, classes: list[MappedClass], path: Path, settings: MapSettings = SMALL, **more
) -> Prediction:
    reporter = more.pop("reporter", SilentReporter())
    return predict_scene(reporter, WindowEncoder(scene, model, ArrayCache(0)), classes, path, settings, **more)


def test_a_small_area_of_a_large_raster_costs_little(web: Web, model, classes, tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(1, 255, (1, 2048, 2048), dtype=np.uint8)
    path = make_raster(web.folder / "large.tif", data=data, driver="COG", blocksize=256, compress="none")
    area = MapSettings(area=box(1400, 1000, 1460, 1060))
    with Scene.open(web / "large.tif", stretch=Stretch.identity()) as scene:  # else it looks at an overview, too
        made = mapped(scene, model, classes, tmp_path / "map.tif", area)
    assert (read(made.path) != UNMAPPED).sum() == 60 * 60
    assert web.given < 0.1 * path.stat().st_size


def test_a_short_outage_is_waited_for(web: Web, model, classes, tmp_path: Path) -> None:
    make_raster(web.folder / "scene.tif", 200, 200, **TILED)

    class Stumbles(SilentReporter):
        def update(self, done: float, *args, **values) -> None:
            web.fails_after = 1 if done == 0 else None

    with Scene.open(web / "scene.tif") as scene:
        first = mapped(scene, model, classes, tmp_path / "map.tif")
    assert (read(first.path) != UNMAPPED).all()


def test_a_server_that_fails_names_the_block_and_what_is_done_stays(web: Web, model, classes, tmp_path: Path) -> None:
    tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256}
    large = make_raster(web.folder / "scene.tif", 2048, 256, **tiles)
    strip = MapSettings(block_size=64, area=box(0, 0, 2048, 20))
    path, parts = tmp_path / "map.tif", tmp_path / "map.tif.parts"
    with Scene.open(web / "scene.tif", stretch=Stretch.identity()) as scene:
        web.fails_after = 3
        with pytest.raises(DamagedSceneError, match=r"block \d+,\d+ \(rows.*scene\.tif.*try again.*offset"):
            mapped(scene, model, classes, path, strip)
        kept = PartStore(parts).names("block")
        assert web.refused and kept and not path.exists()
        web.fails_after = None
        again = mapped(scene, model, classes, path, strip)
    assert not parts.exists()
    with Scene.open(large, stretch=Stretch.identity()) as scene:
        whole = mapped(scene, model, classes, tmp_path / "whole.tif", strip)
    np.testing.assert_array_equal(read(again.confidence_path), read(whole.confidence_path))


def test_a_url_that_changes_meanwhile_makes_no_map(web: Web, model, classes, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(scene_watch, "REMOTE_S", 0.0)
    make_raster(web.folder / "scene.tif", 200, 200, **TILED)
    reports = []

    class Replaces(SilentReporter):
        def update(self, done: float, *args, **values) -> None:
            reports.append(done)
            if len(reports) == 4:
                make_raster(web.folder / "scene.tif", 200, 200, seed=9, **TILED)

    with Scene.open(web / "scene.tif") as scene, pytest.raises(SceneChangedError, match=r"scene\.tif.*open it again"):
        mapped(scene, model, classes, tmp_path / "map.tif", reporter=Replaces())
    assert len(reports) < 8  # at once, not at the end
    assert not (tmp_path / "map.tif").exists() and not (tmp_path / "map.tif.parts").exists()
    with Scene.open(web / "scene.tif") as scene:
        now = mapped(scene, model, classes, tmp_path / "map.tif")
    make_raster(tmp_path / "local.tif", 200, 200, seed=9, **TILED)
    with Scene.open(tmp_path / "local.tif") as scene:
        expected = mapped(scene, model, classes, tmp_path / "expected.tif")
    np.testing.assert_array_equal(read(now.confidence_path), read(expected.confidence_path))
