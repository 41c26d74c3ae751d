"""A running tile server and a client of it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from seglab.serve.tiles import TileServer
from tests.serve.tile_pixels import TIMEOUT


@pytest.fixture(scope="module")
def server() -> Iterator[TileServer]:
    server = TileServer()
    yield server
    server.close()


@pytest.fixture
def client(server: TileServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=TIMEOUT, trust_env=False) as client:
        yield client
