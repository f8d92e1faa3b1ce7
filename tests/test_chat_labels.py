"""Which tokens of a conversation are learnt, beside those that TRL learns of it, with the chat templates that Llama 3,
Llama 3.2 and Qwen3 are published with (TRL carries them)."""

import copy
import random
from importlib.util import find_spec
from pathlib import Path

import pytest
from chat_models import LLAMA, QWEN, TEMPLATES, chat_tokenizer
from transformers import AutoModelForCausalLM

from ratsnlp.nlpbook.generation.chat import DATE
from ratsnlp.nlpbook.generation.loss import IGNORED
from ratsnlp.nlpbook.instruction import Conversation, ConversationDataset, Limits, conversation

if find_spec("trl") is None:
    pytest.skip("TRL이 없습니다: pip install -r requirements-trl.txt", allow_module_level=True)

PUBLISHED = {"llama3": LLAMA, "llama3_2": LLAMA, "qwen3": QWEN}
BEHIND = {"llama3": "", "llama3_2": "", "qwen3": "\n"}  # what they write behind the end of an answer
THINKING = "<think>\n\n</think>\n\n"
SETTINGS = {"enable_thinking": False, "date_string": DATE}
PIECES = (
    "안녕하세요", "내일 3시에 만나요.", "😀", "👩‍👩‍👧", "\n", "\n\n", " ", "New York에서", "ㅋㅋㅋ",
    "1,234,567원", "…", "?!", "그래서", "한글과 ", "def f(x):\n    return x", "“따옴표”",
    "#Person1#: 네.\n#Person2#: 아니요.", "뷁쀍", "a", "3.14", "'s", "\t", "漢字")
LIMITS = Limits(4096, 4096, 8192, ("encoder_max_len", "decoder_max_len"))


def made_text(source: random.Random) -> str:
    """Korean, English, digits, emoji and line breaks in any mixture, cut off anywhere."""
    text = "".join(source.choices(PIECES, k=source.randint(1, 12)))
    return text[: source.randint(1, len(text))].strip() or made_text(source)


def made_messages(source: random.Random, turns: int) -> list[dict]:
    roles = [*(["system"] if source.random() < 0.5 else []), *["user", "assistant"] * turns]
    return [{"role": role, "content": made_text(source)} for role in roles]


@pytest.fixture(scope="module")
def tokenizer_of(documents):
    """The tokenizers of the three, with their published templates."""
    import trl

    folder = Path(trl.__file__).parent / "chat_templates"
    tokenizers = {name: chat_tokenizer(kind, [*documents[:400], "\n\n"]) for name, kind in PUBLISHED.items()}
    for name, tokenizer in tokenizers.items():
        tokenizer.chat_template = (folder / f"{name}.jinja").read_text(encoding="utf-8")
    return tokenizers


@pytest.fixture
def trl_rows(chat_models, tmp_path):
    """The token ids and labels that TRL's SFTTrainer makes of rows of its own form."""
    from accelerate.state import AcceleratorState
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    def rows_of(name: str, tokenizer, rows: list[dict], **changes) -> list[tuple[list[int], list[int]]]:
        rows = [{**row, "chat_template_kwargs": SETTINGS} for row in rows]
        trainer = SFTTrainer(
            AutoModelForCausalLM.from_pretrained(chat_models[PUBLISHED[name]]), SFTConfig(
                str(tmp_path), use_cpu=True, bf16=False, report_to="none", max_length=None, **changes),
            train_dataset=Dataset.from_list(rows), processing_class=copy.deepcopy(tokenizer))
        return [(row["input_ids"], row["labels"]) for row in trainer.train_dataset]

    yield rows_of
    AcceleratorState._reset_state(reset_partial_state=True)  # the process's, which another trainer would find


def our_rows(tokenizer, messages: list[list[dict]]) -> list[list[tuple[list[int], list[int]]]]:
    """The token ids and labels of the rows of each conversation, without padding."""
    dataset = ConversationDataset(
        tokenizer, [Conversation(tuple(each), f"{number}번째", each[-2]["content"])
                    for number, each in enumerate(messages)], LIMITS, False, "test")
    rows = [[] for _ in messages]
    for number, row in zip(dataset.documents, dataset, strict=True):
        length = sum(row.attention_mask)
        assert set(row.labels[length:]) <= {IGNORED}
        rows[number].append((row.input_ids[:length], row.labels[:length]))
    return rows


def learnt(labels: list[int]) -> list[list[int]]:
    """The runs of labels that count."""
    runs = [[]]
    for label in labels:
        if label != IGNORED:
            runs[-1].append(label)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def ids_of(tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)


@pytest.mark.parametrize("name", PUBLISHED)
def test_of_one_turn_we_learn_what_trl_learns_of_a_completion(name, tokenizer_of, trl_rows):
    """But for what the template writes behind the end of the answer, where nobody reads on."""
    tokenizer, source = tokenizer_of[name], random.Random(1)
    messages = [made_messages(source, 1) for _ in range(40)]
    assert {len(each) for each in messages} == {2, 3}
    theirs = trl_rows(name, tokenizer, [{"prompt": each[:-1], "completion": each[-1:]} for each in messages])
    behind = ids_of(tokenizer, BEHIND[name])
    assert len(behind) == len(BEHIND[name])
    for [(ids, labels)], (their_ids, their_labels) in zip(our_rows(tokenizer, messages), theirs, strict=True):
        assert ids + behind == their_ids
        assert labels + behind == their_labels
        (answer,) = learnt(labels)
        assert answer[-1] == tokenizer.eos_token_id
        assert len(answer) > 1


@pytest.mark.parametrize("name", ["llama3", "qwen3"])  # TRL has no training template of Llama 3.2
@pytest.mark.parametrize("turns", [1, 3])
def test_of_many_turns_we_learn_the_answers_that_trl_learns(name, turns, tokenizer_of, trl_rows):
    """Llama's conversations are a row, as TRL's. Qwen's TRL renders as Qwen's template does not: with the empty block
    of thoughts in every answer, where it learns it too. We learn each answer behind what its question is rendered to.
    """
    tokenizer, source = tokenizer_of[name], random.Random(2)
    messages = [made_messages(source, turns) for _ in range(20)]
    theirs = trl_rows(name, tokenizer, [{"messages": each} for each in messages], assistant_only_loss=True)
    ours = our_rows(tokenizer, messages)
    if name == "llama3":
        assert [row for (row,) in ours] == theirs
        assert all(len(learnt(labels)) == turns for _, labels in theirs)
        return
    thinking, behind = ids_of(tokenizer, THINKING), ids_of(tokenizer, "\n")
    for each, rows, (_, their_labels) in zip(messages, ours, theirs, strict=True):
        assert len(rows) == turns
        places = [place for place, message in enumerate(each) if message["role"] == "assistant"]
        for place, (ids, labels) in zip(places, rows, strict=True):
            prompt = tokenizer.apply_chat_template(
                each[:place], add_generation_prompt=True, return_dict=False, **SETTINGS)
            answer = [*ids_of(tokenizer, each[place]["content"]), tokenizer.eos_token_id]
            assert prompt[-len(thinking) :] == thinking
            assert ids == prompt + answer
            assert labels == [IGNORED] * len(prompt) + answer
        assert [thinking + answer + behind for _, labels in rows for answer in learnt(labels)] == learnt(their_labels)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_mask_of_transformers_is_zero_where_ours_is_not(name, tokenizer_of):
    """None of these templates marks its answers ({% generation %})."""
    tokenizer = tokenizer_of[name]
    messages = made_messages(random.Random(3), 2)
    trap = tokenizer.apply_chat_template(
        messages, return_dict=True, return_assistant_tokens_mask=True, **SETTINGS)["assistant_masks"]
    assert set(trap) == {0}
    answers = [each["content"] for each in messages if each["role"] == "assistant"]
    (rows,) = our_rows(tokenizer, [messages])
    runs = [run for _, labels in rows for run in learnt(labels)]
    assert runs == [[*ids_of(tokenizer, answer), tokenizer.eos_token_id] for answer in answers]


@pytest.mark.parametrize("name", PUBLISHED)
def test_white_space_around_a_text_and_parts_of_hangul_change_nothing(name, tokenizer_of):
    tokenizer = tokenizer_of[name]
    dataset = [ConversationDataset(tokenizer, [conversation(*texts, "1번째", system=system)], LIMITS, False, "test")[0]
               for *texts, system in (("몇 시예요?", "세 시예요.", "짧게"),
                                      ("\n 몇 시예요? \n", "\n\n세 시예요.\n", " 짧게 "))]
    assert dataset[0] == dataset[1]


@pytest.mark.parametrize(("kind", "name"), [(LLAMA, "llama3"), (QWEN, "qwen3")])
def test_the_templates_of_the_other_tests_write_what_the_published_ones_do(kind, name, tokenizer_of):
    published, source = tokenizer_of[name], random.Random(4)
    own = copy.deepcopy(published)
    own.chat_template = TEMPLATES[kind]
    for turns in (1, 2, 3):
        messages = made_messages(source, turns)
        for asked, more in ((messages, {}), (messages[:-1], {"add_generation_prompt": True}), (messages[:-1], {})):
            texts = [each.apply_chat_template(asked, tokenize=False, **SETTINGS, **more) for each in (own, published)]
            assert texts[0] == texts[1]
