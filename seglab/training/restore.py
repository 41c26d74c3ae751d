"""The first impression of a round put into a model: the same in the session and in the training process."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from seglab.models.restore import filled, with_prompts
from seglab.models.sam import AdaptedSam
from seglab.training.preview import TRAINED, preview_model


def restore_preview(model: AdaptedSam, tensors: Mapping[str, np.ndarray]) -> AdaptedSam:
    """A model with the first impression of the next round.

    Args:
        model: the one that the round started from; it is not changed.
        tensors: as `train_preview` gave them.

    Returns:
        A frozen model in eval mode.

    Raises:
        RoundMismatchError: the tensors are of another model's preview.
    """
    made = preview_model(model)
    with_prompts(made, tensors)
    trained = {key for key, _ in made.named_parameters() if key.startswith(TRAINED)}
    return filled(made, trained, tensors, "the first impression")
