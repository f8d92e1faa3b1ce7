// 페이지: 엔진에 물어 모델과 옵션을 보이고, 버튼과 키를 연결합니다.
// 모델은 엔진이 알고, 쓰는 일은 writer.js, 토큰을 고르는 계산은 decoding.js가 합니다.

import { compare } from "./compare.js";
import { control } from "./controls.js";
import { byId, make, summary } from "./dom.js";
import { isKnob } from "./fields.js";
import { History } from "./history.js";
import { fromLink, toLink, value } from "./link.js";
import { predict } from "./predict.js";
import { showPresets } from "./presets.js";
import { Settings } from "./settings.js";
import { isPhone, Writer } from "./writer.js";

const CONTROL = /^\s*(긍정|부정)(\s+|$)/;
const prompt = byId("prompt");

/** 한 문장을 보이고, 화면 낭독기가 읽게 합니다. */
function say(text, isError = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("error", isError);
}

function start(engine) {
  const settings = new Settings(engine.settings.fields);
  const writer = new Writer({ engine, settings, say, onDone: (state) => past.add(state) });
  const send = (look = "") => {
    showLook(look);
    writer.start({ prompt: prompt.value, seed: nextSeed() });
  };
  const restore = (state) => {
    fill(settings, state);
    const isOther = state.model && state.model !== engine.settings.model;
    showLook(isOther ? `${state.model}의 링크입니다. 모델이 달라 텍스트도 다를 수 있습니다.` : "");
    writer.start({ ...state, seed: nextSeed() });
  };
  const past = new History(byId("history").querySelector("ol"), { again: restore, copy });
  const given = { engine, settings, say, prompt: () => prompt.value, seed: nextSeed };
  const comparison = compare(byId("compare"), given);
  predict(byId("predict"), given);

  showModel(engine.settings);
  showSettings(settings);
  byId("presets").hidden = !engine.settings.presets.length;
  showPresets(byId("presets").querySelector("ol"), engine.settings.presets, {
    use: ({ number, knobs, look_for: look }) => {
      settings.replace(knobs);
      send(`[${number}] ${look}`);
    },
    beside: (both) => both.forEach(comparison.add),
  });
  byId("form").onsubmit = (event) => {
    event.preventDefault();
    send();
  };
  byId("stop").onclick = () => writer.stop();
  byId("undo").onclick = () => writer.undo.undo();
  byId("redo").onclick = () => writer.undo.redo();
  byId("copy").onclick = () => copy(writer.text, "텍스트");
  byId("link").onclick = () => copy(toLink(writer.state), "링크");
  byId("seed-row").hidden = !engine.settings.seed;
  byId("seed").oninput = () => { byId("fixed").checked = byId("seed").value.trim() !== ""; };
  byId("fixed").onchange = ({ target }) => {
    byId("seed").value = target.checked ? writer.seed ?? nextSeed() : "";
  };
  document.addEventListener("keydown", (event) => onKey(event, writer));
  addEventListener("hashchange", () => fromLink() && restore(fromLink()));
  if (fromLink()) restore(fromLink());
}

/** 한글을 조합하는 동안의 키는 입력기의 것입니다. */
function onKey(event, writer) {
  if (event.isComposing || event.keyCode === 229) return;
  const isInField = event.target.matches("input, textarea, select");
  const isZ = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z";
  if (event.key === "Escape") {
    if (!writer.stop()) writer.closeXray();
  } else if (event.key === "Enter" && event.target === prompt && !event.shiftKey) {
    event.preventDefault();
    byId("form").requestSubmit();
  } else if (isZ && !isInField) {
    event.preventDefault();
    if (event.shiftKey) writer.undo.redo();
    else writer.undo.undo();
  }
}

/** 탭을 여럿 열어도 헷갈리지 않게, 무엇이 도는지 맨 위와 탭 이름에 적습니다. */
function showModel({
  model, checkpoint, val_loss: loss, engine, label, stream, steps, seed, lacks,
}) {
  const named = label ? `${engine}(${label})` : engine;
  const names = [model, checkpoint.replace(/\.ckpt$/, ""), `엔진 ${named}`];
  byId("model").textContent = names.filter(Boolean).join(" · ");
  document.title = [model, loss].filter(Boolean).join(" · ") || document.title;
  const able = [[stream, "쓰는 대로 보기와 멈추기"], [steps, "토큰별 확률(X-ray)"],
    [steps !== "logprobs", "X-ray의 일부(페널티와 온도와 자르기를 거친 확률, 뽑은 수, 로짓)"],
    [seed, "시드"], [!lacks?.length, `디코딩 옵션 ${lacks?.join(", ")}`]];
  const missing = able.filter(([has]) => !has).map(([, name]) => name);
  if (!missing.length) return;
  byId("model").append(make("span", { className: "missing" },
    `이 엔진에 없는 것: ${missing.join(", ")}. `,
    "모두 쓰려면 서버를 --engine transformers로 시작하세요."));
}

function showSettings(settings) {
  for (const { name, default: unset } of [...settings.fields.values()].filter(isKnob)) {
    const isMain = unset !== null || name === "max_new_tokens";
    byId(isMain ? "knobs" : "more").append(control(settings, name));
  }
  byId("settings").open = !isPhone();
  byId("defaults").onclick = () => settings.replace({});
  settings.addEventListener("change", () => {
    byId("changed").textContent = summary(settings.named());
  });
}

/** 링크나 기록에 적힌 것으로 입력란을 채웁니다. */
function fill(settings, { prompt: text, knobs, seed }) {
  settings.replace(knobs);
  prompt.value = text;
  showControl();
  byId("seed").value = seed ?? "";
  byId("fixed").checked = seed !== undefined;
}

function showLook(text) {
  byId("look").textContent = text;
  byId("look").hidden = !text;
}

function showControl() {
  const word = CONTROL.exec(prompt.value)?.[1] ?? "";
  for (const each of document.querySelectorAll("[data-control]")) {
    each.setAttribute("aria-pressed", each.dataset.control === word);
  }
}

function nextSeed() {
  if (byId("fixed").checked && byId("seed").value.trim()) return value(byId("seed").value);
  return crypto.getRandomValues(new Uint32Array(1))[0];
}

/** 다른 컴퓨터에서 http로 연 페이지에는 navigator.clipboard가 없습니다. */
async function copy(text, what) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
  } else {
    const area = make("textarea", { value: text, className: "hidden" });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(`${what}를 복사했습니다.`);
}

/** connect()가 주는 엔진으로 페이지를 엽니다. */
export async function openPage(connect) {
  for (const each of document.querySelectorAll("[data-control]")) {
    each.onclick = () => {
      prompt.value = `${each.dataset.control} ${prompt.value.replace(CONTROL, "")}`.trimStart();
      showControl();
      prompt.focus();
    };
  }
  prompt.oninput = showControl;
  showControl();
  const address = new URL(location);
  address.searchParams.delete("token"); // 쿠키가 되었으니 주소에 남기지 않습니다.
  history.replaceState(null, "", address);
  try {
    start(await connect(say));
  } catch (error) {
    byId("model").textContent = "";
    say(error.message, true);
  }
}
