"""Several scenes in one project: labels of their own, the same classes and rounds, one log."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from shapely.geometry import box

import seglab
from seglab import errors
from seglab.app.annotators.annotators import compare_projects
from seglab.app.history.replay import Drawing, replay
from seglab.app.history.state import History, reduce
from seglab.app.session import LabelSession
from seglab.jobs import SilentReporter
from seglab.store.project import Project

Tiles = list[Path]


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Tiles:
    """Two scenes in a folder: 400 x 300 pixels of 10 m in UTM 33, 320 x 360 of 5 m in UTM 34; each with one pond."""
    folder = tmp_path_factory.mktemp("tiles")
    rng = np.random.default_rng(3)
    paths = []
    for name, (width, height), side, crs in (("a", (400, 300), 10, 32633), ("b", (320, 360), 5, 32634)):
        image = rng.normal(110, 9, (3, height, width))
        rows, cols = np.mgrid[:height, :width]
        image[:, (cols - 150) ** 2 + (rows - 120) ** 2 < 40**2] = np.array([24, 46, 92])[:, None]
        paths.append(folder / f"{name}.tif")
        with rasterio.open(
            paths[-1], "w", driver="GTiff", width=width, height=height, count=3, dtype="uint8", crs=crs,
            transform=from_origin(500_000, 5_000_000, side, side), photometric="RGB",
        ) as target:  # fmt: skip
            target.write(np.clip(image, 0, 255).astype(np.uint8))
    return paths


@pytest.fixture
def open_tiles(tiles: Tiles, tmp_path: Path) -> Iterator[Callable[..., LabelSession]]:
    """Opens sessions on the tiles' project; they and those opened from them are closed at the end."""
    opened: list[LabelSession] = []

    def open_(source: object = tiles, **changes: object) -> LabelSession:
        settings = {"classes": ["water"], "project": tmp_path / "p.seglab", "device": "cpu", "isolate": False}
        opened.append(seglab.open(source, **(settings | changes)))
        return opened[-1]

    yield open_
    for session in opened:
        session.close()


@pytest.fixture
def pair(open_tiles) -> Iterator[tuple[LabelSession, LabelSession]]:
    """A session on each tile, in one process."""
    one = open_tiles()
    two = one.open_scene("b")
    yield one, two
    two.close()


def draw(session: LabelSession, *bounds: int, name: str = "water") -> int:
    session.paint(box(*bounds), crs="pixel")
    return session.accept(name).id


def test_the_last_session_that_closes_gives_the_windows_memory_back(pair) -> None:
    one, two = pair
    one.click(150, 120, crs="pixel")
    embeddings, ahead = one._learner.caches["embeddings"]
    ahead.put("one that nobody has asked for", np.zeros(9))
    one.close()
    assert embeddings.nbytes > 0 and ahead.nbytes > 0  # the other session uses the same
    two.close()
    assert embeddings.nbytes == ahead.nbytes == 0


def test_labels_are_of_a_scene_and_classes_of_the_project(pair) -> None:
    one, two = pair
    assert one.scene_name == "a" and two.grid.crs.to_epsg() == 32634
    draw(one, 10, 10, 30, 30)
    draw(two, 10, 10, 50, 30)
    draw(two, 20, 10, 40, 30)
    two.add_class("field")
    assert list(one.classes) == list(two.classes) == ["water", "field"]
    assert [o.geometry.area for o in one.objects] == [400]
    assert dict(one.scenes) == {"a": 1, "b": len(two.objects)}
    assert two.areas.loc["water", "hectares"] == pytest.approx(
        sum(o.geometry.area for o in two.objects) * 25 / 1e4, rel=0.01
    )
    files = [one.project.folder / "labels.gpkg", one.project.folder / "scenes" / "b" / "labels.gpkg"]
    for session, path in zip(pair, files, strict=True):
        table = gpd.read_file(path, layer="labels")
        assert table.crs == session.labels.crs and len(table) == len(session.objects)


def test_a_scene_whose_bands_stand_in_another_order(tiles: Tiles, open_tiles, tmp_path: Path) -> None:
    """What the model sees beside red, green and blue is found too, and a round maps both scenes alike."""
    paths = [tmp_path / name for name in ("first.tif", "turned.tif", "radar.tif")]
    names = (("red", "green", "blue", "nir"), ("nir", "blue", "green", "red"), ("VV", "VH", "hh", "hv"))
    with rasterio.open(tiles[0]) as source:
        rgb, profile = source.read(), source.profile | {"count": 4, "photometric": "minisblack", "alpha": "no"}
    pixels = dict(zip(names[0], (*rgb, 255 - rgb[0]), strict=True))
    for path, order, east in zip(paths, names, (0, 9000, 18000), strict=True):
        place = {"transform": from_origin(500_000 + east, 5_000_000, 10, 10)}
        with rasterio.open(path, "w", **profile | place) as target:
            target.write(np.stack([pixels[name] for name in (order if order[0] in pixels else names[0])]))
            target.descriptions = order
    one = open_tiles(paths[0], bands=(1, 2, 3), extra_bands=(4,))
    two = one.open_scene(one.add_scene(paths[1]))
    with pytest.raises(errors.BandError, match=r"red.*VV"):
        one.add_scene(paths[2])
    draw(one, 110, 80, 190, 160)
    one.retrain(steps=1).result()
    assert one.rounds[0].card["band_labels"][3] == {"index": 4, "name": "nir", "colour": "nir"}
    maps = []
    for session in (one, two):
        with rasterio.open(session.predict().result().path) as file:
            maps.append(file.read(1))
    np.testing.assert_array_equal(*maps)
    two.close()
    again = open_tiles(paths[1])  # by itself, though its bands are not those of the manifest
    assert again.scene_name == "turned" and again.scene.bands == (4, 3, 2)
    assert again.project.manifest["bands"] == [1, 2, 3] and len(again.rounds) == 1


def test_undo_keeps_to_the_scene_and_reaches_what_is_shared(pair) -> None:
    one, two = pair
    first = draw(one, 10, 10, 30, 30)
    draw(two, 50, 50, 70, 70)
    assert one.undo() == "accept water" and not one.objects and len(two.objects) == 1
    draw(two, 90, 50, 99, 70)
    one.redo()
    assert [o.id for o in one.objects] == [first] and len(two.objects) == 2
    one.add_class("field")
    assert two.undo() == "add class field" and list(one.classes) == ["water"] and one.can_redo
    draw(two, 120, 50, 130, 70)  # after it, the class cannot come back in either scene
    assert not one.can_redo and list(one.classes) == list(two.classes)
    with pytest.raises(errors.NothingToUndoError):
        one.redo()


def test_a_class_that_comes_with_labels_comes_to_all_scenes(pair, tmp_path) -> None:
    one, two = pair
    draw(one, 10, 10, 30, 30)
    file = one.export(tmp_path / "some.geojson")
    table = gpd.read_file(file).assign(**{"class": "forest"})
    table.to_file(tmp_path / "forest.geojson")
    one.import_labels(tmp_path / "forest.geojson")
    assert dict(two.classes) == dict(one.classes) and "forest" in two.classes
    one.undo()
    assert dict(two.classes) == dict(one.classes) and "forest" not in two.classes


def test_renaming_a_class_reaches_the_labels_files_of_all_scenes(pair) -> None:
    one, two = pair
    draw(two, 10, 10, 50, 30)
    one.rename_class("water", "lake")
    assert [o.class_name for o in two.objects] == ["lake"]
    assert set(one.project.read_labels("b")["class"]) == {"lake"}
    one.undo()
    assert set(one.project.read_labels("b")["class"]) == {"water"}


def test_only_files_whose_labels_changed_are_written(pair, monkeypatch) -> None:
    one, two = pair
    draw(one, 10, 10, 30, 30)
    draw(two, 10, 10, 30, 30)
    written: list[str | None] = []
    write = Project.write_labels
    monkeypatch.setattr(Project, "write_labels", lambda self, *a: written.append(a[2]) or write(self, *a))
    monkeypatch.setattr(Project, "change_labels", lambda self, *a: False)
    draw(one, 40, 10, 60, 30)
    two.add_class("field")
    two.undo()
    one.undo()
    assert written == [None, "b", "b", None]
    one.recolour_class("water", "#123456")
    assert written[4:] == [None, "b"]


def test_another_annotators_project_may_have_the_scene_anywhere(pair, open_tiles, tiles, tmp_path) -> None:
    one, two = pair
    draw(two, 10, 10, 30, 30)
    other = open_tiles(tiles[1], project=tmp_path / "hers.seglab")
    draw(other, 10, 10, 30, 30)
    assert other.agreement(one.project.folder).f1 == 1
    assert compare_projects(one.project.folder, tmp_path / "hers.seglab", "b").f1 == 1
    with pytest.raises(errors.ProjectError, match="has no scene 'c'"):
        compare_projects(one.project.folder, tmp_path / "hers.seglab", "c")


def test_the_project_reopens_on_the_scene_that_was_used_last(open_tiles, tiles, tmp_path) -> None:
    one = open_tiles()
    two = one.open_scene("b")
    draw(two, 10, 10, 50, 30)
    two.close()
    folder = tmp_path / "p.seglab"
    for source, project in (([*tiles], folder), (folder, None), (str(folder), None), (None, folder)):
        again = open_tiles(source, project=project)
        assert again.scene_name == "b" and len(again.objects) == 1
    assert open_tiles(tiles[0]).scene_name == "a"
    assert open_tiles(tiles[1]).scene_name == "b"
    assert list(open_tiles().scenes) == ["a", "b"]  # each of them once


def test_a_project_of_one_scene_stays_as_it_was_and_takes_more(open_tiles, tiles) -> None:
    one = open_tiles(tiles[0])
    draw(one, 10, 10, 30, 30)
    assert "scenes" not in one.project.manifest and all("scene" not in e.data for e in one.project.events())
    with pytest.raises(errors.ProjectError, match="list of scenes"):
        open_tiles(tiles[1])
    assert one.add_scene(tiles[1]) == "b" and one.add_scene(tiles[1]) == "b"
    two = one.open_scene("b")
    draw(two, 10, 10, 30, 30)
    assert one.project.events()[-1].data["scene"] == "b" and dict(one.scenes) == {"a": 1, "b": 1}
    two.close()


def test_scenes_that_do_not_fit_are_refused(open_tiles, tiles, tmp_path) -> None:
    one = open_tiles(tiles[0], bands=[3, 2, 1])
    grey = tmp_path / "grey.tif"
    with rasterio.open(tiles[1]) as source, rasterio.open(grey, "w", **(source.profile | {"count": 1})) as target:
        target.write(source.read(1), 1)
    with pytest.raises(errors.BandError):
        one.add_scene(grey)
    with pytest.raises(errors.SceneNotFoundError):
        one.add_scene(tmp_path / "missing.tif")
    with pytest.raises(errors.ProjectError, match="add_scene"):
        one.open_scene("b")
    with pytest.raises(errors.ProjectError, match="nothing to open"):
        seglab.open()
    assert list(one.scenes) == ["a"]


def test_scenes_of_the_same_name_and_arrays(open_tiles, tiles, tmp_path) -> None:
    other = tmp_path / "A.tif"
    other.write_bytes(tiles[1].read_bytes())
    image = np.random.default_rng(0).integers(0, 255, (200, 260, 3), dtype=np.uint8)
    one = open_tiles([tiles[0], other, image])
    assert list(one.scenes) == ["a", "A_2", "image"]
    three = one.open_scene("image")
    assert three.shape == (200, 260)
    draw(three, 10, 10, 30, 30)
    three.close()


def test_the_way_back_to_an_array_after_its_session_was_left(tmp_path) -> None:
    first, second = np.random.default_rng(0).integers(0, 255, (2, 96, 96, 3), dtype=np.uint8)
    session = seglab.open(first, classes=["pond"], project=tmp_path / "p.seglab", device="cpu", isolate=False)
    other = session.open_scene(session.add_scene(second))
    session.leave()
    back = other.open_scene(next(iter(other.scenes)))
    assert back.shape == (96, 96) and back.scene_name == next(iter(other.scenes))
    other.close()
    back.close()


def test_the_folder_may_move_with_its_scenes(open_tiles, tiles, tmp_path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    for tile in tiles:
        (before / tile.name).write_bytes(tile.read_bytes())
    one = open_tiles([before / "a.tif", before / "b.tif"], project=before / "p.seglab")
    one.close()
    before.rename(after)
    again = open_tiles(after / "p.seglab", project=None)
    two = again.open_scene("b")
    assert Path(two.scene.path) == after / "b.tif"
    two.close()


def test_two_notebooks_with_different_scenes_open(open_tiles, tiles) -> None:
    one, two = open_tiles(), open_tiles(tiles[1])
    draw(one, 10, 10, 30, 30)
    draw(two, 40, 10, 60, 30)
    one.rename_class("water", "lake")
    with pytest.raises(errors.UnknownClassError):
        draw(two, 80, 10, 90, 30)
    draw(two, 80, 10, 90, 30, name="lake")
    assert one.undo() == "rename class water to lake"
    assert dict(two.scenes) == dict(one.scenes) == {"a": 1, "b": 2}
    two.undo()
    assert [o.class_name for o in two.objects] == ["water"] and len(one.objects) == 1
    log = one.project.events()
    assert reduce(log).objects == one.objects and reduce(log, "b").objects == two.objects


def test_a_round_and_a_rollback_are_in_use_in_all_scenes(pair) -> None:
    one, two = pair
    draw(one, 110, 80, 190, 160)
    heard = []
    two.subscribe(lambda session, what: heard.append((what, session.round)))
    one.retrain(steps=2).result()
    assert one.round == two.round == 1 and ("round", 1) in heard
    assert two.click(150, 120, crs="pixel").round == 1
    two.rollback(0)
    assert one.round == 0
    one.undo()
    assert two.round == one.round == 1


def test_a_session_that_is_left_finishes_its_jobs(pair) -> None:
    one, two = pair
    draw(one, 110, 80, 190, 160)
    job = one.retrain(steps=4)
    closed = []
    one.subscribe(lambda session, what: closed.append(what == "closed"))
    one.leave()
    with pytest.raises(errors.JobRunningError):
        two.retrain()
    job.result()
    assert two.round == 1 and any(closed)


def test_views_and_maps_of_scenes_stand_apart(pair) -> None:
    one, two = pair
    draw(two, 110, 80, 190, 160)
    path = two.predict().result().path
    assert path.is_relative_to(one.project.folder / "scenes" / "b") and one.prediction is None
    assert two.prediction is not None and two.prediction.path == path


def test_the_history_of_scenes_step_by_step_is_that_of_all_at_once(pair) -> None:
    one, two = pair
    for session, steps in ((one, "ad"), (two, "aac"), (one, "ua"), (two, "ur"), (one, "rad"), (two, "uu"), (one, "u")):
        for step in steps:
            if step == "a":
                draw(session, 10 * len(session.project.events()), 10, 10 * len(session.project.events()) + 15, 30)
            elif step == "d":
                session.delete(session.objects[0].id)
            elif step == "c":
                session.add_class(f"class {len(session.project.events())}")
            elif step == "r" and session.can_redo:
                session.redo()
            elif step == "u":
                session.undo()
            history = History()
            for event in (log := session.project.events()):
                history.follow(event)
            for scene, own in ((None, one), ("b", two)):
                assert history.state(scene) == reduce(log, scene) == own.state
                again = reduce(history.done, scene)
                assert again.objects == own.objects and dict(again.classes) == dict(own.classes)
            assert dict(one.classes) == dict(two.classes)


def test_the_manifest_names_the_scenes(open_tiles, tmp_path) -> None:
    open_tiles()
    known = json.loads((tmp_path / "p.seglab" / "project.json").read_text())
    assert known["scene"]["name"] == "a" and [card["name"] for card in known["scenes"]] == ["b"]
    assert Project.open(tmp_path / "p.seglab").scene_names == ["a", "b"]


def test_the_code_makes_all_scenes_again(pair, tmp_path, monkeypatch) -> None:
    one, two = pair
    for session in pair:
        session.follows = False
    one.click(150, 120, crs="pixel")
    one.accept("water")
    two.scale = 2
    two.click(150, 120, crs="pixel")
    two.click(190, 150, positive=False, crs="pixel")
    kept = two.accept("water").id
    one.add_class("field", "#123456")
    draw(one, 10, 10, 30, 30, name="field")
    two.edit(kept, class_name="field", note="seen")
    two.review(box(0, 0, 60, 60), crs="pixel")
    monkeypatch.chdir(tmp_path)
    code = two.as_code()
    assert code == one.as_code() and "paint(shapely.from_wkt" in code and "do not give" not in code
    names: dict[str, object] = {}
    exec(compile(code, "as_code", "exec"), names)
    made = names["sessions"]
    assert [s.scene_name for s in made] == ["a", "b"]
    for old, new in zip(pair, made, strict=True):
        assert dict(new.classes) == dict(old.classes)
        assert all(a.equals(b) for a, b in zip(new.reviewed, old.reviewed, strict=True))
        assert [(o.class_name, o.note) for o in new.objects] == [(o.class_name, o.note) for o in old.objects]
        assert all(a.geometry.equals(b.geometry) for a, b in zip(new.objects, old.objects, strict=True))
        new.close()


def test_a_replay_compares_the_labels_of_all_scenes(pair, tmp_path) -> None:
    one, two = pair
    one.follows = two.follows = False
    one.click(150, 120, crs="pixel")
    one.accept("water")
    two.click(150, 120, crs="pixel")
    two.accept("water")
    draw(two, 10, 10, 30, 30)
    source = one.project.folder
    found = replay(SilentReporter(), source, tmp_path / "out.seglab", Drawing(device="cpu"))
    assert found.equal and found.objects == 3
    drawn = [(m.id, m.iou) for m in found.masks if m.iou is not None]
    assert drawn == [(o.id, 1.0) for o in (*one.objects, two.objects[0])]
    assert len(Project.open(found.folder).read_labels("b")) == 2
    table = one.project.read_labels("b")
    one.project.write_labels(table.iloc[:1], {"water": "#000000"}, "b")
    (difference,) = replay(SilentReporter(), source).differences
    assert difference == "scene 'b': labels.gpkg holds 1 objects, and the log leads to 2"
    with pytest.raises(errors.ProjectError, match="leave --scene out"):
        replay(SilentReporter(), source, None, Drawing(scene="a.tif", device="cpu"))
