"""The tour through the decoding settings: which ones, what is said of each text, and what is counted in the end."""

from dataclasses import replace

import torch

from ..display import COLUMNS, wrap
from ..generation.arguments import GenerationInferArguments
from ..generation.options import MAX_LENGTH, WINS, DecodingOptions
from ..generation.prompts import encode_prompt
from ..generation.settings import ALL_SETTINGS, SETTINGS, Setting
from ..generation.trace import Trace
from ..pretrained import load_tokenizer
from ..run_folder import RunFolder
from .outcomes import Outcome, outcome
from .png import check_png
from .summary import human_reviews, summarize

INDENT = "     "
OWN = "[내 설정]"
# The steps in the order in which transformers takes them, by the names that people know.
STEPS = ("repetition_penalty", "no_repeat_ngram_size", "min_length", "polarity", "top_n_sigma", "temperature",
         "top_h", "top_k", "top_p", "min_p", "typical_p")
SHARED = {name: getattr(SETTINGS[0].options, name) for name in WINS.values()}  # what the sixteen have in common


class Tour:
    """The settings that ``args`` asks for: ``settings`` maps ``"[9]"`` to each.

    The script decodes by each of them and hands what came of it to :meth:`show`; :meth:`finish` counts what many seeds
    give, compares other models, and writes the report.
    """

    def __init__(self, args: GenerationInferArguments, model, tokenizer, input_ids: torch.Tensor):
        self.args, self.model, self.tokenizer, self.input_ids = args, model, tokenizer, input_ids
        self.settings = chosen_settings(args)
        for label, setting in self.settings.items():  # the tutorial's keep to a model of few positions
            if label == OWN or setting.options.max_new_tokens:
                encode_prompt(model, tokenizer, args.input_sentence, setting.options.max_length,
                              setting.options.max_new_tokens)
        if args.samples or args.report:  # what is wrong with them is told before the first text and not after the last
            human_reviews(args, 1)
            if args.png:
                check_png()
            for name in args.models:
                if not RunFolder(name).checkpoints():
                    load_tokenizer(name)
        self.shown: dict[str, Outcome] = {}
        with torch.inference_mode():
            model.generate(input_ids, max_new_tokens=1, min_length=0)  # what only the first call has to wait for

    @property
    def model_name(self) -> str:
        return str(self.args.downstream_model_dir or self.args.pretrained_model_name)

    def heading(self) -> str:
        shared = ", ".join(f"{name}={value}" for name, value in SHARED.items())
        seed = "고정하지 않음" if self.args.seed is None else self.args.seed
        prompt = f"{self.args.input_sentence!r}({self.input_ids.shape[1]}토큰)"
        return (f"모델 {self.model_name} · 프롬프트 {prompt} · 시드 {seed}\n"
                f"설정마다 적지 않은 것은 모두 같습니다: {shared}(프롬프트를 포함한 토큰 수)")

    def show(self, label: str, token_ids: torch.Tensor, trace: Trace) -> str:
        """What is printed of one setting: what it changes, what to look for, its text, and how that came about."""
        setting = self.settings[label]
        each = outcome(
            self.model, self.tokenizer, self.input_ids, [token_ids], trace, self.args.whole_sentences)
        lines = ["", wrap(f"{label} {self.changes(label)}", COLUMNS), wrap(setting.look_for, COLUMNS, INDENT)]
        like = self._like(label, each)
        lines.append(f"{INDENT}= {like}" if like else wrap(each.texts[0], COLUMNS, "   │ "))
        end = "eos로 끝남" if each.ended[0] else "길이로 끝남"
        lines.append(f"{INDENT}토큰 {each.tokens[0]}개 · {end} · {each.seconds:.2f}초")
        self.shown[label] = each
        return "\n".join([*lines, wrap(left(each, setting), COLUMNS, INDENT)])

    def changes(self, label: str) -> str:
        """What the setting changes against the one that it is compared with, or all of it where that is not shown."""
        setting = self.settings[label]
        base = f"[{setting.compared_with}]"
        if base not in self.settings:
            named = {name: value for name, value in setting.options.named().items() if SHARED.get(name) != value}
            return ", ".join(f"{name}={value}" for name, value in named.items())
        before, after = self.settings[base].options.named(), setting.options.named()
        parts = [f"{name}={value}" if name not in before else f"{name}={before[name]} → {value}"
                 for name, value in after.items() if before.get(name) != value]
        parts += [f"{name}={value} → 적지 않음" for name, value in before.items() if name not in after]
        return f"{base}에서 {', '.join(parts)}"

    def _like(self, label: str, each: Outcome) -> str | None:
        """Which earlier setting gave the very same text, and whether it always does."""
        setting = self.settings[label]
        always = f"[{setting.always_like}]"
        same = [other for other, before in self.shown.items()
                if torch.equal(before.token_ids[0], each.token_ids[0])]
        if not same:
            return None
        if always in same:
            return f"{with_particle(always)} 같은 텍스트입니다. 언제나 그렇습니다."
        return f"{with_particle(same[0])} 같은 텍스트입니다."

    def order(self) -> str:
        """The steps in their order, with what was left after each in the last setting that takes most of them."""
        if not self.shown:
            return ""
        label, each = max(self.shown.items(), key=lambda shown: len(shown[1].candidates))
        names = {spec.name: spec.metadata["korean"] for spec in DecodingOptions.specs(STEPS)}
        counts = [f"모델의 점수 {each.candidates['vocabulary']:,.0f}"]
        counts += [f"{names[name]} {count:,.0f}" for name, count in each.candidates.items() if name in names]
        counts.append("뽑은 토큰 1" if self.settings[label].options.draws else "고른 토큰 1")
        return "\n".join([
            f"\n고르는 순서와 남은 후보({label}의 스텝 {each.tokens[0]}개의 중앙값)",
            wrap(" → ".join(counts), COLUMNS, INDENT),
            wrap("transformers는 온도로 나눈 다음에 자르고, llama.cpp는 자른 다음에 나눕니다. 그래서 숫자가 같아도 "
                 "다른 설정입니다: --only 23 24로 비교하고, --temperature_last로 바꾸어 보세요.", COLUMNS, INDENT)])

    def finish(self) -> str:
        """What many seeds give of each setting that draws, the other models, and where the report lies."""
        return self.order() + (summarize(self) if self.args.samples or self.args.report else "")


def chosen_settings(args: GenerationInferArguments) -> dict[str, Setting]:
    """The settings that ``args`` asks for, and one of its own where it names a knob."""
    numbers = [int(number) for number in args.only] or list(range(1, len(SETTINGS) + 1))
    if args.beyond:
        numbers = list(range(len(SETTINGS) + 1, len(ALL_SETTINGS) + 1))
    settings = {f"[{number}]": ALL_SETTINGS[number - 1] for number in dict.fromkeys(numbers)}
    own = own_setting(args)
    return settings | ({OWN: own} if own else {})


def own_setting(args: GenerationInferArguments) -> Setting | None:
    """The knobs that ``args`` names, with the lengths that all settings have where it names none."""
    named = args.named()
    if not named:
        return None
    lengths = {whole: SHARED[whole] for new, whole in WINS.items() if not {new, whole} & named.keys()}
    if "max_new_tokens" in named:
        lengths.pop("min_length", None)  # it may be more than all that is to be written
    if "min_length" in lengths:
        lengths["min_length"] = min(lengths["min_length"], named.get("max_length", MAX_LENGTH))
    options = DecodingOptions(**lengths, **named)
    if options.draws or not options.acts_on_draws():
        options = replace(options, do_sample=options.draws)
    return Setting("옵션으로 준 내 설정입니다.", options, 9 if options.draws else 1)


def left(each: Outcome, setting: Setting) -> str:
    """How many candidates were left and what cut them: ``후보 8,000 → top_k 50 → top_p 28``."""
    parts = [f"{'후보' if name == 'vocabulary' else name} {count:,.0f}" for name, count in each.cuts().items()]
    beams = setting.options.num_beams or 1
    if beams > 1:
        parts.append(f"빔 {beams}")
    elif setting.options.penalty_alpha:
        parts.append(f"가장 높은 {setting.options.top_k or 5}에서 하나")
    else:
        parts.append("하나를 뽑음" if setting.options.draws else "가장 높은 하나")
    return " → ".join(parts)


def with_particle(label: str) -> str:
    """``[6]과``, ``[9]와``: by the last sound of the number, read aloud."""
    return f"{label}{'와' if label[-2] in '2459' else '과'}"
