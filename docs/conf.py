"""Sphinx configuration: nox -s docs."""

from importlib.metadata import version as installed_version

project = "inferkit"
author = "The inferkit authors"
version = release = installed_version("inferkit")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"inferkit {version}"
exclude_patterns = ["_build"]

autodoc_member_order = "groupwise"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
myst_heading_anchors = 3
nitpicky = False
