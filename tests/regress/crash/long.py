"""The long version of the crash tests of `regress.fit`: what `pytest tests/regress/crash` does, at full length.

    python tests/regress/crash/long.py [KILLS] [SEED]

200 kills take ten minutes on two busy cores. Prints one JSON object; a breach is an AssertionError that says where.
"""

import sys

import fits

if __name__ == "__main__":
    fits.main(*(map(int, sys.argv[1:]) if sys.argv[1:] else (200,)))
