"""The checkpoints of a supervised run: the last epoch, to go on from, and the best one."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seglab.errors import TrainingError, WriteError
from seglab.store import atomic

LAST_NAME = "last.pt"
BEST_NAME = "best.pt"


class RunFiles:
    """The checkpoints in a folder; each appears whole or not at all, and no code runs from one.

    Args:
        folder: made when it is missing.
        setting: what two runs must share for one to go on where the other stopped, JSON-serialisable.
    """

    def __init__(self, folder: Path, setting: dict[str, Any]) -> None:
        self._folder = folder
        self._setting = json.dumps(setting, sort_keys=True)

    def save(self, state: dict[str, Tensor], optimiser: torch.optim.Optimizer, history: list[dict[str, Any]]) -> None:
        """Write all that the next epoch depends on.

        Raises:
            WriteError: the system refused.
        """
        self._write(
            LAST_NAME,
            {
                "setting": self._setting,
                "state": _plain(state),
                "optimiser": optimiser.state_dict(),
                "history": json.dumps(history),
            },
        )

    def save_best(self, state: dict[str, Tensor]) -> None:
        """Write the weights of the best epoch so far.

        Raises:
            WriteError: the system refused.
        """
        self._write(BEST_NAME, _plain(state))

    def load(self, module: nn.Module, optimiser: torch.optim.Optimizer) -> list[dict[str, Any]] | None:
        """Put a module and its optimiser where the last epoch left them.

        Returns:
            The history; None where there is no checkpoint.

        Raises:
            TrainingError: the checkpoint is damaged, or another run's.
        """
        path = self._folder / LAST_NAME
        if not path.is_file():
            return None
        content = self._read(path)
        try:
            setting, state, kept, history = (content[k] for k in ("setting", "state", "optimiser", "history"))
        except (KeyError, TypeError) as error:
            raise TrainingError(f"{str(path)!r} is no checkpoint of seglab train; start anew without resume") from error
        if setting != self._setting:
            raise TrainingError(
                f"{str(path)!r} was trained with other settings ({_difference(setting, self._setting)}); use the same, "
                "or start anew without resume"
            )
        module.load_state_dict(state, strict=False)
        optimiser.load_state_dict(kept)
        return json.loads(history)

    def load_best(self) -> dict[str, Tensor]:
        """The weights of the best epoch.

        Raises:
            TrainingError: the file is missing or damaged.
        """
        return self._read(self._folder / BEST_NAME)

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
            raise TrainingError(f"cannot read {str(path)!r} ({error}); start anew without resume") from error

    def _write(self, name: str, content: dict[str, Any]) -> None:
        path = self._folder / name
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with atomic.replacing(path) as temp:
                torch.save(content, temp)
        except (OSError, RuntimeError) as error:  # torch's own writer raises RuntimeError on a full disk
            raise WriteError(f"cannot write {str(path)!r} ({error}); free some space, or use another folder") from error


def _plain(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu() for name, tensor in state.items()}


def _difference(first: str, second: str) -> str:
    """The settings that differ, with both values."""
    a, b = json.loads(first), json.loads(second)
    differing = [key for key in sorted({*a, *b}) if a.get(key) != b.get(key)]
    return "; ".join(f"{key}: {a.get(key)!r} instead of {b.get(key)!r}" for key in differing)
