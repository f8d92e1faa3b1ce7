"""The book's three notebooks of sentence generation, cell by cell in a real kernel, with the library installed by pip.

The cells follow https://github.com/ratsgo/nlpbook (examples/sentence_generation); left out are Colab's own:
``!pip install`` and the mounting of Google Drive, in whose place ``GDRIVE`` is a folder of the test.
"""

import http.server
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from functools import partial
from pathlib import Path

import pytest
from helpers import REPOSITORY, http_server, post, write_corpus

TRAIN = [
    """
import torch
from ratsnlp.nlpbook.generation import GenerationTrainArguments
args = GenerationTrainArguments(
    pretrained_model_name="skt/kogpt2-base-v2",
    downstream_corpus_name="nsmc",
    downstream_model_dir=GDRIVE + "/My Drive/nlpbook/checkpoint-generation",
    max_seq_length=32,
    batch_size=32 if torch.cuda.is_available() else 4,
    learning_rate=5e-5,
    epochs=3,
    tpu_cores=0 if torch.cuda.is_available() else 8,
    seed=7,
)
""", """
from ratsnlp import nlpbook
nlpbook.set_seed(args)
""", """
nlpbook.set_logger(args)
""", """
from Korpora import Korpora
Korpora.fetch(
    corpus_name=args.downstream_corpus_name,
    root_dir=args.downstream_corpus_root_dir,
    force_download=args.force_download,
)
""", """
from transformers import PreTrainedTokenizerFast
tokenizer = PreTrainedTokenizerFast.from_pretrained(
    args.pretrained_model_name,
    eos_token="</s>",
)
""", """
from ratsnlp.nlpbook.generation import NsmcCorpus, GenerationDataset
from torch.utils.data import DataLoader, SequentialSampler, RandomSampler
corpus = NsmcCorpus()
train_dataset = GenerationDataset(
    args=args,
    corpus=corpus,
    tokenizer=tokenizer,
    mode="train",
)
train_dataloader = DataLoader(
    train_dataset,
    batch_size=args.batch_size,
    sampler=RandomSampler(train_dataset, replacement=False),
    collate_fn=nlpbook.data_collator,
    drop_last=False,
    num_workers=args.cpu_workers,
)
""", """
val_dataset = GenerationDataset(
    args=args,
    corpus=corpus,
    tokenizer=tokenizer,
    mode="test",
)
val_dataloader = DataLoader(
    val_dataset,
    batch_size=args.batch_size,
    sampler=SequentialSampler(val_dataset),
    collate_fn=nlpbook.data_collator,
    drop_last=False,
    num_workers=args.cpu_workers,
)
""", """
from transformers import GPT2LMHeadModel
model = GPT2LMHeadModel.from_pretrained(
    args.pretrained_model_name
)
""", """
from ratsnlp.nlpbook.generation import GenerationTask
task = GenerationTask(model, args)
""", """
trainer = nlpbook.get_trainer(args)
""", """
trainer.fit(
    task,
    train_dataloader=train_dataloader,
    val_dataloaders=val_dataloader,
)
"""]

PRETRAINED = ["""
from transformers import GPT2LMHeadModel
model = GPT2LMHeadModel.from_pretrained(
    "skt/kogpt2-base-v2",
)
model.eval()
""", """
from transformers import PreTrainedTokenizerFast
tokenizer = PreTrainedTokenizerFast.from_pretrained(
    "skt/kogpt2-base-v2",
    eos_token="</s>",
)
""", """
input_ids = tokenizer.encode("안녕하세요", return_tensors="pt")
"""]

GENERATE = """
import torch
with torch.no_grad():
    generated_ids = model.generate(
        input_ids,
        {},
    )
    print(tokenizer.decode([el.item() for el in generated_ids[0]]))
"""

DECODING = [
    "do_sample=False, min_length=10, max_length=50",
    "do_sample=False, min_length=10, max_length=50, num_beams=3",
    "do_sample=False, min_length=10, max_length=50, num_beams=1",
    "do_sample=False, min_length=10, max_length=50, no_repeat_ngram_size=3",
    "do_sample=False, min_length=10, max_length=50, repetition_penalty=1.0",
    "do_sample=False, min_length=10, max_length=50, repetition_penalty=1.1",
    "do_sample=False, min_length=10, max_length=50, repetition_penalty=1.2",
    "do_sample=False, min_length=10, max_length=50, repetition_penalty=1.5",
    "do_sample=True, min_length=10, max_length=50, top_k=50",
    "do_sample=True, min_length=10, max_length=50, top_k=1",
    "do_sample=True, min_length=10, max_length=50, top_k=50, temperature=0.01",
    "do_sample=True, min_length=10, max_length=50, top_k=50, temperature=1.0",
    "do_sample=True, min_length=10, max_length=50, top_k=50, temperature=100000000.0",
    "do_sample=True, min_length=10, max_length=50, top_p=0.92",
    "do_sample=True, min_length=10, max_length=50, top_p=0.01",
    "do_sample=True, min_length=10, max_length=50, repetition_penalty=1.5, no_repeat_ngram_size=3, temperature=0.9, "
    "top_k=50, top_p=0.92",
]

DEPLOY = [
    """
from ratsnlp.nlpbook.generation import GenerationDeployArguments
args = GenerationDeployArguments(
    pretrained_model_name="skt/kogpt2-base-v2",
    downstream_model_dir=GDRIVE + "/My Drive/nlpbook/checkpoint-generation",
)
""", """
import torch
from transformers import GPT2Config, GPT2LMHeadModel
pretrained_model_config = GPT2Config.from_pretrained(
    args.pretrained_model_name,
)
model = GPT2LMHeadModel(pretrained_model_config)
fine_tuned_model_ckpt = torch.load(
    args.downstream_model_checkpoint_fpath,
    map_location=torch.device("cpu"),
)
model.load_state_dict({k.replace("model.", ""): v for k, v in fine_tuned_model_ckpt['state_dict'].items()})
model.eval()
""", """
from transformers import PreTrainedTokenizerFast
tokenizer = PreTrainedTokenizerFast.from_pretrained(
    args.pretrained_model_name,
    eos_token="</s>",
)
""", """
def inference_fn(
        prompt,
        min_length=10,
        max_length=20,
        top_p=1.0,
        top_k=50,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        temperature=1.0,
):
    try:
        input_ids = tokenizer.encode(prompt, return_tensors="pt")
        with torch.no_grad():
            generated_ids = model.generate(
                input_ids,
                do_sample=True,
                top_p=float(top_p),
                top_k=int(top_k),
                min_length=int(min_length),
                max_length=int(max_length),
                repetition_penalty=float(repetition_penalty),
                no_repeat_ngram_size=int(no_repeat_ngram_size),
                temperature=float(temperature),
           )
        generated_sentence = tokenizer.decode([el.item() for el in generated_ids[0]])
    except:
        generated_sentence = "처리 중 오류가 발생했습니다."
    return {
        'result': generated_sentence,
    }
"""]

SERVE = """
from ratsnlp.nlpbook.generation import get_web_service_app
app = get_web_service_app(inference_fn{})
app.run()
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with nothing but what ``pip install .`` installs of the project itself."""
    folder = tmp_path_factory.mktemp("installed")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, "--target", folder, REPOSITORY], check=True, timeout=300)
    return folder


@pytest.fixture(scope="module", params=["stand-in", "hub"])
def hub_home(request, tmp_path_factory) -> Path:
    """An HF_HOME that has ``skt/kogpt2-base-v2``: a tiny GPT-2 with a tokenizer of ours, then the real tokenizer and a
    narrow model."""
    if request.param == "hub":
        return request.getfixturevalue("hub")
    tiny_folder = request.getfixturevalue("tiny_folder")
    home = tmp_path_factory.mktemp("hf")
    cache = home / "hub" / "models--skt--kogpt2-base-v2"
    (cache / "snapshots").mkdir(parents=True)
    (cache / "snapshots" / ("0" * 40)).symlink_to(tiny_folder, target_is_directory=True)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("0" * 40)
    return home


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def corpus_url(tmp_path_factory) -> str:
    """An HTTP server with a slice of a corpus, for Korpora, which always asks the network."""
    folder = write_corpus(tmp_path_factory.mktemp("web"), train=40, test=8)
    with http_server(partial(Quiet, directory=str(folder))) as server:
        yield f"http://127.0.0.1:{server.server_port}"


class Notebook:
    """A Jupyter kernel in a folder of its own that runs one cell after another."""

    def __init__(self, place: Path, installed: Path, hub_home: Path):
        from jupyter_client.manager import start_new_kernel

        environment = {**os.environ, "PYTHONPATH": str(installed), "HOME": str(place), "USERPROFILE": str(place),
                       "HF_HOME": str(hub_home), "HF_HUB_OFFLINE": "1"}
        self.manager, self.client = start_new_kernel(kernel_name="python3", cwd=str(place), env=environment)
        self.run(f"GDRIVE = {str(place / 'gdrive')!r}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def execute(self, cell: str) -> tuple[str, list[str]]:
        """What the cell prints, on both streams, and what the notebook shows of its exception."""
        printed, traceback = [], []

        def hook(message):
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])
            if message["msg_type"] == "error":
                traceback.extend(message["content"]["traceback"])

        self.client.execute_interactive(cell, allow_stdin=False, output_hook=hook, timeout=300)
        return "".join(printed), traceback

    def run(self, cell: str) -> str:
        printed, traceback = self.execute(cell)
        assert not traceback, "\n".join([cell, *traceback])
        return printed


@pytest.fixture
def serving_port() -> int:
    """5000, where ``app.run()`` listens."""
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("127.0.0.1", 5000))
        except OSError:
            pytest.skip("책의 app.run()이 쓰는 5000번 포트를 다른 프로그램이 쓰고 있습니다.")
    return 5000


def wait_for(port: int):
    for _ in range(100):
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"nobody listens on port {port}")


def test_train_and_deploy_as_the_books_notebooks_do(tmp_path, installed, hub_home, corpus_url, serving_port):
    with Notebook(tmp_path, installed, hub_home) as notebook:
        notebook.run(f"""
from Korpora import korpus_nsmc
for file in korpus_nsmc.NSMC_FETCH_INFORMATION:
    file["url"] = "{corpus_url}/" + file["url"].rsplit("/", 1)[1]
""")
        printed = [notebook.run(cell) for cell in TRAIN]
        where = notebook.run("import ratsnlp; print(ratsnlp.__file__)")
        workers = """
spawned = DataLoader(
    train_dataset, batch_size=4, num_workers=2, multiprocessing_context="spawn", collate_fn=nlpbook.data_collator)
print(args.cpu_workers, [batch["input_ids"].shape for batch in spawned][0])
"""
        assert notebook.run(workers).strip() == "0 torch.Size([4, 32])"  # macOS and Windows spawn their workers
    assert str(installed) in where
    assert (tmp_path / "Korpora/nsmc/ratings_train.txt").is_file()
    log = "".join(printed)
    for expected in ("시드를 고정합니다: 7", "*** Example ***", "tpu_cores: TPU는 쓰지 않습니다", "장치: ",
                     "val_loss="):
        assert expected in log, expected
    folder = tmp_path / "gdrive/My Drive/nlpbook/checkpoint-generation"
    assert re.fullmatch(r"epoch=[012]-val_loss=\d+\.\d\d\.ckpt", next(folder.glob("epoch=*.ckpt")).name)

    with Notebook(tmp_path, installed, hub_home) as notebook:
        for cell in DEPLOY:
            notebook.run(cell)
        for extra in ("", ", is_colab=False"):
            notebook.client.execute(SERVE.format(extra))
            wait_for(serving_port)
            request = {"prompt": "긍정", "min_length": "10", "max_length": "20", "top_p": "1.0", "top_k": "50",
                       "repetition_penalty": "1.0", "no_repeat_ngram_size": "0", "temperature": "1.0"}
            status, answer = post(serving_port, request)
            assert status == 200, answer
            assert answer["result"].startswith("긍정"), answer
            with urllib.request.urlopen(f"http://127.0.0.1:{serving_port}/", timeout=60) as page:
                assert 'id="prompt"' in page.read().decode("utf-8")
            notebook.manager.interrupt_kernel()
            notebook.client.get_shell_msg(timeout=60)


def test_decoding_as_the_books_notebook_does(tmp_path, installed, hub_home):
    with Notebook(tmp_path, installed, hub_home) as notebook:
        for cell in PRETRAINED:
            notebook.run(cell)
        texts = [re.search(r"^안녕.*", notebook.run(GENERATE.format(arguments)), re.MULTILINE)[0]
                 for arguments in DECODING]
    assert texts[0] == texts[2] == texts[4] == texts[9] == texts[14]  # one beam, no penalty, one candidate: all greedy


def test_a_mistake_in_a_notebook_is_one_line(tmp_path, installed):
    with Notebook(tmp_path, installed, tmp_path / "hf") as notebook:
        notebook.run("from ratsnlp import nlpbook\n"
                     "from ratsnlp.nlpbook.generation import GenerationTrainArguments, load_pretrained")
        _, traceback = notebook.execute("GenerationTrainArguments(epochs=0)")
        assert traceback == ["오류: epochs: 1 이상이어야 하는데 0입니다."]
        _, traceback = notebook.execute("nlpbook.load_arguments(GenerationTrainArguments)")  # sys.argv is the kernel's
        assert len(traceback) == 1
        assert "없는 옵션입니다" in traceback[0]
        _, traceback = notebook.execute(
            'nlpbook.get_trainer(GenerationTrainArguments(downstream_model_dir="/proc/gdrive"))')
        assert len(traceback) == 1
        assert "/proc/gdrive 폴더를 만들 수 없습니다" in traceback[0]


def test_the_installed_package_has_its_own_model_data_and_output(tmp_path, installed):
    with Notebook(tmp_path, installed, tmp_path / "hf") as notebook:
        notebook.run("from ratsnlp.nlpbook.generation import load_pretrained\n"
                     "from ratsnlp.nlpbook.generation.arguments import *")
        cell = ('model, tokenizer = load_pretrained("kogpt-mini"); '
                'print(OUTPUT, (BUNDLED_DATA / "mini/ratings_train.txt").is_file())')
        assert f"{tmp_path / 'output'} True\n" in notebook.run(cell)
