"""Weights files: what is refused, and what the refusal says."""

from __future__ import annotations

import os

import pytest
import torch
from safetensors.torch import save_file

from seglab.errors import CheckpointError
from seglab.models.checkpoint import load_state_dict, load_weights, looks_like


def encoder(width: int, blocks: int) -> dict[str, torch.Tensor]:
    """The names of a SAM image encoder with tensors as small as their meaning allows."""
    state = {"image_encoder.patch_embed.proj.weight": torch.zeros(width, 3, 1, 1)}
    return state | {f"image_encoder.blocks.{block}.norm1.weight": torch.zeros(1) for block in range(blocks)}


class Encoder(torch.nn.Module):
    """A module whose state dict is `encoder(width, blocks)`."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.image_encoder = torch.nn.Module()
        self.image_encoder.patch_embed = torch.nn.Module()
        self.image_encoder.patch_embed.proj = torch.nn.Conv2d(3, width, 1, bias=False)
        self.image_encoder.blocks = torch.nn.ModuleList()
        for _ in range(blocks):
            block = torch.nn.Module()
            block.norm1 = torch.nn.Module()
            block.norm1.weight = torch.nn.Parameter(torch.ones(1))
            self.image_encoder.blocks.append(block)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_come_back_as_saved(tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    state = {"a": torch.arange(6.0).reshape(2, 3), "b.c": torch.ones(4, dtype=torch.float16)}
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    loaded = load_state_dict(path)
    assert set(loaded) == set(state)
    assert all(torch.equal(loaded[key], state[key]) for key in state)
    assert loaded["b.c"].dtype == torch.float16


@pytest.mark.parametrize("zipped", [True, False])
def test_both_formats_of_torch_save_are_read(tmp_path, zipped):
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.full((3,), 7.0)}, path, _use_new_zipfile_serialization=zipped)
    assert load_state_dict(path)["a"].tolist() == [7.0, 7.0, 7.0]


@pytest.mark.parametrize("wrapper", ["model", "state_dict"])
def test_training_state_around_the_weights_is_dropped(tmp_path, wrapper):
    path = tmp_path / "training.pth"
    torch.save({wrapper: {"a": torch.ones(2)}, "epoch": 3}, path)
    assert set(load_state_dict(path)) == {"a"}


def test_a_file_that_wants_to_run_code_is_refused_and_runs_nothing(tmp_path):
    marker = tmp_path / "ran"

    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(marker),)

    path = tmp_path / "weights.pth"
    torch.save({"a": Payload()}, path)
    with pytest.raises(CheckpointError, match="readable weights file"):
        load_state_dict(path)
    assert not marker.exists()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"there is no weights file .*nowhere\.pth"):
        load_state_dict(tmp_path / "nowhere.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.95])
def test_a_truncated_file_is_refused(tmp_path, suffix, share):
    path = tmp_path / f"weights{suffix}"
    state = {"a": torch.zeros(1000)}
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(CheckpointError, match="not a readable"):
        load_state_dict(path)


def test_a_web_page_saved_as_a_checkpoint_is_refused(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_text("<!doctype html><title>Please log in</title>")
    with pytest.raises(CheckpointError, match="not a readable weights file"):
        load_state_dict(path)


@pytest.mark.parametrize("content", [torch.ones(3), [1, 2], {"epoch": 3}, {}])
def test_a_file_without_weights_is_refused(tmp_path, content):
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="holds no model weights"):
        load_state_dict(path)


@pytest.mark.parametrize(
    ("width", "blocks", "name"),
    [(768, 12, "vit_b"), (1024, 24, "vit_l"), (1280, 32, "vit_h"), (192, 6, None)],
)
def test_a_model_is_known_by_the_shape_of_its_encoder(width, blocks, name):
    assert looks_like(encoder(width, blocks)) == name


def test_something_else_looks_like_no_model():
    assert looks_like({"layer.weight": torch.zeros(3)}) is None


def test_fitting_weights_are_loaded(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"weight": torch.full((2, 3), 5.0), "bias": torch.zeros(2)}, path)
    model = torch.nn.Linear(3, 2)
    load_weights(model, path, "toy")
    assert model.weight.tolist() == [[5.0] * 3] * 2


def test_the_wrong_model_is_named_and_nothing_is_loaded(tmp_path):
    path = tmp_path / "vit_l.pth"
    torch.save(encoder(1024, 24), path)
    model = Encoder(768, 12)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_weights(model, path, "vit_b")
    message = str(caught.value)
    assert "does not fit the model 'vit_b'" in message
    assert "patch_embed.proj.weight is (1024, 3, 1, 1) and should be (768, 3, 1, 1)" in message
    assert "and 9 more are not known to the model" in message
    assert "model='vit_l'" in message
    assert all(torch.equal(model.state_dict()[key], before[key]) for key in before)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (encoder(192, 6), "width 192 with 6 encoder blocks"),
        ({"image_encoder.trunk.pos_embed": torch.zeros(1)}, "SAM 2"),
        ({"conv1.weight": torch.zeros(1)}, "does not look like a SAM"),
        (encoder(768, 12) | {"extra": torch.zeros(1)}, "changed copy"),
    ],
)
def test_the_message_says_what_the_file_looks_like(tmp_path, state, said):
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=said):
        load_weights(Encoder(768, 12), path, "vit_b")
