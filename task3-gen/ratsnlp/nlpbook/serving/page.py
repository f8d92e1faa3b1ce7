"""The web page's files, and what the page asks for before the first text: model, fields, the tour's settings."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..generation.options import DecodingOptions
from ..generation.settings import ALL_SETTINGS
from ..run_folder import val_loss_of

if TYPE_CHECKING:
    from flask import Flask

    from .requests import RequestField

# Said, and not guessed: Windows' registry may call a module text/plain, which no browser runs.
TYPES = {".js": "text/javascript", ".css": "text/css"}


def add_page(app: Flask, server_page: str, inference_fn, known: dict[str, RequestField]) -> None:
    """``GET /``, the files that it loads, and ``GET /api/settings``, whatever ``inference_fn`` is."""
    from flask import jsonify, render_template

    @app.get("/")
    def page():
        return render_template(server_page)

    add_page_files(app, server_page)

    @app.get("/api/settings")
    def settings():
        return jsonify(page_settings(inference_fn, known, app.config.get("CHECKPOINT")))


def add_page_files(app: Flask, server_page: str) -> None:
    """The scripts and styles of a page, from the folder of its name beside it."""
    from flask import abort, send_from_directory

    files = Path(app.template_folder) / Path(server_page).stem

    @app.get(f"/{files.name}/<name>")
    def page_file(name):
        if Path(name).suffix not in TYPES:
            abort(404)
        return send_from_directory(files, name, mimetype=TYPES[Path(name).suffix])


def page_settings(inference_fn, known: dict[str, RequestField], checkpoint: str | None) -> dict[str, Any]:
    """What runs, what it can do, and what a request may hold; ``checkpoint`` is the path of the one that is served."""
    file = Path(checkpoint or "")
    engine = getattr(inference_fn, "engine", None)
    of_engine = {"model": file.parent.name, "engine": "book", "stream": False, "steps": False, "seed": False, "eos": []}
    if engine is not None:
        of_engine = {"model": engine.model_name, "engine": engine.name, "stream": True, "steps": engine.has_steps,
                     "seed": engine.has_seed, "eos": [each for each in engine.eos if each is not None]}
        if engine.label:
            of_engine["label"] = engine.label
        if engine.knobs is not None:
            of_engine["lacks"] = [each.name for each in fields(DecodingOptions) if each.name not in engine.knobs]
            known = {name: each for name, each in known.items() if name not in of_engine["lacks"]}
    return {**of_engine, "checkpoint": file.name, "val_loss": val_loss_of(file.name),
            "fields": [each.described() for each in known.values()], "presets": presets(known)}


def presets(known: dict[str, RequestField]) -> list[dict[str, Any]]:
    """The settings of the tour that name none but ``known`` knobs, without lengths that are the default anyway."""
    found = []
    for number, setting in enumerate(ALL_SETTINGS, start=1):
        knobs = setting.options.named()
        if knobs.keys() <= known.keys():
            knobs = {name: value for name, value in knobs.items()
                     if not name.endswith("_length") or value != known[name].default}
            found.append({"number": number, "knobs": knobs, "look_for": setting.look_for,
                          "compared_with": setting.compared_with})
    return found
