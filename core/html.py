"""Jinja templates of HTML pages that need no other file."""

import jinja2


def template_environment(package: str, folder: str = "") -> jinja2.Environment:
    """Loads the templates of a package.

    What a template is filled with is escaped, and a name that it is not given is an error.

    Args:
      package: dotted name.
      folder: of the templates in the package; the package's own if empty.
    """
    return jinja2.Environment(
        loader=jinja2.PackageLoader(package, folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
