"""Is there a hub, and do the libraries stay quiet? With a local server, so that it holds with and without a network."""

import http.server
import logging
import socket
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus

import pytest
import transformers.utils.logging
from huggingface_hub import constants
from huggingface_hub.utils.tqdm import are_progress_bars_disabled

from embed import hub


class Handler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(HTTPStatus.NOT_FOUND if self.path == "/missing" else HTTPStatus.OK)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the machine would answer for the addresses of these tests."""
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def closed() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("path", ["", "/missing"])
def test_any_answer_is_an_answer(server: str, path: str) -> None:
    assert hub.reachable(server + path)


def test_nobody_there(closed: str) -> None:
    assert not hub.reachable(closed)


def test_no_answer_is_not_waited_for(silent: str) -> None:
    start = time.monotonic()
    assert not hub.reachable(silent, patience=0.2)
    assert time.monotonic() - start < 3


@pytest.mark.parametrize("url", ["not an address", "http://[", "http://nobody.invalid"])
def test_bad_addresses(url: str) -> None:
    assert not hub.reachable(url)


def test_offline_only_inside_and_only_without_a_hub(server: str, closed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for endpoint, offline in ((server, False), (closed, True)):
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        with hub.access():
            assert constants.HF_HUB_OFFLINE is offline
        assert constants.HF_HUB_OFFLINE is False


def test_it_is_restored_after_an_error(closed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", closed)
    with pytest.raises(OSError, match="not cached"), hub.access():
        raise OSError("not cached")
    assert constants.HF_HUB_OFFLINE is False


def test_who_asked_to_be_offline_is_not_contradicted(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "ENDPOINT", silent)
    start = time.monotonic()
    with hub.access():
        assert constants.HF_HUB_OFFLINE is True
    assert time.monotonic() - start < hub.PATIENCE


def test_quiet_lets_errors_through_and_restores(capfd: pytest.CaptureFixture[str]) -> None:
    names = ("timm.models", "transformers.modeling_utils", "huggingface_hub.file_download")
    levels = [logging.getLogger(name).getEffectiveLevel() for name in names]
    bars = transformers.utils.logging.is_progress_bar_enabled()
    with hub.quiet():
        for name in names:
            logging.getLogger(name).warning("chatter")
        assert not transformers.utils.logging.is_progress_bar_enabled()
        assert not are_progress_bars_disabled()  # a download's bar is wanted
        assert logging.getLogger(names[0]).isEnabledFor(logging.ERROR)
    assert [logging.getLogger(name).getEffectiveLevel() for name in names] == levels
    assert transformers.utils.logging.is_progress_bar_enabled() is bars
    assert capfd.readouterr() == ("", "")
