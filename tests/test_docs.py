"""Documentation that must keep up with the code, and the limits of the house."""

import ast
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


@pytest.mark.slow
def test_the_readme_s_examples_run(tmp_path, monkeypatch):
    blocks = (ROOT / "README.md").read_text().split("```python\n")[1:]
    code = "".join(block.split("```")[0] for block in blocks)
    for name, view in zip("abc", make_views(60, (8, 8, 5)), strict=True):
        np.save(tmp_path / f"{name}.npy", view)
    np.save(tmp_path / "labels.npy", np.arange(60) % 2)
    monkeypatch.chdir(tmp_path)
    scope = {}
    exec(code, scope)
    assert scope["representations"].shape == (60, 8)
    assert scope["search"].best_score_ > 0


def test_the_worst_cells_in_the_readme_are_those_of_the_page():
    rows = (ROOT / "README.md").read_text().split("| ensemble | protocol |")[1].split("\n")[2:7]
    page = (ROOT / "docs" / "defaults.rst").read_text()
    for row in rows:
        cells = [cell.strip() for cell in row.strip(" |").split("|")]
        assert '"{}"'.format('","'.join(cells)) in page
