"""A conversation in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from ..errors import UserError
from ..text_files import compose
from .chat import chat_ids, check_messages, special_tokens

if TYPE_CHECKING:
    from .arguments import GenerationGenerateArguments
    from .predictor import Predictor


class TerminalChat:
    """Questions from ``args.prompt`` or, one a line, from standard input, and the answers of ``predictor`` to each with
    all that was said before it. Answers appear as they are written, on standard output.

    Raises:
        UserError: the model has no chat template.
    """

    def __init__(self, predictor: Predictor, args: GenerationGenerateArguments):
        self.predictor, self.args = predictor, args
        self.messages = [{"role": "system", "content": args.system}] if args.system else []
        self.is_typed = args.prompt is None and sys.stdin is not None and sys.stdin.isatty()
        chat_ids(predictor.tokenizer, [{"role": "user", "content": "가"}])  # that there is a template

    def questions(self) -> Iterator[str]:
        """Up to the end of the input (Ctrl+D, on Windows Ctrl+Z and Enter) or Ctrl+C; empty lines are passed over."""
        if self.args.prompt is not None:
            yield self.args.prompt
            return
        if self.is_typed:
            print("질문을 적고 Enter를 누르세요. Ctrl+D(Windows에서는 Ctrl+Z와 Enter)로 끝냅니다.", file=sys.stderr)
        while True:
            try:
                line = compose(input("\n나: " if self.is_typed else "")).strip()
            except (EOFError, KeyboardInterrupt):
                if self.is_typed:
                    print(file=sys.stderr)
                return
            except UnicodeDecodeError as error:
                raise UserError("입력이 UTF-8이 아닙니다. UTF-8로 저장한 파일을 쓰세요.") from error
            if line:
                yield line

    def answer(self, question: str) -> None:
        """Answer, and remember both. A question that cannot be answered is forgotten; where it was typed, the
        conversation goes on."""
        messages = [*self.messages, {"role": "user", "content": question}]
        write = partial(print, end="", flush=True)
        try:
            check_messages(messages, special_tokens(self.predictor.tokenizer).values(), "질문")
            if self.is_typed:
                write("모델: ")
            answer = self.predictor.predict_chat(messages, seed=self.args.seed, write=_Begun(write),
                                                 **self.args.generation)
        except UserError as error:
            if not self.is_typed:
                raise
            print(error, file=sys.stderr)
            return
        write("\n")
        if answer:
            self.messages = [*messages, {"role": "assistant", "content": answer}]
        else:
            print("모델이 아무것도 쓰지 않고 끝냈습니다. 이 질문은 대화에서 뺍니다.", file=sys.stderr)


class _Begun:
    """Passes to ``write`` what it is given, without the white space before the first of it."""

    def __init__(self, write):
        self.write, self.begun = write, False

    def __call__(self, text: str) -> None:
        text = text if self.begun else text.lstrip()
        if text:
            self.begun = True
            self.write(text)
