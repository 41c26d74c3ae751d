"""A round learns from all scenes of a project, and is judged on ground of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin
from shapely.geometry import box

import seglab
from seglab.app.rounds.round_scenes import choose_scenes
from seglab.app.session import LabelSession
from seglab.training import judging

PONDS = [(col, row) for row in (60, 180, 300) for col in (60, 180, 300)]
"""(col, row) of the middle of nine ponds, a radius of 25 px each."""


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Five scenes of 360 x 360 pixels, one beside the other."""
    folder = tmp_path_factory.mktemp("tiles")
    rng = np.random.default_rng(5)
    rows, cols = np.mgrid[:360, :360]
    water = np.any([(cols - c) ** 2 + (rows - r) ** 2 < 25**2 for c, r in PONDS], axis=0)
    paths = [folder / f"t{number}.tif" for number in range(5)]
    for number, path in enumerate(paths):
        image = np.where(water, np.array([24, 46, 92])[:, None, None], 120) + rng.normal(0, 9, (3, 360, 360))
        with rasterio.open(
            path, "w", driver="GTiff", width=360, height=360, count=3, dtype="uint8", crs=32633,
            transform=from_origin(500_000 + 3600 * number, 5_000_000, 10, 10), photometric="RGB",
        ) as target:  # fmt: skip
            target.write(np.clip(image, 0, 255).astype(np.uint8))
    return paths


@pytest.fixture
def open_tiles(tmp_path: Path) -> Iterator[Callable[[list[Path]], list[LabelSession]]]:
    """Opens a session on each of some tiles, in one project."""
    opened: list[LabelSession] = []

    def open_(paths: list[Path]) -> list[LabelSession]:
        opened.append(seglab.open(paths, ["water"], tmp_path / "p.seglab", device="cpu", isolate=False))
        opened.extend(opened[0].open_scene(path.stem) for path in paths[1:])
        return opened

    yield open_
    for session in opened:
        session.close()


def label(session: LabelSession, ponds: list[tuple[int, int]], name: str = "water") -> None:
    for col, row in ponds:
        session.paint(box(col - 22, row - 22, col + 22, row + 22), crs="pixel")
        session.accept(name)


def test_a_round_learns_from_all_scenes_and_says_so(open_tiles, tiles) -> None:
    one, two, empty = open_tiles(tiles[:3])
    label(one, PONDS[:2])
    label(two, PONDS[3:4])
    two.add_class("reed")
    label(two, PONDS[5:6], "reed")
    card = empty.retrain(steps=3).result().card
    shown = {entry["name"]: entry for entry in card["scenes"]}
    assert {name: entry["objects"] for name, entry in shown.items()} == {"t0": 2, "t1": 2}
    assert card["labels"] == [o.id for o in (*one.objects, *two.objects)] and card["classes"] == ["water", "reed"]
    trained = shapely.from_wkb(shown["t1"]["trained"])
    assert trained.equals(shapely.union_all([o.geometry for o in two.objects]))
    assert "objects of 2 scenes: 2 of t0, 2 of t1" in card["notes"]
    assert one.round == two.round == empty.round == 1


def test_scenes_with_few_objects_are_held_out_whole(open_tiles, tiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "MAX_CLICKS", 1)  # for speed
    sessions = open_tiles(tiles)
    for session in sessions:
        label(session, PONDS[:5])
    first = sessions[0].retrain(steps=2).result().card
    (held,) = [s for s in sessions if s.kept_out]
    assert held.kept_out[0].area == 360 * 360
    counts = {entry["name"]: (entry["objects"], entry["objects_held_out"]) for entry in first["scenes"]}
    assert counts.pop(held.scene_name) == (0, 5)
    assert len(counts) == 4 and all(trained and not held for trained, held in counts.values())
    assert first["validated"] and first["validation"]["objects"] == 5
    assert f"held out as a whole: {held.scene_name}" in first["notes"]


def test_a_scene_that_cannot_be_read_is_left_out_and_named(open_tiles, tiles, tmp_path) -> None:
    gone = tmp_path / "gone.tif"
    gone.write_bytes(tiles[1].read_bytes())
    one, two = open_tiles([tiles[0], gone])
    label(one, PONDS[:1])
    label(two, PONDS[:1])
    two.close()
    gone.unlink()
    card = one.retrain(steps=1).result().card
    assert [entry["name"] for entry in card["scenes"]] == ["t0"]
    assert "scene 'gone' was left out, with its 1 objects" in card["notes"][0]


def test_a_round_that_comes_from_another_project_is_known_by_its_ground(open_tiles, tiles, tmp_path) -> None:
    one, two = open_tiles(tiles[:2])
    label(two, PONDS[:1])
    one.retrain(steps=1).result()
    one.export_round(1, tmp_path / "round.safetensors")
    other = seglab.open(tiles[1], ["water"], tmp_path / "other.seglab", device="cpu", isolate=False)
    assert [entry["name"] for entry in other.import_round(tmp_path / "round.safetensors").card["scenes"]] == ["t1"]
    other.close()
    third = seglab.open(tiles[2], ["water"], tmp_path / "third.seglab", device="cpu", isolate=False)
    assert third.import_round(tmp_path / "round.safetensors").card["scenes"] == []
    third.close()


@pytest.mark.parametrize(
    ("counts", "held", "trained", "chosen"),
    [
        ({"a": 5, "b": 5}, (), (), 0),  # too few
        ({"a": 10, "b": 10}, (), (), 0),  # half of the objects is too much
        ({"a": 5, "b": 5, "c": 5, "d": 5, "e": 5}, (), (), 1),
        ({"a": 5, "b": 5, "c": 5, "d": 5, "e": 5}, ("c",), (), 0),
        ({"a": 5, "b": 5, "c": 5, "d": 5, "e": 5}, (), "abcde", 0),
        ({f"{n}": 3 for n in range(20)}, (), (), 4),
        ({f"{n}": 3 for n in range(40)}, ("1", "2", "3", "4"), ("5", "6"), 4),  # more were labelled since
    ],
)
def test_about_a_fifth_of_the_objects_is_held_out(counts, held, trained, chosen) -> None:
    found = choose_scenes(counts, held, trained)
    assert len(found) == chosen and not found.intersection((*held, *trained))
    assert found == choose_scenes(dict(reversed(counts.items())), held, trained)
