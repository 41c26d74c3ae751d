"""Candidate addresses of a tile, from what a kernel can know."""

from __future__ import annotations

import json

import pytest

from seglab.serve.routes import candidates, find_base, running_servers

SERVERS = [{"pid": 11, "base_url": "/other/"}, {"pid": 22, "base_url": "/base/"}]


@pytest.mark.parametrize(
    ("environ", "servers", "parent", "expected"),
    [
        ({}, [], 1, "/"),
        ({"JUPYTERHUB_SERVICE_PREFIX": "/user/ada/"}, SERVERS, 22, "/user/ada/"),
        ({"JUPYTERHUB_SERVICE_PREFIX": "/user/ada", "JPY_BASE_URL": "/x/"}, [], 1, "/user/ada/"),
        ({"JPY_BASE_URL": "lab"}, SERVERS, 22, "/lab/"),
        ({"VOILA_BASE_URL": "/dash/"}, SERVERS, 22, "/dash/"),
        ({"JUPYTERHUB_SERVICE_PREFIX": ""}, SERVERS, 22, "/base/"),
        ({"JPY_PARENT_PID": "22"}, SERVERS, 1, "/base/"),
        ({}, SERVERS, 11, "/other/"),
        ({"JPY_PARENT_PID": "a handle"}, SERVERS, 1, "/"),
        ({}, SERVERS[:1], 1, "/other/"),
        ({}, [{"pid": 5, "base_url": "/same/"}, {"pid": 6, "base_url": "/same"}], 1, "/same/"),
        ({}, [{"pid": 5}], 5, "/"),
    ],
)
def test_base_url(environ, servers, parent, expected):
    assert find_base(environ, servers, parent).url == expected


@pytest.mark.parametrize(
    ("environ", "servers", "parent", "expected"),
    [
        ({"JPY_BASE_URL": "lab"}, [], 1, "JPY_BASE_URL"),
        ({}, SERVERS, 22, "the notebook server that started this process"),
        ({}, SERVERS[:1], 1, "the notebook server that is running"),
        ({}, SERVERS, 1, "default: the servers differ"),
        ({}, [], 1, "default: no notebook server says otherwise"),
    ],
)
def test_base_url_says_how_it_is_known(environ, servers, parent, expected):
    assert find_base(environ, servers, parent).reason == expected


def test_candidates_are_ordered_and_the_first_is_complete():
    path = "/token/layer/{z}/{x}/{y}.png"
    routes = candidates(8123, path, {"JPY_BASE_URL": "/base/"}, [], 1)
    assert [(route.name, route.url) for route in routes] == [
        ("server", f"/base/localtileserver-proxy/8123{path}"),
        ("page", f"{{base_url}}localtileserver-proxy/8123{path}"),
        ("server-proxy", f"/base/proxy/8123{path}"),
        ("direct", f"http://127.0.0.1:8123{path}"),
    ]


def test_running_servers_reads_what_servers_wrote(tmp_path):
    (tmp_path / "jpserver-22.json").write_text(json.dumps(SERVERS[1]), encoding="utf-8")
    (tmp_path / "jpserver-33.json").write_text("{half a fi", encoding="utf-8")
    (tmp_path / "jpserver-44.json").write_text("[]", encoding="utf-8")
    (tmp_path / "kernel-55.json").write_text(json.dumps(SERVERS[0]), encoding="utf-8")
    assert running_servers(tmp_path) == [SERVERS[1]]
    assert running_servers(tmp_path / "missing") == []
