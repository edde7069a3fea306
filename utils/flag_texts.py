"""Flags in words: help, the documentation's lists, and messages as they read in Python."""

import functools
import re
from collections.abc import Mapping, Sequence

from utils.flags import FlagSpec, describe

_DEBUG = re.compile(r" \((?:(?P<rest>[^()]*); )?traceback: --debug\)")
# A value ends at a space or where the sentence goes on; `full-prec,chn-pruned-rmt` is one.
_MENTION = re.compile(r"--(?P<name>[a-z]\w*)(?:=(?P<value>\S+?)(?=[\s;)]|[.,:](?:\s|$)|$))?")


def in_python(text: str, specs: Mapping[str, FlagSpec]) -> str:
    """Write a message about flags as it reads where flags are keywords.

    Args:
        text: names flags as the command line does.
        specs: the flags by name; others are left as they are.

    Returns:
        The text. A True/False flag that is only named is switched on.

    Example:
        >>> from utils.export.config import ExportConfig
        >>> specs = {spec.name: spec for spec in describe(ExportConfig)}
        >>> in_python("Give --tflite=none, or lower --nb_repts.", specs)
        'Give tflite="none", or lower nb_repts.'
    """

    def keyword(found: re.Match[str]) -> str:
        name, value = found["name"], found["value"]
        spec = specs.get(name)
        if spec is None:
            return found[0]
        if value is None:
            return f"{name}=True" if spec.type is bool else name
        return f'{name}="{value}"' if spec.type is str and value != "None" else f"{name}={value}"

    def without_debug(found: re.Match[str]) -> str:
        return f" ({found['rest']})" if found["rest"] else ""

    return _MENTION.sub(keyword, _DEBUG.sub(without_debug, text))


def help_text(sections: Mapping[str, Sequence[type]]) -> str:
    """Write the flags as plain text: a block per titled section, those without effect last."""
    lines, inert = [], []
    for title, config_classes in sections.items():
        lines += [title, "-" * len(title)]
        for group, specs in (pair for cls in config_classes for pair in _groups(cls).items()):
            own = [spec for spec in specs if not spec.info.inert]
            inert += [spec for spec in specs if spec.info.inert]
            lines += ["", group] if group and own else []
            lines += map(_help_line, own)
        lines.append("")
    if inert:
        title = "Accepted, without effect"
        named = {spec.name: spec for spec in inert}
        lines += [title, "-" * len(title), *map(_help_line, named.values()), ""]
    return "\n".join(lines)


def _groups(config_class: type) -> dict[str, list[FlagSpec]]:
    """Divide flags by the config that declares them, under the first line of its docstring."""
    groups: dict[str, list[FlagSpec]] = {}
    for spec in sorted(describe(config_class), key=lambda spec: len(spec.path) > 1):
        owner = functools.reduce(getattr, spec.path[:-1], config_class())
        title = (type(owner).__doc__ or "").splitlines()[0] if spec.path[:-1] else ""
        groups.setdefault(title, []).append(spec)
    return groups


def _help_line(spec: FlagSpec) -> str:
    kind = spec.allowed() if spec.info.choices or spec.info.lower is not None else ""
    default = "" if spec.default is None else f"default {spec.default}"
    facts = "; ".join(fact for fact in (default, kind, spec.info.unit) if fact)
    effect = f" (no effect: {spec.info.inert})" if spec.info.inert else ""
    return f"  --{spec.name}  {spec.info.help}{effect} [{facts}]"


def markdown_list(*config_classes: type) -> str:
    """Write the documentation's list of flags: a line for each.

    In columns long names break in their middle and short texts stand far apart.
    """
    lines = []
    for spec in (spec for cls in config_classes for spec in describe(cls)):
        unit = f" Unit: {spec.info.unit}." if spec.info.unit else ""
        also = f" Also written {', '.join(spec.info.aliases)}." if spec.info.aliases else ""
        inert = f" No effect: {spec.info.inert}" if spec.info.inert else ""
        facts = f"{spec.allowed()}; default `{spec.default}`"
        lines.append(f"- **`--{spec.name}`** ({facts}): {spec.info.help}{unit}{also}{inert}")
    return "\n".join(lines)
