"""One whole extraction of a table by the hand-made statistics alone: the real command without a model to load.

python tests/embed/crash/company.py POSTS --cache FILE …
"""

import sys
from dataclasses import replace
from unittest import mock

from data.config import main
from embed import extract, requests


def statistics_only(options: requests.EncoderOptions) -> tuple[requests.Request, ...]:
    named = replace(options, text=("nobody/loads-this",))  # or the packaged models must be installed
    return tuple(request for request in requests.build(named) if request.family == "statistics")


if __name__ == "__main__":
    with mock.patch.object(extract, "build", statistics_only):
        sys.exit(main(extract.Extract, extract.run))
