"""`seglab train`, from a folder of pairs to a round that a project uses."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from seglab.cli import main
from seglab.core.metrics import iou
from seglab.errors import RoundMismatchError
from seglab.models.registry import load_model
from seglab.models.restore import restore_model
from seglab.models.sam import AdaptedSam
from seglab.models.spec import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, PAD, POSITIVE
from seglab.store.round_files import read_round_file
from tests.conftest import LAKES, lake_mask
from tests.training.supervised.pair_sets import Discs

with_baselines = pytest.mark.skipif(
    importlib.util.find_spec("segmentation_models_pytorch") is None, reason="the bench extra is not installed"
)


def write_folder(folder: Path, pairs: Discs) -> Path:
    """Pairs in seglab's own layout."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for pair in map(pairs.read, range(len(pairs))):
        cv2.imwrite(str(folder / "images" / f"{pair.id}.png"), pair.rgb[..., ::-1])
        cv2.imwrite(str(folder / "masks" / f"{pair.id}.png"), pair.mask)
    card = {"classes": {str(value): name for value, name in pairs.classes.items()}}
    (folder / "dataset.json").write_text(json.dumps(card), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("pairs") / "discs", Discs(6))


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("pairs") / "shapes", Discs(4, several=True))


@pytest.fixture(scope="module")
def trained(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short run of the published recipe."""
    out = tmp_path_factory.mktemp("trained")
    assert main(["train", str(discs), "--out", str(out), "--epochs", "2", "--device", "cpu"]) == 0
    return out


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    assert main(["train", *map(str, arguments), "--device", "cpu", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_report_has_the_papers_measures_and_the_split(trained):
    report = json.loads((trained / "metrics.json").read_text(encoding="utf-8"))
    assert (len(report["split"]["train"]), len(report["split"]["validation"])) == (4, 2)
    assert (report["config"]["epochs"], report["config"]["batch"], report["config"]["seed"]) == (2, 2, 42)
    assert report["network"]["mode"] == "prompt-free"
    assert report["metrics"] == report["history"][report["best_epoch"] - 1]["metrics"]
    assert set(report["metrics"]) == {"OA", "mIoU", "FWIoU", "classes"}
    assert set(report["metrics"]["classes"]["disc"]) == {"precision", "recall", "F1", "IoU"}
    assert report["history"][-1]["loss"] < report["history"][0]["loss"]


def test_the_trained_model_keeps_sams_prompts(trained):
    """The published code leaves the position of prompts random by a naming slip; here only what is trained changes."""
    tensors, card = read_round_file(trained / "round.safetensors")
    base = load_model("tiny", device="cpu", adapt_from="all")
    assert card["weights"] == base.base_hash()
    frozen = [name for name in tensors if not name.startswith(("adapter.", "sam.mask_decoder.", "class_prompts"))]
    assert frozen == ["sam.prompt_encoder.no_mask_embed.weight"]
    embedding, before = torch.from_numpy(tensors[frozen[0]]), base.sam.prompt_encoder.no_mask_embed.weight
    assert not torch.equal(embedding, before)
    # Trained from the checkpoint's value, not from a random one.
    torch.testing.assert_close(embedding, before, atol=0.01, rtol=0)


def test_clicks_and_boxes_still_work_after_prompt_free_training(trained):
    base = load_model("tiny", device="cpu", adapt_from="all")
    model = restore_model(base, "atl_a", read_round_file(trained / "round.safetensors")[0], "the round")
    clicks, boxes = [], []
    for pair in map(Discs(6).read, range(6)):
        disc = cv2.resize(pair.mask, (112, 112), interpolation=cv2.INTER_NEAREST) == 1
        rows, cols = np.nonzero(disc)
        with torch.inference_mode():
            embedding = model.encode(model.preprocess(torch.from_numpy(cv2.resize(pair.rgb, (224, 224))[None])))
        middle = [[2 * cols.mean() + 1, 2 * rows.mean() + 1], [0, 0]]
        corners = [[2 * cols.min(), 2 * rows.min()], [2 * cols.max() + 2, 2 * rows.max() + 2]]
        clicks.append(iou(decoded(model, embedding, middle, [POSITIVE, PAD]), disc))
        boxes.append(iou(decoded(model, embedding, corners, [BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]), disc))
    assert np.mean(clicks) > 0.85  # with a random matrix of positions it is about 0.8
    assert np.mean(boxes) > 0.9


def decoded(model: AdaptedSam, embedding: torch.Tensor, coords: list[list[float]], labels: list[int]) -> np.ndarray:
    """The candidate mask of the best predicted IoU."""
    with torch.inference_mode():
        logits, predicted = model.decode(embedding, torch.tensor([coords]).float(), torch.tensor([labels]))
    return (logits[0, predicted[0].argmax()] > 0).numpy()


def test_a_project_imports_the_round(trained, open_lakes):
    session = open_lakes(adapt_from="all")
    imported = session.import_round(trained / "round.safetensors")
    assert imported.card["dataset"] == "discs"
    col, row, radius = LAKES[1]
    session.box(col - radius, row - radius, col + radius, row + radius, crs="pixel")
    rows, cols = np.mgrid[: lake_mask().shape[0], : lake_mask().shape[1]] + 0.5
    assert iou(session.mask.full(), (cols - col) ** 2 + (rows - row) ** 2 <= radius**2) > 0.7
    # Without a class prompt of its own a class starts from its first object, so a map can be made.
    session.accept("water")
    prediction = session.predict().result(120)
    assert prediction is not None


def test_a_project_of_another_adapter_or_place_refuses_the_round(trained, open_lakes):
    with pytest.raises(RoundMismatchError, match="adapt_from=0"):
        open_lakes(adapt_from="late").import_round(trained / "round.safetensors")


def test_several_classes_are_learnt_with_a_prompt_each(shapes, tmp_path, capsys):
    report = run(
        capsys,
        shapes,
        "--out",
        tmp_path,
        "--epochs",
        1,
        "--adapter",
        "lora",
        "--adapt-from",
        "late",
        "--preset",
        "mixed",
    )
    assert report["network"]["mode"] == "classes"
    assert report["config"]["prompted_weight"] == 1.0
    tensors, card = read_round_file(tmp_path / "round.safetensors")
    assert (card["classes"], card["adapter"], card["adapt_from"]) == (["disc", "square"], "lora", 6)
    assert tensors["class_prompts"].shape == (2, 128)
    assert np.linalg.norm(tensors["class_prompts"], axis=1).min() > 0


@with_baselines
def test_a_baseline_trains_on_the_same_split(discs, trained, tmp_path, capsys):
    report = run(
        capsys, discs, "--out", tmp_path, "--epochs", 2, "--baseline", "deeplabv3plus", "--encoder", "resnet18",
        "--encoder-weights", "none",
    )  # fmt: skip
    first = json.loads((trained / "metrics.json").read_text(encoding="utf-8"))
    assert report["split"] == first["split"]
    assert report["network"]["input_size"] == first["network"]["input_size"] == 224
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.pt", "last.pt", "metrics.json", "weights.safetensors"]


def test_a_finished_run_resumes_to_its_own_report(discs, trained, capsys):
    before = json.loads((trained / "metrics.json").read_text(encoding="utf-8"))
    tensors, _ = read_round_file(trained / "round.safetensors")
    assert main(["train", str(discs), "--out", str(trained), "--epochs", "2", "--device", "cpu", "--resume"]) == 0
    shown = capsys.readouterr().out
    assert f"best epoch {before['best_epoch']} of 2" in shown
    assert "precision" in shown
    again, _ = read_round_file(trained / "round.safetensors")
    assert all(np.array_equal(tensors[name], again[name]) for name in tensors)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mode", "prompt-free"], "--mode classes"),
        (["--adapter", "magic"], "no adapter is called 'magic'"),
        (["--model", "vit_x"], "no model is called 'vit_x'"),
        (["--classes", "lake"], "no class 'lake'"),
        (["--extra-bands"], "extra bands"),
        (["--baseline", "unet", "--extra-bands"], "a baseline takes no extra bands"),
    ],
)
def test_what_cannot_be_trained_is_said_before_anything_is_written(shapes, tmp_path, capsys, arguments, message):
    assert main(["train", str(shapes), "--out", str(tmp_path / "out"), "--device", "cpu", *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
