"""Where pages are made from: a package's own templates, and the style that all pages share."""

from __future__ import annotations

from jinja2 import ChoiceLoader, Environment, PackageLoader


def page_environment(package: str) -> Environment:
    """An environment, with escaping, of a package's templates and of ``page.css``."""
    loader = ChoiceLoader([PackageLoader(package, "."), PackageLoader("dvdgan.report", ".")])
    return Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
