"""A first impression of a round within seconds: only what follows the encoder is trained.

The embeddings of the model in use stay as they are and are computed once; a small network behind the neck, the mask
decoder and the class prompts learn on them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from seglab.jobs import Reporter
from seglab.models.adapters.registry import new_adapter
from seglab.models.adapters.stack import Stack
from seglab.models.sam import AdaptedSam
from seglab.store.cache import ArrayCache
from seglab.training.embed import embed
from seglab.training.job import RoundConfig, TrainingChip
from seglab.training.optimise import Optimiser
from seglab.training.step import batch_loss

TRAINED = ("adapter.second.", "sam.mask_decoder.", "sam.prompt_encoder.no_mask_embed.", "class_prompts")
"""Names of what the preview trains start so; "second" is the network behind the neck."""
CHIPS = 12
"""Chips that the preview looks at, at most: each costs a pass through the encoder."""


def preview_model(model: AdaptedSam) -> AdaptedSam:
    """A copy of a model with an untrained network behind its neck, which changes nothing yet.

    Args:
        model: the one in use.
    """
    made = model.branch_off()
    current = made.adapter or new_adapter("none", made.spec, made.adapt_from)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        behind = new_adapter("neck", made.spec, made.spec.depth)
    made.attach(Stack(current, behind))
    return made


def spread(chips: Sequence[TrainingChip], count: int) -> list[TrainingChip]:
    """The first chips of every place, at most `count` in all: one from each before a second from any."""
    taken: Counter[str] = Counter()
    turns = []
    for chip in chips:
        turns.append(taken[chip.group])
        taken[chip.group] += 1
    order = sorted(range(len(chips)), key=lambda n: turns[n])
    return [chips[n] for n in order[:count]]


def train_preview(
    reporter: Reporter, model: AdaptedSam, chips: Sequence[TrainingChip], prefixes: ArrayCache, config: RoundConfig
) -> dict[str, np.ndarray]:
    """Train a preview of a round.

    Args:
        reporter: told loss and IoU; may cancel between steps.
        model: the parent, with the round's class prompts; it is not changed.
        chips: the round's; some from all over its ground are used.
        prefixes: their cache.
        config: the recipe, of which `preview_steps` are taken.

    Returns:
        What was trained, by parameter name of `preview_model(model)`.
    """
    made = preview_model(model)
    made.requires_grad_(False)
    tensors = {name: p.requires_grad_() for name, p in made.named_parameters() if name.startswith(TRAINED)}
    embeddings: dict[str, Tensor] = {}

    def loss_of(drawn: Sequence[TrainingChip], rng: np.random.Generator) -> tuple[Tensor, list[float]]:
        for chip in drawn:
            if chip.key not in embeddings:
                with torch.no_grad():
                    embeddings[chip.key] = embed(model, prefixes, [chip])
        source = torch.cat([embeddings[chip.key] for chip in drawn])
        return batch_loss(made, made.adapter.second.after_neck(source), drawn, config, rng)

    Optimiser(reporter, list(tensors.values()), loss_of, config, made.device).run(
        spread(chips, CHIPS), min(config.preview_steps, config.steps), "first impression", counted=False
    )
    return {name: p.detach().cpu().numpy() for name, p in tensors.items()}
