"""Documentation that must keep up with the code, and the limits of the house."""

import ast
import csv
import importlib
import importlib.util
import io
import re
import sys
import tokenize
import tomllib
from pathlib import Path

import numpy as np
import pytest
from conftest import make_views

import sknnens

ROOT = Path(__file__).resolve().parent.parent
PUBLIC = ("callbacks", "datasets", "fusion", "inspection", "metrics")
# what a line holds that is no code
BLANK = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}


@pytest.fixture(scope="module")
def architecture():
    """The script that makes the map and the picture, as a module."""
    path = ROOT / "docs" / "make_architecture.py"
    spec = importlib.util.spec_from_file_location("make_architecture", path)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)  # for its dataclass
        spec.loader.exec_module(module)
        yield module


def test_the_map_is_up_to_date(architecture):
    modules = architecture.read_modules()
    assert architecture.find_faults(modules) == []
    again = "run docs/make_architecture.py"
    assert architecture.MAP.read_text(encoding="utf-8") == architecture.write_map(modules), again
    assert architecture.PICTURE.read_text(encoding="utf-8") == architecture.draw(modules), again


@pytest.mark.parametrize(
    ("path", "code", "fault"),
    [
        ("_views.py", "from sknnens.fusion._base import x", "_views may not import fusion._base"),
        ("_views.py", "from .fusion import x", "_views may not import fusion"),
        ("_views.py", "from sknnens import Learner", "_views may not import the package itself"),
        ("_views.py", "import torch.nn", "_views imports torch"),
        ("_views.py", "def f():\n    import torch", None),
        ("metrics.py", "import sknnens._learner", "_learner inside functions only"),
        ("metrics.py", "def f():\n    import sknnens._learner", None),
        ("metrics.py", "if TYPE_CHECKING:\n    import sknnens._learner", None),
        ("__init__.py", "from . import _learner", "__init__ may import _learner inside functions"),
        ("fusion/_base.py", "from sknnens.fusion import x", "circle: fusion < fusion._base <"),
        ("attic.py", "", "ALLOWED has no line for the room attic"),
    ],
)
def test_an_import_that_is_not_allowed_is_found(architecture, tmp_path, path, code, fault):
    package = tmp_path / "sknnens"
    (package / "fusion").mkdir(parents=True)
    files = ("__init__.py", "_learner.py", "_views.py", "fusion/_base.py")
    for file in files:
        (package / file).write_text("")
    (package / "fusion" / "__init__.py").write_text("from ._base import x")
    (package / path).write_text(code)
    faults = architecture.find_faults(architecture.read_modules(package))
    assert len(faults) == (fault is not None), faults
    assert fault is None or fault in faults[0]


def test_no_module_imports_more_than_ten_others(architecture):
    counts = {m.name: len(m.imports) for m in architecture.read_modules() if len(m.imports) > 10}
    assert counts == {}


def test_no_function_has_more_than_sixty_lines_of_code():
    long = {}
    for path in sorted((ROOT / "sknnens").rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        code = _code_lines(source)
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                lines = code & set(range(node.lineno, node.end_lineno + 1))
                if len(lines) > 60:
                    long[f"{path.relative_to(ROOT)}: {node.name}"] = len(lines)
    assert long == {}


def _code_lines(source):
    """Numbers of the lines that hold more than a docstring or a comment."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in BLANK:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            lines -= set(range(node.lineno, node.end_lineno + 1))
    return lines


def test_the_public_surface_is_what_the_api_page_lists():
    names = {n for n in sknnens.__all__ if n not in PUBLIC and n != "__version__"}
    for room in PUBLIC:
        public = importlib.import_module(f"sknnens.{room}")
        assert [n for n in public.__all__ if not hasattr(public, n)] == []
        names |= {f"{room}.{n}" for n in public.__all__}
    listed = re.findall(r"^    ([\w.]+)$", (ROOT / "docs" / "api.rst").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(names)


def test_the_lowest_versions_are_those_of_the_metadata():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {
        line.replace(">=", "==")
        for line in [*project["dependencies"], *project["optional-dependencies"]["test"]]
    }
    pinned = {
        line
        for line in (ROOT / "constraints-lowest.txt").read_text().split("\n")
        if line and not line.startswith(("#", "torch"))
    }
    assert pinned <= declared
    assert {p.split("==")[0] for p in pinned} >= {"numpy", "scikit-learn", "scipy"}


def test_versions_agree():
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {sknnens.__version__}\n" in citation


def readme_examples():
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)


def test_the_start_page_has_the_readme_s_first_example():
    """It runs as a doctest; the comments of the README have its output."""
    page = (ROOT / "docs" / "example.rst").read_text("utf-8").splitlines()
    code = [line[4:] for line in page if line.startswith((">>> ", "... "))]
    printed = [f"# {line}" for line in page if line[:1].isdigit()]
    assert code + printed == [line for line in readme_examples()[0].splitlines() if line]


@pytest.mark.slow
def test_the_readme_s_second_example_runs(tmp_path, monkeypatch, capsys):
    for name, view in zip(("clip", "dino", "sbert"), make_views(300, (64, 8, 5)), strict=True):
        np.save(tmp_path / f"{name}.npy", view)
    np.save(tmp_path / "labels.npy", np.arange(300) % 2)
    monkeypatch.chdir(tmp_path)
    scope = {"EnsembleRepresentationLearner": sknnens.EnsembleRepresentationLearner}
    exec(readme_examples()[1], scope)
    assert scope["vectors"].shape == (300, 64)
    assert "clip" in capsys.readouterr().out
    assert (tmp_path / "learner.safetensors").exists()


def test_the_results_in_the_readme_are_those_of_the_page():
    """Means over the test ensembles; the best baseline of each column is shown."""
    table = (ROOT / "README.md").read_text("utf-8").split("| representation |")[1].split("\n\n")[0]
    columns = [name.strip() for name in table.split("\n")[0].strip(" |").split("|")]
    rows = [[c.strip() for c in row.strip(" |").split("|")] for row in table.split("\n")[2:]]
    page = (ROOT / "docs" / "defaults.rst").read_text("utf-8")
    first = page.split("On the test ensembles\n---")[1].split(":header-rows: 1\n\n")[1]
    body = csv.DictReader(io.StringIO(first.split("\n\n")[0].replace("    ", "")))
    known = {row["representation"]: row for row in body}
    assert len(rows) == 6
    for name, *cells in rows:
        assert [known[name][column] for column in columns] == cells
    shown = {name for name, *_ in rows}
    baselines = known.keys() - {"fusion", "learner", "best baseline per ensemble"}
    for column in columns:
        assert max(baselines, key=lambda name: float(known[name][column])) in shown
