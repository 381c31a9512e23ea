"""Site and JupyterLab in the background, with a small web server in their place."""

import json
import os
import subprocess
import sys
import urllib.request

import psutil
import pytest

from rabbitlab import cluster, ports, servers
from rabbitlab.errors import Mendable


def web_server(port):
    return ["http.server", str(port), "--bind", "127.0.0.1"]


@pytest.fixture
def background(monkeypatch, tmp_path):
    """Servers of our own, whose state is kept apart; all are ended afterwards."""
    monkeypatch.setattr(servers, "STATE", tmp_path)
    monkeypatch.setattr(servers, "RECORD", tmp_path / "servers.json")
    monkeypatch.setattr(servers, "ROOT", tmp_path)
    monkeypatch.setattr(servers, "COMMANDS", {"site": (web_server, 18000), "jupyter": (web_server, 18888)})
    monkeypatch.setattr(cluster, "is_whole", lambda: True)
    monkeypatch.setattr(cluster, "up", lambda yes: None)
    opened = []
    monkeypatch.setattr(servers.webbrowser, "open", opened.append)
    yield opened
    servers._end(*servers.running().values())


def addresses():
    return {name: server.url for name, server in servers.running().items()}


def test_start_prints_addresses_that_answer(background, capsys):
    servers.start(browser=False)
    out = capsys.readouterr().out
    for url in addresses().values():
        assert url in out
        assert urllib.request.urlopen(url, timeout=5).status == 200


def test_start_run_twice_only_prints(background, capsys):
    servers.start(browser=False)
    before = servers.running()
    servers.start(browser=False)
    assert servers.running() == before
    assert capsys.readouterr().out.count(before["site"].url) == 2


def test_they_lead_sessions_of_their_own_and_outlive_the_shell(background):
    servers.start(browser=False)
    for server in servers.running().values():
        assert os.getsid(server.pid) == server.pid


def test_a_taken_port_is_passed_over(background, monkeypatch):
    monkeypatch.setattr(ports, "taken", lambda port: port == 18000)
    servers.start(browser=False)
    assert servers.running()["site"].port == 18001


def test_jupyter_has_a_token_that_others_cannot_read(background):
    servers.start(browser=False)
    server = servers.running()["jupyter"]
    assert len(server.token) >= 16
    assert server.token in server.url
    assert servers.RECORD.stat().st_mode & 0o077 == 0
    assert server.token not in " ".join(psutil.Process(server.pid).cmdline())


def test_stop_ends_them(background, capsys):
    servers.start(browser=False)
    pids = [server.pid for server in servers.running().values()]
    servers.stop()
    assert "Stopped: site, jupyter." in capsys.readouterr().out
    assert not any(_runs(pid) for pid in pids)
    servers.stop()
    assert "Neither" in capsys.readouterr().out


def test_only_what_is_missing_is_started(background):
    servers.start(browser=False)
    before = servers.running()
    servers._end(before["site"])
    servers.start(browser=False)
    assert servers.running()["jupyter"] == before["jupyter"]
    assert servers.running()["site"].pid != before["site"].pid


def test_a_process_that_is_not_ours_is_left_alone(background):
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        fields = {"name": "site", "pid": stranger.pid, "port": 18000, "token": ""}
        for started in (0.0, psutil.Process(stranger.pid).create_time()):
            servers.RECORD.write_text(json.dumps([{**fields, "started": started}]))
            assert servers.running() == {}
            servers.stop()
            assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("damage", ["", "{", "[1]", '[{"name": "site"}]'])
def test_a_damaged_record_is_no_record(background, damage):
    servers.RECORD.write_text(damage)
    assert servers.running() == {}


def test_a_server_that_ends_shows_its_log_and_takes_the_other_with_it(background, monkeypatch):
    monkeypatch.setitem(servers.COMMANDS, "site", (lambda port: ["no_such_module_of_ours"], 18000))
    with pytest.raises(Mendable, match="No module named no_such_module_of_ours"):
        servers.start(browser=False)
    assert servers.running() == {}


def test_the_browser_is_opened_once_and_where_there_is_one(background, monkeypatch):
    monkeypatch.setattr(servers, "_has_browser", lambda: True)
    servers.start(browser=True)
    servers.start(browser=True)
    assert background == [servers.running()["site"].url]


def test_no_browser_is_opened_without_a_display(monkeypatch):
    monkeypatch.setattr(servers.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not servers._has_browser()
    monkeypatch.setenv("DISPLAY", ":0")
    assert servers._has_browser()


def test_the_commands_are_the_sites_and_jupyters():
    assert "serve" in servers._site(8000)
    assert servers._jupyter(8888)[0] == "jupyterlab"
    assert "--ServerApp.port=8888" in servers._jupyter(8888)


def test_down_asks_before_anything_is_stopped(background, monkeypatch):
    servers.start(browser=False)

    def refused(volumes, yes):
        raise Mendable("Nothing was changed.")

    monkeypatch.setattr(cluster, "down", refused)
    with pytest.raises(Mendable):
        servers.down(volumes=True)
    assert set(servers.running()) == {"site", "jupyter"}
    monkeypatch.setattr(cluster, "down", lambda volumes, yes: None)
    servers.down()
    assert servers.running() == {}


def _runs(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
