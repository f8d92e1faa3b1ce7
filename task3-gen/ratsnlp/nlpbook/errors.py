"""Errors for people: one Korean line that says what is wrong and what to type next."""

import errno
import os
import re
import sys

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class UserError(ValueError):
    """A mistake that the user can correct; the message is one Korean line. A script ends with ``exit_code``."""

    exit_code = 2

    def _render_traceback_(self):
        """What IPython shows in a notebook, which does not call our excepthook."""
        return [f"오류: {self}"]


class NotThereYet(UserError):
    """Another program is needed that does not answer: the same command may go well later."""

    exit_code = 69  # EX_UNAVAILABLE of sysexits.h, by which a service manager tries again


def is_no_space(error: BaseException | None) -> bool:
    """Whether a write failed because the disk is full; safetensors and tokenizers, written in Rust, say so only in the
    message."""
    if isinstance(error, OSError):
        return error.errno in NO_SPACE
    told = re.search(r"\(os error (\d+)\)", str(error))
    return told is not None and int(told[1]) in NO_SPACE


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory of a GPU or of the computer has run out; PyTorch says the latter only in the message."""
    torch = sys.modules.get("torch")
    return isinstance(error, MemoryError) or torch is not None and (
        isinstance(error, torch.OutOfMemoryError)
        or isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error))


def no_space_message(path) -> str:
    return (f"디스크 공간이 부족해 저장하지 못했습니다: {path}. 앞서 저장한 체크포인트는 그대로 있습니다. "
            "공간을 비우거나 --downstream_model_dir로 다른 디스크를 지정하세요.")


def explain(error: BaseException) -> str | None:
    """The Korean line for an exception that is not a bug, else None."""
    if isinstance(error, UserError):
        return str(error)
    if is_no_space(error):
        return no_space_message(getattr(error, "filename", None) or "파일")
    if is_out_of_memory(error):
        return ("메모리가 부족합니다. --batch_size를 절반으로 줄이거나 --max_seq_length를 줄이고, "
                "다른 프로그램이 메모리를 쓰고 있지 않은지(GPU라면 nvidia-smi로) 확인하세요.")
    return None


def leave_quietly() -> None:
    """Flush the output; discard it where the reader has gone away (``| head``)."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def install_excepthook(other_names: dict[str, str] | None = None) -> None:
    """Make the running script end with one line and the exit code of a :class:`UserError` where :func:`explain` knows
    the error.

    ``other_names`` maps the library's names of fields to the script's own, for the messages. Ctrl-C ends the script
    with one line and exit code 130, as in shells. Where the reader of the output has gone away (``| head``), it ends
    silently with 141. Everything else keeps its traceback: it is a bug.
    """

    def excepthook(kind, error, traceback):
        if issubclass(kind, KeyboardInterrupt):
            print("\n중단했습니다.", file=sys.stderr)
            raise SystemExit(130)
        if issubclass(kind, BrokenPipeError):
            leave_quietly()
            raise SystemExit(128 + 13)
        message = explain(error)
        if message is None:
            sys.__excepthook__(kind, error, traceback)
            return
        for name, own in (other_names or {}).items():
            message = re.sub(rf"\b{name}\b", own, message)
        print(f"오류: {message}", file=sys.stderr)
        # the interpreter takes its exit code from a SystemExit that an excepthook raises
        raise SystemExit(getattr(error, "exit_code", UserError.exit_code))

    sys.excepthook = excepthook
