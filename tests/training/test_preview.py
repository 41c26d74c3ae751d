"""A first impression looks all over the round's ground and changes nothing until it is trained."""

from __future__ import annotations

import numpy as np
import torch

from seglab.models.adapters.registry import new_adapter
from seglab.models.sam import AdaptedSam
from seglab.models.spec import SamSpec
from seglab.training.job import TrainingChip
from seglab.training.preview import preview_model, spread

SMALL = SamSpec("small", 64, 8, 32, 3, 2, (2,), attention_window=4, prompt_dim=32, decoder_mlp=32)


def chip(group: str) -> TrainingChip:
    empty = np.zeros((0, 32, 32), dtype=bool)
    return TrainingChip("", np.zeros((64, 64, 3), np.uint8), None, empty, (), np.zeros((32, 32), np.int64), group)


def test_every_place_comes_before_any_comes_twice() -> None:
    chips = [chip(group) for group in "aaabbc"]
    assert [c.group for c in spread(chips, 4)] == ["a", "b", "c", "a"]
    assert spread(chips, 4)[0] is chips[0] and spread(chips, 4)[3] is chips[1]
    assert len(spread(chips, 100)) == 6


def test_untrained_it_is_the_model_it_starts_from() -> None:
    torch.manual_seed(0)
    plain = AdaptedSam(SMALL, adapt_from=2).requires_grad_(False).eval()
    adapted = plain.branch_off()
    adapted.attach(new_adapter("atl_a", SMALL, 2))
    image = torch.randn(1, 3, 64, 64)
    for model in (plain, adapted):
        shown = preview_model(model)
        with torch.inference_mode():
            assert torch.equal(shown.encode(image), model.encode(image))
        assert shown.prefix_hash() == model.prefix_hash() and shown.adapt_from == 2
        assert model.adapter is None or "second" not in dict(model.adapter.named_children())
