"""Teachers: a SAM's and a DINO's features after chosen blocks."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from seglab.errors import CheckpointError, TrainingError
from seglab.models.adapters.registry import new_adapter
from seglab.models.registry import load_model
from seglab.models.sam import AdaptedSam
from seglab.models.student.teachers import DinoTeacher, SamTeacher, load_dino, taught_blocks
from seglab.models.student.timm_library import timm_library

RGB = torch.randint(0, 255, (2, 56, 56, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def adapted(adapt_from: str = "late") -> AdaptedSam:
    model = load_model("tiny", device="cpu", adapt_from=adapt_from)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model.attach(new_adapter("atl_a", model.spec, adapt_from))
    return model


def small_vit() -> torch.nn.Module:
    timm_library()
    from timm.models.vision_transformer import VisionTransformer

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return VisionTransformer(
            img_size=56, patch_size=14, embed_dim=24, depth=5, num_heads=2, num_classes=0, dynamic_img_size=True
        )


def test_the_published_blocks_are_those_of_twelve():
    assert taught_blocks(12) == (2, 5, 8, 11)
    assert taught_blocks(8) == (1, 3, 5, 7)
    with pytest.raises(TrainingError, match="use a deeper one"):
        taught_blocks(3)


def test_a_sams_features_are_the_tokens_after_its_blocks():
    model = adapted()
    tapped: dict[int, torch.Tensor] = {}
    with torch.no_grad():
        image = model.preprocess(RGB)
        embedding = model.encode_suffix(model.encode_prefix(image, tap=tapped.__setitem__), tap=tapped.__setitem__)
        assert list(tapped) == list(range(8))  # adapted blocks and frozen ones
        torch.testing.assert_close(model.encode(image), embedding)
        after_neck = model.adapter.after_neck(model.sam.image_encoder.neck(tapped[7].permute(0, 3, 1, 2)))
        torch.testing.assert_close(after_neck, embedding)
    maps = SamTeacher(model).features(RGB)
    assert [tuple(m.shape) for m in maps] == [(2, 256, 7, 7)] * 4
    for block, level in zip((1, 3, 5, 7), maps, strict=True):
        torch.testing.assert_close(level, F.layer_norm(tapped[block], (256,)).permute(0, 3, 1, 2))


def test_an_adapter_is_part_of_what_is_taught():
    plain, round_ = SamTeacher(load_model("tiny", device="cpu")), SamTeacher(adapted())
    assert plain.identity() != round_.identity()
    assert round_.identity() == SamTeacher(adapted()).identity() != SamTeacher(adapted(), (0, 1, 2, 3)).identity()
    first, second = plain.features(RGB), round_.features(RGB)
    torch.testing.assert_close(first[0], second[0])  # before the adapter
    assert not torch.allclose(first[3], second[3])


def test_a_round_with_extra_bands_does_not_teach():
    with pytest.raises(TrainingError, match="without extra bands"):
        SamTeacher(load_model("tiny", device="cpu", extra_bands=1))


def test_only_dinos_last_map_passes_the_final_norm():
    network = small_vit().eval()
    teacher = DinoTeacher(network, "small")
    assert (teacher.width, teacher.patch, teacher.blocks) == (24, 14, (0, 1, 2, 4))
    maps = teacher.features(RGB)
    mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    image = ((RGB.float() - mean) / std).permute(0, 3, 1, 2)
    with torch.no_grad():
        tokens, after = network._pos_embed(network.patch_embed(image)), []
        for block in network.blocks:
            tokens = block(tokens)
            after.append(tokens)
        for i, level in zip((0, 1, 2), maps[:3], strict=True):
            torch.testing.assert_close(level.flatten(2).transpose(1, 2), after[i][:, 1:])
        torch.testing.assert_close(maps[3].flatten(2).transpose(1, 2), network.norm(after[4])[:, 1:])
    assert [tuple(m.shape) for m in maps] == [(2, 24, 4, 4)] * 4


@pytest.mark.parametrize("name", ["vit_small_patch8_224", "vit_small_patch14_dinov2"])
def test_which_dino_it_is_the_weights_tell(tmp_path, name):
    path = tmp_path / "weights.pth"
    network = timm_library().create_model(name, num_classes=0)  # pos_embed as published: for one size of image
    torch.save(network.state_dict(), path)
    teacher = load_dino(path)
    assert (teacher.name, teacher.width, teacher.patch) == (name, 384, network.patch_embed.patch_size[0])
    assert [m.shape[-1] for m in teacher.features(RGB)] == [56 // teacher.patch] * 4
    torch.save({k: v for k, v in network.state_dict().items() if "blocks.11" not in k}, path)
    with pytest.raises(CheckpointError, match=f"not all of {name}"):
        load_dino(path)


def test_weights_that_are_no_dino_are_refused(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(small_vit().state_dict(), path)
    with pytest.raises(CheckpointError, match="no network that is known"):
        load_dino(path)
    with pytest.raises(CheckpointError, match="cannot read"):
        load_dino(tmp_path / "absent.pth")
