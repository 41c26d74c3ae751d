"""Chips: read back by pycocotools and rasterio, and as one of seglab's own datasets."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from pycocotools.coco import COCO
from shapely.geometry import Point, box

from seglab.bench.ground import open_ground
from seglab.core.raster import Scene
from seglab.core.windows import Window
from seglab.datasets.folder import open_dataset
from seglab.datasets.pairs import open_pairs
from seglab.errors import NoLabelsError, WriteError
from seglab.export.chips import ChipLabels, ChipObject, Chipping, export_chips
from seglab.export.coco import run_lengths
from seglab.jobs import SilentReporter
from tests.rasters import make_raster

SIZE = 64
RING = shapely.difference(box(40, 40, 100, 100), box(60, 60, 70, 70))
"""On four chips, with a hole on one of them."""
LABELS = ChipLabels(
    ("field", "water"),
    (
        ChipObject(7, "water", RING),
        ChipObject(8, "field", box(130, 10, 150, 30)),
        ChipObject(9, "field", box(200, 200, 210, 210), unsure=True),
    ),
    (box(128, 0, 192, 64),),
)

FIELDS = tuple((x, y) for x in range(6, 320, 32) for y in range(6, 256, 32))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene.open(make_raster(tmp_path / "scene.tif", 300, 250))


def write(scene: Scene, folder: Path, **options) -> Path:
    return export_chips(SilentReporter(), scene, LABELS, folder, Chipping(SIZE, **options))


def image_of(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read()


def test_masks_say_what_is_known_and_what_is_not(scene: Scene, tmp_path: Path) -> None:
    folder = write(scene, tmp_path / "chips")
    names = sorted(path.stem for path in (folder / "images").iterdir())
    assert names == [f"scene_{row:06d}_{col:06d}" for row, col in ((0, 0), (0, 64), (0, 128), (64, 0), (64, 64))]
    ringed = image_of(folder / "masks" / "scene_000000_000000.png")[0]
    assert ringed[63, 63] == 255 and ringed[50, 50] == 2 and ringed[10, 10] == 255  # hole and far away: unknown
    reviewed = image_of(folder / "masks" / "scene_000000_000128.png")[0]
    assert reviewed[20, 10] == 1 and reviewed[50, 50] == 0 and (reviewed != 255).all()
    rgb = image_of(folder / "images" / "scene_000064_000064.png")
    np.testing.assert_array_equal(np.moveaxis(rgb, 0, -1), scene.rgb(Window(64, 64, SIZE, SIZE))[0])


def test_pycocotools_finds_the_same_masks(scene: Scene, tmp_path: Path) -> None:
    folder = write(scene, tmp_path / "chips")
    seen = 0
    for part in ("train", "val", "test"):
        coco = COCO(folder / "coco" / f"{part}.json")
        assert [entry["name"] for entry in coco.cats.values()] == ["field", "water"]
        for entry in coco.loadImgs(coco.getImgIds()):
            image = folder / "coco" / entry["file_name"]
            mask = image_of(folder / "masks" / f"{image.stem}.png")[0]
            for one in coco.loadAnns(coco.getAnnIds(entry["id"])):
                found = coco.annToMask(one).astype(bool)
                np.testing.assert_array_equal(found, mask == one["category_id"])
                rows, cols = np.nonzero(found)
                assert one["bbox"] == [cols.min(), rows.min(), np.ptp(cols) + 1, np.ptp(rows) + 1]
                assert one["area"] == found.sum()
                seen += 1
    assert seen == 5


def test_no_block_is_in_two_parts(tmp_path: Path) -> None:
    scene = Scene.open(make_raster(tmp_path / "wide.tif", 320, 256))
    labels = ChipLabels(("field",), (), (box(0, 0, 320, 256),))
    folder = export_chips(SilentReporter(), scene, labels, tmp_path / "chips", Chipping(32, block=2))
    split = json.loads((folder / "dataset.json").read_text())["split"]
    parts: dict[tuple[int, int], set[str]] = {}
    for part, names in split.items():
        for name in names:
            _, row, col = name.rsplit("_", 2)
            parts.setdefault((int(row) // 64, int(col) // 64), set()).add(part)
    assert all(len(found) == 1 for found in parts.values())
    total = sum(map(len, split.values()))
    assert [len(split[part]) / total for part in ("train", "val", "test")] == pytest.approx([0.7, 0.15, 0.15], abs=0.06)


def test_chips_that_overlap_keep_to_their_block(tmp_path: Path) -> None:
    scene = Scene.open(make_raster(tmp_path / "wide.tif", 310, 250))
    labels = ChipLabels(("field",), (), (box(0, 0, 310, 250),))
    how = Chipping(32, overlap=0.5, block=2)
    folder = export_chips(SilentReporter(), scene, labels, tmp_path / "chips", how)
    split = json.loads((folder / "dataset.json").read_text())["split"]
    ground = {part: np.zeros((256, 320), int) for part in split}
    for part, names in split.items():
        for name in names:
            row, col = map(int, name.rsplit("_", 2)[1:])
            ground[part][row : row + 32, col : col + 32] += 1
    seen = np.stack(list(ground.values()))[:, :250, :310]
    assert ((seen > 0).sum(axis=0) == 1).all()  # every pixel is in one part
    assert seen.sum(axis=0)[16, 16] == 4 and seen.max() == 4
    plain = export_chips(SilentReporter(), scene, labels, tmp_path / "plain", Chipping(32, block=2))
    assert len(list((plain / "images").iterdir())) == 10 * 8
    with pytest.raises(WriteError, match="overlap by 1"):
        export_chips(SilentReporter(), scene, labels, tmp_path / "all", Chipping(32, overlap=1))


def test_training_and_benchmarks_keep_to_the_split_of_chips(tmp_path: Path) -> None:
    scene = Scene.open(make_raster(tmp_path / "wide.tif", 320, 256))
    fields = tuple(ChipObject(i, "field", box(x, y, x + 20, y + 20)) for i, (x, y) in enumerate(FIELDS, start=1))
    labels = ChipLabels(("field",), fields, (box(0, 0, 320, 256),))
    folder = export_chips(SilentReporter(), scene, labels, tmp_path / "chips", Chipping(32, block=2))
    dataset, pairs = open_dataset(folder), open_pairs(folder)
    names = list(dataset.files)
    assert {part: list(ids) for part, ids in dataset.split.items()} == json.loads(
        (folder / "dataset.json").read_text()
    )["split"]
    for part, indexes in zip(("train", "val"), pairs.parts, strict=True):
        assert [names[i] for i in indexes] == dataset.ids(part) == list(open_ground(dataset, part).ids)
    assert len(dataset.ids("train")) + len(dataset.ids("val")) < len(names)  # the test part is in neither


def test_ground_kept_out_of_training_is_for_the_test(scene: Scene, tmp_path: Path) -> None:
    for seed in range(3):
        labels = replace(LABELS, never_train=(Point(20, 20).buffer(5),))
        folder = export_chips(SilentReporter(), scene, labels, tmp_path / str(seed), Chipping(SIZE, 1, seed=seed))
        split = json.loads((folder / "dataset.json").read_text())["split"]
        assert "scene_000000_000000" in split["test"]
        assert split["train"]


def test_chips_of_which_little_is_known_are_left_out(scene: Scene, tmp_path: Path) -> None:
    folder = write(scene, tmp_path / "chips", least_known=0.9)
    assert [path.stem for path in (folder / "masks").iterdir()] == ["scene_000000_000128"]
    places = json.loads((folder / "chips.geojson").read_text())["features"]
    assert [place["properties"]["id"] for place in places] == ["scene_000000_000128"]
    with pytest.raises(NoLabelsError, match="ask for less"):
        export_chips(
            SilentReporter(), scene, replace(LABELS, reviewed=()), tmp_path / "none", Chipping(SIZE, least_known=0.9)
        )


def test_each_chip_has_its_place(scene: Scene, tmp_path: Path) -> None:
    folder = write(scene, tmp_path / "chips", bands=True)
    for place in json.loads((folder / "chips.geojson").read_text())["features"]:
        known = place["properties"]
        with rasterio.open(folder / "images" / f"{known['id']}.tif") as chip:
            assert known["proj:code"] == chip.crs.to_string() and known["proj:shape"] == list(chip.shape)
            assert known["proj:transform"] == pytest.approx(list(chip.transform)[:6])


def test_all_bands_keep_their_place(scene: Scene, tmp_path: Path) -> None:
    folder = write(scene, tmp_path / "chips", bands=True)
    with rasterio.open(folder / "images" / "scene_000064_000064.tif") as chip:
        assert chip.crs == scene.grid.crs and chip.count == scene.count
        assert chip.transform @ (0, 0) == pytest.approx(scene.grid.transform @ (64, 64))
        np.testing.assert_array_equal(chip.read(), scene.read(Window(64, 64, SIZE, SIZE), scene.data_bands)[0])


def test_it_is_a_dataset_of_ours(scene: Scene, tmp_path: Path) -> None:
    dataset = open_dataset(write(scene, tmp_path / "chips"))
    assert dataset.classes == {0: "background", 1: "field", 2: "water"} and dataset.targets == (1, 2)
    image = dataset.read("scene_000000_000128")
    assert set(np.unique(image.mask)) == {0, 1} and image.instances.max() == 1


def test_a_run_of_ones_at_either_end() -> None:
    mask = np.array([[1, 0], [0, 1]], dtype=bool)
    assert run_lengths(mask)["counts"] == [0, 1, 2, 1]
    assert run_lengths(~mask)["counts"] == [1, 2, 1]
    assert run_lengths(np.zeros((2, 2), dtype=bool))["counts"] == [4]
    assert run_lengths(np.ones((2, 2), dtype=bool))["counts"] == [0, 4]


def test_nothing_to_write_and_a_folder_that_is_there(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(NoLabelsError, match="label something"):
        empty = ChipLabels(("field",), (ChipObject(1, "field", Point(9000, 9000).buffer(5)),))
        export_chips(SilentReporter(), scene, empty, tmp_path / "chips")
    (tmp_path / "chips").mkdir()
    with pytest.raises(WriteError, match="new folder"):
        write(scene, tmp_path / "chips")
    assert list((tmp_path / "chips").iterdir()) == []
