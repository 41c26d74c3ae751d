"""One training step: every view is encoded once and then segmented from many prompts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from seglab.models.candidates import logits_at_clicks, rank_candidates
from seglab.models.decoder import SINGLE_MASK
from seglab.pretrain.losses import candidates_loss, click_loss, dense_loss, mask_iou, mask_loss
from seglab.pretrain.network import CropSam, DenseHead
from seglab.pretrain.prompts import Depth, coarse_masks, corrections, distances, first_prompts
from seglab.pretrain.targets import Exemplars, Objects, token_cells
from seglab.pretrain.windows import View

CLICK = 0.3
"""Weight of obeying the clicks."""
LOGIT_LIMIT = 12.0
"""A mask's logits are cut to this before they are a prompt, as in use."""
SHOWN = 0.5
"""Weight of the mask that a person would see: the best of three may specialise, this one must serve on average."""
WITHHELD = 0.1
"""Share of rounds that do not see the mask before: a session may have clicks only."""


@dataclass(frozen=True)
class StepPlan:
    """What a step does; see Config and Phase for the meaning of the shares."""

    first: int
    """Rounds of prompts that are given before learning begins: so many corrections have been made already."""
    rounds: int
    """Rounds of prompts that are learned from."""
    boxes: float
    dense_weight: float
    half: bool = False
    """Encode and decode in bfloat16 (weights stay float32)."""


class Network:
    """The model with its training head, and the parts of a step that are worth compiling.

    Attributes:
        model: what is trained.
        head: trained with it, and thrown away.
        compiled: whether torch.compile is used.
    """

    def __init__(self, model: CropSam, head: DenseHead, compiled: bool = False) -> None:
        """
        Args:
            model, head: on their device.
            compiled: fuse encoder, decoder and losses with torch.compile; pays on a GPU, after two minutes.
        """
        self.model, self.head = model, head
        self.compiled = compiled
        self.learn: Callable[..., tuple[Tensor, ...]] = self._learn
        self.answer: Callable[..., tuple[Tensor, Tensor]] = self._answer
        self.ask_class: Callable[..., tuple[Tensor, Tensor]] = self._ask_class
        self.tell_apart: Callable[..., Tensor] = self._tell_apart
        self.distances: Depth = distances
        if compiled:
            # All blocks share two compiled ones: with windows and without.
            model.run_block = torch.compile(model.run_block)
            self.learn = torch.compile(self._learn)
            self.answer = torch.compile(self._answer)
            self.ask_class = torch.compile(self._ask_class)
            self.tell_apart = torch.compile(self._tell_apart)
            self.distances = torch.compile(distances)

    def encode(self, rgb: Tensor, half: bool) -> Tensor:
        """(B, S, S, 3) colours to (B, D, h, w) embedding, float32."""
        with torch.autocast(rgb.device.type, dtype=torch.bfloat16, enabled=half):
            return self.model.encode(self.model.preprocess(rgb)).float()

    def _tell_apart(self, embedding: Tensor, cells: Tensor, semantic: Tensor) -> Tensor:
        """The dense loss of the training head."""
        return dense_loss(*self.head(embedding), cells, semantic)

    def _ask_class(
        self, embedding: Tensor, sparse: Tensor, index: Tensor, target: Tensor, known: Tensor, half: bool
    ) -> tuple[Tensor, Tensor]:
        """Loss and IoU (N,) of class prompts (N, D)."""
        with torch.autocast(embedding.device.type, dtype=torch.bfloat16, enabled=half):
            found = self.model.decode_tokens(embedding, sparse[:, None], image_index=index, outputs=SINGLE_MASK)
        logits, quality = (value.float() for value in found)
        target = functional.adaptive_avg_pool2d(target.float(), logits.shape[-1])
        known = functional.adaptive_avg_pool2d(known.float(), logits.shape[-1])[index]
        iou = mask_iou(logits.detach(), target, known)
        loss = mask_loss(logits, target, known)[:, 0] + (quality[:, :1] - iou).square()[:, 0]
        return loss, iou[:, 0]

    def _answer(
        self,
        embedding: Tensor,
        coords: Tensor,
        labels: Tensor,
        masks: Tensor,
        masked: Tensor,
        index: Tensor,
        half: bool,
    ) -> tuple[Tensor, Tensor]:
        with torch.autocast(embedding.device.type, dtype=torch.bfloat16, enabled=half):
            logits, quality = self.model.decode(embedding, coords, labels, masks, index, masked)
        return logits.float(), quality.float()

    def _learn(
        self,
        embedding: Tensor,
        coords: Tensor,
        labels: Tensor,
        masks: Tensor,
        masked: Tensor,
        index: Tensor,
        target: Tensor,
        half: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Loss (N,), logits (N, 3, h, w), predicted and true IoU (N, 3) of one round."""
        logits, quality = self._answer(embedding, coords, labels, masks, masked, index, half)
        loss, iou = candidates_loss(logits, quality, target)
        obeyed = click_loss(logits_at_clicks(logits, coords, self.model.spec.patch), labels)
        return loss + CLICK * obeyed, logits, quality, iou


def train_step(
    network: Network,
    view: View,
    objects: Objects,
    exemplars: Exemplars,
    plan: StepPlan,
    generator: torch.Generator,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of one batch, and figures to log.

    Args:
        network: in training mode; already placed for the size of the view.
        view: B views.
        objects: what is asked for in them.
        exemplars: class prompts.
        plan: how.
        generator: on the same device.

    Returns:
        loss (scalar, with graph) and values: loss parts, IoU of the shown candidate after each round, exemplar IoU;
        all on the device, so that nothing waits for them.
    """
    embedding = network.encode(view.rgb, plan.half)
    cells = token_cells(view.parts, view.rgb.shape[1] // embedding.shape[-1])
    dense = network.tell_apart(embedding, cells, view.semantic)
    asked, asked_iou = exemplar_loss(network, embedding, exemplars, plan.half)
    prompted, values = prompted_loss(network, embedding, objects, plan, generator)
    loss = plan.dense_weight * dense + asked + prompted
    values |= {"dense": dense, "exemplar": asked, "exemplar_iou": asked_iou, "prompted": prompted, "loss": loss}
    return loss, {key: value.detach() for key, value in values.items()}


def exemplar_loss(
    network: Network, embedding: Tensor, exemplars: Exemplars, half: bool = False
) -> tuple[Tensor, Tensor]:
    """Class prompts: the prompt is the mean embedding over an example, the answer is every pixel of its class.

    Returns:
        loss and mean IoU of the class masks (scalars).
    """
    size = embedding.shape[-1]
    share = functional.adaptive_avg_pool2d(exemplars.source_mask[:, None].float(), size)
    source = embedding[exemplars.source_image]
    sparse = (source * share).sum((2, 3)) / share.sum((2, 3)).clamp(min=1e-6)
    index = torch.arange(len(embedding), device=embedding.device)
    index = index.repeat_interleave(len(sparse) // len(embedding))
    loss, iou = network.ask_class(embedding, sparse, index, exemplars.target, exemplars.known, half)
    return weighted_mean(loss, exemplars.weight), weighted_mean(iou, exemplars.weight)


def prompted_loss(
    network: Network, embedding: Tensor, objects: Objects, plan: StepPlan, generator: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """Clicks and boxes, then corrections that see the mask before.

    Returns:
        mean loss over the rounds that are learned from (scalar), and the shown candidate's IoU after each.
    """
    dialogue = Dialogue(network, embedding, objects.masks, plan.boxes, generator, plan.half)
    with torch.no_grad():
        for _ in range(plan.first):
            dialogue.ask()
    total, values = embedding.new_zeros(()), {}
    for number in range(plan.first, plan.first + plan.rounds):
        loss, shown = dialogue.learn()
        total = total + weighted_mean(loss, objects.weight)
        values[f"iou{number + 1}"] = weighted_mean(shown, objects.weight)
    return total / plan.rounds, values


class Dialogue:
    """Prompts and masks in turn, for many objects at once.

    Attributes:
        prompts: all that were given so far.
        ranked: (N, 3) candidates of the last round, the one that is shown first.
    """

    def __init__(
        self,
        network: Network,
        embedding: Tensor,
        masks: Tensor,
        boxes: float,
        generator: torch.Generator,
        half: bool = False,
        exact: bool = False,
    ) -> None:
        """
        Args:
            network: what answers.
            embedding: (B, D, h, w) of the views.
            masks: (B * K, S, S) bool objects, K of each view.
            boxes: share of objects whose first prompt is a box.
            generator: on the same device.
            half: decode in bfloat16.
            exact: every click in the very middle of the error, no mask is withheld: how figures are taken.
        """
        self.network, self.embedding, self.half, self.generator = network, embedding, half, generator
        self.exact, self.size = exact, masks.shape[-1]
        self.index = torch.arange(len(embedding), device=masks.device).repeat_interleave(len(masks) // len(embedding))
        self.target, self.hard = coarse_masks(masks, 4 * embedding.shape[-1])
        self.prompts = first_prompts(masks, self.hard, boxes, generator, exact, network.distances)
        self.ranked: Tensor | None = None
        self._shown: Tensor | None = None

    @property
    def scale(self) -> float:
        """Input pixels per mask pixel."""
        return self.size / self.hard.shape[-1]

    def ask(self) -> tuple[Tensor, Tensor]:
        """One round: logits (N, 3, h, w) and predicted IoU (N, 3)."""
        self._correct()
        logits, quality = self.network.answer(*self._input(), self.half)
        self._show(logits, quality)
        return logits, quality

    def learn(self) -> tuple[Tensor, Tensor]:
        """One round with its loss (N,), and the IoU (N,) of the candidate that a person would see."""
        self._correct()
        loss, logits, quality, iou = self.network.learn(*self._input(), self.target, self.half)
        self._show(logits.detach(), quality.detach())
        shown = self._first(logits)
        return loss + SHOWN * mask_loss(shown, self.target)[:, 0], iou.gather(1, self.ranked[:, :1])[:, 0]

    def _input(self) -> tuple[Tensor, ...]:
        coords, labels = self.prompts.coords, self.prompts.labels
        if self.network.compiled:
            # Prompts grow by a click per round; everything else keeps its size.
            torch._dynamo.mark_dynamic(coords, 1)
            torch._dynamo.mark_dynamic(labels, 1)
        masks, masked = self.network.model.filled_boxes(coords, labels, self.embedding.shape[-2:])
        masked = masked & self.network.model.spec.box_as_mask
        if self._shown is not None:
            withheld = 0.0 if self.exact else WITHHELD
            seen = torch.rand(len(coords), device=coords.device, generator=self.generator) >= withheld
            masks = torch.where(seen[:, None, None, None], self._shown, masks)
            masked = masked | seen
        return self.embedding, coords, labels, masks, masked, self.index

    def _show(self, logits: Tensor, quality: Tensor) -> None:
        coords, labels = self.prompts.coords, self.prompts.labels
        self.ranked = rank_candidates(logits, quality, coords, labels, self.network.model.spec.patch)
        self._shown = self._first(logits).clamp(-LOGIT_LIMIT, LOGIT_LIMIT)

    def _first(self, logits: Tensor) -> Tensor:
        """(N, 1, h, w): of each object's candidates the one that is shown."""
        return logits.gather(1, self.ranked[:, :1, None, None].expand(-1, -1, *logits.shape[-2:]))

    def _correct(self) -> None:
        if self._shown is not None:
            centred = 1.0 if self.exact else 0.7
            predicted = self._shown[:, 0] > 0
            self.prompts += corrections(
                self.hard, predicted, self.scale, self.generator, centred, self.network.distances
            )


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean of (N,) values; 0 where all weights are."""
    return (values * weight).sum() / weight.sum().clamp(min=1e-6)


def plan_rounds(rng: np.random.Generator, rounds: int, deepest: int) -> tuple[int, int]:
    """(first, rounds) of a step: half of the steps learn from the first prompts, the others from late corrections."""
    if deepest == 0 or rng.random() < 0.5:
        return 0, rounds
    return int(rng.integers(1, deepest + 1)), max(1, rounds - 1)
