"""How a run begins: anew, where an earlier one was broken off, or not at all."""

import sys
from dataclasses import dataclass

from ..errors import UserError
from ..pretrained import load_tokenizer
from ..run_folder import RunFolder
from ..utils import is_first
from .fingerprints import tokens_sha256
from .last_checkpoint import Progress, read_progress

# What may differ between a run and its continuation, because the numbers do not depend on it.
# The data are compared as tokens.
MAY_DIFFER = {
    "downstream_model_dir", "downstream_corpus_root_dir", "downstream_corpus_name", "downstream_task_name",
    "overwrite_cache", "force_download", "test_mode", "cpu_workers", "tpu_cores", "device", "resume", "save_steps",
    "save_total_limit", "save_top_k", "patience", "logging_steps", "logging_dir", "wandb", "wandb_entity", "wandb_tags",
    "gradient_checkpointing", "run_name", "devices", "num_nodes", "strategy", "ddp_timeout"}


@dataclass(frozen=True)
class Beginning:
    """``kind`` is ``new``, ``finished`` or ``resumed``, then with the ``progress`` so far;
    ``unfinished``: a new run finds a ``last.ckpt``."""

    kind: str
    progress: Progress | None = None
    unfinished: bool = False


def begin(args, dataset) -> Beginning:
    """Decide how the run of ``args`` on ``dataset`` begins, and say so; nothing is changed by it.

    Raises:
        UserError: ``last.ckpt`` cannot be read, or belongs to a run with other arguments or data
            (naming the first difference).
    """
    folder = RunFolder(args.downstream_model_dir)
    if not is_first(args) and not args.resume:  # the first process may be clearing the folder
        return Beginning("new")
    record = folder.read_record()
    progress = read_progress(folder.last) if folder.last.is_file() else None
    there = progress.record if progress else {}
    finished = record.get("state") == "finished" and (not there or there["started"] == record["started"])
    if not args.resume:
        return Beginning("new", unfinished=bool(there) and not finished)
    if not there and not finished:
        _tell(args, f"이어서 할 {folder.last.name}가 없어 처음부터 학습합니다: {folder.path}")
        return Beginning("new")
    _check_same_run(args, dataset, record if finished else there)
    if finished:
        best = folder.path / record["best_checkpoint"]
        gone = "" if best.is_file() else " 그 파일은 지워졌습니다."
        _tell(args, f"이미 끝난 학습입니다. 가장 좋은 체크포인트: {best}{gone}")
        return Beginning("finished")
    return Beginning("resumed", progress)


def _tell(args, text: str) -> None:
    if is_first(args):
        print(text, file=sys.stderr)


def resumed_tokenizer(args):
    """The tokenizer of the run that ``args.resume`` goes on with, or None where none is.

    For scripts that learn a tokenizer: the trainers of ``tokenizers`` 0.23 are not deterministic (its issue 1794),
    and one learnt again from the same text differs in a few tokens.
    """
    folder = RunFolder(args.downstream_model_dir)
    there = folder.last.is_file() or folder.read_record().get("state") == "finished"
    return load_tokenizer(str(folder.path)) if args.resume and there else None


def _check_same_run(args, dataset, record: dict) -> None:
    for name, then in record["arguments"].items():
        now, then = (list(value) if isinstance(value, tuple) else value  # as JSON has it
                     for value in (getattr(args, name, then), then))
        if name not in MAY_DIFFER and now != then:
            raise UserError(
                f"{name}: 이 폴더의 학습은 {then!r}로 했는데 지금은 {now!r}입니다. "
                "같은 값으로 하거나, 다른 폴더에서 새로 시작하세요.")
    before, now = (set(tokenizer.get_added_vocab()) for tokenizer in (
        load_tokenizer(args.downstream_model_dir), dataset.tokenizer))
    if before != now:
        other = ", ".join(sorted(before ^ now))
        raise UserError(
            f"special_tokens: 이 폴더의 학습과 특수 토큰이 다릅니다: {other}. "
            "같은 토큰을 다시 지정하거나, 다른 폴더에서 새로 시작하세요.")
    if record["tokens_sha256"] != tokens_sha256(dataset):
        raise UserError(
            f"{dataset.source}: 이 폴더에서 학습하던 데이터와 다릅니다"
            "(텍스트, 토크나이저, 나누는 방법 가운데 바뀐 것이 있습니다). "
            "되돌리거나, 다른 폴더에서 새로 시작하세요.")
