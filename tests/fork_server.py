"""Scripts run in forks of one process that has imported the heavy libraries already, which takes seconds each time.

helpers.run_script starts it, writes a request a line to its standard input (JSON: command, cwd, out, err) and reads an
exit code a line. What a fork runs is what ``python script flags`` runs, but for the time of the imports.
"""

import atexit
import json
import logging
import os
import runpy
import signal
import sys

SECONDS = 300  # a script that takes longer is stuck


def run(request: dict) -> int:
    """In the fork: become the script; its exit code."""
    for stream, name in ((1, "out"), (2, "err")):
        file = os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, stream)
        os.close(file)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(request["cwd"])
    script, *_ = sys.argv = request["command"]
    sys.path[0] = os.path.dirname(script)
    try:
        try:
            runpy.run_path(script, run_name="__main__")
        except Exception:
            sys.excepthook(*sys.exc_info())  # ends a user's mistake with SystemExit(2), as the interpreter lets it
            return 1
    except SystemExit as end:
        return end.code or 0
    return 0


def serve() -> None:
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # as the library has it, before peft imports it
    import peft  # noqa: F401
    import pytorch_lightning  # noqa: F401  and with it torch
    from transformers import GenerationMixin, GPT2LMHeadModel, PreTrainedTokenizerFast  # noqa: F401  it is lazy

    answers = os.dup(1)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os.close(answers)
            signal.alarm(SECONDS)
            code = run(json.loads(line))
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)  # without taking the libraries' modules down one by one, which takes longer than a mistake
        _, status = os.waitpid(child, 0)
        os.write(answers, f"{os.waitstatus_to_exitcode(status)}\n".encode())


if __name__ == "__main__":
    serve()
