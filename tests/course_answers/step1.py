"""Answers of step 1: (TODO, what is written there, words of the sentence)."""

WRONG = [
    (1, 'model_name = "kogpt2"', "저장소에 든 모델의 이름이 아닙니다"),
    (1, "model_name = 0", "문자열이어야 하는데 int입니다"),
    (2, 'eos_token = "<|endoftext|>"', "Polyglot-Ko나 영어 GPT-2의 끝 토큰입니다"),
    (2, 'eos_token = "<s>"', "시작을 표시하는 토큰(bos)"),
    (3, "from transformers import AutoModelForCausalLM\n"
        "from ratsnlp.nlpbook.generation import load_config\n"
        "model = AutoModelForCausalLM.from_config(load_config(model_name))", "무작위 가중치입니다"),
    (3, "from ratsnlp.nlpbook.paths import KOGPT_MINI\nfrom transformers import AutoModel\n"
        "model = AutoModel.from_pretrained(KOGPT_MINI)", "다음 토큰의 점수를 계산하는 층(lm_head)이 없습니다"),
    (3, "model = load_model(model_name, tokenizer).train()", "학습 모드입니다"),
    (3, "model = load_model(model_name)", "TypeError"),
    (4, "greedy_ids[prompt] = model.generate(input_ids, do_sample=True, min_length=10, max_length=50)",
        "do_sample=True로 뽑았습니다"),
    (4, "greedy_ids[prompt] = model.generate(input_ids, num_beams=3, min_length=10, max_length=50)",
        "빔 서치의 결과입니다"),
    (4, "greedy_ids[prompt] = model.generate(input_ids, do_sample=False)", "길이를 정하지 않았습니다"),
    (4, "greedy_ids[prompt] = model.generate(input_ids, max_length=50)", "min_length를 정하지 않아"),
    (4, "greedy_ids[prompt] = model.generate(input_ids, min_length=10)", "20토큰에서 잘렸습니다"),
    (4, "greedy_ids[prompt] = model.generate(input_ids, min_length=10, max_new_tokens=50)", "max_new_tokens는"),
    (4, 'greedy_ids[prompt] = tokenizer("오늘 점심 먹으면서 봤는데 정말 재밌네요.", return_tensors="pt").input_ids',
        "파일에 적어 넣은 텍스트"),
    (4, "greedy_ids[prompt] = readable(tokenizer, model.generate(input_ids, min_length=10, max_length=50)[0])",
        "텍스트가 아니라 generate가 반환한 토큰 번호"),
    (4, "greedy_ids[prompt] = input_ids", "프롬프트뿐이고"),
]

RIGHT = [
    (1, "from ratsnlp.nlpbook.paths import KOGPT_MINI\nmodel_name = str(KOGPT_MINI)"),
    (2, "eos_token = load_tokenizer(model_name).eos_token"),
    (3, "from ratsnlp.nlpbook.paths import KOGPT_MINI\nfrom transformers import GPT2LMHeadModel\n"
        "model = GPT2LMHeadModel.from_pretrained(KOGPT_MINI)"),
    (4, "greedy_ids[prompt] = model.generate(\n    input_ids, num_beams=1, min_length=10, max_length=50)"),
    (4, "ids = input_ids\n"
        "for length in range(input_ids.shape[1], 50):\n"
        "    scores = model(ids).logits[0, -1]\n"
        "    if length < 10:\n"
        "        scores[tokenizer.eos_token_id] = -float('inf')\n"
        "    ids = torch.cat([ids, scores.argmax().view(1, 1)], dim=1)\n"
        "    if ids[0, -1] == tokenizer.eos_token_id:\n"
        "        break\n"
        "greedy_ids[prompt] = ids"),
]
