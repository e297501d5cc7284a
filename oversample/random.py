"""Random oversampling: repeat rare rows as they are. The baseline that a cleverer sampler has to beat."""

import numpy as np

from oversample.base import Draw, Floats, RegressionSampler
from oversample.strategy import Rows


class RandomOversampler(RegressionSampler):
    """Draw rare rows with replacement, uniformly within their bump; `RegressionSampler` describes the settings."""

    def _draw(self, X: Floats, y: Floats, rows: Rows, count: int, rng: np.random.Generator) -> Draw:  # noqa: ARG002
        return Draw.copies(rng.choice(rows, size=count))
