"""From windows of a scene to a student's scores: the face of a WindowEncoder, as far as maps need it."""

from __future__ import annotations

import numpy as np
import torch

from seglab.core.raster import Scene
from seglab.core.views import View
from seglab.core.windows import Window
from seglab.models.device import compute
from seglab.models.student.network import Student


class StudentEncoder:
    """A student's scores of one scene's windows. Nothing is cached: reading a score is not much quicker than making it.

    Args:
        scene: the scene to read.
        model: the student, in eval mode.
    """

    extra_bands: tuple[int, ...] = ()
    """A student sees red, green and blue."""

    def __init__(self, scene: Scene, model: Student) -> None:
        self.scene = scene
        self.model = model

    def embedding(self, window: Window, *, keep: bool = True) -> torch.Tensor:
        """The scores of a window.

        Args:
            window: scene pixels.
            keep: as of WindowEncoder; there is nothing to keep.

        Returns:
            (1, C, h, w) float32 on the student's device.

        Raises:
            SceneNotFoundError, SceneChangedError, DamagedSceneError: the window's pixels cannot be read (any more).
        """
        return self._scores(self.scene.rgb(window)[0])

    def embedding_of_view(self, window: Window, view: View) -> torch.Tensor:
        """The scores of a window as a view shows it: see `embedding`."""
        return self._scores(view.image(self.scene.rgb(window)[0]))

    def _scores(self, rgb: np.ndarray) -> torch.Tensor:
        image = torch.from_numpy(np.ascontiguousarray(rgb))[None]
        with torch.no_grad(), compute(self.model.device):
            return self.model(self.model.preprocess(image)).float()
