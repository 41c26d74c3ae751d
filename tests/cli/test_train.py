"""`seglab train`: what is typed reaches the training as it was meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seglab.bench import train
from seglab.bench.train import TrainOptions
from seglab.cli import main
from seglab.training.supervised.recipe import PRESETS


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[TrainOptions]:
    """The options of every training that was asked for; none is done."""
    found: list[TrainOptions] = []

    def record(reporter, options):
        found.append(options)
        return {"bench": "train"}

    monkeypatch.setattr(train, "run_train", record)
    return found


def test_nothing_but_a_folder_is_the_published_experiment_on_the_embedded_model(asked, capsys):
    assert main(["train", "pairs", "--out", "run", "--json"]) == 0
    assert asked == [TrainOptions(folder=Path("pairs"), out=Path("run"))]
    assert json.loads(capsys.readouterr().out) == {"bench": "train"}


def test_every_setting_arrives(asked):
    typed = "train pairs --out run --json --resume --device cpu --classes lake river --extra-bands --non-landslide"
    typed += " --model vit_l --checkpoint sam.pth --adapter lora --adapt-from 12 --mode classes"
    typed += " --preset mixed --epochs 3 --batch 4 --learning-rate 0.001 --seed 7"
    assert main(typed.split()) == 0
    options = asked[0]
    assert (options.model, options.checkpoint, options.device) == ("vit_l", Path("sam.pth"), "cpu")
    assert (options.adapter, options.adapt_from, options.mode) == ("lora", 12, "classes")
    assert (options.classes, options.extra_bands, options.non_landslide) == (("lake", "river"), True, True)
    assert options.resume and options.baseline is None
    config = options.config
    assert (config.epochs, config.batch, config.learning_rate, config.seed) == (3, 4, 0.001, 7)
    assert config.prompted_weight == PRESETS["mixed"].prompted_weight != PRESETS["published"].prompted_weight


def test_a_network_to_compare_with_may_start_from_random_weights(asked):
    typed = "train pairs --out run --json --baseline unet --encoder resnet18 --encoder-weights none"
    assert main(typed.split()) == 0
    assert (asked[0].baseline, asked[0].encoder, asked[0].encoder_weights) == ("unet", "resnet18", None)


def test_a_folder_of_no_known_layout_says_what_is_expected(tmp_path, capsys):
    assert main(["train", str(tmp_path), "--out", str(tmp_path / "run")]) == 1
    assert "images/NAME.png" in capsys.readouterr().err
