"""4단계: 사전 학습한 모델을 내 데이터로 더 학습합니다. (40분)

배우는 것: 많은 텍스트로 사전 학습한 모델은 한국어를 이미 압니다. 그 가중치에서 시작해 적은
데이터로 조금 더 학습하면(파인튜닝) 그 데이터처럼 씁니다. 이것이 전이 학습입니다. 리뷰 앞에
'긍정'이나 '부정'을 붙여 학습하므로, 그 단어 다음에는 그런 리뷰를 쓰게 됩니다. 모델이 얼마나 잘
예측하는지는 퍼플렉서티로 평가합니다.

TODO는 여섯 개입니다. TODO 3까지는 금방 끝나고, TODO 4를 채우면 실행할 때마다 처음부터 학습합니다.
TODO 5와 6을 먼저 채워 두면 한 번으로 끝납니다. CPU 두 코어에서 1분쯤 걸리고, val_loss가 5.06에서
4.69로 줄어듭니다. check.py는 작은 말뭉치를 써서 더 빨리 끝납니다.

    python task3-gen/step4_model_training.py
    python task3-gen/step4_model_training.py --recipe standard  # 시간은 절반
    python task3-gen/step4_model_training.py --dataset_path my.txt --output_dir output/mine
    python task3-gen/check.py 4           # 맞았는지 확인합니다
    python task3-gen/check.py 4 --hint    # 막히면 힌트를 하나씩
    python task3-gen/step4_model_training.py --model skt/kogpt2-base-v2 --learning_rate 5e-5

--dataset_path는 한 줄에 하나씩 적은 내 텍스트입니다(.jsonl, .csv도 됩니다).
"""

import math

from course import TrainingStepArguments, load_arguments, model_folder
from course.corpus import load_corpus
from ratsnlp import nlpbook
from ratsnlp.nlpbook.generation import (
    GenerationDataset,
    GenerationTrainArguments,
    encode_prompt,
    initialize_control_words,
    load_model,
    load_tokenizer,
    readable,
    training_sampler,
)

import torch
from torch.utils.data import DataLoader

if __name__ == "__main__":
    args = load_arguments(TrainingStepArguments)

    # 1. 설정
    # TODO 1: 데이터를 몇 번 볼지와 학습률을 적으세요. 사전 학습(pretrain_gen-0.py)의 학습률은
    # 5e-3, 훨씬 큰 KoGPT2를 파인튜닝하는 책의 학습률은 5e-5였습니다. 그 사이에서 고르세요.
    train_args = GenerationTrainArguments(
        pretrained_model_name=args.model or "kogpt-mini",
        downstream_corpus_root_dir=args.downstream_corpus_root_dir,
        downstream_corpus_name=args.downstream_corpus_name,
        downstream_model_dir=model_folder(args),  # 체크포인트와 기록을 저장할 폴더
        max_seq_length=96, batch_size=args.batch_size, recipe=args.recipe,
        logging_steps=2, seed=args.seed, resume=args.resume,
        epochs=args.epochs or ____,
        learning_rate=args.learning_rate or ____,
    )
    nlpbook.set_seed(train_args)

    # 2. 말뭉치, 토크나이저, 사전 학습한 모델
    corpus = load_corpus(args)  # NSMC 형식의 영화 리뷰나 --dataset_path의 텍스트
    tokenizer = load_tokenizer(train_args.pretrained_model_name)
    model = load_model(train_args.pretrained_model_name, tokenizer).eval()
    # '긍정'과 '부정'의 임베딩은 '최고', '최악'처럼 뜻이 가까운 단어들의 평균에서 시작합니다.
    initialize_control_words(model, tokenizer, corpus.control_words)

    # 3. 데이터셋: 말뭉치는 학습용(train)과 테스트용(test)으로 나뉘어 있습니다. 검증용이 따로 없어서
    # 책처럼 테스트용으로 검증합니다.
    train_dataset = GenerationDataset(train_args, tokenizer, corpus, mode="train")
    # TODO 2: 검증 데이터셋을 만드세요. 외운 것이 아니라 배운 것을 평가해야 합니다.
    val_dataset = ____
    print(f"텍스트 {len(train_dataset):,}개로 학습하고 {len(val_dataset):,}개로 검증합니다.")

    # 4. 로더: 데이터셋에서 여러 개를 꺼내 한 배치로 묶습니다.
    val_dataloader = DataLoader(
        val_dataset, batch_size=train_args.batch_size, collate_fn=nlpbook.data_collator)
    # TODO 3: 학습 로더를 만드세요. 검증과 달리 순서를 에폭마다 섞어야 합니다. shuffle=True로 섞거나
    # training_sampler(train_dataset, train_args)를 sampler로 넘기세요(비슷한 길이끼리 섞습니다).
    train_dataloader = ____
    batch = next(iter(train_dataloader))
    padding = 1 - batch["attention_mask"].float().mean()
    print(f"배치: {tuple(batch['input_ids'].shape)}, 그중 패딩 {padding:.0%}는 손실에서 빼고, "
          "가장 긴 리뷰 다음은 계산하지도 않습니다.")

    # 5. 학습 전: 프롬프트마다 이어 쓰고, 검증 데이터의 손실(val_loss)을 계산합니다.
    def write(prompt):  # 언제나 같은 시드와 같은 설정으로
        nlpbook.set_seed(args, quiet=True)
        input_ids = encode_prompt(model, tokenizer, prompt)
        with torch.inference_mode():
            output_ids = model.generate(
                input_ids, do_sample=True, top_p=0.92, top_k=50, min_length=10, max_length=50)
        return readable(tokenizer, output_ids[0])

    prompts = ["안녕하세요", "날 버리지마", "사랑해", "거울 속에", "긍정", "부정", args.prompt]
    texts_before = {prompt: write(prompt) for prompt in prompts}
    from ratsnlp.nlpbook.generation import GenerationTask  # Lightning을 불러오는 데 몇 초
    task = GenerationTask(model, train_args)  # 모델에 손실과 옵티마이저를 더한 것
    nlpbook.set_logger(train_args)
    trainer = nlpbook.get_trainer(train_args)
    print("학습 전의 val_loss를 계산합니다.", flush=True)
    before = trainer.validate(task, val_dataloader, verbose=False)[0]

    # 6. 학습: 배치마다 손실을 줄이는 쪽으로 가중치를 조금씩 바꾸고, 에폭이 끝나면 검증합니다.
    # TODO 4: trainer로 task를 학습하세요. 에폭이 끝날 때 검증도 하게 하세요.
    ____
    after = trainer.callback_metrics
    print("손실 곡선:", model_folder(args) / "loss.png")

    # 7. 퍼플렉서티: 다음 토큰을 평균 몇 개 가운데에서 고르는 셈인지. 낮을수록 잘 예측합니다.
    perplexity = {}
    for when, losses in {"학습 전": before, "학습 후": after}.items():
        val_loss = float(losses["val_loss"])
        # TODO 5: val_loss는 정답 토큰의 -ln(확률)을 평균한 값입니다. 퍼플렉서티로 바꾸세요.
        perplexity[when] = ____
        print(f"{when}: val_loss {val_loss:.2f}, 퍼플렉서티 {perplexity[when]:.0f}")

    # 8. 학습 후: 같은 프롬프트, 같은 설정, 같은 시드
    # TODO 6: 평가 모드로 바꾸고 나서, 학습 전처럼 이어 쓰세요. 학습 모드에서는 드롭아웃이 켜져
    # 있습니다. kogpt-mini의 드롭아웃은 0이라 티가 나지 않지만 KoGPT2는 0.1입니다.
    ____
    texts_after = ____
    for prompt in prompts:
        print(f"\n{prompt}\n  전: {texts_before[prompt]}\n  후: {texts_after[prompt]}")
