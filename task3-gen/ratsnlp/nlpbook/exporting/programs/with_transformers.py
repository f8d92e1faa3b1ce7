"""Continues the prompts of an exported folder as a program does that has transformers alone: prints the token ids.

    python with_transformers.py FOLDER
"""

import json
import sys
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer

folder = Path(sys.argv[1])
greedy = json.loads((folder / "greedy.json").read_text(encoding="utf-8"))
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
written = []
for text in greedy["texts"]:
    if "messages" in text:
        inputs = tokenizer.apply_chat_template(
            text["messages"], add_generation_prompt=True, return_dict=True, return_tensors="pt",
            **greedy["chat_template_kwargs"])
    else:
        inputs = tokenizer(text["prompt"], return_tensors="pt")
    ids = model.generate(**inputs, do_sample=False, max_new_tokens=greedy["new_tokens"])[0]
    written.append(ids[inputs["input_ids"].shape[1]:].tolist())
print(json.dumps(written))
