"""scikit-learn's callbacks, from its version 1.9 on."""

import numpy as np
import pytest
import torch
from conftest import make_views
from numpy.testing import assert_equal
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline

from sknnens import EnsembleRepresentationLearner, stack_views
from sknnens.callbacks import Checkpoint

callback = pytest.importorskip("sklearn.callback")


class Recorder:
    """Writes down what it is told, and stops after some epochs."""

    def __init__(self, last=None):
        self.last = last
        self.events, self.fitted, self.modes = [], [], set()

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(("begin", context.task_name, context.task_id))
        self.modes.add(torch.is_inference_mode_enabled())

    def on_fit_task_end(self, estimator, context, *, X, fitted_estimator):
        self.events.append(("end", context.task_name, context.task_id))
        if context.task_name != "epoch":
            return False
        self.modes.add(torch.is_inference_mode_enabled())
        self.fitted.append((fitted_estimator.n_iter_, fitted_estimator.transform(X)))
        return fitted_estimator.n_iter_ == self.last


class Stop(Recorder):
    """Stops alone, so that it can go to other processes."""

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        return context.task_name == "epoch" and len(fitted_estimator.loss_curve_) == self.last


def learner(**params):
    return EnsembleRepresentationLearner(
        **{"max_iter": 4, "warmup": 0, "random_state": 0, "batch_size": 20, **params}
    )


def epochs(*numbers):
    return [(what, "epoch", i) for i in numbers for what in ("begin", "end")]


def test_events(views):
    recorder = Recorder()
    fitted = learner().set_callbacks(recorder).fit(views)
    root = [("begin", "fit", 0), ("end", "fit", 0)]
    assert recorder.events == ["setup", root[0], *epochs(0, 1, 2, 3), root[1], "teardown"]
    assert recorder.modes == {False}
    expected = learner().fit(views)
    for name in ("coefs_", "inverse_curvature_"):
        assert_equal(getattr(fitted, name), getattr(expected, name))
    # what it saw after three epochs is what a fit of three epochs gives
    assert [n for n, _ in recorder.fitted] == [1, 2, 3, 4]
    for n, rows in recorder.fitted:
        assert_equal(rows, learner(max_iter=n).fit(views).transform(views))


@pytest.mark.filterwarnings("error")
def test_a_callback_stops(views):
    recorder = Recorder(last=2)
    fitted = learner(tol=0.0).set_callbacks(recorder).fit(views)
    assert fitted.n_iter_ == 2
    assert recorder.events[-2:] == [("end", "fit", 0), "teardown"]
    assert_equal(fitted.coefs_, learner(max_iter=2).fit(views).coefs_)


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_in_a_search(n_jobs):
    X, sizes = stack_views(make_views())
    y = X[:, 0] > np.median(X[:, 0])
    stopped = learner(views=sizes).set_callbacks(Stop(last=2))
    model = Pipeline([("learner", stopped), ("knn", KNeighborsClassifier(3))])
    search = GridSearchCV(
        model,
        {"learner__n_layers": [1, 2]},
        cv=2,
        n_jobs=n_jobs,
        scoring=lambda model, X, y: model[0].n_iter_,
        error_score="raise",
    )
    search.fit(X, y)
    assert search.cv_results_["mean_test_score"].tolist() == [2, 2]
    assert search.best_estimator_[0].n_iter_ == 2


def test_errors_of_callbacks_are_raised(views):
    recorder, calls = Recorder(), []

    def fail(estimator, context, *, X, fitted_estimator):
        calls.append(context.task_name)
        raise RuntimeError("of the callback")

    recorder.on_fit_task_end = fail
    with pytest.raises(RuntimeError, match="of the callback"):
        learner().set_callbacks(recorder).fit(views)
    assert calls == ["epoch"]


def test_resumed_epochs_are_not_told_again(views, tmp_path):
    first, second = Recorder(), Recorder()

    def fail(estimator, context):
        if context.task_id == 2:
            raise RuntimeError("power cut")

    first.on_fit_task_begin = fail
    checkpoint = Checkpoint(tmp_path / "state", every=1)
    with pytest.raises(RuntimeError, match="power cut"):
        learner().set_callbacks(first, checkpoint).fit(views)
    resumed = learner().set_callbacks(checkpoint, second).fit(views)
    assert second.events[2:-2] == epochs(2, 3)
    assert_equal(resumed.coefs_, learner().fit(views).coefs_)


def test_fit_that_raises_is_torn_down(views):
    recorder = Recorder()
    fitted = learner(batch_size=0).set_callbacks(recorder)
    with pytest.raises(ValueError, match="batch_size"):
        fitted.fit(views)
    with pytest.raises(ValueError, match="view 1"):
        fitted.set_params(batch_size=20).fit([views[0], views[1] * np.nan])
    assert recorder.events == ["setup", ("begin", "fit", 0), "teardown"]
    fitted.fit(views)


def test_progress_bar(views, capfd):
    pytest.importorskip("rich")
    learner().set_callbacks(callback.ProgressBar()).fit(views)
    assert "100%" in capfd.readouterr().out
