"""Ask the model hub without a long wait when there is none, and without the libraries' chatter.

With no network, timm retries for 47 seconds and transformers for 23 before they give up. Here one request decides in
at most 5: if the hub does not answer, the libraries may use what they have cached and nothing else.
"""

import contextlib
import http.client
import logging
import queue
import ssl
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

from data.progress import is_quiet

PATIENCE = 5.0  # seconds
_LOGGERS = ("timm", "transformers", "huggingface_hub")


def reachable(url: str, patience: float = PATIENCE) -> bool:
    """Does a server answer at `url` within `patience` seconds, whatever it answers? Proxies are honoured."""
    answer: queue.SimpleQueue[bool] = queue.SimpleQueue()
    # in a thread, since urlopen's timeout holds for each of a host's addresses in turn and not for finding them
    threading.Thread(target=lambda: answer.put(_answers(url, patience)), daemon=True).start()
    try:
        return answer.get(timeout=patience)
    except queue.Empty:
        return False


def _answers(url: str, patience: float) -> bool:
    try:
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310 — the address HF_ENDPOINT or the hub's own
        urllib.request.urlopen(request, timeout=patience).close()  # noqa: S310
    except (urllib.error.HTTPError, http.client.HTTPException):
        return True
    except urllib.error.URLError as error:
        return isinstance(error.reason, ssl.SSLError)  # the real client may know the certificate
    except (OSError, ValueError):
        return False
    return True


@contextlib.contextmanager
def access() -> Iterator[None]:
    """Inside, the hub is asked only if it answers; else timm and transformers use their cache or raise `OSError`."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not reachable(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Inside, the libraries log errors only and draw no bars, except that of a download on a terminal.

    Import them first: they set their own log level on import.
    """
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with _no_loading_bars():
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _no_loading_bars() -> Iterator[None]:
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    downloads = not are_progress_bars_disabled()
    bars = sys.modules.get("transformers.utils.logging")
    loading = bars is not None and bars.is_progress_bar_enabled()
    if bars is not None and loading:
        bars.disable_progress_bar()  # the download bars too, which are wanted unless it is to be quiet
    if downloads:
        (disable_progress_bars if is_quiet() else enable_progress_bars)()
    try:
        yield
    finally:
        if bars is not None and loading:
            bars.enable_progress_bar()  # the download bars too
        (enable_progress_bars if downloads else disable_progress_bars)()
