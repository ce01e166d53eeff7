// The Anthropic TypeScript SDK as its users use it.
import { all, ask, load, PAYLOAD, play, WEATHER, weather } from "./program.mjs";

const { default: Anthropic, toFile } = load("@anthropic-ai/sdk");
const MODEL = "claude-sonnet-4-5";
const client = () => new Anthropic();
const request = (scene, more = {}) => ({
  model: MODEL,
  max_tokens: 1024,
  messages: [{ role: "user", content: ask(scene) }],
  ...more,
});

async function loop(scene, turn) {
  const tools = [{ name: "weather", description: "Weather now.", input_schema: WEATHER }];
  const thinking = { type: "enabled", budget_tokens: 1024 };
  const going = request(scene, { tools, thinking, max_tokens: 4096 });
  const turns = [];
  for (;;) {
    const message = await turn(client(), going);
    turns.push(message);
    const calls = message.content.filter((block) => block.type === "tool_use");
    if (!calls.length) return turns;
    const results = calls.map((call) => ({
      type: "tool_result",
      tool_use_id: call.id,
      content: weather(call.input.city),
    }));
    going.messages = [
      ...going.messages,
      { role: "assistant", content: message.content },
      { role: "user", content: results },
    ];
  }
}

await play({
  plain: () => client().messages.create(request("plain", { system: "Be brief." })),
  gzipped: () => client().messages.create(request("gzipped")),
  async stream() {
    const stream = client().messages.stream(request("stream"));
    return [await all(stream), await stream.finalMessage()];
  },
  raw_stream: async () => all(await client().messages.create(request("raw_stream", { stream: true }))),
  tools: () => loop("tools", (sdk, going) => sdk.messages.create(going)),
  tools_streamed: () => loop("tools_streamed", (sdk, going) => sdk.messages.stream(going).finalMessage()),
  count_tokens() {
    const { model, messages } = request("count_tokens");
    return client().messages.countTokens({ model, messages });
  },
  async models() {
    const page = await client().models.list({ limit: 20 });
    return [page.data, await client().models.retrieve(MODEL)];
  },
  async files() {
    const sdk = client();
    const store = sdk.files ?? sdk.beta.files;
    const sent = await store.upload({ file: await toFile(PAYLOAD, "täglich.bin", { type: "application/octet-stream" }) });
    const back = await (await store.download(sent.id)).arrayBuffer();
    return [sent, Buffer.from(back).toString("hex"), await store.delete(sent.id)];
  },
  rate_limited: () => client().messages.create(request("rate_limited")),
  bad_request: () => client().messages.create(request("bad_request")),
  overloaded_midway: async () =>
    all(await client().messages.create(request("overloaded_midway", { stream: true }))),
  truncated: async () => all(await client().messages.create(request("truncated", { stream: true }))),
  broken_off: async () => all(await client().messages.create(request("broken_off", { stream: true }))),
});
