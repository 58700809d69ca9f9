"""A fitted learner goes to a file and comes back the same."""

import copy
import json
import os
import pickle
import re
import subprocess
import sys

import joblib
import numpy as np
import pytest
import skops.io
import torch
from conftest import make_views
from numpy.testing import assert_array_equal, assert_equal
from safetensors.numpy import load_file, save_file
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from sknnens import EnsembleRepresentationLearner, stack_views
from sknnens._files import _persistence
from sknnens.fusion import ConcatenationPCA

DAMAGED = "is truncated, altered or|was altered|was not written|by another version"
OWN_TYPES = [
    "sknnens._learner.EnsembleRepresentationLearner",
    "sknnens.fusion._neighborhood.NeighborhoodProjection",
]


@pytest.fixture
def fitted(views, device):
    return EnsembleRepresentationLearner(max_iter=2, device=device, random_state=0).fit(views)


@pytest.fixture
def path(fitted, tmp_path):
    fitted.save(tmp_path / "learner.safetensors")
    return tmp_path / "learner.safetensors"


def dump_skops(x):
    data = skops.io.dumps(x)
    assert skops.io.get_untrusted_types(data=data) == OWN_TYPES
    return data


def test_pickle(fitted, views):
    loaded = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(loaded.transform(views), fitted.transform(views))


def test_joblib(fitted, views, tmp_path):
    joblib.dump(fitted, tmp_path / "learner.joblib", compress=3)
    for mmap_mode in (None, "r"):
        joblib.dump(fitted, tmp_path / "plain.joblib")
        loaded = joblib.load(tmp_path / "plain.joblib", mmap_mode=mmap_mode)
        assert_array_equal(loaded.transform(views), fitted.transform(views))
    loaded = joblib.load(tmp_path / "learner.joblib")
    assert_array_equal(loaded.transform(views), fitted.transform(views))


@pytest.mark.slow
def test_fresh_processes_give_the_same_bits(device, tmp_path):
    X, sizes = stack_views(make_views())
    y = X[:, 0] > np.median(X[:, 0])
    learner = EnsembleRepresentationLearner(sizes, max_iter=2, device=device, random_state=0)
    model = make_pipeline(learner, KNeighborsClassifier(3, algorithm="brute")).fit(X, y)
    learner = model[0]
    (tmp_path / "pickle").write_bytes(pickle.dumps([learner, model]))
    joblib.dump([learner, model], tmp_path / "joblib")
    (tmp_path / "skops").write_bytes(dump_skops([learner, model]))
    learner.save(tmp_path / "safetensors")
    np.save(tmp_path / "X.npy", X)
    code = f"""if True:
        import os, sys
        os.environ["CUDA_VISIBLE_DEVICES"] = os.environ["SKNNENS_HIDE"]
        import joblib, numpy, pickle, skops.io, torch
        from sknnens import EnsembleRepresentationLearner
        torch.set_num_threads({torch.get_num_threads()})  # rounding depends on it
        os.chdir(sys.argv[1])
        X = numpy.load("X.npy")
        learners, found = [], []
        for pair in (
            pickle.load(open("pickle", "rb")),
            joblib.load("joblib"),
            skops.io.load("skops", trusted={OWN_TYPES!r}),
        ):
            learners += [pair[0], pair[1][0]]
            found.append(pair[1].predict_proba(X))
        learners.append(EnsembleRepresentationLearner.load("safetensors"))
        numpy.savez("found.npz", *[x.transform(X) for x in learners], *found)
    """
    for hide in ["", "0"][: 1 + (device == "cuda")]:
        # settings of a BLAS may be in the environment, and its bits depend on them
        env = os.environ | {"SKNNENS_HIDE": hide, "PYTHONPATH": ":".join(filter(None, sys.path))}
        subprocess.run([sys.executable, "-c", code, tmp_path], check=True, env=env)
        with np.load(tmp_path / "found.npz") as file:
            found = [file[name] for name in file.files]
        assert len(found) == 10
        same_device = device == "cpu" or hide
        for rows in found[:7]:
            expected = learner.transform(X)
            if same_device:
                assert_array_equal(rows, expected)
            else:
                np.testing.assert_allclose(rows, expected, atol=1e-3)
        for votes in found[7:] if same_device else []:
            assert_array_equal(votes, model.predict_proba(X))


def contents(x):
    """Everything that an object holds, to the leaves."""
    yield x
    if isinstance(x, dict):
        for value in x.values():
            yield from contents(value)
    elif isinstance(x, list | tuple):
        for value in x:
            yield from contents(value)


def test_no_torch_object_is_kept(fitted, views):
    fitted.transform(views)
    for leaf in contents(vars(fitted)):
        assert not type(leaf).__module__.startswith("torch"), leaf
    assert fitted.device in ("cpu", "cuda")
    assert isinstance(fitted.device_, str)


def test_auto_is_resolved_at_each_use(views):
    learner = EnsembleRepresentationLearner(max_iter=1).fit(views)
    assert learner.device == "auto"
    assert torch.device(learner.device_).type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_the_bank_is_kept_for_warm_start_alone(views, tmp_path):
    learner = EnsembleRepresentationLearner(max_iter=1, random_state=0).fit(views)
    assert not hasattr(learner, "embedding_")
    learner.set_params(warm_start=True, max_iter=2)
    with pytest.warns(UserWarning, match="the representations start anew") as found:
        learner.fit(views)
    assert found[0].filename == __file__
    learner.save(tmp_path / "file")
    for loaded in (
        pickle.loads(pickle.dumps(learner)),
        copy.deepcopy(learner),
        EnsembleRepresentationLearner.load(tmp_path / "file"),
    ):
        assert_array_equal(loaded.embedding_, learner.embedding_)
        assert_array_equal(loaded.fit(views).embedding_, copy.copy(learner).fit(views).embedding_)


@pytest.mark.parametrize(
    ("params", "X"),
    [
        ({"warm_start": True, "random_state": 3}, make_views()),
        ({"n_iter_no_change": np.inf, "alpha": np.float64(0.1)}, make_views()),
        ({"view_weights": {"a": 0.5}}, dict(zip("abc", make_views(), strict=True))),
        ({"view_weights": np.array([0.0, 1, 1])}, make_views()),
        ({"views": {"a": 6, "b": 12}}, np.hstack(make_views())),
        ({"views": [np.int64(6), 12], "batch_size": np.int32(9)}, np.hstack(make_views())),
        ({"init": ConcatenationPCA(whiten_exponent=0.3), "n_components": 4}, make_views()),
        ({"missing_views": "impute"}, make_views()),
        ({"init": "average", "missing_views": "impute"}, make_views(dtype=np.float64)),
    ],
)
def test_save_and_load(params, X, tmp_path):
    learner = EnsembleRepresentationLearner(max_iter=1, **params).fit(X)
    learner.save(tmp_path / "file")
    loaded = EnsembleRepresentationLearner.load(tmp_path / "file")
    assert_array_equal(loaded.transform(X), learner.transform(X))
    assert_array_equal(loaded.init_.transform(X), learner.init_.transform(X))
    assert_same(loaded, learner)


def assert_same(found, expected):
    """All attributes are equal and of the same types, also in nested estimators."""
    assert type(found) is type(expected)
    assert found.__getstate__().keys() == expected.__getstate__().keys()
    for name, value in expected.__getstate__().items():
        other = getattr(found, name)
        if isinstance(value, BaseEstimator):
            assert_same(other, value)
        else:
            assert_equal(other, value)
            assert isinstance(other, type(value) if not isinstance(value, np.generic) else object)


def test_save_and_load_of_frames(tmp_path):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(np.hstack(make_views()), columns=pd.Index(range(18)))
    groups = {"a": list(range(6)), "b": list(range(6, 18))}
    learner = EnsembleRepresentationLearner(groups, max_iter=1).set_output(transform="pandas")
    learner.fit(frame).save(tmp_path / "file")
    loaded = EnsembleRepresentationLearner.load(tmp_path / "file")
    pd.testing.assert_frame_equal(loaded.transform(frame), learner.transform(frame))
    named = frame.set_axis([pd.Timestamp(2026, 1, 1 + i) for i in range(18)], axis=1)
    with pytest.raises(TypeError, match=r"^views.a.0 holds a Timestamp, which save could not keep"):
        EnsembleRepresentationLearner({"a": list(named.columns)}).fit(named)


class OwnFusion(ConcatenationPCA):
    """A fusion that the package does not know."""


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"random_state": np.random.RandomState(0)}, "random_state holds a RandomState, which a"),
        ({"init": OwnFusion()}, "init holds a OwnFusion, which a file cannot hold; a pickle can"),
    ],
)
def test_what_cannot_be_loaded_is_not_saved(params, message, views, tmp_path):
    fitted = EnsembleRepresentationLearner(max_iter=1, **params).fit(views)
    with pytest.raises(TypeError, match=message):
        fitted.save(tmp_path / "file")
    assert not list(tmp_path.iterdir())
    loaded = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(loaded.transform(views), fitted.transform(views))


def test_what_is_not_of_the_estimator_is_left_out(fitted, views, tmp_path):
    fitted._own_ = object()
    fitted.save(os.fsencode(tmp_path / "file"))
    loaded = EnsembleRepresentationLearner.load(os.fsencode(tmp_path / "file"))
    assert_array_equal(loaded.transform(views), fitted.transform(views))


def test_save_that_fails_leaves_what_was_there(fitted, path, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", lambda number: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        fitted.save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_save_without_safetensors(fitted, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ImportError, match=r"pip install 'sknnens\[safetensors\]'"):
        fitted.save(tmp_path / "file")


def test_save_asks_for_what_it_needs(fitted, tmp_path):
    with pytest.raises(NotFittedError):
        EnsembleRepresentationLearner().save(tmp_path / "file")
    with pytest.raises(ValueError, match=r"path=.* must be the name of a file"):
        fitted.save(tmp_path)
    with pytest.raises(FileNotFoundError):
        EnsembleRepresentationLearner.load(tmp_path / "none")


def rewrite(path, digest=True, **changes):
    """Change what a file says about itself."""
    arrays = load_file(path)
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        metadata = json.loads(file.read(length))["__metadata__"] | changes
    if digest:
        metadata.pop("sha256")
        metadata["sha256"] = _persistence._digest(metadata, arrays)
    save_file(arrays, path, metadata)


def content(parameters, attributes=()):
    return json.dumps(
        {"estimator": ["EnsembleRepresentationLearner", parameters, dict(attributes)]}
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": "3", "version": "3.1"}, r"by another version of sknnens \(3.1\)"),
        ({"format_version": "1", "version": "0.1"}, r"its format is 1, this version reads 2"),
        ({"format": "other"}, "was not written by sknnens"),
        ({"content": '{"estimator": ["GCCA", {}, {}]}'}, "holds a GCCA, not a EnsembleRepres"),
        ({"content": content({"depth": 3}), "version": "2.0"}, "sknnens 2.0 and .*depth"),
        ({"content": content({}, {"transform": 3})}, r"the attributes \['transform'\]"),
        ({"content": content({}, {"coefs_": {"array": "x"}})}, "does not know: 'x'"),
        ({"content": content({}, {"coefs_": {"code": "1"}})}, "does not know: a code"),
        ({"content": '{"estimator": ["Popen", {}, {}]}'}, "does not know: 'Popen'"),
        ({"content": "[1"}, "does not know: "),
    ],
)
def test_files_of_others(path, changes, message):
    rewrite(path, **changes)
    with pytest.raises(ValueError, match=message):
        EnsembleRepresentationLearner.load(path)


class Payload:
    """What a pickle could do."""

    def __reduce__(self):
        return pytest.fail, ("code was run",)


def test_damaged_files(path, views):
    """Bits that flip, bytes that are missing, JSON that was altered: an error, never a crash."""
    expected = EnsembleRepresentationLearner.load(path)
    whole = path.read_bytes()
    rng = np.random.RandomState(0)
    header = 8 + int.from_bytes(whole[:8], "little")
    damaged = [whole[:n] for n in (0, 1, 7, 8, 9, header - 1, header, len(whole) - 1)]
    damaged += [whole[:n] for n in rng.randint(len(whole), size=30)] + [whole + b"\0"]
    damaged += [pickle.dumps(Payload()), b"\x80\x04" + whole, rng.bytes(500), b"\xff" * 500]
    for position in [
        *range(10),
        *rng.randint(header, size=250),
        *rng.randint(len(whole), size=250),
    ]:
        altered = bytearray(whole)
        altered[position] ^= 1 << rng.randint(8)
        damaged.append(bytes(altered))
    for _ in range(100):  # in the JSON: some bytes left out, or those of another place put in
        a, b, n = *rng.randint(8, header, size=2).tolist(), rng.randint(1, 40)
        text = whole[8:a] + whole[b : b + n] * rng.randint(2) + whole[a + n : header]
        damaged.append(len(text).to_bytes(8, "little") + text + whole[header:])
    messages = []
    for data in damaged:
        path.write_bytes(data)
        try:
            loaded = EnsembleRepresentationLearner.load(path)
        except ValueError as error:
            messages.append(str(error))
        else:  # the blanks that fill up the header were hit
            assert_same(loaded, expected)
    assert len(messages) > len(damaged) - 10
    assert all(re.search(DAMAGED, message) for message in messages)
    for name in ("content", "version"):
        path.write_bytes(whole)
        rewrite(path, digest=False, **{name: "{}"})
        with pytest.raises(ValueError, match="altered after it was written"):
            EnsembleRepresentationLearner.load(path)
    path.write_bytes(whole)
    loaded = EnsembleRepresentationLearner.load(path)
    assert_array_equal(loaded.transform(views), expected.transform(views))


@pytest.mark.slow
def test_a_worker_without_torch_says_so(fitted, tmp_path):
    (tmp_path / "pickle").write_bytes(pickle.dumps(fitted))
    code = "import pickle, sys; sys.modules['torch'] = None; pickle.load(open('pickle', 'rb'))"
    env = os.environ | {"PYTHONPATH": ":".join(filter(None, sys.path))}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert re.search(r"ModuleNotFoundError: .*torch", done.stderr.splitlines()[-1])
