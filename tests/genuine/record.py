"""Write down what the genuine ratsnlp 1.0.53 gives for a small seeded model and for real and nasty texts.

It needs an environment of its own (Python 3.11; the package installs nowhere else, and never beside ours):

    python3.11 -m venv genuine
    genuine/bin/python -m pip install 'pip==23.2.1'
    genuine/bin/python -m pip install 'torch==2.13.0' 'ratsnlp==1.0.53' 'setuptools<81'
    genuine/bin/python tests/genuine/record.py                    # figures.json and the checkpoint beside this file
    genuine/bin/python tests/genuine/record.py OUT CORPUS         # elsewhere, and from another folder of
                                                                  # ratings_{train,test}.txt

``test_book.py`` compares the project with these figures; where GENUINE_RATSNLP_PYTHON names that environment's python,
it runs this script again too. The functions that build tokenizer, model and corpus run under both packages.
"""

import hashlib
import json
import os
import sys
import tempfile
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKPOINT = "genuine.ckpt"
LEARNING_RATE, EPOCHS, BATCH_SIZE, MAX_SEQ_LENGTH = 5e-3, 8, 4, 64
PROMPT = "부정 영화가"

NASTY = [
    '1\t"""그가 """"안녕""""이라 말할 때 울었다"""\t1', '2\t"따옴표 ""한 겹""만 친 글"\t0', '3\t"최고" 라는 말밖에\t1',
    '4\t중간에 "따옴표" 하나\t0', "5\t\t1", "6\t   \t0", "7\tㅋㅋㅋ ㅠㅠ ㅇㅈ\t1", "8\t👍👨‍👩‍👧 굿!!\t1",
    "9\tgood movie, 10/10 </s> 끝\t0", "10\t" + "정말 " * 60 + "길다\t1", "11\t뒤에 빈칸 \t0",
    "12\t줄이\u2028나뉜 듯\u00a0한 글\t1", "13\t윈도에서 온 줄\t0\r",
]


def write_corpus(root: Path) -> Path:
    """A corpus ``mix`` under ``root``: the first reviews of the bundled one with the nasty ones between them."""
    folder = root / "mix"
    folder.mkdir()
    mini = HERE.parents[1] / "task3-gen" / "data" / "mini"
    for mode, rows in (("train", 60), ("test", 12)):
        header, *lines = (mini / f"ratings_{mode}.txt").read_bytes().decode("utf-8").split("\n")
        text = "\n".join([header, *NASTY, *lines[:rows]]) + "\n"
        (folder / f"ratings_{mode}.txt").write_bytes(text.encode("utf-8"))
    return folder


def build_tokenizer():
    """One token a character of the mixed corpus, ``</s>`` and ``<unk>``: every version of tokenizers reads it alike."""
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    with tempfile.TemporaryDirectory() as temporary:
        text = (write_corpus(Path(temporary)) / "ratings_train.txt").read_bytes().decode("utf-8")
    tokens = ["</s>", "<unk>", *sorted(set(text + PROMPT + "부") - set("\n\r\t"))]
    tokenizer = Tokenizer(models.BPE(
        vocab={token: index for index, token in enumerate(tokens)}, merges=[], unk_token="<unk>"))
    tokenizer.add_special_tokens(["</s>", "<unk>"])  # as the file of a published tokenizer has them
    tokenizer.decoder = decoders.ByteFallback()  # joins the characters again
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>")


def build_config():
    from transformers import GPT2Config

    return GPT2Config(vocab_size=len(build_tokenizer()), n_positions=64, n_embd=24, n_layer=2, n_head=2,
                      resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, bos_token_id=0, eos_token_id=0)


def build_model():
    """A GPT-2 whose weights depend on their names alone, and not on the order in which a version of transformers makes
    them."""
    import numpy as np
    import torch
    from transformers import GPT2LMHeadModel

    model = GPT2LMHeadModel(build_config())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = np.random.default_rng(zlib.crc32(name.encode())).normal(0, 0.05, tuple(parameter.shape))
            parameter.copy_(torch.tensor(values) + (1.0 if ".ln_" in name and name.endswith("weight") else 0.0))
    return model


def features_of(dataset) -> list:
    return [[list(getattr(features, name)) for name in ("input_ids", "attention_mask", "token_type_ids", "labels")]
            for features in dataset]


def fingerprint(features: list) -> str:
    return hashlib.sha256(json.dumps(features).encode()).hexdigest()


def train(args, model):
    """Fit as the book does, but in the order of the file: features of both splits, the loss of each step, the learning
    rate at each epoch's end, val_loss after each epoch."""
    from pytorch_lightning import Callback
    from torch.utils.data import DataLoader, SequentialSampler

    from ratsnlp import nlpbook
    from ratsnlp.nlpbook.generation import GenerationDataset, GenerationTask, NsmcCorpus

    class Watch(Callback):
        losses, val_losses, rates = [], [], []

        def on_train_batch_end(self, trainer, module, outputs, *rest):
            self.losses.append(float(outputs["loss"]))

        def on_validation_end(self, trainer, module):
            if not trainer.sanity_checking:
                self.val_losses.append(float(trainer.callback_metrics["val_loss"]))
                self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def loader(dataset):
        return DataLoader(
            dataset, batch_size=args.batch_size, sampler=SequentialSampler(dataset), collate_fn=nlpbook.data_collator)

    datasets = [GenerationDataset(args=args, corpus=NsmcCorpus(), tokenizer=build_tokenizer(), mode=mode)
                for mode in ("train", "test")]
    watch = Watch()
    checkpoint_callback, trainer = nlpbook.get_trainer(args, return_trainer_only=False)
    trainer.callbacks.append(watch)
    trainer.fit(GenerationTask(model, args), train_dataloaders=loader(datasets[0]), val_dataloaders=loader(datasets[1]))
    return [features_of(dataset) for dataset in datasets], watch, checkpoint_callback.best_model_path


def arguments(root: Path, corpus: str, **more):
    from ratsnlp.nlpbook.generation import GenerationTrainArguments

    return GenerationTrainArguments(
        downstream_corpus_root_dir=str(root), downstream_corpus_name=corpus, downstream_model_dir=str(root / "out"),
        max_seq_length=MAX_SEQ_LENGTH, learning_rate=LEARNING_RATE, epochs=EPOCHS, batch_size=BATCH_SIZE, cpu_workers=0,
        seed=7, **more)


def parity(out: Path, root: Path, corpus: Path) -> dict:
    import torch

    for mode in ("train", "test"):  # a copy: the package writes its cache beside them
        (root / "corpus").mkdir(exist_ok=True)
        (root / "corpus" / f"ratings_{mode}.txt").write_bytes((corpus / f"ratings_{mode}.txt").read_bytes())
    model = build_model()
    features, watch, best = train(arguments(root, "corpus"), model)
    (out / CHECKPOINT).write_bytes(Path(best).read_bytes())
    model.load_state_dict({name[6:]: tensor for name, tensor in torch.load(best)["state_dict"].items()})
    tokenizer, model = build_tokenizer(), model.eval()
    prompt = tokenizer(PROMPT, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logits = model(prompt).logits[0, -1].tolist()
        greedy = model.generate(prompt, do_sample=False, min_length=10, max_length=50)[0].tolist()
    return {
        "features_sha256": [fingerprint(split) for split in features], "first_features": features[0][:2],
        "losses": watch.losses, "val_losses": watch.val_losses, "learning_rates": watch.rates,
        "best_checkpoint": Path(best).name, "logits": logits, "greedy": greedy,
    }


def differences(root: Path) -> dict:
    """The behaviours that the page on the differences tells of, as they are found."""
    import torch
    from transformers import GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM

    from ratsnlp.nlpbook.generation import GenerationDataset, NsmcCorpus, get_web_service_app

    folder = write_corpus(root)
    args = arguments(root, "mix")
    features = features_of(GenerationDataset(args=args, corpus=NsmcCorpus(), tokenizer=build_tokenizer(), mode="test"))
    other = build_tokenizer()
    other.add_tokens(["정말", "영화"])  # another vocabulary, other ids, and the same class
    after = features_of(GenerationDataset(args=args, corpus=NsmcCorpus(), tokenizer=other, mode="test"))
    args.overwrite_cache = True
    anew = features_of(GenerationDataset(args=args, corpus=NsmcCorpus(), tokenizer=other, mode="test"))

    (folder / "ratings_train.txt").write_text(
        'id\tdocument\tlabel\n1\t"열린 따옴표\t1\n2\t둘째\t0\n3\t"닫힌 셋째\t1\n4\t넷째\t0\n', encoding="utf-8")
    swallowed = [example.text for example in NsmcCorpus().get_examples(str(folder), "train")]

    GPTNeoXForCausalLM(GPTNeoXConfig(vocab_size=257, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                                     intermediate_size=64)).save_pretrained(root / "neox")
    twice = [GPT2LMHeadModel.from_pretrained(root / "neox").get_input_embeddings().weight for _ in range(2)]

    client = get_web_service_app(lambda *arguments: {"result": "글"}, is_colab=False).test_client()
    query = dict.fromkeys(("min_length", "max_length", "top_p", "top_k", "repetition_penalty", "no_repeat_ngram_size",
                           "temperature"), 1)
    answer = client.post("/api", json={"prompt": "안녕", **query}, headers={"Origin": "https://example.com"})
    missing = client.post("/api", json={"prompt": "안녕"})
    return {
        "cache": {"ids_of_the_first_tokenizer": after == features, "stale": after != anew},
        "an_open_quote": {"rows": 4, "examples": swallowed},
        "neox_as_gpt2": {"two_readings_are_equal": torch.equal(*twice)},
        "server": {"allowed_origin": answer.headers.get("Access-Control-Allow-Origin"),
                   "missing_key_status": missing.status_code},
        "torch": torch.__version__.split("+")[0],
    }


if __name__ == "__main__":
    os.environ.update(CUDA_VISIBLE_DEVICES="", TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD="1")
    here_or_there = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        (place / "differences").mkdir()
        chosen = Path(sys.argv[2]) if len(sys.argv) > 2 else write_corpus(place)
        figures = {"package": "ratsnlp 1.0.53", **parity(here_or_there, place, chosen),
                   "differences": differences(place / "differences")}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}"
                       for name, value in figures.items())
    (here_or_there / "figures.json").write_text("{\n" + lines + "\n}\n", encoding="utf-8")
