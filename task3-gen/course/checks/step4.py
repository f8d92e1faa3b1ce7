"""Step 4: settings, held-out reviews, a loader that shuffles, ``trainer.fit``, perplexity, and texts in eval mode.

The file is run on a few hundred of the bundled reviews. Whether the model has learnt is seen from its own loss on
reviews that it was not given, on real tokens alone, whatever the file's loss was.
"""

import math
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from ..checking import Missing, Run, Todo, Wrong
from ..judging import reference

TRAIN, TEST, BATCH = 192, 48, 16  # reviews
LEARNT = 0.1  # nats per token that training has to gain at least
CORPUS = "some"


def flags(folder: Path) -> list[str]:
    from ratsnlp.nlpbook.paths import BUNDLED_DATA

    corpus = folder / CORPUS
    corpus.mkdir(exist_ok=True)
    for name, count in (("ratings_train.txt", TRAIN), ("ratings_test.txt", TEST)):
        lines = (BUNDLED_DATA / "mini" / name).read_text(encoding="utf-8").splitlines(keepends=True)
        (corpus / name).write_text("".join([lines[0], *lines[-count:]]), encoding="utf-8", newline="")
    return ["--prompt", "이 배우는", "--seed", "11", "--output_dir", str(folder), "--batch_size", str(BATCH),
            "--downstream_corpus_root_dir", str(folder), "--downstream_corpus_name", CORPUS, "--recipe", "standard"]


@contextmanager
def beside(run: Run):
    """While it lasts, ``run.notes`` collects what the trainer was asked to do (``asked``), and how many calls of
    ``generate`` came before it was done (``calls``). A training that cannot be right is not begun."""
    from ratsnlp.nlpbook.training.trainer import Trainer

    before = {name: getattr(Trainer, name) for name in ("fit", "validate", "test")}
    run.notes.update(asked=[], calls=0)

    def noted(name):
        def method(trainer, *inputs, **named):
            run.notes["asked"].append((name, inputs, named))
            if name == "fit":
                for check in (check_settings, check_validation, check_loader, check_asked):
                    check(run)
            told = before[name](trainer, *inputs, **named)
            run.notes["calls"] = len(run.calls)
            return told
        return method

    for name in before:
        setattr(Trainer, name, noted(name))
    try:
        yield
    finally:
        for name, method in before.items():
            setattr(Trainer, name, method)


def check_settings(run: Run) -> None:
    args = run["train_args"]
    from ratsnlp.nlpbook.generation import GenerationTrainArguments

    if not isinstance(args, GenerationTrainArguments):
        raise Wrong(f"train_args는 GenerationTrainArguments여야 하는데 {type(args).__name__}입니다.")
    if args.test_mode:
        raise Wrong("test_mode=True는 배치 하나로 오류가 없는지만 보고 아무것도 저장하지 않습니다. 학습하려면 빼세요.")
    rate = args.learning_rate
    if rate > 2e-3:
        raise Wrong(f"학습률이 {rate:g}입니다. 무작위 가중치에서 시작하는 사전 학습에 쓸 만큼 커서, 사전 학습으로 얻은 "
                    "가중치가 흐트러집니다. 더 작은 값을 적으세요.")
    if rate < 1e-4:
        raise Wrong(f"학습률이 {rate:g}입니다. 가중치가 조금밖에 바뀌지 않아 한두 에폭으로는 배우는 것이 적습니다. "
                    "작은 모델일수록 큰 값을 쓸 수 있습니다.")
    if args.epochs > 5:
        raise Wrong(f"에폭이 {args.epochs}입니다. 작은 말뭉치를 여러 번 보면 오래 걸리고, 두 에폭쯤부터 외우기 "
                    "시작합니다(과적합). 더 적게 보세요.")


def check_validation(run: Run) -> None:
    if run.stopped_in(2) and "ratings_val.txt" in str(run.error):
        raise Wrong("NSMC에는 ratings_val.txt가 없습니다. 학습하지 않는 리뷰는 ratings_test.txt에 있습니다.")
    given = run["val_dataset"]
    texts = texts_in(given, "val_dataset")
    both = len(set(texts) & set(texts_in(run["train_dataset"], "train_dataset")))
    if both > len(texts) / 10:
        raise Wrong(f"검증 리뷰 {len(texts):,}개 가운데 {both:,}개가 학습한 리뷰입니다. 외우기만 해도 val_loss가 "
                    "낮아집니다. 말뭉치의 어느 쪽(mode)에서 읽는지 보세요.")
    if not set(texts) <= set(held_out()):
        raise Wrong("val_dataset: 말뭉치의 테스트 리뷰가 아닙니다. corpus와 tokenizer를 그대로 넘겼나요?")


def check_loader(run: Run) -> None:
    from torch.utils.data import DataLoader

    loader = run["train_dataloader"]
    if not isinstance(loader, DataLoader):
        raise Wrong(f"train_dataloader는 DataLoader여야 하는데 {type(loader).__name__}입니다.")
    try:
        batches = list(loader)
    except TypeError as error:
        if "default_collate" in str(error):
            raise Wrong("collate_fn이 없어, GenerationFeatures 여러 개를 텐서 하나로 묶는 방법을 모릅니다. 검증 로더에 "
                        "있는 것을 넘기세요.") from None
        raise Wrong(f"train_dataloader에서 배치를 꺼내지 못합니다: {error}") from None
    except Exception as error:
        raise Wrong(f"train_dataloader에서 배치를 꺼내지 못합니다: {type(error).__name__}: {error}") from None
    if not all(isinstance(batch, dict) and {"input_ids", "attention_mask"} <= batch.keys() for batch in batches):
        raise Wrong("배치에 input_ids와 attention_mask가 없습니다. collate_fn을 다시 보세요.")
    texts = [tuple(ids[mask.bool()].tolist()) for batch in batches
             for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)]
    wanted = texts_in(run["train_dataset"], "train_dataset")
    if set(texts) <= set(texts_in(run["val_dataset"], "val_dataset")):
        raise Wrong("train_dataloader가 검증 데이터셋을 읽습니다. 검증할 리뷰로 학습하면 평가할 것이 남지 않습니다.")
    size = run["train_args"].batch_size
    if loader.batch_size != size:
        raise Wrong(f"한 배치에 {loader.batch_size}개씩 들어 있습니다. train_args.batch_size({size})만큼 묶으세요.")
    if len(wanted) - len(texts) >= size or not set(texts) <= set(wanted):
        raise Wrong(f"학습 리뷰 {len(wanted):,}개 가운데 {len(set(texts) & set(wanted)):,}개만 나옵니다. "
                    "train_dataset을 그대로 넘겼나요?")
    if texts == wanted[: len(texts)]:
        raise Wrong("리뷰가 파일에 적힌 순서 그대로 나옵니다. 모델이 데이터의 순서까지 배우지 않도록 섞으세요.")
    eos = reference()[1].eos_token_id
    if any((batch["input_ids"][~batch["attention_mask"].bool()] != eos).any() for batch in batches):
        raise Wrong("패딩이 끝 토큰(eos)이 아닙니다. 리뷰 다음의 첫 패딩은 '끝'을 배우는 정답으로 쓰입니다.")


def check_asked(run: Run) -> None:
    from pytorch_lightning import LightningModule

    fits = [(inputs, named) for name, inputs, named in run.notes["asked"] if name == "fit"]
    if not fits:
        return
    inputs, named = fits[-1]
    given = dict(zip(("model", "train_dataloaders", "val_dataloaders"), inputs, strict=False)) | named
    loader, validation = given.get("train_dataloaders", given.get("train_dataloader")), given.get("val_dataloaders")
    if not isinstance(given.get("model"), LightningModule):
        raise Wrong(f"trainer.fit에 넘긴 것이 task가 아니라 {type(given.get('model')).__name__}입니다. 손실과 "
                    "옵티마이저를 아는 것은 task입니다.")
    if loader is None:
        raise Wrong("trainer.fit에 학습 로더가 없습니다. task와 함께 train_dataloaders를 넘기세요.")
    if validation is None:
        raise Wrong("검증 없이 학습합니다. val_dataloaders가 없으면 val_loss를 알 수 없고, 가장 좋은 체크포인트도 "
                    "고르지 못합니다.")
    learnt, validated = (set(texts_in(getattr(each, "dataset", each), "trainer.fit에 넘긴 로더"))
                         for each in (loader, validation))
    if learnt == set(texts_in(run["val_dataset"], "val_dataset")):
        raise Wrong("검증 데이터로 학습합니다. 학습 로더와 검증 로더가 서로 바뀌지 않았나요?")
    if validated & learnt:
        raise Wrong("학습 로더와 검증 로더에 같은 리뷰가 있습니다. 검증에는 val_dataloader를 넘기세요.")


def check_training(run: Run) -> None:
    run["task"]
    check_asked(run)
    if run.stopped_in(4):
        raise Missing("trainer.fit")
    asked = [name for name, *_ in run.notes["asked"]]
    if "fit" not in asked and len(asked) > 1:
        raise Wrong("trainer.validate와 trainer.test는 손실을 계산할 뿐 가중치를 바꾸지 않습니다. 학습하는 메서드를 "
                    "부르세요.")
    model = run["task"].model
    then, now = loss_of(pretrained()), loss_of(model)
    if then["weights"] == now["weights"]:
        raise Wrong("모델의 가중치가 사전 학습한 그대로입니다. trainer의 어느 메서드가 학습하나요?")
    if now["eos"] > max(0.5, 2 * then["eos"]):
        raise Wrong(f"끝난 리뷰 뒤에 또 끝 토큰이 올 확률이 {now['eos']:.0%}입니다(학습 전 {then['eos']:.0%}). "
                    "패딩까지 손실에 넣어, 리뷰보다 패딩을 배웠습니다.")
    if not now["loss"] < then["loss"] - LEARNT:
        raise Wrong(f"학습하지 않은 리뷰의 손실이 {then['loss']:.2f}에서 {now['loss']:.2f}로, 나아지지 않았습니다. "
                    "무엇을 몇 번 학습했는지 보세요.")
    if val_loss_recorded(run) is None:
        raise Wrong("학습 기록(train_record.json)에 val_loss가 없습니다. 검증 로더를 넘겼나요?")


def check_perplexity(run: Run) -> None:
    given = run["perplexity"]
    if not isinstance(given, dict):
        raise Wrong("perplexity는 '학습 전'과 '학습 후'의 값을 담은 딕셔너리여야 합니다. 위의 줄을 그대로 두세요.")
    if run.stopped_in(5):
        raise Missing("perplexity")
    losses = {"학습 전": float(run["before"]["val_loss"]), "학습 후": val_loss_recorded(run)}
    train_loss = float(run["trainer"].callback_metrics["loss"])
    for when, loss in losses.items():
        if when not in given:
            raise Missing(f"perplexity[{when!r}]")
        try:
            value = float(given[when])
        except (TypeError, ValueError):
            raise Wrong(f"{when}: 수가 아니라 {type(given[when]).__name__}입니다.") from None
        if math.isclose(value, math.exp(loss), rel_tol=0.01):
            continue
        for wrong, sentence in (
                (loss, "val_loss 그대로입니다. 로그를 되돌려야 합니다"),
                (2 ** loss, "2를 거듭제곱했습니다. val_loss의 로그는 밑이 2가 아니라 e입니다(비트가 아니라 내트)"),
                (loss / math.log(2), "토큰당 비트입니다(ln 2로 나눈 값). 퍼플렉서티는 로그를 되돌린 값입니다"),
                (math.exp(loss / math.log(2)), "비트로 바꾼 값을 e의 지수로 썼습니다. 밑과 단위가 맞아야 합니다"),
                (10 ** loss, "10을 거듭제곱했습니다. val_loss의 로그는 밑이 e입니다"),
                (math.exp(-loss), "확률의 평균(1보다 작은 값)입니다. 퍼플렉서티는 그 역수입니다"),
                (math.log(loss), "로그를 한 번 더 취했습니다. 되돌려야 합니다"),
                (math.exp(train_loss), "마지막 학습 배치의 손실로 계산했습니다. 학습하지 않은 리뷰의 것을 쓰세요"),
        ):
            if math.isclose(value, wrong, rel_tol=0.01):
                raise Wrong(f"{when}: {value:.4g}: {sentence}.")
        raise Wrong(f"{when}: val_loss가 {loss:.3f}일 때의 퍼플렉서티가 {value:.4g}일 수 없습니다. 정답 토큰의 확률이 "
                    "언제나 1/n이라면 val_loss는 ln n이고, 퍼플렉서티는 n입니다.")


def check_texts(run: Run) -> None:
    given, before = run["texts_after"], run["texts_before"]
    if not isinstance(given, dict):
        raise Wrong(f"texts_after는 texts_before처럼 딕셔너리여야 하는데 {type(given).__name__}입니다.")
    for prompt in run["prompts"]:
        if prompt not in given:
            raise Wrong(f"texts_after에 {prompt!r}로 시작하는 텍스트가 없습니다. 학습 전과 같은 prompts로 이어 쓰세요.")
        if not isinstance(given[prompt], str):
            raise Wrong(f"texts_after[{prompt!r}]는 텍스트여야 하는데 {type(given[prompt]).__name__}입니다. write가 "
                        "반환하는 것을 담으세요.")
    if given == before:
        raise Wrong("학습 전의 텍스트 그대로입니다. 학습한 모델로 다시 이어 쓰세요.")
    written = run.calls[run.notes["calls"] :]
    if any(call.training for call in written):
        raise Wrong("학습 모드인 모델로 이어 썼습니다. kogpt-mini에서는 티가 나지 않지만, 드롭아웃이 있는 모델이라면 "
                    "이어 쓰는 동안에도 뉴런을 무작위로 끕니다. eval()을 먼저 부르세요.")
    run["model"].eval()
    right = {prompt: run["write"](prompt) for prompt in run["prompts"]}
    if given == right:
        return
    if not written:
        raise Wrong("학습한 다음에 모델이 이어 쓴 것이 없습니다. 텍스트를 적어 넣지 말고 학습한 모델로 이어 쓰세요.")
    raise Wrong("학습 전과 다른 설정이나 시드로 이어 썼습니다. 그러면 무엇이 학습 때문에 달라졌는지 모릅니다. write를 "
                "쓰세요.")


def texts_in(dataset, what: str) -> list[tuple[int, ...]]:
    """The real tokens of each text of a dataset."""
    try:
        rows = [dataset[number] for number in range(len(dataset))]
        return [tuple(token for token, real in zip(row.input_ids, row.attention_mask, strict=True) if real)
                for row in rows]
    except (TypeError, AttributeError, KeyError):
        raise Wrong(f"{what}: GenerationDataset이어야 하는데 {type(dataset).__name__}입니다.") from None


@cache
def held_out() -> list[tuple[int, ...]]:
    """The token ids of the reviews that no training has seen."""
    from ratsnlp.nlpbook.generation import NsmcCorpus
    from ratsnlp.nlpbook.paths import BUNDLED_DATA

    examples = NsmcCorpus().get_examples(BUNDLED_DATA / "mini", "test")[-TEST:]
    return [tuple(reference()[1].encode(example.text)) for example in examples]


@cache
def pretrained():
    """The model as the file's training begins with it."""
    from copy import deepcopy

    from ratsnlp.nlpbook.generation import NsmcCorpus, initialize_control_words

    model, tokenizer = reference()
    model = deepcopy(model)
    initialize_control_words(model, tokenizer, NsmcCorpus.control_words)
    return model


def loss_of(model) -> dict[str, Any]:
    """The mean of -ln p of the real tokens of :func:`held_out`, and one eos (nats); how probable another eos is after
    that; and the sum of all weights, which tells models apart."""
    from ratsnlp.nlpbook.generation.models import in_eval_mode

    import torch
    import torch.nn.functional as F

    eos = reference()[1].eos_token_id
    texts = [torch.tensor([*ids, eos]) for ids in held_out()]
    ids = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True, padding_value=eos).to(model.device)
    real = torch.nn.utils.rnn.pad_sequence([torch.ones(len(text)) for text in texts], batch_first=True).bool()
    lengths = torch.tensor([len(text) for text in texts])
    with torch.inference_mode(), in_eval_mode(model):
        scores = model(ids).logits.float().log_softmax(-1).cpu()
    losses = F.nll_loss(scores[:, :-1].transpose(1, 2), ids[:, 1:].cpu(), reduction="none")[real[:, 1:]]
    again = scores[torch.arange(len(texts)), lengths - 1, eos].exp()
    weights = sum(float(parameter.detach().double().sum()) for parameter in model.parameters())
    return {"loss": float(losses.mean()), "eos": float(again.mean()), "weights": weights}


def val_loss_recorded(run: Run) -> float | None:
    """The last val_loss in the record of the training."""
    from ratsnlp.nlpbook.run_folder import RunFolder

    try:
        return RunFolder(run["train_args"].downstream_model_dir).read_record()["epochs"][-1]["val_loss"]
    except LookupError:
        return None


TODOS = [
    Todo("학습의 설정", check_settings, (
        "가중치를 조금만 바꾸려면 학습률이 사전 학습 때보다 커야 할까요, 작아야 할까요? 데이터는 한 번 봅니다.",
        "train_gen-0.py가 같은 모델을 같은 말뭉치로 파인튜닝합니다. 거기 적힌 값과 이유를 읽어 보세요.",
        "5e-3의 10분의 1쯤이 알맞습니다: 5e-… 꼴로 적으세요. epochs는 한 자리 정수입니다.",
    )),
    Todo("검증 데이터셋", check_validation, (
        "바로 위의 train_dataset과 같은 방법으로 만들되, 학습하지 않은 리뷰를 읽게 하세요.",
        "GenerationDataset의 mode가 ratings_train.txt와 ratings_test.txt 가운데 어느 파일을 읽을지 정합니다.",
        'GenerationDataset(train_args, tokenizer, corpus, mode=…)에서 mode에 "t…t"를 적으세요.',
    )),
    Todo("학습 로더", check_loader, (
        "바로 위의 val_dataloader를 본떠 만들고, 순서를 섞는 옵션을 하나 더하세요.",
        "DataLoader의 shuffle=True로 섞습니다. sampler로 training_sampler를 넘기면 길이가 비슷한 리뷰끼리 묶습니다.",
        "DataLoader(train_dataset, batch_size=…, sampler=training_sampler(train_dataset, train_args), collate_fn=…)",
    )),
    Todo("학습", check_training, (
        "위에서 trainer.validate로 평가했습니다. 학습하는 메서드의 이름은 fit입니다. 무엇을 넘겨야 할까요?",
        "모델이 아니라 task를, 그리고 로더 두 개를 넘깁니다. 학습용이 먼저입니다.",
        "trainer.fit(task, train_dataloaders=…, val_dataloaders=…)에서 로더만 채우세요.",
    )),
    Todo("퍼플렉서티", check_perplexity, (
        "val_loss는 -ln(확률)의 평균입니다. 로그를 되돌리는 함수는 무엇인가요?",
        "파일 위쪽에서 불러온 math에 있습니다. 자연로그 ln의 역함수입니다.",
        "math.e… 로 시작하는 함수에 val_loss를 넘기세요.",
    )),
    Todo("학습 후의 텍스트", check_texts, (
        "두 줄입니다. 첫 줄은 model을 평가 모드로 바꾸고, 둘째 줄은 texts_before를 만든 줄과 거의 같습니다.",
        "평가 모드로 바꾸는 메서드는 모델을 불러온 줄에도 있습니다.",
        "model.e…()를 부르고, {prompt: write(prompt) for …}를 texts_after에 담으세요.",
    )),
]
