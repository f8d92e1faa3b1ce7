"""Settings from a file: a JSON object of names and values, or YAML files that extend one another."""

import difflib
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from .errors import UserError
from .paths import BUNDLED_DATA, OUTPUT

SUFFIXES = (".json", ".yaml", ".yml")


class Setting(NamedTuple):
    """A value, and where it stands: ``place`` is ``file: key``, the key with its section (``training.epochs``)."""

    value: object
    file: Path
    place: str


def read_settings(path: str | Path, names: list[str]) -> dict[str, Setting]:
    """The names and values in the file at ``path``.

    A file of YAML may begin with ``extends: other.yaml`` (from its own folder), over whose settings its own win, and
    may put settings into sections, whose names mean nothing. ``${name}`` is another setting; ``${OUTPUT}`` and
    ``${BUNDLED_DATA}`` are the folders that scripts know by these names, ``${gpu:32,4}`` is 32 where there is a GPU.

    Raises:
        UserError: the file cannot be read, is no JSON object or no YAML of that shape, extends itself, or names
            something that is not among ``names``, or one name twice.
    """
    path = Path(path)
    if path.suffix.lower() in (".yaml", ".yml"):
        return _resolved(_read_chain(path, names))
    return dict(_checked_names(path, ((name, name, value) for name, value in _read_json(path).items()), names))


def close_match(name: str, names: Iterable[str], before: str = "") -> str:
    """What a message says behind a ``name`` that there is not."""
    close = difflib.get_close_matches(name, names, n=1)
    return f" 혹시 {before}{close[0]}인가요?" if close else " --help로 쓸 수 있는 옵션을 볼 수 있습니다."


def _text(path: Path, extended_by: str = "") -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{extended_by}{path}: 설정 파일을 읽을 수 없습니다({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: UTF-8이 아닙니다({error}). UTF-8로 저장하세요.") from error


def _read_json(path: Path) -> dict:
    try:
        given = json.loads(_text(path))
    except json.JSONDecodeError as error:
        hint = " 경로의 \\는 /나 \\\\로 적으세요." if "escape" in str(error) else ""
        raise UserError(f"{path}: JSON이 아닙니다({error}).{hint}") from error
    if not isinstance(given, dict):
        raise UserError(f'{path}: {{"epochs": 1}}처럼 이름과 값의 짝이어야 합니다.')
    return given


def _read_chain(path: Path, names: list[str], below: tuple[Path, ...] = ()) -> dict[str, Setting]:
    """The settings of ``path`` and of those it extends; ``below`` are the files that led here."""
    extended_by = f"{below[-1]}: extends: " if below else ""
    if path.resolve() in (file.resolve() for file in below):
        raise UserError(f"{extended_by}파일들이 서로를 가리켜 끝나지 않습니다: {' → '.join(map(str, [*below, path]))}")
    tree = _read_yaml(path, extended_by)
    base = tree.pop("extends", None)
    if base is not None and type(base) is not str:
        raise UserError(f"{path}: extends: base.yaml처럼 파일 이름 하나여야 하는데 {base!r}입니다.")
    settings = _read_chain(path.parent / base, names, (*below, path)) if base else {}
    return settings | dict(_checked_names(path, _flat(path, tree), names))


def _read_yaml(path: Path, extended_by: str) -> dict:
    text = _text(path, extended_by)
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        tree = OmegaConf.to_container(OmegaConf.load(io.StringIO(text)))
    except YAMLError as error:
        raise UserError(_no_yaml(path, text, error)) from error
    except (OmegaConfBaseException, OSError, RecursionError, ValueError) as error:  # OSError: a lone number
        key = getattr(error, "full_key", None)
        place = f"{path}: {key}" if key else path
        raise UserError(f"{place}: YAML 설정으로 읽을 수 없습니다({_first_line(error)}).") from error
    if not isinstance(tree, dict):
        raise UserError(f"{path}: 목록이 아니라 epochs: 1처럼 이름과 값의 짝이어야 합니다.")
    if not tree:
        raise UserError(f"{path}: 설정이 하나도 없습니다. epochs: 1처럼 이름과 값을 적으세요.")
    return tree


def _no_yaml(path: Path, text: str, error) -> str:
    """What a message says of a file that is no YAML, with its line where the ``error`` tells one."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or _first_line(error)
    place = f"{path} {mark.line + 1}번째 줄" if mark else str(path)
    line = text.splitlines()[mark.line] if mark and mark.line < len(text.splitlines()) else ""
    if problem.startswith("found duplicate key"):
        return f"{place}: {problem.removeprefix('found duplicate key ')}: 같은 이름이 두 번 있습니다. 하나만 적으세요."
    if "\t" in line[: mark.column + 1 if mark else 0]:
        return f"{place}: YAML에서는 탭으로 들여 쓸 수 없습니다. 공백으로 바꾸세요."
    hint = " 경로의 \\는 /로 적으세요." if "\\" in line else " 특수 문자가 든 값은 따옴표로 감싸세요." if line else ""
    return f"{place}: YAML로 읽을 수 없습니다({problem}).{hint}"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _flat(path: Path, tree: dict) -> Iterator[tuple[str, str, object]]:
    """Key, name and value of each setting, in sections or not."""
    for name, value in tree.items():
        if not isinstance(value, dict):
            yield str(name), name, value
            continue
        for inner, part in value.items():
            if isinstance(part, dict):
                raise UserError(f"{path}: {name}.{inner}: 섹션 안에는 섹션을 둘 수 없습니다.")
            yield f"{name}.{inner}", inner, part


def _checked_names(path: Path, given: Iterable[tuple[str, str, object]],
                   names: list[str]) -> Iterator[tuple[str, Setting]]:
    keys = {}
    for key, name, value in given:
        if name not in names:
            hint = close_match(str(name), names)
            if value is None and key == str(name):
                hint = " 섹션이라면 그 안에 설정을 적거나, 이 줄을 지우세요."
            raise UserError(f"{path}: {key}: 없는 이름입니다.{hint}")
        if name in keys:
            raise UserError(f"{path}: {key}: {keys[name]}에도 있습니다. 하나만 적으세요.")
        keys[name] = key
        yield name, Setting(value, path, f"{path}: {key}")


def _resolved(settings: dict[str, Setting]) -> dict[str, Setting]:
    """``settings`` with each ``${…}`` replaced by what it means."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    OmegaConf.register_resolver("gpu", _where_there_is_a_gpu, replace=True)
    known = {"OUTPUT": str(OUTPUT), "BUNDLED_DATA": str(BUNDLED_DATA)}
    tree = OmegaConf.create(known | {name: setting.value for name, setting in settings.items()})
    found = {}
    for name, setting in settings.items():
        if "${" not in str(setting.value):
            found[name] = setting
            continue
        try:
            value = tree[name]
            value = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        except (OmegaConfBaseException, ValueError, TypeError) as error:
            raise UserError(
                f"{setting.place}: {setting.value!r} 값을 구할 수 없습니다({_first_line(error)}).") from error
        found[name] = setting._replace(value=value)
    return found


def _where_there_is_a_gpu(there, else_):
    import torch

    return there if torch.cuda.is_available() else else_
