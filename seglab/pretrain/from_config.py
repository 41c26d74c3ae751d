"""A pretraining run from a configuration file to weights: what `seglab pretrain` does."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import cv2
import torch
from torch import distributed

from seglab.pretrain.config import load_config
from seglab.pretrain.train import Progress, Trainer


def run(
    config_path: str | Path | None,
    out: str | Path,
    ground: str | Path | None = None,
    resume: bool = False,
    begin: str | Path | None = None,
    minutes: float | None = None,
    device: str | None = None,
    told: Callable[[Progress], None] | None = None,
) -> Path:
    """Pretrain a model as a configuration file says.

    Under torchrun (WORLD_SIZE > 1) gradients are averaged over the processes.

    Args:
        config_path: a JSON file; None for the packaged configs/cpu.json.
        out: folder of the run.
        ground: folder of prepared ground; None for OUT/ground, which is made from the labelled data when missing.
        resume: continue from OUT/checkpoint.pt where it exists.
        begin: another run's checkpoint, or weights, to start from where there is nothing to resume.
        minutes: wall-clock budget, minutes; None for the configuration's.
        device: "cuda", "mps", "cpu"; None chooses.
        told: called after each step.

    Returns:
        The exported weights.

    Raises:
        PretrainError: the configuration, checkpoint or ground cannot be used.
        DatasetError: labelled data is missing.
    """
    packaged = resources.files("seglab.pretrain") / "configs" / "cpu.json"
    config, folder = load_config(Path(str(packaged)) if config_path is None else config_path), Path(out)
    torch.set_float32_matmul_precision("high")
    # OpenCV's own threads would fight torch's for the same cores.
    cv2.setNumThreads(1)
    several = int(os.environ.get("WORLD_SIZE", 1)) > 1
    if several:
        distributed.init_process_group("nccl" if torch.cuda.is_available() and device != "cpu" else "gloo")
    try:
        trainer = Trainer(config, folder, _ground(ground, folder), device)
        if resume and (folder / "checkpoint.pt").is_file():
            trainer.load(folder / "checkpoint.pt")
        elif begin is not None:
            trainer.begin_from(Path(begin))
        trainer.run(minutes, told)
    finally:
        if several:
            distributed.destroy_process_group()
    return folder / f"{config.model}.safetensors"


def _ground(given: str | Path | None, out: Path) -> Path:
    """The folder of prepared ground, made by the first process when it is not there; the others wait."""
    folder = out / "ground" if given is None else Path(given)
    if not folder.is_dir() and int(os.environ.get("RANK", 0)) == 0:
        # Reading datasets needs packages that a machine with prepared ground may do without.
        from seglab.pretrain.prepare import prepare_ground

        prepare_ground(folder)
    if distributed.is_initialized():
        distributed.barrier()
    return folder
