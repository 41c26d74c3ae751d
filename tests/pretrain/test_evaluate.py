"""Figures during training: the same windows every time, and the numbers that the bench would give."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seglab.core.annotator import next_click
from seglab.evaluation.cases import Case
from seglab.evaluation.clicks import LOGIT_LIMIT, measure, model_method
from seglab.pretrain.bank import Bank
from seglab.pretrain.calibrate import calibrate
from seglab.pretrain.evaluate import Figures, Tally, answers, evaluate, fixed_windows
from seglab.pretrain.ground import PROCEDURAL, Ground, label_ground
from seglab.pretrain.network import CropSam, DenseHead
from seglab.pretrain.prompts import depth
from seglab.pretrain.step import Dialogue, Network
from seglab.pretrain.windows import SMALLEST, look, plain_windows
from tests.pretrain.made_ground import BUILDING, GRASS, random_rectangles, rectangles
from tests.pretrain.small_learner import SMALL


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return Network(CropSam(SMALL).eval(), DenseHead(32))


@pytest.fixture(scope="module")
def bank() -> Bank:
    rng = np.random.default_rng(0)
    sources = ["a", "b", PROCEDURAL, "b"]
    return Bank([random_rectangles(rng, (80, 96), 20, source, str(i)) for i, source in enumerate(sources)])


@pytest.fixture(scope="module")
def discs() -> Ground:
    """Discs of several sizes, whose middles leave no choice."""
    rng = np.random.default_rng(1)
    rows, cols = np.indices((64, 64)) + 0.5
    objects = np.zeros((64, 64), np.int32)
    for number, (col, row, radius) in enumerate(((15, 17, 11), (45, 40, 16), (50, 12, 7), (9, 50, 8)), start=1):
        objects[(cols - col) ** 2 + (rows - row) ** 2 < radius**2] = number
    colours = rng.integers(0, 256, (5, 3))
    rgb = (colours[objects] + rng.integers(-9, 10, (64, 64, 3))).clip(0, 255).astype(np.uint8)
    return label_ground("made up", "0", rgb, np.where(objects, BUILDING, GRASS).astype(np.uint8), objects)


def test_windows_are_the_same_every_time(bank):
    first, second, other = fixed_windows(bank, 64, 9), fixed_windows(bank, 64, 9), fixed_windows(bank, 64, 9, seed=1)
    for name, value in vars(first).items():
        assert (value == getattr(second, name)).all()
    assert (first.part != other.part).any()


def test_every_dataset_gives_as_many_windows_spread_over_its_images(bank):
    windows = fixed_windows(bank, 64, 6)
    assert torch.bincount(windows.image, minlength=4).tolist() == [6, 3, 6, 3]
    pairs = list(zip(windows.image.tolist(), windows.part.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert (bank.area[windows.image, windows.part] >= SMALLEST).all()
    expected = plain_windows(bank, windows.image, windows.part, 64)
    assert (windows.frame == expected.frame).all()


def test_a_dataset_with_few_parts_gives_all_of_them():
    places = (0, 0, 20, 20), (30, 0, 50, 20), (0, 30, 7, 37)
    few = Bank([rectangles((60, 60), *places), rectangles((60, 60), image_id="empty")], slots=1, slot_size=60)
    windows = fixed_windows(few, 32, 10)
    assert windows.image.tolist() == [0, 0] and sorted(windows.part.tolist()) == [1, 2]


def test_figures_are_those_of_the_bench(network, discs):
    """Box by box, and for the first click as close as clicks on the masks' coarser pixels can be."""
    bank, parts = Bank([discs]), torch.arange(1, 5)
    windows = plain_windows(bank, torch.zeros(4, dtype=torch.int64), parts, 64)
    masks = discs.parts[None] == parts.numpy()[:, None, None]
    expected = list(measure(model_method(network.model), [Case("made up", "0", discs.rgb, masks)], clicks=1))
    found = {prompt: true[:, 0] for _, prompt, true, _ in answers(network, bank, windows, 1)}
    np.testing.assert_allclose(found["box"], [result.box for result in expected], atol=1e-5)
    np.testing.assert_allclose(found["1"], [result.ious[0] for result in expected], atol=0.05)
    assert found["box"].max() > 0.02 and found["1"].std() > 0.01
    figures = evaluate(network, bank, windows, (1,)).by_source["made up"]
    assert figures == pytest.approx({key: float(value.mean()) for key, value in found.items()}, abs=1e-6)


def test_clicks_of_the_dialogue_are_those_of_the_protocol(network, discs):
    """The first in the middle of the object; the next where the shown mask is wrong, with the right sign."""
    bank, parts = Bank([discs]), torch.arange(1, 5)
    view = look(bank, plain_windows(bank, torch.zeros(4, dtype=torch.int64), parts, 64), 64)
    truth = view.parts == parts[:, None, None]
    with torch.no_grad():
        embedding = network.model.encode(network.model.preprocess(view.rgb))
        dialogue = Dialogue(network, embedding, truth, 0.0, torch.Generator().manual_seed(0), exact=True)
        assert dialogue.scale == 2
        for number, mask in enumerate(truth.numpy()):
            click = next_click(mask, np.zeros_like(mask))
            offset = dialogue.prompts.coords[number, 0].numpy() - (click.col, click.row)
            assert np.abs(offset).max() <= dialogue.scale
        for _ in range(3):
            dialogue.ask()
            shown = dialogue._shown[:, 0] > 0
            before = dialogue.prompts
            dialogue._correct()
            new, labels = dialogue.prompts.coords[:, -1], dialogue.prompts.labels[:, -1]
            assert dialogue.prompts.labels.shape[1] == before.labels.shape[1] + 1
            col, row = (new / dialogue.scale).floor().long().unbind(1)
            rows = torch.arange(4)
            # The very middle of an error, of the deepest one.
            errors = torch.stack([depth(dialogue.hard & ~shown), depth(shown & ~dialogue.hard)])
            torch.testing.assert_close(errors.amax(0)[rows, row, col], errors.amax((0, 2, 3)))
            assert (dialogue.hard[rows, row, col] == (labels == 1)).all()
            dialogue.prompts = before


def test_later_rounds_see_the_mask_before(network, discs, monkeypatch):
    bank, parts = Bank([discs]), torch.arange(1, 5)
    view = look(bank, plain_windows(bank, torch.zeros(4, dtype=torch.int64), parts, 64), 64)
    truth, given = view.parts == parts[:, None, None], []
    inner = network.answer

    def sure(*inputs: object) -> tuple[torch.Tensor, torch.Tensor]:
        given.append(inputs)
        logits, quality = inner(*inputs)
        return 1000 * logits, quality

    monkeypatch.setattr(network, "answer", sure)
    with torch.no_grad():
        embedding = network.model.encode(network.model.preprocess(view.rgb))
        dialogue = Dialogue(network, embedding, truth, 0.0, torch.Generator().manual_seed(0), exact=True)
        dialogue.ask()
        shown = dialogue._shown
        dialogue.ask()
    (*_, masked, _, _), (_, _, _, later, later_masked, _, _) = given
    assert not masked.any() and later_masked.all()
    assert (later == shown).all() and shown.abs().max() == LOGIT_LIMIT


def test_figures_do_not_depend_on_how_many_windows_go_together(network, bank, monkeypatch):
    windows = fixed_windows(bank, 64, 5)
    whole = evaluate(network, bank, windows, (1, 2))
    monkeypatch.setattr("seglab.pretrain.evaluate.AT_ONCE", 4)
    some = evaluate(network, bank, windows, (1, 2))
    assert set(whole.by_source) == {"a", "b", PROCEDURAL}
    for source, figures in whole.by_source.items():
        assert set(figures) == {"1", "2", "box"}
        assert some.by_source[source] == pytest.approx(figures, abs=0.01)


def test_ranked_answers_are_the_same_candidates_in_another_order(network, bank):
    windows = fixed_windows(bank, 64, 5)
    plain, ranked = (list(answers(network, bank, windows, 2, ranked=flag)) for flag in (False, True))
    assert [prompt for _, prompt, _, _ in plain] == ["1", "2", "box"]
    for (_, _, true, predicted), (_, _, other, other_predicted) in zip(plain, ranked, strict=True):
        torch.testing.assert_close(true.sort(1).values, other.sort(1).values)
        torch.testing.assert_close(predicted.sort(1).values, other_predicted.sort(1).values)


def test_overall_counts_every_real_dataset_the_same():
    tally = Tally()
    for source, values in {"a": [0.2, 0.4], "b": [0.9], PROCEDURAL: [0.0]}.items():
        for value in values:
            tally.add(source, "1", value)
    figures = tally.figures()
    assert figures.by_source["a"]["1"] == pytest.approx(0.3)
    assert figures.overall["1"] == pytest.approx(0.6)
    assert Figures({PROCEDURAL: {"1": 0.5}}).overall == {"1": 0.5}


def test_calibration_fits_the_predicted_iou_and_nothing_else(bank):
    torch.manual_seed(0)
    network = Network(CropSam(SMALL).eval(), DenseHead(32))
    windows = fixed_windows(bank, 64, 8)

    def errors() -> float:
        found = [(true - said) for _, _, true, said in answers(network, bank, windows, 2, ranked=False)]
        return float(torch.cat(found).square().mean())

    before = {name: value.clone() for name, value in network.model.sam.state_dict().items()}
    first = errors()
    chosen = calibrate(network, bank, windows, clicks=2)
    assert errors() < 0.5 * first
    assert chosen["after"] >= chosen["before"] - 0.01
    changed = {name for name, value in network.model.sam.state_dict().items() if (before[name] != value).any()}
    assert changed and all(name.startswith("mask_decoder.iou_prediction_head.") for name in changed)
