"""Converts an exported folder with CTranslate2's own converter and continues its prompts: prints the token ids.

    python with_ctranslate2.py FOLDER
"""

import json
import sys
import tempfile
from pathlib import Path

import ctranslate2
from transformers import AutoTokenizer

folder = Path(sys.argv[1])
greedy = json.loads((folder / "greedy.json").read_text(encoding="utf-8"))
tokenizer = AutoTokenizer.from_pretrained(folder)
written = []
with tempfile.TemporaryDirectory() as converted:
    ctranslate2.converters.TransformersConverter(str(folder)).convert(converted, force=True)
    generator = ctranslate2.Generator(converted, device="cpu")
    for text in greedy["texts"]:
        if "messages" in text:
            ids = tokenizer.apply_chat_template(
                text["messages"], add_generation_prompt=True, return_dict=False, **greedy["chat_template_kwargs"])
        else:
            ids = tokenizer(text["prompt"])["input_ids"]
        result, = generator.generate_batch(
            [tokenizer.convert_ids_to_tokens(ids)], sampling_topk=1, max_length=greedy["new_tokens"],
            end_token=greedy["ends"], return_end_token=True, include_prompt_in_result=False)
        written.append(result.sequences_ids[0])
print(json.dumps(written))
