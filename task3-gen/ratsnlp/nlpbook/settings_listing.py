"""All settings of a script as a settings file, each with where it comes from (``--print_config``)."""

import json
import re
from dataclasses import fields

from .arguments import checked, flags_by_heading
from .display import pad, width
from .settings_file import Setting

WIDEST = 48  # columns: a longer value does not push the column behind it


def list_settings(args, defaults: dict, settings: dict[str, Setting], flags: dict) -> str:
    """All settings of ``args`` as a settings file, each with where it comes from."""
    instead = {spec.metadata.get("instead_of"): spec.name for spec in fields(args) if getattr(args, spec.name)}
    groups = {}
    for heading, shown in flags_by_heading(type(args), {}).items():
        rows = groups[heading] = []
        for spec, kind, _ in shown:
            name, value = spec.name, getattr(args, spec.name)
            source, given = (
                ("플래그", flags[name]) if name in flags
                else (str(settings[name].file), settings[name].value) if name in settings
                else ("스크립트", defaults[name]) if name in defaults else ("클래스 기본값", spec.default))
            if checked(spec, given, kind) != value:
                source = "다른 설정에 따라"
            if name in instead:
                rows.append((f"# {name}", "", f"{instead[name]}에 따라"))
            elif value and spec.metadata.get("secret"):
                rows.append((f"# {name}", "(보이지 않음)", source))
            else:
                rows.append((name, value, source))
    return _yaml_text(groups)


def _yaml_text(groups: dict[str, list[tuple[str, object, str]]]) -> str:
    """A file of YAML with a section of each group of ``(name, value, note)``; the notes stand in a column behind the
    values. A name with ``#`` before it is no setting, and its value words."""
    names = max(width(name) for rows in groups.values() for name, *_ in rows) + 2
    written = {heading: [(f"{name}:", str(value) if name.startswith("#") else _yaml(value), note)
                         for name, value, note in rows] for heading, rows in groups.items()}
    widths = (width(value) for rows in written.values() for _, value, _ in rows)
    values = max((columns for columns in widths if columns <= WIDEST), default=0)
    lines = []
    for heading, rows in written.items():
        lines.append(f"{_yaml(heading)}:")
        lines += [f"  {pad(name, names)}{pad(value, values)}  # {note}" for name, value, note in rows]
    return "\n".join(lines)


def _yaml(value) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_yaml, value))}]"
    if not isinstance(value, str):
        return str(value)
    plain = re.fullmatch(r"~?/?[^\W\d_][\w./-]*", value)
    if plain and value.lower() not in ("null", "true", "false", "yes", "no", "on", "off", "y", "n"):
        return value
    return json.dumps(value, ensure_ascii=False).replace("${", "\\\\${")
