"""The site: `sphinx-build -W docs docs/_build/html`.  Pages of styles, examples and the API come from the code."""

import os
import sys
from pathlib import Path

import spinase

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

project = "spinase"
author = copyright = "The spinase developers"
version = release = spinase.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "api_pages",
    "gallery_pages",
    "repository_links",
    "style_pages",
]
exclude_patterns = ["_build", "extensions"]
html_theme = "furo"
html_title = f"spinase {release}"
html_show_sourcelink = False
html_theme_options = {"sidebar_hide_name": False}
myst_enable_extensions = ["attrs_inline", "colon_fence"]
myst_heading_anchors = 3
autodoc_typehints = "none"  # numpydoc's Parameters say types and shapes
os.environ.setdefault("MPLBACKEND", "Agg")
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
suppress_warnings = ["myst.header", "ref.python"]  # included pages start below the first level; attributes of one name
