"""작은 BART를 처음부터 학습해 대화를 요약하게 합니다.

배우는 것: 인코더는 대화 전체를 읽고, 디코더는 그것을 보며 요약을 한 토큰씩 씁니다. 이 모델의
토큰은 글자라서, 학습한 적이 없는 이름도 대화에서 찾아 옮겨 쓰게 됩니다.

    python task3-gen/train_sum-0.py                  # 아래 설정대로 학습
    python task3-gen/train_sum-0.py --epochs 1       # 설정을 바꿔서

인터넷 없이 노트북 PC에서 실행할 수 있습니다. CPU 두 코어에서 12분, 학습한 적이 없는 이름이
나오는 대화의 95%를 정답과 똑같이 요약했습니다(docs/summarization.md).
"""

from ratsnlp import nlpbook
from ratsnlp.nlpbook.summarization import (
    DialogueCorpus,
    DialogueDataset,
    SummarizationTrainArguments,
    add_adapter,
    fetch_dialogues,
    load_model,
    load_tokenizer,
)

from torch.utils.data import DataLoader

if __name__ == "__main__":
    args = nlpbook.load_arguments(
        SummarizationTrainArguments,
        pretrained_model_name="kobart-mini",
        from_scratch=True,  # 저장소에 든 가중치 대신 무작위 가중치에서 시작합니다.
        downstream_corpus_root_dir=nlpbook.OUTPUT / "dialogues",
        downstream_corpus_name="made",  # 대화 3만 5천 개를 만듭니다. 내 파일이라면 그 폴더의 이름
        downstream_model_dir=nlpbook.OUTPUT / "dialogue-sum/train_sum-by-kobart-mini",
        decoder_max_len=150,  # 토큰이 글자이므로 깁니다.
        batch_size=16,  # 배치가 작으면 같은 시간에 가중치를 더 여러 번 고칩니다.
        optimizer="muon",
        learning_rate=2e-3,  # 작은 모델을 처음부터 학습할 때는 큰 값이 알맞습니다.
        epochs=2,
        seed=7,
    )
    nlpbook.set_logger(args)
    nlpbook.set_seed(args)

    # 1. 대화와 토크나이저: #Person1# 같은 표시는 한 토큰입니다.
    fetch_dialogues(args)
    corpus = DialogueCorpus()
    tokenizer = load_tokenizer(args)

    # 2. 학습 데이터: 길이가 비슷한 대화끼리 한 배치에 모아 패딩을 줄입니다.
    train_dataset = DialogueDataset(args=args, tokenizer=tokenizer, corpus=corpus, mode="train")
    train_dataloader = DataLoader(train_dataset, batch_size=args.batch_size,
                                  sampler=nlpbook.LengthGroupedSampler(train_dataset, args),
                                  collate_fn=train_dataset.collate, num_workers=args.cpu_workers)

    # 3. 검증 데이터: 에폭마다 요약을 쓰고, 사람의 요약과 비교해 ROUGE를 계산합니다.
    val_dataset = DialogueDataset(args=args, tokenizer=tokenizer, corpus=corpus, mode="val")
    val_dataloader = DataLoader(val_dataset, batch_size=args.batch_size,
                                sampler=nlpbook.LengthGroupedSampler(val_dataset, args),
                                collate_fn=val_dataset.collate, num_workers=args.cpu_workers)

    # 4. 모델과 태스크
    model = load_model(args, tokenizer)
    add_adapter(model, tokenizer, args, new_tokens=args.special_tokens)  # --lora_r: LoRA만 학습
    from ratsnlp.nlpbook.summarization import SummarizationTask  # Lightning을 불러오는 데 몇 초
    task = SummarizationTask(model, args)

    # 5. 학습: 에폭이 끝날 때마다 가장 좋은 체크포인트를 남깁니다.
    trainer = nlpbook.get_trainer(args)
    trainer.fit(task, train_dataloaders=train_dataloader, val_dataloaders=val_dataloader)
