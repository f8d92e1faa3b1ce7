"""Answers of step 4: (TODO, what is written there, words of the sentence)."""

SETTINGS = "epochs=1,\nlearning_rate="

WRONG = [
    (1, f"{SETTINGS}5e-3,", "사전 학습에 쓸 만큼 커서"),
    (1, f"{SETTINGS}0.5,", "사전 학습에 쓸 만큼 커서"),
    (1, f"{SETTINGS}1e-6,", "가중치가 조금밖에 바뀌지 않아"),
    (1, f"{SETTINGS}0.0,", "learning_rate: 0보다 커야 하는데 0입니다."),
    (1, f"{SETTINGS}'5e-4',", "learning_rate: 수여야 하는데 '5e-4'입니다."),
    (1, "epochs=0,\nlearning_rate=5e-4,", "epochs: 1 이상이어야 하는데 0입니다."),
    (1, "epochs=100,\nlearning_rate=5e-4,", "에폭이 100입니다"),
    (1, f"{SETTINGS}5e-4,\ntest_mode=True,", "test_mode=True는"),
    (2, "val_dataset = train_dataset", "개가 학습한 리뷰입니다"),
    (2, "val_dataset = GenerationDataset(train_args, tokenizer, corpus)", "개가 학습한 리뷰입니다"),
    (2, 'val_dataset = GenerationDataset(train_args, tokenizer, corpus, mode="val")', "ratings_val.txt가 없습니다"),
    (2, 'val_dataset = corpus.get_examples(train_dataset.source, "test")', "GenerationDataset이어야 하는데 list입니다"),
    (3, "train_dataloader = DataLoader(train_dataset, batch_size=train_args.batch_size, shuffle=True)",
        "collate_fn이 없어"),
    (3, "train_dataloader = DataLoader(\n    train_dataset, batch_size=train_args.batch_size, "
        "collate_fn=nlpbook.data_collator)", "파일에 적힌 순서 그대로 나옵니다"),
    (3, "train_dataloader = DataLoader(\n    val_dataset, batch_size=train_args.batch_size, shuffle=True,\n"
        "    collate_fn=nlpbook.data_collator)", "검증 데이터셋을 읽습니다"),
    (3, "train_dataloader = val_dataloader", "검증 데이터셋을 읽습니다"),
    (3, "train_dataloader = DataLoader(train_dataset, shuffle=True, collate_fn=nlpbook.data_collator)",
        "한 배치에 1개씩 들어 있습니다"),
    (3, "def padded_with_zeros(features):\n"
        "    batch = nlpbook.data_collator(features)\n"
        "    batch['input_ids'] = batch['input_ids'] * batch['attention_mask']\n"
        "    return batch\n"
        "train_dataloader = DataLoader(train_dataset, batch_size=train_args.batch_size, shuffle=True,\n"
        "                              collate_fn=padded_with_zeros)", "패딩이 끝 토큰(eos)이 아닙니다"),
    (4, "trainer.fit(task, train_dataloaders=train_dataloader)", "검증 없이 학습합니다"),
    (4, "trainer.fit(model, train_dataloader, val_dataloader)", "task가 아니라 GPT2LMHeadModel입니다"),
    (4, "trainer.fit(task)", "학습 로더가 없습니다"),
    (4, "trainer.fit(task, val_dataloader, train_dataloader)", "검증 데이터로 학습합니다"),
    (4, "trainer.fit(task, train_dataloader, train_dataloader)", "같은 리뷰가 있습니다"),
    (4, "trainer.validate(task, val_dataloader)", "가중치를 바꾸지 않습니다"),
    (4, "task.train()", "사전 학습한 그대로입니다"),
    (4, "class OwnTask(GenerationTask):\n"
        "    def training_step(self, batch, batch_idx):\n"
        "        loss = self.model(input_ids=batch['input_ids'], labels=batch['labels']).loss\n"
        "        self.log('loss', loss)\n"
        "        return loss\n"
        "task = OwnTask(model, train_args)\n"
        "trainer.fit(task, train_dataloader, val_dataloader)", "패딩까지 손실에 넣어"),
    (4, "trainer.train(task, train_dataloader, val_dataloader)", "AttributeError"),
    (5, "perplexity[when] = 2 ** val_loss", "2를 거듭제곱했습니다"),
    (5, "perplexity[when] = val_loss / math.log(2)", "토큰당 비트입니다"),
    (5, "perplexity[when] = val_loss", "val_loss 그대로입니다"),
    (5, "perplexity[when] = math.exp(-val_loss)", "퍼플렉서티는 그 역수입니다"),
    (5, "perplexity[when] = math.exp(losses.get('loss', val_loss))",
        "마지막 학습 배치의 손실로 계산했습니다"),
    (5, "perplexity[when] = 157.9 if when == '학습 전' else 109.1", "일 수 없습니다"),
    (5, "perplexity[when] = math.exp(task)", "TypeError"),
    (6, "texts_after = {prompt: write(prompt) for prompt in prompts}", "학습 모드인 모델로 이어 썼습니다"),
    (6, "model.eval()\ntexts_after = texts_before", "학습 전의 텍스트 그대로입니다"),
    (6, "model.eval()\ntexts_after = [write(prompt) for prompt in prompts]", "딕셔너리여야 하는데 list입니다"),
    (6, "model.eval()\ntexts_after = {prompt: write(prompt) for prompt in ['긍정', '부정']}",
        "학습 전과 같은 prompts로"),
    (6, "texts_after = {prompt: f'{prompt} 정말 재밌고 신나게 웃고 즐겁게 하네요' for prompt in prompts}",
        "텍스트를 적어 넣지 말고"),
    (6, "model.eval()\nargs.seed += 1\ntexts_after = {prompt: write(prompt) for prompt in prompts}\nargs.seed -= 1",
        "다른 설정이나 시드로"),
]

RIGHT = [
    (1, "epochs=2,\nlearning_rate=1e-3,"),
    (2, "val_dataset = GenerationDataset(\n    args=train_args, corpus=corpus, tokenizer=tokenizer, mode='test')"),
    (3, "train_dataloader = DataLoader(\n    train_dataset, batch_size=train_args.batch_size, shuffle=True,\n"
        "    collate_fn=lambda features: nlpbook.data_collator(features))"),
    (4, "trainer.fit(task, train_dataloader, val_dataloader)"),
    (5, "perplexity[when] = torch.tensor(val_loss).exp().item()"),
    (6, "task.eval()\ntexts_after = {}\nfor prompt in prompts:\n    texts_after[prompt] = write(prompt)"),
]
