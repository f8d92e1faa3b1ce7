"""Sentence generation: fine-tune a causal language model, decode with it, serve it."""

from importlib import import_module

_MODULES = {
    "arguments": ["GenerationTrainArguments", "GenerationPretrainArguments", "GenerationTextArguments", "GenerationInferArguments",
                  "GenerationEvalArguments", "GenerationDeployArguments"],
    "corpus": ["GenerationDataset", "GenerationExample", "GenerationFeatures", "NsmcCorpus"],
    "decoding": ["SETTINGS", "encode_prompt", "load_for_inference", "readable"],
    "deploy": ["get_web_service_app", "run_web_service"],
    "evaluation": ["PolarityJudge", "agreement", "bits_per_character", "diversity", "markdown", "pooled", "review", "sample_texts",
                   "write_report"],
    "models": ["begin_as", "load_checkpoint", "load_finetuned", "load_model_and_tokenizer", "load_pretrained"],
    ".pretrained": ["load_config", "load_model", "load_tokenizer", "save_tokenizer", "use_special_tokens"],
    "task": ["GenerationTask"],
    "texts": ["TextDataset", "load_text_datasets", "read_texts"],
    "tokenizer": ["train_tokenizer"],
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}
__all__ = list(_MODULE_OF)


def __getattr__(name):
    """Import a name when it is first asked for: training needs no web server, and serving no Lightning."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
