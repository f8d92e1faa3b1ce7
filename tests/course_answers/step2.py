"""Answers of step 2: (TODO, what is written there, words of the sentence)."""

LOOP = ("for seed in ({seeds}):\n"
        "    torch.manual_seed({seed})\n"
        "    drawn.append(model.generate(input_ids, {options}, **lengths))")
TOP_P = "do_sample=True, top_p=0.92, top_k=0"

WRONG = [
    (1, "beam_ids = model.generate(input_ids, do_sample=True, num_beams=3, **lengths)",
        "빔 서치에 do_sample=True를 함께"),
    (1, "beam_ids = model.generate(input_ids, do_sample=False, **lengths)", "그리디 서치의 결과입니다"),
    (1, "beam_ids = model.generate(input_ids, do_sample=False, num_beams=4, **lengths)", "빔이 4개입니다"),
    (1, "beam_ids = model.generate(input_ids, do_sample=False, num_beams=3)", "길이를 정하지 않았습니다"),
    (1, "beam_ids = readable(tokenizer, model.generate(input_ids, num_beams=3, **lengths)[0])",
        "텍스트가 아니라 generate가 반환한 토큰 번호"),
    (2, "top_k_ids = model.generate(input_ids, top_k=50, **lengths)", "do_sample을 정하지 않으면"),
    (2, "top_k_ids = model.generate(input_ids, do_sample=True, top_k=5, **lengths)", "50개보다 훨씬 적습니다"),
    (2, "top_k_ids = model.generate(input_ids, do_sample=True, top_k=0, **lengths)",
        "top_k=0은 후보를 줄이지 않는다는"),
    (2, "top_k_ids = model.generate(input_ids, do_sample=True, num_beams=3, top_k=50, **lengths)",
        "샘플링에는 num_beams를 적지 않습니다"),
    (2, "top_k_ids = model.generate(input_ids, do_sample=True, top_k=50, temperature=0.4, **lengths)", "온도를 0."),
    (2, "top_k_ids = model.generate(input_ids, do_sample=True, top_k=50, max_length=50)", "길이가 40토큰이어야"),
    (2, "top_k_ids = model.generate(input_ids, do_sample=True, top_k=40, **lengths)", "top_k=40"),
    (2, "top_k_ids = beam_ids", "찾지 말고 뽑으세요"),
    (3, "top_p_ids = model.generate(input_ids, top_p=0.92, top_k=0, **lengths)", "do_sample을 정하지 않으면"),
    (3, "top_p_ids = model.generate(input_ids, do_sample=True, top_p=92, top_k=0, **lengths)", "퍼센트(92)처럼"),
    (3, "top_p_ids = model.generate(input_ids, do_sample=True, top_p=0.5, top_k=0, **lengths)", "top_p가 0.92보다"),
    (3, "top_p_ids = model.generate(input_ids, do_sample=True, top_p=0.08, top_k=0, **lengths)", "남길 확률입니다"),
    (3, "top_p_ids = model.generate(input_ids, do_sample=True, top_p=0.92, **lengths)", "transformers가 50을 씁니다"),
    (3, "top_p_ids = model.generate(input_ids, do_sample=True, top_k=50, **lengths)", "top-k로 50개를 남긴"),
    (3, "top_p_ids = model.generate(input_ids, do_sample=True, top_p=0.92, top_k=0, temperature=1.5, **lengths)",
        "온도를 1.5"),
    (3, "top_p_ids = model.generate(input_ids, do_sample=True, top_p=0.9, top_k=0, **lengths)", "top_p=0.9에서"),
    (4, LOOP.format(seeds="1, 2, 3", seed="args.seed", options=TOP_P), "서로 다른 텍스트가 1개뿐입니다"),
    (4, LOOP.format(seeds="1, 2, 3", seed="seed", options="top_p=0.92, top_k=0"), "do_sample을 정하지 않으면"),
    (4, LOOP.format(seeds="1, 2", seed="seed", options=TOP_P), "세 번 뽑아 모아야 하는데 2개입니다"),
    (4, LOOP.format(seeds="1, 2, 1", seed="seed", options=TOP_P), "서로 다른 텍스트가 2개뿐입니다"),
    (4, LOOP.format(seeds="1, 2, 3", seed="seed", options="do_sample=True, top_k=50"), "top-k로 50개를 남긴"),
    (4, "drawn = [top_p_ids] * 3", "한 번 뽑은 텍스트를 세 번"),
    (4, "drawn = ['주말에 친구와 봤어요', '주말에 친구와 함께', '주말에 친구와 꼭']",
        "텍스트가 아니라 generate가 반환한"),
    (4, "for text in ('주말에 친구와 봤어요', '주말에 친구와 함께 보기', '주말에 친구와 꼭 보세요'):\n"
        "    drawn.append(tokenizer(text, return_tensors='pt').input_ids)", "파일에 적어 넣은 텍스트"),
]

RIGHT = [
    (1, "beam_ids = model.generate(input_ids, num_beams=3, num_return_sequences=3, **lengths)[:1]"),
    (2, "ids = input_ids\n"
        "for length in range(input_ids.shape[1], args.max_length):\n"
        "    scores = model(ids).logits[0, -1]\n"
        "    if length < args.min_length:\n"
        "        scores[tokenizer.eos_token_id] = -float('inf')\n"
        "    values, tokens = scores.topk(50)\n"
        "    ids = torch.cat([ids, tokens[values.softmax(-1).multinomial(1)].view(1, 1)], dim=1)\n"
        "top_k_ids = ids"),
    (3, "torch.manual_seed(1234)\n"
        "top_p_ids = model.generate(input_ids, do_sample=True, top_p=0.92, top_k=None, temperature=1.0, **lengths)"),
    (4, "drawn = list(model.generate(\n"
        "    input_ids, do_sample=True, top_p=0.92, top_k=0, num_return_sequences=3, **lengths))"),
    (4, "drawn = [model.generate(input_ids, do_sample=True, top_p=0.92, top_k=0, **lengths)[0].tolist()\n"
        "         for _ in range(3)]\n"
        "drawn = [torch.tensor(ids) for ids in drawn]"),
]
