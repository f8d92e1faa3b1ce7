"""The folder of a model that other engines read as it is."""

from pathlib import Path

import torch

from ..errors import UserError
from ..files import check_writable, whole_folder, write_json
from ..generation.chat import ends_of
from ..generation.models import load_finetuned, load_pretrained
from ..paths import OUTPUT
from ..run_folder import MODEL_FILES, RunFolder
from ..training.model_files import write_model
from .arguments import ExportArguments
from .greedy import FILE, greedy_texts, read_greedy


def export(args: ExportArguments) -> Path:
    """Write the model that ``args`` name, a LoRA merged in, in ``args.dtype``, with what it writes under greedy search;
    whole or not at all. Returns the folder; one that has been exported so already is left as it is.

    Raises:
        UserError: the model cannot be read, or is no causal language model; the folder holds one of another origin.
    """
    run = RunFolder(Path(args.model_name_or_path).expanduser())
    if (run.path / FILE).is_file() and not args.output and args.dtype in (None, read_greedy(run.path)["dtype"]):
        return run.path
    if run.checkpoints():
        folder, (model, tokenizer) = run.export, load_finetuned(run.path)
    else:
        name = run.path.resolve().name if run.path.is_dir() else args.model_name_or_path.replace("/", "--")
        folder, (model, tokenizer) = OUTPUT / "export" / name, load_pretrained(args.model_name_or_path)
    if model.config.is_encoder_decoder:
        raise UserError(f"model_name_or_path: 인코더가 있는 모델({model.config.model_type})은 문장을 이어 쓰지 않아 "
                        "비교할 수 없습니다. 학습이 끝날 때 저장된 huggingface 폴더를 쓰세요.")
    folder = Path(args.output) if args.output else folder
    _check_own(folder, run)
    ends = ends_of(model, tokenizer)
    model.generation_config.eos_token_id = ends if len(ends) > 1 else ends[0]
    model.to(getattr(torch, args.dtype or "float32"))
    check_writable(folder, "output")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(folder, MODEL_FILES) as unfinished:
        write_model(unfinished, model, tokenizer)
        write_json(unfinished / FILE, greedy_texts(unfinished))
    return folder


def _check_own(folder: Path, run: RunFolder) -> None:
    """Raises UserError where ``folder`` holds a model that neither the ``run`` nor an earlier export has written."""
    if (folder / "config.json").exists() and not (folder / FILE).exists() and folder.resolve() != run.export.resolve():
        raise UserError(f"output: {folder} 폴더에 다른 모델이 있습니다. 덮어쓰지 않으니 다른 폴더를 지정하세요.")
    if folder.resolve() == run.path.resolve():
        raise UserError(f"output: {folder} 폴더는 내보낼 모델이 있는 폴더입니다. 다른 폴더를 지정하세요.")
