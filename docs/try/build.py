"""Makes the page that runs kogpt-mini in a browser: docs/try/index.html and settings.js, out of the server's page and
its fields; and one HTML file with the modules, the weights and the tokenizer inside.

    python docs/try/build.py                       # the folder's page
    python docs/try/build.py output/kogpt-mini.html  # the one file (make try)
"""

import base64
import json
import re
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
HERE, MODEL = REPOSITORY / "docs" / "try", REPOSITORY / "task3-gen" / "kogpt-mini"
sys.path.insert(0, str(REPOSITORY / "task3-gen"))

from ratsnlp.nlpbook.paths import TEMPLATES  # noqa: E402
from ratsnlp.nlpbook.serving.page import presets  # noqa: E402
from ratsnlp.nlpbook.serving.requests import request_fields  # noqa: E402

MADE = "docs/try/build.py로 만듭니다. 직접 고치지 마세요."
SERVER_ALONE = {"num_beams", "length_penalty", "penalty_alpha", "polarity"}  # not done by decoding.js
IMPORT = re.compile(r'^import \{([^}]*)\} from "([^"]+)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (async function\*?|function\*?|class|const) (\w+)", re.MULTILINE)


def settings() -> dict:
    """What ``GET /api/settings`` would say of the engine in the browser."""
    config = json.loads((MODEL / "config.json").read_text(encoding="utf-8"))
    known = {name: field for name, field in request_fields(config["n_positions"], config["vocab_size"]).items()
             if name not in SERVER_ALONE}
    return {"model": "kogpt-mini", "checkpoint": "", "val_loss": None, "engine": "브라우저", "stream": True,
            "steps": True, "seed": True, "eos": [config["eos_token_id"]],
            "fields": [each.described() for each in known.values()], "presets": presets(known)}


def settings_module() -> str:
    written = json.dumps(settings(), ensure_ascii=False, indent=1)
    return f"// {MADE}\nexport const SETTINGS = {written};\n"


def index() -> str:
    """The server's page, with the modules of this folder."""
    page = (TEMPLATES / "serve_gen.html").read_text(encoding="utf-8")
    for old, new in (
            ("<!doctype html>\n", f"<!doctype html>\n<!-- {MADE} -->\n"),
            ("<title>문장 생성</title>", "<title>브라우저에서 실행하는 kogpt-mini</title>"),
            ("connect-src 'self';", "connect-src 'self'; worker-src 'self';"),
            ("serve_gen/page.css", "../../templates/serve_gen/page.css"),
            ("serve_gen/main.js", "main.js")):
        if page.count(old) != 1:
            raise SystemExit(f"templates/serve_gen.html: {old!r} 부분이 하나여야 합니다.")
        page = page.replace(old, new)
    return page


def bundle(entry: Path) -> str:
    """``entry`` and the modules that it imports as one script: each is a function that gives its exports, called when
    it is first asked for."""
    waiting, modules = [entry.resolve()], {}
    while waiting:
        file = waiting.pop()
        if file in modules:
            continue
        text = file.read_text(encoding="utf-8")
        needed = {(file.parent / name).resolve() for _, name in IMPORT.findall(text)}
        waiting += needed

        def required(found, file=file):
            return f"const {{{found[1].replace(' as ', ': ')}}} = load({_name((file.parent / found[2]).resolve())});\n"

        names = [name for _, name in EXPORT.findall(text)]
        text = EXPORT.sub(r"\1 \2", IMPORT.sub(required, text))
        modules[file] = f"{_name(file)}: () => {{\n{text}\nreturn {{{', '.join(names)}}};\n}},"
    return (f"const MODULES = {{\n{chr(10).join(modules.values())}\n}};\nconst LOADED = {{}};\n"
            f"const load = (name) => (LOADED[name] ??= MODULES[name]());\nload({_name(entry.resolve())});\n")


def _name(file: Path) -> str:
    return json.dumps(file.relative_to(REPOSITORY).as_posix())


def single() -> str:
    """The page with everything inside; ``engine.js`` finds the worker, the weights and the tokenizer by their ids."""
    page = index()
    css = (TEMPLATES / "serve_gen" / "page.css").read_text(encoding="utf-8")
    parts = {"worker": ("text/plain", _inline(bundle(HERE / "worker.js"))),
             "tokenizer": ("application/json", _inline((MODEL / "tokenizer.json").read_text(encoding="utf-8"))),
             "config": ("application/json", (MODEL / "config.json").read_text(encoding="utf-8")),
             "weights": ("text/plain", base64.b64encode((MODEL / "model.safetensors").read_bytes()).decode())}
    inside = "\n".join(f'<script type="{kind}" id="{name}">{text}</script>' for name, (kind, text) in parts.items())
    policy = ("default-src 'none'; script-src 'unsafe-inline' blob:; worker-src blob:; style-src 'unsafe-inline'; "
              "img-src data:; base-uri 'none'; form-action 'none'")
    page = re.sub(r'(http-equiv="Content-Security-Policy" content=")[^"]*', lambda found: found[1] + policy, page)
    page = re.sub(r'<link rel="stylesheet"[^>]*>', lambda _: f"<style>\n{css}</style>", page)
    script = f"<script type=\"module\">\n{_inline(bundle(HERE / 'main.js'))}</script>"
    page = re.sub(r'<script type="module"[^>]*></script>\n', "", page)
    return page.replace("</body>", f"{inside}\n{script}\n</body>")


def _inline(text: str) -> str:
    """Within a script element, ``</script`` would end it; in a string of JavaScript or JSON this is the same."""
    return re.sub(r"<(?=/script|!--)", r"\\u003c", text)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).parent.mkdir(parents=True, exist_ok=True)
        Path(sys.argv[1]).write_text(single(), encoding="utf-8")
    else:
        (HERE / "index.html").write_text(index(), encoding="utf-8")
        (HERE / "settings.js").write_text(settings_module(), encoding="utf-8")
