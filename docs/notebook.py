"""Executes task3-gen/sentence_generation.ipynb from top to bottom and keeps the outputs in it.

    python docs/notebook.py
"""

import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parents[1] / "task3-gen" / "sentence_generation.ipynb"
# What every kernel would write anew: its version, the times of its cells.
METADATA = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"}}


def execute(file: Path) -> nbformat.NotebookNode:
    """The notebook ``file`` with the outputs of a kernel that runs in its folder, without the hub.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(file, as_version=4)
    client = NotebookClient(
        notebook, kernel_name="python3", timeout=600, coalesce_streams=True, record_timing=False,
        resources={"metadata": {"path": str(file.parent)}})
    client.execute(env={**os.environ, "HF_HUB_OFFLINE": "1"})
    notebook.metadata = nbformat.from_dict(METADATA)
    return notebook


if __name__ == "__main__":
    nbformat.write(execute(NOTEBOOK), NOTEBOOK)
