"""A hash follows every change of the weights, and weights that do not change are read once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from seglab.models import hashing
from seglab.models.adapters.registry import new_adapter
from seglab.models.hashing import tensor_hash
from seglab.models.sam import AdaptedSam
from seglab.models.spec import SamSpec

SMALL = SamSpec("small", 64, 8, 32, 4, 2, (1, 3), 4, 32, 64)


@pytest.fixture
def model() -> AdaptedSam:
    torch.manual_seed(0)
    return AdaptedSam(SMALL, adapt_from=2).eval().requires_grad_(False)


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    read, original = [], hashing._read
    monkeypatch.setattr(hashing, "_read", lambda tensor: (read.append(tensor), original(tensor))[1])
    return read


def test_names_shapes_types_and_values_count() -> None:
    value = torch.arange(6.0)
    found = {
        tensor_hash(tensors)
        for tensors in (
            {"a": value},
            {"b": value},
            {"a": value.reshape(2, 3)},
            {"a": value.half()},
            {"a": value.flip(0)},
            {"a": value[:3], "b": value[3:]},
            {"a": torch.tensor(1.0)},
            {"a": torch.zeros(0)},
            {},
        )
    }
    assert len(found) == 9
    assert tensor_hash({"a": value, "b": value[:1]}) == tensor_hash({"b": value[:1].clone(), "a": value.clone()})


def _optimiser_step(weight: torch.nn.Parameter) -> None:
    weight.requires_grad_(True)
    weight.grad = torch.ones_like(weight)
    torch.optim.AdamW([weight], lr=0.1).step()
    weight.requires_grad_(False)


@pytest.mark.parametrize(
    "change",
    [
        lambda weight: weight.add_(1),
        lambda weight: weight[0, 0].mul_(1.5),
        lambda weight: torch.nn.init.normal_(weight),
        lambda weight: weight.data.add_(1),
        lambda weight: weight.numpy().__setitem__((0, 0), 7.0),
        lambda weight: setattr(weight, "data", weight + 1),
        lambda weight: weight.copy_(weight.flip(0)),
        _optimiser_step,
    ],
    ids=["add", "slice", "init", "data", "numpy", "set data", "permuted", "optimiser"],
)
def test_any_change_in_place_changes_the_hash(model: AdaptedSam, change: Callable[[torch.Tensor], object]) -> None:
    before = model.prefix_hash(), model.encoder_hash(), model.base_hash()
    change(model.sam.image_encoder.blocks[0].mlp.lin1.weight)
    after = model.prefix_hash(), model.encoder_hash(), model.base_hash()
    assert not set(before) & set(after)


def test_another_tensor_under_the_same_name_is_read(model: AdaptedSam) -> None:
    before = model.prefix_hash()
    lin1 = model.sam.image_encoder.blocks[0].mlp.lin1
    lin1.weight = torch.nn.Parameter(lin1.weight.detach() + 1)
    assert model.prefix_hash() != before


def test_weights_are_read_once(model: AdaptedSam, monkeypatch: pytest.MonkeyPatch) -> None:
    read = count_reads(monkeypatch)
    first = model.encoder_hash()
    assert read
    read.clear()
    assert model.encoder_hash() == first and model.prefix_hash() == model.prefix_hash()
    branch = model.branch_off()
    branch.attach(new_adapter("neck", SMALL, SMALL.depth))
    branch.encoder_hash()
    assert len(read) == len(list(branch.adapter.parameters()))


def test_a_round_changes_the_encoder_and_not_its_prefix_nor_the_base(model: AdaptedSam) -> None:
    base = model.base_hash()
    one, other, bare = (model.branch_off() for _ in range(3))
    for branch in (one, other):
        branch.attach(new_adapter("lora", SMALL, 2))
    bare.attach(new_adapter("none", SMALL, 2))
    found = {m.encoder_hash() for m in (model, one, other, bare)}
    assert len(found) == 4  # one and other start from different random values
    assert len({m.prefix_hash() for m in (model, one, other, bare)}) == 1
    with torch.no_grad():
        one.sam.mask_decoder.mask_tokens.weight.add_(1)
    assert model.base_hash() == base


def test_k_and_the_shape_belong_to_the_prefix(model: AdaptedSam) -> None:
    before = model.prefix_hash()
    model.adapt_from = 3
    assert model.prefix_hash() != before


def test_extra_bands_belong_to_the_embedding_and_not_to_the_prefix(model: AdaptedSam) -> None:
    wide = AdaptedSam(SMALL, adapt_from=2, extra_bands=2).eval()
    wide.sam.load_state_dict(model.sam.state_dict())
    assert wide.prefix_hash() == model.prefix_hash() and wide.base_hash() == model.base_hash()
    before = wide.encoder_hash()
    assert before != model.encoder_hash()
    with torch.no_grad():
        wide.band_branch.projection.bias.add_(1)
    assert wide.encoder_hash() != before
