"""Principal components and penalised linear fits: what ridge, random features and neighbours have in common.

256 components keep the accuracy of 1,536 columns at a fraction of the cost, and give a kernel or a distance columns
that are not correlated. Each encoder's block is first given the same total variance, since a wide block would otherwise
drown a narrow one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, eigh

from regress.losses import Loss, sigmoid
from regress.models import Training

Array = NDArray[np.float64]
Groups = list[NDArray[np.int64]]
COMPONENTS = 256
CHUNK = 1024  # rows: what is made of them stays in the processor's cache
PENALTIES = np.geomspace(1e-1, 1e-6, 8)  # on mean loss and columns whose total variance is 1; strongest first
STEPS = 50
SATURATED = 0.99  # leverage of rows that are nearly their own fit


@dataclass(frozen=True)
class Projection:
    """Scaled rows → principal components with a total variance of 1: (X · axes − center) / spread."""

    axes: Array  # (d, k), the blocks' scales included
    center: Array  # (k,)
    spread: float

    @classmethod
    def fit(cls, training: Training, components: int = COMPONENTS) -> tuple["Projection", Array]:
        """The components of the training rows, and these rows in them, float64 (m, k).

        Those that the rows have been through already, if they have (`Training.projection`).
        """
        projection, scores = training.projection, training.X
        if projection is None:
            projection, scores = cls.of(training.X, training.blocks, components)
        return projection, (np.asarray(scores, np.float64) - projection.center) / projection.spread

    @classmethod
    def of(
        cls, X: NDArray[np.float32], blocks: tuple[slice, ...], components: int = COMPONENTS
    ) -> tuple["Projection", NDArray[np.float32]]:
        """The components of scaled rows (m, d), and float32 (m, k) what they are in them before they are centred."""
        scale = _block_scale(X, blocks)
        scaled = X * scale.astype(np.float32)
        axes = _principal_axes(scaled, components)
        scores = scaled @ axes.astype(np.float32)
        Z = np.asarray(scores, np.float64)
        center, spread = Z.mean(axis=0), float(np.sqrt(Z.var(axis=0).sum())) or 1.0
        # row by row in memory: safetensors writes other arrays as they lie, and reads them back transposed
        return cls(np.ascontiguousarray(scale[:, None] * axes), center, spread), scores

    def apply(self, X: NDArray[np.float32]) -> Array:
        """float32 (n, d) → float64 (n, k)."""
        return np.asarray((X @ self.axes - self.center) / self.spread)

    def to_arrays(self) -> dict[str, Array]:
        return {"axes": self.axes, "center": self.center, "spread": np.array([self.spread])}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[np.generic]]) -> "Projection":
        return cls(arrays["axes"], arrays["center"], float(arrays["spread"][0]))  # type: ignore[arg-type]


def _block_scale(X: NDArray[np.float32], blocks: tuple[slice, ...]) -> Array:
    """(d,) factors that give every block a total variance of 1; the indicators past the blocks stay as they are."""
    scale = np.ones(X.shape[1])
    for block in blocks:
        total = float(X[:, block].var(axis=0, dtype=np.float64).sum())
        scale[block] = 1 / np.sqrt(total) if total > 0 else 0.0
    return scale


def _principal_axes(X: NDArray[np.float32], components: int) -> Array:
    """(d, k) orthonormal axes of the largest variances, from the smaller of the two Gram matrices."""
    mean = X.mean(axis=0, dtype=np.float64).astype(np.float32)
    n, d = X.shape
    centered = X - mean if d > n else None
    gram = _gram(X, mean) if centered is None else np.asarray(centered @ centered.T, dtype=np.float64)
    values, vectors = eigh(gram, subset_by_index=(max(0, len(gram) - components), len(gram) - 1), check_finite=False)
    # what varies less than the weakest penalty is shrunk away by any, and products in float32 leave some of that
    keep = np.flatnonzero(values > values[-1] * 1e-6)[::-1]
    axes = vectors[:, keep]
    if centered is not None:
        axes = np.asarray(centered.T @ (axes / np.sqrt(values[keep])))
    # eigenvectors have no sign of their own: fix it, so that the same rows give the same bytes
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    return np.asarray(axes * signs)


def _gram(X: NDArray[np.float32], mean: NDArray[np.float32]) -> Array:
    """(d, d) products of centred columns: float32 within some rows, where it is twice as fast, float64 over all."""
    gram = np.zeros((X.shape[1], X.shape[1]))
    for first in range(0, len(X), CHUNK):
        rows = X[first : first + CHUNK] - mean
        gram += rows.T @ rows
    return gram


def choose_penalty(Z: Array, training: Training, loss: Loss, penalties: Array = PENALTIES) -> float:
    """The λ of least weighted loss when each group of training rows is predicted by a fit on all others."""
    return leave_out(Z, training, loss, penalties)[0]


def leave_out(Z: Array, training: Training, loss: Loss, penalties: Array = PENALTIES) -> tuple[float, Array]:
    """The λ of least weighted loss, and the raw score (m,) of each row by a fit at that λ on all groups but its own.

    For squared error this is exact and comes from one eigendecomposition for the whole path; for cross-entropy it is
    one Newton step from the fit on all rows (approximate leave-one-out: Rad, Maleki 2020), which a test compares with
    refitting. A row without company is a group of its own. `penalties` are tried in their order, strongest first.
    """
    groups = _companies(training.groups)
    path = _squared_path if loss.squared else _newton_path
    losses, best = list[float](), np.empty(0)
    for score in path(Z, training, groups, penalties):
        losses.append(float(training.weight @ loss.value(score, training.y)))
        best = score if losses[-1] == min(losses) else best
        if len(losses) > 2 and losses[-1] > losses[-2] > min(losses):
            break  # past the minimum: weaker penalties cost the most steps
    return float(penalties[int(np.argmin(losses))]), best


def _companies(groups: NDArray[np.int64] | None) -> Groups:
    """For each size above 1: the rows (g, size) of the groups that have it, which are solved for together."""
    if groups is None:
        return []
    order = np.argsort(groups, kind="stable")
    _, first, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    return [order[first[sizes == size][:, None] + np.arange(size)] for size in np.unique(sizes[sizes > 1])]


def _squared_path(Z: Array, training: Training, groups: Groups, penalties: Array) -> Iterator[Array]:
    """Left-out predictions (m,) for each λ: ŷ − y left out is W^-½ (I − S_gg)⁻¹ W^½ (ŷ − y)_g, S = W^½ H W^-½.

    S is P diag(shrink) Pᵀ, and what the mean adds; all of P's products serve every λ at once.
    """
    w, y = np.maximum(training.weight / training.weight.sum(), 1e-12 / len(Z)), training.y  # S needs roots above 0
    root = np.sqrt(w).astype(Z.dtype)
    A = Z - (w @ Z).astype(Z.dtype)
    A *= root[:, None]
    values, vectors = np.linalg.eigh(A.T @ A)  # one array by itself: BLAS computes half of it
    shrink = 1 / (np.maximum(values, 0)[:, None] + penalties).astype(Z.dtype)
    theta = vectors @ (shrink * (((root * y).astype(Z.dtype) @ A) @ vectors)[:, None])
    fits = w @ y + (A @ theta) / root[:, None]
    P, leverages = _rotated(A, vectors, shrink, w, groups)
    for i in range(len(penalties)):
        residual = fits[:, i] - y
        left_out = residual / (1 - leverages[:, i])
        for rows in groups:
            near = root[rows]
            S = near[:, :, None] * near[:, None, :] + (P[rows] * shrink[:, i]) @ P[rows].mT
            left_out[rows] = _solved(np.eye(rows.shape[1]) - S, near * residual[rows]) / near
        yield y + left_out


def _rotated(A: Array, vectors: Array, shrink: Array, w: Array, groups: Groups) -> tuple[Array, Array]:
    """P = A · vectors, and the leverages (m, λ): in float32, where they are right to 1e-6, unless that is too little.

    Left-out errors are divided by 1 − leverage, those of a group by I − S_gg, whose least eigenvalue is no less than
    1 − the sum of its leverages.
    """
    for dtype in (np.dtype(np.float32), A.dtype):
        P = A.astype(dtype, copy=False) @ vectors.astype(dtype, copy=False)
        leverages = w[:, None] + _squares(P, shrink)
        most = max(float(leverages.max()), *(float(leverages[rows].sum(axis=1).max()) for rows in groups), 0.0)
        if most < SATURATED:
            break
    return P, leverages


def _squares(P: Array, shrink: Array) -> Array:
    """P² @ shrink (m, λ), without all of P² in memory."""
    return np.concatenate([P[first : first + CHUNK] ** 2 @ shrink for first in range(0, len(P), CHUNK)])


def _solved(matrices: Array, right: Array) -> Array:
    """(g, s) solutions of g systems."""
    return np.asarray(np.linalg.solve(matrices, right[:, :, None])[:, :, 0])


def _newton_path(Z: Array, training: Training, groups: Groups, penalties: Array) -> Iterator[Array]:
    """Left-out scores (m,) for each λ: s_g + K (I − D K)⁻¹ r_g, K = A_g H⁻¹ A_gᵀ, D and r the loss's derivatives."""
    A, w, y = _with_ones(Z), training.weight / training.weight.sum(), training.y
    theta = np.zeros(A.shape[1])
    for penalty in penalties:  # each starts where the one before ended
        theta, factor = _newton(A, y, w, _ridge(A.shape[1], penalty), theta)
        score = A @ theta
        p = sigmoid(score)
        curvature, slope = w * p * (1 - p), w * (p - y)
        B = A @ cho_solve((factor, True), np.eye(A.shape[1]), check_finite=False)
        leverage = np.einsum("ij,ij->i", A, B)
        left_out = score + leverage * slope / (1 - curvature * leverage)
        for rows in groups:
            K = A[rows] @ B[rows].mT
            lacking = _solved(np.eye(rows.shape[1]) - curvature[rows][:, :, None] * K, slope[rows])
            left_out[rows] = score[rows] + (K @ lacking[:, :, None])[:, :, 0]
        yield left_out


def solve(Z: Array, y: Array, weight: Array, loss: Loss, penalty: float) -> Array:
    """(k + 1,) coefficients and, last, the intercept, which is not penalised."""
    A, w = _with_ones(Z), weight / weight.sum()
    ridge = _ridge(A.shape[1], penalty)
    if loss.squared:
        return np.asarray(np.linalg.solve((A * w[:, None]).T @ A + np.diag(ridge), A.T @ (w * y)))
    return _newton(A, y, w, ridge, np.zeros(A.shape[1]))[0]


def _with_ones(Z: Array) -> Array:
    return np.concatenate([Z, np.ones((len(Z), 1))], axis=1)


def _ridge(columns: int, penalty: float) -> Array:
    """λ for each coefficient; next to nothing for the intercept, which is the last."""
    ridge = np.full(columns, penalty)
    ridge[-1] = 1e-9
    return ridge


def _newton(A: Array, y: Array, w: Array, ridge: Array, theta: Array) -> tuple[Array, Array]:
    """Newton with step halving on Σw·ℓ + ½ θᵀ diag(ridge) θ, ℓ the cross-entropy; convex, so it ends at the minimum.

    Returns θ and the lower Cholesky factor of the Hessian there.
    """

    def objective(score: Array, t: Array) -> float:
        return float(w @ (np.logaddexp(0.0, score) - y * score) + (ridge * t) @ t / 2)

    score, rooted = A @ theta, np.empty_like(A)
    value = objective(score, theta)
    for _ in range(STEPS):
        p = sigmoid(score)
        np.multiply(A, np.sqrt(w * p * (1 - p))[:, None], out=rooted)
        hessian = rooted.T @ rooted + np.diag(ridge)  # BLAS computes half of such a product
        factor = np.asarray(np.linalg.cholesky(hessian), dtype=np.float64)
        step, size = cho_solve((factor, True), A.T @ (w * (p - y)) + ridge * theta, check_finite=False), 1.0
        along = A @ step
        while (new := objective(score - size * along, theta - size * step)) > value and size > 1e-6:
            size /= 2
        if value - new < 1e-9 * abs(value):
            break
        theta, score, value = theta - size * step, score - size * along, new
    return theta, factor
