"""The notebooks run from beginning to end, with little training."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
SHORT = {
    "02_active_learning.ipynb": {"BATCHES, WINDOWS, STEPS = 3, 2, 40": "BATCHES, WINDOWS, STEPS = 1, 1, 2"},
    "03_no_labels.ipynb": {
        "CLUSTERS, STEPS = 6, 80": "CLUSTERS, STEPS = 4, 2",
        "propose(CLUSTERS, steps=STEPS)": "propose(CLUSTERS, steps=STEPS, resolution=240)",
    },
}
"""What is changed in each so that it ends soon. The first notebook is run in a real page: see tests/browser."""
LEAVES = {"02_active_learning.ipynb": ("report.html", "fields.gpkg"), "03_no_labels.ipynb": ("regions.gpkg",)}
"""Files that each has written in the end."""


@pytest.mark.parametrize("name", SHORT)
def test_a_notebook_runs(name, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(NOTEBOOKS.parent), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # tests of other files run beside it
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    for long, short in SHORT[name].items():
        assert sum(long in cell.source for cell in notebook.cells) == 1
        for cell in notebook.cells:
            cell.source = cell.source.replace(long, short)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    for file in LEAVES[name]:
        assert (tmp_path / file).stat().st_size > 2000, file
