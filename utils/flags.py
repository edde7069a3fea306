"""Flags from dataclasses: one declaration, four uses.

A config is a frozen, keyword-only dataclass whose fields are made with `flag()`. From it come the
absl flags (`parse`), the checks (`validate`), the object handed to the code and the table of the
documentation (`utils/flag_texts.py`). A field made with `group()` nests another config; its flags
carry the nested class's own `PREFIX` where it has one, else the outer one's.

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class SparseConfig:
        PREFIX: ClassVar[str] = "ws_"
        prune_ratio: float = flag(0.75, "Fraction removed.", lower=0.0, upper=1.0, upper_open=True)

declares `--ws_prune_ratio`. A flag also says itself what it goes with and whether a resumed run may
change it (see `FlagInfo`). TensorFlow is never imported here: wrong flags are refused before it.
"""

import dataclasses
import difflib
import functools
import os
import types
import typing
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

from absl import flags as absl_flags

from utils.argv import joined, refuse_lost_values, refuse_tolerance
from utils.errors import InputError
from utils.flag_spec import FlagInfo, FlagSpec
from utils.schema import brief

_METADATA = "flowpress"
_RESUMABLE = "flowpress_resumable"


def flag(default: Any, help: str, **info: Any) -> Any:
    """Declare a config field that is also a flag.

    Args:
        default: the value when the flag is not given; its type is the field's annotation.
        help: one or two sentences for `--help` and the documentation.
        **info: see `FlagInfo`.

    Returns:
        A `dataclasses.field`.
    """
    return dataclasses.field(default=default, metadata={_METADATA: FlagInfo(help, **info)})


def group(config_class: type, *, resumable: bool = False) -> Any:
    """Nest a config in another one; its flags stand beside the outer ones.

    Args:
        config_class: the nested class.
        resumable: a resumed run may change any of its flags.

    Returns:
        A `dataclasses.field`.
    """
    metadata = {_METADATA: config_class, _RESUMABLE: resumable}
    return dataclasses.field(default_factory=config_class, metadata=metadata)


def _split_type(annotation: Any) -> tuple[type, bool]:
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        inner = [arg for arg in typing.get_args(annotation) if arg is not type(None)]
        return inner[0], True
    return annotation, False


def describe(config_class: type) -> tuple[FlagSpec, ...]:
    """List the flags of a config class, nested groups included, in the order of its fields."""
    return _described(config_class)


@functools.cache
def _described(config_class: Any) -> tuple[FlagSpec, ...]:
    return tuple(_walk(config_class, "", (), False))


def _walk(
    config_class: type, outer: str, path: tuple[str, ...], resumable: bool
) -> Iterator[FlagSpec]:
    prefix = getattr(config_class, "PREFIX", outer)
    hints = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        meta = field.metadata.get(_METADATA)
        if isinstance(meta, type):
            inner = resumable or field.metadata[_RESUMABLE]
            yield from _walk(meta, prefix, (*path, field.name), inner)
        elif isinstance(meta, FlagInfo):
            kind, optional = _split_type(hints[field.name])
            may_change = resumable or meta.resumable or meta.path or bool(meta.inert)
            where, info = (*path, field.name), meta.with_prefix(prefix)
            name = _flag_name(prefix, field.name, meta)
            yield FlagSpec(name, kind, optional, field.default, info, where, may_change)


def _flag_name(prefix: str, field: str, info: FlagInfo) -> str:
    return prefix + (info.name or field)


def validate(config: Any) -> None:
    """Check every field of a config object against its bounds and choices.

    Raises:
        InputError: for the first field out of bounds; names the flag, what is allowed, the value.
    """
    for spec in describe(type(config)):
        spec.check(functools.reduce(getattr, spec.path, config))


def flag_values(config: Any) -> dict[str, Any]:
    """Give a config object back as {flag name: value}, for reports."""
    return {
        spec.name: functools.reduce(getattr, spec.path, config) for spec in describe(type(config))
    }


def decisive_values(config: Any) -> dict[str, Any]:
    """Give {flag name: value} of the flags that a resumed run must not change."""
    values = flag_values(config)
    return {s.name: values[s.name] for s in describe(type(config)) if not s.resumable}


def build(config_class: type, values: Mapping[str, Any]) -> Any:
    """Make a checked config object from {flag name: value}; missing names take their defaults."""
    config = _assemble(config_class, values, "")
    validate(config)
    return config


def _assemble(config_class: type, values: Mapping[str, Any], outer: str) -> Any:
    prefix = getattr(config_class, "PREFIX", outer)
    arguments = {}
    for field in dataclasses.fields(config_class):
        meta = field.metadata.get(_METADATA)
        if isinstance(meta, type):
            arguments[field.name] = _assemble(meta, values, prefix)
        elif isinstance(meta, FlagInfo) and _flag_name(prefix, field.name, meta) in values:
            value = values[_flag_name(prefix, field.name, meta)]
            arguments[field.name] = expanded(value) if meta.path else value
    return config_class(**arguments)


def expanded(value: Any) -> Any:
    """Put the home folder for `~` at the beginning of a path, or of each of several.

    Example:
        >>> expanded("a/~b.keras"), expanded(None)
        ('a/~b.keras', None)
    """
    if not isinstance(value, str) or "~" not in value:
        return value
    return ",".join(os.path.expanduser(part.strip()) for part in value.split(","))


def build_all(config_classes: Sequence[type], values: Mapping[str, Any]) -> dict[type, Any]:
    """Make the config objects of a run from the flags that the user gave.

    Args:
        config_classes: the classes whose flags apply.
        values: what was given, by flag name; a flag that is not in it was left out.

    Returns:
        A checked config object by class.

    Raises:
        InputError: a bad value, a flag without another one that it needs, or two that say the
            same.
    """
    specs = {spec.name: spec for cls in config_classes for spec in describe(cls)}
    values = {**switched_on(config_classes), **_implied(config_classes, specs, values), **values}
    configs = {config_class: build(config_class, values) for config_class in config_classes}
    for name in (name for name in specs if values.get(name) is not None):
        _check_company(specs[name], values, specs)
    return configs


def switched_on(config_classes: Iterable[type]) -> dict[str, bool]:
    """Collect the switches that are on because a class among these names them in SWITCHES_ON."""
    return {name: True for cls in config_classes for name in getattr(cls, "SWITCHES_ON", ())}


def _implied(
    config_classes: Iterable[type], specs: Mapping[str, FlagSpec], values: Mapping[str, Any]
) -> dict[str, bool]:
    """Collect the switches of classes' IMPLIED that a given flag needs."""
    implied = {name for cls in config_classes for name in getattr(cls, "IMPLIED", ())}
    given = (specs[name].info.needs for name in specs if values.get(name) is not None)
    return {needs[0]: True for needs in given if needs is not None and needs[0] in implied}


def _check_company(
    spec: FlagSpec, values: Mapping[str, Any], specs: Mapping[str, FlagSpec]
) -> None:
    """Refuse a flag that was given without what it needs, or beside what says the same."""
    if spec.info.needs is not None and not values.get(spec.info.needs[0]):
        needed, words = spec.info.needs
        raise InputError(
            f"`{spec.name}` has no effect without {words}. Received: {values[spec.name]}. Add "
            f"--{needed}, or leave it out."
        )
    if spec.info.only_with is not None:
        other, wanted = spec.info.only_with
        chosen = values.get(other)
        chosen = specs[other].default if chosen is None else chosen
        if chosen != wanted:
            raise InputError(
                f"`{spec.name}` has no effect with --{other}={chosen}. Received: "
                f"{values[spec.name]}. Give --{other}={wanted}, or leave it out."
            )
    for rival in spec.info.rivals:
        if values.get(rival) is not None:
            raise InputError(
                f"--{spec.name}={values[spec.name]} and --{rival}={values[rival]} contradict each "
                "other: each says alone how much stays. Leave one out."
            )


@dataclasses.dataclass(frozen=True)
class Parsed:
    """What `parse` found: config objects by class, names given explicitly, notices to show."""

    configs: Mapping[type, Any]
    given: frozenset[str]
    notices: tuple[str, ...]


def parse(
    argv: Sequence[str],
    config_classes: Sequence[type],
    foreign: Mapping[str, str] | None = None,
    *,
    passes: Callable[[str], bool] | None = None,
) -> Parsed:
    """Read `--flag=value` and `--flag value` into config objects.

    Args:
        argv: the arguments, without the program's name.
        config_classes: the classes whose flags apply.
        foreign: flags that exist but do not apply here, with a sentence saying where they do.
        passes: whether an unknown flag, given by its name, is passed over together with what
            stands behind it: while classes are missing that may declare it. None: none is.

    Returns:
        The built and checked configs.

    Raises:
        InputError: an unknown flag (with the nearest valid name), a bad or missing value, a
            positional argument, flags that do not go together (see `build_all`).
    """
    values = _define(config_classes)
    specs = {spec.name: spec for cls in config_classes for spec in describe(cls)}
    argv = joined(argv)
    refuse_tolerance(argv)
    refuse_lost_values(argv, [name for name in values if not values[name].boolean])
    try:
        rest = values(["flowpress", *argv], known_only=passes is not None)[1:]
    except absl_flags.UnrecognizedFlagError as error:
        raise InputError(_unknown(error.flagname, values, foreign or {})) from None
    except absl_flags.IllegalFlagValueError as error:
        raise InputError(_illegal(str(error), specs)) from None
    except (absl_flags.Error, ValueError) as error:  # ValueError: --noflag=value
        raise InputError(f"{str(error).splitlines()[0]} See --help=all for every flag.") from None
    if passes is not None:
        unknown = (arg.lstrip("-").partition("=")[0] for arg in rest if arg.startswith("--"))
        for name in unknown:
            if not passes(name):
                raise InputError(_unknown(name, values, foreign or {}))
    elif rest:
        raise InputError(
            f"Unexpected argument {rest[0]!r}: every option is written --flag=value, True/False "
            "flags too (--enbl_dst=True)."
        )
    given = frozenset(name for name in specs if values[name].present)
    found = {name: values[name].value for name in given}
    configs = build_all(config_classes, found)
    return Parsed(configs, given, notices(configs, given))


def notices(configs: Mapping[type, Any], given: Container[str]) -> tuple[str, ...]:
    """Say of every flag that was given and has no effect why that is.

    Args:
        configs: config object by class. One with a method `idle` says by it which of its flags
            have no effect beside its others: flag -> why.
        given: names of the flags that were given.
    """
    reasons: dict[str, str] = {}
    for config_class, config in configs.items():
        reasons |= getattr(config, "idle", dict)()
        specs = describe(config_class)
        reasons |= {spec.name: spec.info.inert for spec in specs if spec.info.inert}
    idle = (name for name in sorted(reasons) if name in given)
    return tuple(f"--{name} has no effect: {reasons[name]}" for name in idle)


def _define(config_classes: Iterable[type]) -> absl_flags.FlagValues:
    values = absl_flags.FlagValues()
    values.set_gnu_getopt(True)
    makers: dict[type, Any] = {
        bool: absl_flags.DEFINE_boolean,
        int: absl_flags.DEFINE_integer,
        float: absl_flags.DEFINE_float,
        str: absl_flags.DEFINE_string,
    }
    for config_class in config_classes:
        for spec in describe(config_class):
            makers[spec.type](spec.name, spec.default, spec.info.help, flag_values=values)
            for alias in spec.info.aliases:
                absl_flags.DEFINE_alias(alias, spec.name, flag_values=values)
    return values


def _unknown(name: str, values: absl_flags.FlagValues, foreign: Mapping[str, str]) -> str:
    if name in foreign:
        return f"Flag --{name} does not apply: {foreign[name]}"
    near = difflib.get_close_matches(name, [*values, *foreign], n=1, cutoff=0.5)
    advice = f"Did you mean --{near[0]}? " if near else ""
    return f"Unknown flag --{name}. {advice}See --help=all for every flag that applies."


def _illegal(message: str, specs: Mapping[str, FlagSpec]) -> str:
    for name, spec in specs.items():
        head = f"flag --{name}="
        if message.startswith(head):
            received = message[len(head) :].partition(": ")[0]
            return f"`{name}` must be {spec.allowed()}. Received: {brief(received)}."
    return message


def peek(argv: Sequence[str], names: Mapping[str, str | None]) -> dict[str, str | None]:
    """Read a few string flags before the others are known (phase one).

    Args:
        argv: the arguments, without the program's name.
        names: flag name -> default.

    Returns:
        Flag name -> value.
    """
    values = absl_flags.FlagValues()
    values.set_gnu_getopt(True)
    for name, default in names.items():
        absl_flags.DEFINE_string(name, default, "", flag_values=values)
    argv = joined(argv)
    refuse_tolerance(argv)
    refuse_lost_values(argv, list(names))
    try:
        values(["flowpress", *argv], known_only=True)
    except (absl_flags.Error, ValueError) as error:
        raise InputError(f"{str(error).splitlines()[0]} See --help=all for every flag.") from None
    return {name: values[name].value for name in names}


def nearest(name: str, valid: Iterable[str]) -> str:
    """Say which of `valid` is meant by `name`, or list them all; ready to end an error message."""
    valid = list(valid)
    near = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    advice = f"Did you mean {near[0]!r}? " if near else ""
    return f"{advice}Valid: {', '.join(sorted(valid))}."
