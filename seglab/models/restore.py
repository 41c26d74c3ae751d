"""A round's tensors put back into a model: the same in the session, in the training process and on a cluster."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from seglab.errors import RoundMismatchError
from seglab.models.adapters.registry import new_adapter
from seglab.models.sam import AdaptedSam

PROMPTS = "class_prompts"


def restore_model(base: AdaptedSam, adapter: str, tensors: Mapping[str, np.ndarray], name: str) -> AdaptedSam:
    """The model of a round.

    Args:
        base: the model before any round; it is not changed.
        adapter: the family that the round trained: see seglab.models.adapters.registry.
        tensors: the round's, by parameter name.
        name: what messages call the round.

    Returns:
        A frozen model in eval mode, which shares what rounds do not train with `base`.

    Raises:
        RoundMismatchError: the tensors are not those of such a model.
        AdapterError: no such family, or it does not go where the base's prefix ends.
    """
    model = base.branch_off()
    with torch.random.fork_rng(devices=[]):  # its values are about to be replaced
        model.attach(new_adapter(adapter, base.spec, base.adapt_from))
    with_prompts(model, tensors)
    return filled(model, set(model.trained_parameters()), tensors, name)


def with_prompts(model: AdaptedSam, tensors: Mapping[str, np.ndarray]) -> None:
    """Give a model as many class prompts, all zero, as the tensors have."""
    found = tensors.get(PROMPTS)
    count = len(found) if found is not None and found.ndim else 0
    model.class_prompts = nn.Parameter(torch.zeros(count, model.spec.prompt_dim, device=model.device))


def filled(model: AdaptedSam, trained: set[str], tensors: Mapping[str, np.ndarray], name: str) -> AdaptedSam:
    parameters = {key: p for key, p in model.named_parameters() if key in trained}
    wrong = sorted(parameters.keys() ^ tensors.keys())
    wrong += [key for key, p in parameters.items() if key in tensors and p.shape != tensors[key].shape]
    if wrong:
        raise RoundMismatchError(
            f"{name} does not fit model {model.spec.name!r} ({wrong[0]!r} and {len(wrong) - 1} more differ); use "
            "another round, or open the project with the model, adapter and bands it was trained for"
        )
    with torch.no_grad():
        for key, parameter in parameters.items():
            parameter.copy_(torch.from_numpy(np.array(tensors[key])))
    return model.requires_grad_(False).eval()
