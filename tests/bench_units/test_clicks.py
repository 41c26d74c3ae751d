"""`bench clicks` on made-up datasets: what is measured, how it is averaged, and what is said about it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from seglab.bench import clicks
from seglab.bench.clicks import format_table, mean_over_datasets, run_clicks, summarise
from seglab.errors import DatasetError, JobCancelled, ModelNotFoundError
from seglab.evaluation.baselines import TOLERANCE
from seglab.evaluation.clicks import ObjectResult
from seglab.jobs import SilentReporter


def write_dataset(folder: Path, images: dict[str, int]) -> None:
    """Images of 80 x 80 with so many square roofs each, bright on dark ground."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for name, roofs in images.items():
        mask = np.zeros((80, 80), np.uint8)
        for i in range(roofs):
            row, col = divmod(i, 4)
            mask[4 + 20 * row : 16 + 20 * row, 4 + 20 * col : 16 + 20 * col] = 1
        rgb = np.where(mask[..., None] == 1, 210, 60).repeat(3, axis=2).astype(np.uint8)
        cv2.imwrite(str(folder / "images" / f"{name}.png"), rgb)
        cv2.imwrite(str(folder / "masks" / f"{name}.png"), mask)
    (folder / "dataset.json").write_text(json.dumps({"classes": {"0": "background", "1": "roof"}}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two datasets: one with three images, one with one."""
    write_dataset(tmp_path / "huts", {"a": 2, "b": 3, "c": 1})
    write_dataset(tmp_path / "sheds", {"a": 4})
    return tmp_path


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the two, only the huts are in the split."""
    monkeypatch.setattr(clicks, "load_splits", lambda: {"huts": {"train": ["b"], "val": ["a", "c"]}})


@pytest.mark.usefixtures("listed")
def test_validation_ground_of_listed_datasets_and_all_of_others(folder):
    result = run_clicks(SilentReporter(), folder, "floodfill")
    assert {name: f["objects"] for name, f in result["datasets"].items()} == {"huts": 3, "sheds": 4}
    assert result["datasets"]["huts"]["images"] == 2
    assert result["notes"] == ["sheds is not in the split file: all its 1 images were used"]
    assert result["overall"]["iou"]["1"] > 0.9  # the borders are blurred where the window is finer than the image
    assert result["overall"]["clicks_to"]["0.90"] == {"mean": 1.0, "failed": 0, "failed_share": 0.0}
    json.dumps(result, allow_nan=False)
    assert run_clicks(SilentReporter(), folder / "huts", "floodfill", part="train")["overall"]["objects"] == 3
    everything = run_clicks(SilentReporter(), folder, "floodfill", part="all", per_image=2)
    assert (everything["overall"]["objects"], everything["notes"]) == (7, [])


@pytest.mark.usefixtures("listed")
def test_the_tolerance_is_chosen_on_training_ground(folder, monkeypatch):
    seen: list[str] = []

    def chosen(cases, told):
        seen.extend(case.group for case in cases)
        return 31

    monkeypatch.setattr(clicks, "best_tolerance", chosen)
    assert run_clicks(SilentReporter(), folder, "floodfill")["tolerance"] == 31
    assert seen == ["b"]
    assert run_clicks(SilentReporter(), folder / "sheds", "floodfill")["tolerance"] == TOLERANCE
    assert seen == ["b"]


def test_a_model_and_grabcut_run_the_same_protocol(folder):
    model = run_clicks(SilentReporter(), folder / "huts", "tiny", device="cpu")
    cut = run_clicks(SilentReporter(), folder / "huts", "grabcut")
    assert model["window"] == cut["window"]
    assert model["overall"]["objects"] == cut["overall"]["objects"] == 6
    assert set(model["overall"]["iou"]) == set(cut["overall"]["iou"]) == {"1", "2", "3", "5", "10", "box"}
    assert model["overall"]["iou"]["10"] > 0.5 and cut["overall"]["iou"]["10"] > 0.5
    assert -1 <= model["overall"]["spearman"] <= 1 and cut["overall"]["spearman"] is None


def results(dataset: str, *ious: float) -> list[ObjectResult]:
    return [ObjectResult(dataset, f"{dataset}{i}", (value,) * 10, value) for i, value in enumerate(ious)]


def test_a_dataset_counts_the_same_however_large():
    figures = [summarise(results("many", 0.9, 0.9, 0.9, 0.9)), summarise(results("one", 0.1, 0.3))]
    overall = mean_over_datasets(figures)
    assert overall["iou"]["1"] == overall["iou"]["box"] == pytest.approx(0.55)
    assert overall["clicks_to"]["0.85"] == {"mean": 5.5, "failed": 2, "failed_share": 0.5}
    assert overall["objects"] == 6


def test_an_interval_over_one_image_is_unknown_not_narrow():
    same = [ObjectResult("d", "image", (value,) * 10, value) for value in (0.2, 0.8)]
    assert summarise(same)["interval"]["1"] == [None, None]
    low, high = summarise(results("d", 0.2, 0.8))["interval"]["1"]
    assert low < 0.5 < high


def test_the_table_names_every_dataset_and_what_to_know(folder):
    table = format_table(run_clicks(SilentReporter(), folder, "floodfill", per_image=1))
    lines = table.splitlines()
    assert [line.split()[0] for line in lines[3:6]] == ["huts", "sheds", "overall"]
    assert len({len(line) for line in lines[2:6]}) == 1
    assert lines[-1].startswith("note: sheds is not in the split file")


def test_what_cannot_be_measured_says_what_to_do(folder, tmp_path):
    with pytest.raises(ModelNotFoundError, match=r"tiny.*floodfill, grabcut"):
        run_clicks(SilentReporter(), folder, "huge")
    with pytest.raises(ModelNotFoundError, match="leave out the checkpoint"):
        run_clicks(SilentReporter(), folder, "grabcut", checkpoint="weights.pth")
    with pytest.raises(DatasetError, match="SEGLAB_DATA"):
        run_clicks(SilentReporter(), tmp_path / "absent", "grabcut")
    write_dataset(tmp_path / "empty" / "bare", {"a": 0})
    with pytest.raises(DatasetError, match="no object"):
        run_clicks(SilentReporter(), tmp_path / "empty", "grabcut")


def test_it_stops_when_it_is_told_to(folder):
    class Impatient(SilentReporter):
        def update(self, done, total=None, message=None, **values):
            if done == 1:
                raise JobCancelled("enough")

    with pytest.raises(JobCancelled):
        run_clicks(Impatient(), folder, "grabcut")
