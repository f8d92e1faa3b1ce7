"""The notebook, from top to bottom in a real kernel: it runs without the hub, and what is saved in it is what its code
gives."""

import re
import runpy
import shutil
import sys
import types
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
from helpers import REPOSITORY, SCRIPTS
from line_widths import width

NOTEBOOK = SCRIPTS / "sentence_generation.ipynb"
EXECUTE = runpy.run_path(str(REPOSITORY / "docs" / "notebook.py"))
# Cells that draw tokens: where another kind of CPU rounds otherwise, another one may be drawn.
DRAWN = {"top-k-texts", "temperature-texts", "top-p-texts", "together", "before-after", "polarity", "ask"}


@pytest.fixture(scope="module")
def saved() -> dict[str, nbformat.NotebookNode]:
    """The code cells of the notebook, by their ids."""
    return code_cells(nbformat.read(NOTEBOOK, as_version=4))


@pytest.fixture(scope="module")
def executed(tmp_path_factory) -> tuple[dict[str, nbformat.NotebookNode], Path]:
    """The code cells as a kernel executes them in a copy of what they need, and the folder of that copy."""
    root = tmp_path_factory.mktemp("한글 폴더")
    for name in ("ratsnlp", "kogpt-mini", "data"):
        shutil.copytree(SCRIPTS / name, root / "task3-gen" / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(REPOSITORY / "templates", root / "templates")
    file = shutil.copy(NOTEBOOK, root / "task3-gen")
    return code_cells(EXECUTE["execute"](Path(file))), root


def code_cells(notebook) -> dict[str, nbformat.NotebookNode]:
    return {cell.id: cell for cell in notebook.cells if cell.cell_type == "code"}


def kinds(cell) -> list:
    return [output.get("name") or sorted(output.data) for output in cell.outputs]


def texts(cell) -> list[str]:
    """What the cell gives, as text, without the digits of its numbers."""
    found = [output.text if output.output_type == "stream" else output.data["text/plain"] for output in cell.outputs]
    return [re.sub(r"\d+(?:[.,]\d+)*(?:e[+-]\d+)?", "#", text) for text in found]


def printed(cell) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def test_what_is_saved_is_what_the_code_gives(saved, executed):
    cells, _ = executed
    assert list(saved) == list(cells)
    for name, cell in cells.items():
        assert kinds(cell) == kinds(saved[name]), name
        if name not in DRAWN:
            assert texts(cell) == texts(saved[name]), name


def test_the_story_comes_out(executed):
    """What the text asks the reader to look at is there to be seen."""
    cells, root = executed
    before, after = map(float, re.findall(r"검증 손실 ([\d.]+)", printed(cells["train"])))
    assert after < before - 0.3
    greedy, *others = printed(cells["repeat-texts"]).splitlines()
    assert greedy.count("고래를") > 2 > others[0].count("고래를")
    assert len({line.partition(": ")[2] for line in printed(cells["search-texts"]).splitlines()}) == 3
    one, *_, everything = printed(cells["top-k-texts"]).splitlines()
    assert one.partition(": ")[2] == greedy.partition(": ")[2] != everything.partition(": ")[2]
    told = cells["polarity"].outputs[-1].data["text/plain"]
    shares = {name: float(share) for name, share in re.findall(r"(파인튜닝 [전후], [긍부]정): ([\d.]+)%", told)}
    assert shares["파인튜닝 후, 긍정"] > shares["파인튜닝 전, 긍정"]
    assert shares["파인튜닝 후, 부정"] > shares["파인튜닝 전, 부정"] + 20
    assert "(ㅋㅋ ㅠㅠ)" in printed(cells["jamo"])
    assert "(ㅋ큐ㅠ)" in printed(cells["jamo"])
    assert printed(cells["ask"]).startswith("이 영화는")
    folder = root / "output" / "notebook" / "kogpt-mini"
    assert len(list(folder.glob("epoch=*.ckpt"))) == 1
    assert (folder / "train_record.json").is_file()


def test_nothing_of_the_machine_is_saved(saved):
    text = NOTEBOOK.read_text(encoding="utf-8")
    for trace in (str(REPOSITORY), str(Path.home()), "/tmp", "site-packages", "\\u001b", "Traceback"):
        assert trace not in text, trace
    for cell in saved.values():
        assert all(output.output_type != "error" for output in cell.outputs)
        assert "stderr" not in kinds(cell), cell.id


def test_what_every_kernel_writes_anew_is_left_out(saved):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata == EXECUTE["METADATA"]
    assert all(cell.metadata == {} for cell in notebook.cells)
    assert [cell.execution_count for cell in saved.values()] == list(range(1, len(saved) + 1))
    assert all(output.execution_count == cell.execution_count for cell in saved.values() for output in cell.outputs
               if output.output_type == "execute_result")


def test_the_pictures_are_saved_with_their_words(saved):
    data = [output.data for cell in saved.values() for output in cell.outputs if output.output_type != "stream"]
    pictures = [each for each in data if "image/svg+xml" in each]
    assert len(pictures) == 14
    for picture in pictures:
        root = ElementTree.fromstring(picture["image/svg+xml"])
        assert "max-width: 100%" in root.get("style")
        assert float(root.get("width")) <= 1000
        assert picture["text/plain"].startswith("[그림] ")
    (table,) = (each["text/html"] for each in data if "text/html" in each)
    assert table.count("<tr>") > 35


def test_sections_and_lines():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    told = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert [int(number) for number in re.findall(r"^## (\d+)\.", told, re.MULTILINE)] == list(range(1, 15))
    assert told.count("**실행하기 전에:**") >= 8
    for cell in code_cells(notebook).values():
        for line in cell.source.splitlines():
            assert width(line) <= 100, line
    linked = re.findall(r"\]\(([^)#]+)", told)
    assert linked
    for target in linked:
        assert (SCRIPTS / target).exists(), target


def run(cell, names: dict) -> None:
    """Execute the source of a cell, its magics too, with ``names`` as its own."""
    from IPython.core.inputtransformer2 import TransformerManager

    exec(TransformerManager().transform_cell(cell.source), names)


def test_colab_is_told_what_is_missing_and_installs_from_the_address(saved, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="REPOSITORY에 저장소의 주소를 적고, 내 컴퓨터"):
        run(saved["install"], {})
    magics = []
    shell = types.SimpleNamespace(run_line_magic=lambda *magic: magics.append(magic))
    cell = nbformat.v4.new_code_cell(saved["install"].source.replace('REPOSITORY = ""', 'REPOSITORY = "주소"'))
    run(cell, {"get_ipython": lambda: shell})
    assert magics == [("pip", "install --quiet git+{REPOSITORY}")]


def test_colab_shows_the_page_below_the_cell(saved, tiny_folder, monkeypatch, capsys):
    from ratsnlp.nlpbook.generation import load_pretrained

    shown = []
    output = types.ModuleType("google.colab.output")
    output.serve_kernel_port_as_iframe = lambda port, height: shown.append((port, height))
    colab = types.ModuleType("google.colab")
    colab.output = output
    for name, module in {"google": types.ModuleType("google"), "google.colab": colab}.items():
        monkeypatch.setitem(sys.modules, name, module)
    model, tokenizer = load_pretrained(str(tiny_folder))
    names = {"find_spec": lambda name: name.startswith("google"), "new_model": model, "tokenizer": tokenizer}
    run(saved["serve"], names)
    try:
        assert shown == [(names["server"].effective_port, "800")]
        assert "http://" not in capsys.readouterr().out
        run(saved["ask"], names)
        assert capsys.readouterr().out.startswith("이 영화는")
    finally:
        run(saved["stop"], names)
