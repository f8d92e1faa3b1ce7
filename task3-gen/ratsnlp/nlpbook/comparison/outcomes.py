"""The outcome of a setting: its texts, the candidates that were left, and figures that compare settings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch

from ..evaluation.bits import bits_per_character
from ..evaluation.metrics import distinct, repeated, syllables
from ..generation.batched import Run, generate_batched
from ..generation.features import GenerationExample
from ..generation.models import in_eval_mode
from ..generation.prompts import continuation, cut_to_sentence, readable
from ..generation.settings import Setting
from ..generation.trace import Trace

BATCH = 16  # texts: with KoGPT2's 51,200 tokens, 160 MB of logits


@dataclass
class Outcome:
    """The texts of one setting and one model, from one seed or many.

    ``texts`` begin with ``prompt``; ``candidates`` has the median number that each knob left, in the order in which
    the knobs acted.
    """

    prompt: str
    token_ids: list[torch.Tensor]
    texts: list[str]
    ended: list[bool]
    tokens: list[int]
    candidates: dict[str, float]
    figures: dict[str, float] = field(default_factory=dict)
    seconds: float | None = None

    def cuts(self) -> dict[str, float]:
        """Of ``candidates``, the vocabulary and the knobs that left fewer than before."""
        counts = [*self.candidates.items()]
        return dict(counts[:1] + [after for before, after in pairwise(counts) if after[1] < before[1]])


def outcome(model, tokenizer, input_ids: torch.Tensor, texts: Sequence[torch.Tensor], trace: Trace,
            whole_sentences: bool = False) -> Outcome:
    """The outcome of texts (T,) that begin with the prompt ``input_ids`` (1, T), and of the trace of the calls that
    wrote them.

    ``whole_sentences`` drops the unfinished last sentence of a text that did not end with eos.
    """
    prompt, before = input_ids.shape[1], readable(tokenizer, input_ids[0])
    eos = model.generation_config.eos_token_id
    ended = [bool(text[-1] == eos) and len(text) > prompt for text in texts]
    written = [continuation(tokenizer, text, prompt) for text in texts]
    return Outcome(
        prompt=before, token_ids=list(texts), ended=ended,
        texts=[before + (cut_to_sentence(text) if whole_sentences and not by_itself else text)
               for text, by_itself in zip(written, ended, strict=True)],
        tokens=[len(text) - prompt for text in texts], candidates=trace.medians(), seconds=trace.seconds or None)


def outcomes(model, tokenizer, input_ids: torch.Tensor, settings: Sequence[Setting],
             seeds: Sequence[int], whole_sentences: bool = False) -> list[Outcome]:
    """Generate with ``model`` by each setting, in as few batches as possible; returns the outcomes with figures.

    A setting that does not draw has one text; its figures count that text once for each seed, since every seed would
    give the same.
    """
    runs = [Run(setting.fit(model, tokenizer), seeds if setting.options.draws else seeds[:1]) for setting in settings]
    with in_eval_mode(model), torch.inference_mode():
        generate_batched(model, input_ids, runs)
    found = []
    for run in runs:
        each = outcome(model, tokenizer, input_ids, run.texts, run.trace, whole_sentences)
        own = [readable(tokenizer, text[input_ids.shape[1] :]).strip() for text in run.texts]
        log_prob = _log_prob(model, run.texts, input_ids.shape[1])
        each.figures = figures(own * (len(seeds) // len(own)), each.ended, log_prob)
        found.append(each)
    return found


def figures(texts: Sequence[str], ended: Sequence[bool] | None, log_prob: float) -> dict[str, float]:
    """The diversity of ``texts``, the number and mean length of the texts, on which it depends, the share that ended
    with eos, and the mean log-probability per token under the model (nats)."""
    return {
        "distinct_2": distinct(texts, 2), "repeated_4grams": repeated(texts, 4),
        "mean_syllables": sum(map(len, map(syllables, texts))) / len(texts),
        "ended": None if ended is None else sum(ended) / len(ended), "log_prob": log_prob, "texts": len(texts)}


def human_figures(model, tokenizer, examples: Sequence[GenerationExample]) -> dict[str, float]:
    """The same figures of reviews that people wrote, each after its control word; all of them are whole."""
    nats = bits_per_character(model, tokenizer, examples, BATCH)["nats_per_token"]
    return figures([example.own_text for example in examples], None, -nats)


@torch.no_grad()
def _log_prob(model, texts: Sequence[torch.Tensor], prompt_length: int) -> float:
    """The mean log-probability of the tokens after the prompt, eos among them where a text ended by itself."""
    total = tokens = 0
    with in_eval_mode(model):
        for start in range(0, len(texts), BATCH):
            batch = texts[start : start + BATCH]
            ids = torch.nn.utils.rnn.pad_sequence(list(batch), batch_first=True)
            real = torch.arange(ids.shape[1], device=ids.device) < torch.tensor(
                [[len(text)] for text in batch], device=ids.device)
            logits = model(input_ids=ids, attention_mask=real.long()).logits[:, prompt_length - 1 : -1].float()
            each = logits.log_softmax(-1).gather(-1, ids[:, prompt_length:, None])[..., 0]
            written = real[:, prompt_length:]
            total, tokens = total + float(each[written].sum()), tokens + int(written.sum())
    return total / max(tokens, 1)
