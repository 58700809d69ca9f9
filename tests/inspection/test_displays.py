"""The displays, and what is imported for them."""

import subprocess
import sys

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from conftest import make_views
from numpy.testing import assert_array_equal

from sknnens import metrics
from sknnens.inspection import ComparisonDisplay, NeighborAgreementDisplay, SpectrumDisplay


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def run_python(code):
    """Standard output of a new process."""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.slow
def test_torch_is_not_imported():
    """Nor are matplotlib and pandas, unless scikit-learn itself imports them."""
    code = """
import sys
import sklearn.model_selection, sklearn.pipeline
before = set(sys.modules)
import numpy as np
import sknnens.inspection, sknnens.metrics
x = np.random.RandomState(0).rand(50, 4)
sknnens.metrics.hubness_score(x)
sknnens.metrics.neighbor_agreement([x, x])
print({"matplotlib", "pandas", "torch"} & (set(sys.modules) - before))
"""
    assert run_python(code) == "set()\n"


@pytest.mark.slow
def test_a_comparison_of_fusions_does_not_import_torch():
    code = """
import sys
import numpy as np
from sknnens.fusion import Average
from sknnens.inspection import compare_representations
x = np.random.RandomState(0).rand(50, 4)
compare_representations([x, x], methods={"average": Average()})
print("torch" in sys.modules)
"""
    assert run_python(code) == "False\n"


def test_a_missing_package_is_named():
    code = """
import sys
sys.modules["matplotlib"] = sys.modules["pandas"] = None
import numpy as np
from sknnens.inspection import *
x = np.random.RandomState(0).rand(50, 4)
for call in (
    lambda: SpectrumDisplay.from_representations(x),
    lambda: SpectrumDisplay(x[:, 0]).plot(),
    lambda: NeighborAgreementDisplay.from_views([x, x]),
    lambda: compare_representations([x, x]),
):
    try:
        call()
    except ImportError as error:
        print(str(error).split(".  ")[0].split(". ")[0])
"""
    assert run_python(code).splitlines() == [
        "SpectrumDisplay.from_representations requires matplotlib",
        "SpectrumDisplay.plot requires matplotlib",
        "NeighborAgreementDisplay.from_views requires matplotlib",
        "compare_representations requires pandas.",
    ]


def legend_of(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def test_spectrum():
    rows = np.random.RandomState(0).randn(30, 4) + 1
    options = {"center": True, "normalize": False}
    display = SpectrumDisplay.from_representations(rows, name="a", color="red", **options)
    expected = metrics.singular_value_spectrum(rows, **options)
    assert_array_equal(display.singular_values, expected)
    assert_array_equal(display.line_.get_ydata(), expected)
    assert_array_equal(display.line_.get_xdata(), np.arange(1, 5))
    assert display.line_.get_color() == "red"
    assert display.ax_.get_yscale() == "log"
    second = SpectrumDisplay.from_representations(rows**2, name="b", ax=display.ax_)
    assert legend_of(second) == ["a", "b"]
    assert legend_of(second.plot(name="c")) == ["c"]


def test_neighbor_agreement():
    a, b, c = make_views()
    display = NeighborAgreementDisplay.from_views({"a": a, "b": b, "c": c}, n_neighbors=3)
    expected = metrics.neighbor_agreement([a, b, c], n_neighbors=3)
    assert_array_equal(display.agreement, expected)
    assert_array_equal(display.image_.get_array(), expected)
    assert display.text_[0, 1].get_text() == f"{expected[0, 1]:.2f}"
    assert [t.get_text() for t in display.ax_.get_xticklabels()] == ["a", "b", "c"]
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == ["a", "b", "c"]
    a[0] = b[0] = np.nan  # a sample without any view
    dropped = NeighborAgreementDisplay.from_views(np.hstack([a, b]), [6, 6], missing_views="drop")
    assert dropped.view_names == ["view0", "view1"]
    assert_array_equal(dropped.agreement, metrics.neighbor_agreement([a[1:], b[1:]]))
    with pytest.raises(ValueError, match=r"contains NaN in row 0, .* missing_views='drop'"):
        NeighborAgreementDisplay.from_views([a, b])
    for wrong in ({"n_neighbors": 0}, {"missing_views": "impute"}):
        with pytest.raises(ValueError, match="parameter of neighbor_agreement must be"):
            NeighborAgreementDisplay.from_views([c, c], **wrong)


@pytest.mark.parametrize(
    "display",
    [
        SpectrumDisplay(np.array([1, 0.5])),
        NeighborAgreementDisplay(np.eye(2), view_names=["a", "b"]),
        ComparisonDisplay(pd.DataFrame({"agreement": [0.5]}, ["a"]), scores=None, baseline="a"),
    ],
    ids=lambda display: type(display).__name__,
)
def test_axes(display):
    _, ax = plt.subplots()
    assert display.plot(ax) is display
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert display.plot().ax_ is not ax
    display.figure_.canvas.draw()
