"""Random oversampling: repeat rare rows as they are. The baseline that a cleverer sampler has to beat."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oversample.base import RegressionSampler


class RandomOversampler(RegressionSampler):
    """Draw rare rows with replacement, uniformly within their bump."""

    def _draw(
        self,
        X: NDArray[Any],  # noqa: ARG002 - the base's signature
        bump: NDArray[np.int64],
        count: int,
        rng: np.random.RandomState,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        rows = bump[rng.randint(len(bump), size=count)]
        return rows, rows, np.zeros(count)
