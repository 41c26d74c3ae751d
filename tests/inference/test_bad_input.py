"""Full disks, damaged and rewritten scenes: said clearly, with what is done kept, and no half of a map."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil

from seglab.core.raster import Scene
from seglab.encoding.encoder import WindowEncoder
from seglab.errors import DamagedSceneError, SceneChangedError, WriteError
from seglab.inference.mapper import UNMAPPED
from seglab.inference.plan import MappedClass, MapSettings
from seglab.inference.sweep import Prediction, predict_scene
from seglab.jobs import SilentReporter
from seglab.store.cache import ArrayCache
from seglab.store.parts import PartStore
from tests.disk import room_for
from tests.inference.conftest import read
from tests.rasters import damage_tile, make_raster

SMALL = MapSettings(block_size=64, overlap=0.25)
TILED = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}


def mapped(encoder: WindowEncoder, classes: list[MappedClass], path: Path, reporter=None) -> Prediction:
    return predict_scene(reporter or SilentReporter(), encoder, classes, path, SMALL)


def files(folder: Path) -> dict[str, bytes]:
    """What stands under final names, by name; and nothing may stand under temporary ones."""
    assert not [p.name for p in folder.rglob("*") if "seglab-tmp" in p.name]
    return {p.name: p.read_bytes() for p in folder.glob("map*") if p.is_file()}


class Counts(SilentReporter):
    """Counts finished windows, and does something when there are some."""

    def __init__(self, after: int, act) -> None:
        self.left, self.act = after, act

    def update(self, *args, **values) -> None:
        self.left -= 1
        if self.left == 0:
            self.act()


# -- full disks


def test_no_room_for_a_block(encoder, classes, tmp_path: Path) -> None:
    with room_for(700), pytest.raises(WriteError, match=r"map\.tif\.parts.*File too large.*free space"):
        mapped(encoder, classes, tmp_path / "map.tif")
    assert files(tmp_path) == {}
    mapped(encoder, classes, tmp_path / "map.tif")
    assert sorted(files(tmp_path)) == ["map.tif", "map.tif.aux.xml", "map_confidence.tif"]


def test_no_room_for_the_map_keeps_its_blocks_and_the_former_map(encoder, classes, tmp_path, monkeypatch) -> None:
    mapped(encoder, classes[::-1], tmp_path / "map.tif")
    former = files(tmp_path)
    with room_for(40_000), pytest.raises(WriteError, match=r"map(_confidence)?\.tif.*free space"):
        mapped(encoder, classes, tmp_path / "map.tif")
    assert files(tmp_path) == former
    assert len(PartStore(tmp_path / "map.tif.parts").names("block")) == 6
    monkeypatch.setattr("seglab.inference.mapper.class_logits", None)  # nothing is encoded again
    mapped(encoder, classes, tmp_path / "map.tif")
    now = files(tmp_path)
    assert all(now[name] != former[name] for name in ("map.tif", "map_confidence.tif"))


def test_map_and_confidence_get_their_names_together(encoder, classes, tmp_path, monkeypatch) -> None:
    """Whichever of the two cannot be completed, both stay as they were."""
    mapped(encoder, classes[::-1], tmp_path / "map.tif")
    former, copy = files(tmp_path), rasterio.shutil.copy
    for failing in (".map.tif", ".map_confidence.tif"):

        def refused(source, target, failing=failing, **options):
            if Path(target).name.startswith(failing):
                raise OSError(28, "No space left on device")
            copy(source, target, **options)

        monkeypatch.setattr(rasterio.shutil, "copy", refused)
        with pytest.raises(WriteError, match="No space left"):
            mapped(encoder, classes, tmp_path / "map.tif")
        assert files(tmp_path) == former


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder in which nobody may write")
def test_a_folder_in_which_nobody_may_write(encoder, classes) -> None:
    with pytest.raises(WriteError, match=r"map\.tif"):
        mapped(encoder, classes, Path("/proc/map.tif"))


def test_nothing_is_written_beside_a_scene(encoder, classes, tmp_path: Path) -> None:
    """It may lie in a folder that is only to be read."""
    out, before = tmp_path / "out", sorted(p.name for p in tmp_path.iterdir())
    out.mkdir()
    mapped(encoder, classes, out / "map.tif")
    assert sorted(p.name for p in tmp_path.iterdir() if p != out) == before


# -- damaged and rewritten scenes


@pytest.fixture
def tiled(tmp_path: Path) -> Path:
    return make_raster(tmp_path / "tiled.tif", 256, 256, **TILED)


def test_a_damaged_tile_is_named_and_the_mended_file_goes_on(tiled: Path, model, classes, tmp_path: Path) -> None:
    whole, times = tiled.read_bytes(), os.stat(tiled)
    with Scene.open(tiled) as scene:
        expected = mapped(WindowEncoder(scene, model, ArrayCache(0)), classes, tmp_path / "expected.tif")
    damage_tile(tiled, 1, 2)
    with Scene.open(tiled, stretch=scene.stretch) as damaged:
        encoder = WindowEncoder(damaged, model, ArrayCache(0))
        with pytest.raises(DamagedSceneError, match=r"block 0,\d \(rows .*tiled\.tif.*offset 2, Y offset 1"):
            mapped(encoder, classes, tmp_path / "map.tif")
    assert files(tmp_path) == {} and PartStore(tmp_path / "map.tif.parts").names("block")
    tiled.write_bytes(whole)
    os.utime(tiled, ns=(times.st_atime_ns, times.st_mtime_ns))
    with Scene.open(tiled) as mended:
        made = mapped(WindowEncoder(mended, model, ArrayCache(0)), classes, tmp_path / "map.tif")
    np.testing.assert_array_equal(read(made.confidence_path), read(expected.confidence_path))


@pytest.mark.parametrize("by", ["other pixels", "half of it", "another shape"])
def test_a_scene_that_is_rewritten_meanwhile(tiled: Path, model, classes, tmp_path: Path, by: str) -> None:
    def rewrite() -> None:
        if by == "half of it":
            os.truncate(tiled, tiled.stat().st_size // 2)
        else:
            make_raster(tiled, 256, 256 if by == "other pixels" else 200, seed=8, **TILED)

    with Scene.open(tiled) as scene:
        encoder = WindowEncoder(scene, model, ArrayCache(0))
        with pytest.raises(SceneChangedError, match=r"tiled\.tif.*open it again"):
            mapped(encoder, classes, tmp_path / "map.tif", Counts(6, rewrite))
    assert files(tmp_path) == {} and not (tmp_path / "map.tif.parts").exists()


# -- mosaics of files


def test_a_virtual_mosaic_with_gaps(model, classes, tmp_path: Path) -> None:
    """Two files side by side with a gap between them, as one raster."""
    vrt = virtual_mosaic(tmp_path)
    with Scene.open(vrt) as scene:
        made = mapped(WindowEncoder(scene, model, ArrayCache(0)), classes, tmp_path / "map.tif")
    there = np.ones((100, 240), dtype=bool)
    there[:, 100:140] = False
    np.testing.assert_array_equal(read(made.path) != UNMAPPED, there)


def test_a_file_of_a_virtual_mosaic_that_is_gone_is_named(model, classes, tmp_path: Path) -> None:
    vrt = virtual_mosaic(tmp_path)
    with Scene.open(vrt) as scene:
        encoder = WindowEncoder(scene, model, ArrayCache(0))
        (tmp_path / "right.tif").unlink()
        with pytest.raises((DamagedSceneError, SceneChangedError), match=r"mosaic\.vrt"):
            mapped(encoder, classes, tmp_path / "map.tif")
    assert files(tmp_path) == {}


def virtual_mosaic(folder: Path) -> Path:
    """left.tif, a gap of 40 columns, and right.tif, as mosaic.vrt."""
    bands = ""
    for name, seed in (("left", 1), ("right", 2)):
        make_raster(folder / f"{name}.tif", 100, 100, nodata=0, seed=seed, **TILED)
    for band in (1, 2, 3):
        sources = "".join(
            f'<SimpleSource><SourceFilename relativeToVRT="1">{name}.tif</SourceFilename>'
            f"<SourceBand>{band}</SourceBand>"
            f'<SrcRect xOff="0" yOff="0" xSize="100" ySize="100"/>'
            f'<DstRect xOff="{left}" yOff="0" xSize="100" ySize="100"/></SimpleSource>'
            for name, left in (("left", 0), ("right", 140))
        )
        bands += f'<VRTRasterBand dataType="Byte" band="{band}"><NoDataValue>0</NoDataValue>{sources}</VRTRasterBand>'
    vrt = folder / "mosaic.vrt"
    vrt.write_text(
        '<VRTDataset rasterXSize="240" rasterYSize="100"><SRS>EPSG:32632</SRS>'
        f"<GeoTransform>600000, 10, 0, 5000000, 0, -10</GeoTransform>{bands}</VRTDataset>"
    )
    return vrt
