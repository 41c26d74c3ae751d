"""The training loop: it learns, resumes exactly, and exports what loads."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from seglab.errors import PretrainError
from seglab.models import spec
from seglab.models.checkpoint import load_weights
from seglab.models.registry import EMBEDDED, embedded_weights
from seglab.models.sam import AdaptedSam, build_sam
from seglab.models.spec import SPECS, SamSpec
from seglab.pretrain import from_config
from seglab.pretrain import train as module
from seglab.pretrain.bank import Bank
from seglab.pretrain.config import load_config, parse_config
from seglab.pretrain.export import export_weights
from seglab.pretrain.ground import PROCEDURAL, Ground, save_ground
from seglab.pretrain.network import CropSam, DenseHead, start
from seglab.pretrain.step import Network, StepPlan, train_step
from seglab.pretrain.targets import choose_exemplars, choose_objects
from seglab.pretrain.train import Trainer
from seglab.pretrain.windows import draw_parts, look, plain_windows
from tests.pretrain.made_ground import BUILDING, FIELD, WATER, random_rectangles, rectangles

SMALL = SamSpec("small", 64, 8, 48, 2, 2, (1,), 4, 32, 64, absolute_position=False, box_as_mask=True)
CONFIG = {
    "model": "small", "minutes": 8 / 60, "warmup": 2, "learning_rate": 0.002, "half": False, "cooldown": 0.5,
    "scenes": 3, "scene_size": 96,
    "phases": [
        {"until": 0.4, "size": 48, "images": 4, "objects": 3, "rounds": 2, "deepest": 2, "loose": 0.5},
        {"until": 1.0, "size": 64, "images": 2, "objects": 2, "rounds": 2, "deepest": 1, "dense_weight": 0.1},
    ],
}  # fmt: skip
"""Eight seconds, at a second per step by the clock of these tests; the learning rate falls after four."""


class Enough(Exception):
    """Ends a run from outside."""


def clock() -> SimpleNamespace:
    """One second passes between looks at it."""
    seconds = itertools.count()
    return SimpleNamespace(monotonic=lambda: float(next(seconds)))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(spec.SPECS, "small", SMALL)
    monkeypatch.setattr(module, "VALIDATION_SCENES", 2)
    monkeypatch.setattr(module, "VALIDATION_PARTS", 4)
    monkeypatch.setattr(module, "CALIBRATION_PARTS", 4)
    monkeypatch.setattr(module, "time", clock())


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared ground of two datasets, of images of different sizes."""
    folder, rng = tmp_path_factory.mktemp("ground"), np.random.default_rng(0)
    for part, source in itertools.product(("train", "val"), ("lakes", "towns")):
        for number, shape in enumerate(((70, 90), (110, 80))):
            save_ground(folder / part, random_rectangles(rng, shape, 12, source, str(number)))
    return folder


def trainer(out: Path, ground: Path | None = None, **changes: object) -> Trainer:
    return Trainer(parse_config({**CONFIG, **changes}), out, ground, "cpu")


def stop_at(run: Trainer, step: int, saved: Path | None = None) -> None:
    """Run until a step, as if the process had been stopped there just after a checkpoint."""

    def told(progress: module.Progress) -> None:
        if progress.step == step:
            if saved is not None:
                run.save(saved)
            raise Enough

    with pytest.raises(Enough):
        run.run(told=told)


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    """Bit by bit."""
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=0, atol=0)


def log_of(out: Path) -> list[dict]:
    """The lines of a run's log."""
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_steps_on_one_batch_lower_the_loss():
    torch.manual_seed(0)
    # Squares of one colour each: something that can be learned in a few steps.
    made = rectangles((64, 64), (4, 4, 28, 30), (36, 8, 60, 40), (8, 40, 30, 60), classes=(WATER, FIELD, BUILDING))
    made.rgb[:] = np.random.default_rng(0).integers(0, 256, (4, 3))[made.parts]
    bank, generator = Bank([made]), torch.Generator().manual_seed(0)
    image, part = draw_parts(bank, 2, 0.0, generator)
    windows = plain_windows(bank, image, part, 64)
    view = look(bank, windows, 64)
    objects = choose_objects(bank, windows, view, 3, generator)
    exemplars = choose_exemplars(view, objects, 1, generator)
    model, head = CropSam(SMALL), DenseHead(32)
    start(model, model.preprocess(view.rgb))
    network = Network(model.train(), head)
    optimizer = torch.optim.AdamW([*model.sam.parameters(), *head.parameters()], lr=4e-3)
    history = []
    for _ in range(60):
        # The same clicks every time: what changes is the network.
        plan, same = StepPlan(first=0, rounds=2, boxes=0.5, dense_weight=0.3), torch.Generator().manual_seed(1)
        loss, values = train_step(network, view, objects, exemplars, plan, same)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append({key: float(value) for key, value in values.items()})
    assert set(values) == {"iou1", "iou2", "dense", "exemplar", "exemplar_iou", "prompted", "loss"}
    for part in ("dense", "exemplar", "prompted", "loss"):
        assert history[-1][part] < 0.6 * history[0][part], part
    assert min(history[-1][key] for key in ("iou1", "iou2", "exemplar_iou")) > 0.4


def test_every_weight_of_encoder_and_decoder_learns(tmp_path):
    """Nothing there is cut off from the loss."""
    run = trainer(tmp_path)
    run._fill(None)
    run._first_weights()
    before = {name: value.clone() for name, value in run.learner.model.sam.named_parameters()}
    for _ in range(6):
        run.advance(0.0)
    still = {name for name, value in run.learner.model.sam.named_parameters() if (before[name] == value).all()}
    assert not {name for name in still if "image_encoder" in name or "mask_decoder.transformer" in name}


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, ground, monkeypatch):
    straight = trainer(tmp_path / "a", ground)
    straight.run()
    monkeypatch.setattr(module, "time", clock())
    first = trainer(tmp_path / "b", ground)
    stop_at(first, 3, tmp_path / "b" / "checkpoint.pt")
    torch.manual_seed(99)
    monkeypatch.setattr(module, "time", clock())
    second = trainer(tmp_path / "b", ground)
    second.load(tmp_path / "b" / "checkpoint.pt")
    assert (second.step, second.spent) == (3, 3.0)
    second.run()
    assert second.step == straight.step == 8
    assert_same(straight.learner.model.sam.state_dict(), second.learner.model.sam.state_dict())
    assert_same(straight.learner.head.state_dict(), second.learner.head.state_dict())
    assert_same(straight.learner.average, second.learner.average)
    assert log_of(tmp_path / "a")[-1]["validation"] == log_of(tmp_path / "b")[-1]["validation"]


def test_the_cooldown_starts_from_a_checkpoint_of_its_own(tmp_path):
    run, rates = trainer(tmp_path), []
    run.run(told=lambda progress: rates.append(run.learner.optimizer.param_groups[0]["lr"]))
    state = torch.load(tmp_path / "stable.pt", weights_only=True)
    # The rate of step 6 is the first that falls.
    assert (state["step"], state["spent"]) == (5, 5.0)
    assert rates[1:5] == [0.002] * 4 and rates[5] == pytest.approx(0.002 * 0.75)


def test_a_run_that_is_resumed_in_the_cooldown_keeps_its_start(tmp_path, monkeypatch):
    run = trainer(tmp_path)
    stop_at(run, 7, tmp_path / "checkpoint.pt")
    before = (tmp_path / "stable.pt").read_bytes()
    monkeypatch.setattr(module, "time", clock())
    again = trainer(tmp_path)
    again.load(tmp_path / "checkpoint.pt")
    again.run()
    assert again.step == 8 and (tmp_path / "stable.pt").read_bytes() == before


def test_a_run_begins_from_another_ones_weights_with_a_fresh_budget(tmp_path, ground, monkeypatch):
    run = trainer(tmp_path / "a", ground)
    run.run()
    monkeypatch.setattr(module, "time", clock())
    other = trainer(tmp_path / "b", minutes=3 / 60, seed=7)
    other.begin_from(tmp_path / "a" / "stable.pt")
    state = torch.load(tmp_path / "a" / "stable.pt", weights_only=True)
    assert_same(state["model"], other.learner.model.sam.state_dict())
    assert_same(state["average"], other.learner.average)
    assert (other.step, other.spent) == (5, 0.0)
    # It is warm already, and at the full rate.
    assert other.rate(0.0) == 0.002
    rng = other.rng.bit_generator.state
    assert rng == np.random.default_rng([7, 0]).bit_generator.state
    stop_at(other, 6)
    moved = [(state["model"][name] != value).any() for name, value in other.learner.model.sam.state_dict().items()]
    assert any(moved)
    # A step at the end of a warm run, not the first one of a cold: nothing is far from where it was.
    for name, value in other.learner.model.sam.named_parameters():
        assert (state["model"][name] - value).abs().max() < 0.02, name


def test_a_run_begins_from_weights_alone(tmp_path):
    torch.manual_seed(5)
    given = AdaptedSam(SMALL).sam.state_dict()
    export_weights(given, tmp_path / "given.safetensors", {"model": "small"})
    run = trainer(tmp_path)
    run.begin_from(tmp_path / "given.safetensors")
    half = {name: value.half().float() for name, value in given.items()}
    assert_same(half, run.learner.model.sam.state_dict())
    assert_same(half, run.learner.average)
    assert (run.step, run.spent) == (0, 0.0)
    # The first step is a small one from there: the weights of a cold start are not laid over them.
    stop_at(run, 1)
    for name, value in run.learner.model.sam.named_parameters():
        assert (half[name] - value).abs().max() < 0.01, name


@pytest.mark.parametrize("content", [b"nothing", b""])
def test_damaged_weights_to_begin_from_are_refused(tmp_path, content):
    path = tmp_path / "given.safetensors"
    path.write_bytes(content)
    with pytest.raises(PretrainError, match="cannot begin"):
        trainer(tmp_path).begin_from(path)


def test_a_short_run_leaves_checkpoints_log_weights_and_card(tmp_path, ground):
    run, told = trainer(tmp_path, ground, export_minutes=0.05), []
    run.run(told=told.append)
    assert [p.step for p in told] == list(range(1, 9)) and told[0].budget == pytest.approx(8)
    assert [p.spent for p in told] == [float(step) for step in range(1, 9)]
    names = ["checkpoint.pt", "log.jsonl", "small.json", "small.safetensors", "stable.pt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    lines = log_of(tmp_path)
    figures = [line for line in lines if "validation" in line]
    # Every three seconds, more or less, and at the end, where the weights are calibrated too.
    assert [line["step"] for line in figures] == [4, 8, 8]
    assert [line["step"] for line in lines if "calibration" in line] == [8]
    assert set(figures[-1]["validation"]) == {PROCEDURAL, "lakes", "towns"}
    assert set(figures[-1]["overall"]) == {"1", "3", "5", "box"}
    card = json.loads((tmp_path / "small.json").read_text())
    assert card["step"] == 8 and card["config"]["model"] == "small"
    assert card["watched"]["overall"] == figures[-1]["overall"]
    load_weights(build_sam(SMALL), tmp_path / "small.safetensors", "small")


def test_exported_are_the_averaged_weights_and_training_goes_on_from_its_own(tmp_path):
    run = trainer(tmp_path)
    stop_at(run, 2)
    before = {name: value.clone() for name, value in run.learner.model.sam.state_dict().items()}
    corner = run.learner.model.corner = (1, 2)
    run.milestone()
    assert_same(before, run.learner.model.sam.state_dict())
    assert run.learner.model.training and run.learner.model.corner == corner
    exported = AdaptedSam(SMALL)
    load_weights(exported.sam, tmp_path / "small.safetensors", "small")
    assert any((run.learner.average[name] != value).any() for name, value in before.items())
    for name, value in exported.sam.state_dict().items():
        torch.testing.assert_close(value, run.learner.average[name].half().float(), rtol=0, atol=0)


def test_losses_are_logged_as_means_over_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOGGED", 4)
    run = trainer(tmp_path)
    run.run()
    lines = log_of(tmp_path)
    losses = [line for line in lines if "losses" in line]
    assert [line["step"] for line in losses] == [4, 8]
    assert {"loss", "dense", "prompted", "exemplar"} <= set(losses[0]["losses"])


def test_datasets_can_be_left_out_of_training_but_not_of_watching(tmp_path, ground):
    run = trainer(tmp_path, ground, leave_out=["lakes"])
    assert run.bank.sources == ["towns"] and run.bank.slots == 3
    assert set(run.watched.sources) == {PROCEDURAL, "lakes", "towns"}


def test_scenes_of_processes_and_of_figures_differ(tmp_path, monkeypatch):
    asked: list[int] = []

    def noted(seed: int, size: int) -> Ground:
        asked.append(seed)
        return rectangles((size, size), (0, 0, 20, 20))

    monkeypatch.setattr(module, "procedural_ground", noted)
    trained, watched = [], []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        asked.clear()
        run = trainer(tmp_path)
        watched += asked
        asked.clear()
        run._fill(None)
        assert run.bank.full
        trained += asked
    assert len(set(trained)) == 6 and len(set(watched)) == 2 and not set(trained) & set(watched)


def test_with_workers_new_scenes_come_in_while_it_trains(tmp_path, monkeypatch):
    """The places are filled as the run goes on, and the workers go with it."""
    made: list[SimpleNamespace] = []

    class Feed:
        def __init__(self, workers: int, size: int, seed: int) -> None:
            self.count, self.open = 0, False
            self.arguments = (workers, size)
            made.append(self)

        def __enter__(self) -> Feed:
            self.open = True
            return self

        def __exit__(self, *error: object) -> None:
            self.open = False

        def wait(self) -> Ground:
            assert self.open
            self.count += 1
            return rectangles((96, 96), (10, 10, 60, 50), seed=self.count)

        def ready(self, limit: int) -> list[Ground]:
            return [self.wait()]

    monkeypatch.setattr(module, "SceneFeed", Feed)
    run, filled = trainer(tmp_path, scenes=8, workers=2), []
    run.run(told=lambda progress: filled.append(run.bank.filled))
    assert made[0].arguments == (2, 96) and not made[0].open
    # A few are there at the start, one more comes before each step.
    assert filled == [min(filled[0] + i, 8) for i in range(8)] and 1 < filled[0] < 5


@pytest.mark.parametrize("kept", [None, 0, 1000])
@pytest.mark.parametrize("how", ["load", "begin_from"])
def test_a_damaged_checkpoint_is_refused(tmp_path, how, kept):
    """Something else in the file, nothing, and a file that was cut off."""
    run = trainer(tmp_path)
    path = tmp_path / "checkpoint.pt"
    run.save(path)
    path.write_bytes(b"nothing" if kept is None else path.read_bytes()[:kept])
    with pytest.raises(PretrainError, match="cannot go on"):
        getattr(run, how)(path)


def test_a_checkpoint_of_another_model_is_refused(tmp_path, monkeypatch):
    trainer(tmp_path).save(tmp_path / "checkpoint.pt")
    wider = SamSpec("wider", 64, 8, 96, 2, 2, (1,), 4, 32, 64, absolute_position=False)
    monkeypatch.setitem(spec.SPECS, "wider", wider)
    with pytest.raises(PretrainError, match="cannot go on"):
        trainer(tmp_path, model="wider").load(tmp_path / "checkpoint.pt")


def test_an_unknown_model_is_refused(tmp_path):
    with pytest.raises(PretrainError, match="no model"):
        trainer(tmp_path, model="absent")


def test_the_learning_rate_warms_up_stays_and_falls(tmp_path):
    run = trainer(tmp_path, warmup=4)
    rates = []
    for run.step in range(5):
        rates.append(run.rate(0.1))
    assert rates == pytest.approx([0.0005, 0.001, 0.0015, 0.002, 0.002])
    assert [run.rate(share) for share in (0.0, 0.5)] == [0.002, 0.002]
    assert run.rate(0.75) == pytest.approx(0.001)
    assert run.rate(1.0) == run.rate(1.2) == pytest.approx(0.00002)


def test_phases_follow_the_budget(tmp_path):
    run = trainer(tmp_path)
    sizes = [run.phase(share).size for share in (0.0, 0.39, 0.4, 0.99, 1.0, 1.3)]
    assert sizes == [48, 48, 64, 64, 64, 64]


def test_exported_weights_load_strictly_and_are_small(tmp_path):
    model = AdaptedSam(SPECS["tiny"])
    export_weights(model.sam.state_dict(), tmp_path / "tiny.safetensors", {"model": "tiny"})
    assert (tmp_path / "tiny.safetensors").stat().st_size <= 16e6
    other = AdaptedSam(SPECS["tiny"])
    load_weights(other.sam, tmp_path / "tiny.safetensors", "tiny")
    for name, value in model.sam.state_dict().items():
        torch.testing.assert_close(other.sam.state_dict()[name], value.half().float())


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_packaged_weights_load_strictly_and_are_small(name):
    path = embedded_weights(name)
    assert path.stat().st_size <= 16e6
    load_weights(build_sam(SPECS[name]), path, name)


@pytest.mark.parametrize(
    "path", sorted((Path(module.__file__).parent / "configs").glob("*.json")), ids=lambda path: path.stem
)
def test_the_committed_configurations_are_valid(path):
    config = load_config(path)
    assert config.model in SPECS
    model = SPECS[config.model]
    assert config.phases[-1].until >= 1 and config.phases[-1].size == model.image_size
    untils = [phase.until for phase in config.phases]
    assert untils == sorted(untils)
    for phase in config.phases:
        # A view is cut into tokens, and labels into the decoder's cells.
        assert phase.size % model.patch == 0 and phase.size <= min(model.image_size, config.scene_size)


@pytest.mark.parametrize(
    "raw",
    [
        {"learning_rat": 1},
        {"phases": [{"until": 1.0, "pool": "absent"}]},
        {"phases": [{"images": 3}]},
        {"phases": []},
    ],
)
def test_a_wrong_configuration_is_refused(raw):
    with pytest.raises(PretrainError):
        parse_config(raw)


def test_a_configuration_that_is_not_there_or_no_json_is_refused(tmp_path):
    (tmp_path / "broken.json").write_text("{")
    for name in ("absent.json", "broken.json"):
        with pytest.raises(PretrainError, match="cannot read"):
            load_config(tmp_path / name)


def test_ground_is_prepared_once_when_none_is_given(tmp_path, monkeypatch):
    made = []

    def prepare(folder: Path) -> int:
        made.append(folder)
        folder.mkdir(parents=True)
        return 0

    monkeypatch.setattr("seglab.pretrain.prepare.prepare_ground", prepare)
    for _ in range(2):
        assert from_config._ground(None, tmp_path) == tmp_path / "ground"
    assert made == [tmp_path / "ground"]
    assert from_config._ground(tmp_path / "ground", tmp_path / "other") == tmp_path / "ground" and len(made) == 1


def test_the_command_runs_resumes_and_begins(tmp_path, ground, monkeypatch):
    """`run` as the command line calls it."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**CONFIG, "minutes": 4 / 60}))
    weights = from_config.run(path, tmp_path / "a", ground, device="cpu")
    assert weights == tmp_path / "a" / "small.safetensors" and weights.is_file()
    state = torch.load(tmp_path / "a" / "checkpoint.pt", weights_only=True)
    assert (state["step"], state["spent"]) == (4, 4.0)
    steps: list[int] = []
    # Its budget is spent: a longer one goes on from there.
    from_config.run(
        path, tmp_path / "a", ground, resume=True, minutes=6 / 60, device="cpu", told=lambda p: steps.append(p.step)
    )
    assert steps == [5, 6]
    steps.clear()
    begin = tmp_path / "a" / "stable.pt"
    from_config.run(path, tmp_path / "b", ground, begin=begin, device="cpu", told=lambda p: steps.append(p.step))
    assert steps == [4, 5, 6, 7]
