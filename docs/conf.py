"""How Sphinx makes the site. Its source is the whole repository, so that links are the same in both.

    make docs    # docs/_build/html

Nothing is fetched: no inventories of other projects, and the theme's fonts are the system's.
"""

from importlib import metadata
from typing import Any

import codec

project = "split-codec"
author = "the authors of split-codec"
release = metadata.version("split-codec")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = ["*.md", "benchmarks/results/*.md", "docs/**", "examples/*.md"]
exclude_patterns = ["docs/_build", "docs/_site", ".*", "demo", "src", "tests", "runs"]
nitpicky = True

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
highlight_language = "none"

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "inherited-members": False}
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"split-codec {release}"
html_extra_path = ["_site"]
html_copy_source = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}

# Names of other libraries are not looked up, as their inventories would be fetched, nor the package's own.
nitpick_ignore_regex = [("py:.*", r"(?!codec\.\w+$).*")]


def public_name(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Signatures name ``codec.decoder.Decoder``; the reference has it as users do, ``codec.Decoder``."""
    name = node.get("reftarget", "").rpartition(".")[2]
    if node.get("refdomain") != "py" or name not in codec.__all__:
        return None
    domain = env.get_domain("py")
    builder, document = app.builder, node.get("refdoc")
    found = domain.resolve_xref(env, document, builder, "obj", f"codec.{name}", node, content)
    return found


def setup(app: Any) -> None:
    """Register the above."""
    app.connect("missing-reference", public_name)
