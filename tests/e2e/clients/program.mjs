// What the TypeScript client programs share: play scenes, print what the client got as one JSON document.
// Packages come from the environment named by CLIENT_MODULES, so that nothing is installed beside the tests.
import { createRequire } from "node:module";
import { join } from "node:path";

export const load = createRequire(join(process.env.CLIENT_MODULES, "package.json"));

export const WEATHER = {
  type: "object",
  properties: { city: { type: "string" }, unit: { type: "string", enum: ["celsius", "kelvin"] } },
  required: ["city"],
};

// A file that a proxy with a mind for text would spoil.
export const PAYLOAD = Buffer.concat([
  ...Array.from({ length: 64 }, () => Buffer.from(Array.from({ length: 256 }, (_, i) => i))),
  Buffer.from("\r\n--boundary\r\n\x00\xff", "latin1"),
]);

export const ask = (scene) => `scene:${scene} What's the weather in Zürich — and in 東京? \u{1f326}`;
export const weather = (city) => `${city}: 21 °C, light rain`;

export async function all(stream) {
  const seen = [];
  for await (const each of stream) seen.push(structuredClone(each));
  return seen;
}

export async function play(scenes) {
  const wanted = process.argv.slice(2);
  const outcomes = {};
  for (const [name, scene] of Object.entries(scenes)) {
    if (wanted.length && !wanted.includes(name)) continue;
    try {
      outcomes[name] = { returned: (await scene()) ?? null };
    } catch (error) {
      console.error(error);
      outcomes[name] = { raised: error.constructor.name, status: error.status ?? null, text: String(error.message) };
    }
  }
  process.stdout.write(JSON.stringify(outcomes, null, 1));
}
