"""The packaged scenes are found without loading the package that holds them."""

from __future__ import annotations

import subprocess
import sys

import pytest
import rasterio

from seglab.datasets.examples import EXAMPLES, example
from seglab.errors import SceneNotFoundError


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_opens(name):
    with rasterio.open(example(name)) as source:
        assert source.crs is not None
        assert source.count >= 3


def test_landsat_has_the_bands_of_the_demo():
    with rasterio.open(example("landsat")) as source:
        assert source.descriptions[:5] == ("B1", "B2", "B3", "B4", "B5")


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(SceneNotFoundError, match=r"'atlantis'.*bahamas.*landsat"):
        example("atlantis")


def test_localtileserver_is_not_imported():
    code = "import sys, seglab; seglab.example(); raise SystemExit('localtileserver' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
