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


@dataclass(frozen=True)
class Memo(Generic[Value]):
    """Values by key, made under a lock of their own; those past `budget` bytes are made but not kept.

    What is full stays as it is: fits go round the same folds again and again, and one that is thrown out for the next
    would be gone whenever it is asked for.
    """

    budget: float = float("inf")
    size: Callable[[Value], int] = lambda _: 0
    _entries: dict[Hashable, _Entry[Value]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key, made unless it is there; what `make` raises is raised, and nothing kept."""
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
        with entry.lock:
            value = make() if entry.value is None else entry.value
            if entry.value is None and self._fits(value):
                entry.value = value
        return value

    def _fits(self, value: Value) -> bool:
        with self._lock:
            kept = [entry.value for entry in self._entries.values() if entry.value is not None]
            return sum(map(self.size, kept)) + self.size(value) <= self.budget
