"""kogpt-mini를 처음부터 만듭니다: 토크나이저를 배우고, 작은 GPT-2를 사전 학습합니다.

배우는 것: 사전 학습은 미세조정과 같은 일(다음 토큰 맞히기)을, 라벨 없는 많은 글로 하는 것입니다.

    python task3-gen/pretrain_gen-0.py --corpus_path reviews.txt

글은 한 줄에 문서 하나인 UTF-8 파일입니다. 저장소의 task3-gen/kogpt-mini는 리뷰 649,362개로 만든
것입니다(그 폴더의 README.md).
"""

from ratsnlp import nlpbook
from ratsnlp.nlpbook.generation import (
    GenerationExample,
    GenerationPretrainArguments,
    NsmcCorpus,
    TextDataset,
    blank_control_words,
    load_pretrained,
    save_tokenizer,
    train_tokenizer,
)

from torch.utils.data import DataLoader

if __name__ == "__main__":
    args = nlpbook.load_arguments(
        GenerationPretrainArguments,
        downstream_model_dir=str(nlpbook.OUTPUT / "pretrain_gen-0"),
        max_seq_length=256,  # 모델이 볼 수 있는 위치의 수
        batch_size=64,
        # 한 스텝에 글 256개, 4,700토큰쯤: 작은 모델은 자주 고치는 편이 같은 시간에 더 배웁니다.
        gradient_accumulation_steps=4,
        optimizer="muon",  # 같은 걸음 수에 AdamW보다 훨씬 많이 배웁니다(kogpt-mini/README.md의 표).
        learning_rate=5e-3,  # 무작위 가중치에서 시작하므로 미세조정(5e-5)보다 훨씬 크게
        warmup_ratio=0.03,
        weight_decay=0.1,
        epochs=5,
        seed=7,
    )
    nlpbook.set_seed(args)
    nlpbook.set_logger(args)

    # 1. 글: 순서를 섞고, 200개에 하나는 검증용으로 빼 둡니다.
    documents = nlpbook.read_documents(args.corpus_path, seed=args.seed, at_least=20)
    held_out, documents = (
        documents[: len(documents) // 200 + 1], documents[len(documents) // 200 + 1 :])

    # 2. 토크나이저: 자주 나오는 글자들을 토큰 하나로 묶습니다. 제어 단어 둘은 토큰 하나씩으로.
    # 같은 글에서 배워도 토큰 몇 개는 배울 때마다 달라, 이어서 할 때는 쓰던 것을 씁니다.
    tokenizer = nlpbook.resumed_tokenizer(args)
    if tokenizer is None:
        tokenizer = train_tokenizer(
            documents, args.vocab_size, words=tuple(NsmcCorpus.control_words), kind=args.tokenizer)

    # 3. 학습 데이터: 파인튜닝과 똑같이 글 하나가 한 줄. 글이 짧아 뒤쪽 위치는 볼 일이 없으므로,
    # 스물에 하나는 이어 붙인 긴 글로 배웁니다.
    some = max(len(documents) // 20, 1)
    texts = [tokenizer.eos_token.join(documents[:some]), *documents[some:]]
    train_dataset = TextDataset(
        args, tokenizer, map(GenerationExample, texts), source=args.corpus_path)
    # 절반은 끝 토큰 다음부터 시작합니다. 늘 끝 토큰 뒤에서만 배우면, 사람이 적어 준 첫머리처럼 그것
    # 없이 시작하는 글에 서투릅니다.
    train_dataset.leave_out_eos(every=2)
    train_dataloader = DataLoader(train_dataset, batch_size=args.batch_size,
                                  sampler=nlpbook.LengthGroupedSampler(train_dataset, args),
                                  collate_fn=nlpbook.data_collator)
    val_dataset = TextDataset(
        args, tokenizer, map(GenerationExample, held_out), source=args.corpus_path)
    val_dataloader = DataLoader(val_dataset, batch_size=64, collate_fn=nlpbook.data_collator)

    # 4. 모델: 무작위 가중치의 작은 GPT-2. 글에 비해 모델이 작아, 몇 번을 보아도 외우지 못합니다.
    # 드롭아웃은 쓰지 않습니다.
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=args.vocab_size, n_positions=args.max_seq_length,
        n_layer=args.n_layer, n_head=args.n_head, n_embd=args.n_embd,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    model = GPT2LMHeadModel(config)

    # 5. 학습: 미세조정과 같은 GenerationTask와 trainer가 그대로 쓰입니다.
    from ratsnlp.nlpbook.generation import GenerationTask

    task = GenerationTask(model, args)
    trainer = nlpbook.get_trainer(args)
    trainer.fit(task, train_dataloaders=train_dataloader, val_dataloaders=val_dataloader)

    # 6. 제어 단어: 글 속의 '긍정'은 '긍정적인'으로 이어질 뿐, 칭찬하는 리뷰를 여는 말이 아닙니다.
    # 그 뜻을 지워 둡니다(다른 모든 토큰의 평균). 무엇을 시키는 말인지는 파인튜닝에서 배웁니다.
    model, _ = load_pretrained(f"{args.downstream_model_dir}/huggingface")
    blank_control_words(model, tokenizer, NsmcCorpus.control_words)

    # 7. 저장: 반정밀도로
    model.half().save_pretrained(args.output_dir)
    save_tokenizer(tokenizer, args.output_dir)
    print(f"완성: {args.output_dir}")
