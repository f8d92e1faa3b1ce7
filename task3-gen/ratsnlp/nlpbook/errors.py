"""Errors for people: one Korean line that says what is wrong and what to type next."""

import errno
import os
import re
import sys

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class UserError(ValueError):
    """A mistake that its user can mend; the message is one Korean line."""

    def _render_traceback_(self):
        """What IPython shows in a notebook, where no excepthook of ours is asked."""
        return [f"오류: {self}"]


def is_no_space(error: BaseException | None) -> bool:
    """Whether a write failed for want of room; safetensors and tokenizers, written in Rust,
    tell it in their message alone."""
    if isinstance(error, OSError):
        return error.errno in NO_SPACE
    told = re.search(r"\(os error (\d+)\)", str(error))
    return told is not None and int(told[1]) in NO_SPACE


def no_space_message(path) -> str:
    return (f"디스크에 자리가 없어 저장하지 못했습니다: {path}. 앞서 저장한 체크포인트는 그대로 있습니다. "
            "자리를 비우거나 --downstream_model_dir로 다른 디스크를 지정하세요.")


def explain(error: BaseException) -> str | None:
    """The Korean line for an exception that is no bug of the program's, else None."""
    if isinstance(error, UserError):
        return str(error)
    if is_no_space(error):
        return no_space_message(getattr(error, "filename", None) or "파일")
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return ("GPU 메모리가 모자랍니다. --batch_size를 절반으로 줄이거나 --max_seq_length를 줄이고, "
                "다른 프로그램이 GPU를 쓰고 있지 않은지 nvidia-smi로 확인하세요.")
    return None


def leave_quietly() -> None:
    """Write out what is left to be written; nowhere, where its reader has gone away (``| head``)."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def install_excepthook(other_names: dict[str, str] | None = None) -> None:
    """Make the running script end with one line and exit code 2 where :func:`explain` knows the error.

    ``other_names`` maps the library's names of fields to the script's own, which its messages then have. Ctrl-C ends
    with one line and exit code 130, as shells have it; a reader of the output that went away (``| head``) without a
    word, and with 141. Everything else keeps its traceback: it is a bug.
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
        raise SystemExit(2)  # the interpreter takes its exit code from a SystemExit that an excepthook raises

    sys.excepthook = excepthook
