"""Answers of step 3: (TODO, what is written there, words of the sentence)."""

TOP_K = "kept = {kept}\ncut = torch.full_like(logits, {rest})\ncut[kept] = logits[kept]\nreturn cut.softmax(dim=-1)"
TOP_P = "sums = {sums}\nk = {k}"
SUMS = "logits.softmax(dim=-1).sort(descending=True).values.cumsum(dim=-1)"
BOTH = ("no_repeat_ids = model.generate(input_ids, {no_repeat}, do_sample=False, **lengths)\n"
        "penalty_ids = model.generate(input_ids, {penalty}, do_sample=False, **lengths)")
THREE, PENALTY = "no_repeat_ngram_size=3", "repetition_penalty=1.2"

WRONG = [
    (1, "return (logits * temperature).softmax(dim=-1)", "온도를 곱했습니다"),
    (1, "return logits.softmax(dim=-1) / temperature", "확률을 온도로 나누었습니다"),
    (1, "return logits.softmax(dim=-1) + temperature", "확률에 더했습니다"),
    (1, "p = logits.softmax(dim=-1) / temperature\nreturn p / p.sum()", "온도를 바꾸어도 확률이 그대로"),
    (1, "return logits / temperature", "나눈 로짓 그대로입니다"),
    (1, "p = (logits / temperature).softmax(dim=-1)", "반환하는 것이 없습니다"),
    (1, "return (logits / 0.5).softmax(dim=-1)", "값이 2.0일 때"),
    (1, "return (logits / temperature).softmax()", "TypeError"),
    (2, TOP_K.format(kept="logits.topk(k).indices", rest="0.0"), "로짓 0은 확률 0이 아닙니다"),
    (2, TOP_K.format(kept="logits.topk(k, largest=False).indices", rest="-torch.inf"), "가장 낮은 k개"),
    (2, TOP_K.format(kept="logits.argsort()[:k]", rest="-torch.inf"), "가장 낮은 k개"),
    (2, TOP_K.format(kept="logits >= logits.sort(descending=True).values[k]", rest="-torch.inf"),
        "하나 많이 남겼습니다"),
    (2, TOP_K.format(kept="logits > logits.topk(k).values[-1]", rest="-torch.inf"), "하나 적게 남겼습니다"),
    (2, "p = logits.softmax(dim=-1)\nreturn torch.where(p >= p.topk(k).values[-1], p, 0.0)",
        "남은 확률을 더해도 1이 되지 않습니다"),
    (2, TOP_K.format(kept="torch.arange(k)", rest="-torch.inf"), "번호가 앞선 k개"),
    (2, TOP_K.format(kept="logits.topk(k).values", rest="-torch.inf"), "IndexError"),
    (2, TOP_K.format(kept="logits.topk(3).indices", rest="-torch.inf"), "k = 2에서 토큰 2개가 남아야 하는데 3개"),
    (3, TOP_P.format(sums=SUMS, k="int((sums < p).sum())"), "합이 p를 넘게 만드는 토큰을 뺐습니다"),
    (3, TOP_P.format(sums="logits.softmax(dim=-1).cumsum(dim=-1)", k="int((sums < p).sum()) + 1"), "정렬하지 않고"),
    (3, TOP_P.format(sums="logits.softmax(dim=-1).sort().values.cumsum(dim=-1)", k="int((sums < p).sum()) + 1"),
        "낮은 것부터 더했습니다"),
    (3, TOP_P.format(sums=SUMS, k="int((sums > p).sum())"), "넘은 뒤의 토큰을 세었습니다"),
    (3, TOP_P.format(sums=SUMS, k="int((sums < 1 - p).sum()) + 1"), "p는 남길 확률입니다"),
    (3, TOP_P.format(sums="logits.softmax(dim=-1)", k="int((sums >= p).sum())"), "더해 간 합에 적용합니다"),
    (3, TOP_P.format(sums="None", k="int(p * len(logits))"), "확률의 합입니다"),
    (4, BOTH.format(no_repeat="no_repeat_ngram_size=1", penalty=PENALTY), "no_repeat_ngram_size가 1이면"),
    (4, BOTH.format(no_repeat="no_repeat_ngram_size=0", penalty=PENALTY), "그리디 서치와 같습니다"),
    (4, BOTH.format(no_repeat=PENALTY, penalty=PENALTY), "반복 페널티를 준 결과입니다"),
    (4, BOTH.format(no_repeat=THREE, penalty="repetition_penalty=0.8"), "1보다 작은 결과입니다"),
    (4, BOTH.format(no_repeat=THREE, penalty="repetition_penalty=1.0"), "그리디 서치와 같습니다"),
    (4, BOTH.format(no_repeat=THREE, penalty=f"{THREE}, {PENALTY}"), "두 옵션을 함께"),
    (4, BOTH.format(no_repeat=THREE, penalty=THREE), "여기서는 반복 페널티를 씁니다"),
    (5, "my_setting = dict(temperature=0.9, top_p=0.95)", "뽑지 않는 조합"),
    (5, "my_setting = dict(do_sample=True, temperature=3.0, top_k=0)", "횡설수설합니다"),
    (5, "my_setting = dict(do_sample=True, repetition_penalty=0.7)", "같은 말을 반복합니다"),
    (5, "my_setting = dict(do_sample=True, top_k=2)", "서로 비슷합니다"),
    (5, "my_setting = dict(do_sample=True, top_k=0, max_new_tokens=2)", "사람의 리뷰보다 짧습니다"),
    (5, "my_setting = dict(do_sample=True, top_k=0, min_length=40)", "사람의 리뷰보다 깁니다"),
    (5, "my_setting = dict(do_sample=True)", "적지 않은 top_k는 50이라"),
    (5, "my_setting = dict(do_sample=True, temperature=0.7, top_p=0.9)", "퍼플렉서티가"),
    (5, "my_setting = dict(do_sample=True, topk=50)", "받지 않는 조합"),
    (5, "my_setting = dict(do_sample=True, num_beams=3)", "빔 서치는 빼세요"),
]

RIGHT = [
    (1, "p = logits.softmax(dim=-1) ** (1 / temperature)\nreturn p / p.sum()"),
    (1, "from transformers import TemperatureLogitsWarper\n"
        "return TemperatureLogitsWarper(float(temperature))(None, logits[None])[0].softmax(dim=-1)"),
    (2, "p = logits.softmax(dim=-1)\n"
        "p = torch.where(p >= p.topk(k).values[-1], p, 0.0)\n"
        "return p / p.sum()"),
    (2, TOP_K.format(kept="logits.sort(descending=True).indices[:k]", rest="-1e9")),
    (3, "p_sorted = logits.softmax(dim=-1).sort(descending=True).values\n"
        "k, total = 0, 0.0\n"
        "while total < p:\n"
        "    total += float(p_sorted[k])\n"
        "    k += 1"),
    (3, TOP_P.format(sums=SUMS, k="torch.searchsorted(sums, p) + 1")),
    (4, BOTH.format(no_repeat=THREE, penalty="num_beams=1, repetition_penalty=1.2")),
    (5, "my_setting = dict(do_sample=True, top_k=0)"),
    (5, 'my_setting = {"do_sample": True, "top_p": 0.92, "top_k": 0, "no_repeat_ngram_size": 3}'),
]
