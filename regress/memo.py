"""What several fits need is made once, by whichever comes first, while the others wait for it alone."""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass
class _Entry(Generic[Value]):
    lock: threading.Lock = field(default_factory=threading.Lock)
    value: Value | None = None


class Memo(Generic[Value]):
    """Values by key, each made under a lock of its own; those past `budget` bytes are made but not kept.

    What is full stays as it is: fits go round the same folds again and again, and one that is thrown out for the next
    would be gone whenever it is asked for.
    """

    def __init__(self, budget: float = float("inf"), size: Callable[[Value], int] = lambda _: 0) -> None:
        self._budget, self._size, self._used = budget, size, 0
        self._entries: dict[Hashable, _Entry[Value]] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key, made unless it is there; what `make` raises is raised, and nothing kept."""
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
        with entry.lock:
            if entry.value is not None:
                return entry.value
            value = make()
            with self._lock:
                if self._used + self._size(value) <= self._budget:
                    self._used += self._size(value)
                    entry.value = value
            return value
