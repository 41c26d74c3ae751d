"""A network in training: what a step does to it, and what another sitting needs of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, distributed, nn

from seglab.errors import PretrainError
from seglab.models.attention import run_block
from seglab.models.spec import SPECS
from seglab.pretrain.bank import Bank
from seglab.pretrain.batches import Batch, Draw, draw_batch
from seglab.pretrain.config import Config
from seglab.pretrain.graphs import Replay, at_once
from seglab.pretrain.network import CropSam, DenseHead, start
from seglab.pretrain.step import Network, StepPlan, train_step


class Learner:
    """A network, its optimiser, and the average of its weights.

    Attributes:
        model: the SAM; head: trained with it, and thrown away.
        average: the averaged weights, by name.
    """

    def __init__(self, config: Config, bank: Bank, generator: torch.Generator, processes: int = 1) -> None:
        """
        Args:
            config: the settings.
            bank: what batches are drawn from; on the device that will be used.
            generator: on the same device.
            processes: how many average their gradients.

        Raises:
            PretrainError: steps cannot be captured because their sizes change.
        """
        spec = SPECS[config.model]
        self.bank, self.generator, self.processes = bank, generator, processes
        shapes = {(phase.size, phase.images, phase.objects) for phase in config.phases}
        if config.graphed and (len(shapes) > 1 or config.phases[0].size != spec.image_size):
            raise PretrainError(
                "with 'graphed', all phases need windows of the model's full size, and the same 'images' and 'objects'"
            )
        self.model = CropSam(spec).to(bank.device).train()
        self.head = DenseHead(spec.prompt_dim).to(bank.device).train()
        self.network = Network(self.model, self.head, config.compiled)
        self.parameters = [*self.model.sam.parameters(), *self.head.parameters()]
        on_gpu = bank.device.type == "cuda"
        self.graphed = config.graphed and on_gpu
        self._do: Callable = Replay(generator) if self.graphed else at_once
        # Captured work cannot be told numbers, but it reads them from memory.
        self._rate, self._pace = torch.zeros(2, device=bank.device).unbind()
        self.optimizer = torch.optim.AdamW(
            self._groups(),
            lr=self._rate if self.graphed else config.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=config.weight_decay,
            fused=on_gpu,
            capturable=self.graphed,
        )
        for parameter in self.parameters:
            parameter.grad = torch.zeros_like(parameter)
        self._batch: Batch | None = None
        self.average_anew()

    def step(self, draw: Draw, plan: StepPlan, rate: float, decay: float) -> dict[str, Tensor]:
        """One step.

        Args:
            draw: how the batch is drawn.
            plan: what is done with it.
            rate: learning rate.
            decay: of the averaged weights.

        Returns:
            Figures to log: see `train_step`.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate if self.graphed else rate
        if self.graphed and self._batch is None:
            self._warm_up(draw, plan)
        self._rate.fill_(rate)
        self._pace.fill_(1 - decay)
        self._do(("draw", draw), lambda: self._lay_in(draw_batch(self.bank, draw, self.generator)))
        values = self._do(("learn", plan), lambda: self._differentiate(plan))
        values = {key: value.clone() for key, value in values.items()}
        self._share_gradients()
        self._do("update", self._update)
        return values

    # -- what is remembered

    def first_weights(self, images: Tensor) -> None:
        """Weights from which learning is quick.

        Args:
            images: (B, S, S, 3) float colours, 0 to 255.
        """
        start(self.model, self.model.preprocess(images))
        self.average_anew()

    def average_anew(self) -> None:
        """Begin the average with the weights as they are."""
        self.average = {k: v.detach().clone() for k, v in self.model.sam.state_dict().items()}

    @contextmanager
    def averaged(self) -> Iterator[Network]:
        """The network with the averaged weights, for full-size input; training weights come back afterwards."""
        kept = {k: v.detach().clone() for k, v in self.model.sam.state_dict().items()}
        place, block = self.model.corner, self.model.run_block
        # What was compiled for training's batches would be compiled again for other sizes.
        self.model.corner, self.model.run_block = (0, 0), run_block
        self.model.sam.load_state_dict(self.average)
        self.model.eval()
        try:
            yield Network(self.model, self.head)
        finally:
            self.model.sam.load_state_dict(kept)
            self.model.corner, self.model.run_block = place, block
            self.model.train()

    def agree(self) -> None:
        """Take the first process's weights, and begin the average with its average."""
        for weights in (self.model.sam.state_dict(), self.head.state_dict(), self.average):
            for value in weights.values():
                distributed.broadcast(value, 0)

    def state(self) -> dict[str, object]:
        """All that the next step depends on."""
        return {
            "model": self.model.sam.state_dict(),
            "head": self.head.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
        }

    def take(self, state: dict) -> None:
        """Go on from another learner's state, before any step."""
        self.model.sam.load_state_dict(state["model"])
        self.head.load_state_dict(state["head"])
        self.average = {k: v.to(self.bank.device) for k, v in state["average"].items()}
        self.optimizer.load_state_dict(state["optimizer"])
        for group in self.optimizer.param_groups:
            # What another device's optimiser was like came with its state.
            group["capturable"], group["fused"] = self.graphed, self.bank.device.type == "cuda"

    # -- parts of a step

    def _warm_up(self, draw: Draw, plan: StepPlan) -> None:
        """Run all parts of a step as usual once, so that they can be captured; no weight moves, nor their average."""
        self._rate.zero_()
        self._pace.zero_()
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            self._lay_in(draw_batch(self.bank, draw, self.generator))
            for first, rounds in ((1, 2), (0, 1)):
                self._differentiate(replace(plan, first=first, rounds=rounds))
            self._share_gradients()
            self._update()
        torch.cuda.current_stream().wait_stream(beside)

    def _lay_in(self, batch: Batch) -> None:
        if self._batch is None or not self.graphed:
            self._batch = batch
            return
        for place, given in zip(vars(self._batch).values(), vars(batch).values(), strict=True):
            for name, value in vars(given).items():
                getattr(place, name).copy_(value)

    def _differentiate(self, plan: StepPlan) -> dict[str, Tensor]:
        """Leave a step's gradients in the parameters."""
        torch._foreach_zero_([parameter.grad for parameter in self.parameters])
        batch = self._batch
        loss, values = train_step(self.network, batch.view, batch.objects, batch.exemplars, plan, self.generator)
        loss.backward()
        return values

    def _share_gradients(self) -> None:
        if self.processes == 1:
            return
        for parameter in self.parameters:
            distributed.all_reduce(parameter.grad)
            parameter.grad /= self.processes

    @torch.no_grad()
    def _update(self) -> None:
        norm = nn.utils.clip_grad_norm_(self.parameters, 1.0)
        if self.bank.device.type == "cuda":
            # The fused optimiser leaves out a step whose gradient is not finite, without asking the GPU to wait.
            self.optimizer.found_inf = (~norm.isfinite()).float()
            self.optimizer.step()
        elif norm.isfinite():
            self.optimizer.step()
        current = self.model.sam.state_dict()
        way = torch._foreach_sub([current[name] for name in self.average], list(self.average.values()))
        torch._foreach_mul_(way, self._pace)
        torch._foreach_add_(list(self.average.values()), way)

    def _groups(self) -> list[dict[str, object]]:
        # Biases, norms, embeddings and position tables are not decayed, as usual for transformers.
        named = [*self.model.sam.named_parameters(), *self.head.named_parameters()]
        plain = [p for n, p in named if p.ndim < 2 or "rel_pos" in n or "token" in n or "embed" in n.split(".")[-2]]
        ids = {id(p) for p in plain}
        return [
            {"params": [p for _, p in named if id(p) not in ids]},
            {"params": plain, "weight_decay": 0.0},
        ]
