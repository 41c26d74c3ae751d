"""labels.gpkg as a session keeps it: the objects of the log, of which a change writes only what is new."""

from __future__ import annotations

from collections.abc import Mapping

from seglab.app.history.state import State
from seglab.app.labels.labelled import LabelledObject
from seglab.app.labels.labels_table import labels_table
from seglab.core.grid import Grid
from seglab.store.project import Project

FEW = 500
"""Objects that are changed one by one; more of them are written sooner with all the others."""


class LabelsFile:
    """Brings labels.gpkg to what the log says.

    Args:
        project: whose file it is.
        grid: of the scene.
        scene: as events name it; None for the project's first one.
    """

    def __init__(self, project: Project, grid: Grid, scene: str | None = None) -> None:
        self._project, self._grid, self._scene = project, grid, scene
        self._objects: dict[int, LabelledObject] = {}
        self._classes: Mapping[str, str] | None = None
        """What was written last; None: nobody knows what the file holds."""

    def write(self, state: State) -> None:
        """Write a state's objects; they are in the file when this returns. Their order there is that of writing.

        Raises:
            WriteError: another program has the file open; the next call makes up for it.
        """
        objects = {o.id: o for o in state.objects}
        known, self._classes = self._classes == state.classes, None
        if not (known and self._changed(objects)):
            self._project.write_labels(labels_table(state.objects, self._grid), state.classes, self._scene)
        self._objects, self._classes = objects, state.classes

    def _changed(self, objects: dict[int, LabelledObject]) -> bool:
        """Write only what differs from what was written last; False where that is much, or the file another one."""
        before = self._objects
        # An object is never changed, only replaced, so most are found equal without looking into them.
        new = [o for i, o in objects.items() if before.get(i) is not o and before.get(i) != o]
        gone = [i for i in before if i not in objects]
        if len(new) + len(gone) > FEW:
            return False
        return self._project.change_labels(labels_table(new, self._grid), gone, self._scene)
