"""Run `embed.extract` again and again in forked children and kill each at a random moment.

Torch is imported once, before the forks: a kill then costs a second instead of a start. Prints, as JSON, how many
children were killed and how many embeddings were committed after each.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import timm  # noqa: F401 - imported before the forks
import torch
import transformers  # noqa: F401

from embed.cache import CacheWriter
from embed.extract import Extract, run


def child(config: Extract) -> int:
    """Start one extraction in a process of its own group."""
    pid = os.fork()
    if pid == 0:
        torch.set_num_threads(1)
        run(config)
        os._exit(0)
    return pid


def committed(cache: Path, labels: list[str]) -> int:
    """How many embeddings a new run would find."""
    with CacheWriter(cache) as writer:
        return sum(len(writer.done(label)) for label in labels)


def main(arguments: dict[str, object], kills: int, seed: int) -> None:
    chance = random.Random(seed)
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()}
    folder = Path(str(values.pop("folder")))
    labels = [str(label) for label in values.pop("labels")]  # type: ignore[attr-defined]
    config = Extract(posts=Path(str(values.pop("posts"))), cache=folder / "whole.h5", **values)  # type: ignore[arg-type]
    start = time.monotonic()
    os.waitpid(child(config), 0)
    length = time.monotonic() - start
    killed, caches, history = 0, [], []
    while killed < kills:
        cache = folder / f"killed{len(caches)}.h5"
        caches.append(cache.name)
        before = 0
        while True:
            pid = child(Extract(**{**config.__dict__, "cache": cache}))
            time.sleep(chance.uniform(0, length))
            os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            if not os.WIFSIGNALED(status):
                break
            killed += 1
            after = committed(cache, labels)
            history.append((before, after))
            before = after
            if killed >= kills:
                os.waitpid(child(Extract(**{**config.__dict__, "cache": cache})), 0)
                break
    print(json.dumps({"killed": killed, "caches": caches, "history": history, "seconds": length}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
