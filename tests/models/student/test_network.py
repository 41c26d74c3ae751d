"""The student: the published sizes, and what each part computes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import safetensors.torch
import torch
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from seglab.errors import CheckpointError, ModelNotFoundError
from seglab.models.sam import count_parameters
from seglab.models.student.alignment import FeatureAlignment, Neck
from seglab.models.student.heads import POOLS, _pooled
from seglab.models.student.modulation import FeatureModulation
from seglab.models.student.network import Student, build_student
from seglab.models.student.spec import STRIDES, STUDENTS, StudentSpec, student_spec

SPEC = student_spec("smallest")


@pytest.fixture(scope="module")
def student() -> Student:
    return build_student(SPEC, 3).eval()


def test_the_alignment_has_the_published_size():
    spec = student_spec("ktda")
    assert count_parameters(FeatureAlignment(spec.channels, spec.width).parameters()) == 1_477_632  # 1.48 M


@pytest.mark.parametrize(("name", "expected"), [("ktda", 113_405_952), ("ktda_mlp", 1_183_488)])
def test_the_modulation_has_the_published_size(name, expected):
    spec = student_spec(name)
    with torch.device("meta"):  # shapes are enough
        assert count_parameters(FeatureModulation(spec, len(spec.channels)).parameters()) == expected


def test_the_published_student_is_teachers_wide_and_on_its_grid():
    spec = student_spec("ktda")
    assert (spec.encoder, spec.width, spec.drop_path, spec.dropout) == ("convnext_base", 768, 0.4, 0.1)
    assert (spec.head_channels, spec.auxiliary_channels, spec.modulation_heads) == (512, 256, 8)
    assert spec.grid(448, 448) == (32, 32)


@pytest.mark.parametrize("name", sorted(STUDENTS))
def test_every_students_input_fits_its_strides(name):
    spec = student_spec(name)
    assert spec.image_size % STRIDES[-1] == 0
    assert spec.image_size % spec.token == 0


def test_logits_are_four_times_as_fine_as_the_aligned_grid(student):
    with torch.inference_mode():
        found = student.outputs(torch.randn(2, 3, 96, 160))
    assert [tuple(level.shape) for level in found.aligned] == [(2, 64, 6, 10)] * 4
    assert found.logits.shape == (2, 3, 24, 40)
    assert found.auxiliary.shape == (2, 3, 6, 10)


def test_levels_are_paired_with_the_encoders_stages(student):
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        stages, aligned = student.encoder(image), student.outputs(image).aligned
        assert [x.shape[-1] for x in stages] == [64 // stride for stride in STRIDES]
        for stage, conv, level in zip(stages, student.alignment.convs, aligned, strict=True):
            expected = F.interpolate(conv(stage), (4, 4), mode="bilinear", align_corners=False)
            torch.testing.assert_close(level, expected)


def test_the_neck_makes_a_pyramid():
    with torch.inference_mode():
        assert [x.shape[-1] for x in Neck(8)([torch.randn(1, 8, 6, 6)] * 4)] == [24, 12, 6, 3]


def test_the_vit_mode_lets_cells_see_each_other_and_the_mlp_mode_does_not():
    for mode, sees in (("vit", True), ("mlp", False)):
        module = FeatureModulation(replace(SPEC, modulation=mode, modulation_depth=1), 1).eval()
        level = torch.randn(1, SPEC.width, 3, 3)
        other = level.clone()
        other[:, ::2, 0, 0] += 3  # a norm takes away what all channels share
        with torch.inference_mode():
            first, second = module([level])[0], module([other])[0]
        assert first.shape == level.shape
        assert not torch.allclose(first[..., 0, 0], second[..., 0, 0])
        assert torch.allclose(first[..., 2, 2], second[..., 2, 2]) is not sees


def test_without_modulation_the_head_sees_the_neck(student):
    bare = Student(replace(SPEC, modulation="none"), 3).eval()
    fitting = {k: v for k, v in student.state_dict().items() if not k.startswith("modulation.")}
    bare.load_state_dict(fitting)
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        pyramid = bare.neck(bare.alignment(bare.encoder(image), (4, 4)))
        torch.testing.assert_close(bare(image), bare.head(pyramid))
        assert not torch.allclose(bare(image), student(image))


def test_pooling_is_adaptive_average_pooling():
    x = torch.randn(2, 3, 7, 5)
    for side in POOLS:
        torch.testing.assert_close(_pooled(x, side), F.adaptive_avg_pool2d(x, side))


def test_a_seed_is_a_start_and_leaves_the_callers_chance_alone():
    before = torch.random.get_rng_state()
    first, same, other = (build_student(SPEC, 1, seed=seed).head.classify.weight for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_encoder_takes_timms_weights(student, tmp_path):
    path = tmp_path / "convnext_atto.safetensors"
    weights = {name: value + 1 for name, value in student.encoder.state_dict().items()}
    safetensors.torch.save_file(weights | {"head.fc.weight": torch.zeros(10, 320)}, path)
    loaded = build_student(SPEC, 3, encoder_weights=path)
    for name, value in loaded.encoder.state_dict().items():
        assert torch.equal(value, weights[name])


def test_the_encoder_takes_the_authors_weights(student, tmp_path):
    """ConvNeXt's own names: the stem and the steps between stages are downsample_layers."""
    path = tmp_path / "convnext.pth"
    weights = student.encoder.state_dict()
    torch.save({"model": {_authors_name(name): value for name, value in weights.items()}}, path)
    loaded = build_student(replace(SPEC, encoder="convnext_atto"), 3, encoder_weights=path, seed=5)
    for name, value in loaded.encoder.state_dict().items():
        assert torch.equal(value, weights[name])


def _authors_name(name: str) -> str:
    if name.startswith("stem."):
        return name.replace("stem.", "downsample_layers.0.")
    _, stage, rest = name.split(".", 2)
    if rest.startswith("downsample."):
        return f"downsample_layers.{stage}.{rest.removeprefix('downsample.')}"
    block, rest = rest.removeprefix("blocks.").split(".", 1)
    for timms, theirs in (("conv_dw", "dwconv"), ("mlp.fc1", "pwconv1"), ("mlp.fc2", "pwconv2")):
        rest = rest.replace(timms, theirs)
    return f"stages.{stage}.{block}.{rest}"


def test_weights_of_another_encoder_are_refused(student, tmp_path):
    path = tmp_path / "femto.safetensors"
    femto = build_student(student_spec("small"), 1).encoder
    safetensors.torch.save_file(femto.state_dict(), path)
    with pytest.raises(CheckpointError, match="not of this ConvNeXt"):
        build_student(SPEC, 3, encoder_weights=path)
    path.write_bytes(b"cut off")
    with pytest.raises(CheckpointError, match="fetch the file again"):
        build_student(SPEC, 3, encoder_weights=path)


def test_unknown_names_are_refused():
    with pytest.raises(ModelNotFoundError, match="no student is called 'huge'"):
        student_spec("huge")
    with pytest.raises(ModelNotFoundError, match="no encoder is called 'resnet50'"):
        StudentSpec("own", encoder="resnet50")
    with pytest.raises(ModelNotFoundError, match="no modulation is called 'rnn'"):
        replace(SPEC, modulation="rnn")
