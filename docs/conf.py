"""Configuration of Sphinx."""

import sknnens

project = "sknnens"
author = "The sknnens developers"
copyright = "2026, The sknnens developers"
version = release = sknnens.__version__

extensions = ["numpydoc", "sphinx.ext.autosummary"]
autosummary_generate = True
autodoc_typehints = "none"  # the docstrings name the types
templates_path = ["_templates"]
numpydoc_show_class_members = False
exclude_patterns = ["_build"]
html_theme = "pydata_sphinx_theme"
html_title = "sknnens"
