// GET /api/settings의 fields: 요청에 쓸 수 있는 이름과 범위, 기본값. 페이지와 워커가 함께 씁니다.

const BESIDE_KNOBS = ["seed", "steps", "prefix"];

/** 디코딩 옵션인지. 나머지는 페이지가 정합니다. */
export const isKnob = ({ name }) => !BESIDE_KNOBS.includes(name);

/** 디코딩 옵션의 기본값: {이름: 값}, null은 없음 */
export const defaultsOf = (fields) =>
  Object.fromEntries([...fields].filter(isKnob).map((field) => [field.name, field.default]));

/** 값이 무엇이 틀렸는지 서버와 같은 문장으로. 맞으면 undefined */
export function complaint({ name, type, minimum, maximum, above }, value) {
  const isNumber = Number.isFinite(value) && (type !== "integer" || Number.isInteger(value));
  if (type === "boolean" ? typeof value !== "boolean" : !isNumber) {
    const kind = { boolean: "true나 false여야", integer: "정수여야", number: "수여야" }[type];
    return `${name}: ${kind} 하는데 '${String(value).slice(0, 40)}'입니다.`;
  }
  if (value < minimum || value <= above || value > maximum) {
    const least = above === undefined ? `${minimum} 이상` : `${above}보다 크고`;
    return `${name}: ${least} ${maximum} 이하여야 하는데 ${value}입니다.`;
  }
  return undefined;
}
