"""Dialogues from where the user has them, and their summaries as a file or in the terminal."""

import csv
import sys
from pathlib import Path

from ..errors import UserError
from ..evaluation.summaries import baselines, metrics_table, morpheme_units, summary_metrics
from ..generation.prompts import read_standard_input
from ..generation.text_output import TextOutput
from .dialogues import DialogueExample, clean_dialogue, read_dialogues


def read_input(args) -> list[DialogueExample]:
    """``args.dialogue``, the dialogue on standard input (``args.input`` is ``-`` or not named), or the rows of the file
    ``args.input``.

    Raises:
        UserError: there is none, or as :func:`~.dialogues.read_dialogues`; ``args.morphemes``, and there is nothing to
            count them with.
    """
    if args.morphemes:
        morpheme_units("")
    if args.input not in (None, "-"):
        return read_dialogues(args.input)
    if args.dialogue is None and args.input is None and (sys.stdin is None or sys.stdin.isatty()):
        raise UserError("dialogue: 요약할 것이 없습니다. --dialogue나 --input을 지정하세요.")
    text = read_standard_input() if args.dialogue is None else args.dialogue.replace("\\n", "\n")
    place = "표준 입력" if args.dialogue is None else "dialogue"
    return [DialogueExample(place, clean_dialogue(text, place), (), place)]


class SummaryOutput(TextOutput):
    """The summaries of ``examples``, for ``args.output``, a new ``.csv`` (``fname,summary``) or ``.jsonl`` file, or for
    standard output. What is finished is kept as :class:`~ratsnlp.nlpbook.generation.TextOutput` keeps texts."""

    def __init__(self, args, examples: list[DialogueExample], predictor):
        super().__init__(args, [example.dialogue for example in examples], predictor)
        self.examples = examples

    def finish(self) -> None:
        """Write all summaries, in the order of their dialogues; say how many the limit has cut off."""
        super().finish()
        cut = sum(not ended for *_, ended in self.texts)
        if cut:
            print(f"요약 {len(self.texts):,}개 가운데 {cut:,}개는 최대 길이에서 잘렸습니다(finish_reason: length). "
                  "--max_new_tokens를 늘려 보세요.", file=sys.stderr)

    @property
    def has_references(self) -> bool:
        """Whether people have summarized the dialogues too."""
        return all(example.references for example in self.examples)

    def report(self) -> str:
        """How close the summaries are to those that people wrote, beside the baselines."""
        references = [example.references for example in self.examples]
        written, morphemes = [text for _, _, text, _ in self.texts], self.args.morphemes
        return metrics_table({"model": summary_metrics(written, references, morphemes),
                              **baselines([example.dialogue for example in self.examples], references, morphemes)})

    def _print(self) -> None:
        for row in self._rows():
            print(row["summary"] if len(self.texts) == 1 else f"{row['fname']}\t{row['summary']}")

    def _write_table(self, file: Path) -> None:
        with open(file, "w", encoding="utf-8-sig", newline="") as opened:
            table = csv.writer(opened)
            table.writerow(("fname", "summary"))
            table.writerows((row["fname"], row["summary"]) for row in self._rows())

    def _rows(self) -> list[dict]:
        return [{"fname": self.examples[number].fname, "summary": text, "finish_reason": "stop" if ended else "length"}
                for number, _, text, ended in self.texts]
