"""A prompt and a seed of each student's own: what one of them has copied from another does not fit."""

from __future__ import annotations

from collections.abc import Collection, Sequence

# Verified of each with the bundled model: the searches of steps 1 to 3, right and wrong, give different texts, and no
# token of a right one is a near tie that another computer may break in another way. None is a part of another.
PROMPTS = (
    "동생과 극장에 갔는데", "어제 읽은 소설", "지난달에 탄 버스", "눈 오는 날 본 드라마", "생일에 본 공연",
    "아이들과 바다에 갔는데", "밤에 먹은 김밥", "그저께 극장에 갔는데", "오늘 먹은 떡볶이", "주말에 읽은 소설",
    "엄마와 들은 이야기", "다시 본 만화", "친구와 탄 버스", "가족과 꾼 꿈", "휴가 때 본 만화", "아침에 걸은 길",
    "새벽에 만난 사람", "아침에 들은 이야기", "서울에서 읽은 소설", "할머니와 들은 노래", "친구와 읽은 만화책은",
    "밤에 극장에 갔는데", "시골에서 본 드라마", "친구와 산 신발은", "학교에서 본 드라마", "기차에서 만난 사람",
    "처음으로 본 드라마", "여름에 만난 사람", "겨울에 들은 노래", "다시 극장에 갔는데", "아이들과 꾼 꿈",
    "아침에 극장에 갔는데", "친구와 배운 노래를", "기차에서 본 만화", "겨울에 만난 사람", "명절에 먹은 김밥",
    "작년에 본 만화", "동생과 탄 버스", "처음으로 먹은 떡볶이", "회사에서 본 영화", "퇴근길에 바다에 갔는데",
    "밤에 탄 버스", "할머니와 읽은 만화책은", "작년에 들은 노래", "휴가 때 본 드라마", "비행기에서 본 만화",
    "겨울에 친구가 추천해서", "새벽에 배운 노래를", "비 오는 날 바다에 갔는데", "휴가 때 꾼 꿈",
    "주말에 친구가 추천해서", "눈 오는 날 본 만화", "서울에서 먹은 김밥", "방학에 찍은 사진", "서울에서 배운 노래를",
    "생일에 들은 이야기", "겨울에 바다에 갔는데", "작년에 꾼 꿈", "비행기에서 읽은 소설", "혼자 배운 노래를",
    "엄마와 텔레비전을 켰는데", "언니와 본 영화", "눈 오는 날 본 영화는", "동아리에서 본 만화", "지난주에 찍은 사진",
    "주말에 들은 노래", "부산에서 들은 이야기", "퇴근길에 친구가 추천해서", "아침에 읽은 만화책은",
    "할머니와 본 만화", "기차에서 본 영화", "방학에 친구가 추천해서", "지난주에 극장에 갔는데", "혼자 탄 버스",
    "지난주에 걸은 길", "처음으로 만난 사람", "언니와 본 공연", "작년에 친구가 추천해서", "제주도에서 만난 사람",
    "밤에 걸은 길", "가을에 들은 노래", "언니와 들은 이야기", "부산에서 본 만화", "새벽에 바다에 갔는데",
    "학교에서 읽은 만화책은", "오늘 텔레비전을 켰는데", "지난달에 읽은 소설", "작년에 탄 버스", "동생과 본 만화",
    "아이들과 탄 버스", "여름에 친구가 추천해서", "명절에 바다에 갔는데", "아빠와 먹은 떡볶이", "친구와 꾼 꿈",
    "겨울에 산 신발은", "학교에서 꾼 꿈", "다시 먹은 김밥", "친구와 읽은 책", "집에서 찍은 사진", "시골에서 본 만화",
    "아침에 탄 버스",
)


def prompt_of(student: int) -> str:
    """The prompt of a student's number. Neighbours in a list of the class have different ones."""
    return PROMPTS[student % len(PROMPTS)]


def seed_of(student: int) -> int:
    return student % 2**32


def with_student(flags: Sequence[str], student: int | None) -> list[str]:
    """The flags that a step is judged with, the values of ``--prompt`` and ``--seed`` replaced by the student's own."""
    flags = list(flags)
    if student is not None:
        for name, value in (("--prompt", prompt_of(student)), ("--seed", str(seed_of(student)))):
            flags[flags.index(name) + 1] = value
    return flags


def whose(text: str, students: Collection[int]) -> list[int]:
    """The students, out of ``students``, whose prompts are in ``text``."""
    return [student for student in sorted(students) if prompt_of(student) in text]
