"""The comparison networks from segmentation-models-pytorch."""

from __future__ import annotations

import importlib.util
import sys
from types import SimpleNamespace

import pytest
import torch

from seglab.errors import DownloadError, MissingPackageError, ModelNotFoundError
from seglab.models.baselines import BASELINES, build_baseline

LIBRARY = "segmentation_models_pytorch"

# Found, not imported: torchvision below it needs its operators declared first.
with_library = pytest.mark.skipif(importlib.util.find_spec(LIBRARY) is None, reason="the bench extra is not installed")


@with_library
@pytest.mark.parametrize("name", sorted(BASELINES))
def test_each_maps_an_image_to_one_logit_per_class_and_pixel(name):
    encoder = "mit_b0" if name == "segformer" else "resnet18"
    network = build_baseline(name, 3, encoder, None).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 3, 64, 64)


@with_library
def test_a_seed_is_a_start_and_leaves_the_callers_chance_alone():
    before = torch.random.get_rng_state()
    first, same, other = (
        next(build_baseline("unet", 1, "resnet18", None, seed=seed).parameters()) for seed in (1, 1, 2)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.random.get_rng_state())


def test_unknown_names_are_refused():
    with pytest.raises(ModelNotFoundError, match="no baseline is called 'mask2former'"):
        build_baseline("mask2former", 1)


@with_library
def test_an_unknown_encoder_is_refused():
    with pytest.raises(ModelNotFoundError, match="resnet9"):
        build_baseline("unet", 1, "resnet9", None)


def test_without_the_package_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, LIBRARY, None)
    with pytest.raises(MissingPackageError, match=r"seglab\[bench\]"):
        build_baseline("unet", 1)


def test_without_a_connection_the_message_says_how_to_go_without_weights(monkeypatch):
    def unreachable(*_, **settings):
        assert settings["encoder_weights"] == "imagenet"
        raise OSError("no route to host")

    monkeypatch.setitem(sys.modules, LIBRARY, SimpleNamespace(create_model=unreachable))
    with pytest.raises(DownloadError, match="--encoder-weights none"):
        build_baseline("unet", 1)
