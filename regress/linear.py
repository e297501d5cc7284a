"""Principal components and penalised linear fits: what ridge, random features and neighbours have in common.

256 components keep the accuracy of 1,536 columns at a fraction of the cost, and give a kernel or a distance columns
that are not correlated. Each encoder's block is first given the same total variance, since a wide block would otherwise
drown a narrow one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from regress.losses import Loss, sigmoid
from regress.models import Training

Array = NDArray[np.float64]
COMPONENTS = 256
PENALTIES = np.geomspace(1e-1, 1e-6, 8)  # on mean loss and columns whose total variance is 1; strongest first
STEPS = 50


@dataclass(frozen=True)
class Projection:
    """Scaled rows → principal components with a total variance of 1: (X · axes − center) / spread."""

    axes: Array  # (d, k), the blocks' scales included
    center: Array  # (k,)
    spread: float

    @classmethod
    def fit(cls, training: Training, components: int = COMPONENTS) -> tuple["Projection", Array]:
        """The components of the training rows, and these rows in them, float64 (m, k)."""
        scale = _block_scale(training)
        scaled = training.X * scale
        axes = _principal_axes(scaled, components)
        Z = np.asarray(scaled, dtype=np.float64) @ axes
        center, spread = Z.mean(axis=0), float(np.sqrt(Z.var(axis=0).sum())) or 1.0
        # row by row in memory: safetensors writes other arrays as they lie, and reads them back transposed
        return cls(np.ascontiguousarray(scale[:, None] * axes), center, spread), (Z - center) / spread

    def apply(self, X: NDArray[np.float32]) -> Array:
        """float32 (n, d) → float64 (n, k)."""
        return np.asarray((X @ self.axes - self.center) / self.spread)

    def to_arrays(self) -> dict[str, Array]:
        return {"axes": self.axes, "center": self.center, "spread": np.array([self.spread])}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[np.generic]]) -> "Projection":
        return cls(arrays["axes"], arrays["center"], float(arrays["spread"][0]))  # type: ignore[arg-type]


def _block_scale(training: Training) -> Array:
    """(d,) factors that give every block a total variance of 1; the indicators past the blocks stay as they are."""
    scale = np.ones(training.X.shape[1])
    for block in training.blocks:
        total = float(training.X[:, block].var(axis=0, dtype=np.float64).sum())
        scale[block] = 1 / np.sqrt(total) if total > 0 else 0.0
    return scale


def _principal_axes(X: Array, components: int) -> Array:
    """(d, k) orthonormal axes of the largest variances, from the smaller of the two Gram matrices."""
    centered = np.asarray(X - X.mean(axis=0), dtype=np.float64)
    n, d = centered.shape
    gram = centered.T @ centered if d <= n else centered @ centered.T
    values, vectors = np.linalg.eigh(gram)
    keep = np.flatnonzero(values > values[-1] * 1e-9)[::-1][:components]
    axes = vectors[:, keep] if d <= n else centered.T @ (vectors[:, keep] / np.sqrt(values[keep]))
    # eigenvectors have no sign of their own: fix it, so that the same rows give the same bytes
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    return np.asarray(axes * signs)


def choose_penalty(Z: Array, training: Training, loss: Loss) -> float:
    """The λ of least weighted loss when each group of training rows is predicted by a fit on all others."""
    return leave_out(Z, training, loss)[0]


def leave_out(Z: Array, training: Training, loss: Loss) -> tuple[float, Array]:
    """The λ of least weighted loss, and the raw score (m,) of each row by a fit at that λ on all groups but its own.

    For squared error this is exact and comes from one eigendecomposition for the whole path; for cross-entropy it is
    one Newton step from the fit on all rows (approximate leave-one-out: Rad, Maleki 2020), which a test compares with
    refitting. A row without company is a group of its own.
    """
    groups = _companies(training.groups)
    path = _squared_path(Z, training, groups) if loss.squared else _newton_path(Z, training, loss, groups)
    losses, best = list[float](), np.empty(0)
    for score in path:
        losses.append(float(training.weight @ loss.value(score, training.y)))
        best = score if losses[-1] == min(losses) else best
        if len(losses) > 2 and losses[-1] > losses[-2] > min(losses):
            break  # past the minimum: weaker penalties cost the most steps
    return float(PENALTIES[int(np.argmin(losses))]), best


def _companies(groups: NDArray[np.int64] | None) -> list[NDArray[np.int64]]:
    """The rows of each group that has more than one."""
    if groups is None:
        return []
    order = np.argsort(groups, kind="stable")
    edges = np.flatnonzero(np.diff(groups[order])) + 1
    return [rows for rows in np.split(order, edges) if len(rows) > 1]


def _squared_path(Z: Array, training: Training, groups: list[NDArray[np.int64]]) -> Iterator[Array]:
    """Left-out predictions (m,) for each λ. With H = B Bᵀ W: ŷ − y left out is (I − H_gg)⁻¹ (ŷ − y)_g."""
    w, y = training.weight / training.weight.sum(), training.y
    middle = w @ Z
    values, vectors = np.linalg.eigh((Z - middle).T @ ((Z - middle) * w[:, None]))
    P = (Z - middle) @ vectors
    moment = P.T @ (w * y)
    for penalty in PENALTIES:
        shrink = 1 / (np.maximum(values, 0) + penalty)
        residual = w @ y + P @ (shrink * moment) - y
        left_out = residual / (1 - w * (1 + P**2 @ shrink))
        for rows in groups:
            hat = (1 + (P[rows] * shrink) @ P[rows].T) * w[rows]
            left_out[rows] = np.linalg.solve(np.eye(len(rows)) - hat, residual[rows])
        yield y + left_out


def _newton_path(Z: Array, training: Training, loss: Loss, groups: list[NDArray[np.int64]]) -> Iterator[Array]:
    """Left-out scores (m,) for each λ: s_g + K (I − D K)⁻¹ r_g, K = A_g H⁻¹ A_gᵀ, D and r the loss's derivatives."""
    A = np.concatenate([Z, np.ones((len(Z), 1))], axis=1)
    w = training.weight / training.weight.sum()
    theta: Array | None = None
    for penalty in PENALTIES:  # each starts where the one before ended
        theta = solve(Z, training.y, training.weight, loss, penalty, theta)
        score = A @ theta
        p = sigmoid(score)
        curvature, slope = w * p * (1 - p), w * (p - training.y)
        hessian = (A * curvature[:, None]).T @ A + np.diag(_ridge(A.shape[1], penalty))
        B = solve_triangular(np.linalg.cholesky(hessian), A.T, lower=True, check_finite=False).T  # K = B Bᵀ
        leverage = np.einsum("ij,ij->i", B, B)
        left_out = score + leverage * slope / (1 - curvature * leverage)
        for rows in groups:
            K = B[rows] @ B[rows].T
            left_out[rows] = score[rows] + K @ np.linalg.solve(
                np.eye(len(rows)) - curvature[rows, None] * K, slope[rows]
            )
        yield left_out


def solve(Z: Array, y: Array, weight: Array, loss: Loss, penalty: float, start: Array | None = None) -> Array:
    """(k + 1,) coefficients and, last, the intercept, which is not penalised."""
    A = np.concatenate([Z, np.ones((len(Z), 1))], axis=1)
    ridge = _ridge(A.shape[1], penalty)
    w = weight / weight.sum()
    if loss.squared:
        return np.asarray(np.linalg.solve((A * w[:, None]).T @ A + np.diag(ridge), A.T @ (w * y)))
    return _newton(A, y, w, ridge, np.zeros(A.shape[1]) if start is None else start)


def _ridge(columns: int, penalty: float) -> Array:
    """λ for each coefficient; next to nothing for the intercept, which is the last."""
    ridge = np.full(columns, penalty)
    ridge[-1] = 1e-9
    return ridge


def _newton(A: Array, y: Array, w: Array, ridge: Array, theta: Array) -> Array:
    """Newton with step halving on Σw·ℓ + ½ θᵀ diag(ridge) θ, ℓ the cross-entropy; convex, so it ends at the minimum."""

    def objective(t: Array) -> float:
        score = A @ t
        return float(w @ (np.logaddexp(0.0, score) - y * score) + (ridge * t) @ t / 2)

    value = objective(theta)
    for _ in range(STEPS):
        p = sigmoid(A @ theta)
        gradient = A.T @ (w * (p - y)) + ridge * theta
        hessian = (A * (w * p * (1 - p))[:, None]).T @ A + np.diag(ridge)
        step, size = np.linalg.solve(hessian, gradient), 1.0
        while (new := objective(theta - size * step)) > value and size > 1e-6:
            size /= 2
        if value - new < 1e-9 * abs(value):
            break
        theta, value = theta - size * step, new
    return theta
