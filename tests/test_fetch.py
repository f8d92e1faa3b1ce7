"""Processes that want the corpus at the same time: one downloads it, the others wait and use what it has brought."""

import subprocess
import sys
import time

from helpers import MINI, SCRIPTS, StaticFiles, http_server

FETCH = """
import sys
sys.path.insert(0, {scripts!r})
from Korpora import korpus_nsmc
from ratsnlp import nlpbook
from ratsnlp.nlpbook.generation import GenerationTrainArguments

for link in korpus_nsmc.NSMC_FETCH_INFORMATION:
    link["url"] = "http://127.0.0.1:{port}/" + link["destination"].split("/")[-1]
args = GenerationTrainArguments(downstream_corpus_root_dir={root!r}, ddp_timeout={seconds})
try:
    nlpbook.fetch_corpus(args)
except nlpbook.UserError as error:
    sys.exit(str(error))
"""


class Slow(StaticFiles):
    """Serves the bundled corpus, ``seconds`` a file, and remembers what it was asked for."""

    seconds, asked = 0.0, []

    def __init__(self, *more):
        super().__init__(*more, directory=str(MINI))

    def do_GET(self):
        self.asked.append(self.path)
        time.sleep(self.seconds)
        super().do_GET()


def fetch_in_two(root, seconds: float, timeout: int) -> list[subprocess.Popen]:
    """Two processes that have fetched into ``root`` from a server that takes so long, at the same time."""
    Slow.seconds, Slow.asked = seconds, []
    with http_server(Slow) as server:
        code = FETCH.format(scripts=str(SCRIPTS), port=server.server_port, root=str(root), seconds=timeout)
        both = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, encoding="utf-8")
                for _ in range(2)]
        for process in both:
            process.told = process.communicate(timeout=120)[1]
    return both


def test_one_downloads_and_the_other_waits(tmp_path):
    both = fetch_in_two(tmp_path / "new", 2, 60)
    assert [process.returncode for process in both] == [0, 0], [process.told for process in both]
    names = ("ratings_train.txt", "ratings_test.txt")
    assert Slow.asked == [f"/{name}" for name in names for _ in range(2)]  # Korpora asks for the size of each too
    for name in names:
        assert (tmp_path / "new" / "nsmc" / name).read_bytes() == (MINI / name).read_bytes()


def test_one_that_has_waited_for_too_long_says_so(tmp_path):
    both = fetch_in_two(tmp_path, 8, 1)
    assert sorted(process.returncode for process in both) == [0, 1], [process.told for process in both]
    (told,) = [process.told for process in both if process.returncode]
    assert "ddp_timeout: 다른 프로세스가 1초 안에 nsmc를 내려받지 못했습니다." in told
