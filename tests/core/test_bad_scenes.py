"""Bad input: each kind has its own error, and the message says what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from rasterio.control import GroundControlPoint

from seglab.core.raster import Scene
from seglab.core.windows import Window
from seglab.errors import (
    DamagedSceneError,
    EmptySceneError,
    NotARasterError,
    SceneNotFoundError,
    UnsupportedSceneError,
    WriteError,
)
from tests.rasters import make_raster, pattern


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SceneNotFoundError, match="check the path"):
        Scene.open(tmp_path / "none.tif")


def test_not_a_raster(tmp_path: Path) -> None:
    text = tmp_path / "notes.tif"
    text.write_text("not pixels")
    for path in (text, tmp_path):
        with pytest.raises(NotARasterError, match="give a GeoTIFF"):
            Scene.open(path)


def _cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


@pytest.mark.parametrize("share", [0.9, 0.5, 0.05, 0.0005])
@pytest.mark.parametrize("profile", [{}, {"tiled": True, "compress": "deflate"}, {"compress": "lzw"}])
def test_truncated_tiff(tmp_path: Path, share: float, profile: dict[str, object]) -> None:
    path = make_raster(tmp_path / "scene.tif", 600, 500, dtype="uint16", **profile)
    _cut(path, share)
    with pytest.raises(DamagedSceneError, match="damaged or cut short; copy it again"):
        Scene.open(path)


@pytest.mark.parametrize("driver", ["PNG", "JPEG"])
def test_truncated_photo(tmp_path: Path, driver: str) -> None:
    path = make_raster(tmp_path / f"photo.{driver.lower()}", 600, 500, crs=None, transform=None, driver=driver)
    _cut(path, 0.6)
    with pytest.raises(DamagedSceneError, match="damaged"):
        Scene.open(path)


def test_damage_below_the_overviews_shows_at_the_first_read(tmp_path: Path) -> None:
    """The overviews of a COG come first: the scene opens, and a window of the lost part says so."""
    path = make_raster(tmp_path / "scene.tif", 2000, 1800, overviews=(2, 4), driver="GTiff", tiled=True)
    cog = tmp_path / "cog.tif"
    rasterio.shutil.copy(path, cog, driver="COG", compress="deflate")
    _cut(cog, 0.9)
    with Scene.open(cog) as scene:
        with pytest.raises(DamagedSceneError, match="copy it again"):
            scene.rgb(Window(1500, 1300, 500, 500))
        assert scene.rgb(Window(0, 0, 64, 64))[1].all()  # the rest still reads


@pytest.mark.parametrize(("dtype", "nodata"), [("uint8", 0), ("float32", np.nan), ("int16", -1)])
def test_all_nodata(tmp_path: Path, dtype: str, nodata: float) -> None:
    path = make_raster(tmp_path / "scene.tif", data=np.full((3, 50, 60), nodata, dtype), nodata=nodata)
    with pytest.raises(EmptySceneError, match="no valid pixel"):
        Scene.open(path)


def test_nothing_behind_the_alpha(tmp_path: Path) -> None:
    path = make_raster(tmp_path / "scene.tif", alpha=np.zeros((96, 128), bool))
    with pytest.raises(EmptySceneError):
        Scene.open(path)


def test_complex(tmp_path: Path) -> None:
    path = make_raster(tmp_path / "slc.tif", data=pattern(1, 50, 60, "float32").astype("complex64"))
    with pytest.raises(UnsupportedSceneError, match=r"complex64.*magnitude"):
        Scene.open(path)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")  # of the test's own open
def test_control_points_only(tmp_path: Path) -> None:
    path = make_raster(tmp_path / "gcp.tif", crs=None, transform=None)
    points = [GroundControlPoint(r, c, 10 + c / 100, 50 - r / 100) for r in (0, 90) for c in (0, 120)]
    with rasterio.open(path, "r+") as file:
        file.gcps = points, rasterio.crs.CRS.from_epsg(4326)
    with pytest.raises(UnsupportedSceneError, match="gdalwarp"):
        Scene.open(path)


def test_workdir_that_cannot_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(WriteError, match="workdir"):
        Scene.open(pattern(3, 20, 20), workdir=blocked)


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(EmptySceneError):
        Scene.open(np.full((20, 30), np.nan))
    assert not list(tmp_path.iterdir())
