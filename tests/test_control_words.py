"""What the words that open a review mean: to the bundled model nothing, then as much as fine-tuning teaches."""

import logging

import pytest
import torch
from helpers import HUB_NAMES, run_fit

from ratsnlp.nlpbook import UserError, data_collator
from ratsnlp.nlpbook.generation import (
    GenerationDataset,
    NsmcCorpus,
    blank_control_words,
    initialize_control_words,
    load_pretrained,
)
from ratsnlp.nlpbook.generation.loss import control_losses, token_losses


def test_a_control_word_begins_as_the_words_that_mean_the_same(tiny_folder):
    model, tokenizer = load_pretrained(str(tiny_folder))
    before = model.get_input_embeddings().weight.detach().clone()
    initialize_control_words(model, tokenizer, {"긍정": "최고 재밌어요 추천"})
    rows, (token,) = model.get_input_embeddings().weight, tokenizer.encode("긍정")
    assert torch.allclose(rows[token], before[tokenizer.encode("최고 재밌어요 추천")].mean(dim=0))
    assert (rows != before).any(dim=1).nonzero().flatten().tolist() == [token]


def test_a_word_of_several_tokens_is_left_as_it_is_and_named(tiny_folder, caplog):
    model, tokenizer = load_pretrained(str(tiny_folder))
    before = model.get_input_embeddings().weight.detach().clone()
    with caplog.at_level(logging.INFO, logger="ratsnlp"):
        initialize_control_words(model, tokenizer, {"뷁스럽다": "최고"})
    assert "제어 단어 뷁스럽다: 이 토크나이저에서는 토큰" in caplog.text
    assert torch.equal(model.get_input_embeddings().weight, before)
    with pytest.raises(ValueError):
        blank_control_words(model, tokenizer, ["뷁스럽다"])


@pytest.mark.parametrize("number", [1, 3])
def test_the_hub_models_have_a_token_for_each_word(hub, number):
    model, tokenizer = load_pretrained(HUB_NAMES[number])
    before = model.get_input_embeddings().weight.detach().clone()
    initialize_control_words(model, tokenizer, NsmcCorpus.control_words)
    changed = (model.get_input_embeddings().weight != before).any(dim=1).nonzero().flatten().tolist()
    assert sorted(tokenizer.decode(token) for token in changed) == ["긍정", "부정"]


def test_a_blank_word_is_the_mean_of_all_others(tiny_folder):
    model, tokenizer = load_pretrained(str(tiny_folder))
    before = model.get_input_embeddings().weight.detach().clone()
    blank_control_words(model, tokenizer, ["긍정", "부정"])
    tokens = [tokenizer.encode(word)[0] for word in ("긍정", "부정")]
    others = [row for row in range(len(before)) if row not in tokens]
    rows = model.get_input_embeddings().weight
    assert torch.allclose(rows[tokens], before[others].mean(dim=0).expand(2, -1))
    assert torch.equal(rows[others], before[others])


def test_to_the_bundled_model_the_two_words_are_one():
    model, tokenizer = load_pretrained("kogpt-mini")
    rows, words = model.get_input_embeddings().weight.detach(), tuple(NsmcCorpus.control_words)
    tokens = [tokenizer.encode(word)[0] for word in words]
    assert torch.equal(rows[tokens[0]], rows[tokens[1]])
    blank_control_words(model, tokenizer, words)  # what pretrain_gen-0.py did last
    assert torch.equal(model.get_input_embeddings().weight[tokens].half(), rows[tokens].half())


def test_to_keep_the_words_is_a_choice_and_the_books(make_args):
    assert not make_args().keep_control_words
    assert make_args(keep_control_words=True).keep_control_words
    assert make_args(recipe="book").keep_control_words


@pytest.fixture
def reviews(make_args, tokenizer):
    """Eight reviews of a bundled slice as a batch, and the two words' ids."""
    dataset = GenerationDataset(make_args(), tokenizer, NsmcCorpus(), "train")
    words = torch.tensor([tokenizer.encode(word) for word in ("긍정", "부정")])
    return data_collator([dataset[index] for index in range(8)]), words


def test_the_surprise_at_a_word_is_by_bayes_rule(tiny_model, reviews):
    """Against the model's own logits, review by review."""
    batch, words = reviews
    losses, of_words = control_losses(tiny_model.eval(), batch, words)
    assert torch.allclose(losses, token_losses(tiny_model, batch)[0], atol=1e-5)
    for row, length in enumerate(batch["attention_mask"].sum(dim=1).tolist()):
        ids = batch["input_ids"][row, : length + 1]  # and one eos, where there is room for it
        likelihoods = []
        for word in words:
            given = torch.cat([word, ids[len(word) :]])
            scores = tiny_model(given[None]).logits[0, :-1].log_softmax(dim=-1)
            likelihoods.append(scores.gather(1, given[1:, None]).sum())
        own = [torch.equal(word, ids[: len(word)]) for word in words].index(True)
        assert of_words[row].item() == pytest.approx(
            -torch.stack(likelihoods).log_softmax(dim=0)[own].item(), abs=1e-3)


def test_a_text_without_a_word_has_no_surprise(tiny_model, reviews):
    batch, words = reviews
    batch["input_ids"][3, 0] = 9
    with pytest.raises(ValueError, match="begin with one of the control words"):
        control_losses(tiny_model, batch, words)


def test_with_the_contrast_a_model_tells_the_words_apart_sooner(make_args, tiny_folder, tokenizer, reviews):
    def surprise(**changes):
        _, task = run_fit(make_args(epochs=4, **changes))
        return control_losses(task.model.eval(), *reviews)[1].mean().item()

    assert surprise(recipe="contrast") < surprise() - 0.05


def test_the_contrast_needs_two_words_of_the_same_length(make_args, tmp_path, tokenizer):
    file = tmp_path / "slice" / "ratings_train.txt"
    args = make_args(recipe="contrast")
    file.write_text("\n".join(line for line in file.read_text(encoding="utf-8").splitlines() if line[-1] != "0"),
                    encoding="utf-8")
    with pytest.raises(UserError, match="recipe: contrast에는 .*둘 이상 .*긍정 1개.*standard로"):
        run_fit(args)
