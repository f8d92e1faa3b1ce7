"""Qwen3 4B가 지시를 따라 대화를 요약하도록 QLoRA로 파인튜닝합니다(GPU가 필요합니다).

배우는 것: train_sum-2.py와 모델만 다릅니다. Qwen3은 답하기 전에 생각을 적기도 하는 모델입니다.
여기서는 템플릿이 생각을 비워 두게 하므로(enable_thinking=False) 바로 요약합니다.

    python -m pip install -r requirements-qlora.txt
    python task3-gen/train_sum-3.py --downstream_corpus_root_dir ~/Korpora  # ~/Korpora/dialogues
    python task3-gen/train_sum-3.py --augment  # 지시를 다섯 가지로 바꾸어 데이터를 다섯 배로
"""

from ratsnlp import nlpbook
from ratsnlp.nlpbook.instruction import (
    DialogueCorpus,
    InstructionDataset,
    InstructionTrainArguments,
    fetch_dialogues,
    load_model,
    load_tokenizer,
)

from torch.utils.data import DataLoader

if __name__ == "__main__":
    args = nlpbook.load_arguments(
        InstructionTrainArguments,
        pretrained_model_name="Qwen/Qwen3-4B",
        downstream_corpus_root_dir=nlpbook.BUNDLED_DATA,
        downstream_corpus_name="dialogues",  # 저장소에 든 대화 100개. 내 파일이라면 그 폴더의 이름
        downstream_model_dir=nlpbook.OUTPUT / "dialogue-sum/train_sum-by-qwen3",
        qlora=True,  # 모델은 4비트로 줄여 그대로 두고, 모든 선형 층에 더한 작은 행렬만 학습합니다.
        lora_r=16,
        lora_alpha=32,
        lora_dropout=0.05,
        gradient_checkpointing=True,
        batch_size=8,
        gradient_accumulation_steps=8,  # 한 스텝에 64개
        learning_rate=2e-5,
        lr_scheduler_type="cosine",
        warmup_ratio=0.1,
        weight_decay=0.1,
        max_grad_norm=1.2,
        epochs=3,
        seed=42,
    )
    nlpbook.set_logger(args)
    nlpbook.set_seed(args)

    # 1. 대화와 토크나이저: 모델의 대화 템플릿으로 지시와 대화, 요약을 적습니다.
    fetch_dialogues(args)
    corpus = DialogueCorpus()
    tokenizer = load_tokenizer(args)

    # 2. 학습 데이터와 검증 데이터: 프롬프트는 읽기만 하고, 요약의 토큰만 학습합니다.
    train_dataset = InstructionDataset(args, tokenizer, corpus, mode="train")
    train_dataloader = DataLoader(train_dataset, batch_size=args.batch_size,
                                  sampler=nlpbook.LengthGroupedSampler(train_dataset, args),
                                  collate_fn=nlpbook.data_collator, num_workers=args.cpu_workers)
    val_dataset = InstructionDataset(args, tokenizer, corpus, mode="val")
    val_dataloader = DataLoader(val_dataset, batch_size=args.batch_size,
                                sampler=nlpbook.LengthGroupedSampler(val_dataset, args),
                                collate_fn=nlpbook.data_collator, num_workers=args.cpu_workers)

    # 3. LoRA를 더한 모델과 태스크: 리뷰를 이어 쓸 때와 같은 태스크입니다.
    model = load_model(args, tokenizer)
    from ratsnlp.nlpbook.generation import GenerationTask  # Lightning을 불러오는 데 몇 초
    task = GenerationTask(model, args)

    # 4. 학습: 에폭이 끝날 때마다 val_loss가 가장 낮은 체크포인트를 남깁니다.
    trainer = nlpbook.get_trainer(args)
    trainer.fit(task, train_dataloaders=train_dataloader, val_dataloaders=val_dataloader)
