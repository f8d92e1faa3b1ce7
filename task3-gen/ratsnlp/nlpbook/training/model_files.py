"""The model as other programs read it: config and tokenizer beside the checkpoints,
a folder every so many steps, the best at the end."""

from pathlib import Path

import torch
from pytorch_lightning.callbacks import Callback

from ..errors import UserError
from ..files import remove_files, whole_files, whole_folder
from ..pretrained import (
    load_config,
    load_tokenizer,
    name_for_engines,
    save_tokenizer,
    use_special_tokens,
    without_bars,
)
from ..run_folder import MODEL_FILES, MODEL_PREFIX, RunFolder
from .adapters import ADAPTER, describe, has_adapter, merge, save_adapter, weights_of
from .checkpoint_io import check_weights


class ModelFiles(Callback):
    """Writes config and tokenizer when training starts, and, with ``save_total_limit``,
    ``checkpoint-STEP`` every ``save_steps`` steps."""

    def __init__(self, args):
        self.args, self.folder = args, RunFolder(args.downstream_model_dir)

    def on_train_start(self, trainer, module):
        self.step = trainer.global_step
        if trainer.fast_dev_run or not trainer.is_global_zero:
            return
        tokenizer = trainer.train_dataloader.dataset.tokenizer
        with whole_files(self.folder.path) as unfinished:  # so that earlier checkpoints keep whole ones
            module.model.config.save_pretrained(unfinished)
            # such a model writes by settings of its own, and may end an answer by another token than a text
            if module.model.config.is_encoder_decoder or tokenizer.chat_template:
                module.model.generation_config.save_pretrained(unfinished)
            save_tokenizer(tokenizer, unfinished)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if trainer.global_step == self.step:  # gradients are being accumulated
            return
        self.step = trainer.global_step
        due = self.args.save_steps and self.step % self.args.save_steps == 0
        if not (due and self.args.save_total_limit) or trainer.fast_dev_run or not trainer.is_global_zero:
            return
        check_weights(module)
        folder, tokenizer = self.folder.step(self.step), trainer.train_dataloader.dataset.tokenizer
        if has_adapter(module.model):
            save_adapter(folder, describe(module.model), weights_of(module.model), tokenizer)
        else:
            save_model(folder, module.model, tokenizer)
        if self.args.save_total_limit > 0:
            for folder in self.folder.steps()[: -self.args.save_total_limit]:
                remove_files(folder, MODEL_FILES)


def check_same_model(folder: RunFolder, model, tokenizer) -> None:
    """Raises UserError where ``folder`` holds checkpoints of another model, which new config and tokenizer files
    would make unreadable."""
    if not folder.config.is_file() or not folder.checkpoints():
        return
    there = load_config(str(folder.path))
    shape = ("model_type", "vocab_size", "hidden_size", "num_hidden_layers")
    same_shape = all(getattr(there, name, None) == getattr(model.config, name, None) for name in shape)
    if not same_shape or load_tokenizer(str(folder.path)).get_vocab() != tokenizer.get_vocab():
        raise UserError(
            f"{folder.path}에는 다른 모델의 체크포인트가 있습니다. --downstream_model_dir로 다른 폴더를 지정하세요.")


def save_model(folder: Path, model, tokenizer, state_dict: dict[str, torch.Tensor] | None = None) -> None:
    """:func:`write_model`, whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(folder, MODEL_FILES) as unfinished:
        write_model(unfinished, model, tokenizer, state_dict)


def write_model(folder: Path, model, tokenizer, state_dict: dict[str, torch.Tensor] | None = None) -> None:
    """``save_pretrained`` of model and tokenizer, as other engines read them; ``state_dict`` instead of the model's
    weights where it is given. (transformers refuses to save what some makers publish, a top-p without do_sample, once
    anything else about it has been changed; read from a file it counts as published.)"""
    own = model.generation_config
    own.to_json_file(folder / "generation_config.json")
    model.generation_config = type(own).from_pretrained(folder)
    try:
        with without_bars():
            model.save_pretrained(folder, state_dict=state_dict)
    finally:
        model.generation_config = own
    save_tokenizer(tokenizer, folder)
    name_for_engines(folder)


def export_best(folder: RunFolder, model, tokenizer, best: Path) -> None:
    """Write the weights of the checkpoint ``best`` as a folder that other programs read; an adapter also as peft does.
    """
    checkpoint = torch.load(best, map_location="cpu", weights_only=True, mmap=True)
    weights = {name.removeprefix(MODEL_PREFIX): tensor for name, tensor in checkpoint["state_dict"].items()}
    if not has_adapter(model):
        save_model(folder.export, model, tokenizer, weights)
        return
    save_adapter(folder.adapter, checkpoint[ADAPTER], weights, tokenizer)
    save_model(folder.export, use_special_tokens(merge(checkpoint[ADAPTER], weights, best), tokenizer), tokenizer)
