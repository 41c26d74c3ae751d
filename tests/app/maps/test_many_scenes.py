"""A round maps scenes that its project has never seen; what fails is said, and what is there stays."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from shapely.geometry import box

import seglab
from seglab.app.maps.many_scenes import ManySettings, map_scenes, target_paths
from seglab.app.rounds.round_model import RoundModel, load_round
from seglab.cli import main
from seglab.core import handles
from seglab.errors import (
    DamagedSceneError,
    ProjectError,
    RoundMismatchError,
    SceneNotFoundError,
    UnknownRoundError,
    WriteError,
)
from seglab.export.mosaic import mosaic
from seglab.jobs import SilentReporter
from tests.disk import room_for
from tests.rasters import damage_tile
from tests.web import serving

SIDE = 300
PONDS = ((80, 90), (210, 200))


def write_scene(path: Path, east: float, size: float = 10.0, bands: int = 3, crs: int | None = 32633, **more) -> Path:
    """A scene with two ponds, `east` metres from the first one."""
    rows, cols = np.mgrid[:SIDE, :SIDE]
    water = np.any([(cols - c) ** 2 + (rows - r) ** 2 < 40**2 for c, r in PONDS], axis=0)
    noise = np.random.default_rng(4).normal(0, 9, (bands, SIDE, SIDE))
    image = np.where(water, np.array([24, 46, 92, 30])[:bands, None, None], 120) + noise
    with rasterio.open(
        path, "w", driver="GTiff", width=SIDE, height=SIDE, count=bands, dtype="uint8", crs=crs,
        transform=from_origin(500_000 + east, 5_000_000, size, size), **more,
    ) as target:  # fmt: skip
        target.write(np.clip(image, 1, 255).astype(np.uint8))
    return path


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose round 1 knows water."""
    folder = tmp_path_factory.mktemp("rounds")
    scene = write_scene(folder / "home.tif", 0)
    session = seglab.open(
        scene, {"field": "#e69f00", "water": "#0072b2"}, folder / "p.seglab", device="cpu", isolate=False
    )
    session.paint(box(50, 60, 110, 120), crs="pixel")
    session.accept("water")
    session.retrain(steps=1).result()
    session.export_round(1, folder / "round.safetensors")
    session.close()
    return session.project.folder


@pytest.fixture(scope="module")
def model(project: Path) -> RoundModel:
    return load_round(project, device="cpu")


def test_a_round_knows_its_classes_bands_and_resolution(project: Path, model: RoundModel) -> None:
    assert (model.number, model.bands, model.extra_bands) == (1, (1, 2, 3), ())
    assert [(c.value, c.name, c.colour) for c in model.classes] == [(2, "water", "#0072b2")]
    assert model.resolution == pytest.approx(10, rel=0.01)
    by_folder = load_round(project / "rounds" / "001", device="cpu")
    from_file = load_round(project.parent / "round.safetensors", device="cpu")
    assert by_folder.classes[0].value == 2 and from_file.classes[0].name == "water"


def test_it_maps_as_its_session_does(project: Path, model: RoundModel, tmp_path: Path) -> None:
    session = seglab.open(project=project, device="cpu")
    there = session.predict(tmp_path / "session.tif").result()
    session.close()
    (made,) = map_scenes(SilentReporter(), model, [project.parent / "home.tif"], [tmp_path / "m.tif"], ManySettings())
    with rasterio.open(there.path) as first, rasterio.open(made.prediction.path) as second:
        np.testing.assert_array_equal(first.read(), second.read())
        assert first.tags(1)["class_2"] == second.tags(1)["class_2"] == "water"
    item = json.loads((tmp_path / "m.json").read_text())
    assert item["type"] == "Feature" and item["properties"]["proj:code"] == "EPSG:32633"


def test_what_fails_is_listed_and_the_others_are_mapped(model: RoundModel, tmp_path: Path) -> None:
    good, broken = write_scene(tmp_path / "good.tif", 3000), tmp_path / "broken.tif"
    broken.write_bytes(good.read_bytes()[:200])
    grey = write_scene(tmp_path / "grey.tif", 0, bands=1)
    sources = [broken, good, grey, tmp_path / "gone.tif"]
    found = map_scenes(SilentReporter(), model, sources, target_paths(sources, tmp_path / "maps"), ManySettings())
    assert [one.prediction is None for one in found] == [True, False, True, True]
    assert "bands 1 (red), 2 (green), 3 (blue)" in found[2].error and "gone.tif" in found[3].error
    with pytest.raises(RoundMismatchError, match="same bands"):
        model.open(grey)


def test_bands_in_another_order_are_found_by_what_they_are(model: RoundModel, tmp_path: Path) -> None:
    plain, turned = write_scene(tmp_path / "rgb.tif", 0), tmp_path / "turned.tif"
    nameless, other = tmp_path / "nameless.tif", tmp_path / "other.tif"
    with rasterio.open(plain) as source:
        pixels, profile = source.read(), source.profile | {"photometric": "minisblack"}
    for path, names in (
        (turned, ("blue", "green", "red")),
        (nameless, ("", "", "")),
        (other, ("VV", "VH", "slope")),
    ):
        with rasterio.open(path, "w", **profile) as target:
            target.write(pixels[::-1])
            for band, name in enumerate(names, start=1):
                target.set_band_description(band, name)
    maps = [tmp_path / f"map_{n}.tif" for n in range(3)]
    rgb, bgr = map_scenes(SilentReporter(), model, [plain, turned], maps[:2], ManySettings())
    np.testing.assert_array_equal(_read(bgr.prediction.path), _read(rgb.prediction.path))
    with pytest.warns(UserWarning, match="by their places"), model.open(nameless) as scene:
        assert scene.bands == (1, 2, 3)
    (said,) = map_scenes(SilentReporter(), model.seeing((3, 2, 1)), [nameless], maps[2:], ManySettings())
    np.testing.assert_array_equal(_read(said.prediction.path), _read(rgb.prediction.path))
    with pytest.raises(RoundMismatchError, match=r"band 1 \(red\).*1 \(VV\), 2 \(VH\), 3 \(slope\).*--bands"):
        model.open(other)
    with model.seeing(("slope", "VH", "VV")).open(other) as scene:
        assert scene.bands == (3, 2, 1)
    with pytest.raises(RoundMismatchError, match="sees 3 bands"):
        model.seeing((1, 2))


def test_a_round_comes_to_a_project_whose_bands_stand_otherwise(project: Path, tmp_path: Path) -> None:
    turned = write_scene(tmp_path / "turned.tif", 0, photometric="minisblack")
    with rasterio.open(turned, "r+") as file:
        file.descriptions = ("blue", "green", "red")
    for folder, bands in (("same", None), ("other", (1, 2, 3))):
        session = seglab.open(turned, project=tmp_path / f"{folder}.seglab", bands=bands, device="cpu")
        if bands is None:
            made = session.import_round(project.parent / "round.safetensors")
            assert made.card["bands"] == list(session.scene.bands) == [3, 2, 1]
        else:
            with pytest.raises(RoundMismatchError, match="bands"):
                session.import_round(project.parent / "round.safetensors")
        session.close()


def test_what_breaks_on_the_way_does_not_stop_the_others(model: RoundModel, tmp_path: Path, monkeypatch) -> None:
    """A damaged tile, a server that fails, a disk without room for one map: each is said, and the next run goes on."""
    names, tiled = ("torn", "web", "full", "fine"), {"tiled": True, "compress": "deflate"}
    sources = [write_scene(tmp_path / f"{name}.tif", 0, **tiled) for name in names]
    damage_tile(sources[0], 1, 1)
    monkeypatch.setitem(handles._REMOTE_OPTIONS, "GDAL_HTTP_RETRY_DELAY", "0.01")
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "full.tif.parts").touch()  # its blocks have no place
    with serving(tmp_path) as web:
        sources[1] = web / "web.tif"
        web.fails_after = 1
        targets = target_paths(sources, tmp_path / "maps")
        found = map_scenes(SilentReporter(), model, sources, targets, ManySettings())
    assert [one.error is None for one in found] == [False, False, False, True]
    assert "torn.tif" in found[0].error and "X offset 1, Y offset 1" in found[0].error
    assert "web.tif" in found[1].error and "full.tif" in found[2].error
    standing = sorted(path.name for path in (tmp_path / "maps").glob("*.tif") if path.is_file())
    assert standing == ["fine.tif", "fine_confidence.tif"]
    (tmp_path / "maps" / "full.tif.parts").unlink()
    assert map_scenes(SilentReporter(), model, sources[2:3], targets[2:3], ManySettings())[0].error is None


def test_a_finished_map_stays_as_it_is_and_an_edited_scene_is_mapped_again(model: RoundModel, tmp_path: Path) -> None:
    scene, target = write_scene(tmp_path / "s.tif", 0), tmp_path / "m.tif"
    before = _mapped(model, scene, target)
    assert _mapped(model, scene, target) == before
    write_scene(scene, 500)
    assert _mapped(model, scene, target) != before


def _mapped(model: RoundModel, scene: Path, target: Path) -> int:
    (made,) = map_scenes(SilentReporter(), model, [scene], [target], ManySettings())
    return made.prediction.path.stat().st_ino  # a file that is written anew is another one


def test_finer_pixels_are_looked_at_in_the_rounds_resolution(model: RoundModel, tmp_path: Path) -> None:
    with model.open(write_scene(tmp_path / "fine.tif", 0, size=2.5)) as scene:
        assert model.scale(scene) == 4
        assert model.scale(scene, 5.0) == 2
        assert model.scale(scene, 0.1) == 1
    with model.open(write_scene(tmp_path / "plain.png.tif", 0, crs=None)) as scene:
        assert model.scale(scene) == 1


def test_an_area_keeps_the_map_to_itself(model: RoundModel, tmp_path: Path) -> None:
    scene, far = write_scene(tmp_path / "s.tif", 0), write_scene(tmp_path / "far.tif", 90_000)
    area = gpd.GeoDataFrame(geometry=[box(500_500, 4_999_000, 501_000, 4_999_500)], crs=32633).to_crs(4326)
    targets = [tmp_path / "a.tif", tmp_path / "b.tif"]
    inside, outside = map_scenes(SilentReporter(), model, [scene, far], targets, ManySettings(area=area))
    with rasterio.open(inside.prediction.path) as made:
        mapped = made.read(1) != 255
    assert mapped[51:99, 51:99].all() and mapped.sum() == pytest.approx(50 * 50, rel=0.05)
    assert "does not touch" in outside.error


def test_two_scenes_of_one_name_get_two_maps(tmp_path: Path) -> None:
    names = target_paths(["a/x.tif", "b/x.tif", "https://host/y.tif?sig=1"], tmp_path)
    assert [path.name for path in names] == ["x.tif", "x_2.tif", "y.tif"]


def test_a_mosaic_takes_the_surer_map_where_two_overlap(model: RoundModel, tmp_path: Path) -> None:
    paths = [write_scene(tmp_path / f"{n}.tif", east) for n, east in (("a", 0), ("b", 2000))]
    targets = target_paths(paths, tmp_path / "maps")
    map_scenes(SilentReporter(), model, paths, targets, ManySettings())
    made = mosaic(SilentReporter(), targets, tmp_path / "all.tif")
    values = [_read(path) for path in targets]
    sure = [_read(path.with_name(f"{path.stem}_confidence.tif")) for path in targets]
    whole, percent = _read(made), _read(made.with_name("all_confidence.tif"))
    assert whole.shape == (SIDE, SIDE + 200)
    np.testing.assert_array_equal(whole[:, :200], values[0][:, :200])
    np.testing.assert_array_equal(whole[:, SIDE:], values[1][:, 100:])
    right = sure[1][:, :100] > sure[0][:, 200:]
    np.testing.assert_array_equal(whole[:, 200:SIDE], np.where(right, values[1][:, :100], values[0][:, 200:]))
    np.testing.assert_array_equal(percent[:, 200:SIDE], np.maximum(sure[0][:, 200:], sure[1][:, :100]))
    assert right.any() and not right.all()


def test_a_mosaic_of_a_damaged_map_names_it(model: RoundModel, tmp_path: Path) -> None:
    paths = [write_scene(tmp_path / f"{n}.tif", east) for n, east in (("a", 0), ("b", 2000))]
    targets = target_paths(paths, tmp_path / "maps")
    map_scenes(SilentReporter(), model, paths, targets, ManySettings())
    whole = targets[1].read_bytes()
    damage_tile(targets[1], 0, 0)
    with pytest.raises(DamagedSceneError, match=r"b\.tif.*again"):
        mosaic(SilentReporter(), targets, tmp_path / "all.tif")
    targets[1].write_bytes(whole)
    with room_for(2_000), pytest.raises(WriteError, match=r"all(_confidence)?\.tif.*free space"):
        mosaic(SilentReporter(), targets, tmp_path / "all.tif")
    assert not [path.name for path in tmp_path.iterdir() if "all" in path.name]
    targets[1].with_name("b_confidence.tif").unlink()
    with pytest.raises(SceneNotFoundError, match=r"b_confidence\.tif"):
        mosaic(SilentReporter(), targets, tmp_path / "all.tif")


def _read(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1)


def test_the_command_maps_a_folder(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "scenes"
    folder.mkdir()
    write_scene(folder / "one.tif", 0)
    (folder / "two.tif").write_bytes(b"no raster")
    out = ["--out", str(tmp_path / "maps"), "--mosaic", str(tmp_path / "all.tif"), "--bands", "1, 2,3"]
    assert main(["predict", str(folder), "--round", str(project), "--device", "cpu", "--json", *out]) == 1
    result = json.loads(capsys.readouterr().out)
    assert [Path(one["scene"]).name for one in result["maps"]] == ["one.tif", "two.tif"]
    assert Path(result["maps"][0]["map"]) == tmp_path / "maps" / "one.tif" and "two.tif" in result["maps"][1]["error"]
    np.testing.assert_array_equal(_read(tmp_path / "all.tif"), _read(tmp_path / "maps" / "one.tif"))


def test_a_round_that_is_not_there(project: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownRoundError, match="no round 7"):
        load_round(project, 7)
    with pytest.raises(ProjectError, match="no project"):
        load_round(tmp_path / "nothing.seglab")
    fresh = seglab.open(write_scene(tmp_path / "s.tif", 0), project=tmp_path / "new.seglab", device="cpu")
    fresh.close()
    with pytest.raises(UnknownRoundError, match="train one"):
        load_round(fresh.project.folder)
