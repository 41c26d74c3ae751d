"""run_block computes what segment-anything's own block computes, forwards and backwards."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from seglab.models import attention
from seglab.models.attention import Block, run_block

WIDTH, HEADS = 24, 3
GRIDS = {
    "windows that fit": (4, (2, 8, 12)),
    "windows that need padding": (4, (2, 7, 10)),
    "global": (0, (2, 8, 8)),
    "global, not square": (0, (1, 8, 5)),
    "one window wider than the grid": (14, (1, 3, 5)),
}


def _block(window: int, side: int = 8) -> Block:
    torch.manual_seed(0)
    block = Block(WIDTH, HEADS, use_rel_pos=True, window_size=window, input_size=(side, side))
    for parameter in block.parameters():  # relative positions start as zeros, which would hide mistakes
        nn.init.normal_(parameter, std=0.3)
    return block


def _close(found: Tensor, expected: Tensor) -> None:
    error = (found - expected).abs().max() / expected.abs().max()
    assert error < 1e-5, f"relative error {error:.2e}"


@torch.inference_mode()
@pytest.mark.parametrize("case", GRIDS)
def test_equals_segment_anything(case: str) -> None:
    window, shape = GRIDS[case]
    block, tokens = _block(window), torch.randn(*shape, WIDTH)
    _close(run_block(block, tokens), block(tokens))


@torch.inference_mode()
def test_equals_segment_anything_when_queries_come_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "QUERIES_AT_ONCE", 24)  # 64 queries: two full parts and a rest
    block, tokens = _block(0), torch.randn(2, 8, 8, WIDTH)
    _close(run_block(block, tokens), block(tokens))


@pytest.mark.parametrize("few", [0, 10_000], ids=["channels", "bias"])
@pytest.mark.parametrize("case", GRIDS)
def test_gradients_equal_segment_anything(case: str, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "FEW_TOKENS", few)
    window, shape = GRIDS[case]
    block, tokens = _block(window), torch.randn(*shape, WIDTH, requires_grad=True)
    wanted = [tokens, *block.parameters()]
    weight = torch.randn(*shape, WIDTH)
    found = run_block(block, tokens)
    expected = block(tokens)
    _close(found, expected)
    pairs = zip(
        torch.autograd.grad((found * weight).sum(), wanted),
        torch.autograd.grad((expected * weight).sum(), wanted),
        strict=True,
    )
    scale = max(p.abs().max() for p in torch.autograd.grad((block(tokens) * weight).sum(), wanted))
    for ours, theirs in pairs:
        # The gradient of the keys' bias is zero but for rounding, so the error is measured against the largest too.
        assert (ours - theirs).abs().max() < 1e-5 * max(theirs.abs().max(), 0.1 * scale)


def test_the_number_of_tokens_chooses_the_path_and_not_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    block, tokens = _block(0), torch.randn(1, 8, 8, WIDTH)
    results = []
    for few in (63, 64):
        monkeypatch.setattr(attention, "FEW_TOKENS", few)
        results.append(run_block(block, tokens))
    _close(results[0].detach(), results[1].detach())


class _Hooks(nn.Module):
    """Records what each hook sees, and adds something of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, tuple[int, tuple[int, ...]]] = {}

    def qkv(self, index: int, x: Tensor) -> Tensor:
        self.seen["qkv"] = index, tuple(x.shape)
        return torch.ones(*x.shape[:3], 3 * WIDTH) * 0.5

    def after_attention(self, index: int, x: Tensor) -> Tensor:
        self.seen["after_attention"] = index, tuple(x.shape)
        return x * 2

    def after_mlp(self, index: int, x: Tensor) -> Tensor:
        self.seen["after_mlp"] = index, tuple(x.shape)
        return x - 3


@torch.inference_mode()
def test_the_adapters_hooks_are_called_in_their_places() -> None:
    block, tokens, hooks = _block(4), torch.randn(1, 7, 8, WIDTH), _Hooks()
    found = run_block(block, tokens, 5, hooks)
    windows = (4, 4, 4, WIDTH)
    assert hooks.seen == {"qkv": (5, windows), "after_attention": (5, windows), "after_mlp": (5, (1, 7, 8, WIDTH))}
    # The same by segment-anything's own block with changed weights: the bias of qkv, the projection, and the MLP's end.
    block.attn.qkv.bias += 0.5
    block.attn.proj.weight *= 2
    block.attn.proj.bias *= 2
    block.mlp.lin2.bias -= 3
    _close(found, block(tokens))
