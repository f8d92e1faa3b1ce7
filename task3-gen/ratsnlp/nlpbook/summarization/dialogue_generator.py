"""Dialogues made from templates: what a small model learns to summarize from scratch, by copying what it has never
seen.

Names and places are put together of syllables, so that there are thousands of them; and each dialogue mentions days,
hours, prices, names or places that do not count in the end. No model can know the answers by heart: it has to find
them.
"""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple
from zlib import crc32

_NAMES = (  # what a given name is put together of
    "가강건경고광규근기나남노다단담대도동라로루리린마명미민바박범별보부빈상서석선설성세소송수승시신아안여연영예온"
    "완용우원유윤율은이인일자장재정제조종주준지진차찬창채철초춘충치태하한해향허현형혜호홍화환효후훈휘희")
_PLACES = (
    "가갈강개거검고골곡과광교구군금길김나낙남노논누느단달당대덕도독돌동두둔등라로마망매면모목무문미반방배백버벌범별병"
    "보복봉부북분비산상새샘서석선성소솔송수숲시신쌍아안암양어언여연영오옥온와왕용우운울월위율은의이인일자잠장재저전절정"
    "제조종주죽중지진창천청초추춘충탄태터토통판팔평포풍하학한해향현형호홍화황회효후흑")
_SURNAMES = "김이박최정강조윤장임한오서신권황안송류홍"
_SPOTS = ("역", "카페", "공원", "식당", "도서관", "서점", "미술관", "시장", "극장", "체육관", "빵집", "문구점")
_SHOPS = ("마트", "시장", "슈퍼", "가게")
_DAYS = ("월요일", "화요일", "수요일", "목요일", "금요일", "토요일", "일요일")
_ACTIVITIES = {  # as one asks for it, and as it is told
    "영화 볼래": "영화를 보", "등산 갈래": "등산을 하", "저녁 먹을래": "저녁을 먹", "전시회 볼래": "전시회를 보",
    "자전거 탈래": "자전거를 타", "농구 할래": "농구를 하", "시험공부 할래": "시험공부를 하", "쇼핑할래": "쇼핑을 하",
    "산책할래": "산책을 하", "노래방 갈래": "노래방에 가", "배드민턴 칠래": "배드민턴을 치",
    "사진 찍을래": "사진을 찍", "연극 볼래": "연극을 보", "수영할래": "수영을 하", "케이크 만들래": "케이크를 만들",
    "보드게임 할래": "보드게임을 하"}
_GOODS = (
    "우유", "사과", "두부", "라면", "감자", "양파", "휴지", "생수", "식빵", "달걀", "건전지", "공책", "귤", "참치",
    "국수", "치약")
_THINGS = (
    "지갑", "우산", "휴대폰", "열쇠", "안경", "모자", "장갑", "목도리", "이어폰", "책가방", "학생증", "시계", "필통",
    "노트북")
_USED = (
    "자전거", "책상", "의자", "기타", "카메라", "스피커", "모니터", "전자레인지", "텐트", "청소기", "선풍기", "책장")
_GIFTS = (
    "케이크", "운동화", "머그잔", "향수", "화분", "목도리", "만년필", "스웨터", "보조 배터리", "시집", "모자", "앞치마")
_PAPERS = (
    "보고서", "견적서", "발표 자료", "회의록", "계약서", "출장 계획서", "설문 결과", "예산안", "제안서", "명단")
_REASONS = {  # as one says it, and as it is told
    "감기에 걸렸어": "감기에 걸려서", "회사 일이 늦게 끝나": "회사 일이 늦게 끝나서",
    "가족 모임이 생겼어": "가족 모임이 생겨서", "차가 고장 났어": "차가 고장 나서",
    "치과에 가야 해": "치과에 가야 해서", "동생을 돌봐야 해": "동생을 돌봐야 해서"}


Scene = tuple[list[tuple[int, str]], str, str]  # turns (number of the speaker, text), summary, combination of slots


class Dialogue(NamedTuple):
    dialogue: str  # turns, each on a line of its own
    summary: str
    topic: str


def josa(word: str, pair: str) -> str:
    """``word`` and that one of two particles (``은/는``, ``으로/로``) which its last sound asks for."""
    after_consonant, after_vowel = pair.split("/")
    final = (ord(word[-1]) - ord("가")) % 28 if "가" <= word[-1] <= "힣" else 0
    return word + (after_vowel if final == 0 or final == 8 and pair == "으로/로" else after_consonant)  # 8: ㄹ


class _Writer:
    """Draws what fills a template; each dialogue has its names and places only once."""

    def __init__(self, random: Random, unseen: bool):
        self.random, self.unseen = random, unseen

    def write(self) -> tuple[Dialogue, str]:
        """A dialogue, and the combination of slots that it is counted under."""
        self.used = set()
        topic = self.one(*_SCENES)
        turns, summary, combination = _SCENES[topic](self)
        lines = [f"#Person{speaker}#: {text}" for speaker, text in turns]
        return Dialogue("\n".join(lines), summary, topic), topic + combination

    def one(self, *texts):
        return self.random.choice(texts)

    def two(self, texts) -> list:
        return self.random.sample(list(texts), 2)

    def new(self, syllables: str) -> str:
        """Two of the ``syllables`` that no other slot of the dialogue has, and that training has seen together or
        never."""
        while True:
            word = self.random.choice(syllables) + self.random.choice(syllables)
            if (crc32(word.encode()) % 10 == 0) == self.unseen and word not in self.used:
                self.used.add(word)
                return word

    def name(self) -> str:
        return self.new(_NAMES)

    def full_name(self) -> str:
        return self.random.choice(_SURNAMES) + self.name()

    def place(self, kinds=_SPOTS) -> str:
        return self.new(_PLACES) + self.random.choice(kinds)

    def hour(self) -> str:
        half = self.one("오전", "오후")
        hour = self.random.randint(8, 11) if half == "오전" else self.random.randint(1, 9)
        minutes = self.one("", "", " 반", f" {self.random.randrange(5, 60, 5)}분")
        return f"{half} {hour}시{minutes}"

    def hours(self) -> tuple[str, str]:
        first = second = self.hour()
        while second == first:
            second = self.hour()
        return first, second

    def price(self, low: int, high: int) -> int:
        return self.random.randrange(low, high, 500)

    def opening(self, other: str) -> list[tuple[int, str]]:
        """Small talk, which names somebody who does not count."""
        if self.random.random() < 0.6:
            return []
        return [(1, self.one("오랜만이야. 잘 지냈어?", "요즘 어떻게 지내?", "안녕, 별일 없지?")),
                (2, self.one(f"응, 어제는 {josa(other, '과/와')} 놀았어.", f"그럼. {other}도 잘 있어.",
                             "나야 늘 바쁘지."))]


def _appointment(w: _Writer) -> Scene:
    name, other, (day, wrong_day), hour = w.name(), w.name(), w.two(_DAYS), w.hour()
    place, wrong_place = w.place(), w.place()
    ask, told = w.one(*_ACTIVITIES.items())
    turns = [
        *w.opening(other),
        (1, w.one(f"{josa(name, '아/야')}, {wrong_day}에 같이 {ask}?",
                  f"{josa(name, '아/야')}, 나랑 {wrong_day}에 {ask}?")),
        (2, w.one(f"{wrong_day}에는 {josa(other, '을/를')} 만나야 해. {josa(day, '은/는')} 어때?",
                  f"그날은 {other} 생일이라 안 돼. {day}에는 시간이 있어.",
                  f"미안, {wrong_day}은 바빠. {day}에 하자."))]
    if w.random.random() < 0.5:
        turns += [
            (1, w.one(f"그래. {hour}에 {wrong_place}에서 볼까?", f"좋아, {wrong_place}에서 {hour}에 만나자.")),
            (2, w.one(f"거기는 너무 멀어. {josa(place, '이/가')} 낫겠다.",
                      f"{wrong_place} 말고 {place}에서 보자.")),
            (1, w.one("그래, 그때 봐.", "알았어. 거기서 보자."))]
    else:
        turns += [
            (1, w.one("좋아. 어디서 몇 시에 볼까?", "그럼 그날 하자. 어디서 만날까?")),
            (2, w.one(f"{place}에서 {hour}에 보자.", f"{hour}에 {place} 어때?")),
            (1, w.one("좋아, 늦지 마.", f"응, {josa(wrong_place, '은/는')} 문을 닫으니까 거기가 좋겠다."))]
    summary = f"#Person1#과 {josa(name, '은/는')} {day} {hour}에 {place}에서 만나 {told}기로 했다."
    return turns, summary, told + day


def _postponement(w: _Writer) -> Scene:
    name, other, (day, new_day), (hour, new_hour) = w.name(), w.name(), w.two(_DAYS), w.hours()
    said, told = w.one(*_REASONS.items())
    turns = [
        *w.opening(other),
        (1, w.one(f"{josa(name, '아/야')}, {day} {hour} 약속 말인데, {said}.",
                  f"{josa(name, '아/야')}, 미안해. {day} {hour}에 못 만나겠어. {said}.")),
        (2, w.one("그래? 그럼 언제가 좋아?", "괜찮아. 다른 날로 하자.", f"{other}도 그날은 안 된대. 언제로 할까?")),
        (1, w.one(f"{new_day} {new_hour} 어때?", f"{new_day}로 하자. {new_hour}에 시간 돼?")),
        (2, w.one("응, 그때 보자.", "좋아, 그렇게 하자.", "알았어, 몸조심해."))]
    summary = (f"#Person1#은 {told} {josa(name, '과/와')} 한 약속을 {day} {hour}에서 "
               f"{new_day} {josa(new_hour, '으로/로')} 미뤘다.")
    return turns, summary, told + new_day


def _errand(w: _Writer) -> Scene:
    name, place, wrong_place = w.name(), w.place(_SHOPS), w.place(_SHOPS)
    first, second, third = w.random.sample(_GOODS, 3)
    one, two, there = (w.random.randint(2, 9) for _ in range(3))
    turns = [
        (1, w.one(f"{josa(name, '아/야')}, 집에 올 때 {place}에 들러 줄래?",
                  f"{josa(name, '아/야')}, {place}에서 뭐 좀 사 와.")),
        (2, w.one("네, 뭐 살까요?", "알았어요. 뭘 사면 돼요?",
                  f"{josa(wrong_place, '이/가')} 더 싼데요. 뭐가 필요해요?")),
        (1, w.one(f"{first} {one}개랑 {second} {two}개.", f"{first} {one}개하고 {second} {two}개면 돼.")),
        (2, w.one(f"{third}도 살까요?", f"{josa(third, '은/는')} 안 사도 돼요?")),
        (1, w.one(f"아니, {josa(third, '은/는')} 집에 {there}개나 있어.", "그건 어제 샀어.",
                  f"{josa(third, '은/는')} 다음에 사자."))]
    summary = f"#Person1#은 {name}에게 {place}에서 {first} {one}개와 {second} {two}개를 사 오라고 했다."
    return turns, summary, first + second


def _lost(w: _Writer) -> Scene:
    name, finder, place, wrong_place = w.name(), w.name(), w.place(), w.place()
    thing, other_thing = w.two(_THINGS)
    turns = [
        (1, w.one(f"{josa(name, '아/야')}, 내 {thing} 못 봤어?", f"큰일 났어. {josa(thing, '을/를')} 잃어버렸어.")),
        (2, w.one("마지막으로 어디서 썼는데?", f"{josa(other_thing, '은/는')} 봤는데, 그건 못 봤어. 어디 갔었어?")),
        (1, w.one(f"{wrong_place}에 가 봤는데 거기에는 없더라.", f"{wrong_place}에 전화했더니 없대.")),
        (2, w.one(f"{josa(finder, '이/가')} {place}에서 봤다고 하던데.",
                  f"아, {josa(finder, '이/가')} {place}에 있다고 했어.")),
        (1, w.one("정말? 지금 가 볼게.", "다행이다. 당장 가 봐야겠다."))]
    summary = (f"#Person1#은 {josa(finder, '이/가')} {place}에서 {josa(thing, '을/를')} 봤다는 말을 듣고 "
               "그곳에 가 보기로 했다.")
    return turns, summary, thing + place[2:]


def _reservation(w: _Writer) -> Scene:
    name, place, (day, other_day), (hour, wrong_hour) = w.full_name(), w.place(("식당",)), w.two(_DAYS), w.hours()
    guests, others = w.random.sample(range(2, 20), 2)
    turns = [
        (1, w.one(f"{place}입니다. 무엇을 도와드릴까요?", f"안녕하세요, {place}입니다.")),
        (2, w.one(f"{day} {wrong_hour}에 {guests}명 예약하려고요.",
                  f"{day}에 {guests}명이 갈 건데, {wrong_hour}에 자리 있나요?")),
        (1, w.one(f"그 시간에는 다른 {others}명이 예약하셨어요. {josa(hour, '은/는')} 어떠세요?",
                  f"{josa(wrong_hour, '은/는')} 자리가 없고, {hour}에는 있습니다.")),
        (2, w.one("네, 그때로 해 주세요.", f"{other_day}은 안 되니까 그 시간으로 할게요.", "좋아요.")),
        (1, w.one("성함이 어떻게 되세요?", "예약하시는 분 성함을 말씀해 주세요.")),
        (2, w.one(f"{name}입니다.", f"{josa(name, '이에요/예요')}."))]
    return turns, f"{josa(name, '은/는')} {place}에 {day} {hour}, {guests}명 자리를 예약했다.", day + str(guests)


def _bargain(w: _Writer) -> Scene:
    place, hour, day, thing = w.place(), w.hour(), w.one(*_DAYS), w.one(*_USED)
    high = w.price(20_000, 90_000)
    low, middle = high - w.price(8_000, 12_000), high - w.price(2_000, 7_000)
    turns = [
        (1, w.one(f"{thing} 아직 파시나요?", f"{josa(thing, '을/를')} 사고 싶은데, 아직 있나요?")),
        (2, w.one(f"네, {high:,}원입니다.", f"네, 있어요. 가격은 {high:,}원이에요.")),
        (1, w.one(f"{low:,}원에 안 될까요?", f"조금 비싼데 {low:,}원은 어떠세요?")),
        (2, w.one(f"그건 어렵고 {middle:,}원까지 해 드릴게요.", f"{middle:,}원이면 팔게요.")),
        (1, w.one(f"좋아요. {day} {hour}에 {place}에서 뵐까요?", f"네, 그럼 {place}에서 {day} {hour}에 만나요.")),
        (2, w.one("네, 그때 뵙겠습니다.", "알겠습니다."))]
    summary = (f"#Person1#은 {day} {hour}에 {place}에서 #Person2#에게 {josa(thing, '을/를')} "
               f"{middle:,}원에 사기로 했다.")
    return turns, summary, thing + day


def _message(w: _Writer) -> Scene:
    name, caller, (day, other_day), (hour, wrong_hour) = w.full_name(), w.full_name(), w.two(_DAYS), w.hours()
    what = w.one("회의", "면접", "수업", "상담", "발표", "공연")
    turns = [
        (1, w.one(f"여보세요, {name} 씨 계신가요?", f"{name} 씨와 통화할 수 있을까요?")),
        (2, w.one("지금 자리에 없는데, 전할 말씀 있으세요?", f"{other_day}까지 휴가예요. 전해 드릴까요?")),
        (1, w.one(f"{day} {josa(what, '이/가')} {wrong_hour}에서 {josa(hour, '으로/로')} 바뀌었다고 전해 주세요.",
                  f"{day} {what} 시간이 {josa(wrong_hour, '이/가')} 아니라 {josa(hour, '이라고/라고')} 전해 주세요.")),
        (2, w.one("누구시라고 전할까요?", "성함이 어떻게 되세요?")),
        (1, w.one(f"{caller}입니다.", f"{josa(caller, '이라고/라고')} 합니다.")),
        (2, w.one("네, 전해 드릴게요.", "알겠습니다."))]
    summary = (f"{josa(caller, '은/는')} {name}에게 {day} {josa(what, '이/가')} {josa(hour, '으로/로')} "
               "바뀌었다고 전해 달라고 했다.")
    return turns, summary, what + day


def _bus(w: _Writer) -> Scene:
    place, stop, wrong_stop = w.place(), w.place(), w.place()
    bus, wrong_bus = w.random.sample(range(11, 800), 2)
    turns = [
        (1, w.one(f"실례합니다. {place}에 어떻게 가나요?",
                  f"저기요, {place}에 가려면 {wrong_bus}번을 타면 되나요?")),
        (2, w.one(f"{wrong_bus}번은 돌아가니까 {bus}번 버스를 타세요.",
                  f"{bus}번 버스를 타세요. {wrong_bus}번은 안 가요.")),
        (1, w.one("어디에서 내려요?", f"{wrong_stop}에서 내리면 되죠?")),
        (2, w.one(f"{stop}에서 내리세요.", f"{wrong_stop} 다음 정류장인 {stop}에서 내리면 가까워요.")),
        (1, w.one("얼마나 걸릴까요?", "오래 걸리나요?")),
        (2, f"{w.random.randrange(10, 60, 5)}분쯤 걸려요.")]
    summary = f"#Person2#는 #Person1#에게 {place}에 가려면 {bus}번 버스를 타고 {stop}에서 내리라고 했다."
    return turns, summary, str(bus)


def _gift(w: _Writer) -> Scene:
    name, second, third = w.name(), w.name(), w.name()
    gift, wrong_gift = w.two(_GIFTS)
    price = w.price(5_000, 40_000)
    turns = [
        (1, w.one(f"{josa(second, '아/야')}, {josa(third, '아/야')}, {name} 생일에 뭐 줄까?",
                  f"{name} 생일 선물로 뭐가 좋을까?")),
        (2, w.one(f"{josa(wrong_gift, '은/는')} 어때?", f"나는 {josa(wrong_gift, '이/가')} 좋을 것 같아.")),
        (3, w.one(f"그건 벌써 있대. {gift} 어때?", f"{wrong_gift}보다 {josa(gift, '이/가')} 낫지 않아?")),
        (1, w.one(f"{third} 말이 맞아. 그걸로 하자. 얼마씩 낼까?", "좋다. 얼마씩 내면 돼?")),
        (3, w.one(f"{price:,}원씩 내자.", f"한 사람이 {price:,}원이면 돼.")),
        (2, w.one("알았어.", "좋아, 내가 살게."))]
    summary = f"세 사람은 {name}의 생일 선물로 {josa(gift, '을/를')} 사고 {price:,}원씩 내기로 했다."
    return turns, summary, gift + wrong_gift


def _paper(w: _Writer) -> Scene:
    name, boss, other, (day, wrong_day) = w.full_name(), w.full_name(), w.full_name(), w.two(_DAYS)
    paper, hour = w.one(*_PAPERS), w.hour()
    turns = [
        (1, w.one(f"{name} 씨, {josa(paper, '은/는')} 다 됐나요?", f"{name} 씨, {paper} 때문에 왔어요.")),
        (2, w.one(f"{wrong_day}까지 하면 된다고 {other} 씨한테 들었는데요.",
                  f"아직이요. {wrong_day}에 내려고 했습니다.")),
        (1, w.one(f"미안하지만 {day} {hour}까지 {boss} 팀장님께 보내 주세요.",
                  f"{boss} 팀장님이 급하시대요. {day} {hour}까지 보내 줄래요?")),
        (2, w.one("네, 그렇게 하겠습니다.", "알겠습니다. 서두를게요."))]
    summary = f"#Person1#은 {name}에게 {josa(paper, '을/를')} {day} {hour}까지 {boss} 팀장에게 보내 달라고 부탁했다."
    return turns, summary, paper + day


_SCENES = {
    "약속": _appointment, "약속 변경": _postponement, "심부름": _errand, "분실물": _lost, "예약": _reservation,
    "중고 거래": _bargain, "전할 말": _message, "길 안내": _bus, "선물": _gift, "업무 부탁": _paper}


def made_dialogues(count: int, seed: int, unseen_names: bool = False, held_out: bool = False) -> Iterator[Dialogue]:
    """``count`` dialogues, the same for the same ``seed``. One in ten of the names and places that there could be come
    up with ``unseen_names`` and never else; of the combinations of slots, one in ten with ``held_out`` and never else.
    """
    random = Random(seed)
    writer = _Writer(random, unseen_names)
    while count:
        dialogue, combination = writer.write()
        if (crc32(combination.encode()) % 10 == 0) == held_out:
            count -= 1
            yield dialogue
