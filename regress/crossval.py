"""The only training loop: every fold's training part is fitted on, its test part predicted, the predictions calibrated.

Whatever learns from targets (scaling, sampling, tuning, the model, early stopping) sees training rows alone.
Predictions of a fold are calibrated by a map fitted on the out-of-fold predictions of the *other* folds (by time: the
earlier ones); samplers' synthetic rows are never calibrated on. The same holds for the weights of a stack. So no model
sees the target of a post it predicts; a trace of it reaches the map and the weights, through the models of the other
folds: on 300 posts a target moved from 0 to 0.9 moves the post's own prediction by 0.003 of 0.068 with beta, by 0.03
with isotonic. It buys nothing: on 60 tables without a signal D² is −0.003, −0.11 and −0.006 (a stack), none is USEFUL.

Folds are fitted beside each other, each on one thread: the same bytes come out on any number of cores, in less time
than from one fit after the other on all of them.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regress.calibration import Calibration, fit_calibration
from regress.fitted import Fitted
from regress.foldfile import FoldFiles, FoldFit
from regress.folds import Folds
from regress.models import model_class
from regress.sampling import told_once
from regress.stack import Stack, combine, fit_weights, logits
from regress.trainer import Setup, Trainer

Array = NDArray[np.float64]


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of one partition of the posts; NaN for posts that no fold tests."""

    folds: Folds
    raw: Array  # (n,) as the model gives them
    prediction: Array  # (n,) calibrated on the other folds
    mean: Array  # (n,) the training mean of the post's fold: what has to be beaten
    notes: list[list[str]]  # of the sampler, by fold
    tuned: list[dict[str, Any]]  # settings that --tune chose, by fold
    seconds: float  # of all fits, one after the other


@dataclass(frozen=True)
class FinalFit:
    """The model fitted on all posts."""

    fitted: Fitted
    notes: list[str]  # of the sampler
    tuned: dict[str, Any]  # settings that --tune chose
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """Out-of-fold predictions by partition, and the final model refitted on all posts."""

    partitions: list[OutOfFold]
    calibration: Calibration | None  # fitted on all out-of-fold predictions of the first partition, for new posts
    fitted: Fitted
    tuned: dict[str, Any]  # of the final model
    notes: list[str]  # what the sampler says of these posts, in plain words
    seconds: dict[str, float]  # of the fits, as if one came after the other, and whenever they were made


@dataclass(frozen=True)
class CrossValidation:
    """Posts and partitions of them into folds, on which several setups are tried."""

    trainer: Trainer
    partitions: Sequence[Folds]
    files: FoldFiles | None = None  # where fits of folds are kept and looked for
    step: Callable[[], object] = lambda: None  # called after each fit, by whichever thread made it

    def run(self, setup: Setup) -> Outcome:
        """Fit a setup on each fold's training part and once on all posts."""
        found, final = self._fit_all(setup)
        first, calibration = found[0], None
        if self._calibrates(setup):
            tested = first.folds.assignment >= 0
            calibration = fit_calibration(setup.calibration, first.raw[tested], self.trainer.y[tested])
        folds = sum(each.seconds for each in found)
        seconds = {"folds": folds, "final": final.seconds, "total": folds + final.seconds}
        notes = told_once([notes for each in found for notes in each.notes], final.notes)
        return Outcome(found, calibration, final.fitted, final.tuned, notes, seconds)

    def out_of_fold(self, setup: Setup, folds: Folds) -> OutOfFold:
        """Predictions of every post that `folds` test, by fits that did not see it."""
        if setup.members:
            return self._stacked(setup, [self.out_of_fold(member, folds) for member in setup.members])
        jobs = [partial(self._fold, setup, folds, k) for k in range(folds.n_folds)]
        return self._assembled(setup, folds, in_threads(jobs, torch=model_class(setup.model).torch))

    def _fit_all(self, setup: Setup) -> tuple[list[OutOfFold], FinalFit]:
        """The fits of all partitions' folds, and the one on all posts."""
        if setup.members:
            parts = [self._fit_all(member) for member in setup.members]
            found = [self._stacked(setup, list(members)) for members in zip(*(each for each, _ in parts), strict=True)]
            return found, self._stack([each[0] for each, _ in parts], [final for _, final in parts], setup)
        jobs = [partial(self._fold, setup, folds, k) for folds in self.partitions for k in range(folds.n_folds)]
        # the largest first: the others fill the cores beside it
        work: list[Callable[[], Any]] = [partial(self._final, setup), *jobs]
        final, *fits = in_threads(work, torch=model_class(setup.model).torch)
        given = iter(fits)
        found = [self._assembled(setup, folds, list(islice(given, folds.n_folds))) for folds in self.partitions]
        return found, final

    def _final(self, setup: Setup) -> FinalFit:
        start = time.perf_counter()
        fitted, notes, tuned = self.trainer.fit(setup, np.arange(len(self.trainer.y)))
        self.step()
        return FinalFit(fitted, notes, tuned, time.perf_counter() - start)

    def _fold(self, setup: Setup, folds: Folds, k: int) -> FoldFit:
        """The fit of one fold: read where it is kept, else made and kept."""
        train, test = folds.train(k), folds.test(k)
        path = self.files.path(setup.identity(), train, test) if self.files else None
        kept = FoldFiles.read(path) if path else None
        if kept is not None and len(kept.raw) == len(test):
            self.step()
            return kept
        start = time.perf_counter()
        fitted, notes, tuned = self.trainer.fit(setup, train)
        made = FoldFit(fitted.predict(self.trainer.features.X[test]), notes, tuned, time.perf_counter() - start)
        if path:
            FoldFiles.write(path, made)
        self.step()
        return made

    def _assembled(self, setup: Setup, folds: Folds, fits: Sequence[FoldFit]) -> OutOfFold:
        raw = np.full(len(self.trainer.y), np.nan)
        for k, fit in enumerate(fits):
            raw[folds.test(k)] = fit.raw
        tuned = [fit.tuned for fit in fits if fit.tuned]
        prediction, mean = self._calibrated(setup, raw, folds), self._means(folds)
        seconds = sum(fit.seconds for fit in fits)
        return OutOfFold(folds, raw, prediction, mean, [fit.notes for fit in fits], tuned, seconds)

    def _means(self, folds: Folds) -> Array:
        """float64 (n,): the mean rate of the training part of the fold that tests a post."""
        y, mean = self.trainer.y, np.full(len(self.trainer.y), np.nan)
        for k in range(folds.n_folds):
            mean[folds.test(k)] = y[folds.train(k)].mean()
        return mean

    def _stacked(self, setup: Setup, members: Sequence[OutOfFold]) -> OutOfFold:
        """Members' predictions combined, each fold with weights that the others give them."""
        y, folds = self.trainer.y, members[0].folds
        S, raw = logits(np.stack([each.raw for each in members], axis=1)), np.full(len(y), np.nan)
        for k in range(folds.n_folds):
            test, others = folds.test(k), folds.calibrating(k)
            equal = np.append(np.full(len(members), 1 / len(members)), 0.0)  # by time, the first fold has no others
            weights = fit_weights(S[others], y[others], np.ones(len(others))) if len(others) else equal
            raw[test] = combine(S[test], weights)
        notes, seconds = [note for each in members for note in each.notes], sum(each.seconds for each in members)
        return OutOfFold(folds, raw, self._calibrated(setup, raw, folds), members[0].mean, notes, [], seconds)

    def _stack(self, members: Sequence[OutOfFold], finals: Sequence[FinalFit], setup: Setup) -> FinalFit:
        """Members fitted on all posts, with weights by all out-of-fold predictions."""
        tested = members[0].folds.assignment >= 0
        S = logits(np.stack([each.raw[tested] for each in members], axis=1))
        names = tuple(member.model for member in setup.members)
        weights = fit_weights(S, self.trainer.y[tested], np.ones(len(S)))
        stack = Stack.of(names, [each.fitted for each in finals], weights)
        notes = [note for each in finals for note in each.notes]
        return FinalFit(Fitted(stack, None), notes, {}, sum(each.seconds for each in finals))

    def _calibrates(self, setup: Setup) -> bool:
        return setup.calibration != "none" and model_class(setup.model).calibrate

    def _calibrated(self, setup: Setup, raw: Array, folds: Folds) -> Array:
        """float64 (n,): each fold by a map fitted on others; by time the first has none, and is not scored."""
        if not self._calibrates(setup):
            return raw
        prediction, y = raw.copy(), self.trainer.y
        for k in range(folds.n_folds):
            test, others = folds.test(k), folds.calibrating(k)
            if len(others):
                prediction[test] = fit_calibration(setup.calibration, raw[others], y[others]).apply(raw[test])
        return prediction


def in_threads(jobs: Sequence[Callable[[], Any]], *, torch: bool = False) -> list[Any]:
    """What the jobs return, in order; in as many threads as there are cores, each computing on one.

    The first exception is raised; what has not begun by then is not begun.
    """
    workers = min(len(jobs), len(os.sched_getaffinity(0)))
    with _one_thread_each(torch=torch), ThreadPoolExecutor(workers, initializer=_limit) as pool:
        futures = [pool.submit(job) for job in jobs]
        try:
            return [future.result() for future in futures]
        except BaseException:  # also Ctrl-C: raised again
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _limit() -> None:
    """OpenMP's number of threads belongs to the thread that asks."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)


@contextlib.contextmanager
def _one_thread_each(*, torch: bool) -> Iterator[None]:
    """BLAS, and torch where it is used, compute on one thread; as it was on leaving."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        if not torch:
            yield
            return
        from torch import get_num_threads, set_num_threads

        before = get_num_threads()
        set_num_threads(1)
        try:
            yield
        finally:
            set_num_threads(before)
