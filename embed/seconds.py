"""Where the time of a run went, and which stage the others waited for."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

STAGES = ("read", "hash", "load", "decode", "encode", "write")
LIMITS = {"read": "reading limits", "decode": "decoding limits", "encode": "encoding limits"}


@dataclass
class Seconds:
    """Where the time of a run went: seconds at work of each stage, added up over its threads; `total` by the clock."""

    read: float = 0.0
    hash: float = 0.0
    load: float = 0.0
    decode: float = 0.0
    encode: float = 0.0
    write: float = 0.0
    total: float = 0.0
    threads: dict[str, int] = field(default_factory=dict)  # of decode and encode
    working: float = 0.0  # by the clock, from the first content that was new to the last vector

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                setattr(self, stage, getattr(self, stage) + time.perf_counter() - start)

    def busy(self, stage: str) -> float:
        """The share of the working time that the threads of decode or encode were at work, 0 to 1."""
        available = self.working * self.threads.get(stage, 0)
        return min(1.0, getattr(self, stage) / available) if available else 0.0

    @property
    def limit(self) -> str:
        """What the others waited for: "read", "decode", "encode", or "" where nothing was embedded."""
        if not self.working:
            return ""
        busiest = max(("decode", "encode"), key=self.busy)
        return busiest if self.busy(busiest) >= 0.5 else "read"

    def to_json(self) -> dict[str, Any]:
        stages = {name: round(getattr(self, name), 3) for name in (*STAGES, "total", "working")}
        busy = {stage: round(self.busy(stage), 3) for stage in self.threads}
        return {**stages, "threads": self.threads, "busy": busy, "limit": self.limit}

    def __str__(self) -> str:
        stages = [f"{name} {getattr(self, name):.1f}" + self._threads_text(name) for name in STAGES]
        return f"{self.total:.1f} s: {', '.join(stages)}" + (f"; {LIMITS[self.limit]}" if self.limit else "")

    def _threads_text(self, stage: str) -> str:
        n = self.threads.get(stage)
        return f" in {n} thread{'s' * (n > 1)} ({self.busy(stage):.0%} busy)" if n else ""
