"""What the doctor finds, with failures that are faked."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import socket
from pathlib import Path

import httpx
import pytest
import torch

from seglab.app import doctor, doctor_tiles
from seglab.app.doctor import check_caches, check_device, check_packages, check_weights
from seglab.app.doctor_tiles import EXTENSION, check_routes, check_tiles, extension_is_on
from seglab.errors import CheckpointError, SceneNotFoundError

VERSION = importlib.metadata.version


def failing(checks) -> dict[str, str]:
    """The advice of each failing check by its name; each has some."""
    found = {check.name: check.advice for check in checks if not check.ok}
    assert all(found.values())
    return found


def fake_versions(monkeypatch: pytest.MonkeyPatch, **versions: str | None) -> None:
    def version(name: str) -> str:
        found = versions.get(name.replace("-", "_"), "real")
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return VERSION(name) if found == "real" else found

    monkeypatch.setattr(importlib.metadata, "version", version)


def test_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [check.name for check in check_packages()]
    assert set(doctor.PACKAGES) | {"Python", "ipykernel", "GDAL", "operators"} == set(names)
    fake_versions(monkeypatch, jupyterlab=None, ipykernel="7.0.1")
    found = failing(check_packages())
    assert found["jupyterlab"] == "pip install jupyterlab"
    assert "ipykernel!=7.0.*" in found["ipykernel"]
    assert set(found) == {"jupyterlab", "ipykernel"}
    fake_versions(monkeypatch, ipykernel="7.1.0")
    assert failing(check_packages()) == {}


@pytest.mark.parametrize(("compiled", "said"), [(True, "torchvision's own"), (False, "stand-in")])
def test_operators(monkeypatch: pytest.MonkeyPatch, compiled: bool, said: str) -> None:
    monkeypatch.setattr(doctor, "ensure_torchvision_operators", lambda: compiled)
    (found,) = [check for check in check_packages() if check.name == "operators"]
    assert found.ok and said in found.value


def test_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "choose_device", lambda: torch.device("cpu"))
    (cpu,) = check_device()
    assert cpu.value.startswith("cpu (1 threads); clicks in float32")
    monkeypatch.setattr(doctor, "choose_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a card")
    with pytest.warns(UserWarning) if not torch.cuda.is_available() else contextlib.nullcontext():
        (cuda,) = check_device()
    assert cuda.value.startswith("cuda (a card); clicks in bfloat16")


def test_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGLAB_CACHE", str(tmp_path))
    assert failing(check_weights()) == {}

    def damaged(name: str, **_: object) -> None:
        raise CheckpointError(f"{name} is damaged")

    monkeypatch.setattr(doctor, "load_model", damaged)
    found = failing(check_weights())
    assert set(found) == {"weights tiny", "weights tiny_unseen"}
    assert "reinstall" in found["weights tiny"]


def test_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGLAB_CACHE", str(tmp_path / "new"))
    assert failing(check_caches()) == {}
    (tmp_path / "new" / "checkpoints").mkdir(parents=True)
    (tmp_path / "new" / "checkpoints" / "sam_vit_b_01ec64.pth").write_bytes(bytes(3_000_000))
    (found,) = check_caches()
    assert found.value.startswith("3 MB in")
    assert next(c for c in check_weights() if c.name == "downloaded").value == "vit_b"
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEGLAB_CACHE", str(tmp_path / "file" / "cache"))
    assert "SEGLAB_CACHE" in failing(check_caches())["cache"]


def test_a_tile_is_served_and_refused_without_the_token() -> None:
    found = list(check_tiles())
    assert [check.name for check in found] == ["messages", "tiles", "token"]
    assert failing(found) == {}


def test_tiles_that_do_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: httpx.Client, url: str) -> None:
        raise httpx.ConnectError("refused")

    with monkeypatch.context() as patch:
        patch.setattr(httpx.Client, "get", refuse)
        assert "firewall" in failing(check_tiles())["tiles"]
    with monkeypatch.context() as patch:
        patch.setattr(httpx.Client, "get", lambda self, url: httpx.Response(500 if "xxxx" not in url else 200))
        assert set(failing(check_tiles())) == {"tiles", "token"}

    with monkeypatch.context() as patch:
        patch.setattr(doctor_tiles.TileServer, "render", lambda self, path: (500, b""))
        assert set(failing(check_tiles())) == {"messages"}

    def missing(name: str) -> str:
        raise SceneNotFoundError("install it: pip install localtileserver")

    with monkeypatch.context() as patch:
        patch.setattr(doctor_tiles, "example", missing)
        assert failing(check_tiles()) == {"tiles": "install it: pip install localtileserver"}

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError("no ports")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "create_server", forbidden)
        found = list(check_tiles())
        assert "open ports" in failing(found)["tiles"] and "no ports" in found[-1].value
        assert found[0].name == "messages" and found[0].ok


def test_routes_come_in_order_with_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ada/")
    routes, _ = check_routes()
    assert [route.name for route in routes] == ["server", "page", "server-proxy", "direct", "comm", "bytes"]
    assert all(route.reason for route in routes)
    assert "'/user/ada/' by JUPYTERHUB_SERVICE_PREFIX" in routes[0].reason
    assert routes[2].url.startswith("/user/ada/proxy/PORT/TOKEN/")


def test_what_the_routes_need(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_versions(monkeypatch, jupyter_server_proxy="4.4.0")
    monkeypatch.setattr(doctor_tiles, "jupyter_config_path", lambda: [str(tmp_path)])
    extension, proxy = check_routes()[1]
    assert not extension.ok and "jupyter server extension enable" in extension.advice
    assert proxy.ok and "4.4.0" in proxy.value
    fake_versions(monkeypatch, jupyter_server_proxy=None)
    assert check_routes()[1][1].value.startswith("not installed")


def test_the_extension_is_looked_for_where_servers_look(tmp_path: Path) -> None:
    def write(name: str, value: object) -> None:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"ServerApp": {"jpserver_extensions": {EXTENSION: value}}}))

    write("system/jupyter_server_config.d/localtileserver.json", True)
    (tmp_path / "system/jupyter_server_config.d/broken.json").write_text("{half")
    (tmp_path / "system/jupyter_server_config.d/other.json").write_text('{"ServerApp": {}}')
    assert extension_is_on([str(tmp_path / "user"), str(tmp_path / "system")])
    write("user/jupyter_server_config.json", False)  # a person has switched it off
    assert not extension_is_on([str(tmp_path / "user"), str(tmp_path / "system")])
    assert not extension_is_on([])
