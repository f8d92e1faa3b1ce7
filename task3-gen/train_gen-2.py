"""Ko-GPT-Trinity 1.2B를 영화 리뷰(NSMC)로 파인튜닝합니다.

배우는 것: 문장 생성 모델은 앞의 토큰들을 보고 다음 토큰을 예측하도록 학습합니다. 리뷰 앞에
'긍정'이나 '부정'을 붙여 학습하면, 그 단어로 시작하는 리뷰를 이어 쓰게 됩니다.

    python task3-gen/train_gen-2.py                  # 아래 설정대로 학습
    python task3-gen/train_gen-2.py --lora_r 16      # 설정을 바꿔서: LoRA(작은 행렬들만)로 학습

모델(12억 매개변수)은 처음 한 번 내려받습니다. 학습에 GPU 메모리가 20GB쯤 필요하고,
--lora_r 16을 붙이면 7GB쯤입니다(계산한 값: README.md). 다음은 infer_gen-2.py입니다.
"""

from ratsnlp import nlpbook
from ratsnlp.nlpbook.generation import (
    GenerationDataset,
    GenerationTrainArguments,
    NsmcCorpus,
    add_adapter,
    initialize_control_words,
    load_model,
    load_tokenizer,
    training_sampler,
)

import torch
from torch.utils.data import DataLoader

if __name__ == "__main__":
    args = nlpbook.load_arguments(
        GenerationTrainArguments,
        pretrained_model_name="skt/ko-gpt-trinity-1.2B-v0.5",
        downstream_corpus_name="nsmc",  # ~/Korpora/nsmc에 없으면 내려받습니다.
        downstream_model_dir=nlpbook.OUTPUT / "nsmc-gen/train_gen-by-kogpt-trinity",
        max_seq_length=96,  # 리뷰의 99.9%가 잘리지 않습니다. 짧은 배치는 짧게 계산합니다.
        batch_size=16 if torch.cuda.is_available() else 1,  # 가중치와 옵티마이저가 크므로 작게
        learning_rate=1e-5,  # 큰 모델은 이미 많이 학습했으므로 가중치를 조금씩만 바꿉니다.
        epochs=1,  # 큰 모델은 리뷰 15만 개를 한 번 보면 충분히 배우고, 더 보면 외웁니다(과적합).
        seed=7,
    )
    nlpbook.set_logger(args)
    nlpbook.set_seed(args)

    # 1. 말뭉치와 토크나이저
    nlpbook.fetch_corpus(args)
    corpus = NsmcCorpus()
    tokenizer = load_tokenizer(args.pretrained_model_name, eos_token="</s>")

    # 2. 학습 데이터: 길이가 비슷한 리뷰끼리 한 배치에 모아 패딩을 줄입니다.
    train_dataset = GenerationDataset(args=args, corpus=corpus, tokenizer=tokenizer, mode="train")
    train_dataloader = DataLoader(train_dataset, batch_size=args.batch_size,
                                  sampler=training_sampler(train_dataset, args),
                                  collate_fn=nlpbook.data_collator, num_workers=args.cpu_workers)

    # 3. 검증 데이터: 학습하지 않은 리뷰로 에폭마다 val_loss를 계산합니다.
    val_dataset = GenerationDataset(args=args, corpus=corpus, tokenizer=tokenizer, mode="test")
    val_dataloader = DataLoader(val_dataset, batch_size=args.batch_size,
                                sampler=nlpbook.LengthGroupedSampler(val_dataset, args),
                                collate_fn=nlpbook.data_collator, num_workers=args.cpu_workers)

    # 4. 모델과 태스크: 긍정과 부정의 임베딩은 '최고', '최악' 같은 단어들의 평균에서 시작합니다.
    model = load_model(args.pretrained_model_name, tokenizer)
    if not args.keep_control_words:
        initialize_control_words(model, tokenizer, corpus.control_words)
    add_adapter(model, tokenizer, args, corpus.control_words)  # --lora_r: LoRA만 학습
    from ratsnlp.nlpbook.generation import GenerationTask  # Lightning을 불러오는 데 몇 초
    task = GenerationTask(model, args)

    # 5. 학습: 에폭이 끝날 때마다 가장 좋은 체크포인트를 남깁니다.
    trainer = nlpbook.get_trainer(args)
    trainer.fit(task, train_dataloaders=train_dataloader, val_dataloaders=val_dataloader)
