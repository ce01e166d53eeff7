// The OpenAI TypeScript SDK as its users use it, over Chat Completions and Responses.
import { all, ask, load, PAYLOAD, play, WEATHER, weather } from "./program.mjs";

const { default: OpenAI, toFile } = load("openai");
const MODEL = "gpt-5.2";
const client = () => new OpenAI();
const chat = (scene, more = {}) => ({ model: MODEL, messages: [{ role: "user", content: ask(scene) }], ...more });
const response = (scene, more = {}) => ({ model: MODEL, input: ask(scene), ...more });
const WEATHER_FUNCTION = { name: "weather", description: "Weather now.", parameters: WEATHER };

await play({
  chat: () => client().chat.completions.create(chat("chat", { user: "u-1", seed: 7 })),
  chat_gzipped: () => client().chat.completions.create(chat("chat_gzipped")),
  chat_stream: async () =>
    all(
      await client().chat.completions.create(
        chat("chat_stream", { stream: true, stream_options: { include_usage: true } }),
      ),
    ),
  chat_stream_helper: () => client().chat.completions.stream(chat("chat_stream_helper")).finalChatCompletion(),
  async chat_tools() {
    const going = chat("chat_tools", { tools: [{ type: "function", function: WEATHER_FUNCTION }] });
    const turns = [];
    for (;;) {
      const reply = await client().chat.completions.create(going);
      turns.push(reply);
      const message = reply.choices[0].message;
      if (!message.tool_calls?.length) return turns;
      const results = message.tool_calls.map((call) => ({
        role: "tool",
        tool_call_id: call.id,
        content: weather(JSON.parse(call.function.arguments).city),
      }));
      going.messages = [...going.messages, message, ...results];
    }
  },
  responses: () => client().responses.create(response("responses", { instructions: "Be brief." })),
  responses_stream: async () =>
    all(await client().responses.create(response("responses_stream", { stream: true }))),
  responses_stream_helper: () => client().responses.stream(response("responses_stream_helper")).finalResponse(),
  async responses_tools() {
    const tools = [{ type: "function", strict: false, ...WEATHER_FUNCTION }];
    let input = [{ role: "user", content: ask("responses_tools") }];
    const turns = [];
    for (;;) {
      const include = ["reasoning.encrypted_content"];
      const reply = await client().responses.create({ model: MODEL, include, tools, store: false, input });
      turns.push(reply);
      const calls = reply.output.filter((item) => item.type === "function_call");
      if (!calls.length) return turns;
      const results = calls.map((call) => ({
        type: "function_call_output",
        call_id: call.call_id,
        output: weather(JSON.parse(call.arguments).city),
      }));
      input = [...input, ...reply.output, ...results];
    }
  },
  embeddings: () =>
    client().embeddings.create({ model: "text-embedding-3-small", input: [ask("embeddings"), "two"] }),
  async models() {
    const page = await client().models.list();
    return [page.data, await client().models.retrieve(MODEL)];
  },
  async files() {
    const sdk = client();
    const sent = await sdk.files.create({ file: await toFile(PAYLOAD, "täglich.bin"), purpose: "user_data" });
    const back = await (await sdk.files.content(sent.id)).arrayBuffer();
    return [sent, Buffer.from(back).toString("hex"), await sdk.files.delete(sent.id)];
  },
  rate_limited: () => client().chat.completions.create(chat("rate_limited")),
  bad_request: () => client().responses.create(response("bad_request")),
  chat_failed_midway: async () =>
    all(await client().chat.completions.create(chat("chat_failed_midway", { stream: true }))),
  responses_failed_midway: async () =>
    all(await client().responses.create(response("responses_failed_midway", { stream: true }))),
  chat_truncated: async () =>
    all(await client().chat.completions.create(chat("chat_truncated", { stream: true }))),
  responses_truncated: async () =>
    (await all(client().responses.stream(response("responses_truncated")))).map((event) => event.type),
  broken_off: async () => all(await client().chat.completions.create(chat("broken_off", { stream: true }))),
});
