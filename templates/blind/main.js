// 두 텍스트를 보여 주고 고른 것을 보냅니다. 어느 쪽이 사람의 것인지는 서버만 압니다.

const find = (selector) => document.querySelector(selector);
const buttons = [...document.querySelectorAll("[data-place]")];
const percent = (share) => `${(100 * share).toFixed(0)}%`;
let texts = null; // 지금 보여 주는 두 텍스트. 보내는 동안에는 null

async function ask(path, body) {
  const options = body && {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)};
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("서버에 연결하지 못했습니다. 잠시 뒤에 다시 하세요.");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error ?? `서버가 답하지 못함(${response.status})`);
  return answer;
}

// 오류가 나면 말하고, 고르던 것이 있으면 다시 고를 수 있게 합니다.
async function attempt(work) {
  const before = texts;
  texts = null;
  find("#status").textContent = "";
  for (const button of buttons) button.disabled = true;
  try {
    await work();
  } catch (error) {
    find("#status").textContent = error.message;
    texts = before;
    for (const button of buttons) button.disabled = !texts;
  }
}

async function show(pair) {
  if (!pair.texts) {
    find("#choose").hidden = true;
    await showResult();
    find("#own").focus();
    return;
  }
  find("#choose").hidden = false;
  find("#number").textContent = `${pair.of}개 가운데 ${pair.done + 1}번째`;
  find("#progress").max = pair.of;
  find("#progress").value = pair.done;
  buttons.forEach((button, place) => {
    button.querySelector("span").textContent = pair.texts[place];
  });
  setTimeout(() => { // 두 번 누른 것이 다음 짝을 고르지 않게
    texts = pair.texts;
    for (const button of buttons) button.disabled = false;
  }, 300);
  find("#number").focus(); // 화면 낭독기가 번호부터 읽습니다.
}

function choose(place) {
  if (!texts) return;
  const text = texts[place];
  attempt(async () => show(await ask("api/vote", {text, place})));
}

async function showResult() {
  const told = await ask("api/tally");
  find("#result").hidden = false;
  find("#own").textContent = `${told.of}개 가운데 ${told.own}개를 맞혔습니다`;
  find("#class").textContent = `${told.voters.length}명이 ${told.votes}번 골라 ${told.right}번 `
    + `맞혔습니다: ${percent(told.right / told.votes)}. 아무렇게나 골라도 50%입니다.`;
  find("#needed").textContent = "정답률이 55%라는 것을 80%의 확률로 알아내려면 서로 독립인 표가 "
    + `${told.needed}개 필요합니다.`;
  draw(told);
  find("#intervals").replaceChildren(...told.intervals.map(({name, low, high, holds_half}) => {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = name;
    const cells = [`${percent(low)}–${percent(high)}`, holds_half ? "있음" : "없음"];
    row.append(head, ...cells.map((text) => {
      const cell = document.createElement("td");
      cell.textContent = text;
      return cell;
    }));
    return row;
  }));
  find("#pairs").replaceChildren(...told.pairs.map((pair) => {
    const item = document.createElement("li");
    const own = told.own_right.includes(pair.human) ? "나는 맞힘" : "나는 틀림";
    item.append(line("", `${pair.votes}명 가운데 ${pair.right}명이 맞힘 · ${own} · ${pair.word}`),
      line("사람", pair.human), line("모델", pair.model));
    return item;
  }));
}

function line(label, text) {
  const paragraph = document.createElement("p");
  if (label) {
    const name = document.createElement("b");
    name.textContent = label;
    paragraph.append(name, " ");
  }
  paragraph.append(text);
  return paragraph;
}

// 사람마다 점 하나: 왼쪽 끝이 0%, 오른쪽 끝이 100%. 굵은 선은 사람마다 독립이라고 본 구간입니다.
function draw({voters, intervals}) {
  const place = (share) => 6 + 88 * share;
  const {low, high} = intervals.find(({name}) => name === "사람마다");
  const same = new Map();
  find("#dots").replaceChildren(
    shape("line", {x1: place(0), x2: place(1), y1: 18, y2: 18, class: "axis"}),
    shape("line", {x1: place(low), x2: place(high), y1: 18, y2: 18, class: "range"}),
    shape("line", {x1: place(0.5), x2: place(0.5), y1: 2, y2: 19, class: "half"}),
    ...[0, 0.5, 1].map((share) => shape(
      "text", {x: place(share), y: 22.5, "text-anchor": "middle"}, percent(share))),
    ...voters.map((share) => {
      const above = same.get(share) ?? 0;
      same.set(share, above + 1);
      const rise = Math.min(2.4, 14 / voters.length);
      return shape("circle", {cx: place(share), cy: 16 - above * rise, r: 1});
    }));
  find("#dots").setAttribute("aria-label", `사람마다의 정답률: ${voters.map(percent).join(", ")}`);
}

function shape(name, attributes, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
}

buttons.forEach((button, place) => button.addEventListener("click", () => choose(place)));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
  const place = {1: 0, 2: 1, ArrowLeft: 0, ArrowRight: 1}[event.key];
  if (place !== undefined) choose(place);
});
find("#again").addEventListener("click", () => attempt(showResult));
attempt(async () => show(await ask("api/pair")));
