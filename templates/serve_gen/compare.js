// 나란히 비교하기: 같은 프롬프트와 시드로, 설정만 바꾸어 이어 씁니다. A와 다른 데를 표시합니다.

import { button, ending, make } from "./dom.js";

const MOST = 4;

/** 두 텍스트의 단어에서 가장 긴 공통부분(LCS). second의 단어마다 거기 드는지 */
export function shared(first, second) {
  const longest = Array.from({ length: first.length + 1 }, () => Array(second.length + 1).fill(0));
  for (let i = first.length - 1; i >= 0; i--)
    for (let j = second.length - 1; j >= 0; j--)
      longest[i][j] = first[i] === second[j] ? 1 + longest[i + 1][j + 1]
        : Math.max(longest[i + 1][j], longest[i][j + 1]);
  const found = Array(second.length).fill(false);
  for (let i = 0, j = 0; i < first.length && j < second.length;) {
    if (first[i] === second[j]) (found[j] = true), i++, j++;
    else if (longest[i + 1][j] >= longest[i][j + 1]) i++;
    else j++;
  }
  return found;
}

const words = (text) => text.split(/\s+/).filter(Boolean);

/** 처음으로 갈라지는 곳을 한 문장으로 */
export function divergence(first, second) {
  if (first === second) return "A와 같은 텍스트입니다.";
  const [a, b] = [words(first), words(second)];
  const at = b.findIndex((word, index) => word !== a[index]);
  const place = at < 0 ? b.length : at;
  if (place === a.length && place === b.length) return "A와 띄어쓰기만 다릅니다.";
  const [was, is] = [a, b].map((each) => (place in each ? `‘${each[place]}’` : "끝"));
  return `${place + 1}번째 단어부터 다릅니다. A: ${was}, 여기: ${is}`;
}

export function compare(section, { engine, settings, prompt, seed, say }) {
  let columns = [];
  let running;

  const put = button("지금 설정 담기", () => add(settings.named()));
  const run = button("나란히 이어 쓰기", () => (running ? running.abort() : start()));
  const note = make("p", { className: "note" });
  const list = make("div", { className: "columns" });
  section.append(make("p", { className: "row" }, put, run), note, list);
  if (!engine.settings.seed) note.before(make("p", {},
    "이 엔진은 시드를 받지 않습니다. 샘플링이면 설정이 같아도 텍스트가 달라집니다."));

  function tell(sentence) {
    note.textContent = sentence;
    say(sentence);
  }

  function add(knobs) {
    const key = JSON.stringify(Object.entries(knobs).sort());
    const same = columns.findIndex((column) => column.key === key);
    if (same >= 0) return tell(`${letter(same)}와 같은 설정입니다. 하나를 바꾸고 담으세요.`);
    if (columns.length === MOST) return tell(`${MOST}개까지입니다. 하나를 빼고 담으세요.`);
    const column = { key, knobs, title: make("h3"), options: make("ul"), end: make("p"),
      text: make("p", { className: "text" }), differs: make("p"),
      use: button("이 설정 쓰기", () => settings.replace(knobs)), drop: button("빼기") };
    column.drop.onclick = () => {
      columns = columns.filter((each) => each !== column);
      column.box.remove();
      column.stop?.abort();
      put.focus();
      refresh();
    };
    column.box = make("article", {}, column.title, column.options, column.text, column.differs,
      column.end, make("p", { className: "row" }, column.use, column.drop));
    columns.push(column);
    list.append(column.box);
    refresh();
    tell(`${letter(columns.length - 1)}에 담았습니다.`);
  }

  const letter = (index) => "ABCD"[index];

  function shown(name, knobs) {
    if (name in knobs) return String(knobs[name]);
    return `기본값 ${settings.fields.get(name)?.default ?? ""}`.trim();
  }

  /** 글자, 설정, 다른 데를 다시 적습니다. 버튼은 그대로 두어 포커스를 잃지 않습니다. */
  function refresh() {
    const [a] = columns;
    columns.forEach((column, index) => {
      const { knobs, result, title, options, text, differs, use, drop } = column;
      title.textContent = letter(index);
      for (const each of [use, drop])
        each.setAttribute("aria-label", `${letter(index)}: ${each.textContent}`);
      const names = [...settings.fields.keys()].filter((name) => name in knobs || name in a.knobs);
      options.replaceChildren(...names.map((name) => {
        const [value, before] = [shown(name, knobs), shown(name, a.knobs)];
        const line = `${settings.fields.get(name).korean} (${name}): ${value}`;
        return make("li", {}, value === before ? line : make("mark", {}, `${line} (A: ${before})`));
      }));
      if (!names.length) options.append(make("li", {}, "모두 기본값"));
      differs.textContent = "";
      if (result === undefined) return;
      text.replaceChildren(result);
      if (column === a || a.result === undefined) return;
      differs.textContent = divergence(a.result, result);
      const common = shared(words(a.result), words(result));
      let at = 0; // 단어와 공백이 번갈아 나옵니다.
      text.replaceChildren(...result.split(/(\s+)/).map((part) =>
        !part.trim() || common[at++] ? part : make("mark", {}, part)));
    });
  }

  async function start() {
    if (columns.length < 2) return tell("설정을 둘 이상 담으세요. 하나를 바꾸고 또 담으면 됩니다.");
    running = new AbortController();
    run.textContent = "멈추기";
    const request = { prompt: prompt(), ...(engine.settings.seed && { seed: seed() }) };
    const named = request.seed === undefined ? "" : `, 시드 ${request.seed}`;
    const told = `프롬프트 ‘${request.prompt}’${named}`;
    tell(`${told}: 이어 쓰는 중…`);
    await Promise.all(columns.map((column) => write(column, request)));
    refresh();
    tell(running.signal.aborted ? "멈추었습니다." : `${told}: 나란히 이어 썼습니다.`);
    running = undefined;
    run.textContent = "나란히 이어 쓰기";
  }

  /** 한 열. 오류는 그 열에만 적습니다. */
  async function write(column, request) {
    const { text, differs, end, knobs } = column;
    column.result = undefined;
    column.stop = new AbortController();
    const signal = AbortSignal.any([running.signal, column.stop.signal]);
    text.textContent = request.prompt;
    differs.textContent = end.textContent = end.className = "";
    const onPart = (part) => text.append(part.text);
    try {
      const done = await engine.write({ ...request, ...knobs }, { signal, onPart });
      column.result = done.result;
      end.textContent = ending(done).join(" · ");
    } catch (error) {
      end.className = signal.aborted ? "" : "error";
      end.textContent = signal.aborted ? "멈추었습니다." : error.message;
    }
  }

  return { add };
}
