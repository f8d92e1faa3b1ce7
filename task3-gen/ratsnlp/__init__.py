"""A drop-in for the library of ratsgo's nlpbook: the book's import lines work unchanged.

The package has the name of the original on purpose, so that ``from ratsnlp import nlpbook`` and
``from ratsnlp.nlpbook.generation import GenerationTask`` are the very lines of the book. What differs
from ratsnlp 1.0.53:

* only sentence generation (``ratsnlp.nlpbook.generation``) is here;
* it runs on today's PyTorch, Lightning and transformers;
* padding is not in the loss, ``token_type_ids`` are not fed to the model, the learning rate warms up and decays, unless
  ``recipe="book"`` asks for the numbers of the original (see :mod:`ratsnlp.nlpbook.generation.recipes`);
* there is no feature cache on disk;
* a user's mistake is one Korean line (:class:`ratsnlp.nlpbook.UserError`), not a traceback from a library.
"""

import sys
from importlib.util import find_spec
from pathlib import Path


def _tell_the_right_python() -> None:
    """End a script of the repository that runs under a Python without its packages; one line names the right Python."""
    folder = Path(__file__).resolve().parents[1]
    if folder not in Path(sys.argv[0]).resolve().parents:
        return
    missing = next((name for name in ("torch", "transformers", "pytorch_lightning") if find_spec(name) is None), None)
    if missing is None:
        return
    python = folder.parent / (".venv/Scripts/python.exe" if sys.platform == "win32" else ".venv/bin/python")
    advice = f"{python} {sys.argv[0]}로 실행하세요" if python.exists() else "먼저 README.md의 명령으로 설치하세요"
    print(f"오류: 이 파이썬({sys.executable})에는 {missing} 패키지가 없습니다. {advice}.", file=sys.stderr)
    raise SystemExit(2)


_tell_the_right_python()
