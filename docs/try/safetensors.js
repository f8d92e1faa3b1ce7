// safetensors 파일을 읽습니다: 헤더의 길이(8바이트), 헤더(JSON), 텐서의 바이트가 이어져 있습니다.
// 헤더에는 텐서마다 자료형, 모양, 바이트의 위치가 있습니다: {"dtype", "shape", "data_offsets"}

const READERS = { F16: fromHalves, F32: (bytes) => new Float32Array(bytes) };
const SIZES = { F16: 2, F32: 4 };

/** buffer: ArrayBuffer → Map {이름: {shape, data: Float32Array}}. 온전하지 않으면 Error */
export function readSafetensors(buffer) {
  const { header, start } = readHeader(buffer);
  const tensors = new Map();
  let end = start;
  for (const [name, { dtype, shape, data_offsets: offsets }] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    if (!(dtype in READERS)) throw broken(`${name}의 자료형이 F16이나 F32가 아닙니다`);
    const [from, to] = offsets.map((offset) => start + offset);
    const size = shape.reduce((product, each) => product * each, 1) * SIZES[dtype];
    if (!(from >= start) || to - from !== size) throw broken(`${name}의 크기가 맞지 않습니다`);
    if (to > buffer.byteLength) throw broken("중간에서 끊겼습니다");
    tensors.set(name, { shape, data: READERS[dtype](buffer.slice(from, to)) });
    end = Math.max(end, to);
  }
  if (end !== buffer.byteLength) throw broken("뒤에 남는 것이 있습니다");
  return tensors;
}

function readHeader(buffer) {
  if (buffer.byteLength < 8) throw broken("중간에서 끊겼습니다");
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const start = 8 + length;
  if (start > buffer.byteLength) throw broken("헤더의 길이가 파일보다 깁니다");
  try {
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
    const isTensor = ({ shape, data_offsets: offsets }) =>
      [...shape, ...offsets].every(Number.isInteger) && offsets.length === 2;
    for (const [name, each] of Object.entries(header)) {
      if (name !== "__metadata__" && !isTensor(each)) throw new TypeError(name);
    }
    return { header, start };
  } catch {
    throw broken("헤더를 읽을 수 없습니다");
  }
}

const broken = (why) => new Error(`가중치 파일이 온전하지 않습니다: ${why}. 다시 받으세요.`);

/** 16비트 수는 65,536가지뿐이라 표에서 찾습니다. */
function fromHalves(bytes) {
  const halves = new Uint16Array(bytes);
  const data = new Float32Array(halves.length);
  for (let i = 0; i < data.length; i++) data[i] = HALVES[halves[i]];
  return data;
}

const HALVES = Float32Array.from({ length: 2 ** 16 }, (_, bits) => half(bits));

/** 16비트 부동소수점: 부호 1비트, 지수 5비트, 가수 10비트 */
function half(bits) {
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}
