"""Configurations from presets and YAML files, and their overrides by ``field=value``."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any, TypeVar, get_origin

from pydantic import BaseModel, ValidationError

from dvdgan.config import Config
from dvdgan.documents import MOST_QUOTED, DocumentError, parse_yaml, read_text, shortened
from dvdgan.wording import did_you_mean

Fields = TypeVar("Fields", bound=BaseModel)

_MOST_FAULTS = 3  # that a message names


class ConfigError(ValueError):
    """A configuration that cannot be used; the message is one line and says for each field what to change."""


def parse_config(tree: Any, where: str = "configuration") -> Config:
    """Validate a tree of plain dicts.

    Args:
        tree: what a YAML file holds.
        where: the file's name, for messages.

    Raises:
        ConfigError: naming each wrong field.
    """
    if not isinstance(tree, dict):
        raise ConfigError(f"{where}: expected fields (name: value), found {type(tree).__name__}")
    return _validated(Config, tree, where)


def _validated(model: type[Fields], tree: dict[str, Any], where: str) -> Fields:
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        faults = [_explain(fault, model) for fault in error.errors()[:_MOST_FAULTS]]
        more = error.error_count() - len(faults)
        raise ConfigError(f"{where}: {'; '.join(faults)}" + (f"; and {more} more" if more else "")) from None


def load_config(preset: str, overrides: Sequence[str] = ()) -> Config:
    """Read a preset by name, or a YAML file by path, and apply `field=value` overrides.

    Args:
        preset: a name from `preset_names`, or the path of a YAML file (ends in .yaml or .yml).
        overrides: such as ``training.batch_size=8``; values are YAML (numbers, lists, null, true).

    Raises:
        ConfigError: no such preset, unreadable YAML, an unknown or contradictory field.
    """
    if preset.endswith((".yaml", ".yml")):
        where = preset
        try:
            text = read_text(preset)
        except FileNotFoundError:
            raise ConfigError(f"{preset}: there is no such file") from None
        except DocumentError as error:
            raise ConfigError(str(error)) from None
    else:
        names = preset_names()
        if preset not in names:
            hint = did_you_mean(preset, names, f"presets are {', '.join(names)}", cutoff=0.4)
            raise ConfigError(f"there is no preset {preset!r}; {hint} (a file's name must end in .yaml)")
        where = f"preset {preset}"
        text = _preset_dir().joinpath(f"{preset}.yaml").read_text(encoding="utf-8")
    try:
        tree = parse_yaml(text, where)
    except DocumentError as error:
        raise ConfigError(str(error)) from None
    config = parse_config(tree if tree is not None else {}, where)
    return override(config, overrides)


def override(config: Fields, overrides: Sequence[str], others: Iterable[str] = ()) -> Fields:
    """Apply `field=value` texts to a configuration, or to settings, and validate the result.

    Args:
        config: what is changed; values are checked by its class.
        overrides: such as ``training.batch_size=8``; values are YAML.
        others: paths of fields elsewhere, which may have been meant where there is no field of a name.

    Raises:
        ConfigError: a text without `=`, an unknown field (near ones are suggested), or an invalid value.
    """
    tree = config.model_dump(mode="json")
    for text in overrides:
        path, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"{shortened(repr(text))} is not an override: write field=value")
        try:
            parsed = parse_yaml(value, shortened(repr(text)))
        except DocumentError as error:
            raise ConfigError(f"{error}: write a number, text, list, true, false or null") from None
        if parsed is None and value.strip().startswith("#"):  # a colour, not a comment
            parsed = value.strip()
        _set_field(tree, path.strip(), parsed, type(config), others)
    return _validated(type(config), tree, "override" if overrides else "configuration")


def updated(config: Config, **sections: dict[str, Any]) -> Config:
    """A validated copy with fields of `network`, `data` or `training` replaced.

    Raises:
        ConfigError: the result is not valid.
    """
    tree = config.model_dump(mode="json")
    for section, fields in sections.items():
        tree[section].update(fields)
    return parse_config(tree)


def preset_names() -> list[str]:
    """Names of the presets that come with the package, sorted."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _preset_dir().iterdir() if entry.name.endswith(".yaml"))


def field_paths(model: type[BaseModel] = Config, prefix: str = "") -> dict[str, str]:
    """Every leaf field's dotted path and its help text."""
    paths: dict[str, str] = {}
    for name, info in model.model_fields.items():
        inner = _submodel(info.annotation)
        if inner is not None:
            paths.update(field_paths(inner, f"{prefix}{name}."))
        else:
            paths[f"{prefix}{name}"] = info.description or ""
    return paths


def leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of a tree of plain dicts by dotted path."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def _submodel(annotation: Any) -> type[BaseModel] | None:
    candidates = [annotation, *getattr(annotation, "__args__", ())]
    # In Python 3.10, list[int] passes for a type, too.
    classes = (c for c in candidates if isinstance(c, type) and get_origin(c) is None)
    return next((c for c in classes if issubclass(c, BaseModel)), None)


def _set_field(tree: dict[str, Any], path: str, value: Any, model: type[BaseModel], others: Iterable[str]) -> None:
    *parents, leaf = path.split(".")
    known = field_paths(model)
    sections = {p.rsplit(".", depth)[0] for p in known for depth in range(1, p.count(".") + 1)}
    if path not in known and path not in sections:
        same_leaf = [p for p in known if p.rsplit(".", 1)[-1] == leaf]
        there = "`dvdgan fields` lists them all" if model is Config else f"there are {', '.join(known)}"
        hint = did_you_mean(path, same_leaf or [*known, *others], there, 0 if same_leaf else 0.5)
        raise ConfigError(f"there is no field {shortened(repr(path))}; {hint}")
    node = tree
    for parent in parents:
        if node.get(parent) is None:  # a discriminator that the preset leaves out
            node[parent] = {}
        node = node[parent]
        if not isinstance(node, dict):
            raise ConfigError(f"{path}: {parent} was set to {node!r}, which has no field {leaf}")
    node[leaf] = value


def _explain(fault: Any, model: type[BaseModel]) -> str:
    path = shortened(".".join(str(part) for part in fault["loc"]))
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(path, field_paths(model), n=1, cutoff=0.5)
        message = "there is no such field" + (f"; did you mean {near[0]}?" if near else "")
    elif fault["type"] != "value_error":
        message += f" (found {shortened(repr(fault['input']))})"
    message = shortened(message) if len(message) > 4 * MOST_QUOTED else message
    return f"{path}: {message}" if path else message


def _preset_dir() -> Any:
    return resources.files("dvdgan") / "presets"
