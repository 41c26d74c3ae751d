"""Maps one scene and says what that took; a process of its own, so that its peak is that map's."""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch

from seglab.core.handles import keep_few_blocks
from seglab.core.raster import Scene
from seglab.core.windows import Window
from seglab.encoding.encoder import WindowEncoder
from seglab.inference import mapper
from seglab.inference.plan import MappedClass
from seglab.inference.sweep import predict_scene
from seglab.jobs import SilentReporter
from seglab.models.registry import load_model
from seglab.store.cache import ArrayCache

MB = 1024 if sys.platform != "darwin" else 2**20
"""What ru_maxrss counts in."""


def peak() -> float:
    """MB that this process has held at once, so far."""
    status = Path("/proc/self/status")
    if status.exists():  # of Linux; ru_maxrss there begins with what the process that started this one held
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MB


def counted(stub: bool, count: list[int]) -> None:
    """Count the windows that are encoded; of a stub, brightness stands for what the network would say."""
    real = mapper.class_logits

    def logits(encoder, window, prompts, **options):
        count.append(1)
        if not stub:
            return real(encoder, window, prompts, **options)
        rgb, _ = encoder.pixels(window)
        grey = rgb.mean(axis=2, dtype=np.float32)[::2, ::2]
        return np.stack([grey / 32 - 4, 4 - grey / 32])

    mapper.class_logits = logits


def main(scene_path: str, out: str, kind: str) -> None:
    """Map the scene with `tiny`, or with a stub in its place."""
    keep_few_blocks()  # as `seglab predict` does
    torch.set_num_threads(1)
    count: list[int] = []
    counted(kind == "stub", count)
    model = load_model("tiny", device="cpu")
    prompts = torch.randn(2, model.spec.prompt_dim, generator=torch.Generator().manual_seed(0))
    classes = [MappedClass(1, "water", "#0072b2", prompts[0]), MappedClass(2, "field", "#e69f00", prompts[1])]
    with Scene.open(scene_path) as scene:
        encoder = WindowEncoder(scene, model, ArrayCache(0))
        side = model.spec.image_size
        encoder.embedding(Window(0, 0, side, side), keep=False)  # what the network needs to run is the model's share
        before, started = peak(), time.monotonic()
        predict_scene(SilentReporter(), encoder, classes, Path(out))
    found = {"peak": peak(), "model": before, "windows": len(count), "seconds": time.monotonic() - started}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
