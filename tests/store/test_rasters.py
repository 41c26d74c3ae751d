"""Rasters written block by block: nothing under the final name until it is complete, and then all of it."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pyproj
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.errors import NotGeoreferencedWarning

from seglab.errors import WriteError
from seglab.store.rasters import RasterWriter
from tests.disk import room_for

UTM = SimpleNamespace(transform=Affine(30, 0, 400_000, 0, -30, 4_600_000), crs=pyproj.CRS(32612))
ROTATED = SimpleNamespace(transform=Affine(8, 3, 400_000, 2, -9, 4_600_000), crs="EPSG:32612")
PIXELS = SimpleNamespace(transform=Affine.identity(), crs=None)
COLOURS = {1: "#1f77b4", 2: "#ff7f0e"}
NAMES = {0: "unlabelled", 1: "water", 2: "field & <stubble>"}

WRITE_AND_WAIT = """
import sys
import numpy as np
from affine import Affine
from seglab.store.rasters import RasterWriter
writer = RasterWriter(sys.argv[1], 600, 500, Affine.identity(), None, "uint8", 0)
writer.write(np.ones((500, 600), np.uint8), 0, 0)
print("written", flush=True)
sys.stdin.readline()
"""

FILL_THE_DISK = """
import resource, signal, sys
import numpy as np
from affine import Affine
from seglab.errors import WriteError
from seglab.store.rasters import RasterWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
noise = np.random.default_rng(0).integers(0, 256, (1024, 1024), dtype=np.uint8)
try:
    with RasterWriter(sys.argv[1], 1024, 1024, Affine.identity(), None, "uint8", 0) as writer:
        writer.write(noise, 0, 0)
except WriteError as error:
    print("refused:", error)
"""


def open_writer(path, place=UTM, width=700, height=600, dtype="uint8", nodata=0, **more):
    return RasterWriter(path, width, height, place.transform, place.crs, dtype, nodata, **more)


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir() if "seglab-tmp" in path.name)


def pixels(height=600, width=700, top=3):
    return np.random.default_rng(5).integers(0, top, (height, width), dtype=np.uint8)


def write_in_blocks(writer, array, size=256):
    for row in range(0, array.shape[0], size):
        for col in range(0, array.shape[1], size):
            writer.write(array[row : row + size, col : col + size], row, col)


@pytest.mark.parametrize("place", [UTM, ROTATED], ids=["utm", "rotated"])
def test_a_class_raster_with_everything(tmp_path, place):
    array = pixels()
    writer = open_writer(tmp_path / "map.tif", place, colours=COLOURS, names=NAMES, tags={"model": "tiny"})
    write_in_blocks(writer, array)
    assert not (tmp_path / "map.tif").exists()
    assert writer.finish() == tmp_path / "map.tif"
    with rasterio.open(tmp_path / "map.tif") as raster:
        np.testing.assert_array_equal(raster.read(1), array)
        assert raster.transform.almost_equals(place.transform)
        assert raster.crs.to_epsg() == 32612
        assert (raster.nodata, raster.dtypes) == (0, ("uint8",))
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert raster.overviews(1) == [2]
        assert raster.colormap(1)[1] == (0x1F, 0x77, 0xB4, 255)
        assert raster.colormap(1)[2] == (0xFF, 0x7F, 0x0E, 255)
        assert raster.tags()["model"] == "tiny"
        assert {int(k.removeprefix("class_")): v for k, v in raster.tags(1).items()} == NAMES
    assert leftovers(tmp_path) == []


def test_gdal_itself_knows_the_names(tmp_path):
    with open_writer(tmp_path / "map.tif", names={0: "none", 3: "über & <x>"}) as writer:
        writer.write(pixels(), 0, 0)
    rasterio.shutil.copy(tmp_path / "map.tif", tmp_path / "as_gdal_reads_it.vrt", driver="VRT")
    vrt = ElementTree.parse(tmp_path / "as_gdal_reads_it.vrt")
    assert [item.text or "" for item in vrt.iter("Category")] == ["none", "", "", "über & <x>"]


def test_sixteen_bits_have_colours_and_floats_have_none(tmp_path):
    with open_writer(tmp_path / "many.tif", dtype="uint16", colours={300: "#010203"}) as writer:
        writer.write(np.full((600, 700), 300, np.uint16), 0, 0)
    with rasterio.open(tmp_path / "many.tif") as raster:
        assert raster.colormap(1)[300] == (1, 2, 3, 255)
        assert (raster.read(1) == 300).all()
    with pytest.raises(WriteError, match="no colour table"):
        open_writer(tmp_path / "float.tif", dtype="float32", colours=COLOURS)
    with pytest.raises(WriteError, match="does not fit"):
        open_writer(tmp_path / "byte.tif", colours={256: "#000000"})
    with pytest.raises(WriteError, match="rrggbb"):
        open_writer(tmp_path / "byte.tif", colours={1: "red"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["many.tif"]


def test_confidence_keeps_its_values_and_its_overviews_are_means(tmp_path):
    array = np.linspace(0, 1, 600 * 700, dtype=np.float32).reshape(600, 700)
    with open_writer(tmp_path / "p.tif", dtype="float32", nodata=float("nan")) as writer:
        write_in_blocks(writer, array)
    with rasterio.open(tmp_path / "p.tif") as raster:
        np.testing.assert_array_equal(raster.read(1), array)
        assert np.isnan(raster.nodata)
    with rasterio.open(tmp_path / "p.tif", overview_level=0) as overview:
        means = array.reshape(300, 2, 350, 2).mean(axis=(1, 3))
        np.testing.assert_allclose(overview.read(1), means, rtol=1e-5)


def test_overviews_of_classes_hold_only_classes(tmp_path):
    array = np.where(pixels(top=2) == 1, 200, 100).astype(np.uint8)
    array[:64, :64] = 200
    with open_writer(tmp_path / "map.tif", names={100: "a", 200: "b"}) as writer:
        writer.write(array, 0, 0)
    with rasterio.open(tmp_path / "map.tif", overview_level=0) as overview:
        small = overview.read(1)
    assert set(np.unique(small)) <= {100, 200}
    assert (small[:32, :32] == 200).all()


@pytest.mark.parametrize(("nodata", "fill"), [(0, 0), (255, 255), (None, 0)])
def test_what_is_never_written_is_nodata(tmp_path, nodata, fill):
    with open_writer(tmp_path / "map.tif", nodata=nodata) as writer:
        writer.write(np.ones((10, 20), np.uint8), 500, 30)
    with rasterio.open(tmp_path / "map.tif") as raster:
        assert raster.nodata == nodata
        array = raster.read(1)
    assert (array[500:510, 30:50] == 1).all()
    array[500:510, 30:50] = fill
    assert (array == fill).all()


def test_pixel_space_has_no_georeference_and_warns_nobody(tmp_path, recwarn):
    with open_writer(tmp_path / "map.tif", PIXELS) as writer:
        writer.write(pixels(), 0, 0)
    assert [str(warning.message) for warning in recwarn] == []
    with pytest.warns(NotGeoreferencedWarning), rasterio.open(tmp_path / "map.tif") as raster:
        assert raster.crs is None
        np.testing.assert_array_equal(raster.read(1), pixels())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), width=st.integers(1, 900), height=st.integers(1, 700))
def test_any_blocks_in_any_order_give_what_numpy_gives(tmp_path, data, width, height):
    expected = np.zeros((height, width), np.uint8)
    with open_writer(tmp_path / "map.tif", width=width, height=height) as writer:
        for number in range(1, data.draw(st.integers(0, 8)) + 1):
            row, col = data.draw(st.integers(0, height)), data.draw(st.integers(0, width))
            rows, cols = data.draw(st.integers(0, height - row)), data.draw(st.integers(0, width - col))
            block = np.full((rows, cols), number, np.uint8)
            writer.write(block, row, col)
            expected[row : row + rows, col : col + cols] = block
    with rasterio.open(tmp_path / "map.tif") as raster:
        np.testing.assert_array_equal(raster.read(1), expected)


def test_threads_write_together(tmp_path):
    array = pixels()
    with open_writer(tmp_path / "map.tif") as writer:
        bands = [range(first, 600, 200) for first in (0, 50, 100, 150)]
        threads = [
            threading.Thread(target=lambda rows: [writer.write(array[r : r + 50], r, 0) for r in rows], args=(rows,))
            for rows in bands
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with rasterio.open(tmp_path / "map.tif") as raster:
        np.testing.assert_array_equal(raster.read(1), array)


def test_masks_may_be_written_as_they_are(tmp_path):
    mask = pixels(top=2).astype(bool)
    with open_writer(tmp_path / "map.tif") as writer:
        writer.write(mask, 0, 0)
    with rasterio.open(tmp_path / "map.tif") as raster:
        np.testing.assert_array_equal(raster.read(1), mask)


@pytest.mark.parametrize(
    ("block", "row", "col", "reason"),
    [
        (np.zeros((2, 2), np.uint8), -1, 0, "sticks out"),
        (np.zeros((2, 2), np.uint8), 0, 699, "sticks out"),
        (np.zeros((2, 2), np.uint8), 599, 0, "sticks out"),
        (np.zeros((2, 2), np.int64), 0, 0, "dtype int64"),
        (np.zeros((2, 2), np.float32), 0, 0, "dtype float32"),
        (np.zeros((1, 2, 2), np.uint8), 0, 0, r"shape \(1, 2, 2\)"),
    ],
)
def test_a_bad_block_is_refused_and_the_rest_goes_on(tmp_path, block, row, col, reason):
    with open_writer(tmp_path / "map.tif") as writer:
        with pytest.raises(WriteError, match=reason):
            writer.write(block, row, col)
        writer.write(pixels(), 0, 0)
    with rasterio.open(tmp_path / "map.tif") as raster:
        np.testing.assert_array_equal(raster.read(1), pixels())


# -- whole or not at all


@pytest.fixture
def former(tmp_path):
    """A finished raster that the next one would replace."""
    with open_writer(tmp_path / "map.tif", colours=COLOURS, names=NAMES) as writer:
        writer.write(pixels(), 0, 0)
    return {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_abort_leaves_what_was_there(tmp_path, former):
    writer = open_writer(tmp_path / "map.tif")
    writer.write(np.ones((600, 700), np.uint8), 0, 0)
    writer.abort()
    writer.abort()
    assert contents(tmp_path) == former
    for late in (lambda: writer.write(pixels(), 0, 0), writer.finish):
        with pytest.raises(WriteError, match="start a new writer"):
            late()


def test_an_exception_in_the_block_aborts(tmp_path, former):
    with pytest.raises(KeyboardInterrupt), open_writer(tmp_path / "map.tif") as writer:
        writer.write(np.ones((600, 700), np.uint8), 0, 0)
        raise KeyboardInterrupt
    assert contents(tmp_path) == former


def test_finish_in_the_block_and_abort_after_it_are_fine(tmp_path):
    with open_writer(tmp_path / "map.tif") as writer:
        writer.write(pixels(), 0, 0)
        writer.finish()
    writer.abort()
    assert sorted(contents(tmp_path)) == ["map.tif"]


def test_a_new_raster_replaces_the_former_one_and_its_names(tmp_path, former):
    assert sorted(former) == ["map.tif", "map.tif.aux.xml"]
    with open_writer(tmp_path / "map.tif", dtype="float32", nodata=None) as writer:
        writer.write(np.ones((600, 700), np.float32), 0, 0)
    assert sorted(contents(tmp_path)) == ["map.tif"]
    with rasterio.open(tmp_path / "map.tif") as raster:
        assert raster.dtypes == ("float32",)


def test_a_kill_leaves_the_former_raster_and_its_remains_are_cleaned_later(tmp_path, former, spawn):
    child = spawn(WRITE_AND_WAIT, tmp_path / "map.tif")
    assert child.stdout.readline() == "written\n"
    child.kill()
    child.wait()
    (left,) = leftovers(tmp_path)
    assert {name: content for name, content in contents(tmp_path).items() if name != left} == former
    open_writer(tmp_path / "map.tif").abort()
    assert leftovers(tmp_path) == [left], "it might belong to a living process"
    long_ago = os.stat(tmp_path / left).st_mtime - 48 * 3600
    os.utime(tmp_path / left, (long_ago, long_ago))
    open_writer(tmp_path / "other.tif").abort()
    assert leftovers(tmp_path) == [left]
    open_writer(tmp_path / "map.tif").abort()
    assert contents(tmp_path) == former


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of a process's files")
@pytest.mark.parametrize("room", [200_000, 1_150_000])
def test_a_full_disk_leaves_the_former_raster(tmp_path, former, spawn, room):
    """Noise of 1 MiB: with little room the blocks fail, with more of it the overviews of the final file do."""
    said = spawn(FILL_THE_DISK, tmp_path / "map.tif", room).communicate()[0]
    assert said.startswith("refused:") and "map.tif" in said
    assert contents(tmp_path) == former


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of a process's files")
@pytest.mark.parametrize("room", [1_000, 40_000, 270_000])
def test_a_last_tile_that_does_not_reach_a_full_disk_is_missed(tmp_path, former, room):
    """GDAL writes it on closing, and says nothing."""
    noise = np.random.default_rng(0).integers(1, 256, (100, 700), dtype=np.uint8)
    with (
        room_for(room),
        pytest.raises(WriteError, match=r"map\.tif.*free space"),
        open_writer(tmp_path / "map.tif") as one,
    ):
        one.write(noise, 0, 0)
    assert contents(tmp_path) == former


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(WriteError, match="create it"):
        open_writer(tmp_path / "nowhere" / "map.tif")
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_that_goes_away_meanwhile_is_an_error_of_ours(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    writer = open_writer(folder / "map.tif")
    writer.write(pixels(), 0, 0)
    moved = Path(folder).rename(tmp_path / "moved")
    with pytest.raises(WriteError, match=r"map\.tif"):
        writer.finish()
    assert not folder.exists() and not (moved / "map.tif").exists()


def test_names_with_odd_characters(tmp_path):
    path = tmp_path / "Karte [1] für *äöü*.tif" if os.name != "nt" else tmp_path / "Karte [1] für äöü.tif"
    with open_writer(path, names=NAMES) as writer:
        writer.write(pixels(), 0, 0)
    with rasterio.open(path) as raster:
        np.testing.assert_array_equal(raster.read(1), pixels())
    assert leftovers(tmp_path) == []
