"""The library is a house: a floor knows those below it, and none above."""

import ast
import subprocess
import sys

import pytest
from helpers import SCRIPTS

NLPBOOK = SCRIPTS / "ratsnlp" / "nlpbook"
FLOORS = [  # from the ground up
    ["display", "errors", "experiments", "files", "lazy", "paths", "terminal_log", "text_files", "utils"],
    ["arguments", "devices", "pretrained", "settings_file", "settings_listing"],
    ["argument_groups", "data_utils", "run_folder"],
    ["training"],
    ["generation"],
    ["evaluation", "serving"],
    ["comparison", "exporting", "instruction", "summarization"],
    ["pictures"],
]
# What is imported when a floor's modules are, with every module of the floors above unfindable.
CLIMB = """
import importlib, sys
sys.path.insert(0, {scripts!r})
above = set()
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name in above or any(name.startswith(each + ".") for each in above):
            raise ImportError(f"{{name}} is on a floor above")
sys.meta_path.insert(0, Blocked())
floors = {floors!r}
for number, floor in enumerate(floors):
    above = {{name for higher in floors[number + 1:] for name in higher}}
    for name in {modules!r}[number]:
        importlib.import_module(name)
"""


def modules(name: str) -> list[str]:
    """The modules of a room of ``nlpbook``, by their full names."""
    if (NLPBOOK / f"{name}.py").is_file():
        return [f"ratsnlp.nlpbook.{name}"]
    return [f"ratsnlp.nlpbook.{name}.{file.stem}".removesuffix(".__init__")
            for file in sorted((NLPBOOK / name).glob("*.py"))]


def test_every_module_has_a_floor():
    rooms = {path.stem for path in NLPBOOK.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert rooms - {"__init__"} == {name for floor in FLOORS for name in floor}


def test_each_floor_is_imported_without_those_above():
    climb = CLIMB.format(
        scripts=str(SCRIPTS), floors=[[f"ratsnlp.nlpbook.{name}" for name in floor] for floor in FLOORS],
        modules=[[module for name in floor for module in modules(name)] for floor in FLOORS])
    done = subprocess.run([sys.executable, "-c", climb], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_library_is_imported_without_torch_and_transformers():
    code = (f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); "
            "from ratsnlp import nlpbook; nlpbook.load_arguments, nlpbook.OUTPUT; "
            "print(*sorted({'torch', 'transformers', 'pytorch_lightning', 'numpy', 'flask'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.glob("*.py")))
def test_a_script_imports_no_more_than_torch_before_it_knows_its_arguments(script):
    """So that --help, a typo and a value out of range take no longer than the script's own import of torch."""
    code = (f"import runpy, sys; sys.path.insert(0, {str(SCRIPTS)!r}); sys.argv = ['x', '--help']\n"
            f"try: runpy.run_path({str(SCRIPTS / script)!r}, run_name='__main__')\n"
            "except SystemExit as end: assert not end.code\n"
            "print('LOADED', *sorted({'transformers', 'pytorch_lightning', 'flask', 'sklearn'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].split() == ["LOADED"]


@pytest.mark.parametrize("package", ["nlpbook", "nlpbook/generation", "nlpbook/summarization"])
def test_the_names_of_a_face_are_those_that_editors_see(package):
    import importlib

    face = importlib.import_module(f"ratsnlp.{package.replace('/', '.')}")
    source = (SCRIPTS / "ratsnlp" / package / "__init__.py").read_text(encoding="utf-8")
    seen = [alias.asname for line in ast.walk(ast.parse(source)) if isinstance(line, ast.ImportFrom)
            for alias in line.names if alias.asname]
    assert face.__all__ == seen
    assert all(getattr(face, name) is not None for name in seen)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        face.nothing  # noqa: B018
