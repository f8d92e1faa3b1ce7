"""Computes what GPU memory each model's training needs, and puts the tables into the documents.

    python docs/memory.py            # shows them, and writes them between the marks

Nothing is downloaded and no GPU is used: docs/other_models.json has the shapes. A table stands in a document
between ``<!-- memory: NAME -->`` and ``<!-- /memory -->``.
"""

import copy
import json
import re
import sys
import warnings
from functools import partial
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPTS, SHAPES = REPOSITORY / "task3-gen", REPOSITORY / "docs" / "other_models.json"
sys.path.insert(0, str(SCRIPTS))

from flags import asked  # noqa: E402  beside this file

from bench.machine import flops_per_token  # noqa: E402
from ratsnlp.nlpbook.argument_groups import LORA_R  # noqa: E402
from ratsnlp.nlpbook.generation.loss import has_plain_head, largest_loss  # noqa: E402
from ratsnlp.nlpbook.pretrained import load_config  # noqa: E402
from ratsnlp.nlpbook.training.memory import GB, estimate  # noqa: E402

CARDS = (8, 16, 24)  # GB
RESERVED = 1  # GB of a card for CUDA's context, the allocator's gaps and the screen
WORDS = (0, 1)  # any two rows of the embedding: the control words, which learn beside LoRA
WAYS = {
    "전체": {}, f"`--lora_r {LORA_R}`": {"lora_r": LORA_R}, "`--qlora`": {"lora_r": LORA_R, "qlora": True}}
CHECKPOINTING = "`--gradient_checkpointing`"
# Tokens of NSMC's 150,000 training reviews by each tokenizer: GenerationDataset(args, tokenizer, NsmcCorpus(), "train")
# of max_seq_length 96, .lengths.sum()
TOKENS = {"kogpt-mini": 2_676_155, "skt/kogpt2-base-v2": 2_943_250, "skt/ko-gpt-trinity-1.2B-v0.5": 2_943_250,
          "EleutherAI/polyglot-ko-1.3b": 3_143_797}
REVIEWS = 150_000
CARD, CARDS_FLOPS = "RTX 4090", 165.15e12  # bf16, dense: https://waredb.com/processor/nvidia-geforce-rtx-4090
TOLD = (
    "bf16 정밀도로 계산한 값이고, H100에서 측정한 값과는 3% 안쪽으로 같았습니다. 단위는 GB이고, 괄호는 "
    f"{', '.join(map(str, CARDS))}GB GPU 가운데 들어가는 가장 작은 것입니다. "
    f"GPU마다 CUDA와 메모리 할당기가 쓸 {RESERVED}GB를 남겼습니다.\n")


def settings(script: str):
    """The arguments with which ``script`` trains where there is a GPU."""
    argument_class, defaults = asked(script, gpu=True)
    return argument_class(**defaults)


def config_of(model: dict):
    """The configuration of a model of docs/other_models.json, where its shape is known."""
    from transformers import AutoConfig

    return AutoConfig.for_model(**model["config"]) if model["config"] else None


def is_plain(config) -> bool:
    """Whether a model of ``config`` has a plain head, looked up on one of a single layer and few tokens."""
    import torch
    from transformers import AutoModelForCausalLM

    small = copy.deepcopy(config)
    for name, value in {"num_hidden_layers": 1, "vocab_size": 64, "pad_token_id": None, "bos_token_id": 0,
                        "eos_token_id": 0}.items():
        setattr(small, name, value)
    return has_plain_head(AutoModelForCausalLM.from_config(small, dtype=torch.float32).eval())


def needs(config, args, plain_head: bool, rows=(), **changes) -> str:
    """The GB that a training needs in which ``rows`` of the embedding learn beside LoRA, and the smallest card with as
    many."""
    changed = copy.copy(args)
    vars(changed).update(changes)
    loss = partial(largest_loss, plain_head=plain_head, recipe=args.recipe, device="cuda")
    size = estimate(config, changed, loss, "cuda", "bf16-mixed", rows).total / GB
    card = next((f"{card}GB" for card in CARDS if size + RESERVED <= card), f"{CARDS[-1]}GB로 부족")
    return f"{size:.1f} ({card})"


def least_minutes(name: str, config, recipe: str) -> str:
    """What the matrix products of an epoch of NSMC take at a card's greatest speed: of all weights, and where only LoRA
    has gradients of weights."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    flops = flops_per_token(model, TOKENS[name] / REVIEWS) * TOKENS[name] * (2 if recipe == "contrast" else 1)
    whole = flops / CARDS_FLOPS / 60
    return f"{whole:.2f} / {whole * 2 / 3:.2f}"  # forward and backward to the inputs, without that to the weights


def table(rows: list[list[str]]) -> str:
    """A table in Markdown, and how it was computed."""
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join([*(f"| {' | '.join(row)} |" for row in lines), "", TOLD])


def fits(models: dict) -> str:
    """Our four models, by the settings of their scripts: each way with and without gradient checkpointing."""
    rows = [["모델", "배치 × 길이", *(head for way in WAYS for head in (way, f"{way} {CHECKPOINTING}")),
             "한 에폭의 최소 시간(분)"]]
    for number in range(4):
        args = settings(f"train_gen-{number}.py")
        name = args.pretrained_model_name
        config = load_config(name) if name == "kogpt-mini" else config_of(models[name])
        plain = is_plain(config)
        rows.append([name.partition("/")[2] or name, f"{args.batch_size} × {args.max_seq_length}", *(
            needs(config, args, plain, WORDS, gradient_checkpointing=again, **changes)
            for changes in WAYS.values() for again in (False, True)), least_minutes(name, config, args.recipe)])
        print(*rows[-1], sep=" | ", file=sys.stderr)
    return table(rows) + (
        f"마지막 열은 NSMC 전체의 행렬 곱을 {CARD}의 공표된 최고 속도(bf16 {CARDS_FLOPS / 1e12:.0f} TFLOPS)로 "
        "쉬지 않고 계산할 때의 시간(전체 / LoRA)입니다. 짧은 리뷰를 작은 배치로 학습하면 그 속도에 이르지 못하므로 "
        "실제로는 몇 배가 걸립니다. 이 GPU에서 측정하지는 못했습니다.\n")


def others(models: dict) -> str:
    """The other models, as train_gen-3.py would train them, by LoRA and QLoRA with gradient checkpointing."""
    import torch
    from transformers import AutoModelForCausalLM

    args = settings("train_gen-3.py")
    ways = {name: changes for name, changes in WAYS.items() if changes}
    rows = [["모델", "매개변수", "라이선스", "구조", "비고", *ways]]
    for name, told in models.items():
        if "licence" not in told:  # ours
            continue
        config = config_of(told)
        if config is None:
            shape = f"{told['shape']}, 층의 크기는 확인하지 못함"
            cells = [told["size"], told["licence"], shape, told["note"], *("" for _ in ways)]
        else:
            with torch.device("meta"):
                model = AutoModelForCausalLM.from_config(config)
            count = sum(parameter.numel() for parameter in model.parameters())
            tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
            shape = f"{config.model_type}, 출력층은 {'임베딩과 공유' if tied else '따로'}"
            plain = is_plain(config)
            cells = [f"{count / 1e9:.2f}B", told["licence"], shape, told["note"], *(
                needs(config, args, plain, gradient_checkpointing=True, **changes) for changes in ways.values())]
        rows.append([f"`{name}`", *cells])
        print(*rows[-1], sep=" | ", file=sys.stderr)
    return table(rows)


def tables() -> dict[str, tuple[str, str]]:
    """By the name of a figure: the document, and the table in it."""
    models = json.loads(SHAPES.read_text(encoding="utf-8"))
    return {"fits": ("README.md", fits(models)), "other-models": ("docs/large_models.md", others(models))}


def main() -> None:
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing_enable. is deprecated")
    for figure, (page, made) in tables().items():
        print(f"{made}\n")
        file = REPOSITORY / page
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        marked = re.compile(rf"(<!-- memory: {figure} -->\n).*?(<!-- /memory -->)", re.DOTALL)
        if marked.search(text):
            file.write_text(marked.sub(lambda marks, made=made: marks[1] + made + marks[2], text), encoding="utf-8")


if __name__ == "__main__":
    main()
