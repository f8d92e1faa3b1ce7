"""Settings from a file: a JSON object of names and values."""

import json
from pathlib import Path

from .errors import UserError


def read_settings(path: str | Path, names: list[str]) -> dict:
    """The names and values in the file at ``path``.

    Raises:
        UserError: the file cannot be read, is no JSON object, or names something that is not among ``names``.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            given = json.load(file)
    except OSError as error:
        raise UserError(f"{path}: 설정 파일을 읽을 수 없습니다({error.strerror}).") from error
    except ValueError as error:
        hint = " 경로의 \\는 /나 \\\\로 적으세요." if "escape" in str(error) else ""
        hint = " UTF-8로 저장하세요." if isinstance(error, UnicodeDecodeError) else hint
        raise UserError(f"{path}: JSON이 아닙니다({error}).{hint}") from error
    if not isinstance(given, dict):
        raise UserError(f'{path}: {{"epochs": 1}}처럼 이름과 값의 짝이어야 합니다.')
    for name in given:
        if name not in names:
            raise UserError(f"{path}: {name}: 없는 이름입니다. 쓸 수 있는 이름: {', '.join(names)}")
    return given
