"""`seglab distill`, from a folder of pairs to a student's file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
import torch

from seglab.app.rounds.rounds import identity_of
from seglab.app.rounds.teachers import load_teacher
from seglab.bench import distill
from seglab.bench.distill import ABLATIONS, DistillOptions, labelled_part
from seglab.cli import main
from seglab.datasets.pairs import open_pairs, with_unlabelled
from seglab.errors import TrainingError
from seglab.jobs import SilentReporter
from seglab.models.adapters.registry import new_adapter
from seglab.models.registry import load_model
from seglab.models.student.restore import restore_student
from seglab.store.round_files import read_round_file, write_round_file
from tests.bench_units.test_train import write_folder
from tests.training.supervised.pair_sets import Discs


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four images with masks and one without."""
    folder = write_folder(tmp_path_factory.mktemp("pairs") / "discs", Discs(5))
    (folder / "masks" / "002.png").unlink()
    return folder


@pytest.fixture(scope="module")
def distilled(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short run."""
    out = tmp_path_factory.mktemp("distilled")
    typed = ["distill", str(discs), "--out", str(out), "--student", "smallest", "--epochs", "1", "--batch", "2"]
    assert main([*typed, "--labels", "1", "--device", "cpu"]) == 0
    return out


def test_the_report_says_what_was_learnt_from_whom(distilled):
    report = json.loads((distilled / "metrics.json").read_text(encoding="utf-8"))
    split = report["split"]
    assert [len(split[part]) for part in ("train", "labelled", "validation")] == [4, 1, 1]
    assert 2 in split["train"] and 2 not in split["labelled"]
    assert set(split["labelled"]) < set(split["train"])
    assert (report["network"]["model"], report["network"]["teacher"]) == ("smallest", "tiny")
    assert report["transfer"]["softmax"] == "channels"
    assert set(report["metrics"]["classes"]) == {"background", "disc"}


def test_the_teachers_features_are_on_disk(distilled):
    files = [path for path in (distilled / "teachers").rglob("*") if path.is_file()]
    assert len(files) >= 2


def test_the_file_holds_the_student_that_was_measured(distilled):
    tensors, card = read_round_file(distilled / "student.safetensors")
    student = restore_student(tensors, card)
    assert (card["classes"], card["teacher"], card["objects"]) == (["disc"], "tiny", 1)
    with torch.inference_mode():
        assert student(torch.zeros(1, 3, 224, 224)).shape == (1, 1, 56, 56)


def test_a_round_that_knows_the_classes_labels_what_has_no_labels(discs, tmp_path):
    model = load_model("tiny", device="cpu", adapt_from="last")
    card = identity_of(model, "atl_a", (1, 2, 3), ()) | {"classes": ["sea", "disc"], "round": 1}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model.attach(new_adapter("atl_a", model.spec, "last"))
    model.class_prompts = torch.nn.Parameter(
        torch.randn(2, model.spec.prompt_dim, generator=torch.Generator().manual_seed(2))
    )
    teacher = tmp_path / "round.safetensors"
    write_round_file(teacher, {k: v.detach().numpy() for k, v in model.trained_parameters().items()}, card)
    dataset, lacking = with_unlabelled(open_pairs(discs))
    targets = {"disc": next(value for value, name in dataset.classes.items() if name == "disc")}
    options = DistillOptions(discs, tmp_path, teacher=str(teacher), sure=0.6, device="cpu")
    loaded = load_teacher(str(teacher), torch.device("cpu"))
    guesses = distill._guesses(SilentReporter(), options, loaded, dataset, targets, lacking)
    rgb = cv2.resize(dataset.read(2).rgb, (224, 224), interpolation=cv2.INTER_LINEAR)
    best, place = loaded.chances(torch.from_numpy(rgb)[None])[0].max(0)
    found = guesses[2]
    assert list(guesses) == [2] and {0, 2} <= set(place.unique().tolist())
    assert ((found == 255) == (best < 0.6).numpy()).mean() > 0.999
    assert (found[(place == 2).numpy() & (found != 255)] == targets["disc"]).all()
    assert not np.isin(found[(place < 2).numpy() & (found != 255)], list(targets.values())).any()
    assert distill._guesses(SilentReporter(), replace(options, sure=None), loaded, dataset, targets, lacking) == {}
    assert distill._guesses(SilentReporter(), options, loaded, dataset, {"roof": 1}, lacking) == {}


def test_labels_are_hidden_by_choice_and_the_same_for_all_that_are_compared():
    assert labelled_part([3, 5, 8], None, 0) == [3, 5, 8]
    chosen = labelled_part(range(20), 6, 1)
    assert (len(chosen), chosen) == (6, labelled_part(range(20), 6, 1))
    assert chosen != labelled_part(range(20), 6, 2)
    with pytest.raises(TrainingError, match="ask for 1 to 3"):
        labelled_part([3, 5, 8], 4, 0)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[DistillOptions]:
    """The options of every training that was asked for; none is done."""
    found: list[DistillOptions] = []

    def record(reporter, options):
        found.append(options)
        return {"bench": "distill"}

    monkeypatch.setattr(distill, "run_distill", record)
    return found


def test_every_setting_arrives(asked, capsys):
    assert main(["distill", "pairs", "--out", "run", "--json"]) == 0
    assert asked.pop() == DistillOptions(folder=Path("pairs"), out=Path("run"))
    typed = "distill pairs --out run --json --resume --device cpu --classes lake river --labels 3"
    typed += " --teacher round.safetensors --checkpoint sam.pth --student ktda --encoder-weights convnext.pth"
    typed += " --epochs 3 --batch 4 --learning-rate 0.001 --seed 7 --transfer-weight 2 --alpha 0.2 --temperature 3"
    typed += " --softmax width --ablation last_level --sure 0.8"
    assert main(typed.split()) == 0
    options = asked.pop()
    assert (options.resume, options.device, options.classes, options.labels) == (True, "cpu", ("lake", "river"), 3)
    assert (options.teacher, options.checkpoint) == ("round.safetensors", Path("sam.pth"))
    assert (options.student, options.encoder_weights) == ("ktda", Path("convnext.pth"))
    assert options.sure == 0.8
    config, transfer = options.config, options.applied_transfer()
    assert (config.epochs, config.batch, config.learning_rate, config.seed) == (3, 4, 0.001, 7)
    assert (transfer.weight, transfer.alpha, transfer.temperature) == (2, 0.2, 3)
    assert (transfer.softmax, transfer.levels) == ("width", "last")


def test_guesses_can_be_left_out(asked):
    assert main(["distill", "pairs", "--out", "run", "--json", "--no-guesses"]) == 0
    assert asked.pop().sure is None


def test_each_ablation_changes_what_it_says():
    def applied(name: str) -> tuple:
        options = DistillOptions(Path(), Path(), ablation=name)
        transfer = options.applied_transfer()
        return options.spec().modulation, transfer.weight, transfer.alpha, transfer.levels

    assert {name: applied(name) for name in ABLATIONS} == {
        "none": ("mlp", 1.0, 0.5, "all"),
        "no_transfer": ("mlp", 0.0, 0.5, "all"),
        "kl_only": ("mlp", 1.0, 1.0, "all"),
        "l2_only": ("mlp", 1.0, 0.0, "all"),
        "no_fmm": ("none", 1.0, 0.5, "all"),
        "last_level": ("mlp", 1.0, 0.5, "last"),
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--student", "huge"], "no student is called 'huge'"),
        (["--teacher", "absent"], "no model is called 'absent'"),
        (["--teacher", "absent.safetensors"], "not a round"),
        (["--ablation", "magic"], "no ablation is called 'magic'"),
        (["--labels", "9"], "ask for 1 to 3"),
        (["--batch", "1"], "at least 2"),
        (["--sure", "90"], "at most 1"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "message",
)
def test_what_cannot_be_distilled_is_said(discs, tmp_path, capsys, arguments, message):
    typed = ["distill", str(discs), "--out", str(tmp_path / "out"), "--student", "smallest", "--device", "cpu"]
    assert main([*typed, *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out" / "student.safetensors").exists()


def test_the_student_maps_a_scene(distilled, lakes_path, tmp_path, capsys):
    out = tmp_path / "map.tif"
    assert main(["predict", str(lakes_path), "--round", str(distilled / "student.safetensors"), "--out", str(out)]) == 0
    with rasterio.open(out) as file:
        assert file.shape == (384, 512)
        assert file.tags(1)["class_1"] == "disc"
        assert set(np.unique(file.read(1))) <= {0, 1}
