"""KoBART로 대화를 요약하도록 파인튜닝합니다.

배우는 것: 인코더는 대화 전체를 읽고, 디코더는 그것을 보며 요약을 한 토큰씩 씁니다. 뉴스 요약을
배운 모델에 #Person1# 같은 표시를 한 토큰으로 추가하고, 대화를 요약하도록 가르칩니다.

    python task3-gen/train_sum-1.py --downstream_corpus_root_dir ~/Korpora   # ~/Korpora/dialogues
    python task3-gen/train_sum-1.py --lora_r 16      # 설정을 바꿔서: LoRA(작은 행렬들만)로 학습

모델은 처음 한 번 허깅페이스 허브에서 내려받습니다.
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
        pretrained_model_name="digit82/kobart-summarization",
        downstream_corpus_root_dir=nlpbook.BUNDLED_DATA,
        downstream_corpus_name="dialogues",  # 저장소에 든 대화 100개. 내 파일이라면 그 폴더의 이름
        downstream_model_dir=nlpbook.OUTPUT / "dialogue-sum/train_sum-by-kobart",
        decoder_max_len=100,
        batch_size=50,
        learning_rate=1e-5,
        weight_decay=0.01,
        warmup_steps=500,
        epochs=20,
        save_top_k=3,  # rouge_sum이 가장 높은 체크포인트를 세 개 남깁니다.
        logging_steps=100,
        seed=42,
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
