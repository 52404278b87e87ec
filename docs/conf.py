"""How the documentation is built. ``nox -s docs`` builds it and runs its examples."""

from __future__ import annotations

from importlib.metadata import version as version_of

project = "Erlen"
author = "The Erlen developers"
copyright = author
version = release = version_of("erlen")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
maximum_signature_line_length = 88

html_theme = "furo"
html_title = f"Erlen {release}"
html_copy_source = False
