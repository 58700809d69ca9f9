"""A fitted learner goes to a file and comes back the same."""

import copy
import io
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
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from sknnens import EnsembleRepresentationLearner, stack_views
from sknnens._files import _persistence

DAMAGED = "is truncated, altered or|was altered|was not written|by a newer version"
OWN_TYPE = "sknnens._learner.EnsembleRepresentationLearner"


@pytest.fixture
def fitted(views, device):
    return EnsembleRepresentationLearner(
        max_iter=2, transform_max_iter=3, device=device, init="pca", random_state=0
    ).fit(views)


@pytest.fixture
def path(fitted, tmp_path):
    fitted.save(tmp_path / "learner.safetensors")
    return tmp_path / "learner.safetensors"


def dump_skops(x):
    data = skops.io.dumps(x)
    assert skops.io.get_untrusted_types(data=data) == [OWN_TYPE]
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
            skops.io.load("skops", trusted=[{OWN_TYPE!r}]),
        ):
            learners += [pair[0], pair[1][0]]
            found.append(pair[1].predict_proba(X))
        learners.append(EnsembleRepresentationLearner.load("safetensors"))
        numpy.savez("found.npz", *[x.transform(X) for x in learners], *found)
    """
    for hide in ["", "0"][: 1 + (device == "cuda")]:
        env = {"SKNNENS_HIDE": hide, "PYTHONPATH": ":".join(x for x in sys.path if x)}
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
    learner = EnsembleRepresentationLearner(max_iter=1, transform_max_iter=1).fit(views)
    assert learner.device == "auto"
    assert torch.device(learner.device_).type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_the_bank_stays_behind():
    views = make_views(5000)
    learner = EnsembleRepresentationLearner(max_iter=1, random_state=0).fit(views)
    buffer = io.BytesIO()
    joblib.dump(learner, buffer)
    sizes = [len(pickle.dumps(learner)), len(skops.io.dumps(learner)), len(buffer.getvalue())]
    assert max(sizes) < learner.embedding_.nbytes / 2
    loaded = pickle.loads(pickle.dumps(learner))
    with pytest.raises(AttributeError, match="leaves its memory bank behind, unless warm_start"):
        _ = loaded.embedding_
    with pytest.raises(AttributeError, match=r"object has no attribute 'coefs_'$"):
        _ = EnsembleRepresentationLearner().coefs_
    loaded = pickle.loads(pickle.dumps(learner.set_params(warm_start=True)))
    assert_array_equal(loaded.embedding_, learner.embedding_)


def test_copies_keep_the_bank(fitted):
    assert copy.copy(fitted).embedding_ is fitted.embedding_
    copied = copy.deepcopy(fitted)
    assert_equal(vars(copied), vars(fitted))
    assert copied.embedding_ is not fitted.embedding_


@pytest.mark.parametrize(
    ("params", "X"),
    [
        ({"random_state": np.random.RandomState(5)}, make_views()),
        ({"n_iter_no_change": np.inf, "alpha": np.float64(0.1)}, make_views()),
        ({"view_weights": {"a": 0.5}}, dict(zip("abc", make_views(), strict=True))),
        ({"view_weights": np.array([0.0, 1, 1])}, make_views()),
        ({"views": {"a": 6, "b": 12}}, np.hstack(make_views())),
        ({"views": (np.int64(6), 12), "batch_size": np.int32(9)}, np.hstack(make_views())),
        ({"init": "average", "missing_views": "mask"}, make_views(dtype=np.float64)),
    ],
)
def test_save_and_load(params, X, tmp_path):
    learner = EnsembleRepresentationLearner(max_iter=1, **params)
    learner.set_params(checkpoint=tmp_path / "checkpoint").fit(X)
    learner.save(tmp_path / "file", include_embedding=True)
    loaded = EnsembleRepresentationLearner.load(tmp_path / "file")
    assert_array_equal(loaded.transform(X), learner.transform(X))
    assert vars(loaded).keys() == vars(learner).keys()
    for name, value in vars(learner).items():
        found = getattr(loaded, name)
        if name == "random_state" and value is not None:
            assert_equal(found.get_state(), value.get_state())
        elif name == "checkpoint":
            assert found == str(value)
        else:
            assert_equal(found, value)
            assert isinstance(found, type(value) if not isinstance(value, np.generic) else object)


def test_save_and_load_of_frames(tmp_path):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(np.hstack(make_views()), columns=pd.Index(range(18)))
    groups = {"a": list(range(6)), "b": list(range(6, 18))}
    learner = EnsembleRepresentationLearner(groups, max_iter=1).set_output(transform="pandas")
    learner.fit(frame).save(tmp_path / "file")
    loaded = EnsembleRepresentationLearner.load(tmp_path / "file")
    pd.testing.assert_frame_equal(loaded.transform(frame), learner.transform(frame))
    named = frame.set_axis([pd.Timestamp(2026, 1, 1 + i) for i in range(18)], axis=1)
    learner = EnsembleRepresentationLearner({"a": list(named.columns)}, max_iter=1).fit(named)
    with pytest.raises(TypeError, match=r"views.* holds a Timestamp, which cannot be saved"):
        learner.save(tmp_path / "file")
    assert_array_equal(
        loaded.coefs_[0][0], EnsembleRepresentationLearner.load(tmp_path / "file").coefs_[0][0]
    )


def test_what_cannot_be_loaded_is_not_saved(fitted, views, tmp_path):
    fitted.set_params(random_state=np.random.RandomState(np.random.PCG64(0)))
    with pytest.raises(TypeError, match="random_state holds a RandomState, which cannot be saved"):
        fitted.save(tmp_path / "file")
    assert not list(tmp_path.iterdir())
    fitted.set_params(random_state=0)._own_ = object()
    fitted.save(os.fsencode(tmp_path / "file"))
    loaded = EnsembleRepresentationLearner.load(os.fsencode(tmp_path / "file"))
    assert_array_equal(loaded.transform(views), fitted.transform(views))


def test_a_bank_in_a_file_goes_to_skops(views, tmp_path):
    learner = EnsembleRepresentationLearner(max_iter=1, warm_start=True)
    learner.set_params(embedding_path=str(tmp_path / "bank.npy")).fit(views)
    loaded = skops.io.loads(dump_skops(learner), trusted=[OWN_TYPE])
    assert_array_equal(loaded.embedding_, learner.embedding_)


def test_warm_start_without_the_bank(fitted, views):
    loaded = pickle.loads(pickle.dumps(fitted)).set_params(warm_start=True)
    with pytest.warns(UserWarning, match="the representations start anew") as found:
        loaded.fit(views)
    assert found[0].filename == __file__


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": "2", "version": "3.1"}, r"by a newer version of sknnens \(3.1\)"),
        ({"format": "other"}, "was not written by sknnens"),
        ({"class": "GCCA"}, "holds a GCCA, not a EnsembleRepresentationLearner"),
        ({"parameters": '{"depth": 3}', "version": "2.0"}, "sknnens 2.0; this .* know of depth"),
        ({"attributes": '{"transform": 3}'}, "does not know of transform"),
        ({"attributes": '{"coefs_": {"array": ["x", [1]]}}'}, "sknnens does not write: KeyError"),
        ({"attributes": '{"coefs_": {"code": "1"}}'}, "sknnens does not write: AssertionError"),
        ({"attributes": "[1"}, "sknnens does not write: JSONDecodeError"),
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
            assert_equal(vars(loaded), vars(expected))
    assert len(messages) > len(damaged) - 10
    assert all(re.search(DAMAGED, message) for message in messages)
    for name in ("parameters", "attributes", "version", "class"):
        path.write_bytes(whole)
        rewrite(path, digest=False, **{name: "{}"})
        with pytest.raises(ValueError, match="altered after it was written"):
            EnsembleRepresentationLearner.load(path)
    path.write_bytes(whole)
    loaded = EnsembleRepresentationLearner.load(path)
    assert_array_equal(loaded.transform(views), expected.transform(views))


def test_parameters_that_an_older_version_did_not_have(fitted, views):
    state = fitted.__getstate__()
    del state["checkpoint_every"], state["embedding_path"]
    loaded = object.__new__(EnsembleRepresentationLearner)
    loaded.__setstate__(state)
    assert loaded.get_params() == fitted.get_params()
    assert_array_equal(loaded.fit(views).transform(views), fitted.transform(views))
