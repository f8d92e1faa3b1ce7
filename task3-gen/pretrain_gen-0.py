"""kogpt-mini를 처음부터 만듭니다: 토크나이저를 학습하고, 작은 GPT-2를 사전 학습합니다.

배우는 것: 사전 학습은 파인튜닝과 같은 일(다음 토큰 예측)을 라벨 없는 많은 텍스트로 하는 것입니다.

    python task3-gen/pretrain_gen-0.py --corpus_path reviews.txt

입력은 한 줄에 문서 하나인 UTF-8 파일입니다. 저장소의 task3-gen/kogpt-mini는 리뷰 649,362개로
만들었습니다(그 폴더의 README.md).
"""

from pathlib import Path

from ratsnlp import nlpbook
from ratsnlp.nlpbook.generation import (
    GenerationExample,
    GenerationPretrainArguments,
    NsmcCorpus,
    TextDataset,
    blank_control_words,
    load_pretrained,
    train_tokenizer,
)

from torch.utils.data import DataLoader

if __name__ == "__main__":
    args = nlpbook.load_arguments(
        GenerationPretrainArguments,
        downstream_model_dir=str(nlpbook.OUTPUT / "pretrain_gen-0"),
        max_seq_length=256,  # 모델이 볼 수 있는 위치의 수
        batch_size=64,
        # 한 스텝에 문서 256개, 4,700토큰쯤: 작은 모델은 자주 갱신할수록 같은 시간에 더 배웁니다.
        gradient_accumulation_steps=4,
        optimizer="muon",  # 같은 스텝 수에 AdamW보다 훨씬 많이 배웁니다(kogpt-mini/README.md의 표).
        learning_rate=5e-3,  # 무작위 가중치에서 시작하므로 파인튜닝(5e-5)보다 훨씬 크게
        warmup_ratio=0.03,
        weight_decay=0.1,
        epochs=5,
        seed=7,
    )
    nlpbook.set_logger(args)
    nlpbook.set_seed(args)

    # 1. 문서: 순서를 섞고, 200개에 하나는 검증용으로 남겨 둡니다.
    documents = nlpbook.read_documents(args.corpus_path, seed=args.seed, at_least=20)
    held_out, documents = (
        documents[: len(documents) // 200 + 1], documents[len(documents) // 200 + 1 :])

    # 2. 토크나이저: 자주 나오는 글자들을 토큰 하나로 묶습니다. 제어 단어는 하나가 토큰 하나입니다.
    # 같은 문서로 학습해도 토큰 몇 개가 달라지므로, 이어서 학습할 때는 쓰던 토크나이저를 씁니다.
    tokenizer = nlpbook.resumed_tokenizer(args)
    if tokenizer is None:
        tokenizer = train_tokenizer(
            documents, args.vocab_size, words=tuple(NsmcCorpus.control_words), kind=args.tokenizer)

    # 3. 학습 데이터: 파인튜닝처럼 문서 하나가 한 줄입니다. 문서가 짧아 뒤쪽 위치를 못 배우므로,
    # 스물에 하나는 이어 붙여 긴 문서로 학습합니다.
    some = max(len(documents) // 20, 1)
    texts = [tokenizer.eos_token.join(documents[:some]), *documents[some:]]
    train_dataset = TextDataset(
        args, tokenizer, map(GenerationExample, texts), source=args.corpus_path)
    # 절반은 문서 앞의 끝 토큰을 뺍니다. 늘 끝 토큰 다음부터 학습하면, 사람이 적은 프롬프트처럼 끝
    # 토큰 없이 시작하는 텍스트를 잘 이어 쓰지 못합니다.
    train_dataset.leave_out_eos(every=2)
    train_dataloader = DataLoader(train_dataset, batch_size=args.batch_size,
                                  sampler=nlpbook.LengthGroupedSampler(train_dataset, args),
                                  collate_fn=nlpbook.data_collator)
    val_dataset = TextDataset(
        args, tokenizer, map(GenerationExample, held_out), source=args.corpus_path)
    val_dataloader = DataLoader(val_dataset, batch_size=64, collate_fn=nlpbook.data_collator)

    # 4. 모델: 무작위 가중치의 작은 GPT-2. 데이터에 비해 모델이 작아 여러 번 보아도 외우지 못하므로,
    # 드롭아웃은 쓰지 않습니다.
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=args.vocab_size, n_positions=args.max_seq_length,
        n_layer=args.n_layer, n_head=args.n_head, n_embd=args.n_embd,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    model = GPT2LMHeadModel(config)

    # 5. 학습: 파인튜닝과 같은 GenerationTask와 trainer를 그대로 씁니다.
    from ratsnlp.nlpbook.generation import GenerationTask

    task = GenerationTask(model, args)
    trainer = nlpbook.get_trainer(args)
    trainer.fit(task, train_dataloaders=train_dataloader, val_dataloaders=val_dataloader)

    # 6. 제어 단어: 문서 속의 '긍정'은 '긍정적인'으로 이어질 뿐, 칭찬하는 리뷰의 첫 단어가 아닙니다.
    # 그 뜻을 지워 둡니다(다른 모든 토큰의 평균). 제어 단어로서의 뜻은 파인튜닝에서 배웁니다.
    model, _ = load_pretrained(f"{args.downstream_model_dir}/huggingface")
    blank_control_words(model, tokenizer, NsmcCorpus.control_words)

    # 7. 저장: 16비트 부동소수점으로
    nlpbook.save_model(Path(args.output_dir), model.half(), tokenizer)
    print(f"완성: {args.output_dir}")
