"""How good are representations? The measurements, each from representations to numbers.

All neighbors are by the cosine. A protocol gives (point, value) pairs: the point is None where
it gives one number.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import normalize

from sknnens.metrics import (
    hubness_score,
    normalized_maximum_similarity,
    rankme_score,
    singular_value_spectrum,
)

N_DRAWS = 20
DECAYS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)  # the sweep of the paper's appendix A.2
Points = Iterator[tuple[float | None, float]]


@dataclass
class Evaluation:
    """Representations of one split, or only the similarities where a method has nothing else.

    Attributes
    ----------
    train, test : ndarray of shape (n, d), or None
        Representations.
    similarity : ndarray of shape (n_test, n_train)
        The cosine, or what the method ranks by.
    y_train, y_test : ndarray of shape (n,)
        Classes, 0 to C - 1.
    split : int
        Seeds what is drawn.
    recover : callable or None
        Where there is a learner, from a number of steps to the mean cosine of each view of the
        test rows with what its MLPs recover; None takes all steps.
    """

    train: NDArray[Any] | None
    test: NDArray[Any] | None
    similarity: NDArray[Any]
    y_train: NDArray[np.int64]
    y_test: NDArray[np.int64]
    split: int
    recover: Callable[[int | None], NDArray[Any]] | None = None

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """Training rows for each test row, the most similar first; of shape (n_test, n_train)."""
        return np.argsort(-self.similarity, axis=1)

    @classmethod
    def of_rows(
        cls, train: NDArray[Any], test: NDArray[Any], *labels: NDArray[np.int64], split: int
    ) -> "Evaluation":
        """From representations, which need not have length 1."""
        train, test = normalize(train), normalize(test)
        return cls(train, test, test @ train.T, *labels, split=split)


def knn(evaluation: Evaluation, k: int) -> Points:
    """Accuracy in percent of the majority of the k nearest; the lowest class wins a tie."""
    if k > evaluation.similarity.shape[1]:
        return
    nearest = evaluation.order[:, :k]
    votes = np.zeros((len(nearest), evaluation.y_train.max() + 1))
    np.add.at(votes, (np.arange(len(nearest))[:, None], evaluation.y_train[nearest]), 1)
    yield None, 100 * float(np.mean(votes.argmax(axis=1) == evaluation.y_test))


def few_labels(evaluation: Evaluation, n_labels: int) -> Points:
    """Accuracy in percent of the nearest of `n_labels` training rows per class, over draws."""
    y = evaluation.y_train
    hits = []
    for draw in range(N_DRAWS):
        rng = np.random.RandomState([evaluation.split, n_labels, draw])
        rows = np.concatenate(
            [rng.permutation(np.flatnonzero(y == c))[:n_labels] for c in np.unique(y)]
        )
        nearest = rows[evaluation.similarity[:, rows].argmax(axis=1)]
        hits.append(np.mean(y[nearest] == evaluation.y_test))
    yield None, 100 * float(np.mean(hits))


def mean_average_precision(evaluation: Evaluation) -> Points:
    """In percent: a test row is the query, training rows of its class are to be found."""
    found = evaluation.y_train[evaluation.order]  # (n_test, n_train)
    relevant = found == evaluation.y_test[:, None]
    precision = relevant.cumsum(axis=1) / np.arange(1, relevant.shape[1] + 1)
    scores = (precision * relevant).sum(axis=1) / relevant.sum(axis=1)
    yield None, 100 * float(scores.mean())


def linear(evaluation: Evaluation) -> Points:
    """Accuracy in percent of a linear classifier, as in the paper's appendix A.2.

    SGD on the cross entropy, 1000 epochs, step 1.6, batches of 4096; the weight decay that is
    best on 10 % of the training rows is then used on all of them. Rows have length 1. What is not
    in the appendix: the refit, and the rows' length.
    """
    if evaluation.train is None:
        return
    y = evaluation.y_train
    fit, validation = _hold_out(evaluation)
    weights = _train_linear(evaluation.train[fit], y[fit], DECAYS, evaluation.split)
    scores = _score_linear(evaluation.train[validation], y[validation], weights)
    best = DECAYS[int(scores.argmax())]
    weights = _train_linear(evaluation.train, y, (best,), evaluation.split)
    yield None, 100 * float(_score_linear(evaluation.test, evaluation.y_test, weights)[0])


def logistic(evaluation: Evaluation) -> Points:
    """As `linear`, with each classifier at the minimum of its loss instead of after 1000 epochs."""
    if evaluation.train is None:
        return
    y = evaluation.y_train
    fit, validation = _hold_out(evaluation)
    x = evaluation.train.astype(np.float64)
    scores = [
        _minimise(x[fit], y[fit], decay).score(x[validation], y[validation]) for decay in DECAYS
    ]
    model = _minimise(x, y, DECAYS[int(np.argmax(scores))])
    yield None, 100 * float(model.score(evaluation.test, evaluation.y_test))


def _minimise(x: NDArray[Any], y: NDArray[np.int64], decay: float) -> LogisticRegression:
    """Mean cross entropy plus half of `decay` times the squared weights."""
    return LogisticRegression(C=1 / (len(x) * decay), max_iter=2000).fit(x, y)


def _hold_out(evaluation: Evaluation) -> list[NDArray[np.int64]]:
    """Training rows to fit on, and a tenth to choose the weight decay on."""
    y = evaluation.y_train
    return train_test_split(
        np.arange(len(y)), test_size=0.1, stratify=y, random_state=evaluation.split
    )


def _train_linear(
    x: NDArray[Any],
    y: NDArray[np.int64],
    decays: tuple[float, ...],
    seed: int,
    *,
    n_epochs: int = 1000,
    batch_size: int = 4096,
    learning_rate: float = 1.6,
) -> torch.Tensor:
    """Weights of shape (d + 1, n_decays, n_classes): one classifier a weight decay, side by side.

    The bias is the last row; it has no decay.
    """
    rows = torch.from_numpy(np.pad(x.astype(np.float32), ((0, 0), (0, 1)), constant_values=1))
    targets = torch.nn.functional.one_hot(torch.from_numpy(y)).float()[:, None]  # (n, 1, C)
    shape = (rows.shape[1], len(decays), targets.shape[2])
    weights = torch.zeros(shape)
    shrink = 1 - learning_rate * torch.tensor(decays)[:, None]
    generator = torch.Generator().manual_seed(seed)
    for _ in range(n_epochs):
        order = torch.randperm(len(rows), generator=generator)
        for index in order.split(batch_size):
            batch = rows if len(index) == len(rows) else rows[index]
            wanted = targets if len(index) == len(rows) else targets[index]
            logits = (batch @ weights.flatten(1)).unflatten(1, shape[1:])
            error = logits.softmax(dim=2) - wanted
            weights[:-1] *= shrink
            step = learning_rate / len(index)
            weights -= step * (batch.T @ error.flatten(1)).unflatten(1, shape[1:])
    return weights


def _score_linear(
    x: NDArray[Any], y: NDArray[np.int64], weights: torch.Tensor
) -> NDArray[np.float64]:
    rows = torch.from_numpy(np.pad(x.astype(np.float32), ((0, 0), (0, 1)), constant_values=1))
    predicted = torch.einsum("nd,dlc->nlc", rows, weights).argmax(dim=2)
    return (predicted == torch.from_numpy(y)[:, None]).double().mean(dim=0).numpy()


def spectrum(evaluation: Evaluation) -> Points:
    """Singular values of the training rows, the largest 1."""
    if evaluation.train is not None:
        values = singular_value_spectrum(evaluation.train)
        yield from ((i + 1, float(v / values[0])) for i, v in enumerate(values))


def maximum_similarity(evaluation: Evaluation) -> Points:
    """Percentiles over test rows of the normalized maximum similarity."""
    if evaluation.train is None:
        return
    try:
        values = normalized_maximum_similarity(evaluation.test, evaluation.train)
    except ValueError:  # the mean similarity is 0, as of centered rows, and cannot be divided by
        return
    percentiles = np.arange(1, 100)
    yield from zip(percentiles.tolist(), np.percentile(values, percentiles), strict=True)


def mean_similarity(evaluation: Evaluation) -> Points:
    """Mean cosine of test rows and training rows."""
    if evaluation.train is not None:
        yield None, float(evaluation.similarity.mean(dtype=np.float64))


def recoverability(evaluation: Evaluation) -> Points:
    """Mean cosine over views and test rows, at the start of `transform` (0) and its end (1)."""
    if evaluation.recover is not None:
        yield 0, float(np.nanmean(evaluation.recover(0)))
        yield 1, float(np.nanmean(evaluation.recover(None)))


def rankme(evaluation: Evaluation) -> Points:
    """RankMe of the training rows."""
    if evaluation.train is not None:
        yield None, float(rankme_score(evaluation.train))


def hubness(evaluation: Evaluation) -> Points:
    """Skewness of how often a training row is among the 10 nearest of a test row."""
    if evaluation.train is not None:
        yield None, float(hubness_score(evaluation.test, evaluation.train))


PROTOCOLS: dict[str, Callable[[Evaluation], Points]] = {
    **{f"knn-{k}": lambda e, k=k: knn(e, k) for k in (1, 5, 20, 200)},
    **{f"labels-{n}": lambda e, n=n: few_labels(e, n) for n in (1, 5, 10)},
    "map": mean_average_precision,
    "linear": linear,
    "logistic": logistic,
    "recoverability": recoverability,
    "rankme": rankme,
    "hubness": hubness,
    "mean-similarity": mean_similarity,
    "maximum-similarity": maximum_similarity,
    "spectrum": spectrum,
}
SMALL = ("knn-1", "knn-5", "knn-20", "knn-200", "labels-1", "labels-5", "labels-10", "map")
