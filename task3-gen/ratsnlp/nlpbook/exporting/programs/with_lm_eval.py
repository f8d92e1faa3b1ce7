"""Evaluates an exported folder with lm-eval on a task of one sentence behind each prompt: prints its log-likelihoods.

    python with_lm_eval.py FOLDER
"""

import json
import sys
import tempfile
from pathlib import Path

from lm_eval import simple_evaluate

folder = Path(sys.argv[1])
texts = json.loads((folder / "greedy.json").read_text(encoding="utf-8"))["texts"]
with tempfile.TemporaryDirectory() as temporary:
    data = Path(temporary, "texts.jsonl")
    data.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
    task = {
        "task": "greedy", "dataset_path": "json", "test_split": "test", "output_type": "loglikelihood",
        "dataset_kwargs": {"data_files": {"test": str(data)}, "cache_dir": temporary}, "target_delimiter": "",
        "doc_to_text": "{{prompt}}", "doc_to_target": "{{continuation}}",
        "metric_list": [{"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False}]}
    told = simple_evaluate(
        "hf", {"pretrained": str(folder), "dtype": "auto", "softmax_dtype": "float32"}, tasks=[task], batch_size=1,
        device="cpu", bootstrap_iters=0)
samples = sorted(told["samples"]["greedy"], key=lambda sample: sample["doc_id"])
print(json.dumps([sample["resps"][0][0][0] for sample in samples]))
