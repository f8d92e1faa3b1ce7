"""Arguments: a dataclass whose fields carry their Korean help and bounds, filled from flags or from a JSON file."""

import argparse
import difflib
import io
import json
import math
import os
import sys
import types
import typing
from dataclasses import dataclass, field, fields

from .errors import UserError, install_excepthook


def argument(default, help, minimum=None, maximum=None, above=None, choices=None):
    """A dataclass field with its Korean ``help`` and its bounds: minimum <= value <= maximum, value > above."""
    bounds = {"minimum": minimum, "maximum": maximum, "above": above, "choices": choices}
    return field(default=default, metadata={"help": help, **bounds})


@dataclass
class Arguments:
    """Base of all argument classes: checks types and bounds when an instance is made.

    Raises:
        UserError: naming the field, the bound and the value.
    """

    def __post_init__(self):
        for spec in fields(self):
            setattr(self, spec.name, _checked(spec, getattr(self, spec.name), self.type_of(spec.name)))

    @classmethod
    def type_of(cls, name: str) -> type:
        """The plain type of a field: ``int`` for ``int`` and for ``int | None``, ``tuple`` for ``tuple[str, ...]``."""
        hint = typing.get_type_hints(cls)[name]
        if isinstance(hint, types.UnionType):
            hint = next(part for part in hint.__args__ if part is not type(None))
        return typing.get_origin(hint) or hint


def _checked(spec, value, kind):
    if value is None and spec.default is None:
        return value
    if kind is str and isinstance(value, os.PathLike):
        value = os.fspath(value)
    if kind is float and type(value) is int:
        value = float(value)
    if kind is tuple and type(value) is list:  # JSON has no tuples
        value = tuple(value)
    if type(value) is not kind or kind is tuple and not all(type(part) is str for part in value):
        names = {int: "정수", float: "수", bool: "true나 false", str: "글", tuple: '["글", "글"]처럼 글의 목록'}
        raise UserError(f"{spec.name}: {names[kind]}이어야 하는데 {value!r}입니다.")
    bounds = spec.metadata
    if bounds.get("choices") and value not in bounds["choices"]:
        raise UserError(f"{spec.name}: {', '.join(map(str, bounds['choices']))} 가운데 하나여야 하는데 {value!r}입니다.")
    if kind is float and not math.isfinite(value):
        raise UserError(f"{spec.name}: 유한한 수여야 하는데 {value}입니다.")
    if bounds.get("minimum") is not None and value < bounds["minimum"]:
        raise UserError(f"{spec.name}: {bounds['minimum']} 이상이어야 하는데 {value}입니다.")
    if bounds.get("maximum") is not None and value > bounds["maximum"]:
        raise UserError(f"{spec.name}: {bounds['maximum']} 이하여야 하는데 {value}입니다.")
    if bounds.get("above") is not None and value <= bounds["above"]:
        raise UserError(f"{spec.name}: {bounds['above']}보다 커야 하는데 {value}입니다.")
    return value


class _KoreanFormatter(argparse.RawDescriptionHelpFormatter):
    def add_usage(self, usage, actions, groups, prefix=None):
        super().add_usage(usage, actions, groups, "사용법: ")


class _KoreanParser(argparse.ArgumentParser):
    def error(self, message):
        raise UserError(message)


def _convert(name: str, kind: type, text: str | list[str] | None):
    if kind is tuple:
        return tuple(text)
    if text is None:
        raise UserError(f"{name}: 뒤에 값이 필요합니다.")
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise UserError(f"{name}: true나 false여야 하는데 {text!r}입니다.")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError:
        raise UserError(f"{name}: {'정수' if kind is int else '수'}여야 하는데 {text!r}입니다.") from None


def _parse_flags(argument_class, defaults: dict, argv: list[str]) -> dict:
    parser = _KoreanParser(
        description=sys.modules["__main__"].__doc__, formatter_class=lambda prog: _KoreanFormatter(prog, width=100),
        usage="%(prog)s [--이름 값 …]   또는   %(prog)s 설정.json", add_help=False, allow_abbrev=False)
    group = parser.add_argument_group("옵션")
    group.add_argument("-h", "--help", action="help", help="이 도움말을 보여 주고 끝냅니다.")
    specs = {spec.name: spec for spec in fields(argument_class)}
    for name, spec in specs.items():
        kind = argument_class.type_of(name)
        default = defaults.get(name, spec.default)
        help_text = spec.metadata["help"] + ("" if default in (None, (), "") else f" (기본값: {default})")
        group.add_argument(
            f"--{name}", dest=name, default=argparse.SUPPRESS, metavar="값", nargs="*" if kind is tuple else "?",
            const="true" if kind is bool else None, help=help_text.replace("%", "%%"))
    found, unknown = parser.parse_known_args(argv)
    if unknown:
        close = difflib.get_close_matches(unknown[0].split("=")[0].lstrip("-"), specs, n=1)
        hint = f" 혹시 --{close[0]}인가요?" if close else " --help로 쓸 수 있는 옵션을 볼 수 있습니다."
        raise UserError(f"{unknown[0]}: 없는 옵션입니다.{hint}")
    return {name: _convert(name, argument_class.type_of(name), text) for name, text in vars(found).items()}


def _read_json(argument_class, path: str) -> dict:
    try:
        with open(path, encoding="utf-8-sig") as file:
            given = json.load(file)
    except OSError as error:
        raise UserError(f"{path}: 설정 파일을 읽을 수 없습니다({error.strerror}).") from error
    except ValueError as error:
        raise UserError(f"{path}: JSON이 아닙니다({error}).") from error
    names = [spec.name for spec in fields(argument_class)]
    if not isinstance(given, dict):
        raise UserError(f'{path}: {{"epochs": 1}}처럼 이름과 값의 짝이어야 합니다.')
    for name in given:
        if name not in names:
            raise UserError(f"{path}: {name}은(는) 없는 이름입니다. 쓸 수 있는 이름: {', '.join(names)}")
    return given


def load_arguments(argument_class, json_file_path=None, **defaults):
    """Fill ``argument_class`` from ``json_file_path``, else from the command line of the running script.

    The command line is either flags (``--epochs 1``) or one ``.json`` file; it wins over ``defaults``, the settings that the
    script itself names, and these win over the defaults of the class. From here on a :class:`UserError` that nobody catches
    ends the script with one line and exit code 2 (see :func:`ratsnlp.nlpbook.errors.install_excepthook`).

    Raises:
        UserError: an unknown flag or name, a value of the wrong type or out of its bounds, an unreadable file.
    """
    if json_file_path is not None:
        return argument_class(**{**defaults, **_read_json(argument_class, json_file_path)})
    install_excepthook()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a notebook's is none
            stream.reconfigure(errors="replace")  # an emoji must not end a script whose output goes to a file in cp949
    argv = sys.argv[1:]
    if len(argv) == 1 and argv[0].endswith(".json"):
        return argument_class(**{**defaults, **_read_json(argument_class, argv[0])})
    return argument_class(**{**defaults, **_parse_flags(argument_class, defaults, argv)})
