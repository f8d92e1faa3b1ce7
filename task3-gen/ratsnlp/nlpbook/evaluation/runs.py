"""Runs side by side, from their records: what they were told differently, and what came of it."""

import json
import math
from pathlib import Path

from ..display import table, width
from ..errors import UserError
from ..run_folder import RunFolder

_STATES = {"running": "진행 중이거나 강제 종료됨", "finished": "끝남", "interrupted": "중단함", "failed": "오류로 멈춤"}
_PLACES = ("downstream_model_dir", "run_name")  # what a column is called, not what it was told
_NONE = "-"


def compare_runs(folders: tuple[str, ...]) -> str:
    """A table of the runs in ``folders``, a column each: the settings that are not equal in all, then the figures.

    The metrics are those of the best epoch by the run's own ``monitor``; below stand those of ``report.json`` where
    ``eval_gen.py`` has left one beside the record.

    Raises:
        UserError: there is no folder, or one without a record.
    """
    if not folders:
        raise UserError("compare: 비교할 폴더가 없습니다. --compare output/가 output/나처럼 적으세요.")
    records = []
    for name in folders:
        folder = RunFolder(Path(name).expanduser())
        records.append(folder.read_record())
        if not records[-1].get("arguments"):
            raise UserError(f"compare: {folder.record} 파일이 없거나 읽을 수 없습니다. 학습한 폴더를 적으세요.")
    settings = [record["arguments"] for record in records]
    differing = [name for name in dict.fromkeys(name for each in settings for name in each)
                 if name not in _PLACES and any(each.get(name) != settings[0].get(name) for each in settings)]
    figures = [_figures(record) | _evaluated(Path(name).expanduser())
               for record, name in zip(records, folders, strict=True)]
    shown = [["", *_headings(folders)]]
    for name in differing:
        shown.append([name, *(_shown(each.get(name)) for each in settings)])
    for name in dict.fromkeys(name for each in figures for name in each):
        shown.append([name, *(_shown(each.get(name)) for each in figures)])
    lines = table(shown).splitlines()
    rule = "-" * max(map(width, lines))
    head, rows = lines[0], lines[1:]
    return "\n".join([head, rule, *(rows[: len(differing)] + [rule] if differing else []), *rows[len(differing) :]])


def _headings(folders: tuple[str, ...]) -> list[str]:
    """The folders' own names, or where two have the same one, their paths."""
    names = [Path(folder).expanduser().resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else list(folders)


def _figures(record: dict) -> dict:
    epochs = record.get("epochs", [])
    found = {"상태": _STATES.get(record.get("state")), "마친 에폭": len(epochs),
             "시간(초)": record.get("seconds", epochs[-1]["seconds"] if epochs else None)}
    best = _best_epoch(epochs, record["arguments"].get("monitor", "min val_loss"))
    if best is None:
        return found
    found["가장 좋은 에폭"] = best["epoch"] + 1
    metrics = {name: value for name, value in best.items() if name not in ("epoch", "seconds")}
    return found | {name: metrics[name] for name in sorted(metrics, key=lambda name: (name != "val_loss", name))}


def _evaluated(folder: Path) -> dict:
    """The figures of ``report.json``, or nothing where there is none."""
    try:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        return {"글자당 비트(report.json)": report["bits_per_char"],
                "제어 단어 일치율(report.json)": report["control"]["둘 다"]["accuracy"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _best_epoch(epochs: list[dict], monitor: str) -> dict | None:
    """The first of the epochs whose value is the best; one that is no number is none."""
    mode, name = monitor.split()
    known = [epoch for epoch in epochs if math.isfinite(epoch.get(name, math.nan))]
    return (min if mode == "min" else max)(known, key=lambda epoch: epoch[name], default=None)


def _shown(value) -> str:
    if value is None:
        return _NONE
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
