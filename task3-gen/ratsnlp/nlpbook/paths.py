"""Where the project's own files lie, in a clone and where pip has installed the package."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
# where pip puts page, model and data, which lie beside the package here
INSTALLED = Path(__file__).resolve().parents[1] / "bundled"
BUNDLED = INSTALLED if INSTALLED.is_dir() else REPOSITORY
BUNDLED_DATA = BUNDLED / "task3-gen" / "data"
KOGPT_MINI = BUNDLED / "task3-gen" / "kogpt-mini"
KOBART_MINI = BUNDLED / "task3-gen" / "kobart-mini"
BUNDLED_MODELS = {"kogpt-mini": KOGPT_MINI, "kobart-mini": KOBART_MINI}
TEMPLATES = BUNDLED / "templates"
OUTPUT = (Path.cwd() if INSTALLED.is_dir() else REPOSITORY) / "output"
