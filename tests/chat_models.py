"""Small random models in the shape of Llama 3.2 and Qwen3, with tokenizers and templates of their kinds."""

from pathlib import Path

import torch

LLAMA, QWEN = "Bllossom/llama-3.2-Korean-Bllossom-3B", "Qwen/Qwen3-4B"

# Of our own; trl has the published ones (tests/test_chat_labels.py).
TEMPLATES = {
    LLAMA: "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
           "{{ message['content'] | trim }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}"
           "<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
    QWEN: "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% if message['role'] == 'assistant' and "
          "loop.last %}<think>\n\n</think>\n\n{% endif %}{{ message['content'] }}<|im_end|>\n{% endfor %}"
          "{% if add_generation_prompt %}<|im_start|>assistant\n{% if enable_thinking is false %}"
          "<think>\n\n</think>\n\n{% endif %}{% endif %}"}
# How each parts a text into words, numbers of up to three digits or of one. Source: transformers 5.23,
# convert_slow_tokenizer.py (tiktoken's) and models/qwen2/tokenization_qwen2.py.
WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
         r"\s+(?!\S)|\s+")
DIGITS = {LLAMA: "{1,3}", QWEN: ""}
SPECIAL = {
    LLAMA: ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>",
            "<|eot_id|>", "<|python_tag|>"],
    QWEN: ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>"]}


def chat_tokenizer(name: str, lines: list[str], vocab_size: int = 1200):
    """A byte-level BPE with the special tokens beside its vocabulary; Llama's puts bos before each text."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(WORDS % DIGITS[name]), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(lines, trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL[name]])
    if name == QWEN:
        tokenizer.add_tokens([AddedToken(token, normalized=False) for token in ("<think>", "</think>")])
        own = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    else:
        own = {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}
        begins = tokenizer.token_to_id("<|begin_of_text|>")
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", begins)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=TEMPLATES[name], **own)


def save_chat_model(folder: Path, name: str, lines: list[str]) -> None:
    """Two narrow layers in the shape of the model of this ``name``, in bfloat16, with rows to spare, which draws unless
    it is told not to, as its makers have it."""
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = chat_tokenizer(name, lines)
    ids = tokenizer.convert_tokens_to_ids
    ends = ["<|eot_id|>", "<|end_of_text|>"] if name == LLAMA else ["<|im_end|>", "<|endoftext|>"]
    shape = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
             "head_dim": 16, "intermediate_size": 128, "max_position_embeddings": 2048, "tie_word_embeddings": True}
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(
        "llama" if name == LLAMA else "qwen3", vocab_size=len(tokenizer) + 8, eos_token_id=ids(ends)[0], **shape),
        dtype=torch.bfloat16)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))  # so that it does not only repeat the last token
    model.generation_config.update(do_sample=True, temperature=0.6, top_p=0.9, eos_token_id=ids(ends))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
