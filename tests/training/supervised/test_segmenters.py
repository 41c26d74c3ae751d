"""An adapted SAM behind supervised training's face."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seglab.models.adapters.registry import new_adapter
from seglab.models.registry import load_model
from seglab.models.sam import AdaptedSam, count_parameters
from seglab.training.supervised.colour_jitter import ColourJitter
from seglab.training.supervised.pair_batches import BandScaling, PairBatch, PairReader
from seglab.training.supervised.segmenters import SamSegmenter
from tests.training.supervised.pair_sets import Discs


def adapted(extra_bands: int = 0, adapt_from: str = "last") -> AdaptedSam:
    model = load_model("tiny", device="cpu", adapt_from=adapt_from, extra_bands=extra_bands)
    torch.manual_seed(0)
    model.attach(new_adapter("atl_a", model.spec, adapt_from))
    return model


@pytest.fixture(scope="module")
def batch() -> PairBatch:
    reader = PairReader(Discs(several=True), {"disc": 1, "square": 2}, 224, ColourJitter())
    return next(reader.stream([[0, 1]]))


def test_prompt_free_is_the_decoder_without_a_sparse_token(batch):
    model = adapted()
    segmenter = SamSegmenter(model, 1, prompt_free=True)
    segmenter.begin(iter(()))
    with torch.no_grad():
        features = segmenter.features(batch)
        expected = model.decode_tokens(features, torch.zeros(2, 0, model.spec.prompt_dim))[0][:, :1]
        torch.testing.assert_close(segmenter.logits(features), expected, rtol=1e-4, atol=1e-4)
    assert segmenter.logits(features).shape == (2, 1, 112, 112)
    assert "class_prompts" not in {name for name, value in segmenter.state().items() if value.numel()}


def test_class_prompts_start_from_the_mean_embedding_of_their_pixels(batch):
    model = adapted()
    segmenter = SamSegmenter(model, 2, prompt_free=False)
    segmenter.begin([batch])
    with torch.no_grad():
        features = segmenter.features(batch)
        means = [model.exemplar(features[i], torch.from_numpy(batch.target[i] == 2)) for i in range(2)]
    torch.testing.assert_close(model.class_prompts[1].detach(), torch.stack(means).mean(0))
    assert segmenter.logits(features).shape == (2, 2, 112, 112)


def test_only_what_a_round_trains_gets_a_gradient(batch):
    model = adapted()
    segmenter = SamSegmenter(model, 1, prompt_free=True)
    segmenter.logits(segmenter.features(batch)).mean().backward()
    trained = {name for name, p in model.named_parameters() if p.grad is not None}
    assert trained <= set(segmenter.state())
    assert any(name.startswith("adapter.") for name in trained)
    assert "sam.prompt_encoder.no_mask_embed.weight" in trained
    assert not any(name.startswith("sam.image_encoder.") for name in trained)


def test_simulated_prompts_give_a_loss_that_reaches_the_adapter(batch):
    model = adapted()
    segmenter = SamSegmenter(model, 1, prompt_free=True)
    loss = segmenter.prompted(segmenter.features(batch), batch.target, np.random.default_rng(0))
    loss.backward()
    assert any(p.grad is not None and p.grad.any() for p in model.adapter.parameters())
    nothing = np.zeros_like(batch.target)
    assert segmenter.prompted(segmenter.features(batch), nothing, np.random.default_rng(0)) is None


def test_unknown_pixels_are_no_object_to_prompt_for(batch):
    segmenter = SamSegmenter(adapted(), 1, prompt_free=True)
    unknown = np.full_like(batch.target, -1)
    with torch.no_grad():
        assert segmenter.prompted(segmenter.features(batch), unknown, np.random.default_rng(0)) is None


def test_an_untrained_side_branch_for_extra_bands_changes_nothing():
    scaling = BandScaling((0.0,), (100.0,))
    readers = (PairReader(Discs(), {"disc": 1}, 224, ColourJitter(), s) for s in (None, scaling))
    plain, extra = (next(reader.stream([[0]])) for reader in readers)
    with torch.no_grad():
        without = SamSegmenter(adapted(), 1, prompt_free=True).features(plain)
        beside = SamSegmenter(adapted(extra_bands=1), 1, prompt_free=True)
        assert torch.equal(beside.features(extra), without)
    assert any(name.startswith("band_branch.") for name in beside.state())


def test_its_description_counts_what_is_trained():
    described = SamSegmenter(adapted(adapt_from="all"), 1, prompt_free=True).describe()
    assert (described["model"], described["adapter"], described["mode"]) == ("tiny", "atl_a", "prompt-free")
    model = adapted(adapt_from="all")
    trained = count_parameters(model.adapter.parameters()) + count_parameters(model.sam.mask_decoder.parameters())
    assert described["parameters_trained"] == trained + 128  # the embedding that stands for "no mask"
