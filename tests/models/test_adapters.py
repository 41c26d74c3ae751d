"""The adapter family behind one protocol: places, hooks, what is trained and what stays."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from seglab.errors import AdapterError, BandError, RoundMismatchError
from seglab.models.adapters.base import PLACES, Adapter, first_block
from seglab.models.adapters.registry import ADAPTERS, adapter_places, new_adapter
from seglab.models.adapters.stack import Stack
from seglab.models.sam import AdaptedSam
from seglab.models.spec import SamSpec

SMALL = SamSpec("small", 32, 8, 32, 4, 2, (1, 3), 2, 32, 64)
EVERYWHERE = [(name, place) for name in ADAPTERS for place in adapter_places(name)]
STARTS_AS_PLAIN_SAM = {"lora", "serial", "serial_norm", "neck", "none", "full"}


@pytest.fixture
def model() -> AdaptedSam:
    torch.manual_seed(0)
    model = AdaptedSam(SMALL, adapt_from=2).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if "pos" in name:  # zero at the start, which would hide mistakes
            nn.init.normal_(parameter, std=0.2)
    return model


@pytest.fixture
def image() -> torch.Tensor:
    return torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def shake(adapter: Adapter) -> Adapter:
    for parameter in adapter.parameters():
        nn.init.normal_(parameter, std=0.2)
    return adapter


def branch_with(model: AdaptedSam, name: str, place: str | int) -> AdaptedSam:
    branch = model.branch_off()
    branch.attach(new_adapter(name, SMALL, place))
    return branch


def step(branch: AdaptedSam, image: torch.Tensor) -> None:
    """One step of plain gradient descent on everything that a round trains."""
    branch.freeze_base()
    branch.decode_prompt_free(branch.encode(image)).square().mean().backward()
    with torch.no_grad():
        for parameter in branch.trained_parameters().values():
            if parameter.grad is not None:
                parameter -= parameter.grad
    branch.requires_grad_(False)


@pytest.mark.parametrize(("name", "place"), EVERYWHERE)
def test_the_start(model: AdaptedSam, image: torch.Tensor, name: str, place: str) -> None:
    """All start as plain SAM but ATL, whose published start is small and not zero."""
    plain = model.encode(image)
    branch = branch_with(model, name, place)
    assert branch.adapter.name == name and branch.adapt_from == first_block(place, SMALL.depth)
    assert torch.allclose(branch.encode(image), plain, rtol=1e-5, atol=1e-6) == (name in STARTS_AS_PLAIN_SAM)


@pytest.mark.parametrize(("name", "place"), EVERYWHERE)
def test_training_changes_the_branch_and_nothing_else(
    model: AdaptedSam, image: torch.Tensor, name: str, place: str
) -> None:
    before = {key: value.clone() for key, value in model.state_dict().items()}
    branch = branch_with(model, name, place)
    start, parent = branch.encode(image), model.encode(image)
    prefix = branch.encode_prefix(image)
    shake(branch.adapter)
    step(branch, image)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    torch.testing.assert_close(model.encode(image), parent, rtol=0, atol=0)
    assert torch.equal(branch.encode(image), start) == (name == "none")
    if (name, place) != ("full", "all"):
        assert torch.equal(branch.encode_prefix(image).tokens, prefix.tokens)
        assert model.branch_off().encode_prefix(image).patches.equal(prefix.patches)


@pytest.mark.parametrize(("name", "place"), [pair for pair in EVERYWHERE if pair[0] not in ("none", "full")])
def test_every_parameter_of_an_adapter_matters(model: AdaptedSam, image: torch.Tensor, name: str, place: str) -> None:
    branch = branch_with(model, name, place)
    shake(branch.adapter)
    branch.freeze_base()
    branch.encode(image).square().mul(torch.randn(32, 4, 4)).sum().backward()
    # Without its residual connection, (a) hands nothing on from block to block: only the last one's layer matters.
    lost = {f"per_block.{i}." for i in range(3 - branch.adapt_from)} if name == "atl_a_no_residual" else set()
    for key, parameter in branch.adapter.named_parameters():
        matters = parameter.grad is not None and parameter.grad.abs().max() > 0
        assert matters != key.startswith(tuple(lost)), key


def test_hooks_are_called_from_k_on(model: AdaptedSam, image: torch.Tensor) -> None:
    calls: list[tuple[str, int]] = []

    class Watching(Adapter):
        name = "watching"

        def before_block(self, index, tokens, branch):
            calls.append(("before_block", index))
            return tokens

        def qkv(self, index, x):
            calls.append(("qkv", index))

        def after_attention(self, index, x):
            calls.append(("after_attention", index))
            return x

        def after_mlp(self, index, x):
            calls.append(("after_mlp", index))
            return x

        def after_neck(self, embedding):
            calls.append(("after_neck", embedding.shape[1]))
            return embedding

    plain = model.encode(image)
    model.attach(Watching(2))
    torch.testing.assert_close(model.encode(image), plain, rtol=1e-5, atol=1e-6)
    hooks = ("before_block", "qkv", "after_attention", "after_mlp")
    assert calls == [(hook, index) for index in (2, 3) for hook in hooks] + [("after_neck", SMALL.prompt_dim)]


def test_places_are_refused_with_what_would_do() -> None:
    with pytest.raises(AdapterError, match=r"'neck' does not go at adapt_from='late'.* neck, .*atl_a"):
        new_adapter("neck", SMALL, "late")
    with pytest.raises(AdapterError, match=r"'atl_a' does not go at adapt_from=4; choose one of all, late, last.*neck"):
        new_adapter("atl_a", SMALL, 4)
    with pytest.raises(AdapterError, match=r"'atl'; choose one of atl_a, "):
        new_adapter("atl", SMALL, 0)
    with pytest.raises(AdapterError, match="no adapter is called"):
        adapter_places("atl")
    with pytest.raises(RoundMismatchError, match="4 blocks"):
        new_adapter("lora", SMALL, 5)


def test_names_and_places_are_known() -> None:
    assert set(ADAPTERS) >= {
        *("atl_a", "atl_b", "atl_c", "atl_d", "lora"),
        *("serial", "serial_norm", "neck", "none", "full"),
    }
    assert adapter_places("neck") == ("neck",)
    assert all(set(adapter_places(name)) <= set(PLACES) for name in ADAPTERS)
    assert new_adapter("lora", SMALL, 1).adapt_from == 1


# -- full tuning


def test_full_tuning_copies_only_what_it_trains(model: AdaptedSam) -> None:
    branch = branch_with(model, "full", 2)
    own, base = branch.sam.image_encoder, model.sam.image_encoder
    assert [a is b for a, b in zip(own.blocks, base.blocks, strict=True)] == [True, True, False, False]
    assert own.patch_embed is base.patch_embed and own.pos_embed is base.pos_embed and own.neck is not base.neck
    again = branch.branch_off()
    shared = zip(again.sam.image_encoder.blocks, own.blocks, strict=True)
    assert [a is b for a, b in shared] == [True, True, False, False]
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), branch.parameters(), strict=True))


def test_full_tuning_from_pixels_reaches_the_patches_and_changes_the_prefix(
    model: AdaptedSam, image: torch.Tensor
) -> None:
    branch = branch_with(model, "full", "all")
    before = branch.prefix_hash()
    step(branch, image)
    encoder = branch.sam.image_encoder
    assert not torch.equal(encoder.patch_embed.proj.weight, model.sam.image_encoder.patch_embed.proj.weight)
    assert not torch.equal(encoder.pos_embed, model.sam.image_encoder.pos_embed)
    assert branch.prefix_hash() != before


def test_a_round_after_full_tuning_keeps_what_it_learnt(model: AdaptedSam, image: torch.Tensor) -> None:
    tuned = branch_with(model, "full", 2)
    step(tuned, image)
    after = tuned.branch_off()
    after.attach(new_adapter("none", SMALL, 2))
    torch.testing.assert_close(after.encode(image), tuned.encode(image), rtol=0, atol=0)
    assert not torch.equal(after.encode(image), model.encode(image))


# -- two at once


def test_a_stack_calls_both_in_order(model: AdaptedSam, image: torch.Tensor) -> None:
    first, second = (shake(new_adapter("serial", SMALL, k)) for k in (1, 3))
    stack = Stack(first, second)
    assert stack.adapt_from == 1 and stack.name == "serial+serial"
    x = torch.randn(1, 4, 4, 32)
    torch.testing.assert_close(stack.after_mlp(3, x), second.after_mlp(3, first.after_mlp(3, x)))
    torch.testing.assert_close(stack.after_mlp(2, x), first.after_mlp(2, x))
    lora, other = (shake(new_adapter("lora", SMALL, 2)) for _ in range(2))
    torch.testing.assert_close(Stack(lora, other).qkv(2, x), lora.qkv(2, x) + other.qkv(2, x))
    torch.testing.assert_close(Stack(first, lora).qkv(2, x), lora.qkv(2, x))
    assert Stack(first, lora).qkv(1, x) is None
    atl, more = (shake(new_adapter("atl_a", SMALL, 2)) for _ in range(2))
    both = Stack(atl, more)
    patches, high_pass = torch.randn(1, 4, 4, 32), torch.randn(1, 3, 32, 32)
    branches = both.branch(patches, high_pass)
    expected = more.before_block(2, atl.before_block(2, x, branches[0]), branches[1])
    torch.testing.assert_close(both.before_block(2, x, branches), expected)
    late = shake(new_adapter("atl_d", SMALL, 3))
    torch.testing.assert_close(Stack(atl, late).after_attention(3, x), late.after_attention(3, x))


def test_a_fresh_neck_on_a_round_is_that_round(model: AdaptedSam, image: torch.Tensor) -> None:
    branch = branch_with(model, "atl_a", 2)
    expected = branch.encode(image)
    preview = branch.branch_off()
    preview.attach(Stack(preview.adapter, new_adapter("neck", SMALL, "neck")))
    assert preview.adapt_from == 2
    torch.testing.assert_close(preview.encode(image), expected, rtol=0, atol=0)
    step(preview, image)
    torch.testing.assert_close(branch.encode(image), expected, rtol=0, atol=0)
    assert {name.split(".")[1] for name in preview.trained_parameters() if name.startswith("adapter.")} == {
        "first",
        "second",
    }


def test_full_tuning_in_a_stack_is_trained(model: AdaptedSam) -> None:
    model.attach(Stack(new_adapter("full", SMALL, 3), new_adapter("neck", SMALL, 4)))
    assert any(name.startswith("sam.image_encoder.blocks.3.") for name in model.trained_parameters())
    assert not any(name.startswith("sam.image_encoder.blocks.2.") for name in model.trained_parameters())


# -- more bands


@pytest.mark.parametrize("k", [0, 2, 4])
def test_untrained_extra_bands_change_nothing_exactly(image: torch.Tensor, k: int) -> None:
    plain, wide = AdaptedSam(SMALL, k).eval(), AdaptedSam(SMALL, k, extra_bands=3).eval()
    wide.sam.load_state_dict(plain.sam.state_dict())
    extra = 50 * torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(wide.encode(image, extra), plain.encode(image))
        assert torch.equal(wide.encode_prefix(image, extra).tokens, plain.encode_prefix(image).tokens)


def test_extra_bands_train_with_the_adapter(model: AdaptedSam, image: torch.Tensor) -> None:
    base = AdaptedSam(SMALL, 2, extra_bands=2).eval().requires_grad_(False)
    branch = branch_with(base, "none", 2)
    extra = torch.randn(1, 2, 32, 32)
    before = branch.encode(image, extra)
    branch.freeze_base()
    branch.encode(image, extra).square().mul(torch.randn(32, 4, 4)).sum().backward()
    trained = branch.trained_parameters()
    assert {"band_branch.projection.weight", "band_branch.projection.bias"} <= set(trained)
    with torch.no_grad():
        for parameter in branch.band_branch.parameters():
            assert parameter.grad.abs().max() > 0
            parameter -= 0.01 * parameter.grad
    assert not torch.equal(branch.encode(image, extra), before)
    assert not torch.equal(branch.encode(image, extra), branch.encode(image, -extra))
    torch.testing.assert_close(base.encode(image, extra), before, rtol=0, atol=0)


def test_extra_bands_must_be_those_the_model_takes(model: AdaptedSam, image: torch.Tensor) -> None:
    wide = AdaptedSam(SMALL, 2, extra_bands=2).eval()
    for given in (None, torch.randn(1, 3, 32, 32)):
        with pytest.raises(BandError, match="takes 2 extra bands and was given"):
            wide.encode(image, given)
    with pytest.raises(BandError, match="takes 0 extra bands and was given 1"):
        model.encode(image, torch.randn(1, 1, 32, 32))
