"""Parameter counts: the published ones exactly, and those that follow from each family's shapes."""

from __future__ import annotations

import pytest
import torch

from seglab.models.adapters.atl import AtlAdapter, AtlConvAdapter, AtlSerialAdapter, AtlTwoLayerAdapter
from seglab.models.adapters.base import first_block
from seglab.models.adapters.lora import LoraAdapter
from seglab.models.adapters.registry import new_adapter
from seglab.models.sam import AdaptedSam, count_parameters
from seglab.models.spec import SPECS, SamSpec

DECODER, NO_MASK = 4_058_340, 256
"""SAM's mask decoder and no_mask_embed, as METHODS gives them."""


@pytest.mark.parametrize(
    ("name", "alone", "trained", "share"),
    [
        ("vit_b", 63_312, 4_121_908, 4.40),
        ("vit_l", 116_544, 4_175_140, 1.34),
        ("vit_h", 186_960, 4_245_556, 0.66),
    ],
)
def test_transland_seg(name: str, alone: int, trained: int, share: float) -> None:
    spec = SPECS[name]
    with torch.device("meta"):
        model = AdaptedSam(spec)
        whole = count_parameters(model.sam.parameters())
        model.attach(AtlAdapter(spec.width, spec.depth, spec.patch))
    assert count_parameters(model.adapter.parameters()) == alone
    assert count_parameters(model.trained_parameters().values()) == trained == alone + DECODER + NO_MASK
    assert round(100 * trained / whole, 2) == share
    assert model.adapter.embed.out_features == spec.width // 32


def _alone(name: str, spec: SamSpec, place: str = "all") -> int:
    with torch.device("meta"):
        return count_parameters(new_adapter(name, spec, first_block(place, spec.depth)).parameters())


# ViT-B: d = 768, 12 blocks, h = 24; ViT-L: d = 1024, 24 blocks, h = 32.
@pytest.mark.parametrize(
    ("name", "vit_b", "vit_l"),
    [
        ("atl_a", 63_312, 116_544),
        ("atl_a_no_residual", 63_312, 116_544),
        # one more Linear(h, h) per block
        ("atl_b", 63_312 + 12 * (24 * 24 + 24), 116_544 + 24 * (32 * 32 + 32)),
        # U gives way to 1x1 h-h, LN h, depthwise 3x3, LN h, 1x1 h-d (as large as U), LN d
        ("atl_c", 63_312 + 600 + 48 + 240 + 48 + 1536, 116_544 + 1056 + 64 + 320 + 64 + 2048),
        # per block d-d/4-d, one 1x1 d-d, LN d
        ("atl_d", 12 * (768 * 192 + 192 + 192 * 768 + 768 + 768 * 768 + 768 + 1536), 24 * 1_577_216),
        ("atl_d_no_residual", 12 * 888_000, 24 * 1_577_216),
        # per block rank 4, down and up, for queries and values
        ("lora", 12 * 2 * 2 * 4 * 768, 24 * 2 * 2 * 4 * 1024),
        ("serial", 12 * (768 * 192 + 192 + 192 * 768 + 768), 24 * (2 * 1024 * 256 + 256 + 1024)),
        ("serial_norm", 12 * (295_872 + 1536), 24 * (525_568 + 2048)),
        ("none", 0, 0),
        ("full", 0, 0),
    ],
)
def test_the_whole_family(name: str, vit_b: int, vit_l: int) -> None:
    assert _alone(name, SPECS["vit_b"]) == vit_b
    assert _alone(name, SPECS["vit_l"]) == vit_l


def test_neck() -> None:
    # 256-64 1x1, 64-64 3x3, 64-256 1x1
    assert _alone("neck", SPECS["vit_b"], "neck") == 256 * 64 + 64 + 9 * 64 * 64 + 64 + 64 * 256 + 256


@pytest.mark.parametrize(("place", "blocks"), [("late", 3), ("last", 1)])
def test_only_blocks_from_k_on_cost_something(place: str, blocks: int) -> None:
    spec = SPECS["vit_b"]
    for name, per_block in {"atl_a": 600, "atl_b": 1200, "atl_d": 888_000, "lora": 12_288, "serial": 295_872}.items():
        shared = _alone(name, spec) - 12 * per_block
        assert _alone(name, spec, place) == shared + blocks * per_block


def test_full_tuning_trains_what_its_place_says() -> None:
    spec = SPECS["vit_b"]
    with torch.device("meta"):
        model = AdaptedSam(spec)
        encoder = count_parameters(model.sam.image_encoder.parameters())
        blocks = [count_parameters(block.parameters()) for block in model.sam.image_encoder.blocks]
        neck = count_parameters(model.sam.image_encoder.neck.parameters())
        for place, expected in {
            "all": encoder,
            1: sum(blocks[1:]) + neck,
            "late": sum(blocks[9:]) + neck,
            "last": blocks[11] + neck,
            "neck": neck,
        }.items():
            model.attach(new_adapter("full", spec, first_block(place, spec.depth)))
            assert count_parameters(model.trained_parameters().values()) == expected + DECODER + NO_MASK
            model.attach(new_adapter("none", spec, first_block(place, spec.depth)))
            assert count_parameters(model.trained_parameters().values()) == DECODER + NO_MASK


def test_a_narrow_encoder_gets_a_bottleneck_that_can_say_something() -> None:
    tiny = SPECS["tiny"]
    for name in ("atl_a", "atl_b", "atl_c"):
        assert new_adapter(name, tiny, 4).embed.out_features == 16
    assert AtlAdapter(tiny.width, tiny.depth, tiny.patch).embed.out_features == tiny.width // 32
    assert new_adapter("atl_a", SPECS["vit_b"], 11).embed.out_features == 24


def test_classes_take_other_sizes() -> None:
    assert AtlTwoLayerAdapter(64, 2, 8, bottleneck=8).embed.out_features == 8
    assert AtlConvAdapter(64, 2, 8).embed.out_features == 2
    assert AtlSerialAdapter(64, 2).bottleneck[0][0].out_features == 16
    assert LoraAdapter(64, 2, rank=2).query_down[1].weight.shape == (2, 64)
