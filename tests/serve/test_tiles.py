"""The tile server over real HTTP: for who holds the token, for the open scenes, and for nobody else."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import localtileserver.tiler
import numpy as np
import pytest
from localtileserver.tiler import get_data_path

from seglab.errors import (
    BandError,
    MissingCRSError,
    NotARasterError,
    SceneNotFoundError,
    UnsupportedSceneError,
)
from seglab.serve import tiles
from seglab.serve.tiles import TileServer, tile_server
from tests.rasters import make_raster
from tests.serve.tile_pixels import TIMEOUT, decode, deeper, tile_path

LANDSAT = get_data_path("landsat.tif")


# -- who may see what


def forbidden_paths(layer, token):
    name = layer.id
    good = tile_path(layer)
    other = "A" * len(token)
    return [
        "/",
        f"/{token}",
        f"/{token}/{name}",
        f"/{token}/{name}/",
        good.replace(token, other),
        good.replace(token, token[:-1]),
        good.replace(token, token + "A"),
        good.replace(token, ""),
        good.replace(token, "%C3%A9"),
        good.replace(name, "nothing"),
        good.replace(name, f"{name}/.."),
        good.replace(name, f"..%2F{name}"),
        good.replace(".png", ".jpg"),
        good.replace(".png", ".tif"),
        good.replace(".png", ".png/"),
        good + "%0A",
        f"/{token}/{name}/1/2/0.png",
        f"/{token}/{name}/1/-1/0.png",
        f"/{token}/{name}/31/0/0.png",
        f"/{token}/{name}/1/٠/0.png",
        f"/{token}/{name}/../../../../etc/passwd",
        f"/{token}/%2e%2e/%2e%2e/etc/passwd",
        f"/{token}/api/metadata?filename={LANDSAT}",
        f"/api/tiles/8/46/95.png?filename={LANDSAT}",
        f"/api/metadata?filename={LANDSAT}",
        f"/api/thumbnail.png?filename={LANDSAT}",
        "/api/palettes",
        "/swagger/",
        "/openapi.json",
        "/static/",
        f"/?filename={LANDSAT}",
    ]


def test_everything_else_is_not_found(server, client):
    layer = server.add(LANDSAT, indexes=[3, 2, 1])
    assert client.get(tile_path(layer)).status_code == 200
    for path in forbidden_paths(layer, server.token):
        answer = client.get(path)
        assert (answer.status_code, answer.content) == (404, b""), path
        assert server.render(path) == (404, b""), path
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        assert client.request(method, tile_path(layer)).status_code == 404


def test_without_http_comes_the_same_tile(server, client):
    layer = server.add(LANDSAT, indexes=[3, 2, 1], vmin=20, vmax=160)
    path = tile_path(layer)
    assert server.render(path) == (200, client.get(path).content)
    outside = tile_path(layer, (9, 0, 0))
    assert server.render(outside) == (200, client.get(outside).content)
    assert decode(client.get(outside).content)[-1].max() == 0  # transparent
    server.remove(layer)
    assert server.render(path) == (404, b"")


def test_path_that_no_client_library_would_send(server):
    """A raw request line with `..` in it, which httpx would tidy up."""
    layer = server.add(LANDSAT)
    line = f"GET /{server.token}/{layer.id}/../{layer.id}/0/0/0.png HTTP/1.0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT) as connection:
        connection.sendall(line.encode())
        reply = b"".join(iter(lambda: connection.recv(4096), b""))
    assert reply.startswith(b"HTTP/1.1 404")


def test_query_cannot_name_another_file(server, client, tmp_path):
    dark = make_raster(tmp_path / "dark.tif", data=np.zeros((1, 64, 64), "uint8"))
    bright = make_raster(tmp_path / "bright.tif", data=np.full((1, 64, 64), 200, "uint8"))
    layer = server.add(dark)
    path = tile_path(layer, deeper(layer, 2))
    plain = client.get(path)
    overrides = (f"filename={bright}", "indexes=2", "colormap=viridis", "vmin=-9&vmax=0", "expression=b1%2B9")
    for query in overrides:
        answer = client.get(f"{path}?{query}")
        assert answer.content == plain.content, query
    assert decode(plain.content)[0].max() == 0


def test_damage_is_reported_without_names(server, client, tmp_path):
    path = make_raster(tmp_path / "secret_name.tif", count=1)
    layer = server.add(path)
    path.write_bytes(path.read_bytes()[:300])
    answer = client.get(tile_path(layer))
    assert (answer.status_code, answer.content) == (500, b"")
    assert server.render(tile_path(layer)) == (500, b"")
    assert "secret_name" not in str(answer.headers)


def test_removed_layer_is_gone(server, client):
    layer = server.add(LANDSAT)
    assert client.get(tile_path(layer)).status_code == 200
    server.remove(layer)
    assert client.get(tile_path(layer)).status_code == 404
    server.remove(layer)


def test_layer_removed_while_its_tile_is_drawn(monkeypatch):
    """The virtual raster stays until the tile is done."""
    drawing, removed = threading.Event(), threading.Event()
    get_tile = localtileserver.tiler.get_tile

    def held(*arguments, **style):
        drawing.set()
        assert removed.wait(TIMEOUT)
        return get_tile(*arguments, **style)

    monkeypatch.setattr(localtileserver.tiler, "get_tile", held)
    server = TileServer()
    try:
        layer = server.add(LANDSAT, indexes=[3, 2, 1])
        with ThreadPoolExecutor() as pool:
            url = f"http://127.0.0.1:{server.port}{tile_path(layer)}"
            answer = pool.submit(httpx.get, url, timeout=TIMEOUT, trust_env=False)
            assert drawing.wait(TIMEOUT)
            server.remove(layer)
            removed.set()
            assert answer.result().status_code == 200
    finally:
        server.close()


def test_head_has_no_body(server, client):
    layer = server.add(LANDSAT)
    answer = client.head(tile_path(layer))
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


# -- life of the server


def test_twenty_tiles_at_once(server, client):
    layer = server.add(LANDSAT, indexes=[3, 2, 1], vmin=20, vmax=160)
    z, x, y = deeper(layer, 3)
    paths = [tile_path(layer, (z, x + i % 5 - 2, y + i // 5 - 2)) for i in range(20)]
    one_by_one = [client.get(path).content for path in paths]
    with ThreadPoolExecutor(20) as pool:
        together = list(pool.map(client.get, paths))
    assert [answer.status_code for answer in together] == [200] * 20
    assert [answer.content for answer in together] == one_by_one
    assert len(set(one_by_one)) > 10


def test_listens_on_loopback_only(server):
    assert server._http.socket.getsockname()[0] == "127.0.0.1"


def test_no_other_address_of_this_machine_answers(server):
    """Other machines come by these; there is one wherever there is a network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; the system chooses the address that it would come from
        except OSError:
            pytest.skip("this machine has no network")
        address = probe.getsockname()[0]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, server.port), timeout=TIMEOUT)


def test_tiles_without_a_port_where_listening_is_forbidden(monkeypatch):
    def forbidden(*arguments, **options):
        raise PermissionError("no ports here")

    monkeypatch.setattr(socket, "create_server", forbidden)
    server = TileServer()
    assert server.is_running and server.port is None and "no ports here" in server.problem
    path = tile_path(server.add(LANDSAT))
    status, png = server.render(path)
    assert status == 200 and decode(png).shape[1:] == (256, 256)
    server.close()
    assert not server.is_running and server.render(path) == (404, b"")


def test_nothing_is_served_once_the_server_is_closed():
    server = TileServer()
    path = tile_path(server.add(LANDSAT))
    assert server.render(path)[0] == 200
    server.close()
    assert server.render(path) == (404, b"")


def test_one_server_per_process_until_it_is_closed(monkeypatch):
    monkeypatch.setattr(tiles, "_current", None)
    first = tile_server()
    try:
        assert tile_server() is first
        assert first.is_running
        layer = first.add(LANDSAT)
        first.close()
        assert not first.is_running
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{first.port}{tile_path(layer)}", trust_env=False)
        assert tile_server() is not first
    finally:
        tile_server().close()


def test_two_servers_do_not_share_a_token(server):
    other = TileServer()
    try:
        layer = server.add(LANDSAT)
        with httpx.Client(base_url=f"http://127.0.0.1:{other.port}", trust_env=False) as client:
            assert client.get(tile_path(layer)).status_code == 404
            assert client.get(tile_path(layer).replace(server.token, other.token)).status_code == 404
    finally:
        other.close()


# -- rasters that cannot be served


def test_errors_say_what_to_do(server, tmp_path):
    deep = make_raster(tmp_path / "deep.tif", count=2, dtype="uint16")
    nowhere = make_raster(tmp_path / "nowhere.tif", crs=None)
    text = tmp_path / "text.tif"
    text.write_text("not a raster", encoding="utf-8")
    for error, part, path, style in (
        (SceneNotFoundError, "check the path", tmp_path / "missing.tif", {}),
        (NotARasterError, "GeoTIFF", text, {}),
        (MissingCRSError, "pixel space", nowhere, {}),
        (UnsupportedSceneError, "vmin and vmax", deep, {}),
        (BandError, "1 to 2", deep, {"indexes": [3], "vmin": 0, "vmax": 1}),
        (BandError, "three for red", deep, {"indexes": [1, 2, 1, 2], "vmin": 0, "vmax": 1}),
        (BandError, "vmin and vmax", deep, {"indexes": [1, 2]}),
        (BandError, "one value for each", deep, {"indexes": [1], "vmin": [0, 1], "vmax": 1}),
    ):
        with pytest.raises(error, match=part):
            server.add(path, **style)
