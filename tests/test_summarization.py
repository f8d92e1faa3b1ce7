"""Dialogues summarized: what is read, what a model sees and costs, how a run ends, what is written. The model is one of
KoBART's shape, made narrow (the fixture kobart)."""

import csv
import io
import json
import logging
import re
import shutil
import sys
import unicodedata
from dataclasses import asdict
from types import SimpleNamespace

import pandas
import pytest
import torch
from helpers import assert_same_run, last_checkpoint, run_sum, save_kobart
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.generation import load_finetuned
from ratsnlp.nlpbook.generation.loss import has_plain_head
from ratsnlp.nlpbook.run_folder import RunFolder
from ratsnlp.nlpbook.summarization import (
    DialogueCorpus,
    DialogueDataset,
    Predictor,
    SummarizationInferArguments,
    SummarizationTask,
    SummarizationTrainArguments,
    SummaryOutput,
    dialogue_generator,
    fetch_dialogues,
    load_model,
    load_tokenizer,
    made_dialogues,
    read_dialogues,
    read_input,
    task,
    write_dialogues,
)
from ratsnlp.nlpbook.summarization.features import IGNORED, check_hangul, dialogue_ids, fit, summary_ids
from ratsnlp.nlpbook.summarization.predictor import DEFAULTS, summary_text
from ratsnlp.nlpbook.training import memory_check
from ratsnlp.nlpbook.training.adapters import weights_of

TALK = "#Person1#: 내일 몇 시에 볼까?\n#Person2#: 오후 3시에 보자."


@pytest.fixture(scope="module")
def bart_tokenizer(kobart):
    """KoBART's, with the placeholders, as the scripts load it."""
    return load_tokenizer(SummarizationTrainArguments(pretrained_model_name=str(kobart)))


@pytest.fixture(scope="module")
def examples(dialogue_root):
    return read_dialogues(dialogue_root / "talk/train.csv")


@pytest.fixture(scope="module")
def predictor(summary_run):
    return Predictor.from_pretrained(str(summary_run[0]), "cpu")


@pytest.fixture(scope="module", autouse=True)
def one_estimate():
    """An estimate of the memory takes longer than a run here: one of each kind is enough."""
    estimates, estimate = {}, memory_check.estimate

    def once(config, args, *question, rows):
        kind = (args.lora_r, args.optimizer, args.gradient_checkpointing)
        estimates[kind] = estimates.get(kind) or estimate(config, args, *question, rows=rows)
        return estimates[kind]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory_check, "estimate", once)
        yield


def data(args, tokenizer, mode="train"):
    return DialogueDataset(args, tokenizer, DialogueCorpus(), mode)


# Tokenizers


@pytest.mark.parametrize("named", [None, "BartTokenizer", "PreTrainedTokenizerFast"])
def test_ids_are_right_whatever_class_a_folder_names(kobart, bart_tokenizer, tmp_path, named):
    for file in ("tokenizer.json", "config.json"):
        shutil.copy(kobart / file, tmp_path)
    if named:
        config = json.loads((kobart / "tokenizer_config.json").read_text(encoding="utf-8"))
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({**config, "tokenizer_class": named}))
    loaded = load_tokenizer(SummarizationTrainArguments(pretrained_model_name=str(tmp_path)))
    assert [loaded.bos_token_id, loaded.eos_token_id, loaded.pad_token_id, loaded.unk_token_id] == [0, 1, 3, 5]
    assert len(loaded) == len(bart_tokenizer)
    ids = dialogue_ids(loaded, TALK)
    assert ids == dialogue_ids(bart_tokenizer, TALK)
    assert (ids[0], ids[-1]) == (0, 1)
    assert loaded.decode(ids[1:-1]) == TALK.replace("\n", " ")
    bare = PreTrainedTokenizerFast.from_pretrained(tmp_path, eos_token="</s>")  # as infer_sum-N.py reads it
    text = TALK.replace("#", "")
    assert dialogue_ids(bare, text) == dialogue_ids(bart_tokenizer, text)
    if named != "PreTrainedTokenizerFast":
        trap = AutoTokenizer.from_pretrained(tmp_path)
        assert trap.encode("내일 몇 시에 볼까") == [0, 1]
        trap.add_tokens(["#Person1#"])
        with pytest.raises(UserError, match="토크나이저: 한글을 읽지 못합니다. AutoTokenizer 대신 load_tokenizer나"):
            check_hangul(trap)


def test_what_a_run_exports_is_read_right_by_autotokenizer(summary_run, bart_tokenizer):
    for folder in (summary_run[0], summary_run[0] / "huggingface"):
        theirs = AutoTokenizer.from_pretrained(folder)
        assert theirs.encode("#Person1#은 오후 3시에", add_special_tokens=False) == bart_tokenizer.encode(
            "#Person1#은 오후 3시에", add_special_tokens=False)


def test_placeholders_are_added_once_and_stay_in_texts(kobart, summary_run, capsys):
    args = SummarizationTrainArguments(pretrained_model_name=str(kobart))
    tokenizer = load_tokenizer(args)
    rows = len(tokenizer) - 16
    assert f"특수 토큰 16개 가운데 16개를 추가했습니다: 토큰 {rows:,} → {rows + 16:,}개" in capsys.readouterr().out
    model = load_model(args, tokenizer)
    assert f"임베딩: {rows:,} → {rows + 16:,}행" in capsys.readouterr().out
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert model.config.vocab_size == model.final_logits_bias.shape[1] == rows + 16

    args = SummarizationTrainArguments(pretrained_model_name=str(summary_run[0]))
    assert load_tokenizer(args).get_vocab() == tokenizer.get_vocab()
    assert f"16개 가운데 0개를 추가했습니다: 토큰 {rows + 16:,} → {rows + 16:,}개" in capsys.readouterr().out


@pytest.mark.parametrize("text", [
    "#Person1#은 #Person2#에게 #PhoneNumber#로 전화하라고 했다.", "민수는 #Person1#과 간다.", "오후 3시에 #Person1#",
    "#Person1#, #Person2#, #Person3#이 만났다."])
def test_a_placeholder_is_one_token_and_its_particle_stays_with_it(bart_tokenizer, text):
    """Metaspace would put a space between them."""
    ids = summary_ids(bart_tokenizer, text)
    found = re.findall(r"#\w+#", text)
    assert [bart_tokenizer.convert_ids_to_tokens(number) for number in ids].count(found[0]) == 1
    assert summary_text(bart_tokenizer, ids) == (text, True)


def test_every_summary_comes_back_as_it_was(bart_tokenizer, examples):
    for example in examples:
        (summary,) = example.references
        assert summary_text(bart_tokenizer, summary_ids(bart_tokenizer, summary)) == (summary, True)
        dialogue = example.dialogue.replace("\n", " ")
        assert bart_tokenizer.decode(dialogue_ids(bart_tokenizer, example.dialogue)[1:-1]) == dialogue


def test_turns_stay_apart_where_the_tokenizer_has_a_line_break():
    args = SummarizationTrainArguments(pretrained_model_name="kobart-mini")
    tokenizer = load_tokenizer(args)
    assert tokenizer.decode(dialogue_ids(tokenizer, TALK)[1:-1]) == TALK


@pytest.mark.parametrize(("text", "expected"), [
    ("오후 3시에 #Pe", "오후 3시에"), ("오후 3시에 #", "오후 3시에"), ("오후 3시에 #Person1#", "오후 3시에 #Person1#"),
    ("#Person1##Person2", "#Person1#"), ("#Person1#은 #Person2#", "#Person1#은 #Person2#"), ("#Pe", "")])
def test_a_placeholder_that_is_not_finished_is_cut(text, expected):
    tokenizer = load_tokenizer(SummarizationTrainArguments(pretrained_model_name="kobart-mini", special_tokens=()))
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert summary_text(tokenizer, ids) == (expected, False)
    assert summary_text(tokenizer, [*ids, tokenizer.eos_token_id, tokenizer.pad_token_id, 5])[1]


def test_a_tokenizer_that_reads_no_hangul_or_nothing_is_refused(sum_args, dialogue_root, tmp_path, kobart, summary_run):
    shutil.copytree(kobart, tmp_path / "base")
    file = tmp_path / "base/tokenizer_config.json"
    file.write_text(file.read_text(encoding="utf-8").replace("PreTrainedTokenizerFast", "BartTokenizer")
                    .replace("TokenizersBackend", "BartTokenizer"), encoding="utf-8")
    trap = AutoTokenizer.from_pretrained(tmp_path / "base")
    for use in (lambda: data(sum_args(), trap), lambda: Predictor(summary_run[1], trap)):
        with pytest.raises(UserError, match="한글을 읽지 못합니다"):
            use()
    example = read_dialogues(dialogue_root / "talk/train.csv")[0]
    for name, ids in (("encoder_max_len", [0, 1]), ("decoder_max_len", [1])):
        with pytest.raises(UserError, match="train.csv 2번째 줄: 이 토크나이저로는 토큰이 하나도 나오지 않습니다"):
            fit(name, [ids], [example], 9, truncate=False)


# Tables


def table(*rows, header="fname,dialogue,summary") -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([header.split(","), *rows])
    return file.getvalue()


GOOD = ("가", TALK, "둘은 오후 3시에 보기로 했다.")
TABLES = [
    (table(), "대화가 없습니다"),
    (table(("가", TALK), header="fname,dialogue"), "1번째 줄: summary 열이 없습니다. 있는 열: fname, dialogue"),
    (table(GOOD, header="id,dialogue,summary"), "1번째 줄: fname 열이 없습니다. 있는 열: id, dialogue, summary"),
    (table(GOOD, header="fname,text,summary"), "1번째 줄: dialogue 열이 없습니다"),
    (table(GOOD, ("나", TALK, " \n")), r"4번째 줄: summary\(요약\)가 비어 있습니다"),
    (table(GOOD, ("나", "안녕하세요.", "인사했다.")), "4번째 줄: 발화가 없는 대화입니다.*'안녕하세요.'입니다"),
    (table(GOOD, ("나", "", "인사했다.")), "4번째 줄: 발화가 없는 대화입니다"),
    (table(GOOD, ("나", TALK, "요약"), GOOD), "6번째 줄: fname이 '가'인 대화가 2번째 줄에도 있습니다"),
    (table(GOOD, ("나", TALK)), "4번째 줄: 첫 줄처럼 열이 3개여야 하는데 2개입니다"),
    ('fname,dialogue,summary\n가,"#Person1#: 안녕,요약\n', "CSV로 읽을 수 없습니다"),
    (table((*GOOD, ""), header="fname,dialogue,summary1,summary2"), r"2번째 줄: summary2\(요약\)가 비어"),
]


@pytest.mark.parametrize(("text", "message"), TABLES)
def test_a_table_with_a_mistake_is_told_by_file_and_line(tmp_path, text, message):
    file = tmp_path / "train.csv"
    file.write_text(text, encoding="utf-8-sig")
    with pytest.raises(UserError, match=f"^{re.escape(str(file))}.*{message}"):
        DialogueCorpus().get_examples(tmp_path, "train")


def test_files_that_are_no_tables_of_dialogues(tmp_path):
    file = tmp_path / "train.csv"
    file.write_bytes(table(GOOD).encode("cp949"))
    with pytest.raises(UserError, match="train.csv 2번째 줄: UTF-8이 아닙니다. 엑셀이라면 'CSV UTF-8"):
        read_dialogues(file)
    with pytest.raises(UserError, match="a.xlsx: 대화 파일은 .csv나 .tsv여야"):
        read_dialogues(tmp_path / "a.xlsx")
    with pytest.raises(UserError, match="없음.csv: 읽을 수 없습니다"):
        read_dialogues(tmp_path / "없음.csv")
    with pytest.raises(UserError, match="mode: train, val 가운데"):
        DialogueCorpus().get_examples(tmp_path, "test")
    args = SimpleNamespace(downstream_corpus_root_dir=str(tmp_path.parent), downstream_corpus_name=tmp_path.name)
    with pytest.raises(UserError, match=f"downstream_corpus_name: {tmp_path}에 dev.csv 파일이 없습니다"):
        fetch_dialogues(args)


def test_what_is_read_of_a_table(tmp_path):
    decomposed = unicodedata.normalize("NFD", "요약")
    rows = table((" 가 ", " #Person1#:  안녕?  \r\n\n#Person2#: 응.\n", f"첫째\n{decomposed}", "둘째", "인사"),
                 header="fname,dialogue,summary1,summary2,topic")
    (tmp_path / "a.CSV").write_text(rows, encoding="utf-8-sig")
    (example,) = read_dialogues(tmp_path / "a.CSV", summaries=True)
    assert example == type(example)("가", "#Person1#: 안녕?\n#Person2#: 응.", ("첫째 요약", "둘째"), example.place)
    assert example.place == f"{tmp_path / 'a.CSV'} 2번째 줄"
    (tmp_path / "b.tsv").write_text('fname\tdialogue\n나\t#Person1#: "안녕?"\\n#Person2#: 응.\n', encoding="utf-8")
    (example,) = read_dialogues(tmp_path / "b.tsv")
    assert (example.dialogue, example.references) == ('#Person1#: "안녕?"\n#Person2#: 응.', ())


def test_what_is_too_long_is_counted_and_cut_on_request_alone(sum_args, bart_tokenizer, caplog):
    whole = data(sum_args(), bart_tokenizer)
    for name, lengths in (("encoder_max_len", whole.lengths), ("decoder_max_len", whole.label_lengths)):
        limit = int(sorted(lengths)[-3])  # two are longer, or three
        long = lengths[lengths > limit]
        message = (f"{name}: .*train.csv {{}} 등 (대화|요약) {len(long)}개가 {limit}토큰보다 깁니다"
                   rf"\(가장 긴 것은 {max(lengths)}토큰\). 자르면 모두 {sum(long - limit)}토큰을 잃습니다.")
        place = whole.examples[int((lengths > limit).argmax())].place.partition(" ")[2]
        with pytest.raises(UserError, match=message.format(place) + f" {name}을 늘리거나, .*--truncate"):
            data(sum_args(**{name: limit}), bart_tokenizer)
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="ratsnlp"):
            cut = data(sum_args(**{name: limit}, truncate=True), bart_tokenizer)
        assert re.search(message.format(place), caplog.text)
        for was, now in zip(*(each.inputs if name == "encoder_max_len" else each.labels for each in (whole, cut)),
                            strict=True):
            assert now == (was if len(was) <= limit else [*was[: limit - 1], 1])


def test_a_model_is_read_to_its_last_position(kobart, bart_tokenizer, tmp_path, sum_args):
    """KoBART's 1,026 are no multiple of the widths of batches."""
    dialogue, summary = "#Person1#: 네, " + "오후 " * 60, "오후 " * 60
    for name in ("train.csv", "dev.csv"):
        write_dialogues(tmp_path / "long" / name, [dialogue_generator.Dialogue(dialogue, summary, "")])
    save_kobart(tmp_path / "base", PreTrainedTokenizerFast.from_pretrained(kobart), max_position_embeddings=42)
    shutil.copy(kobart / "tokenizer.json", tmp_path / "base")
    limits = {"encoder_max_len": 42, "decoder_max_len": 42, "truncate": True}
    args = sum_args(pretrained_model_name=str(tmp_path / "base"), downstream_corpus_root_dir=str(tmp_path),
                    downstream_corpus_name="long", epochs=1, **limits)
    assert run_sum(args)[0].global_step == 1
    predictor = Predictor(*load_finetuned(tmp_path / "out"), truncate=True)
    assert predictor.encoder_max_len == 42
    assert predictor.predict_single(dialogue)  # the usual 100 tokens give way
    with pytest.raises(UserError, match="max_new_tokens: 이 모델의 최대 길이는 42토큰이라 41 이하여야 하는데 42"):
        predictor.predict_single(dialogue, max_new_tokens=42)
    with pytest.raises(UserError, match="encoder_max_len: 이 모델의 최대 길이는 42토큰이라 42 이하여야 하는데 43"):
        SummarizationTask(predictor.model, sum_args(encoder_max_len=43, decoder_max_len=42))
    with pytest.raises(UserError, match="decoder_max_len: .*42 이하여야 하는데 43"):
        SummarizationTask(predictor.model, sum_args(encoder_max_len=42, decoder_max_len=43))


# What a batch costs


@pytest.fixture(scope="module")
def costly(kobart, bart_tokenizer, dialogue_root):
    """The task of the narrow model without dropout, and its data; a function of some of which a batch is made."""
    args = SummarizationTrainArguments(
        pretrained_model_name=str(kobart), downstream_corpus_root_dir=str(dialogue_root),
        downstream_corpus_name="talk", encoder_max_len=256, decoder_max_len=48)
    dataset = data(args, bart_tokenizer)
    return SummarizationTask(load_model(args, bart_tokenizer).eval(), args), dataset


def test_padding_costs_nothing(costly):
    task, dataset = costly
    features = [dataset[index] for index in (0, 3, 1, 7)]
    batch = dataset.collate(features)
    assert all(batch[name].shape[1] % 8 == 0 for name in ("input_ids", "labels"))
    assert (batch["labels"] == IGNORED).any()
    assert batch["attention_mask"].sum(1).tolist() == [len(each["input_ids"]) for each in features]
    with torch.no_grad():
        losses = task._losses(batch)
        alone = torch.cat([task._losses(dataset.collate([feature])) for feature in features])
        theirs = task.model(**{name: batch[name] for name in ("input_ids", "attention_mask", "labels")}).loss
    assert len(losses) == sum(len(feature["labels"]) for feature in features)
    torch.testing.assert_close(losses, alone, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(losses.mean(), theirs)


def test_a_head_that_is_more_than_a_matrix_is_computed_as_the_model_does(costly, monkeypatch):
    task, dataset = costly
    batch = dataset.collate([dataset[index] for index in range(4)])
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "labels")}
    with torch.no_grad():
        assert task.plain_head
        plain = task._losses(batch)
        monkeypatch.setattr(task, "plain_head", False)
        torch.testing.assert_close(task._losses(batch), plain)
        monkeypatch.setattr(task.model, "final_logits_bias", torch.linspace(-3, 3, len(dataset.tokenizer))[None])
        assert not has_plain_head(task.model)
        biased = SummarizationTask(task.model, task.args)
        assert not biased.plain_head
        torch.testing.assert_close(biased._losses(batch).mean(), task.model(**inputs).loss)
        assert not torch.allclose(biased._losses(batch), plain)


def test_each_token_of_an_epoch_weighs_the_same(costly, monkeypatch):
    """A step's loss is the sum over its tokens, divided by how many a step has on average."""
    task, dataset = costly
    monkeypatch.setattr(task, "tokens_per_step", 50.0, raising=False)
    monkeypatch.setattr(task, "log", lambda *_, **__: None)
    batch = dataset.collate([dataset[index] for index in range(3)])
    torch.testing.assert_close(task.training_step(batch, 0), task._losses(batch).sum() / 50)


# Runs


def test_what_a_run_leaves_behind(summary_run, dialogue_root):
    folder, model, args = summary_run
    record = json.loads((folder / "train_record.json").read_text(encoding="utf-8"))
    assert record["state"] == "finished"
    for epoch in record["epochs"]:
        assert {"loss", "val_loss", "rouge1", "rouge2", "rougeL", "rouge_sum", "rouge_sum_word", "chrf", "exact",
                "syllables", "reference_syllables"} <= epoch.keys()
        assert epoch["rouge_sum"] == pytest.approx(epoch["rouge1"] + epoch["rouge2"] + epoch["rougeL"], abs=2e-6)
    scores = [epoch["rouge_sum"] for epoch in record["epochs"]]
    assert f"rouge_sum={max(scores):.4f}" in record["best_checkpoint"]
    assert len(list(folder.glob("epoch=*-val_loss=*-rouge_sum=*.ckpt"))) == 3
    last = last_checkpoint(folder)["state_dict"]
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(last[f"model.{name}"], tensor)
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
            "tokenizer_config.json"} <= {path.name for path in (folder / "huggingface").iterdir()}
    best, theirs = load_finetuned(folder)[0], Predictor.from_pretrained(str(folder / "huggingface"), "cpu").model
    for tensor, other in zip(best.state_dict().values(), theirs.state_dict().values(), strict=True):
        assert torch.equal(tensor, other)


def scripted(monkeypatch, scores, name="rouge_sum"):
    """From now on the figure ``name`` of each epoch is the next of ``scores``."""
    real, scores = task.summary_metrics, iter(scores)
    monkeypatch.setattr(task, "summary_metrics", lambda *texts: {**real(*texts), name: next(scores)})


def test_the_best_three_by_rouge_stay_and_the_best_is_used(sum_args, monkeypatch):
    scripted(monkeypatch, [0.9, 1.2, 0.3, 1.1, 0.2])
    run_sum(sum_args(epochs=5, save_top_k=3, batch_size=12, max_eval_samples=2))
    folder = RunFolder(sum_args().downstream_model_dir)
    names = sorted(path.name for path in folder.path.glob("epoch=*"))
    assert [re.sub("-val_loss=[^-]*", "", name) for name in names] == [
        "epoch=0-rouge_sum=0.9000.ckpt", "epoch=1-rouge_sum=1.2000.ckpt", "epoch=3-rouge_sum=1.1000.ckpt"]
    losses = [float(re.search(r"val_loss=([\d.]+)", name)[1]) for name in names]
    assert losses[1] > losses[2]
    assert folder.best_checkpoint().name == folder.read_record()["best_checkpoint"] == names[1]
    best = torch.load(folder.path / names[1], weights_only=True)["state_dict"]["model.model.shared.weight"]
    assert torch.equal(Predictor.from_pretrained(str(folder.path), "cpu").model.get_input_embeddings().weight, best)


def test_it_stops_where_nothing_gets_better(sum_args, monkeypatch):
    scripted(monkeypatch, [0.5, 0.6, 0.4, 0.4, 9.0])
    run_sum(sum_args(epochs=5, patience=2, batch_size=12, max_eval_samples=2))
    record = RunFolder(sum_args().downstream_model_dir).read_record()
    assert [epoch["rouge_sum"] for epoch in record["epochs"]] == [0.5, 0.6, 0.4, 0.4]
    assert record["best_checkpoint"].startswith("epoch=1-")


@pytest.mark.parametrize("monitor", ["max chrf", "min val_loss"])
def test_another_figure_chooses(sum_args, monkeypatch, monitor):
    scripted(monkeypatch, [3.0, 7.0, 5.0], "chrf")
    run_sum(sum_args(epochs=3, monitor=monitor, batch_size=12, max_eval_samples=2))
    folder = RunFolder(sum_args().downstream_model_dir)
    record = folder.read_record()
    lowest = min(record["epochs"], key=lambda epoch: epoch["val_loss"])
    expected = "epoch=1-.*-chrf=7.0000.ckpt" if "chrf" in monitor else f"epoch={lowest['epoch']}-val_loss=[0-9.]*.ckpt"
    assert re.fullmatch(expected, record["best_checkpoint"])
    assert folder.best_checkpoint().name == record["best_checkpoint"]


@pytest.mark.parametrize(("changes", "message"), [
    ({"monitor": "max bleu"},
     "monitor: 'min val_loss'이거나 max와 다음 가운데 하나여야 하는데 'max bleu'입니다. rouge1, "),
    ({"monitor": "rouge_sum"}, "monitor: .*'rouge_sum'"), ({"save_top_k": 0}, "save_top_k: 1 이상이거나 -1"),
    ({"from_scratch": True, "lora_r": 4}, "lora_r: 처음부터 학습할 때.*4"),
    ({"qlora": True, "optimizer": "muon"}, "optimizer: qlora는"),
    ({"special_tokens": ("#가#", " ")}, "special_tokens: 공백만으로 된 토큰은"),
    ({"encoder_max_len": 2}, "encoder_max_len: 3 이상"), ({"decoder_max_len": 1}, "decoder_max_len: 2 이상"),
    ({"max_eval_samples": -1}, "max_eval_samples: 0 이상"), ({"eval_num_beams": 0}, "eval_num_beams: 1 이상"),
])
def test_settings_that_cannot_be_are_told(sum_args, changes, message):
    with pytest.raises(UserError, match=message):
        sum_args(**changes)


def test_a_model_without_an_encoder_is_told(sum_args, tiny_folder):
    with pytest.raises(UserError, match="pretrained_model_name: 인코더와 디코더가 있는 모델.* gpt2입니다"):
        load_tokenizer(sum_args(pretrained_model_name=str(tiny_folder)))


def test_some_of_the_dialogues_are_validated_on_by_a_beam_search(sum_args):
    trainer, _ = run_sum(sum_args(epochs=1, max_eval_samples=2, eval_num_beams=2, batch_size=12))
    assert len(trainer.val_dataloaders.dataset) == 2


def test_fine_tuning_begins_with_the_weights_and_from_scratch_without(sum_args, bart_tokenizer, kobart):
    pickled = torch.load(kobart / "pytorch_model.bin", weights_only=True)["model.encoder.layers.0.fc1.weight"]
    weights = [load_model(args, bart_tokenizer).get_encoder().layers[0].fc1.weight
               for args in (sum_args(), sum_args(from_scratch=True))]
    assert torch.equal(weights[0], pickled)
    assert not torch.equal(weights[1], pickled)


class Killed(Exception):
    pass


def break_off(args, monkeypatch, hook: str, after: int) -> bool:
    """Run until ``hook`` has been called so often; whether it got so far."""
    method, left = getattr(SummarizationTask, hook), iter(range(after))

    def stepping(self, *arguments):
        if next(left, None) is None:
            raise Killed
        return method(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(SummarizationTask, hook, stepping)
        try:
            run_sum(args)
        except Killed:
            return True
    return False


@pytest.mark.parametrize("changes", [
    {"save_steps": 2}, {"save_steps": 3, "lora_r": 4, "lora_dropout": 0.1, "save_top_k": 3},
    {"save_steps": 2, "gradient_checkpointing": True, "precision": "32", "optimizer": "muon"},
], ids=str)
def test_broken_off_a_run_goes_on_to_the_same_end(sum_args, tmp_path, monkeypatch, changes):
    """In the middle of steps and while summaries are written. The model has dropout."""
    changes = {**changes, "resume": True, "batch_size": 6, "max_eval_samples": 3, "learning_rate": 1e-3}
    run_sum(sum_args(**changes, downstream_model_dir=str(tmp_path / "whole")))
    args = sum_args(**changes, downstream_model_dir=str(tmp_path / "broken"))
    assert break_off(args, monkeypatch, "training_step", 3)
    assert break_off(args, monkeypatch, "validation_step", 1)  # the first one is Lightning's sanity check
    run_sum(args)
    assert_same_run(tmp_path / "broken", tmp_path / "whole")
    epochs = [RunFolder(tmp_path / name).read_record()["epochs"] for name in ("whole", "broken")]
    assert [epoch["rouge_sum"] for epoch in epochs[0]] == [epoch["rouge_sum"] for epoch in epochs[1]]


@pytest.mark.parametrize(("changes", "message"), [
    ({"special_tokens": ("#Person1#",)}, "special_tokens: 이 폴더의 학습은 .*#Email#.*로 했는데 지금은 "),
    ({"monitor": "min val_loss"}, "monitor: 이 폴더의 학습은 'max rouge_sum'"),
    ({"downstream_corpus_name": "other"}, "other: 이 폴더에서 학습하던 데이터와 다릅니다"),
])
def test_a_run_goes_on_as_it_began(summary_run, dialogue_root, tmp_path, changes, message):
    folder, _, args = summary_run
    shutil.copytree(folder, tmp_path / "out")
    if "downstream_corpus_name" in changes and not (dialogue_root / "other").exists():
        for name in ("train.csv", "dev.csv"):
            write_dialogues(dialogue_root / "other" / name, made_dialogues(8, 3))
    changed = SummarizationTrainArguments(**{
        **asdict(args), "resume": True, "downstream_model_dir": str(tmp_path / "out"), **changes})
    with pytest.raises(UserError, match=message):
        run_sum(changed)


@pytest.fixture(scope="module")
def lora_run(kobart, dialogue_root, tmp_path_factory):
    """What a short LoRA training leaves behind, and the model as it was then."""
    folder = tmp_path_factory.mktemp("lora-sum") / "out"
    args = SummarizationTrainArguments(
        pretrained_model_name=str(kobart), downstream_corpus_root_dir=str(dialogue_root), epochs=1, precision="32",
        downstream_corpus_name="talk", downstream_model_dir=str(folder), encoder_max_len=256, decoder_max_len=48,
        batch_size=8, learning_rate=2e-2, lora_r=4, seed=7)
    return folder, run_sum(args)[1].model.eval()


def test_a_lora_is_kept_alone_and_summarizes_as_what_it_was(lora_run, kobart, bart_tokenizer, examples):
    from peft import PeftModel

    folder, model = lora_run
    whole = (kobart / "pytorch_model.bin").stat().st_size
    (best,) = folder.glob("epoch=*.ckpt")
    assert best.stat().st_size < whole / 2
    assert all("lora_" in name or "trainable_tokens" in name for name in last_checkpoint(folder)["state_dict"])
    assert weights_of(model).keys() == {
        name.removeprefix("model.") for name in torch.load(best, weights_only=True)["state_dict"]}
    inputs = {"input_ids": torch.tensor([dialogue_ids(bart_tokenizer, TALK)]),
              "decoder_input_ids": torch.tensor([[1, 30, 9]])}
    with torch.no_grad():
        expected = model(**inputs).logits
        base = load_model(SummarizationTrainArguments(pretrained_model_name=str(kobart)), bart_tokenizer).eval()
        assert not torch.allclose(base(**inputs).logits, expected, atol=1e-2)
        merged = load_finetuned(folder)[0]
        torch.testing.assert_close(merged(**inputs).logits, expected, rtol=1e-4, atol=1e-4)
        assert merged.get_input_embeddings().weight is merged.get_output_embeddings().weight
        exported = Predictor.from_pretrained(str(folder / "huggingface"), "cpu").model
        torch.testing.assert_close(exported(**inputs).logits, expected, rtol=1e-4, atol=1e-4)
        adapted = PeftModel.from_pretrained(base, folder / "adapter").eval()  # with the rows of the new tokens
        torch.testing.assert_close(adapted(**inputs).logits, expected, rtol=1e-4, atol=1e-4)
    texts = [Predictor.from_pretrained(str(where), "cpu").predict_single(examples[0].dialogue, max_new_tokens=12)
             for where in (folder, folder / "huggingface")]
    assert texts[0] == texts[1]


def test_precisions_and_gradient_checkpointing_learn_the_same(sum_args, tmp_path):
    """Recomputed activations change no number; bf16 changes little."""
    ends = {}
    for name, changes in {"32": {"precision": "32"}, "again": {"precision": "32", "gradient_checkpointing": True},
                          "bf16": {"precision": "bf16"}}.items():
        trainer, task = run_sum(sum_args(epochs=1, batch_size=12, max_eval_samples=1, learning_rate=1e-3,
                                         downstream_model_dir=str(tmp_path / name), **changes))
        assert {"32": "32-true", "bf16": "bf16-mixed"}.get(name, "32-true") == trainer.precision
        ends[name] = task.model.state_dict(), float(trainer.callback_metrics["val_loss"])
    assert all(torch.equal(tensor, ends["again"][0][name]) for name, tensor in ends["32"][0].items())
    assert ends["bf16"][1] == pytest.approx(ends["32"][1], rel=0.02)


# Summaries


GREEDY = {"num_beams": 1, "min_new_tokens": 2, "max_new_tokens": 14, "no_repeat_ngram_size": 0,
          "repetition_penalty": 1.0}
WAYS = {"greedy": GREEDY, "beams": {"num_beams": 3, "max_new_tokens": 14}, "usual": {"max_new_tokens": 24},
        "length": {"num_beams": 2, "max_length": 12, "length_penalty": 2.0}}


def generates(predictor, monkeypatch) -> list[dict]:
    """The arguments of each call of the model's generate from now on."""
    calls, generate = [], predictor.model.generate

    def called(**arguments):
        calls.append(arguments)
        return generate(**arguments)

    monkeypatch.setattr(predictor.model, "generate", called)
    return calls


@pytest.mark.parametrize("way", WAYS)
def test_a_dialogue_gets_the_same_summary_everywhere(predictor, examples, tmp_path, way):
    """Alone, in batches of any size, from a table, in a submission."""
    dialogues = [example.dialogue for example in examples[:10]]
    alone = [predictor.predict_single(dialogue, **WAYS[way]) for dialogue in dialogues]
    assert len(set(alone)) > 1
    for size in (1, 4, 32):
        assert predictor.predict_batch(dialogues, size, show_progress=False, **WAYS[way]) == alone
    frame = pandas.DataFrame({"fname": [example.fname for example in examples[:10]], "dialogue": dialogues})
    assert predictor.predict_dataframe(frame, 3, False, **WAYS[way])["summary"].tolist() == alone
    assert list(frame.columns) == ["fname", "dialogue"]
    predictor.create_submission(frame, tmp_path / "제출/a.csv", 3, False, **WAYS[way])
    written = (tmp_path / "제출/a.csv").read_bytes()
    assert written.startswith(b"\xef\xbb\xbffname,summary")
    rows = list(csv.DictReader(io.StringIO(written.decode("utf-8-sig"))))
    assert [(row["fname"], row["summary"]) for row in rows] == list(zip(frame["fname"], alone, strict=True))
    with pytest.raises(UserError, match="a.csv 파일이 이미 있습니다"):
        predictor.create_submission(frame, tmp_path / "제출/a.csv")
    with pytest.raises(UserError, match="id_column: 'fname' 열이 없습니다"):
        predictor.create_submission(frame.drop(columns="fname"), tmp_path / "b.csv")


def test_it_writes_what_the_model_writes(predictor, examples):
    """generate of transformers, with nothing of ours around it."""
    tokenizer, ids = predictor.tokenizer, dialogue_ids(predictor.tokenizer, examples[0].dialogue)
    written = predictor.model.generate(
        torch.tensor([ids]), num_beams=5, max_new_tokens=40, min_new_tokens=30, no_repeat_ngram_size=3,
        length_penalty=1.0, repetition_penalty=1.5, early_stopping=True, forced_eos_token_id=None)
    text = summary_text(tokenizer, written[0, 1:].tolist())[0]
    assert predictor.predict_single(examples[0].dialogue, max_new_tokens=40) == text
    assert text


def test_what_nobody_names_is_usual(predictor, monkeypatch):
    calls = generates(predictor, monkeypatch)
    predictor.predict_single(TALK)
    assert DEFAULTS == {"max_new_tokens": 100, "min_new_tokens": 30, "num_beams": 5, "no_repeat_ngram_size": 3,
                        "length_penalty": 1.0, "repetition_penalty": 1.5, "early_stopping": True}
    assert DEFAULTS.items() <= calls[0].items()
    assert calls[0]["forced_eos_token_id"] is None
    predictor.predict_single(TALK, num_beams=2, early_stopping=False, min_new_tokens=0, max_new_tokens=9)
    assert calls[1]["early_stopping"] is False
    assert calls[1].get("min_new_tokens") in (0, None)
    predictor.predict_single(TALK, num_beams=1)
    assert not {"early_stopping", "length_penalty"} & calls[2].keys()


@pytest.mark.parametrize(("own", "given", "lengths"), [
    ({}, {"max_new_tokens": 20}, (20, 20)), ({}, {"max_length": 20}, (19, 19)),
    ({}, {"max_length": 60}, (59, 30)), ({}, {"max_length": 20, "max_new_tokens": 50}, (50, 30)),
    ({}, {"min_length": 6, "max_new_tokens": 20}, (20, 5)), ({}, {"max_length": None}, (100, 30)),
    ({"max_new_tokens": 25, "min_new_tokens": 5}, {}, (25, 5)), ({"max_new_tokens": 25}, {}, (25, 25)),
    ({"max_length": 26, "min_length": 6}, {}, (25, 5)), ({"max_length": 26}, {"max_new_tokens": 40}, (40, 30)),
    ({"max_new_tokens": 25}, {"max_length": 11}, (10, 10)), ({"num_beams": 1, "max_new_tokens": 25}, {}, (25, 25)),
])
def test_lengths_are_the_callers_else_the_models_else_usual(summary_run, monkeypatch, own, given, lengths):
    """Those of new tokens win; the others count the token that the decoder begins with."""
    predictor = Predictor.from_pretrained(str(summary_run[0]), "cpu")
    predictor.model.generation_config.update(**own)
    predictor = Predictor(predictor.model, predictor.tokenizer)
    calls = generates(predictor, monkeypatch)
    predictor.predict_single(TALK, **given)
    assert (calls[0]["max_new_tokens"], calls[0]["min_new_tokens"]) == lengths
    assert calls[0].get("num_beams") == own.get("num_beams", 5)


def test_a_length_beside_the_other_is_told(predictor, caplog):
    predictor.predict_single(TALK, max_length=21, max_new_tokens=12)
    assert "max_new_tokens: max_length와 함께 주어 max_new_tokens를 따르고, max_length(21" in caplog.text


@pytest.mark.parametrize(("given", "message"), [
    ({"min_new_tokens": 20, "max_new_tokens": 10}, r"min_new_tokens: max_new_tokens\(10\) 이하여야 하는데 20"),
    ({"num_beam": 3}, "num_beam: 없는 옵션입니다. 혹시 num_beams인가요"),
    ({"num_beams": 1, "length_penalty": 2.0}, "length_penalty: 빔 서치에서만"),
    ({"max_new_tokens": 1026}, "max_new_tokens: 이 모델의 최대 길이는 1026토큰이라 1025 이하여야 하는데 1026"),
    ({"max_length": 1027}, "max_length: .*1026 이하여야 하는데 1027"),
    ({"with_prompt": True}, "with_prompt: 인코더-디코더 모델이 쓰는"),
])
def test_options_that_cannot_be_are_told(predictor, given, message):
    with pytest.raises(UserError, match=message):
        predictor.predict_single(TALK, **given)


@pytest.mark.parametrize(("dialogues", "message"), [
    ([TALK, "안녕하세요."], "dialogues 2번째: 발화가 없는 대화입니다.*'안녕하세요.'"),
    ([TALK, ""], "dialogues 2번째: 발화가 없는 대화입니다"),
    ([None], "dialogues 1번째: 문자열이어야 하는데 None"), (["#Person1#: \ud83d"], "dialogues 1번째: 올바른 유니코드"),
    ([TALK, "#Person1#: " + "네 " * 600], r"dialogues 2번째: \d+토큰이라 encoder_max_len\(512\)보다 깁니다.*truncate"),
])
def test_a_dialogue_that_cannot_be_read_is_named(predictor, dialogues, message):
    with pytest.raises(UserError, match=message):
        predictor.predict_batch(dialogues, show_progress=False)


def test_a_dialogue_that_is_too_long_is_cut_on_request(summary_run, monkeypatch):
    predictor = Predictor.from_pretrained(str(summary_run[0]), "cpu")
    predictor.encoder_max_len, predictor.truncate = 20, True
    calls = generates(predictor, monkeypatch)
    predictor.predict_single(TALK + "\n#Person1#: 네" * 9, **GREEDY)
    ids = calls[0]["input_ids"][0].tolist()
    assert (len(ids), ids[0], ids[-1]) == (20, 0, 1)


@pytest.mark.parametrize("bias", [-50.0, 50.0])
def test_a_limit_is_no_end(summary_run, bias):
    """Though the model's configuration forces an eos upon the last place. The bias lets it never end, or at once."""
    predictor = Predictor.from_pretrained(str(summary_run[0]), "cpu")
    assert predictor.model.generation_config.forced_eos_token_id == 1
    predictor.model.final_logits_bias[0, 1] = bias
    for options in ({"num_beams": 1}, {"num_beams": 3}):
        ((_, _, sample),) = next(predictor.batches([TALK], max_new_tokens=6, min_new_tokens=3, **options))
        assert sample.ended is (bias > 0)
        assert sample.text


def test_a_model_of_one_half_is_told(tmp_path):
    from ratsnlp.nlpbook.generation import load_pretrained

    with pytest.raises(UserError, match="모델: 인코더와 디코더가 있는 모델.*gpt2입니다"):
        Predictor(*load_pretrained("kogpt-mini"))


# Input and output of infer_sum-N.py


@pytest.mark.parametrize(("given", "expected"), [
    ({"dialogue": r"#Person1#: 안녕?\n#Person2#: 응."}, "#Person1#: 안녕?\n#Person2#: 응."),
    ({"dialogue": "#Person1#: 안녕?\n\n #Person2#:  응."}, "#Person1#: 안녕?\n#Person2#: 응."),
    ({}, "#Person1#: 표준\n#Person2#: 입력"), ({"input": "-"}, "#Person1#: 표준\n#Person2#: 입력"),
])
def test_a_dialogue_is_read_of_a_flag_or_of_standard_input(monkeypatch, given, expected):
    stdin = io.TextIOWrapper(io.BytesIO("\ufeff#Person1#: 표준\r\n#Person2#: 입력\r\n".encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    (example,) = read_input(SummarizationInferArguments(**given))
    assert (example.dialogue, example.references) == (expected, ())


def test_nothing_to_summarize_is_told(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    with pytest.raises(UserError, match="dialogue: 요약할 것이 없습니다. --dialogue나 --input을"):
        read_input(SummarizationInferArguments())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(UserError, match="표준 입력: 발화가 없는 대화입니다"):
        read_input(SummarizationInferArguments())
    with pytest.raises(UserError, match="dialogue: 발화가 없는 대화입니다"):
        read_input(SummarizationInferArguments(dialogue="안녕"))
    with pytest.raises(UserError, match="dialogue: input과 함께 쓸 수 없습니다"):
        SummarizationInferArguments(dialogue=TALK, input="-")


def test_morphemes_that_cannot_be_counted_are_told_first(monkeypatch):
    from ratsnlp.nlpbook.evaluation import summaries

    summaries._kiwi.cache_clear()
    monkeypatch.setitem(sys.modules, "kiwipiepy", None)
    with pytest.raises(UserError, match="morphemes: kiwipiepy가 설치되어 있지 않습니다.*requirements-morphemes.txt"):
        read_input(SummarizationInferArguments(dialogue=TALK, morphemes=True))


def test_what_is_told_of_summaries(predictor, examples, tmp_path, capsys):
    """The table where people have written some, as the terminal shows it; how many were cut off; JSON lines."""
    args = SummarizationInferArguments(input="x.csv", max_new_tokens=6, min_new_tokens=2, num_beams=1)
    some = examples[:3]
    with SummaryOutput(args, some, predictor) as output:
        for batch in predictor.batches([each.dialogue for each in some], 2, show_progress=False, **args.generation):
            output.add(batch)
        output.finish()
    printed = capsys.readouterr()
    cut = sum(not ended for *_, ended in output.texts)
    assert [line.split("\t")[0] for line in printed.out.splitlines()] == [each.fname for each in some]
    assert (f"요약 3개 가운데 {cut}개는 최대 길이에서 잘렸습니다(finish_reason: length)" in printed.err) is (cut > 0)
    for row in ("모델", "첫 발화", "가장 긴 발화", "ROUGE-L", "chrF"):
        assert row in output.report()
    nothing = [type(each)(each.fname, each.dialogue, (), each.place) for each in some]
    assert not SummaryOutput(args, nothing, predictor).has_references

    args = SummarizationInferArguments(input="x.csv", output=str(tmp_path / "a.jsonl"), max_new_tokens=6, num_beams=1)
    with SummaryOutput(args, nothing, predictor) as output:
        for batch in predictor.batches([each.dialogue for each in some], 2, show_progress=False, **args.generation):
            output.add(batch)
        output.finish()
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["fname"] for row in rows] == [each.fname for each in some]
    assert all(row.keys() == {"fname", "summary", "finish_reason"} for row in rows)
    assert {row["finish_reason"] for row in rows} <= {"stop", "length"}


# Dialogues that are made


@pytest.fixture(scope="module")
def made():
    """Some of each kind, with the names and places that were made up for each."""
    words, write = {}, dialogue_generator._Writer.write

    def writing(self):
        dialogue, combination = write(self)
        words[dialogue.dialogue] = set(self.used), combination
        return dialogue, combination

    kinds = {"train": {"seed": 7}, "held out": {"seed": 8, "held_out": True},
             "unseen": {"seed": 9, "unseen_names": True}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dialogue_generator._Writer, "write", writing)
        return {kind: [(dialogue, *words[dialogue.dialogue]) for dialogue in made_dialogues(600, **options)]
                for kind, options in kinds.items()}


def has_final(syllable: str) -> bool:
    return len(unicodedata.normalize("NFD", syllable)) == 3


def test_the_same_seed_makes_the_same_dialogues():
    assert list(made_dialogues(50, 3)) == list(made_dialogues(50, 3))
    assert list(made_dialogues(50, 3)) != list(made_dialogues(50, 4))
    assert list(made_dialogues(20, 3)) == list(made_dialogues(50, 3))[:20]
    topics = {dialogue.topic for dialogue in made_dialogues(200, 3)}
    assert len(topics) == 10


def test_names_and_combinations_that_are_kept_back_stay_back(made):
    names = {kind: set().union(*(words for _, words, _ in each)) for kind, each in made.items()}
    combinations = {kind: {combination for *_, combination in each} for kind, each in made.items()}
    assert len(names["unseen"]) > 300
    assert not names["unseen"] & (names["train"] | names["held out"])
    assert len(combinations["held out"]) > 30
    assert not combinations["held out"] & (combinations["train"] | combinations["unseen"])


def test_a_summary_says_nothing_that_was_not_said(made):
    """Names, places, prices, numbers, days and hours of a summary are in its dialogue."""
    for dialogue, words, _ in sum(made.values(), []):
        said = re.sub(r"#Person\d#: ", "", dialogue.dialogue)
        summary = re.sub(r"#Person\d#", "", dialogue.summary)
        slots = {word for word in words if word in summary}
        assert slots, dialogue
        slots |= set(re.findall(r"오[전후] \d+시(?: \d+분| 반)?|.요일|[\d,]+(?:원|번|명|개)", summary))
        assert all(slot in said for slot in slots), dialogue
        for speaker in re.findall(r"#Person\d#", dialogue.summary):
            assert f"{speaker}: " in dialogue.dialogue
        turns = dialogue.dialogue.splitlines()
        assert len(turns) >= 4
        assert all(re.fullmatch(r"#Person[123]#: \S.*[.?]", turn) for turn in turns), dialogue
        assert dialogue.summary.endswith("다.")


def test_particles_are_right(made):
    """Of Hangul, by whether the syllable before ends in a consonant; #Person1# is read 퍼슨원, #Person2# 퍼슨투."""
    pairs = {"은": "는", "이": "가", "을": "를", "과": "와", "아": "야", "으로": "로"}
    wrong = []
    for dialogue, words, _ in sum(made.values(), []):
        for text in (dialogue.dialogue, dialogue.summary):
            spots = "|".join(dialogue_generator._SPOTS + dialogue_generator._SHOPS)
            for word, particle in re.findall(
                    rf"((?:{'|'.join(words)})(?:{spots})?)(은|는|이|가|을|를|과|와|아|야)(?=[\s,.?]|$)", text):
                wrong += [word + particle] if has_final(word[-1]) != (particle in pairs) else []
            for syllable, particle in re.findall(r"([가-힣])(을|를)(?=[\s,.?])", text):
                wrong += [syllable + particle] if has_final(syllable) != (particle == "을") else []
            for syllable, particle in re.findall(r"(시|분|반|원)(으로|로)(?=[\s,.?])", text):
                wrong += [syllable + particle] if has_final(syllable) != (particle == "으로") else []
            for speaker, particle in re.findall(r"#Person(\d)#(은|는|이|가|을|를|과|와)", text):
                wrong += [speaker + particle] if (speaker == "1") != (particle in pairs) else []
    assert not wrong
    for word, pair, expected in (("서울", "으로/로", "서울로"), ("집", "으로/로", "집으로"),
                                 ("민서", "아/야", "민서야"), ("지훈", "아/야", "지훈아")):
        assert dialogue_generator.josa(word, pair) == expected


def test_a_written_table_reads_back(tmp_path):
    dialogues = list(made_dialogues(5, 3))
    write_dialogues(tmp_path / "a/train.csv", dialogues)
    assert (tmp_path / "a/train.csv").read_bytes().startswith(b"\xef\xbb\xbffname,dialogue,summary,topic\n")
    examples = DialogueCorpus().get_examples(tmp_path / "a", "train")
    assert [(each.dialogue, each.references) for each in examples] == [
        (each.dialogue, (each.summary,)) for each in dialogues]
    assert [each.fname for each in examples] == [f"train_{number}" for number in range(5)]


def test_the_corpus_made_is_made_where_it_is_missing(tmp_path, monkeypatch, capsys):
    from ratsnlp.nlpbook.summarization import dialogues

    files = {name: {**kind, "count": 3} for name, kind in dialogues._MADE_FILES.items()}
    monkeypatch.setattr(dialogues, "_MADE_FILES", files)
    args = SimpleNamespace(downstream_corpus_root_dir=str(tmp_path), downstream_corpus_name="made")
    fetch_dialogues(args)
    assert capsys.readouterr().out.count("대화 3개를 만들어") == 3
    kept = (tmp_path / "made/train.csv").read_bytes()
    (tmp_path / "made/dev.csv").unlink()
    fetch_dialogues(args)
    assert capsys.readouterr().out.count("대화 3개를 만들어") == 1
    assert (tmp_path / "made/train.csv").read_bytes() == kept
