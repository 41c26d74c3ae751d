"""From a job to a judged round."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from seglab.errors import CheckpointError, RoundMismatchError
from seglab.jobs import SilentReporter
from seglab.models.registry import embedded_weights, load_model
from seglab.models.restore import restore_model
from seglab.models.spec import ModelOrigin
from seglab.training import engine
from seglab.training.blocks import MINIMUM_HELD_OUT
from seglab.training.engine import run_job
from seglab.training.job import RoundOutcome
from seglab.training.judging import judge
from seglab.training.restore import restore_preview
from seglab.training.validation import Judged
from tests.training.made_jobs import SPEC, make_chip, make_job


@pytest.fixture(scope="module")
def ran() -> tuple[RoundOutcome, dict[str, np.ndarray]]:
    """What the short job leads to, and its preview."""
    seen: list[dict[str, np.ndarray]] = []
    return run_job(SilentReporter(), make_job(), seen.append), seen[0]


def test_five_held_out_objects_are_needed() -> None:
    assert MINIMUM_HELD_OUT == 5
    four, five = make_job(held_out=2), make_job(held_out=2)
    five = replace(five, held_out=(*five.held_out, make_chip(200, objects=1)))
    assert run_job(SilentReporter(), four).validation is None
    assert run_job(SilentReporter(), five).validation.objects == 5


def test_a_round_starts_where_its_parent_ended(ran, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parent that is judged is the restored round, with the job's class prompts."""
    first, _ = ran
    prompts = np.full((2, SPEC.prompt_dim), 0.25, np.float32)
    prompts[0] = first.tensors["class_prompts"][0]
    job = replace(
        make_job(held_out=3, learning_rate=0.0), parent=first.tensors, classes=("water", "ice"), class_prompts=prompts
    )
    judged = []

    def watched(reporter, model, chips, prefixes) -> Judged:
        judged.append({name: p.detach().clone().numpy() for name, p in model.trained_parameters().items()})
        return judge(reporter, model, chips, prefixes)

    monkeypatch.setattr(engine, "judge", watched)
    second = run_job(SilentReporter(), job)
    parent, child = judged
    for name, tensor in (first.tensors | {"class_prompts": prompts}).items():
        np.testing.assert_array_equal(parent[name], tensor, err_msg=name)
        np.testing.assert_array_equal(child[name], second.tensors[name], err_msg=name)
        np.testing.assert_array_equal(child[name], tensor, err_msg=name)  # a learning rate of 0 changes nothing
    assert second.validation.verdict == "same"
    assert second.validation.round == second.validation.parent


def test_training_leaves_the_judged_parent_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    base = load_model("tiny", device="cpu")
    judged = []

    def watched(reporter, model, chips, prefixes) -> Judged:
        judged.append({name: t.clone() for name, t in model.sam.state_dict().items()})
        return judge(reporter, model, chips, prefixes)

    monkeypatch.setattr(engine, "judge", watched)
    run_job(SilentReporter(), make_job(held_out=3))
    for name, tensor in base.sam.state_dict().items():
        assert torch.equal(judged[0][name], tensor), name
    assert any(not torch.equal(judged[1][name], tensor) for name, tensor in base.sam.state_dict().items())


def test_an_outcome_is_restored_to_what_was_trained(ran) -> None:
    outcome, seen = ran
    base = load_model("tiny", device="cpu")
    before = {name: t.clone() for name, t in base.state_dict().items()}
    made = restore_model(base, "atl_a", outcome.tensors, "round 1")
    for name, parameter in made.trained_parameters().items():
        np.testing.assert_array_equal(parameter.numpy(), outcome.tensors[name])
    assert not any(p.requires_grad for p in made.parameters())
    preview = restore_preview(base, seen)
    parameters = dict(preview.named_parameters())
    for name, tensor in seen.items():
        np.testing.assert_array_equal(parameters[name].numpy(), tensor)
    assert len(preview.class_prompts) == 1
    assert all(torch.equal(t, before[name]) for name, t in base.state_dict().items())


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t | {"adapter.more": np.zeros(3, np.float32)},
        lambda t: {name: v for name, v in t.items() if "mask_decoder" not in name},
        lambda t: {name: v[..., :1] for name, v in t.items()},
        lambda t: {},
    ],
    ids=["more", "fewer", "other shapes", "none"],
)
def test_tensors_of_another_model_are_refused(ran, change) -> None:
    base, (outcome, seen) = load_model("tiny", device="cpu"), ran
    with pytest.raises(RoundMismatchError, match="round 1 does not fit model 'tiny'"):
        restore_model(base, "atl_a", change(outcome.tensors), "round 1")
    with pytest.raises(RoundMismatchError, match="the first impression does not fit"):
        restore_preview(base, change(seen))


def test_a_round_of_another_model_is_nothing_to_start_from() -> None:
    with pytest.raises(RoundMismatchError, match="the round to start from"):
        run_job(SilentReporter(), replace(make_job(), parent={"adapter.x": np.zeros(1, np.float32)}))


def test_base_weights_that_are_gone_say_so() -> None:
    job = replace(make_job(), origin=ModelOrigin("tiny", Path("nowhere.safetensors")))
    with pytest.raises(CheckpointError, match=r"nowhere\.safetensors"):
        run_job(SilentReporter(), job)


def test_another_base_than_the_jobs_is_refused(tmp_path: Path) -> None:
    """A checkpoint file that was replaced while the project was open: the session's rounds would not fit it."""
    path = tmp_path / "mine.safetensors"
    path.write_bytes(embedded_weights("tiny_unseen").read_bytes())
    job = replace(make_job(), origin=ModelOrigin("tiny", path))
    with pytest.raises(RoundMismatchError, match=r"mine\.safetensors' was changed since.*open the project again"):
        run_job(SilentReporter(), job)
    with pytest.raises(RoundMismatchError, match="its weights file was changed"):
        run_job(SilentReporter(), replace(make_job(), weights="another"))
    path.write_bytes(embedded_weights("tiny").read_bytes())
    assert run_job(SilentReporter(), job).losses
