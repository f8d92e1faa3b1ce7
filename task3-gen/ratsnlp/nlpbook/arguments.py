"""Arguments: a dataclass whose fields carry their Korean help and bounds, filled from flags or from a settings file."""

import argparse
import atexit
import functools
import inspect
import io
import math
import os
import re
import sys
import types
import typing
from collections.abc import Collection, Iterable
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path

from .display import COLUMNS, wrap
from .errors import UserError, install_excepthook, leave_quietly
from .files import check_writable
from .settings_file import SUFFIXES, Setting, close_match, read_settings
from .text_files import check_text, compose

_KINDS = {
    int: "정수여야", float: "수여야", bool: "true나 false여야", str: "문자열이어야",
    tuple: '["가", "나"]처럼 문자열의 목록이어야'}


def argument(default, help, **more):
    """A dataclass field with its Korean ``help`` and bounds.

    ``minimum`` <= value <= ``maximum``, value > ``above`` (with ``range`` a message names both), one of ``choices``;
    ``path``: a ``~`` at its beginning is the user's home; ``writes``: a folder that is written to; ``text``: its
    Hangul is composed (NFC); ``secret``: its value is shown nowhere; ``instead_of``: where it is given, the field of
    that name counts for nothing, and as a flag is an error; ``group``: its heading in ``--help``, else that of the
    class.
    """
    return field(default=default, metadata={"help": help, **more})


def like(argument_class, name: str, default=MISSING, **changes):
    """A copy of the field ``name`` of ``argument_class``, with another ``default`` or other metadata."""
    spec = next(spec for spec in fields(argument_class) if spec.name == name)
    return field(default=spec.default if default is MISSING else default, metadata={**spec.metadata, **changes})


@dataclass
class Arguments:
    """Base of all argument classes: checks types and bounds when an instance is made.
    ``heading`` stands over its fields in ``--help``.

    Raises:
        UserError: naming the field, the bound and the value.
    """

    heading: typing.ClassVar[str] = "옵션"
    # what the library calls these fields, where that is something else
    other_names: typing.ClassVar[dict[str, str]] = {}

    def __post_init__(self):
        for spec in fields(self):
            setattr(self, spec.name, checked(spec, getattr(self, spec.name), self.type_of(spec.name)))

    @classmethod
    def type_of(cls, name: str) -> type:
        """The plain type of a field: ``int`` for ``int`` and for ``int | None``, ``tuple`` for ``tuple[str, ...]``."""
        hint = _type_hints(cls)[name]
        if isinstance(hint, types.UnionType):
            hint = next(part for part in hint.__args__ if part is not type(None))
        return typing.get_origin(hint) or hint

    @classmethod
    def adapt_defaults(cls, defaults: dict, given: dict) -> dict:
        """The ``defaults`` of a script, or of the settings file that it is given, as they are where its user names the
        settings ``given``."""
        return defaults

    @classmethod
    def heading_of(cls, spec) -> str:
        declares = [base for base in cls.__mro__ if spec.name in inspect.get_annotations(base)]
        return spec.metadata.get("group") or declares[-1].heading


_type_hints = functools.cache(typing.get_type_hints)  # a server makes options of every request


def checked(spec, value, kind: type):
    """``value`` as the field ``spec`` of this plain type holds it.

    Raises:
        UserError: the type is another, or a bound of the field is broken.
    """
    if value is None and spec.default is None:
        return value
    if kind is str and isinstance(value, os.PathLike):
        value = os.fspath(value)
    if kind is float and type(value) is int:
        value = float(value)
    if kind is tuple and type(value) is list:  # JSON has no tuples
        value = tuple(value)
    if type(value) is not kind or kind is tuple and not all(type(part) is str for part in value):
        was = "비어 있습니다." if value is None else f"{value!r}입니다."
        if kind is str and type(value) in (bool, int, float):  # in a file: YAML's no is false
            was += f" {'yes, no, on, off도 ' if type(value) is bool else ''}따옴표로 감싸세요."
        raise UserError(f"{spec.name}: {_KINDS[kind]} 하는데 {was}")
    if kind is float and not math.isfinite(value):
        raise UserError(f"{spec.name}: 유한한 수여야 하는데 {value}입니다.")
    bound = broken_bound(spec, value)
    if bound:
        raise UserError(f"{spec.name}: {bound} 하는데 {_shown(value)}입니다.")
    if spec.metadata.get("path"):
        return _written_out(spec, value)
    if kind in (str, tuple):
        check_text(spec.name, "".join(value))
    if spec.metadata.get("text"):
        return compose(value) if kind is str else tuple(map(compose, value))
    return value


def _written_out(spec, value: str) -> str:
    """A path with ``~`` expanded. An empty one is refused: it would mean the current folder."""
    if not value.strip() and value != spec.default:
        raise UserError(f"{spec.name}: 빈 이름입니다. 현재 폴더라면 .으로 적으세요.")
    if any(ord(character) < 32 for character in value):  # "C:\temp" in a JSON file
        raise UserError(f"{spec.name}: 경로에 탭이나 줄바꿈이 들어 있습니다: {value!r}. \\ 대신 /로 적으세요.")
    try:
        return str(Path(value).expanduser()) if value else value
    except RuntimeError as error:  # no HOME, and a user who is not in the list of users
        raise UserError(
            f"{spec.name}: 홈 폴더를 알 수 없어 {value!r} 경로를 찾을 수 없습니다. ~ 없이 적으세요.") from error


def check_chosen(name: str, chosen: Iterable[str], known: Collection[str]) -> None:
    """Raises UserError, naming the field ``name``, where one of ``chosen`` is not among ``known``."""
    for each in chosen:
        if each not in known:
            raise UserError(f"{name}: {', '.join(known)} 가운데에서 골라야 하는데 {each!r}입니다.")


def broken_bound(spec, value) -> str | None:
    """The bound of the field ``spec`` that ``value`` breaks, as a message says it, or None."""
    choices, minimum, maximum, above = map(spec.metadata.get, ("choices", "minimum", "maximum", "above"))
    if choices and value not in choices:
        return f"{', '.join(map(str, choices))} 가운데 하나여야"
    too_small = minimum is not None and value < minimum or above is not None and value <= above
    too_large = maximum is not None and value > maximum
    if (too_small or too_large) and spec.metadata.get("range"):
        return f"{bounds(spec)}여야"
    if too_small:
        return f"{_shown(minimum)} 이상이어야" if above is None else f"{_shown(above)}보다 커야"
    return f"{_shown(maximum)} 이하여야" if too_large else None


def bounds(spec) -> str:
    """Both bounds of the field ``spec``, as a message says them."""
    minimum, maximum, above = map(spec.metadata.get, ("minimum", "maximum", "above"))
    least = f"{_shown(minimum)} 이상" if above is None else f"{_shown(above)}보다 크고"
    return f"{least} {_shown(maximum)} 이하"


def _shown(value) -> str:
    return f"{value:g}" if type(value) is float else repr(value)


class _KoreanFormatter(argparse.RawDescriptionHelpFormatter):
    def add_usage(self, usage, actions, groups, prefix=None):
        super().add_usage(usage, actions, groups, "사용법: ")

    def _format_args(self, action, default_metavar):
        """A value that has to follow its name stands without brackets."""
        return (action.metavar if action.nargs == "?" and action.const is None
                else super()._format_args(action, default_metavar))

    def _split_lines(self, text, width):
        """A Hangul syllable takes two columns (the 값 to the left one more than is counted), and a path is not broken
        at its hyphens."""
        return wrap(text, width - 1).splitlines()


class _KoreanParser(argparse.ArgumentParser):
    def error(self, message):
        valueless = re.search(r"--(help|print_config)", message)
        raise UserError(f"{valueless[0]}: 뒤에 값을 적지 않습니다." if valueless else message)


def _convert(name: str, kind: type, text: str | list[str] | None):
    if kind is tuple:
        return tuple(text)
    if text is None:
        raise UserError(f"{name}: 뒤에 값이 필요합니다.")
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise UserError(f"{name}: {_KINDS[bool]} 하는데 {text!r}입니다.")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError:
        raise UserError(f"{name}: {_KINDS[kind]} 하는데 {text!r}입니다.") from None


class Flag(typing.NamedTuple):
    """A field as ``--help`` shows it. ``default`` is "" where it has none."""

    spec: Field
    kind: type
    default: str

    @property
    def name(self) -> str:
        """The field's own, but where that is no name in Python (``class``)."""
        return self.spec.metadata.get("flag", self.spec.name)


def flags_by_heading(argument_class, defaults: dict) -> dict[str, list[Flag]]:
    """What ``--help`` and docs/flags.md show: the flags under each heading, with a script's ``defaults``."""
    groups = {}
    for spec in fields(argument_class):
        value = defaults.get(spec.name, spec.default)
        shown = "***" if value and spec.metadata.get("secret") else _default_shown(value)
        flag = Flag(spec, argument_class.type_of(spec.name), shown)
        groups.setdefault(argument_class.heading_of(spec), []).append(flag)
    return groups


def _default_shown(value) -> str:
    """As one would type it."""
    if type(value) is bool:
        return str(value).lower()
    if type(value) in (tuple, list):  # JSON has no tuples
        return " ".join(map(str, value))
    return "" if value is None else str(value)


def _parse_flags(argument_class, defaults: dict, argv: list[str]) -> tuple[dict, bool]:
    """The values of the flags that are given, and whether ``--print_config`` is among them."""
    parser = _KoreanParser(
        description=sys.modules["__main__"].__doc__, formatter_class=lambda prog: _KoreanFormatter(prog, width=COLUMNS),
        usage="%(prog)s [--이름 값 …]   또는   %(prog)s 설정.yaml [--이름 값 …]", add_help=False, allow_abbrev=False)
    kinds = {}
    for heading, flags in flags_by_heading(argument_class, defaults).items():
        group = parser.add_argument_group(heading)
        for flag in flags:
            kinds[flag.name] = flag.kind
            help_text = flag.spec.metadata["help"] + (f" (기본값: {flag.default})" if flag.default else "")
            group.add_argument(
                f"--{flag.name}", dest=flag.spec.name, default=argparse.SUPPRESS, metavar="값",
                nargs="*" if flag.kind is tuple else "?", const="true" if flag.kind is bool else None,
                help=help_text.replace("%", "%%"))
    group = parser.add_argument_group("도움말")
    group.add_argument("-h", "--help", action="help", help="이 도움말을 보여 주고 끝냅니다.")
    group.add_argument(
        "--print_config", action="store_true", default=argparse.SUPPRESS,
        help="쓸 설정을 모두, 어디에서 정해졌는지와 함께 YAML로 보여 주고 끝냅니다.")
    found, unknown = parser.parse_known_args(_joined(argv, kinds))
    if unknown:
        hint = close_match(unknown[0].split("=")[0].lstrip("-"), [*kinds, "print_config"], "--")
        raise UserError(f"{unknown[0]}: 없는 옵션입니다.{hint}")
    prints = vars(found).pop("print_config", False)
    return {name: _convert(name, argument_class.type_of(name), text) for name, text in vars(found).items()}, prints


def _joined(argv: list[str], kinds: dict[str, type]) -> list[str]:
    """Join ``--name -_-`` to ``--name=-_-`` where a value has to follow: a text may begin with a dash."""
    joined = []
    for text in argv:
        before = joined[-1].removeprefix("--") if joined and joined[-1].startswith("--") else ""
        takes_value = kinds.get(before) not in (None, bool, tuple)
        if takes_value and text.startswith("-") and not re.fullmatch(r"-h|--[a-z]\w*(=.*)?", text, re.DOTALL):
            joined[-1] += f"={text}"
        else:
            joined.append(text)
    return joined


def _filled(argument_class, defaults: dict, settings: dict[str, Setting], flags: dict):
    """An instance of ``argument_class``; an error about a value from a file names the file and the key."""
    values = {name: setting.value for name, setting in settings.items()}
    try:
        for spec in fields(argument_class):
            other = spec.metadata.get("instead_of")
            if other in flags and (values | flags).get(spec.name):
                raise UserError(f"{spec.name}: --{other} 옵션과 함께 쓸 수 없습니다. 둘 가운데 하나만 적으세요.")
        values = argument_class.adapt_defaults(defaults, values) | values
        return argument_class(**(argument_class.adapt_defaults(values, flags) | flags))
    except UserError as error:
        name, _, rest = str(error).partition(":")
        if name in flags or name not in settings:
            raise
        raise UserError(f"{settings[name].place}:{rest}") from error


def load_arguments(argument_class, json_file_path=None, **defaults):
    """Fill ``argument_class`` from ``json_file_path``, else from the command line of the running script.

    The command line is flags (``--epochs 1``), after a settings file (``.json``, ``.yaml``) or without one; they win
    over it, and it wins over ``defaults``, the settings that the script itself names, and these win over the defaults
    of the class. With ``--print_config`` the script prints all of them and ends. From here on a :class:`UserError` that
    nobody catches ends the script with one line and exit code 2 (see
    :func:`ratsnlp.nlpbook.errors.install_excepthook`).

    Raises:
        UserError: an unknown flag or name, a value of the wrong type or out of its bounds, an unreadable file.
    """
    names = [spec.name for spec in fields(argument_class)]
    if json_file_path is not None:
        return _filled(argument_class, defaults, read_settings(json_file_path, names), {})
    install_excepthook(argument_class.other_names)
    atexit.register(leave_quietly)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a notebook's is none
            stream.reconfigure(errors="replace")  # an emoji must not end a script whose output goes to a file in cp949
    argv = sys.argv[1:]
    settings = read_settings(argv.pop(0), names) if argv and argv[0].lower().endswith(SUFFIXES) else {}
    shown = defaults | {name: setting.value for name, setting in settings.items()}
    flags, prints = _parse_flags(argument_class, shown, argv)
    args = _filled(argument_class, defaults, settings, flags)
    if prints:
        from .settings_listing import list_settings

        print(list_settings(args, defaults, settings, flags))
        raise SystemExit
    for spec in fields(args):
        if spec.metadata.get("writes") and getattr(args, spec.name):
            check_writable(Path(getattr(args, spec.name)), spec.name)
    return args
