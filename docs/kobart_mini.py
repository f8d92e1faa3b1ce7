r"""Write the tokenizer, the shape and the settings of kobart-mini; its weights are learnt by train_sum-0.py:

    python docs/kobart_mini.py
    python task3-gen/train_sum-0.py
    cp output/dialogue-sum/train_sum-by-kobart-mini/huggingface/model.safetensors task3-gen/kobart-mini/
"""

import itertools
import sys
from pathlib import Path
from types import SimpleNamespace

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "task3-gen"))

from ratsnlp.nlpbook.generation import NsmcCorpus, save_tokenizer  # noqa: E402
from ratsnlp.nlpbook.paths import BUNDLED_DATA, KOBART_MINI, OUTPUT  # noqa: E402
from ratsnlp.nlpbook.summarization import character_tokenizer, fetch_dialogues, read_dialogues  # noqa: E402
from ratsnlp.nlpbook.summarization.arguments import PLACEHOLDERS  # noqa: E402

VOCABULARY = 1344


def main() -> None:
    from transformers import BartConfig, GenerationConfig

    fetch_dialogues(SimpleNamespace(downstream_corpus_root_dir=OUTPUT / "dialogues", downstream_corpus_name="made"))
    dialogues = ("\n".join((example.dialogue, *example.references))
                 for folder in (OUTPUT / "dialogues" / "made", BUNDLED_DATA / "dialogues")
                 for example in read_dialogues(folder / "train.csv"))
    reviews = (example.own_text for example in NsmcCorpus().get_examples(BUNDLED_DATA / "mini", "train"))
    tokenizer = character_tokenizer(itertools.chain(dialogues, reviews), VOCABULARY, PLACEHOLDERS)
    tokens = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 3, "decoder_start_token_id": 1}
    config = BartConfig(
        vocab_size=VOCABULARY, d_model=128, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=512,
        decoder_ffn_dim=512, encoder_attention_heads=4, decoder_attention_heads=4, max_position_embeddings=512,
        dropout=0.0, attention_dropout=0.0, activation_dropout=0.0, forced_eos_token_id=None,
        architectures=["BartForConditionalGeneration"], **tokens)
    save_tokenizer(tokenizer, KOBART_MINI)
    config.save_pretrained(KOBART_MINI)
    # a token is a character: three of them, or one, may well come again
    GenerationConfig(**tokens, num_beams=1, min_new_tokens=0, max_new_tokens=150, repetition_penalty=1.0,
                     no_repeat_ngram_size=0).save_pretrained(KOBART_MINI)


if __name__ == "__main__":
    main()
