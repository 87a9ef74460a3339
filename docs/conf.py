"""How Sphinx builds these pages: ``make docs``."""

from typing import Any

from audit_emit import __version__

project = "audit_emit"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "An audit trail for Python services", "page_width": "1100px"}
root_doc = "index"

myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# Links to files beside these pages (../vector/README.md) are no pages for Sphinx, and Pygments does
# not know LogQL. tests/test_readme.py looks whether every link leads to a file and a heading.
suppress_warnings = ["myst.xref_missing", "misc.highlighting_failure"]


def literal_blocks(
    _app: object, what: str, _name: str, _object: object, _options: object, lines: list[str]
) -> None:
    """Show the indented examples in docstrings of modules as they are."""
    if what != "module":
        return
    shown: list[str] = []
    inside = False
    for line in lines:
        indented = line.startswith("    ")
        if indented and not inside and (not shown or not shown[-1].strip()):
            shown += ["::", ""]
        inside = indented or (inside and not line.strip())
        shown.append(line)
    lines[:] = shown


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", literal_blocks)
