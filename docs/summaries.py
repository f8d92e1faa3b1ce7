"""Summarizes dialogues of three kinds by kobart-mini, and puts how well into docs/summarization.md, and the example of
the README.

    python docs/summaries.py            # a minute; the dialogues that are made are under output/dialogues/made
"""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "task3-gen"))

from marks import put  # noqa: E402  beside this file

from ratsnlp.nlpbook.paths import BUNDLED_DATA, OUTPUT  # noqa: E402
from ratsnlp.nlpbook.summarization import (  # noqa: E402
    Predictor,
    baselines,
    fetch_dialogues,
    read_dialogues,
    summary_metrics,
)

PAGE, README = REPOSITORY / "docs" / "summarization.md", REPOSITORY / "README.md"
FILES = {
    "만든 대화, 새 조합(`made/dev.csv`)": OUTPUT / "dialogues" / "made" / "dev.csv",
    "만든 대화, 새 이름(`made/unseen_names.csv`)": OUTPUT / "dialogues" / "made" / "unseen_names.csv",
    "사람이 쓴 대화(`data/dialogues/dev.csv`)": BUNDLED_DATA / "dialogues" / "dev.csv"}
ROWS = {"model": "kobart-mini", "first_turn": "첫 발화", "longest_turn": "가장 긴 발화"}


def main() -> None:
    fetch_dialogues(SimpleNamespace(downstream_corpus_root_dir=OUTPUT / "dialogues", downstream_corpus_name="made"))
    predictor = Predictor.from_pretrained("kobart-mini")
    predictor.truncate = True
    lines = ["| 대화 | 요약 | 정확히 일치 | ROUGE-1 | ROUGE-2 | ROUGE-L | 어절 ROUGE-L | chrF |",
             "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for kind, file in FILES.items():
        examples = read_dialogues(file, summaries=True)
        dialogues, references = [each.dialogue for each in examples], [each.references for each in examples]
        written = predictor.predict_batch(dialogues)
        rows = {"model": summary_metrics(written, references), **baselines(dialogues, references)}
        for name, row in rows.items():
            rouges = " | ".join(f"{row[key]:.3f}" for key in ("rouge1", "rouge2", "rougeL", "rougeL_word"))
            lines.append(f"| {kind} | {ROWS[name]} | {row['exact']:.0%} | {rouges} | {row['chrf']:.1f} |")
    lines += ["", f"사람이 쓴 대화 하나({examples[0].fname})의 요약입니다.", "", f"> kobart-mini: {written[0]} <br>",
              f"> 사람: {references[0][0]}"]
    put(PAGE, "summaries", "results", "\n".join(lines))
    example = re.search(r'infer_sum-0.py --dialogue "(.*?)"', README.read_text(encoding="utf-8"), re.DOTALL)[1]
    put(README, "summaries", "first", "> " + predictor.predict_single(example.replace("\\\n", "").replace("\\n", "\n")))


if __name__ == "__main__":
    main()
