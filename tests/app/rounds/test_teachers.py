"""A teacher, as a person names it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seglab.app.rounds.rounds import identity_of
from seglab.app.rounds.teachers import load_teacher
from seglab.errors import CheckpointError, ModelNotFoundError, RoundFileError
from seglab.models.adapters.registry import new_adapter
from seglab.models.registry import load_model
from seglab.models.student.teachers import SamTeacher
from seglab.store.round_files import read_round_file, write_round_file

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def round_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A round of tiny, adapted from its last block on."""
    model = load_model("tiny", device="cpu", adapt_from="last")
    card = identity_of(model, "atl_a", (1, 2, 3), ()) | {"classes": ["lake"], "round": 1}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model.attach(new_adapter("atl_a", model.spec, "last"))
    model.class_prompts = torch.nn.Parameter(torch.zeros(1, model.spec.prompt_dim))
    path = tmp_path_factory.mktemp("round") / "round.safetensors"
    write_round_file(path, {k: v.detach().numpy() for k, v in model.trained_parameters().items()}, card)
    return path


def test_a_rounds_file_teaches_what_the_round_sees(round_file):
    plain, adapted = load_teacher("tiny", CPU), load_teacher(round_file, CPU)
    assert isinstance(adapted, SamTeacher)
    assert (adapted.name, adapted.width) == ("tiny", 256)
    rgb = torch.full((1, 56, 56, 3), 90, dtype=torch.uint8)
    first, second = plain.features(rgb), adapted.features(rgb)
    torch.testing.assert_close(first[2], second[2])
    assert not torch.allclose(first[3], second[3])


def test_what_cannot_teach_says_so(tmp_path):
    with pytest.raises(ModelNotFoundError, match="no model is called 'dinov3'"):
        load_teacher("dinov3", CPU)
    with pytest.raises(CheckpointError, match="--checkpoint"):
        load_teacher("dinov2", CPU)
    with pytest.raises(CheckpointError, match="cannot read"):
        load_teacher("dinov2", CPU, checkpoint=tmp_path / "absent.pth")
    with pytest.raises(RoundFileError, match="not a round"):
        load_teacher(tmp_path / "absent.safetensors", CPU)


def test_a_round_knows_what_it_maps_and_how_sure_it_is(round_file):
    plain, adapted = load_teacher("tiny", CPU), load_teacher(round_file, CPU)
    assert (plain.classes, adapted.classes) == ((), ("lake",))
    rgb = torch.randint(0, 255, (2, 224, 224, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    chances = adapted.chances(rgb)
    assert chances.shape == (2, 2, 224, 224)
    torch.testing.assert_close(chances.sum(1), torch.ones(2, 224, 224))
    three = adapted.chances(rgb, torch.zeros(3, adapted.model.spec.prompt_dim))
    torch.testing.assert_close(three[:, 1], three[:, 3])  # equal prompts, equal chances


def test_a_prompt_free_round_maps_the_class_of_its_figures(round_file, tmp_path):
    tensors, card = read_round_file(round_file)
    card |= {"mode": "prompt-free", "classes": [], "metrics": {"classes": {"background": {}, "roof": {}}}}
    tensors["class_prompts"] = tensors["class_prompts"][:0]
    write_round_file(tmp_path / "free.safetensors", tensors, card)
    teacher = load_teacher(tmp_path / "free.safetensors", CPU)
    assert teacher.classes == ("roof",)
    assert teacher.chances(torch.zeros(1, 224, 224, 3, dtype=torch.uint8)).shape == (1, 2, 224, 224)
