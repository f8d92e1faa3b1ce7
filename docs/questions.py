"""Asks a model that has learnt the questions of task3-gen/data/questions all of them, and puts how many it answers word
for word, and a conversation in the terminal, into docs/instructions.md.

    python docs/questions.py            # after the training at the beginning of that page; half a minute
"""

import csv
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPTS, PAGE = REPOSITORY / "task3-gen", REPOSITORY / "docs" / "instructions.md"
sys.path.insert(0, str(SCRIPTS))

from marks import put  # noqa: E402  beside this file

from ratsnlp.nlpbook.generation import GenerationTextArguments, Predictor  # noqa: E402
from ratsnlp.nlpbook.generation.chat import chat_ids  # noqa: E402
from ratsnlp.nlpbook.instruction import load_conversation_datasets  # noqa: E402
from ratsnlp.nlpbook.paths import BUNDLED_DATA, OUTPUT  # noqa: E402

TABLE, MODEL = BUNDLED_DATA / "questions" / "questions.csv", OUTPUT / "questions"
TYPED = ["온도를 올리면 어떤 텍스트가 나와?", "그럼 시드는 왜 정해?", "LoRA가 뭐야?"]


def main() -> None:
    with open(TABLE, encoding="utf-8", newline="") as file:
        answers = {row["question"]: row["answer"] for row in csv.DictReader(file)}
    predictor = Predictor.from_pretrained(str(MODEL))
    _, held_out = load_conversation_datasets(GenerationTextArguments(
        dataset_path=str(TABLE), prompt_column="question", response_column="answer"), predictor.tokenizer)
    questions = list(answers)
    learnt = [question for question in questions if question not in held_out.questions]
    lines = ["| 질문 | 혼자 물었을 때 | 다른 질문과 답변 다음에 물었을 때 |", "| --- | --- | --- |"]
    for kind, asked in (("학습한 질문", learnt), ("학습하지 않은 말로 물은 것", list(held_out.questions))):
        exact = [sum(text == answers[question] for text, question in zip(
            ask(predictor, [[*before(answers, questions, question)] * follows + [message("user", question)]
                            for question in asked]), asked, strict=True)) for follows in (False, True)]
        lines.append(f"| {kind} {len(asked)}개 | " + " | ".join(
            f"{count / len(asked):.1%} ({count}개)" for count in exact) + " |")
    told = subprocess.run(
        [sys.executable, SCRIPTS / "generate.py", "--chat", "--model_name_or_path", MODEL, "--seed", "7"],
        input="\n".join(TYPED), capture_output=True, text=True, encoding="utf-8", check=True).stdout.splitlines()
    lines += ["", *(f"> **나:** {question} <br> **모델:** {answer} <br>"
                    for question, answer in zip(TYPED, told, strict=True))]
    put(PAGE, "questions", "results", "\n".join(lines).removesuffix(" <br>"))


def message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def before(answers: dict[str, str], questions: list[str], question: str) -> list[dict[str, str]]:
    """A question about something else, and its answer."""
    other = questions[(questions.index(question) + 30) % len(questions)]
    return [message("user", other), message("assistant", answers[other])]


def ask(predictor: Predictor, conversations: list[list[dict[str, str]]]) -> list[str]:
    ids = [chat_ids(predictor.tokenizer, messages) for messages in conversations]
    return [text.strip() for text in predictor.predict_batch(ids, max_new_tokens=80, do_sample=False)]


if __name__ == "__main__":
    main()
