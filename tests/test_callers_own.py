"""What a caller hands over stays as it was: layers, modes, attention, random state, truncation."""

import torch
from helpers import run_fit
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.activations import NewGELUActivation

from ratsnlp.nlpbook.generation import GenerationExample, bits_per_character, load_pretrained
from ratsnlp.nlpbook.generation.features import TokenStore


def state(model) -> tuple:
    """What a measurement must not change: each part's class and mode, and how the model attends."""
    parts = [(name, type(part), part.training) for name, part in model.named_modules()]
    return parts, model.config._attn_implementation


def test_measuring_changes_nothing_of_the_model(tiny_folder):
    model, tokenizer = load_pretrained(str(tiny_folder))
    model.train()
    model.transformer.h[0].eval()  # a caller may have frozen a part
    before, random_state = state(model), torch.get_rng_state()
    bits_per_character(model, tokenizer, [GenerationExample("긍정 재미있어요", "긍정 ")])
    assert state(model) == before
    assert torch.equal(torch.get_rng_state(), random_state)


def test_a_trained_model_gets_its_own_layers_back(make_args, tiny_folder):
    model = AutoModelForCausalLM.from_pretrained(tiny_folder)
    attention = model.config._attn_implementation
    seen = set()
    model.transformer.h[0].register_forward_hook(lambda part, *_: seen.update(map(type, part.modules())))
    run_fit(make_args(epochs=1), model=model)
    assert torch.nn.GELU in seen  # it was trained with fast ones
    assert {type(block.mlp.act) for block in model.transformer.h} == {NewGELUActivation}
    assert {type(block.mlp.dropout) for block in model.transformer.h} == {torch.nn.Dropout}
    assert model.config._attn_implementation == attention


def test_a_tokenizers_truncation_is_its_owners(tiny_folder):
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tiny_folder)
    tokenizer.backend_tokenizer.enable_truncation(3)
    tokenizer.backend_tokenizer.enable_padding(length=5)
    before = tokenizer.backend_tokenizer.to_str()
    store = TokenStore([GenerationExample("정말 정말 재미있는 영화")], tokenizer, width=64, truncate=False)
    assert len(store.ids) > 3
    assert tokenizer.backend_tokenizer.to_str() == before
