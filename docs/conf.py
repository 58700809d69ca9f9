"""Configuration of Sphinx.

The pages make no request: formulas are MathML, and links into other projects come from the short
inventories beside this file.
"""

import re
import subprocess
import sys
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

import sknnens

project = "sknnens"
author = "The sknnens developers"
copyright = "2026, The sknnens developers"
version = release = sknnens.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "example.rst", "inventories"]
templates_path = ["_templates"]

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings name the types
numpydoc_show_class_members = False
intersphinx_mapping = {
    "python": ("https://docs.python.org/3", "inventories/python.txt"),
    "scikit-learn": ("https://scikit-learn.org/stable", "inventories/scikit-learn.txt"),
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

gallery = "../examples/gallery"
sphinx_gallery_conf = {
    "examples_dirs": gallery,
    "gallery_dirs": "auto_examples",
    "subsection_order": [f"{gallery}/{name}" for name in ("start", "views", "use", "large")],
    "within_subsection_order": "FileNameSortKey",
    "doc_module": "sknnens",
    "backreferences_dir": "generated/examples",
    "abort_on_example_error": True,
    "remove_config_comments": True,
    "image_scrapers": ("matplotlib",),
    "matplotlib_animations": False,
    "write_computation_times": False,  # its page asks a server for a script
}

html_theme = "pydata_sphinx_theme"
html_title = f"sknnens {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_sidebars = {"**": ["contents.html"]}
html_theme_options = {
    "logo": {"text": f"sknnens {version}"},
    "navbar_center": [],  # the contents are on the left of every page
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
}
html_show_sourcelink = False
html_math_renderer = "mathml"  # registered below


def write_pages(app, config):
    """Write the changelog, with what is not released in front, and the page for contributors."""
    docs, root = Path(app.srcdir), Path(app.srcdir).parent
    command = [sys.executable, "-m", "towncrier", "build", "--draft", "--dir", str(root)]
    command += ["--version", version, "--date", "not released"]
    draft = subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout
    released = (root / "CHANGELOG.md").read_text("utf-8").partition("release notes start -->")[2]
    (docs / "changelog.md").write_text(f"# Changelog\n\n{draft}{released}", "utf-8")
    guide = (root / "CONTRIBUTING.md").read_text("utf-8")
    guide = re.sub(r"\[([^]]+)\]\(docs/(\w+)\.rst\)", r"[\1](\2)", guide)
    guide = re.sub(r"\[([^]]+)\]\([^)]*\.md\)", r"\1", guide)  # files outside of the site
    contents = "```{toctree}\n:hidden:\n\narchitecture\n```"
    (docs / "contributing.md").write_text(f"{guide}\n{contents}\n", "utf-8")


def to_mathml(translator, node):
    """Write a formula as MathML, which browsers render without a script."""
    block = isinstance(node, nodes.math_block)
    translator.body.append(tex2mathml(node.astext(), as_block=block))
    raise nodes.SkipNode


def setup(app):
    """Register the renderer of formulas, and what is written before a page is read."""
    app.connect("config-inited", write_pages)
    app.add_html_math_renderer("mathml", (to_mathml, None), (to_mathml, None))
