"""The long version of the crash tests: what `pytest tests/embed/crash` does in half a minute, at full length.

    python tests/embed/crash/long.py [KILLS] [CUTS] [SEED]

300 kills with one writer and 300 with four, every system-call boundary of two larger runs, 1,000 power cuts and 500
more in the runs that resume, a disk that fails in three ways at every call: about ten minutes on two busy cores.
Prints a JSON object for each; a breach is an AssertionError that says where.
"""

import errno
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from faults import ALL, ALLOCATING, NAMING, Fault, survive
from kills import Campaign
from states import Scene, State, cut_again, power_cuts, record
from states import kills as kill_states
from workload import Arrays, Contents

SCENE = Scene(Contents(n=48, dim=40, batch=4), every=4)


def killed(kills: int, seed: int) -> None:
    for writers in (1, 4):
        with tempfile.TemporaryDirectory() as folder:
            say(kills=asdict(Campaign(Path(folder), writers, seed).run(kills)))


def cut_off(cuts: int, seed: int) -> None:
    expected = SCENE.reference()
    for name in ("one_writer", "two_writers"):
        calls = record(getattr(SCENE, name))
        count = sum(call.kind != "mark" for call in calls)
        cut = list(power_cuts(calls, cuts // 2, seed))
        twice = (cut_again(SCENE, state, number) for number, state in enumerate(cut[::2]))
        for what, states in (("kill", kill_states(calls)), ("power cut", cut), ("second power cut", twice)):
            start = time.monotonic()
            checked = sum(1 for state in states if passed(state, expected))
            say(run=name, what=what, calls=count, states=checked, seconds=round(time.monotonic() - start, 1))


def passed(state: State, expected: Arrays) -> bool:
    SCENE.check(state, expected)
    return True


def failing() -> None:
    expected = SCENE.reference()
    for number, kinds in ((errno.ENOSPC, ALLOCATING), (errno.EACCES, NAMING), (errno.EIO, ALL)):
        for halved in (False, True) if "write" in kinds else (False,):
            tried = list(until_it_ends(number, kinds, halved, expected))
            messages = sorted({message for message in tried if message})
            say(fault=errno.errorcode[number], halved=halved, calls=len(tried), messages=messages)


def until_it_ends(number: int, kinds: set[str], halved: bool, expected: Arrays) -> Iterator[str | None]:
    turn = 0
    while True:
        turn += 1
        fault = Fault(number, kinds, turn, halved)
        yield survive(SCENE, expected, fault)
        if fault.seen < turn:
            return


def say(**values: object) -> None:
    print(json.dumps(values), flush=True)


def main(kills: int = 300, cuts: int = 1000, seed: int = 0) -> None:
    killed(kills, seed)
    cut_off(cuts, seed)
    failing()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
